"""The folder that an export writes into, and those that killed exports left behind."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Not on every platform: there the age alone decides.
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".unfinished-"
_LOCK = "lock"
# Seconds without a write after which an export is taken for dead.
_SILENCE = 3600.0


@contextlib.contextmanager
def unfinished_folder(base: Path) -> Iterator[Path]:
    """Yield a folder of one's own within another, and remove it in the end.

    It also removes the folders of exports that were killed: those that no process
    holds, and that nothing was written to for an hour. The lock protects an export
    that is suspended; the age protects those on other machines if the disk that they
    share has no locks, or has them for each machine alone.

    Args:
        base: A folder, possibly on a disk that other machines write to.

    Yields:
        A new folder, whose name no server reads as a version.

    Raises:
        OSError: If it cannot be created.

    Example:
        >>> with tempfile.TemporaryDirectory() as base:
        ...     with unfinished_folder(Path(base)) as folder:
        ...         folder.name.startswith(".unfinished-")
        True
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    try:
        with (folder / _LOCK).open("wb") as lock:
            with contextlib.suppress(OSError):
                _hold(lock)
            _remove_abandoned(base, now=_last_write(folder))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(base: Path, now: float) -> None:
    """Remove what killed exports left; `now` is the time by the clock of the disk."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # Another export may just remove it.
            if now - _last_write(folder) > _SILENCE and not _is_held(folder / _LOCK):
                shutil.rmtree(folder, ignore_errors=True)


def _last_write(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _hold(lock: IO[bytes]) -> None:
    """Lock a file until it is closed, which the death of the process does too."""
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_held(file: Path) -> bool:
    try:
        with file.open("r+b") as lock:
            _hold(lock)
    except BlockingIOError:
        return True
    except OSError:  # Killed before it had one, or the disk has no locks.
        return False
    return False
