"""Several machines: which samples a worker trains on, and what workers tell each other.

Under `tf.distribute.MultiWorkerMirroredStrategy` each machine runs the same program.
All draw the same quadruplets from the same seed; each reads, trains on and embeds its
part of them.
"""

import zlib
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

PART = 2**14
"""Rows that are read or exchanged at a time, so that no second table is in memory."""
# TensorFlow cannot send 2 GiB at once, and takes several times what it sends.
_PART_BYTES = 2**26

_SAME = {
    "epoch": "begin the same epoch. After a failure let all resume from one backup",
    "data": "have the same data in the same order, and a callback with the same k, r, "
    "table_dtype and seed: on each worker pass all data to `fit`, not a shard, since "
    "each trains on its part of each batch anyway",
}


class Workers:
    """The workers of a strategy; one, unless there are several machines.

    Args:
        strategy: Any strategy.

    Attributes:
        count: Number of workers.
        index: The number of this one, from 0.

    Example:
        >>> workers = Workers(tf.distribute.get_strategy())
        >>> workers.count, workers.index, workers.gathered(np.array([1, 2])).tolist()
        (1, 0, [1, 2])
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self._strategy = strategy
        self._gathers: dict[Any, Any] = {}  # By dtype and shape of a row.
        self.count, self.index = 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            tasks = resolver.cluster_spec().as_dict()
            chiefs = len(tasks.get("chief", ()))
            self.count = max(1, chiefs + len(tasks.get("worker", ())))
            after = chiefs if resolver.task_type == "worker" else 0
            self.index = (resolver.task_id or 0) + after

    def places(self, z: int, batch_size: int) -> NDArray[np.int64]:
        """Return the places of an epoch that this worker trains on.

        Each batch is split among the workers in order. What does not fill the last
        batches of all replicas equally is left out, fewer samples than replicas:
        TensorFlow would count unequal parts the same, and fails on empty ones.

        Args:
            z: Places of the epoch.
            batch_size: Samples per step of all workers.

        Raises:
            ValueError: If workers or replicas cannot share a batch, there is not even
                one sample for each replica, or workers have several GPUs.

        Example:
            >>> Workers(tf.distribute.get_strategy()).places(3, batch_size=2).tolist()
            [0, 1, 2]
        """
        replicas = self._strategy.num_replicas_in_sync
        if z < replicas:
            raise ValueError(
                f"An epoch must have a sample for each of {replicas} replicas. "
                f"Received: {z} quadruplets."
            )
        if self.count == 1 and z >= batch_size and batch_size % replicas:
            raise ValueError(
                f"The batch size must be a multiple of the {replicas} replicas, which "
                f"TensorFlow counts the same. Received: batch_size={batch_size}."
            )
        places = np.arange(z - z % batch_size % replicas)
        if self.count == 1:
            return places
        if replicas != self.count:
            raise ValueError(
                "Each worker must have one GPU: start as many workers on a machine as "
                "it has GPUs, each with its own CUDA_VISIBLE_DEVICES. "
                f"Received: {replicas} GPUs of {self.count} workers."
            )
        if batch_size % self.count:
            raise ValueError(
                f"The batch size must be a multiple of the {self.count} workers. "
                f"Received: batch_size={batch_size}."
            )
        batches = np.split(places, np.arange(batch_size, len(places), batch_size))
        own = [np.split(batch, self.count)[self.index] for batch in batches]
        return np.concatenate(own)

    def check_same(self, name: str, value: int) -> None:
        """Raise in all workers unless they have the same value.

        Args:
            name: "epoch", or "data" for a checksum of them.
            value: That of this worker.

        Raises:
            RuntimeError: If they do not.
        """
        values = self.gathered(np.array([value]))
        if (values != value).any():
            raise RuntimeError(
                f"All workers must {_SAME[name]}. Received: {name} {values.tolist()}, "
                "by worker."
            )

    def check_same_data(self, *parts: ArrayLike) -> None:
        """Raise in all workers unless they have the same integers.

        Raises:
            RuntimeError: If they do not.
        """
        arrays = [np.asarray(part, np.int64).reshape(-1) for part in parts]
        self.check_same("data", zlib.crc32(np.concatenate(arrays).tobytes()))

    def distributed(self, dataset: tf.data.Dataset) -> Any:
        """Return the dataset of this worker's batches as `fit` takes it."""
        if self.count == 1:
            return dataset
        return self._strategy.distribute_datasets_from_function(lambda _: dataset)

    def gathered(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of all workers, one after the other.

        Args:
            rows: Those of this worker, shape (b, ...); b may differ between workers.
        """
        if self.count == 1:
            return rows
        sizes = self._gathered_at_once(np.array([len(rows)]))
        starts = np.cumsum(sizes) - sizes
        gathered = np.empty((sizes.sum(), *rows.shape[1:]), rows.dtype)
        row_bytes = rows.dtype.itemsize * int(np.prod(rows.shape[1:]))
        step = max(1, _PART_BYTES // max(1, row_bytes))
        for first in range(0, sizes.max(), step):
            part = self._gathered_at_once(rows[first : first + step])
            ends = np.cumsum(np.clip(sizes - first, 0, step))
            for start, own in zip(starts, np.split(part, ends[:-1]), strict=True):
                gathered[start + first : start + first + len(own)] = own
        return gathered

    def _gathered_at_once(self, rows: NDArray[Any]) -> NDArray[Any]:
        # Not traced, a gather costs 20 times as much. All workers must trace at the
        # same call, or they would wait for each other: not for each number of rows.
        key = rows.dtype, rows.shape[1:]
        if key not in self._gathers:
            self._gathers[key] = tf.function(
                lambda part: self._strategy.gather(part, axis=0),
                input_signature=[tf.TensorSpec((None, *rows.shape[1:]), rows.dtype)],
            )
        gathered: NDArray[Any] = self._gathers[key](tf.convert_to_tensor(rows)).numpy()
        return gathered

    def parts(self, rows: int) -> list[slice]:
        """Return slices of at most `PART` rows, equally many on all workers.

        Args:
            rows: Those of this worker, fewer than others may have.
        """
        longest = int(self.gathered(np.array([rows])).max())
        return [slice(start, start + PART) for start in range(0, longest, PART)]

    def from_first(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of the first worker."""
        return self.gathered(rows if self.index == 0 else rows[:0])

    def newest(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return of each row the one whose last column is largest among the workers.

        Args:
            rows: The same rows of a table in each worker, shape (b, columns).
        """
        if self.count == 1:
            return rows
        of_all = self.gathered(rows).reshape(self.count, *rows.shape)
        latest = of_all[:, :, -1].argmax(axis=0)
        newest: NDArray[np.floating[Any]] = of_all[latest, np.arange(len(rows))]
        return newest
