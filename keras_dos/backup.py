"""A backup from which a killed training goes on as if it had not been killed."""

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from keras_dos import _checks, _keras
from keras_dos.description import Description, described, differences
from keras_dos.disk import check_path, put
from keras_dos.rounds import Rounds
from keras_dos.workers import Workers

__all__ = ["BackupAndRestore"]

State = dict[str, NDArray[Any]]


class BackupAndRestore(keras.callbacks.Callback):
    """A `keras.callbacks.BackupAndRestore` for trainings with `OverloadingCallback`.

    Run the same program again after it was killed, at any moment: `fit` goes on where
    the last backup was made, and on CPUs ends with the weights, bit for bit, of a
    training that was not interrupted. For that a backup also holds the place within
    the epoch, the states of random layers such as Dropout, and what the round trains
    on: the stored embeddings, the neighbors and w. It replaces the last one only when
    it is complete.

    Within an epoch, `fit` passes over the steps that were taken before: their data is
    read but not trained on, other callbacks see empty logs for them, and the logs of
    this epoch cover the steps after them. Other callbacks keep their own state
    (the patience of `EarlyStopping`) only as far as they save it. What no seed reaches
    is not repeated: layers that draw from `keras.random` without a `SeedGenerator`,
    random operations in a `Stream`'s own dataset, approximate neighbor search in
    classes of more than 20,000 samples.

    A backup of other labels or other settings, of the callback or of `compile`, is
    refused: its training would be neither of the two. The `epochs` of `fit` and the
    search may change. A learning rate that is a number goes on as the backup has it.

    Args:
        backup_dir: A local folder for the backup, of this training alone. On several
            machines all workers must see it; the first one writes.
        save_freq: "epoch" for a backup at the end of each epoch, or a number of steps
            for further ones within epochs, each time at the end of `train_step` calls
            that `steps_per_execution` puts together. A backup is as large as the
            weights, the optimizer's variables and two tables of embeddings, one row per
            sample. Defaults to "epoch".
        delete_checkpoint: Whether to delete the backup when the training ends. Defaults
            to True.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range.

    Example:
        >>> import tempfile
        >>> from keras_dos import DOSModel, OverloadingCallback
        >>> inputs = keras.Input((1,))
        >>> e = keras.layers.Dense(2)(inputs)
        >>> p = keras.layers.Dense(2, activation="softmax")(e)
        >>> model = DOSModel(inputs, {"embedding": e, "probabilities": p})
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> x, y = np.arange(8.0)[:, None], np.arange(8) // 6
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = BackupAndRestore(folder, delete_checkpoint=False)
        ...     history = model.fit(x, y, epochs=3, verbose=0,
        ...                         callbacks=[OverloadingCallback(k=1), backup])
        ...     history = model.fit(x, y, epochs=4, verbose=0,
        ...                         callbacks=[OverloadingCallback(k=1), backup])
        >>> history.epoch
        [3]
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | Literal["epoch"] = "epoch",
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        check_path("backup_dir", backup_dir)
        if save_freq != "epoch":
            _checks.integer("save_freq", save_freq, minimum=1)
        _checks.boolean("delete_checkpoint", delete_checkpoint)
        self.backup_dir = backup_dir
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self._epoch = 0
        self._passed = 0  # Steps of the first epoch that were taken before.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Go on from the backup, if there is one.

        Raises:
            TypeError: If there is no `OverloadingCallback` in this training.
            ValueError: If the backup is of another training, or no backup.
        """
        if getattr(self.model, "rounds", None) is None:
            raise TypeError(
                "keras_dos.BackupAndRestore needs an OverloadingCallback among the "
                "callbacks of a DOSModel's `fit`: use "
                "keras.callbacks.BackupAndRestore for other trainings. "
                f"Received: a {type(self.model).__name__} without one."
            )
        self._passed = 0
        # Now, since callbacks may change the settings of an optimizer.
        self._described: Description = {
            **self.model.rounds.described(),
            **described("loss", self.model.loss),
            **described("optimizer", self.model.optimizer),
        }
        self._workers = Workers(self.model.distribute_strategy)
        if self._path.exists():
            self._restore(_read(self._path))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch
        _keras.set_initial_epoch(self.model, None)  # Or the next `fit` had it too.

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Pass over the steps of the first epoch that were taken before."""
        if batch == 0 and self._passed:
            _pass_over(self.model, self._passed)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Write a backup after every `save_freq` steps of an epoch."""
        if self.save_freq == "epoch":
            return
        before = batch + 1 - self.model.steps_per_execution
        due = (batch + 1) // self.save_freq > before // self.save_freq
        # The end of the epoch, which follows, has one too.
        if due and self._passed <= before and batch + 1 < self.params["steps"]:
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write a backup."""
        self._passed = 0
        self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Delete the backup, unless it is to be kept."""
        if self.delete_checkpoint and self._workers.index == 0:
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return Path(self.backup_dir) / "backup.npz"

    def _save(self, epoch: int, step: int) -> None:
        # All workers, since they gather what each of them has.
        state = {**self.model.rounds.state(), "place": np.array([epoch, step])}
        state["described"] = np.array(json.dumps(self._described))
        if self.model.training_prior is not None:
            state["training_prior"] = self.model.training_prior
        for i, replicas in enumerate(self._variables()):
            first, *others = map(_as_numpy, replicas)
            state[f"variable_{i}"] = first
            for j, value in enumerate(others, start=1):
                if not np.array_equal(value, first):
                    state[f"variable_{i}_{j}"] = value
        if self._workers.index == 0:
            _write(self._path, state)

    def _restore(self, state: State) -> None:
        rounds: Rounds = self.model.rounds
        variables = self._variables()
        names = [name for name in state if re.fullmatch(r"variable_\d+", name)]
        kept = [state[f"variable_{i}"] for i in range(len(names))]
        different = differences(json.loads(str(state["described"])), self._described)
        shapes = [tuple(replicas[0].shape) for replicas in variables]
        if not different and [value.shape for value in kept] != shapes:
            numbers = f"{len(kept)} there and {len(shapes)} here"
            different = f"variables of other shapes, {numbers}"
        if different:
            raise ValueError(
                "`backup_dir` must hold a backup of this training: go on with the same "
                "model, optimizer, data and settings, or delete the folder. Received: "
                f"backup_dir={os.fspath(self.backup_dir)!r}, with {different}."
            )
        epoch, self._passed = state["place"].tolist()
        at_once = self.model.steps_per_execution
        if self._passed % at_once:
            raise ValueError(
                "`steps_per_execution` must divide the steps of the epoch that were "
                "taken before: compile with that of the training that was killed. "
                f"Received: steps_per_execution={at_once}, {self._passed} steps taken."
            )
        rounds.restore(state, begun=epoch if self._passed else None)
        for i, replicas in enumerate(variables):
            for j, variable in enumerate(replicas):
                value = state.get(f"variable_{i}_{j}", kept[i])
                variable.assign(tf.cast(value, variable.dtype))
        self.model.training_prior = state.get("training_prior")
        _keras.set_initial_epoch(self.model, epoch)

    def _variables(self) -> list[tuple[tf.Variable, ...]]:
        """Return all that a training step changes, but for the sums of metrics.

        Each variable comes as those of the replicas, which may differ: each has its own
        moving averages of BatchNormalization.
        """
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        # `variables` of a model include the states of random layers.
        return [
            model.distribute_strategy.experimental_local_results(variable.value)
            for variable in [*model.variables, *model.optimizer.variables]
        ]


