"""Tests that an engine of your own should pass before a training relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.search.base import NeighborSearch, is_engine, self_neighbors

__all__ = ["check_search"]

# Enough for distances summed up in float32 from differences, too little for those
# taken from |a|² + |b|² - 2ab, which lose all digits far from the origin.
_TOLERANCE = 1e-5


def check_search(engine: NeighborSearch, *, recall: float = 1.0, seed: int = 0) -> None:
    """Raise unless an engine finds in-class neighbors as a training needs them.

    The engine is asked, through `self_neighbors`, for the nearest rows of small sets
    of vectors that are known for trouble: duplicates, all rows equal, one or two rows
    only, as many neighbors as rows or more, values of few digits, tiny and huge ones,
    far from the origin. Its answers are compared with the distances of all pairs. Any
    of several rows at the same distance is right.

    Args:
        engine: The engine, an object with a method `search(vectors, k)` as
            `NeighborSearch` describes it.
        recall: Fraction of the nearest rows, in [0, 1], that it must find in each set.
            What it finds instead must come with its own distances, ascending. The sets
            have at most 120 rows: measure the recall of an approximate engine at the
            size of your classes too. Defaults to 1.0.
        seed: Seed of the random vectors. Defaults to 0.

    Raises:
        AssertionError: If the engine raises, breaks the contract, changes `vectors`,
            returns wrong distances or finds too few of the nearest rows. The message
            names the set of vectors, k and what is wrong.
        TypeError: If an argument has a wrong type.
        ValueError: If `recall` or `seed` is out of range.

    Example:
        >>> import numpy as np
        >>> from keras_dos.search import testing
        >>> class AllPairs:
        ...     def search(self, vectors, k):
        ...         differences = vectors[:, None] - vectors
        ...         squared = (differences**2).sum(axis=-1)
        ...         ids = np.argsort(squared, axis=1)[:, :k]
        ...         return ids, np.take_along_axis(squared, ids, axis=1)
        >>> testing.check_search(AllPairs())

        In a test of your own it is all there is to write:

        >>> def test_all_pairs():
        ...     testing.check_search(AllPairs(), recall=1.0)
    """
    if not is_engine(engine):
        raise TypeError(
            "`engine` must be an object, not a class, with a method "
            f"`search(vectors, k)`. Received: engine={engine!r}."
        )
    if _checks.number("recall", recall) > 1:
        raise ValueError(f"`recall` must be at most 1. Received: recall={recall!r}.")
    rng = np.random.default_rng(_checks.seed("seed", seed))
    for name, vectors in _sets(rng):
        squared = _all_pairs(vectors)
        # The last k asks for all other rows.
        for k in (1, 5, len(vectors) + 2):
            fault = _fault(engine, vectors, k, squared, recall)
            if fault:
                raise AssertionError(
                    f'{type(engine).__name__} fails on the vectors "{name}" of shape '
                    f"{vectors.shape} with k={k}: {fault}"
                )


def _sets(rng: np.random.Generator) -> Iterator[tuple[str, NDArray[Any]]]:
    """Return sets of vectors by name, most of them the float32 that engines are given.

    Only such a set is what the engine itself gets, not a copy, so that a change shows.
    """

    def normal(m: int, d: int) -> NDArray[np.float32]:
        return rng.normal(size=(m, d)).astype(np.float32)

    sides = np.where(np.arange(80) % 2, 1, -1)[:, None]
    read_only = normal(80, 8)
    read_only.flags.writeable = False
    yield "random", normal(120, 8)
    yield "wide", normal(90, 70)
    yield "one column", normal(50, 1)
    yield "one row", normal(1, 4)
    yield "two rows", normal(2, 4)
    yield "k rows", normal(5, 4)
    yield "k + 1 rows", normal(6, 4)
    yield "duplicates", np.repeat(normal(20, 6), 5, axis=0)
    yield "many duplicates", np.repeat(normal(3, 6), 40, axis=0)
    yield "all equal", np.full((60, 5), 0.1, np.float32)
    yield "all zero", np.zeros((60, 5), np.float32)
    yield "integers on a line", rng.permutation(60)[:, None].astype(np.float32)
    yield "float16", normal(100, 8).astype(np.float16)
    yield "float16 far from the origin", (1e3 + 20 * normal(100, 8)).astype(np.float16)
    yield "far from the origin", 1e4 + normal(100, 8)
    yield "tight clusters", (sides + 0.003 * normal(80, 6)).astype(np.float32)
    yield "outlier", np.vstack([normal(100, 8), np.full((1, 8), 1e3, np.float32)])
    yield "tiny", 1e-4 * normal(100, 8)
    yield "huge", 1e4 * normal(100, 8)
    yield "largest", np.array([[4e18], [-4e18], [0.0], [1e18]], np.float32)
    yield "read-only", read_only
    yield "strided", normal(160, 24)[::2, 1::3]
    yield "reversed", normal(80, 8)[::-1, ::-1]
    yield "transposed", normal(8, 80).T


def _all_pairs(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return squared distances, shape (m, m), those of a row to itself infinite."""
    points = vectors.astype(np.float64)
    squared = np.stack([((points - row) ** 2).sum(axis=1) for row in points])
    np.fill_diagonal(squared, np.inf)
    return squared


def _fault(
    engine: NeighborSearch,
    vectors: NDArray[Any],
    k: int,
    squared: NDArray[np.float64],
    recall: float,
) -> str:
    """Return what is wrong with the engine's answer; empty if nothing is."""
    before = vectors.copy()
    try:
        # It refuses answers that break the contract, and removes each row's own id.
        ids, distances = self_neighbors(vectors, k, engine)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if not np.array_equal(vectors, before):
        return "it changed `vectors`"
    if not ids.size:  # A row that is alone has no neighbors.
        return ""
    own = np.take_along_axis(squared, ids, axis=1)
    wrong = np.abs(distances - own) > _TOLERANCE * own
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        return (
            f"the squared distance from row {row} to row {ids[row, column]} is "
            f"{own[row, column]:.7g}, not {distances[row, column]:.7g}"
        )
    # A row at the distance of the last true neighbor is as good as that one.
    last = np.sort(squared, axis=1)[:, [ids.shape[1] - 1]]
    found = own <= last * (1 + _TOLERANCE)
    if found.mean() < recall:
        row = np.argmin(found.all(axis=1))
        return (
            f"it found {found.mean():.3f} of the nearest rows, recall={recall} is "
            f"asked for; the nearest of row {row} are at squared distances up to "
            f"{last[row, 0]:.7g}, those found up to {distances[row, -1]:.7g}"
        )
    return ""
