"""The contract of a source of samples."""

from typing import Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


@runtime_checkable
class SampleSource(Protocol):
    """A source of samples, whose ids 0..m−1 stay the same throughout a training.

    A neighbor belongs to one particular sample, so each sample needs a fixed id. Where
    the source gets the data of an id is up to it: from memory, or from files in each
    epoch. Any object with these four members will do; pass it to `fit` as `x`.

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
        ...             batch_size).map(lambda i: (i, i**2))
        ...     def batches(self, ids, seeds):
        ...         places = tf.data.Dataset.range(ids.shape[0]).batch(2)
        ...         def rows(place):
        ...             i = tf.gather(ids, place)
        ...             return place, (i**2, tf.gather(self.classes, i))
        ...         return places.map(rows)
        >>> isinstance(Squares(), SampleSource)
        True
        >>> ids, seeds = tf.constant([2, 1, 0]), tf.zeros(3, tf.int64)
        >>> place, (x, y) = next(iter(Squares().batches(ids, seeds)))
        >>> place.numpy().tolist(), x.numpy().tolist(), y.numpy().tolist()
        ([0, 1], [4, 1], [1, 0])
    """

    classes: NDArray[np.int64]
    batch_size: int

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return the inputs to embed, as in inference.

        Args:
            ids: Samples, ascending, shape (z,), int64.
            batch_size: Samples per batch.

        Returns:
            A dataset of batches `(ids, x)`, in any order, each id once.
        """
        ...

    def batches(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.data.Dataset:
        """Return the samples to train on, as requested for each pass.

        Args:
            ids: The sample for each place of an epoch, shape (z,), int64: a tensor of
                constant size whose values change between passes, so read it inside
                `map`.
            seeds: A number for each place, shape (z,), int64, at least 0, that follows
                from the seed and the epoch: random augmentation that derives from it is
                new in each epoch and the same in a resumed training. They change too.

        Returns:
            A dataset of batches `(places, (x, y))` or
            `(places, (x, y, sample_weight))`. `places` has the positions in `ids` that
            the rows are for; each place occurs once in a pass. A source with random
            access keeps the order of the places; a streaming one may not.
        """
        ...
