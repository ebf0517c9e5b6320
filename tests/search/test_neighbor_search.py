"""The entry point to the engines, and what ours promise beyond the public suite.

Answers are compared with loops over all pairs.
"""

import math
import pickle

import ml_dtypes
import numpy as np
import pytest
from engines import EXACT, make

from keras_dos.search import ExactSearch, self_neighbors


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def clusters(n, dimensions, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(12, dimensions)) * 2
    noise = rng.normal(size=(n, 4)) @ rng.normal(size=(4, dimensions))
    return (centers[rng.integers(12, size=n)] + noise).astype(np.float32)


# What callers may pass; check_search has what engines have to cope with.
DATA = {
    "float16": (1000 + 20 * normal(100, 8)).astype(np.float16),
    "bfloat16": normal(100, 8).astype(ml_dtypes.bfloat16),
    "float64": normal(100, 8).astype(np.float64),
    "big_endian": normal(100, 8).astype(">f4"),
    "integers": np.random.default_rng(0).integers(0, 255, (100, 8), np.uint8),
    "strided": normal(160, 24)[::2, 1::3],
    "reversed": normal(80, 8)[::-1, ::-1],
    "transposed": normal(8, 80).T,
    "broadcast": np.broadcast_to(normal(80, 1), (80, 8)),
    "list": normal(20, 3).tolist(),
    "duplicates": np.repeat(normal(20, 6), 5, axis=0),
    "one_row": normal(1, 4),
    "two_rows": normal(2, 4),
}


def oracle(vectors, k, rows=None):
    """Return for each row its `k` nearest others as (squared distance, id)."""
    points = [[float(value) for value in row] for row in np.asarray(vectors)]
    answer = []
    for row in range(len(points)) if rows is None else rows:
        pairs = []
        for other, point in enumerate(points):
            if other != row:
                squared = math.fsum(
                    (a - b) ** 2 for a, b in zip(points[row], point, strict=True)
                )
                pairs.append((float(np.float32(squared)), other))
        answer.append(sorted(pairs)[:k])
    return answer


