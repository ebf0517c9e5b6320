"""The gallery: each example short, listed, and run in a small form."""

import ast
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

GALLERY = Path(__file__).parents[1] / "examples" / "gallery"
PATHS = sorted(GALLERY.glob("*.py"))
README = (GALLERY.parent / "README.md").read_text()


def printed_by(name, capsys, **arguments):
    """Run an example in its small form; return what it prints."""
    runpy.run_path(str(GALLERY / f"{name}.py"))["main"](**arguments)
    return capsys.readouterr().out


def rows(printed, *names):
    """The numbers of the lines that begin with the names."""
    return [
        [float(number) for number in re.findall(r"-?\d+\.\d+", line)]
        for name in names
        for line in printed.splitlines()
        if line.startswith(name)
    ]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_is_short_says_why_and_is_listed(path):
    text = path.read_text()
    assert len(text.splitlines()) < 80
    assert ast.get_docstring(ast.parse(text)).startswith("Why ")
    assert f"    python examples/gallery/{path.name}" in text
    assert f"](gallery/{path.name})" in README
    first = re.search(r'main\(.*?print\(f?"(.*?)"\)', text, re.S).group(1)
    assert re.search("seconds|minute", first), "It says how long it takes."


def test_the_list_has_no_other():
    listed = re.findall(r"\]\(gallery/(\w+)\.py\)", README)
    assert sorted(set(listed)) == [path.stem for path in PATHS]


@pytest.mark.slow
def test_quick_start(capsys):
    printed = printed_by("quick_start", capsys, draws=1)
    (plain, *_), (dos, *_) = rows(printed, "plain", "DOS")
    assert 60 < plain < dos < 100


@pytest.mark.slow
def test_from_classifier(capsys):
    printed = printed_by("from_classifier", capsys, draws=1)
    before, plain, dos = rows(printed, "as it was", "20 more plain", "20 more epochs")
    assert max(before[0], plain[0]) < dos[0]


@pytest.mark.slow
def test_binary_tabular(capsys):
    printed = printed_by("binary_tabular", capsys, draws=1)
    found = rows(printed, "boosted trees", "plain", "class_weight", "DOS")
    assert len(found) == 4
    for average_precision, _, *f1, _, _, _ in found:
        assert 60 < average_precision <= 100
        assert 50 < f1[0] <= 100
    assert found[-1][-2:] == [0, 0]  # DOS less DOS.


@pytest.mark.slow
def test_backbone(capsys):
    printed = printed_by("backbone", capsys, draws=1)
    frozen, dos, unfrozen = rows(printed, "frozen, plain", "frozen, DOS", "then")
    assert frozen[0] < dos[0] < 100
    assert unfrozen[0] > 80


@pytest.mark.slow
def test_text(capsys):
    printed = printed_by("text", capsys, draws=1)
    (plain,), (dos,) = rows(printed, "draw 0  plain"), rows(printed, "draw 0  DOS")
    assert 0.45 < plain[0] < 1  # By chance .25.
    assert 0.45 < dos[0] < 1


@pytest.mark.slow
def test_search_engine(capsys):
    printed = printed_by("search_engine", capsys, sizes=(500,))
    assert re.search(r"refused: Careless .* the squared distance", printed)
    assert rows(printed, "            500")[0][-1] == 100
    first, last = rows(printed, "trained with it")[0]
    assert first > 0
    assert last > 0


@pytest.mark.slow
def test_serving_client(capsys):
    printed = printed_by("serving_client", capsys)
    equal, shifted = rows(printed, "equal classes", "as in training")
    assert equal[1] > 0.75
    assert shifted[2] < equal[2]  # The log loss, with the true prior.


def test_read_ablations(capsys, tmp_path):
    picture = tmp_path / "ablations.png"
    printed = printed_by("read_ablations", capsys, picture=str(picture))
    assert picture.stat().st_size > 20_000
    table = (GALLERY.parents[1] / "benchmarks/results/ablations.md").read_text()
    cells = [line.split(" | ") for line in table.splitlines() if " | [" not in line]
    means = {
        cell[0].removeprefix("| "): float(cell[3].split()[0])
        for cell in cells
        if len(cell) == 4 and re.match(r"[+-]\d", cell[3])
    }
    assert len(means) > 20
    found = dict(
        reversed(line)
        for line in re.findall(r"^ *(\S+) ± .{4}  .{7} (.*)$", printed, re.M)
    )
    for change, mean in means.items():
        np.testing.assert_allclose(float(found[change]), mean, atol=0.051)
