"""Algorithm 1 against plain loops."""

import math

import numpy as np
import oracle
import pytest

from keras_dos.draws import REFERENCE_SAMPLES
from keras_dos.overloading import overload, plain_epoch, without_neighbors
from keras_dos.parameters import resolve_class_parameters
from keras_dos.samples.quadruplets import Quadruplets
from keras_dos.search import ExactSearch
from keras_dos.spread import UNIT_FLOOR, class_moments, distance_unit


class Problem:
    """Embeddings v of classes y, and an `embed` that keeps the ids it was asked for."""

    def __init__(self, counts, k, r="balance", *, d=3, spread=1.0, seed=0):
        rng = np.random.default_rng(seed)
        self.counts = counts
        self.y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        centers = rng.normal(scale=3.0, size=(len(counts), d))
        v = centers[self.y] + spread * rng.normal(size=(len(self.y), d))
        self.v = v.astype("float32")
        self.parameters = resolve_class_parameters(
            np.array(counts), k=k, r=r, minority=None, k_majority=None
        )
        self.k = self.parameters.k
        self.asked = []

    def embed(self, ids):
        self.asked.append(ids)
        return self.v[ids]

    def overload(self, seed=0):
        rng = np.random.default_rng(seed)
        return overload(self.embed, self.y, self.parameters, ExactSearch(), rng)

    @property
    def overloaded(self):
        return [i for i, j in enumerate(self.y) if self.k[j] > 0]

    def neighbors(self, i):
        return oracle.nearest_in_class(self.v, self.y, i, self.k[self.y[i]])


PROBLEMS = {
    "several classes": ((20, 14, 6), 4),
    "k per class": ((20, 14, 6), [2, 5, 3]),
    "majority left out": ((20, 14, 6), {2: 4}),
    "n_c below k": ((12, 5, 4, 3), 4),
    "a class of one": ((12, 1, 5), 3),
    "only a class of one": ((12, 1), {1: 3}),
    "an empty class": ((12, 0, 5), {0: 3, 2: 2}),
    "k beyond every class": ((5, 4), 100),
    "nobody": ((9, 4), 0),
}


@pytest.fixture(params=PROBLEMS)
def problem(request):
    counts, k = PROBLEMS[request.param]
    return Problem(counts, k, r=[2.5] * len(counts) if 0 not in counts else "balance")


# N(x).


def assert_neighbors(problem, z):
    """Check N(x) and the shape of w of every quadruplet."""
    slots = max(
        min(k, n - 1) if n else 0
        for k, n in zip(problem.k, problem.counts, strict=True)
    )
    assert z.neighbors.shape == (len(z), slots)
    assert z.weights.shape == (len(z), slots + 1)
    for i, rows, w in zip(z.samples, z.neighbors, z.weights, strict=True):
        expected = problem.neighbors(i)
        n = len(expected)
        assert [problem.overloaded[row] for row in rows[:n]] == expected
        assert (w[: n + 1] > 0).all()
        assert (w[n + 1 :] == 0).all()
        assert (rows[n:] == 0).all()  # A row that exists, to be masked by w = 0.
        assert math.isclose(sum(w), 1, rel_tol=1e-6)


def test_neighbors_are_the_nearest_in_class(problem):
    z = problem.overload().quadruplets
    assert_neighbors(problem, z)
    assert z.samples.dtype == np.int64
    assert z.neighbors.dtype == np.int32
    assert z.weights.dtype == z.table.dtype == np.float32


def test_the_table_holds_overloaded_classes_only(problem):
    table = problem.overload().quadruplets.table
    np.testing.assert_array_equal(table, problem.v[problem.overloaded])


@pytest.mark.parametrize("k", [1, 3, 6])
def test_duplicates_are_neighbors_and_a_sample_is_not_its_own(k):
    problem = Problem((9, 8), k)
    for j in range(2):
        problem.v[np.flatnonzero(problem.y == j)[:6]] = 1.0  # The same in both classes.
    z = problem.overload().quadruplets
    assert_neighbors(problem, z)
    same = [i for i in z.samples if (problem.v[i] == 1.0).all()]
    assert len(same) >= 12
    for i, rows in zip(z.samples, z.neighbors, strict=True):
        ids = [problem.overloaded[row] for row in rows]
        assert i not in ids
        assert len(set(ids)) == k


