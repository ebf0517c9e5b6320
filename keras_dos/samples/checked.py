"""A source of your own, held to the contract of `SampleSource`."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.samples.base import SampleSource
from keras_dos.samples.memory import InMemory


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
            ValueError: If the source does not yield `(x,)`.
        """
        batches = self._source.inputs(ids, batch_size)
        spec = batches.element_spec
        if not isinstance(spec, tuple) or len(spec) != 1:
            raise ValueError(
                "`inputs` of the source must yield tuples of one, (x,). "
                f"Received: element_spec={spec}."
            )
        # The rebatched dataset takes the number of batches that the source had.
        size = tf.data.experimental.assert_cardinality(-(-len(ids) // batch_size))
        return batches.rebatch(batch_size).apply(size)

    def batches(self, ids: tf.Tensor | tf.Variable) -> tf.data.Dataset:
        """Return the samples to train on; see `SampleSource.batches`.

        A pass that does not have each place once ends in an InvalidArgumentError.
        """
        z = int(ids.shape[0])
        # Number, sum and sum of squares of all places: equal for equal sets of places,
        # and hardly ever for others. Modulo 2^64, as TensorFlow counts.
        whole = z, z * (z - 1) // 2, z * (z - 1) * (2 * z - 1) // 6
        expected = np.array([n % 2**64 for n in whole], np.uint64).astype(np.int64)
        message = (
            "`batches` of the source must yield each place of an epoch once. Received: "
            f"{z} places, some of them twice or never."
        )

        def count(seen: tf.Tensor, batch: tuple[Any, Any]) -> tuple[Any, Any]:
            seen += tf.stack([tf.reduce_sum(batch[0] ** power) for power in range(3)])
            once = (seen[0] < z) | tf.reduce_all(seen == expected)
            with tf.control_dependencies([tf.debugging.Assert(once, [message])]):
                return tf.identity(seen), batch

        # A source may have batches of its own, such as one that ends with each file.
        batches = self._source.batches(ids).rebatch(self.batch_size)
        return batches.scan(tf.zeros(3, tf.int64), count)
