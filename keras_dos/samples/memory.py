"""Samples held in memory."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks, advice
from keras_dos.labels import labels_of, sparse_labels
from keras_dos.samples.arrays import (
    check_weights,
    finite_rows,
    gather_rows,
    read_arrays,
    row_hashes,
)
from keras_dos.samples.dataset import read_dataset


class InMemory:
    """Arrays, or one pass over a dataset, as a source of samples.

    A dataset that shuffles or augments yields different rows in a different order in
    each pass, so ids taken in one pass would be wrong in the next. Hence one pass,
    whose rows are kept.

    Args:
        x: Inputs, any nested structure of arrays or tensors with first axis m; or a
            finite and batched tf.data.Dataset of (x, y) or (x, y, sample_weight).
        y: Labels of the arrays: integers (m,) or (m, 1), or one-hot (m, n).
        sample_weight: Weights of the arrays, shape (m,) or (m, 1). Defaults to None.
        batch_size: Samples per step for arrays; a dataset has its own. Defaults to
            None, which is 32.
        n_classes: Number of classes n of the head. Defaults to None: not checked.

    Attributes:
        classes: The class of each sample, shape (m,), int64.
        batch_size: Samples per step.

    Raises:
        TypeError: If the data cannot be read in one pass, or an argument is of the
            wrong type.
        ValueError: If the data is endless, empty, not batched or badly labeled, if a
            weight is not finite, if a dataset takes more than half of the free memory,
            or if `y`, `sample_weight` or `batch_size` is given with a dataset.

    Example:
        >>> source = InMemory(np.arange(6.0), np.array([0, 0, 1, 1, 1, 1]))
        >>> source.classes.tolist(), source.batch_size
        ([0, 0, 1, 1, 1, 1], 32)
        >>> ids, seeds = tf.constant([5, 0]), tf.zeros(2, tf.int64)
        >>> _, (x, y) = next(iter(source.batches(ids, seeds)))
        >>> x.numpy().tolist(), y.numpy().tolist()
        ([5.0, 0.0], [1, 0])
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        n_classes: int | None = None,
    ) -> None:
        if isinstance(x, tf.data.Dataset):
            _refuse_beside_a_dataset(
                y=y, sample_weight=sample_weight, batch_size=batch_size
            )
            self._rows, self.batch_size = read_dataset(x)
        else:
            given = 32 if batch_size is None else batch_size
            self.batch_size = _checks.integer("batch_size", given, minimum=1)
            self._rows = read_arrays(x, y, sample_weight)
        x, labels, *weights = self._rows
        self.classes = _classes(labels, n_classes)
        self._rows = (x, labels, *map(_one_per_sample, weights))

    def not_finite(self) -> NDArray[np.int64]:
        """Return the ids of samples whose x has a NaN or an infinity, shape (z,)."""
        return np.flatnonzero(~finite_rows(self._rows[0]))

    def share_of_copies(self) -> float:
        """Return the fraction of samples whose x occurs more than once."""
        _, which, times = np.unique(
            row_hashes(self._rows[0]), return_inverse=True, return_counts=True
        )
        return float(np.mean(times[which] > 1))

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return inputs to be embedded; see `SampleSource.inputs`."""
        rows = tf.data.Dataset.from_tensor_slices(ids).batch(batch_size)
        inputs = rows.map(lambda i: (i, gather_rows(self._rows[0], i)))
        return inputs.prefetch(tf.data.AUTOTUNE)

    def batches(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.data.Dataset:
        """Return the samples to train on, in order; see `SampleSource.batches`."""
        places = tf.data.Dataset.range(ids.shape[0]).batch(self.batch_size)
        return places.map(
            lambda place: (place, gather_rows(self._rows, tf.gather(ids, place))),
            num_parallel_calls=tf.data.AUTOTUNE,
        )


def _classes(y: ArrayLike, n_classes: int | None) -> NDArray[np.int64]:
    with labels_of("y"):
        return sparse_labels(np.asarray(y), n_classes)


def _one_per_sample(weight: tf.Tensor) -> tf.Tensor:
    """Return sample weights of shape (m,) or (m, 1), as Keras takes them, as (m,)."""
    check_weights("sample_weight", weight)
    finite = finite_rows(weight)
    if not finite.all():
        raise ValueError(
            "`sample_weight` must be finite. "
            f"Received: {np.sum(~finite)} NaN or infinite weights, such as that of "
            f"sample {np.argmin(finite)}."
        )
    weight = tf.reshape(weight, [-1])
    advice.of_weights_of_zero(np.flatnonzero(weight.numpy() == 0))
    with tf.device("CPU:0"):
        return tf.identity(weight)


def _refuse_beside_a_dataset(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            shown = value if isinstance(value, int) else type(value).__name__
            raise ValueError(
                f"`{name}` must be left out with a dataset, which has its own. "
                f"Received: x=a tf.data.Dataset, {name}={shown}."
            )
