"""Quadruplets (x, y, N(x), w): by id, and as the batches that `fit` trains on."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.samples.base import SampleSource
from keras_dos.samples.shared import as_tensor, reader, shared_zeros
from keras_dos.workers import Workers


def are_quadruplets(data: Any) -> bool:
    """Return whether the data of a step are a batch of `QuadrupletBatches`.

    Example:
        >>> are_quadruplets((np.zeros((2, 3)), np.array([0, 1])))
        False
    """
    x = data[0] if isinstance(data, tuple) else data
    return isinstance(x, dict) and {"x", "neighbors", "weights"} <= set(x)


@dataclass(frozen=True)
class Quadruplets:
    """The weighted training set Z' of eq. (7), by id.

    Attributes:
        samples: Id i of x_i and y_i, shape (z,), int64.
        neighbors: Rows of `table`, the neighbors in N(x_i), shape (z, k), int32.
        weights: w on the simplex over f(x_i) and its neighbors, shape (z, k + 1),
            float32. A weight of 0 marks a slot that does not exist.
        table: Embeddings of the samples in overloaded classes, shape (rows, d), float32
            or float16.
    """

    samples: NDArray[np.int64]
    neighbors: NDArray[np.int32]
    weights: NDArray[np.float32]
    table: NDArray[np.floating[Any]]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def k(self) -> int:
        """Neighbors of each sample."""
        return int(self.neighbors.shape[1])

    def padded(self, k: int) -> "Quadruplets":
        """Return the quadruplets with k slots for neighbors; new ones do not exist."""
        if self.k == k:
            return self
        slots = (0, 0), (0, k - self.k)
        return dataclasses.replace(
            self,
            neighbors=np.pad(self.neighbors, slots),
            weights=np.pad(self.weights, slots),
        )

    def ordered(self, order: NDArray[np.int64] | slice) -> "Quadruplets":
        """Return the quadruplets in another order, or some, over the same table."""
        return Quadruplets(
            self.samples[order], self.neighbors[order], self.weights[order], self.table
        )


class QuadrupletBatches:
    """Batches of quadruplets, read from memory that `assign` writes.

    `fit` makes a new iterator over the dataset in each epoch, so an epoch sees what was
    assigned before it. The number of batches never changes.

    Args:
        source: The samples.
        n_quadruplets: The size of Z'.
        k: Neighbors of each quadruplet.
        table: The memory for tables of embeddings, from `shared_zeros`, with as many
            rows as the largest of them, at least 1, and d columns.
        recorded: Whether quadruplets have "rows" too, where the step that trains on
            them records f(x): the id of a sample, but m unless it comes last in the
            epoch. Defaults to False.

    Attributes:
        weighted: Whether samples have weights.

    Example:
        >>> from keras_dos.samples import InMemory
        >>> source = InMemory(np.array([10, 20]), np.array([0, 0]))
        >>> batches = QuadrupletBatches(
        ...     source, n_quadruplets=2, k=1, table=shared_zeros((2, 1), np.float32))
        >>> batches.assign(Quadruplets(
        ...     samples=np.array([1, 0]), neighbors=np.array([[0], [1]]),
        ...     weights=np.array([[0.8, 0.2], [0.5, 0.5]], np.float32),
        ...     table=np.array([[0.1], [0.2]], np.float32)), seeds=np.zeros(2))
        >>> quadruplets, y = next(iter(batches.dataset()))
        >>> quadruplets["x"].numpy().tolist(), quadruplets["weights"].shape
        ([20, 10], TensorShape([2, 2]))
    """

    def __init__(
        self,
        source: SampleSource,
        n_quadruplets: int,
        k: int,
        table: NDArray[np.floating[Any]],
        recorded: bool = False,
    ) -> None:
        self._source = source
        self._recorded = recorded
        self._workers = Workers(tf.distribute.get_strategy())
        places = self._workers.places(n_quadruplets, source.batch_size)
        size = len(places)
        # All, which costs no copy, unless there are several machines.
        self._own = places if self._workers.count > 1 else slice(size)
        self._samples = shared_zeros((size,), np.int64)
        # Any samples, in a number that a source can serve before the first epoch.
        self._samples[:] = np.arange(size) % len(source.classes)
        self._seeds = shared_zeros((size,), np.int64)
        self._rows = shared_zeros((size,), np.int64)
        self._neighbors = shared_zeros((size, k), np.int32)
        self._weights = shared_zeros((size, k + 1), np.float32)
        # Keras may take a batch before the first epoch: the first row is there.
        self._table = table
        self._rows_by_place = source.batches(
            as_tensor(self._samples), as_tensor(self._seeds)
        )
        self.weighted = len(self._rows_by_place.element_spec[1]) > 2

    def assign(self, quadruplets: Quadruplets, seeds: NDArray[np.int64]) -> None:
        """Set the quadruplets, in the order in which the next epoch trains on them.

        Args:
            quadruplets: Those of fewer than k neighbors get slots that do not exist.
                Without a table they are over that of the last ones that had one.
            seeds: A number for each of them, for augmentation, shape (z,), int64.
        """
        if self._recorded:
            rows = last_occurrences(quadruplets.samples, len(self._source.classes))
            self._rows[:] = rows[self._own]
        own = quadruplets.padded(self._neighbors.shape[1]).ordered(self._own)
        self._samples[:] = own.samples
        self._seeds[:] = seeds[self._own]
        self._neighbors[:] = own.neighbors
        self._weights[:] = own.weights
        if not np.may_share_memory(own.table, self._table):
            self._table[: len(own.table)] = own.table

    def dataset(self) -> tf.data.Dataset:
        """Return the dataset of ({"x", "neighbors", "weights"}, y[, sample_weight])."""
        batch_size = self._source.batch_size // self._workers.count
        rows = self._rows_by_place
        if self._workers.count > 1:
            rows = rows.rebatch(batch_size)
        batches = rows.map(self._join(), num_parallel_calls=2)
        steps = -(-self._samples.shape[0] // batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return batches.with_options(options).prefetch(2)

    def _join(self) -> Callable[[tf.Tensor, tuple[Any, ...]], tuple[Any, ...]]:
        """Return a function that joins samples with their neighbors and w, by place."""
        table, neighbors, weights, rows = map(
            reader, (self._table, self._neighbors, self._weights, self._rows)
        )

        def join(places: tf.Tensor, row: tuple[Any, ...]) -> tuple[Any, ...]:
            x, *others = row
            quadruplets = {
                "x": x,
                "neighbors": tf.cast(table(neighbors(places)), tf.float32),
                "weights": weights(places),
            }
            if self._recorded:
                quadruplets["rows"] = rows(places)
            return quadruplets, *others

        return join


def last_occurrences(samples: NDArray[np.int64], m: int) -> NDArray[np.int64]:
    """Return sample ids, with m in the place of those that come again later.

    Args:
        samples: Sample ids in the order of an epoch, shape (z,).
        m: Number of samples.

    Returns:
        Shape (z,), int64.

    Example:
        >>> last_occurrences(np.array([2, 0, 2]), m=3).tolist()
        [3, 0, 2]
    """
    rows = np.full(len(samples), m)
    ids, places_from_the_end = np.unique(samples[::-1], return_index=True)
    rows[len(samples) - 1 - places_from_the_end] = ids
    return rows