def recall(vectors, k, ids, distances, rows=None):
    """Check that ids and distances belong together; return the fraction found.

    A returned row counts as found if it is no farther than the k-th true neighbor:
    which of several rows at the same distance is returned does not matter.
    """
    points = np.asarray(vectors).astype(np.float64)
    found = total = 0
    rows = range(len(points)) if rows is None else rows
    for row, truth in zip(rows, oracle(vectors, k, rows), strict=True):
        own = ((points[ids[row]] - points[row]) ** 2).sum(axis=1)
        np.testing.assert_allclose(distances[row], own, rtol=1e-5)
        if truth:
            farthest = truth[-1][0] * (1 + 1e-5)
            found += sum(distance <= farthest for distance in distances[row])
        total += len(truth)
    return found / total if total else 1.0


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("engine", EXACT)
def test_the_nearest_others_of_any_array(engine, data):
    vectors, k = DATA[data], 5
    m = len(vectors)
    before = np.array(vectors)

    ids, distances = self_neighbors(vectors, k, make(engine))

    assert ids.shape == distances.shape == (m, min(k, m - 1))
    assert ids.dtype == np.int64
    assert distances.dtype == np.float32
    assert not (ids == np.arange(m)[:, None]).any()
    assert all(len(set(row)) == len(row) for row in ids.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()
    assert recall(vectors, k, ids, distances) == 1
    np.testing.assert_array_equal(vectors, before)


class Writes:
    def search(self, vectors, k):
        vectors *= 2
        return ExactSearch().search(vectors, k)


def test_an_engine_cannot_write_into_what_it_is_given():
    vectors = normal(9, 3)
    before = vectors.copy()
    with pytest.raises(ValueError, match="read-only"):
        self_neighbors(vectors, 2, Writes())
    np.testing.assert_array_equal(vectors, before)
    vectors += 1  # The caller still may.


@pytest.mark.parametrize("k", [1, 3, np.int64(7), 30, 31, 1000])
@pytest.mark.parametrize("engine", EXACT)
def test_any_k(engine, k):
    vectors = normal(31, 6, seed=1)
    ids, distances = self_neighbors(vectors, k, make(engine))
    assert ids.tolist() == [[other for _, other in row] for row in oracle(vectors, k)]
    assert ids.shape == distances.shape == (31, min(k, 30))


@pytest.mark.parametrize("engine", EXACT)
def test_ties_are_ordered_by_id(engine):
    # A line of integers, shuffled: two rows at each distance from an inner one.
    vectors = np.random.default_rng(2).permutation(60)[:, None].astype(np.float32)
    ids, distances = self_neighbors(vectors, 6, make(engine))
    truth = oracle(vectors, 6)
    assert ids.tolist() == [[other for _, other in row] for row in truth]
    assert distances.tolist() == [[distance for distance, _ in row] for row in truth]


@pytest.mark.parametrize("engine", EXACT)
def test_two_calls_agree(engine):
    vectors = np.vstack([clusters(700, 20), np.ones((50, 20), np.float32)])
    search = make(engine)
    first = self_neighbors(vectors, 5, search)
    second = self_neighbors(vectors.copy(), 5, search)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("size", [1e6, 1e10, 1e18])
@pytest.mark.parametrize("engine", EXACT)
def test_an_outlier_does_not_hide_the_others(engine, size):
    others = normal(100, 8)
    vectors = np.vstack([others, np.full((1, 8), size, np.float32)])
    ids, _ = self_neighbors(vectors, 4, make(engine))
    truth = [[other for _, other in row] for row in oracle(others, 4)]
    assert ids[:-1].tolist() == truth


@pytest.mark.parametrize("engine", EXACT)
def test_an_engine_can_be_copied_to_another_process(engine):
    vectors = normal(30, 4)
    copied = pickle.loads(pickle.dumps(make(engine)))
    found = self_neighbors(vectors, 3, copied)[0]
    np.testing.assert_array_equal(found, self_neighbors(vectors, 3, make(engine))[0])


@pytest.mark.parametrize("block_size", [7, 1024])
def test_exact_tells_apart_tight_clusters_far_from_each_other(block_size):
    # |a|² + |b|² - 2ab in float32 (or worse, TF32) keeps no digit of these distances.
    signs = np.where(np.arange(80) % 2, 100, -100)[:, None]
    vectors = (signs + 0.01 * normal(80, 6, seed=3)).astype(np.float32)
    ids, _ = self_neighbors(vectors, 4, ExactSearch(block_size))
    assert ids.tolist() == [[other for _, other in row] for row in oracle(vectors, 4)]


@pytest.mark.parametrize("engine", EXACT)
def test_rounding_in_the_ranking_costs_no_neighbor(engine):
    # Float32 products misplace some of these rows, though by few places.
    signs = np.where(np.arange(80) % 2, 1, -1)[:, None]
    vectors = (signs + 0.003 * normal(80, 6, seed=3)).astype(np.float32)
    ids, _ = self_neighbors(vectors, 4, make(engine))
    assert ids.tolist() == [[other for _, other in row] for row in oracle(vectors, 4)]


@pytest.mark.parametrize(
    ("dimensions", "scale"), [(2, 1), (4, 1), (40, 1e-4), (40, 1), (40, 1e4)]
)
@pytest.mark.parametrize(
    ("engine", "floor"), [("scann_hashed", 0.95), ("scann_tree", 0.9)]
)
def test_approximate_recall(engine, floor, dimensions, scale):
    # Rows in few dimensions are many to each hash code unless that is seen to.
    vectors = clusters(6000, dimensions) if dimensions > 4 else normal(6000, dimensions)
    vectors = (50 + vectors) * np.float32(scale)
    ids, distances = self_neighbors(vectors, 5, make(engine))
    rows = range(0, 6000, 300)
    assert recall(vectors, 5, ids, distances, rows) >= floor


def test_rows_that_a_tree_leaves_short_are_searched_exactly():
    # A query visits 3 of 14 leaves, thus not all of the 200 rows.
    vectors = normal(200, 8, seed=4)
    ids, distances = self_neighbors(vectors, 199, make("scann_tree"))
    assert ids.shape == (200, 199)
    assert recall(vectors, 199, ids, distances) == 1


class FakeScann:
    """Answers like a ScaNN that finds all rows, or too few for some."""

    def __init__(self, shorten):
        self.shorten = shorten

    def __getattr__(self, name):
        return lambda *args: self

    def search_batched_parallel(self, points):
        differences = points[:, None] - points
        distances = (differences**2).sum(axis=-1)
        ids = np.argsort(distances, axis=1)
        sorted_distances = np.take_along_axis(distances, ids, axis=1)
        return self.shorten(ids.astype(np.uint32), sorted_distances)


def pad_odd_rows(ids, distances):
    ids[1::2, 2:] = 0
    distances[1::2, 2:] = np.nan
    return ids, distances


def one_column(ids, distances):
    return ids[:, :1], distances[:, :1]


@pytest.mark.parametrize("shorten", [pad_odd_rows, one_column])
def test_what_scann_leaves_out_is_searched_exactly(shorten):
    search = make("scann_brute_force")
    search._scann = FakeScann(shorten)
    vectors = normal(13, 4)
    ids, _ = self_neighbors(vectors, 5, search)
    assert ids.tolist() == [[other for _, other in row] for row in oracle(vectors, 5)]


@pytest.mark.parametrize(
    ("vectors", "error", "message"),
    [
        (np.ones(4), ValueError, r"shape \(m, d\).*Received: shape \(4,\)"),
        (np.ones((2, 3, 4)), ValueError, r"Received: shape \(2, 3, 4\)"),
        (np.ones((0, 4)), ValueError, r"row and column\. Received: shape \(0, 4\)"),
        (np.ones((4, 0)), ValueError, r"Received: shape \(4, 0\)"),
        (np.float32(1), ValueError, r"Received: shape \(\)"),
        (np.array([["a"]]), TypeError, "real numbers.*Received: dtype <U1"),
        (np.array([[1j]]), TypeError, "Received: dtype complex128"),
        (np.array([[True]]), TypeError, "Received: dtype bool"),
        (np.array([[None]]), TypeError, "Received: dtype object"),
    ],
)
def test_rejects_what_is_not_a_table_of_numbers(vectors, error, message):
    with pytest.raises(error, match=rf"`vectors`.*{message}\.$"):
        self_neighbors(vectors, 5, ExactSearch())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 1e300])