def _as_numpy(variable: tf.Variable) -> NDArray[Any]:
    value: NDArray[Any] = ops.convert_to_numpy(variable)
    # NumPy cannot read its own file of a type that it does not know, such as bfloat16.
    return value if value.dtype.isbuiltin else value.astype(np.float32)


def _pass_over(model: keras.Model, steps: int) -> None:
    """Let the first steps of the epoch that begins read their data and do no more."""
    train_function, left = model.train_function, steps

    def pass_over(iterator: Any) -> dict[str, Any]:
        nonlocal left
        for _ in range(model.steps_per_execution):
            next(iterator)
            left -= 1
        if left <= 0:
            model.train_function = train_function
        return {}

    model.train_function = pass_over


def _write(path: Path, state: State) -> None:
    """Write a backup in place of the one before; at no moment is there none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, **state)  # type: ignore[arg-type]
    put(unfinished, lambda file: file.replace(path))


def _read(path: Path) -> State:
    try:
        with np.load(path) as arrays:
            state = {name: arrays[name] for name in arrays.files}
        json.loads(str(state["described"]))  # Those of another program have none.
        return state
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            "`backup_dir` must hold a backup that BackupAndRestore wrote: delete the "
            f"folder to start anew. Received: {path} that cannot be read."
        ) from error
