"""Version folders: written in another folder, renamed when they are complete."""

import fnmatch
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_dos.disk import check_path, os_errors, put, share
from keras_dos.serving.unfinished import unfinished_folder

# What a server reads as a number: it skips blanks and takes a plus sign.
_NUMBER = re.compile(r"\s*\+?[0-9]+\s*", re.ASCII)
_LARGEST = 2**63 - 1


def local_folder(path: Any) -> Path:
    """Return the path of a folder of this machine, with `~` expanded.

    Raises:
        TypeError: If it is not a path.
        ValueError: If it is empty, an address or a file, if TensorFlow would not find
            it again, or if it has the largest version.

    Example:
        >>> local_folder("saved_models/svhn").parts
        ('saved_models', 'svhn')
    """
    check_path("path", path)
    folder = Path(path).expanduser()
    absolute = os.path.abspath(folder)
    # TensorFlow takes the name of the weights for a pattern of names.
    if not fnmatch.fnmatchcase(absolute, absolute):
        raise ValueError(
            "`path` must not have brackets, which no server finds again: TensorFlow "
            f"reads them as a choice of characters. Received: {absolute!r}."
        )
    if folder.exists():
        if not folder.is_dir():
            raise ValueError(f"`path` must not be a file. Received: path={path!r}.")
        _next_version(folder)  # Refused now, not after the work.
    return folder


def write_version(base: Path, write: Callable[[Path], None]) -> Path:
    """Write the next version of a servable, in one step as a server sees it.

    A server polls the folder and takes every child whose name is an integer. So the
    files are written where no server looks, and the version is moved and gets its name
    when it is complete and safe on the disk.

    Args:
        base: The folder of the servable; it is created if it does not exist.
        write: Writes the files into the folder that it is given.

    Returns:
        The folder of the new version, one above the largest, `base/1` for the first.

    Raises:
        ValueError: If no version is above the largest.
        OSError: If the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_version(Path(folder), lambda new: (new / "x").touch()).name
        '1'
    """
    base.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(base) as folder:
        files = folder / "version"
        files.mkdir()
        with os_errors(base):
            write(files)
        share(files, like=base)
        return put(files, lambda files: _claim(files, base))


def _claim(files: Path, base: Path) -> Path:
    """Rename to the next free integer; another export may take one meanwhile."""
    while True:
        version = base / str(_next_version(base))
        try:
            return files.rename(version)
        except OSError:
            if not version.exists():
                raise


def _next_version(base: Path) -> int:
    """Return the number above all that a server takes for versions."""
    taken = {path.name: _number(path.name) for path in base.iterdir()}
    largest = max(taken.values(), default=0)
    if largest == _LARGEST:
        raise ValueError(
            f"`path` must have no version {_LARGEST}, since no server reads a larger "
            "one: rename that folder. Received: "
            f"{str(base / max(taken, key=lambda name: taken[name]))!r}."
        )
    return largest + 1


def _number(name: str) -> int:
    """Return the version that a server takes a folder for, an int64, or 0 for none."""
    number = int(name) if _NUMBER.fullmatch(name) else 0
    return number if number <= _LARGEST else 0