def test_diverged_embeddings_are_refused():
    problem = Problem((6, 6), 2)
    problem.v[3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        problem.overload()


# r.


@pytest.mark.parametrize(
    "rates", [[1, 1, 1], [2, 3, 1], [1.25, 2.5, 4.99], [0.3, 0.05, 1.7], "balance"]
)
@pytest.mark.parametrize("k", [0, 3])
def test_copies_are_r_per_sample(rates, k):
    counts = (20, 14, 6)
    problem = Problem(counts, k, rates)
    samples = problem.overload().quadruplets.samples
    for j, n in enumerate(counts):
        r = 20 / n if rates == "balance" else rates[j]
        copies = [int(np.sum(samples == i)) for i in np.flatnonzero(problem.y == j)]
        assert sum(copies) == max(round(r * n), 1)
        floor = sum(copies) // n
        assert set(copies) <= {floor, floor + 1}
    assert len(samples) == problem.parameters.n_quadruplets


@pytest.mark.parametrize("rates", [[1, 2, 3.5], [0.4, 1, 2]])
def test_each_sample_comes_before_further_copies(rates):
    """The order without shuffling: the original set first."""
    problem = Problem((20, 14, 6), 3, rates)
    samples = problem.overload().quadruplets.samples
    seen = dict.fromkeys(range(40), 0)
    places = []
    for i in samples:
        places.append((seen[int(i)], int(i)))
        seen[int(i)] += 1
    assert places == sorted(places)
    if min(rates) >= 1:
        assert samples[:40].tolist() == list(range(40))


def test_a_fraction_takes_other_samples_in_other_rounds():
    problem = Problem((30, 10), 2, [0.5, 1.5])
    chosen = np.zeros(40, int)
    for seed in range(60):
        chosen += np.bincount(problem.overload(seed).quadruplets.samples, minlength=40)
    # 30 of 60 rounds each, besides the first copies of class 1.
    extra = chosen - np.where(problem.y == 1, 60, 0)
    assert extra.min() > 12
    assert extra.max() < 48


def test_copies_of_a_sample_have_their_own_weights():
    z = Problem((20, 5), 3).overload().quadruplets
    for i in np.unique(z.samples):
        first = z.weights[z.samples == i][:, 0]
        assert len(set(first.tolist())) == len(first)


def test_a_round_depends_on_its_seed_alone():
    problem = Problem((20, 14, 6), {2: 3}, [1, 1, 2.5])
    rounds = [problem.overload(seed) for seed in (5, 5, 6)]
    first, second, third = (r.quadruplets for r in rounds)
    for name in ("samples", "neighbors", "weights", "table"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert rounds[0].unit == rounds[1].unit
    assert rounds[0].variances == rounds[1].variances
    assert (first.weights[:40] != third.weights[:40]).any()


# The measures.


def mean_squared(pairs):
    pairs = list(pairs)
    return sum(oracle.squared_distance(a, b) for a, b in pairs) / len(pairs)


def spread_by_loops(v, y):
    """Mean squared distance of two draws: a class, then a sample of it."""
    classes = sorted(set(y.tolist()))
    return np.mean(
        [
            mean_squared((a, b) for a in v[y == i] for b in v[y == j])
            for i in classes
            for j in classes
        ]
    )


def expected_unit(problem):
    near = mean_squared(
        (problem.v[i], problem.v[j])
        for i in problem.overloaded
        for j in problem.neighbors(i)
    )
    return near, UNIT_FLOOR * spread_by_loops(problem.v, problem.y)


# The last is tight: there, the floor decides.
@pytest.mark.parametrize("k", [4, [2, 5, 3], {2: 4}, {0: 1, 1: 30}])
@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_the_unit_is_the_mean_squared_neighbor_distance_with_a_floor(k, spread):
    problem = Problem((20, 14, 6), k, spread=spread)
    near, floor = expected_unit(problem)
    assert (near > floor) == (spread == 1.0)
    np.testing.assert_allclose(problem.overload().unit, max(near, floor), rtol=1e-5)


def test_the_unit_of_duplicates_is_the_floor():
    problem = Problem((6, 4), 2)
    problem.v[:] = problem.y[:, None]
    # Half of all pairs lie in different classes, at a squared distance of d = 3.
    np.testing.assert_allclose(problem.overload().unit, 0.02 * 1.5, rtol=1e-6)
    problem.v[:] = 5.0
    assert problem.overload().unit == 0.0


def test_the_unit_does_not_depend_on_the_copies():
    units = {Problem((20, 6), 3, r).overload().unit for r in ([1, 1], [1, 9], [3, 0.5])}
    assert len(units) == 1


def test_variances_are_mean_squared_distances_to_the_class_mean():
    problem = Problem((20, 14, 0, 6, 1), {0: 2, 3: 4})
    variances = problem.overload().variances
    assert set(variances) == {0, 1, 3, 4}
    for j, variance in variances.items():
        rows = problem.v[problem.y == j].astype("float64")
        mean = [sum(column) / len(rows) for column in rows.T]
        expected = mean_squared((row, mean) for row in rows)
        np.testing.assert_allclose(variance, expected, rtol=1e-6, atol=1e-12)


def test_measures_keep_their_digits_far_from_the_origin():
    rng = np.random.default_rng(0)
    v = (3e4 + rng.normal(size=(50, 4))).astype("float32")
    y = np.repeat([0, 1], 25)
    variances, spread = class_moments(v, y)
    for j in range(2):
        rows = v[y == j].astype("float64")
        expected = np.mean(((rows - rows.mean(0)) ** 2).sum(1))
        np.testing.assert_allclose(variances[j], expected, rtol=1e-6)
    np.testing.assert_allclose(spread, spread_by_loops(v, y), rtol=1e-6)
    far = np.full(100_000, 16_777_216, np.float32)
    far[1:] = 1.0
    assert math.isclose(distance_unit(far, 0), (16_777_216 + 99_999) / 1e5)


def test_nothing_to_measure():
    assert class_moments(np.zeros((0, 3), np.float32), np.zeros(0, int)) == ({}, 0.0)
    assert distance_unit(np.zeros(0, np.float32), spread=3.0) == 0.0
    alone = Problem((12, 1), {1: 3}).overload()
    assert alone.unit == 0.0
    assert alone.quadruplets.weights.tolist() == [[1.0]] * 24


# What is embedded.


def test_overloaded_classes_are_embedded_and_few_of_the_others():
    counts = (REFERENCE_SAMPLES + 50, 7, REFERENCE_SAMPLES + 20, 5)
    problem = Problem(counts, {2: 3, 3: 2})
    problem.overload()
    (asked,) = problem.asked
    assert len(set(asked.tolist())) == len(asked)
    asked_counts = np.bincount(problem.y[asked], minlength=4)
    assert asked_counts.tolist() == [REFERENCE_SAMPLES, 7, counts[2], 5]
    assert (np.diff(asked) > 0).all()
    assert set(problem.overloaded) <= set(asked.tolist())
    problem.overload(seed=1)
    majority = [set(ids[problem.y[ids] == 0].tolist()) for ids in problem.asked]
    assert majority[0] != majority[1]


def test_all_are_embedded_if_all_are_overloaded():
    problem = Problem((150, 20), 2)
    problem.overload()
    assert problem.asked[0].tolist() == list(range(170))


def test_nothing_is_embedded_without_overloading():
    problem = Problem((150, 20), 0)
    result = problem.overload()
    assert [len(ids) for ids in problem.asked] == [0]
    assert result.unit == 0.0
    assert result.variances == {}
    assert result.quadruplets.weights.tolist() == [[1.0]] * 300
    assert result.quadruplets.table.shape == (0, 3)


# The warm-up.


@pytest.mark.parametrize(
    ("m", "size"), [(7, 7), (7, 10), (7, 40), (7, 3), (7, 14), (1, 5)]
)
def test_plain_epochs_follow_each_other_through_complete_passes(m, size):
    def order(i):
        return np.random.default_rng(i).permutation(m)

    epochs = 9
    row = [plain_epoch(m, size, epoch, order) for epoch in range(epochs)]
    assert [len(epoch) for epoch in row] == [size] * epochs
    row = np.concatenate(row).tolist()
    for i in range(len(row) // m):
        assert row[i * m : (i + 1) * m] == order(i).tolist()
    rest = row[len(row) // m * m :]
    assert rest == order(len(row) // m)[: len(rest)].tolist()


def test_a_plain_epoch_orders_the_passes_that_it_needs():
    asked = []

    def order(i):
        asked.append(i)
        return np.arange(5)

    assert plain_epoch(5, 7, 3, order).tolist() == [1, 2, 3, 4, 0, 1, 2]
    assert asked == [4, 5]
    assert plain_epoch(5, 10, 1, order).tolist() == [0, 1, 2, 3, 4] * 2
    assert asked == [4, 5, 2, 3]


def test_quadruplets_without_neighbors():
    z = without_neighbors(np.array([3, 1, 3]), d=4)
    assert z.samples.tolist() == [3, 1, 3]
    assert z.neighbors.shape == (3, 0)
    assert z.weights.tolist() == [[1.0]] * 3
    assert z.table.shape == (0, 4)
    assert z.weights.dtype == z.table.dtype == np.float32


def test_quadruplets_in_another_order():
    z = Problem((9, 4), 2).overload().quadruplets
    order = np.random.default_rng(0).permutation(len(z))
    other = z.ordered(order)
    assert isinstance(other, Quadruplets)
    assert len(other) == len(z) == 18
    for place, origin in enumerate(order):
        assert other.samples[place] == z.samples[origin]
        assert other.neighbors[place].tolist() == z.neighbors[origin].tolist()
        assert other.weights[place].tolist() == z.weights[origin].tolist()
    np.testing.assert_array_equal(other.table, z.table)
