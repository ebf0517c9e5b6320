"""Export a trained model for TensorFlow Serving."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import keras


def export_servable(model: keras.Model, path: str | os.PathLike[str]) -> Path:
    """Write a model as the next version of a servable.

    The SavedModel is written beside the versions under a name that no server reads,
    and renamed when it is whole, so that a server that watches the folder never sees
    half a model. Nothing is ever overwritten.

    Args:
        model: A built model; a `DOSModel` exports the outputs "embedding" and
            "probabilities" of its signature "serving_default".
        path: The folder of the servable; its name is the model's name to a server.

    Returns:
        The folder of the new version, `path/1` for the first.

    Raises:
        OSError: If the folder cannot be written.

    Example:
        >>> import keras, tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [export_servable(model, folder).name for _ in range(2)]
        ['1', '2']
    """
    base = Path(path)
    base.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=base))
    try:
        # mkdtemp lets in its owner alone; a server often runs as another user.
        unfinished.chmod(stat.S_IMODE(base.stat().st_mode))
        model.export(unfinished, verbose=False)
        return _claim_version(unfinished, base)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _claim_version(unfinished: Path, base: Path) -> Path:
    """Rename to the next free integer; another export may take one meanwhile."""
    while True:
        taken = [int(p.name) for p in base.iterdir() if p.name.isdecimal()]
        version = base / str(max(taken, default=0) + 1)
        try:
            return unfinished.rename(version)
        except OSError:
            if not version.exists():
                raise