@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_rejects_values_without_finite_distances(bad, dtype):
    vectors = normal(9, 3).astype(np.float64)
    vectors[2, 1] = vectors[5, 0] = vectors[5, 2] = bad
    with np.errstate(over="ignore"):
        vectors = vectors.astype(dtype)
    with pytest.raises(ValueError, match=r"lower the learning rate or clip.*: 2 of 9"):
        self_neighbors(vectors, 5, ExactSearch())


@pytest.mark.parametrize("engine", EXACT)
def test_accepts_the_largest_values(engine):
    vectors = np.array([[4e18], [-4e18], [0.0], [1e18]], np.float32)
    ids, distances = self_neighbors(vectors, 3, make(engine))
    assert ids.tolist() == [[3, 2, 1], [2, 3, 0], [3, 0, 1], [2, 0, 1]]
    assert np.isfinite(distances).all()


@pytest.mark.parametrize(
    ("k", "error"),
    [
        (0, ValueError),
        (-3, ValueError),
        (True, TypeError),
        (2.0, TypeError),
        ("5", TypeError),
        (None, TypeError),
    ],
)
def test_rejects_bad_k(k, error):
    with pytest.raises(error, match=rf"^`k` must be .*Received: k={k!r}\.$"):
        self_neighbors(normal(9, 3), k, ExactSearch())
