"""The contract of a source, asserted within its dataset in each pass."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.samples.shared import on_cpu

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
_ENDED = (
    "`batches` of the source must yield each place of an epoch once, in each pass: a "
    "generator must begin anew, and `.take(n)` leave none out. Received: a dataset "
    "that ends before all places have come, of this number:"
)


def asserted(
    batches: tf.data.Dataset,
    ids: tf.Tensor,
    classes: NDArray[np.int64],
    batch_size: int,
) -> tf.data.Dataset:
    """Return batches to train on whose passes end in an error if they are not right.

    That is an InvalidArgumentError at a label that is not that of the sample asked for,
    a weight that is not finite, or at the end of a pass without each place once.

    Args:
        batches: What `SampleSource.batches` returns, of known rank, all but the last
            batch of `batch_size` samples.
        ids: The sample for each place of an epoch, shape (z,), int64.
        classes: The class of each sample, shape (m,).
        batch_size: Samples per batch.

    Example:
        >>> ids, y = tf.constant([1, 0], tf.int64), np.array([5, 7])
        >>> right = tf.data.Dataset.from_tensors((tf.range(2, dtype=tf.int64), (
        ...     tf.constant([10.0, 20.0]), tf.constant([7, 5]))))
        >>> len(list(asserted(right, ids, y, batch_size=2)))
        1
        >>> len(list(asserted(right, ids, y[::-1], batch_size=2)))
        Traceback (most recent call last):
        tensorflow.python...InvalidArgumentError: ...labels that are not...
    """
    z = int(ids.shape[0])
    steps = -(-z // batch_size)
    # Number, sum and sum of squares of all places: equal for equal sets of places,
    # and hardly ever for others. Modulo 2^64, as TensorFlow counts.
    whole = z, z * (z - 1) // 2, z * (z - 1) * (2 * z - 1) // 6
    expected = np.array([n % 2**64 for n in whole], np.uint64).astype(np.int64)

    class_of = on_cpu(classes)

    def check(
        before: tuple[tf.Tensor, tf.Tensor], batch: tuple[Any, Any]
    ) -> tuple[Any, Any]:
        step, seen = before[0] + 1, before[1]
        places, (_, y, *weights) = batch
        inside = tf.clip_by_value(places, 0, z - 1)
        asked = tf.gather(class_of, tf.gather(ids, inside))
        seen += tf.stack([tf.reduce_sum(places**power) for power in range(3)])
        once = (step < steps) | tf.reduce_all(seen == expected)
        once &= tf.reduce_all(places == inside)
        checks = [
            tf.debugging.Assert(once, [_PLACES, z]),
            tf.debugging.Assert(tf.reduce_all(have_classes(y, asked)), [_LABELS]),
            *(tf.debugging.Assert(_are_finite(w), [_WEIGHTS, w]) for w in weights),
        ]
        with tf.control_dependencies(checks):
            return (step, tf.identity(seen)), batch

    start = tf.zeros([], tf.int64), tf.zeros(3, tf.int64)
    return _to_the_end(batches.scan(start, check), steps, z)


def _to_the_end(batches: tf.data.Dataset, steps: int, z: int) -> tf.data.Dataset:
    """Return the first batches, or an error where there are fewer."""

    def end(i: tf.Tensor) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(i < 0, [_ENDED, z])]):
            return tf.nest.map_structure(_like, batches.element_spec)

    # Again and again: of several replicas each asks, and `fit` may raise any answer.
    ended = tf.data.Dataset.counter().map(end)
    return batches.concatenate(ended).take(steps)


def _like(spec: tf.TensorSpec) -> tf.Tensor:
    """Return a tensor that fits a spec, of nothing where that leaves it open."""
    return tf.zeros([n or 0 for n in spec.shape], spec.dtype)


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


def _are_finite(weights: Any) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(tf.cast(weights, tf.float32)))
