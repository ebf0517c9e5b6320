"""One search for several machines, so that all have the same neighbors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos.search.base import NeighborSearch
from keras_dos.workers import Workers


class SearchOfFirst:
    """A search that the first worker does for all.

    Engines that approximate may answer differently on different machines.

    Args:
        search: The engine.
        workers: The workers.
    """

    def __init__(self, search: NeighborSearch, workers: Workers) -> None:
        self._search, self._workers = search, workers

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[Any, Any]:
        """Return the ids and squared distances that the first worker found."""
        ids, distances = np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
        if self._workers.index == 0:
            ids, distances = self._search.search(vectors, k)
        return (
            self._workers.from_first(np.asarray(ids)),
            self._workers.from_first(np.asarray(distances)),
        )
