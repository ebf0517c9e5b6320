"""Exact neighbor search in TensorFlow, on CPU or GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks

# Candidates taken beyond k, so that rounding in the ranking by matrix product
# cannot push out a neighbor that the exact distances would rank among the first k.
SPARE = 8
# Rows rescored at once, few enough for their candidates to stay in the cache.
_CACHED_ROWS = 64
# Rows whose median tells where most are.
_FOR_MEDIAN = 100


class ExactSearch:
    """Search in-class neighbors N(x), equation (1), by comparing all pairs.

    Works on every platform and gives the same answer each time: rows at the same
    distance are ordered by id. Time grows with the square of the class size;
    memory with `block_size` times the class size (some 10 bytes each).

    Args:
        block_size: Number of rows compared with all others at once, at least 1.
            Defaults to 1024.

    Raises:
        TypeError: If `block_size` is not an integer.
        ValueError: If `block_size` is below 1.

    Example:
        >>> import numpy as np
        >>> from keras_dos.search import ExactSearch
        >>> vectors = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
        >>> ids, squared_distances = ExactSearch().search(vectors, 2)
        >>> ids.tolist(), squared_distances.tolist()
        ([[0, 1], [1, 0], [2, 1]], [[0.0, 1.0], [0.0, 1.0], [0.0, 4.0]])
    """

    def __init__(self, block_size: int = 1024) -> None:
        self.block_size = _checks.integer("block_size", block_size, minimum=1)

    def search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find, for every row of `vectors`, its nearest rows of `vectors`.

        Args:
            vectors: Float32 array of shape `(m, d)`, all finite.
            k: Number of neighbors, at least 1.

        Returns:
            Ids and squared Euclidean distances, each of shape `(m, min(k, m))`,
            ascending, the row itself among them.
        """
        points = vectors - center_of(vectors)
        return self.search_rows(points, np.arange(len(points)), k)

    def search_rows(
        self, points: NDArray[np.float64], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest rows of `points` for some of its rows only.

        Args:
            points: Float64 array of shape `(m, d)`, around the origin.
            rows: Int64 array of shape `(q,)`, the rows to search for.
            k: Number of neighbors, at least 1.

        Returns:
            Ids and squared Euclidean distances, each of shape `(q, min(k, m))`.
        """
        # With a query (2a, -1) and a key (b, |b|²) the product 2ab - |b|² ranks
        # like -|a - b|² and needs no second array of the size of the block. In
        # float64, because TensorFlow cuts float32 products to TF32 on newer GPUs.
        norms = np.einsum("md,md->m", points, points)[:, None]
        keys = tf.constant(np.hstack([points, norms]))
        parts = []
        for start in range(0, len(rows), self.block_size):
            block = rows[start : start + self.block_size]
            queries = np.hstack([2.0 * points[block], -np.ones_like(norms[block])])
            # A name would keep the scores beside those of the next block.
            nearest = tf.math.top_k(
                tf.matmul(queries, keys, transpose_b=True),
                k=min(k + SPARE, len(points)),
            )
            parts.append(rescored(points, block, nearest.indices.numpy(), k))
        ids, distances = zip(*parts, strict=True)
        return np.concatenate(ids), np.concatenate(distances)


def center_of(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what to subtract from vectors so that products lose the fewest digits.

    It is the median of some of them: the mean follows a single outlier, away from all
    others.
    """
    some = vectors[:: 1 + len(vectors) // _FOR_MEDIAN]
    center: NDArray[np.float64] = np.median(some.astype(np.float64), axis=0)
    return center


def rescored(
    points: NDArray[np.float64],
    rows: NDArray[np.int64],
    candidates: NDArray[np.integer[Any]],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Sort candidates by exact squared distance, ties by id, and keep `k`.

    Args:
        points: Float64 array of shape `(m, d)`.
        rows: Integer array of shape `(q,)`, rows of `points`.
        candidates: Integer array of shape `(q, c)`, row ids of `points`.
        k: Number of neighbors to keep.

    Returns:
        Ids and squared distances, each of shape `(q, min(k, c))`.
    """
    squared = np.empty(candidates.shape, np.float32)
    for start in range(0, len(rows), _CACHED_ROWS):
        block = slice(start, start + _CACHED_ROWS)
        differences = points[candidates[block]]
        differences -= points[rows[block], None]
        squared[block] = np.einsum("qcd,qcd->qc", differences, differences)
    order = np.lexsort((candidates, squared))[:, :k]
    ids = np.take_along_axis(candidates, order, axis=1).astype(np.int64)
    return ids, np.take_along_axis(squared, order, axis=1)


def rescored_or_exact(
    points: NDArray[np.float64],
    candidates: NDArray[np.integer[Any]],
    short: NDArray[np.bool_],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rescore the candidates of all rows; search those that are short of them in full.

    Args:
        points: Float64 array of shape `(m, d)`, around the origin.
        candidates: Integer array of shape `(m, c)`, row ids of `points`; those of
            rows that are short are not read.
        short: Boolean array of shape `(m,)`, the rows with too few candidates.
        k: Number of neighbors to keep.

    Returns:
        Ids and squared distances, each of shape `(m, min(k, m))`.
    """
    ids = np.empty((len(points), min(k, len(points))), dtype=np.int64)
    distances = np.empty(ids.shape, dtype=np.float32)
    if not short.all():
        rows = np.flatnonzero(~short)
        ids[rows], distances[rows] = rescored(points, rows, candidates[rows], k)
    if short.any():
        rows = np.flatnonzero(short)
        ids[rows], distances[rows] = ExactSearch().search_rows(points, rows, k)
    return ids, distances
