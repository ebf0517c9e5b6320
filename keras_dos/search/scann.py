"""Neighbor search with ScaNN, fast also for large classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.search.exact import SPARE, center_of, rescored_or_exact

# ScaNN tells points apart by 16 codes per block of dimensions.
_CODES = 16
# Below this many dimensions these are too few to be of use, and comparing all pairs
# is cheap; below the second, one dimension per block is needed for good recall.
_MIN_HASHED_DIMENSIONS = 4
_MIN_PAIRED_DIMENSIONS = 32
# Fraction of a tree's leaves that each query visits.
_LEAVES_VISITED = 0.2


class ScannSearch:
    """Search in-class neighbors N(x), equation (1), with ScaNN.

    The size of the class decides how, following ScaNN's own guidance: up to
    `brute_force_below` rows all pairs are compared, in float32, and the answer is the
    same each time. Above, hashed copies of the vectors are compared and the best
    candidates rescored exactly: distances are right, but a neighbor may be missed,
    and two runs may differ. Above `partition_above` a tree also leaves out most of
    the class. Embeddings of fewer than 4 dimensions are always compared in full.
    ScaNN is imported when an object is made, and runs on the CPU.

    Args:
        brute_force_below: Largest class that is searched in full, at least 16.
            Defaults to 20,000.
        partition_above: Largest class that is searched without a tree, at least
            `brute_force_below`. Defaults to 100,000.

    Raises:
        ImportError: If ScaNN cannot be imported, whatever the reason.
        TypeError: If an argument is not an integer.
        ValueError: If an argument is too small.

    Example:
        >>> import numpy as np
        >>> from keras_dos.search import get_search
        >>> search = get_search("auto")  # ScannSearch() where ScaNN can be imported.
        >>> vectors = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
        >>> ids, squared_distances = search.search(vectors, 2)
        >>> ids.tolist(), squared_distances.tolist()
        ([[0, 1], [1, 0], [2, 1]], [[0.0, 1.0], [0.0, 1.0], [0.0, 4.0]])
    """

    def __init__(
        self, brute_force_below: int = 20_000, partition_above: int = 100_000
    ) -> None:
        self.brute_force_below = _checks.integer(
            "brute_force_below", brute_force_below, minimum=_CODES
        )
        self.partition_above = _checks.integer(
            "partition_above", partition_above, minimum=self.brute_force_below
        )
        _import_scann()

    def search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find, for every row of `vectors`, its nearest rows of `vectors`.

        Args:
            vectors: Float32 array of shape `(m, d)`, all finite.
            k: Number of neighbors, at least 1.

        Returns:
            Ids and squared Euclidean distances, each of shape `(m, min(k, m))`,
            ascending, the row itself usually among them.
        """
        center = center_of(vectors)
        # The float64 vectors, twice the memory of the class, are not kept meanwhile.
        scaled = _scaled(vectors - center)
        candidates, short = self._candidates(scaled, min(k + SPARE, len(vectors)))
        return rescored_or_exact(vectors - center, candidates, short, k)

    def _candidates(
        self, points: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return ids of likely neighbors and which rows got too few of them."""
        searcher = self._configured(points, count).build()
        ids, distances = searcher.search_batched_parallel(points)
        # Where ScaNN finds too few it returns fewer columns, or pads with id 0 at
        # the distance NaN.
        short = np.isfinite(distances).sum(axis=1) < count
        return ids.astype(np.int64), short

    def _configured(self, points: NDArray[np.float32], count: int) -> Any:
        m, d = points.shape
        builder = _import_scann().builder(points, count, "squared_l2")
        if m <= self.brute_force_below or d < _MIN_HASHED_DIMENSIONS:
            return builder.score_brute_force()
        if m > self.partition_above:
            leaves = round(m**0.5)
            visited = max(1, round(leaves * _LEAVES_VISITED))
            builder = builder.tree(leaves, visited)
        per_block = 1 if d < _MIN_PAIRED_DIMENSIONS else 2
        return builder.score_ah(per_block).reorder(max(100, 10 * count))


def _import_scann() -> Any:
    # ScaNN links against one TensorFlow release: with another, the import raises
    # what the loader happens to raise, tensorflow.errors.NotFoundError for one.
    try:
        from scann.scann_ops.py import scann_ops_pybind
    except Exception as error:
        raise ImportError(
            "ScaNN cannot be imported. Its wheels exist for Linux only, and each "
            "release works with one TensorFlow release. Install a matching pair with "
            '`pip install "scann[tf]"`, or pass neighbor_search="exact". '
            f"Received: {type(error).__name__}: {error}"
        ) from error
    return scann_ops_pybind


def _scaled(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale rows to a typical norm of √d: ScaNN trains badly on tiny values."""
    norms = np.sqrt(np.einsum("md,md->m", points, points))
    scale = float(np.median(norms)) / points.shape[1] ** 0.5
    scaled = np.empty(points.shape, np.float32)
    return np.divide(points, scale or 1.0, out=scaled, casting="same_kind")
