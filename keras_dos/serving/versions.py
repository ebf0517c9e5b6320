"""Version folders: written beside the others, renamed when they are whole."""

import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_version(base: Path, write: Callable[[Path], None]) -> Path:
    """Write the next version of a servable in one step, as a server sees it.

    A server polls the folder and takes every child whose name is an integer. So the
    files are written under a name that no server reads, and the folder is renamed when
    they are whole. An export that is killed leaves that folder, `.unfinished-...`,
    which is safe to delete.

    Args:
        base: The folder of the servable; made if it does not exist.
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
        # mkdtemp lets in its owner alone; a server often runs as another user.
        unfinished.chmod(stat.S_IMODE(base.stat().st_mode))
        write(unfinished)
        return _claim(unfinished, base)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _claim(unfinished: Path, base: Path) -> Path:
    """Rename to the next free integer; another export may take one meanwhile."""
    while True:
        taken = [int(p.name) for p in base.iterdir() if p.name.isdecimal()]
        version = base / str(max(taken, default=0) + 1)
        try:
            return unfinished.rename(version)
        except OSError:
            if not version.exists():
                raise
