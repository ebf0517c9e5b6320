"""Importing the package, in processes of its own."""

import os
import subprocess
import sys

import pytest


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_another_backend_is_named():
    done = run("import keras_dos", KERAS_BACKEND="jax")
    assert done.returncode == 1
    assert "KERAS_BACKEND=tensorflow" in done.stderr
    assert "Received: KERAS_BACKEND='jax'" in done.stderr


@pytest.mark.slow
def test_import_works_without_optional_packages():
    code = (
        "import sys\n"
        "for name in ('scann', 'pynndescent', 'matplotlib', 'tensorflow_datasets',\n"
        "             'mlxtend', 'tensorflow_serving', 'grpc'):\n"
        "    sys.modules[name] = None\n"
        "import keras_dos\n"
        "print(keras_dos.__version__)"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    from keras_dos import __version__

    assert done.stdout.strip() == __version__


@pytest.mark.slow
def test_import_does_not_load_optional_packages():
    code = (
        "import sys, keras, tensorflow, sklearn.metrics\n"
        "before = set(sys.modules)\n"
        "import keras_dos\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = run(code)
    imported = set(done.stdout.split())
    assert "keras_dos" in imported, done.stderr
    optional = {"matplotlib", "scann", "pynndescent", "tensorflow_datasets", "mlxtend"}
    assert not imported & {*optional, "grpc", "tensorflow_serving"}
