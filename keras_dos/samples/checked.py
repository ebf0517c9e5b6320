"""A source of your own, held to the contract of `SampleSource`."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.samples.base import SampleSource
from keras_dos.samples.memory import InMemory

_LABELS = (
    "`batches` of the source must yield the samples that `ids` asks for. Read `ids` "
    "inside `map`, since it changes from epoch to epoch. Received: labels that are not "
    "the `classes` of these samples."
)
_WEIGHTS = (
    "`batches` of the source must yield finite sample weights. Received: NaN or "
    "infinity among:"
)
_PLACES = (
    "`batches` of the source must yield each place of an epoch once. Received: some of "
    "them twice or never, of this number of places:"
)


def checked(source: Any) -> SampleSource:
    """Return a source that is as good as `InMemory`, or refuses to be used.

    Args:
        source: A `SampleSource`.

    Raises:
        TypeError: If it is not an object with the members of a `SampleSource`, or its
            batch size is not an integer.
        ValueError: If its classes are not an array of integers, or its batch size is
            below 1.

    Example:
        >>> source = InMemory(np.zeros((3, 2)), [0, 1, 1])
        >>> checked(source) is source
        True
    """
    if isinstance(source, InMemory | CheckedSource):
        return source
    return CheckedSource(source)


class CheckedSource:
    """Passes a source on, in batches of its batch size and each place once.

    Args:
        source: A `SampleSource`.

    Raises:
        TypeError: As `checked`.
        ValueError: As `checked`.
    """

    def __init__(self, source: Any) -> None:
        if not isinstance(source, SampleSource) or isinstance(source, type):
            raise TypeError(
                "`source` must be an object with the members of a SampleSource: "
                "`classes`, `batch_size`, `inputs` and `batches`. "
                f"Received: {source!r}."
            )
        self._source = source
        self.batch_size = _checks.integer("batch_size", source.batch_size, minimum=1)
        classes: Any = source.classes
        integers = isinstance(classes, np.ndarray) and classes.dtype.kind in "iu"
        if not integers or classes.ndim != 1 or not len(classes):
            raise ValueError(
                "`classes` of a source must be a NumPy array of integers, the class of "
                "each sample, shape (m,). "
                f"Received: {type(classes).__name__} of shape {np.shape(classes)}."
            )
        self.classes = classes

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return inputs to be embedded; see `SampleSource.inputs`.

        Raises:
            ValueError: If the source does not yield `(ids, x)`.
        """
        batches = self._source.inputs(ids, batch_size)
        spec = batches.element_spec
        if (
            not isinstance(spec, tuple)
            or len(spec) != 2
            or getattr(spec[0], "dtype", None) != tf.int64
        ):
            raise ValueError(
                "`inputs` of the source must yield pairs (ids, x), ids int64. "
                f"Received: element_spec={spec}."
            )
        return batches.rebatch(batch_size)

    def batches(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.data.Dataset:
        """Return the samples to train on; see `SampleSource.batches`.

        A pass ends in an InvalidArgumentError if it has a label that is not that of the
        sample asked for, a weight that is not finite, or not each place once.

        Raises:
            ValueError: If the source does not yield places and rows of known rank.
        """
        batches = self._source.batches(ids, seeds)
        _check_spec(batches.element_spec)
        z = int(ids.shape[0])
        # Number, sum and sum of squares of all places: equal for equal sets of places,
        # and hardly ever for others. Modulo 2^64, as TensorFlow counts.
        whole = z, z * (z - 1) // 2, z * (z - 1) * (2 * z - 1) // 6
        expected = np.array([n % 2**64 for n in whole], np.uint64).astype(np.int64)

        def check(seen: tf.Tensor, batch: tuple[Any, Any]) -> tuple[Any, Any]:
            places, (_, y, *weights) = batch
            asked = tf.gather(self.classes, tf.gather(ids, places))
            seen += tf.stack([tf.reduce_sum(places**power) for power in range(3)])
            once = (seen[0] < z) | tf.reduce_all(seen == expected)
            checks = [
                tf.debugging.Assert(tf.reduce_all(have_classes(y, asked)), [_LABELS]),
                tf.debugging.Assert(once, [_PLACES, z]),
                *(tf.debugging.Assert(_are_finite(w), [_WEIGHTS, w]) for w in weights),
            ]
            with tf.control_dependencies(checks):
                return tf.identity(seen), batch

        # A source may have batches of its own, such as one that ends with each file.
        return batches.rebatch(self.batch_size).scan(tf.zeros(3, tf.int64), check)


def _are_finite(weights: Any) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(tf.cast(weights, tf.float32)))


def _check_spec(spec: Any) -> None:
    pair = isinstance(spec, tuple) and len(spec) == 2
    row = spec[1] if pair else None
    if (
        not isinstance(row, tuple)
        or len(row) not in (2, 3)
        or getattr(spec[0], "dtype", None) != tf.int64
        or any(leaf.shape.rank is None for leaf in tf.nest.flatten(spec))
    ):
        raise ValueError(
            "`batches` of the source must yield (places, (x, y)) or (places, (x, y, "
            "sample_weight)), places int64 and all of known rank (tf.ensure_shape). "
            f"Received: element_spec={spec}."
        )


def have_classes(y: Any, classes: tf.Tensor) -> tf.Tensor:
    """Return whether labels are those of classes, without any smoothing.

    Args:
        y: Labels of known rank, shape (b,), (b, 1) or one-hot (b, n).
        classes: Shape (b,), int64.

    Returns:
        Shape (b,), bool.

    Example:
        >>> have_classes(tf.constant([[0.0, 1.0], [0.9, 0.1]]), [1, 0]).numpy().tolist()
        [True, False]
    """
    if y.shape.rank == 2 and y.shape[1] != 1:
        one_hot = tf.one_hot(classes, tf.shape(y)[1], dtype=tf.float32)
        return tf.reduce_all(tf.cast(y, tf.float32) == one_hot, axis=1)
    return tf.cast(tf.reshape(y, [-1]), tf.float64) == tf.cast(classes, tf.float64)
