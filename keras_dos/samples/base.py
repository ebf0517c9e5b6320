"""The contract of a source of samples."""

from typing import Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


@runtime_checkable
class SampleSource(Protocol):
    """Where samples come from, by ids 0..m−1 that stay through a training.

    A neighbor belongs to one very sample, so a sample needs an id that stays. How the
    pixels of an id are obtained is the source's own affair: from memory, or from files
    in each epoch. Any object with these four members will do; `fit` takes it as `x`.

    Attributes:
        classes: y, the class of each sample, shape (m,), int64.
        batch_size: Samples per training step.

    Example:
        A source that squares its ids:

        >>> class Squares:
        ...     classes = np.array([0, 0, 1])
        ...     batch_size = 2
        ...     def inputs(self, ids, batch_size):
        ...         return tf.data.Dataset.from_tensor_slices(ids).batch(
        ...             batch_size).map(lambda i: (i**2,))
        ...     def batches(self, ids):
        ...         places = tf.data.Dataset.range(ids.shape[0]).batch(2)
        ...         def rows(place):
        ...             i = tf.gather(ids, place)
        ...             return place, (i**2, tf.gather(self.classes, i))
        ...         return places.map(rows)
        >>> isinstance(Squares(), SampleSource)
        True
        >>> place, (x, y) = next(iter(Squares().batches(tf.constant([2, 1, 0]))))
        >>> place.numpy().tolist(), x.numpy().tolist(), y.numpy().tolist()
        ([0, 1], [4, 1], [1, 0])
    """

    classes: NDArray[np.int64]
    batch_size: int

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return inputs as inference sees them, to be embedded.

        Args:
            ids: Samples, ascending, shape (z,), int64.
            batch_size: Samples per batch.

        Returns:
            A dataset of batches `(x,)` in the order of the ids.
        """
        ...

    def batches(self, ids: tf.Tensor | tf.Variable) -> tf.data.Dataset:
        """Return the samples to train on, as they are asked for at each pass.

        Args:
            ids: One sample for each place of an epoch, shape (z,), int64: a variable
                of constant size whose values change between passes.

        Returns:
            A dataset of batches `(places, (x, y))` or
            `(places, (x, y, sample_weight))`. `places` says which entries of `ids`
            these rows are for; each place comes once in a pass. A source that has any
            sample at hand keeps the order of the places; one that streams may not.
        """
        ...
