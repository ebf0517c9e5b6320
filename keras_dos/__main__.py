"""What a bug report needs to say of an installation: `python -m keras_dos`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

import keras
import tensorflow as tf

from keras_dos.search import get_search

PACKAGES = (
    "keras-dos",
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "scann",
    "pynndescent",
    "tensorflow-datasets",
    "tensorflow-serving-api",
)
ENGINES = ("scann", "nndescent", "exact", "auto")


def main() -> None:
    """Print the versions, the devices and the search engines of this installation."""
    for name, value in (*versions(), *devices(), *engines()):
        print(f"{name:<24}{value}")


def versions() -> Iterator[tuple[str, str]]:
    """Yield the name and version of all that the package runs on."""
    yield "python", sys.version.split()[0]
    yield "platform", platform.platform()
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "not installed"


def devices() -> Iterator[tuple[str, str]]:
    """Yield what TensorFlow computes on, and how."""
    names = [
        device.name.removeprefix("/physical_device:")
        for device in tf.config.list_physical_devices()
    ]
    yield "devices", f"{', '.join(names)} ({os.cpu_count()} processors)"
    yield "built for CUDA", str(tf.test.is_built_with_cuda())
    yield "dtype policy", keras.config.dtype_policy().name


def engines() -> Iterator[tuple[str, str]]:
    """Yield each `neighbor_search`, and the class it takes or what is amiss."""
    for name in ENGINES:
        try:
            found = type(get_search(name)).__name__
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        yield f'search "{name}"', found


if __name__ == "__main__":
    main()
