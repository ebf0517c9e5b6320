"""The contract of a neighbor search, and its validated entry point."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks


class NeighborSearch(Protocol):
    """An engine that finds in-class neighbors.

    Any object with this one method will do; it need not inherit from anything.
    `keras_dos.search.testing.check_search` tests one.

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
            vectors: C-contiguous float32 array of shape `(m, d)`, all finite, the
                embeddings of one class. It cannot be written to.
            k: Number of neighbors, at least 1.

        Returns:
            Ids and squared Euclidean distances, each of shape `(m, min(k, m))`.
            Distances ascend within a row and no id occurs twice in it; the row
            itself may be among its neighbors.
        """
        ...


def is_engine(value: Any) -> bool:
    """Return whether a value is an object with a method `search`; a class is not."""
    return not isinstance(value, type) and callable(getattr(value, "search", None))


def self_neighbors(
    vectors: NDArray[Any], k: int, search: NeighborSearch
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the in-class neighbor set N(x), equation (1), of every row.

    Args:
        vectors: Array of shape `(m, d)`, the embeddings of one class, of any real
            dtype (bfloat16 included); searched in float32.
        k: Number of neighbors, at least 1.
        search: The engine, see `keras_dos.search.get_search`.

    Returns:
        Ids (int64) and squared Euclidean distances (float32) of the
        `min(k, m - 1)` nearest other rows, each of shape `(m, min(k, m - 1))`.
        Distances ascend within a row; a row's own id never occurs in it and no id
        occurs twice.

    Raises:
        TypeError: If `vectors` does not hold real numbers, `k` is not an integer, or
            `search` is not an engine.
        ValueError: If `vectors` does not have two non-empty axes, or holds NaN,
            infinity or values whose squared distances overflow float32; if `k` is
            below 1; or if the engine writes into the vectors.
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
    k = _checks.integer("k", k, minimum=1)
    if not is_engine(search):
        raise TypeError(
            "`search` must be an engine, as `keras_dos.search.get_search` returns "
            f"them. Received: search={search!r}."
        )
    points = _searchable(vectors)
    m = len(points)
    # One more than asked for: the row itself is usually in the answer.
    width = min(k + 1, m)
    ids, distances = checked_search(search, points, width)
    # Among duplicates a row may be missing from its own result, or stand in any
    # column, so it is recognized by id; where it is missing, the farthest goes.
    dropped = ids == np.arange(m)[:, None]
    dropped[~dropped.any(axis=1), -1] = True
    kept = ~dropped
    return ids[kept].reshape(m, width - 1), distances[kept].reshape(m, width - 1)


def _searchable(vectors: Any) -> NDArray[np.float32]:
    """Return what engines are given: finite float32 rows that they cannot change."""
    array = _checks.real_array("vectors", vectors)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            "`vectors` must have shape (m, d), one embedding per row and at least one "
            f"row and column. Received: shape {array.shape}."
        )
    with np.errstate(over="ignore"):  # What overflows is reported below.
        cast = np.ascontiguousarray(array, dtype=np.float32)
    # False for NaN and infinity too. A squared distance is at most four times the
    # larger squared norm, hence the quarter.
    norms = np.einsum("md,md->m", cast, cast, dtype=np.float64)
    bad = np.count_nonzero(~(norms <= np.finfo(np.float32).max / 4))
    if bad:
        raise ValueError(
            "`vectors` must hold finite values whose squared distances fit float32: if "
            "training diverged, lower the learning rate or clip gradients. "
            f"Received: {bad} of {len(cast)} rows that do not."
        )
    # The cast may be the caller's own array, or a table that later rounds read: an
    # engine that wrote into it would change them without an error.
    points = cast.view()
    points.flags.writeable = False
    return points


def checked_search(
    search: NeighborSearch, vectors: NDArray[np.float32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the answer of an engine as int64 and float32.

    Raises:
        RuntimeError: If it breaks the contract of `NeighborSearch`.
    """
    answer = search.search(vectors, width)
    try:
        ids, distances = (np.asarray(part) for part in answer)
    except (TypeError, ValueError):  # Not two parts, or rows of different lengths.
        ids = distances = np.empty(0)
        fault = f"a {type(answer).__name__} that is not a pair of arrays"
    else:
        fault = _fault(ids, distances, vectors, width)
    if fault:
        raise RuntimeError(
            f"The neighbor search {type(search).__name__} must answer with ids of "
            "different rows and finite, ascending squared distances, both of shape "
            f"{(len(vectors), width)}. Received: {fault}."
        )
    return ids.astype(np.int64), distances.astype(np.float32)


def _fault(
    ids: NDArray[Any], distances: NDArray[Any], vectors: NDArray[Any], width: int
) -> str:
    """Return what is wrong with an engine's answer; empty if nothing is."""
    m = len(vectors)
    if ids.shape != (m, width) or distances.shape != (m, width):
        return f"ids of shape {ids.shape}, distances of shape {distances.shape}"
    if ids.dtype.kind not in "iu":
        return f"ids of dtype {ids.dtype}"
    if ids.min() < 0 or ids.max() >= m:
        return f"ids from {ids.min()} to {ids.max()} for {m} rows"
    if (np.diff(np.sort(ids, axis=1), axis=1) == 0).any():
        return "the same id twice in a row"
    if distances.dtype.kind not in "fiu" and distances.dtype.name != "bfloat16":
        return f"distances of dtype {distances.dtype}"
    # NaN, infinity and what float32 cannot hold.
    distances = distances.astype(np.float64)  # Differences of unsigned ones wrap.
    wrong = ~(np.abs(distances) <= np.finfo(np.float32).max)
    if wrong.any():
        return f"{np.count_nonzero(wrong)} distances not finite"
    least = float(distances.min())
    # |a|² + |b|² - 2ab may round to less than 0.
    if least < 0 and least < -1e-5 * float(np.square(vectors).sum(axis=1).max()):
        return f"a squared distance of {least:.3g}"
    if (np.diff(distances, axis=1) < 0).any():
        return "distances that do not ascend"
    return ""
