"""The modules of the package that users may import from."""

import importlib
import pkgutil

import keras_dos


def public_modules():
    """The package and its modules, without those with an underscore."""
    paths = pkgutil.walk_packages(keras_dos.__path__, "keras_dos.")
    names = [path.name for path in paths if "._" not in path.name]
    return [keras_dos, *map(importlib.import_module, names)]
