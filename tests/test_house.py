"""The rules of the house: who imports whom, what is private, how long things are."""

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "keras_dos"

# From the top down. A room imports only rooms below it; a folder is one room.
ROOMS = (
    "__main__",
    "__init__",
    # Helpers, which the method never imports.
    "logit_shift",
    "plots",
    "serving",
    "networks",
    "evaluation",
    "metrics",
    "datasets",
    # The model and its callback.
    "model",
    "training_prior",
    "threads",
    "preparation",
    "validation",
    "backup",
    "callback",
    # The method.
    "rounds",
    "embeddings",
    "collected",
    "settings",
    "overloading",
    "training_loss",
    "objective",
    "compiled_loss",
    "adjustment",
    "schedule",
    "draws",
    "spread",
    "parameters",
    "slots",
    "losses",
    "outputs",
    # Replaceable.
    "samples",
    "search",
    # What all may use.
    "advice",
    "labels",
    "description",
    "_checks",
    "_keras",
    "workers",
    "disk",
    "_backend",
)
HELPERS = ROOMS[2 : ROOMS.index("model")]
METHOD = ROOMS[ROOMS.index("model") :]


def modules(root):
    return {path: ast.parse(path.read_text()) for path in sorted(root.rglob("*.py"))}


def name_of(path, root):
    """The dotted name within the package, such as "samples.base"."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts if parts[-1] != "__init__" else parts[:-1]) or "__init__"


def imports(tree, names):
    """The modules of the package that a module imports, anywhere in its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            if not f"{name}.".startswith("keras_dos."):
                continue
            inner = name.removeprefix("keras_dos").removeprefix(".") or "__init__"
            while inner not in names and "." in inner:
                inner = inner.rpartition(".")[0]
            # A name that no module has is one of the package itself.
            yield inner if inner in names else "__init__"


def import_graph(root):
    trees = modules(root)
    names = {name_of(path, root) for path in trees}
    return {
        name_of(path, root): sorted(set(imports(tree, names)))
        for path, tree in trees.items()
    }


def room(name):
    return name.split(".")[0]


def broken_imports(root):
    """Imports that do not lead downward, and circles within a room."""
    graph = import_graph(root)
    broken = []
    for name, imported in graph.items():
        for other in imported:
            inside = room(name) == room(other)
            if not inside and ROOMS.index(room(name)) >= ROOMS.index(room(other)):
                broken.append(f"{name} imports {other}")
            if inside and name in reached(graph, other):
                broken.append(f"{name} and {other} import each other")
    return broken


def reached(graph, name):
    """Every module that a module imports, directly or not, itself included."""
    pending, seen = [name], set()
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            pending.extend(graph[current])
    return seen


def own_names(tree):
    """The names with an underscore that a module itself defines or sets."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def private_names(root):
    """Names with an underscore that belong to others, outside of `_keras.py`."""
    found = []
    for path, tree in modules(root).items():
        if path.name == "_keras.py":
            continue
        own = own_names(tree)
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Attribute):
                of_self = getattr(node.value, "id", "") in ("self", "cls")
                names = [] if of_self and node.attr in own else [node.attr]
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "getattr",
                "hasattr",
                "setattr",
            ):
                names = [getattr(node.args[1], "value", None)]
            elif isinstance(node, ast.Import):
                names = [part for a in node.names for part in parts_of(a.name)]
            elif isinstance(node, ast.ImportFrom) and node.module:
                parts = [part for a in node.names for part in parts_of(a.name)]
                names = [*parts_of(node.module), *parts]
                if node.module.startswith("keras_dos"):
                    names = []
            for name in names:
                text = name if isinstance(name, str) else ""
                if text.startswith("_") and not text.endswith("__"):
                    found.append(f"{path.name}: {name}")
    return found


def parts_of(dotted):
    """The parts of a dotted name; `src` is private in Keras."""
    return ["_src" if part == "src" else part for part in dotted.split(".")]


def test_every_module_has_a_room():
    assert {room(name_of(path, PACKAGE)) for path in modules(PACKAGE)} == set(ROOMS)


def test_imports_lead_downward():
    assert broken_imports(PACKAGE) == []


def test_the_method_imports_no_helper():
    graph = import_graph(PACKAGE)
    for name in graph:
        if room(name) in METHOD:
            assert not {room(other) for other in reached(graph, name)} & set(HELPERS)


def test_private_names_of_keras_stand_in_one_module():
    assert private_names(PACKAGE) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"callback": "from keras_dos.model import DOSModel", "model": ""},
            ["callback imports model"],
        ),
        (
            {
                "model": "from keras_dos.callback import C",
                "callback": "if TYPE_CHECKING:\n    from keras_dos import model",
            },
            ["callback imports model"],
        ),
        (
            {"rounds": "def f():\n    import keras_dos.datasets", "datasets": ""},
            ["rounds imports datasets"],
        ),
        ({"losses": "from keras_dos import DOSModel"}, ["losses imports __init__"]),
        (
            {"labels": "from keras_dos import _checks", "_checks": ""},
            [],
        ),
    ],
)
def test_a_broken_import_rule_is_found(files, expected, tmp_path):
    for name, text in {"__init__": "", **files}.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert broken_imports(tmp_path) == expected


def test_a_circle_within_a_room_is_found(tmp_path):
    room_path = tmp_path / "samples"
    room_path.mkdir()
    (room_path / "__init__.py").write_text("from keras_dos.samples.base import A")
    (room_path / "base.py").write_text("from keras_dos.samples import memory")
    (room_path / "memory.py").write_text("import keras_dos.samples.base")
    (tmp_path / "__init__.py").write_text("")
    assert "samples.base and samples.memory import each other" in broken_imports(
        tmp_path
    )


@pytest.mark.parametrize(
    "text",
    [
        "tensor._keras_history",
        "getattr(p, '_keras_logits', None)",
        "model.optimizer._variables",
        "self._compile_config",
        "from keras.src.models import functional",
        "import keras.src.models",
        "from tensorflow import _api",
        "from tensorflow import data, _api",
        "import tensorflow._api.v2",
    ],
)
def test_a_private_name_is_found(text, tmp_path):
    (tmp_path / "model.py").write_text(text)
    assert len(private_names(tmp_path)) == 1


def test_benchmarks_and_examples_use_public_names_of_the_package():
    for folder in ("benchmarks", "examples"):
        for path, tree in modules(PACKAGE.parent / folder).items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [*node.module.split("."), *(a.name for a in node.names)]
                    own = names[0] == "keras_dos"
                    assert not own or not any(n.startswith("_") for n in names), path


def without_docstring(function):
    """The lines of a function, its docstring not counted."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_files_and_functions_are_short():
    lengths = {}
    for path, tree in modules(PACKAGE).items():
        lengths[path] = len(path.read_text().splitlines())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert without_docstring(node) <= 40, f"{path.name}: {node.name}"
    assert max(lengths.values()) <= 300, max(lengths, key=lengths.get)
    assert statistics.median(lengths.values()) <= 130
    assert lengths[PACKAGE / "callback.py"] <= 250
