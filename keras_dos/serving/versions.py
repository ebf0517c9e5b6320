"""Version folders: written next to the others, renamed when they are complete."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a server reads as a number: it skips blanks and takes a plus sign.
_NUMBER = re.compile(r"\s*\+?[0-9]+\s*", re.ASCII)


def local_folder(path: Any) -> Path:
    """Return the path of a folder of this machine, with `~` expanded.

    Raises:
        ValueError: If it is empty, an address or a file.

    Example:
        >>> local_folder("saved_models/svhn").parts
        ('saved_models', 'svhn')
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "://" in text:
        raise ValueError(
            "`path` must be a local folder, from which a version can be copied to a "
            f"bucket. Received: path={path!r}."
        )
    folder = Path(text).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`path` must not be a file. Received: path={path!r}.")
    return folder


def write_version(base: Path, write: Callable[[Path], None]) -> Path:
    """Write the next version of a servable, in one step as a server sees it.

    A server polls the folder and takes every child whose name is an integer. So the
    files are written under a name that no server reads, and the folder is renamed when
    they are complete. An export that is killed leaves that folder, `.unfinished-...`,
    which is safe to delete.

    Args:
        base: The folder of the servable; it is created if it does not exist.
        write: Writes the files into the folder that it is given.

    Returns:
        The folder of the new version, one above the largest, `base/1` for the first.

    Raises:
        OSError: If the folder cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_version(Path(folder), lambda new: (new / "x").touch()).name
        '1'
    """
    base.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=base))
    try:
        # mkdtemp admits its owner only, but a server often runs as another user.
        unfinished.chmod(stat.S_IMODE(base.stat().st_mode))
        write(unfinished)
        return _claim(unfinished, base)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _claim(unfinished: Path, base: Path) -> Path:
    """Rename to the next free integer; another export may take one meanwhile."""
    while True:
        taken = [_number(path.name) for path in base.iterdir()]
        version = base / str(max(taken, default=0) + 1)
        try:
            return unfinished.rename(version)
        except OSError:
            if not version.exists():
                raise


def _number(name: str) -> int:
    """Return the version that a server takes a folder for, an int64, or 0 for none."""
    number = int(name) if _NUMBER.fullmatch(name) else 0
    return number if number < 2**63 - 1 else 0
