"""One search for several machines, so that all have the same neighbors."""

import numpy as np
from numpy.typing import NDArray

from keras_dos.search.base import NeighborSearch, checked_search
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

    def search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the ids and squared distances that the first worker found.

        Raises:
            RuntimeError: If the engine breaks its contract, or on the other workers, if
                it raised on the first, which ends with its own error.
        """
        ids, distances = np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
        error: Exception | None = None
        if self._workers.index == 0:
            try:
                # Checked here, as the others wait for this very shape and type.
                ids, distances = checked_search(self._search, vectors, k)
            except Exception as raised:
                error = raised
        failed = self._workers.from_first(np.array([int(error is not None)]))
        if error is not None:
            raise error
        if failed.any():
            raise RuntimeError(
                "The neighbor search must succeed on the first worker, whose error has "
                "the reason. Received: its search for all workers failed."
            )
        return self._workers.from_first(ids), self._workers.from_first(distances)


def of_first(search: NeighborSearch, workers: Workers) -> NeighborSearch:
    """Return a search that the first of several workers does for all."""
    return search if workers.count == 1 else SearchOfFirst(search, workers)
