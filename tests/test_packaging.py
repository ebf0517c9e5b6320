"""The wheel: it holds the package, all of it and nothing else, and works elsewhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keras_dos

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.iterdir()
    return path


def test_it_holds_the_package_alone(wheel):
    package = ROOT / "keras_dos"
    own = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "keras_dos/py.typed" in own
    about = f"keras_dos-{keras_dos.__version__}.dist-info"
    files = ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")
    assert set(zipfile.ZipFile(wheel).namelist()) == {
        *own,
        *(f"{about}/{name}" for name in files),
    }


def test_every_module_can_be_imported_from_it(wheel, tmp_path):
    pip("install", "--quiet", "--no-deps", "--target", tmp_path, wheel)
    code = (
        "import importlib, pkgutil, keras_dos\n"
        "for info in pkgutil.walk_packages(keras_dos.__path__, 'keras_dos.'):\n"
        "    importlib.import_module(info.name)\n"
        "print(keras_dos.__file__, keras_dos.__version__, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    place, version = done.stdout.splitlines()
    assert Path(place) == tmp_path / "keras_dos" / "__init__.py"
    assert version == keras_dos.__version__
