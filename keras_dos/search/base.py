"""The contract of a neighbor search and the validated door to it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class NeighborSearch(Protocol):
    """What an engine must offer to find in-class neighbors.

    Any object with this one method will do; it need not inherit from anything.

    Example:
        >>> import numpy as np
        >>> from keras_dos.search import self_neighbors
        >>> class OnALine:
        ...     def search(self, vectors, k):
        ...         distances = (vectors - vectors.T) ** 2
        ...         ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
        ...         return ids, np.take_along_axis(distances, ids, axis=1)
        >>> ids, _ = self_neighbors(np.array([[0.0], [1.0], [5.0]]), 1, OnALine())
        >>> ids.tolist()
        [[1], [0], [1]]
    """

    def search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find, for every row of `vectors`, its nearest rows of `vectors`.

        Args:
            vectors: C-contiguous float32 array of shape `(n, d)`, all finite, the
                embeddings of one class. It must not be changed.
            k: Number of neighbors, at least 1.

        Returns:
            Ids and squared Euclidean distances, each of shape `(n, min(k, n))`.
            Distances ascend within a row and no id occurs twice in it; the row
            itself may be among its neighbors.
        """
        ...


def self_neighbors(
    vectors: NDArray[Any], k: int, search: NeighborSearch
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the in-class neighbor set N(x), equation (1), of every row.

    Args:
        vectors: Array of shape `(n, d)`, the embeddings of one class, of any real
            dtype (bfloat16 included); searched in float32.
        k: Number of neighbors, at least 1.
        search: The engine, see `keras_dos.search.get_search`.

    Returns:
        Ids (int64) and squared Euclidean distances (float32) of the
        `min(k, n - 1)` nearest other rows, each of shape `(n, min(k, n - 1))`.
        Distances ascend within a row; a row's own id never occurs in it and no id
        occurs twice.

    Raises:
        TypeError: If `vectors` does not hold real numbers or `k` is no integer.
        ValueError: If `vectors` has not two non-empty axes, holds NaN, infinity or
            values whose squared distances overflow float32, or if `k` is below 1.
        RuntimeError: If the engine's answer breaks the contract of
            `NeighborSearch`.

    Example:
        >>> import numpy as np
        >>> from keras_dos.search import ExactSearch, self_neighbors
        >>> vectors = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> ids, squared_distances = self_neighbors(vectors, 2, ExactSearch())
        >>> ids.tolist()
        [[1, 2], [0, 2], [0, 1]]
        >>> squared_distances.tolist()
        [[1.0, 9.0], [1.0, 10.0], [9.0, 10.0]]
    """
    checked_k = _checked_k(k)
    checked_vectors = _checked_vectors(vectors)
    n = len(checked_vectors)
    # One more than asked for: the row itself is usually in the answer.
    width = min(checked_k + 1, n)
    ids, distances = _checked_answer(search, checked_vectors, width)
    # Among duplicates a row may be missing from its own result, or stand in any
    # column, so it is recognized by id; where it is missing, the farthest goes.
    dropped = ids == np.arange(n)[:, None]
    dropped[~dropped.any(axis=1), -1] = True
    kept = ~dropped
    return ids[kept].reshape(n, width - 1), distances[kept].reshape(n, width - 1)


def _checked_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(
            "`k`, the number of in-class neighbors, must be an integer. "
            f"Pass for example k=5. Received: {k!r} of type {type(k).__name__}"
        )
    if k < 1:
        raise ValueError(
            "`k`, the number of in-class neighbors, must be at least 1. "
            f"Pass for example k=5. Received: {k}"
        )
    return int(k)


def _checked_vectors(vectors: Any) -> NDArray[np.float32]:
    array = np.asarray(vectors)
    # NumPy knows bfloat16 only by the name that ml_dtypes gives it.
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(
            "`vectors` must be an array of real numbers, best of float32. "
            f"Convert it first. Received: dtype {array.dtype}"
        )
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            "`vectors` must have shape (n, d) with at least one row and one column: "
            "one embedding per row. Flatten each embedding to one axis and leave "
            f"out empty classes. Received: shape {array.shape}"
        )
    with np.errstate(over="ignore"):  # What overflows is reported below.
        cast = np.ascontiguousarray(array, dtype=np.float32)
    # False for NaN and infinity too. A squared distance is at most four times the
    # larger squared norm, hence the quarter.
    norms = np.einsum("nd,nd->n", cast, cast, dtype=np.float64)
    bad = np.count_nonzero(~(norms <= np.finfo(np.float32).max / 4))
    if bad:
        raise ValueError(
            "`vectors` must hold finite values whose squared distances fit float32. "
            "Embeddings that do not usually come from training that diverged: lower "
            "the learning rate or clip gradients. Received: "
            f"{bad} of {len(cast)} rows with NaN, infinity or too large values"
        )
    return cast


def _checked_answer(
    search: NeighborSearch, vectors: NDArray[np.float32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    answer_ids, answer_distances = search.search(vectors, width)
    ids, distances = np.asarray(answer_ids), np.asarray(answer_distances)
    fault = _fault(ids, distances, len(vectors), width)
    if fault:
        raise RuntimeError(
            f"The neighbor search {type(search).__name__} must answer with ids and "
            f"squared distances of shape {(len(vectors), width)}: ids of different "
            "rows, finite distances that ascend. Mend its `search` method or pass "
            f'neighbor_search="exact". Received: {fault}'
        )
    return ids.astype(np.int64), distances.astype(np.float32)


def _fault(ids: NDArray[Any], distances: NDArray[Any], n: int, width: int) -> str:
    """Say what is wrong with an engine's answer; empty if nothing is."""
    if ids.shape != (n, width) or distances.shape != (n, width):
        return f"ids of shape {ids.shape}, distances of shape {distances.shape}"
    if ids.dtype.kind not in "iu":
        return f"ids of dtype {ids.dtype}"
    if ids.min() < 0 or ids.max() >= n:
        return f"ids from {ids.min()} to {ids.max()} for {n} rows"
    if (np.diff(np.sort(ids, axis=1), axis=1) == 0).any():
        return "the same id twice in a row"
    if not np.isfinite(distances).all():
        return f"{np.count_nonzero(~np.isfinite(distances))} distances not finite"
    if (np.diff(distances, axis=1) < 0).any():
        return "distances that do not ascend"
    return ""
