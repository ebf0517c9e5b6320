"""Neighbor search by nearest-neighbor descent: fast for large classes, everywhere."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.search.exact import SPARE, ExactSearch, center_of, rescored_or_exact

# Neighbors that the graph keeps for each row: the first of 30 are found more often
# than those of a graph of as few as are asked for.
_MIN_WIDTH = 30
# Rows compared with each other in a step of the descent. The memory for a step grows
# with its square.
_MAX_CANDIDATES = 30
# With more trees or a later stop, recall hardly grows and time does.
_TREES = 4
_STOP_BELOW = 0.01
# Far enough from both ends of float32 for squared distances, and from the constant
# 1e-8 below which pynndescent takes a row to lie on the border of two branches.
_LARGEST_NORM = 1e15


class NNDescentSearch:
    """Search in-class neighbors N(x), equation (1), by nearest-neighbor descent.

    Up to `brute_force_below` rows all pairs are compared, as `ExactSearch` does. Above,
    pynndescent builds a graph of near rows, whose best candidates are rescored exactly:
    distances are right, but a neighbor may be missed. The seed is fixed: on the same
    number of threads the answer is the same each time. pynndescent is imported when an
    object is made, compiles for half a minute in the first search of a graph, and runs
    on the CPU.

    Args:
        brute_force_below: Largest class that is searched in full, at least 1. Defaults
            to 20,000.

    Raises:
        ImportError: If pynndescent cannot be imported, whatever the reason.
        TypeError: If `brute_force_below` is not an integer.
        ValueError: If `brute_force_below` is below 1.

    Example:
        >>> import importlib.util
        >>> import numpy as np
        >>> from keras_dos.search import get_search
        >>> installed = importlib.util.find_spec("pynndescent") is not None
        >>> search = get_search("nndescent" if installed else "exact")
        >>> vectors = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
        >>> ids, squared_distances = search.search(vectors, 2)
        >>> ids.tolist(), squared_distances.tolist()
        ([[0, 1], [1, 0], [2, 1]], [[0.0, 1.0], [0.0, 1.0], [0.0, 4.0]])
    """

    def __init__(self, brute_force_below: int = 20_000) -> None:
        self.brute_force_below = _checks.integer(
            "brute_force_below", brute_force_below, minimum=1
        )
        self._descent = _import_descent()
        self._exact = ExactSearch()

    def search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find, for every row of `vectors`, its nearest rows of `vectors`.

        Args:
            vectors: Float32 array of shape `(m, d)`, all finite.
            k: Number of neighbors, at least 1.

        Returns:
            Ids and squared Euclidean distances, each of shape `(m, min(k, m))`,
            ascending; of a graph's answer the row itself may be missing.
        """
        width = max(_MIN_WIDTH, 2 * k)
        if len(vectors) <= max(self.brute_force_below, width):
            return self._exact.search(vectors, k)
        center = center_of(vectors)
        # The float64 vectors, twice the memory of the class, are not kept meanwhile.
        candidates = self._graph(_scaled(vectors - center), width)[:, : k + SPARE]
        # Where too few were found, the last ids are -1.
        short = candidates.min(axis=1) < 0
        return rescored_or_exact(vectors - center, candidates, short, k)

    def _graph(self, points: NDArray[np.float32], width: int) -> NDArray[np.int32]:
        """Return ids of likely neighbors, shape (m, width), the nearest first."""
        with warnings.catch_warnings():
            # It warns of rows with too few neighbors, which are searched exactly.
            warnings.simplefilter("ignore")
            index = self._descent(
                points,
                n_neighbors=width,
                n_trees=_TREES,
                max_candidates=_MAX_CANDIDATES,
                delta=_STOP_BELOW,
                random_state=0,
            )
        graph: NDArray[np.int32] = index.neighbor_graph[0]
        return graph


def _import_descent() -> Any:
    # It compiles with numba, whose releases each fit some of NumPy's: with another,
    # the import may raise more than an ImportError.
    try:
        from pynndescent import NNDescent
    except Exception as error:
        raise ImportError(
            "pynndescent cannot be imported. Install it with "
            '`pip install "keras-dos[pynndescent]"`, or pass neighbor_search="exact". '
            f"Received: {type(error).__name__}: {error}"
        ) from error
    return NNDescent


def _scaled(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale rows to norms whose squares neither overflow nor vanish in float32."""
    largest = float(np.sqrt(np.einsum("md,md->m", points, points).max()))
    scaled = np.empty(points.shape, np.float32)
    factor = _LARGEST_NORM / (largest or 1.0)
    return np.multiply(points, factor, out=scaled, casting="same_kind")
