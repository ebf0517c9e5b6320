"""What makes files safe and readable: permissions, disks that are full, power cuts."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf


def check_path(name: str, value: Any) -> None:
    """Raise unless a value is the path of a local folder, which need not exist.

    Raises:
        TypeError: If it is not a path.
        ValueError: If it is empty, or an address.

    Example:
        >>> check_path("backup_dir", Path("no/such"))
        >>> check_path("backup_dir", "gs://bucket/a")
        Traceback (most recent call last):
        ValueError: `backup_dir` must be the path of a local folder, from which files
        can be copied to a bucket. Received: backup_dir='gs://bucket/a'.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(
            f"`{name}` must be the path of a local folder. Received: {name}={value!r}."
        )
    if not text or "://" in text:
        raise ValueError(
            f"`{name}` must be the path of a local folder, from which files can be "
            f"copied to a bucket. Received: {name}={value!r}."
        )


def check_folder(name: str, value: Any) -> None:
    """Raise unless a value is the path of a folder that exists.

    Raises:
        TypeError: If it is not a path.
        ValueError: If there is no such folder, or it is an address.

    Example:
        >>> check_folder("table_dir", "no/such")
        Traceback (most recent call last):
        ValueError: `table_dir` must be a folder that exists. Received: 'no/such'.
    """
    check_path(name, value)
    if not os.path.isdir(value):
        raise ValueError(
            f"`{name}` must be a folder that exists. Received: {os.fspath(value)!r}."
        )


@contextlib.contextmanager
def os_errors(folder: Path) -> Iterator[None]:
    """Raise an OSError where TensorFlow raises an error of its own about a disk.

    Args:
        folder: The folder to name in the error.

    Raises:
        OSError: With the number that the system gave, such as `errno.ENOSPC`.

    Example:
        >>> with os_errors(Path("models")):
        ...     raise tf.errors.ResourceExhaustedError(
        ...         None, None, "models/x; No space left on device")
        Traceback (most recent call last):
        OSError: [Errno 28] No space left on device: 'models'
    """
    try:
        yield
    except tf.errors.OpError as error:
        number = _errno_of(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(folder)) from error


def _errno_of(error: tf.errors.OpError) -> int | None:
    """Return the error number whose text TensorFlow wrote behind the file's name."""
    found = [n for n in errno.errorcode if f"; {os.strerror(n)}" in error.message]
    # "No such device or address" also holds "No such device".
    return max(found, key=lambda n: len(os.strerror(n)), default=None)


def share(folder: Path, like: Path) -> None:
    """Let those read a folder and all in it who may read another folder.

    Permissions are only added: a umask of 077 would otherwise keep a server that runs
    as another user from reading a version.

    Args:
        folder: The folder, with all that it contains.
        like: The folder whose permissions to read, and to enter, are taken over.

    Raises:
        OSError: If permissions cannot be changed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     (file := Path(name, "a")).touch(mode=0o600)
        ...     Path(name).chmod(0o755)
        ...     share(file, like=Path(name))
        ...     oct(file.stat().st_mode & 0o777)
        '0o644'
    """
    read = stat.S_IMODE(like.stat().st_mode) & 0o444
    enter = stat.S_IMODE(like.stat().st_mode) & 0o555
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        shared = mode | (enter if path.is_dir() else read)
        if shared != mode:
            path.chmod(shared)


def sync(folder: Path) -> None:
    """Wait until a file, or a folder and all in it, are on the disk, not in memory.

    Raises:
        OSError: If a file cannot be written to the disk.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     Path(name, "a").touch()
        ...     sync(Path(name))
    """
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            sync_names(path)
        else:
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def sync_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that.

    Example:
        >>> sync_names(Path())
    """
    with contextlib.suppress(OSError):  # Some systems and disks only take files.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def put(complete: Path, move: Callable[[Path], Path]) -> Path:
    """Give a complete file or folder its name, when all of it is on the disk.

    Whoever finds something under the name, even after a power cut, finds all of it.

    Args:
        complete: The file or folder, on the same disk under another name.
        move: Renames it, and returns its new path.

    Raises:
        OSError: If it cannot be written to the disk or renamed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     (file := Path(name, "unfinished")).touch()
        ...     put(file, lambda file: file.replace(file.with_name("a"))).name
        'a'
    """
    sync(complete)
    path = move(complete)
    sync_names(path.parent)
    return path
