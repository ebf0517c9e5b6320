"""The tf.data pipeline of quadruplets (x, y, N(x), w) that each round renews."""

from typing import Any

import tensorflow as tf

from keras_dos.overloading import Quadruplets
from keras_dos.training_data import TrainingData, gather


class QuadrupletPipeline:
    """Batches of quadruplets, read through variables that `assign` sets.

    `fit` takes a new iterator of the one dataset at each epoch, so what is assigned
    before an epoch is what the epoch sees. The number of batches never changes.

    Args:
        data: The training set.
        n_quadruplets: The size of Z'.
        d: Size of the embedding.
    """

    def __init__(self, data: TrainingData, n_quadruplets: int, d: int) -> None:
        self._data = data
        self._n_quadruplets = n_quadruplets
        # On the CPU, where tf.data reads them, whatever device trains the model.
        with tf.device("CPU:0"):
            self._samples = _variable(tf.int64, [None], n_quadruplets)
            self._neighbors = _variable(tf.int64, [None, None], n_quadruplets, 0)
            self._weights = _variable(tf.float32, [None, None], n_quadruplets, 1)
            self._table = _variable(tf.float32, [None, d], 0, d)

    def assign(self, quadruplets: Quadruplets) -> None:
        """Set the quadruplets, in the order in which the next epoch trains on them."""
        self._samples.assign(quadruplets.samples)
        self._neighbors.assign(quadruplets.neighbors)
        self._weights.assign(quadruplets.weights)
        self._table.assign(quadruplets.table)

    def dataset(self) -> tf.data.Dataset:
        """Return the dataset of ({"x", "neighbors", "weights"}, y[, sample_weight])."""
        batch_size = self._data.batch_size
        places = tf.data.Dataset.range(self._n_quadruplets).batch(batch_size)
        batches = places.map(self._batch, num_parallel_calls=tf.data.AUTOTUNE)
        steps = -(-self._n_quadruplets // batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return batches.with_options(options).prefetch(tf.data.AUTOTUNE)

    def _batch(self, places: tf.Tensor) -> tuple[Any, ...]:
        ids = tf.gather(self._samples, places)
        inputs = {
            "x": gather(self._data.x, ids),
            "neighbors": tf.gather(self._table, tf.gather(self._neighbors, places)),
            "weights": tf.gather(self._weights, places),
        }
        y = tf.gather(self._data.y, ids)
        if self._data.sample_weight is None:
            return inputs, y
        return inputs, y, tf.gather(self._data.sample_weight, ids)


def _variable(dtype: tf.DType, shape: list[int | None], *size: int) -> tf.Variable:
    """Return a variable of zeros whose shape may change where `shape` says None."""
    return tf.Variable(tf.zeros(size, dtype), trainable=False, shape=shape)
