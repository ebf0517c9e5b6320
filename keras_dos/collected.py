"""Embeddings collected while the network trains, in place of a pass over all samples.

They come from the same network, in the same mode and on the same random augmentation as
the live f(x) that they are compared with in eqs. (8) and (10), and cost one row written
per sample. Each is up to an epoch old when neighbors are searched.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, DTypeLike, NDArray

from keras_dos.workers import Workers


class CollectedEmbeddings:
    """f(x) of each sample as of the last training step that recorded it.

    The table is a variable on the device that trains. Make it in the scope of the
    strategy: each replica then records its own samples, and `read` merges them.

    Args:
        m: Number of samples.
        d: Size of the embedding.
        dtype: float32, or float16. Defaults to float32.

    Example:
        >>> table = CollectedEmbeddings(m=3, d=2)
        >>> table.begin_epoch(0)
        >>> table.record([3, 0, 2], [[9.0, 9.0], [0.0, 1.0], [2.0, 3.0]])
        >>> embeddings = np.zeros((3, 2), np.float32)
        >>> recorded = table.read(np.array([0, 1, 2]), embeddings)
        >>> recorded.tolist(), embeddings[recorded].tolist()
        ([True, False, True], [[0.0, 1.0], [2.0, 3.0]])
    """

    def __init__(self, m: int, d: int, dtype: DTypeLike = np.float32) -> None:
        self._strategy = tf.distribute.get_strategy()
        self._workers = Workers(self._strategy)
        # The last column is 1 + the epoch that wrote a row, 0 for none; one column of
        # the same table, since a second write would cost every step. Beyond 2,048
        # epochs float16 takes neighboring ones for the same.
        self._table = tf.Variable(
            tf.zeros((m + 1, d + 1), dtype),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.NONE,
        )
        self._stamp = tf.Variable(tf.zeros((), dtype), trainable=False)

    def begin_epoch(self, epoch: int) -> None:
        """Mark what is recorded from now on as that of an epoch, from 0."""
        self._stamp.assign(min(epoch + 1.0, float(self._stamp.dtype.max)))

    def record(self, rows: ArrayLike, embedding: ArrayLike) -> None:
        """Record f(x) of a batch; part of the training step.

        Args:
            rows: The sample's id, or m for what is not to be kept, shape (b,). In one
                epoch no id may occur twice: which one stays could depend on threads.
            embedding: f(x), shape (b, d), any float dtype.
        """
        embedding = tf.cast(embedding, self._stamp.dtype)
        stamps = tf.fill((tf.shape(embedding)[0], 1), self._stamp)
        # `scatter_update` does not know variables that each replica writes for itself.
        tf.raw_ops.ResourceScatterUpdate(
            resource=self._table.handle,
            indices=rows,
            updates=tf.concat([embedding, stamps], axis=1),
        )

    def read(
        self, ids: NDArray[np.int64], embeddings: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        """Write what was recorded of some samples into an array.

        Args:
            ids: Sample ids, shape (z,).
            embeddings: Where to write, shape (z, d).

        Returns:
            Whether each was recorded, shape (z,), bool. On several replicas the latest
            epoch counts, then the first replica of the first worker.
        """
        recorded = np.empty(len(ids), bool)
        for part in self._workers.parts(len(ids)):
            rows = self._newest(ids[part])
            embeddings[part], recorded[part] = rows[:, :-1], rows[:, -1] > 0
        return recorded

    def rows(self) -> NDArray[np.floating[Any]]:
        """Return the table, each row as it was written last, shape (m, d + 1)."""
        m, columns = self._table.shape[0] - 1, self._table.shape[1]
        rows = np.empty((m, columns), self._stamp.dtype.as_numpy_dtype)
        for part in self._workers.parts(m):
            rows[part] = self._newest(np.arange(m)[part])
        return rows

    def restore(self, rows: NDArray[np.floating[Any]]) -> None:
        """Set the table to what `rows` returned."""
        last = np.zeros_like(rows[:1])  # For what is not to be kept.
        for local in self._strategy.experimental_local_results(self._table):
            local.assign(np.concatenate([rows, last]))

    def _newest(self, ids: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Return rows of the table as they are where they were written last."""
        replicas = [
            tf.gather(local, ids).numpy()
            for local in self._strategy.experimental_local_results(self._table)
        ]
        newest: NDArray[np.floating[Any]] = replicas[0]
        for replica in replicas[1:]:
            later = replica[:, -1] > newest[:, -1]
            newest[later] = replica[later]
        return self._workers.newest(newest)
