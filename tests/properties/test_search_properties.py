"""Properties of N(x), eq. (1), for every engine that can be imported."""

import numpy as np
import oracle
import pytest
from engines import ENGINES, EXACT, GRAPH, make
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from lanes import holds

from keras_dos.overloading import overload
from keras_dos.parameters import resolve_class_parameters
from keras_dos.search import ExactSearch, self_neighbors
from keras_dos.search.exact import SPARE

COORDINATES = st.integers(-3, 3)
"""Few, so that duplicates and ties abound, and exact in float32."""


def engines(names):
    """Those of pynndescent, whose import takes seconds, for the slow lane alone."""
    slow = [name for name in names if name.startswith("nndescent")]
    marked = [pytest.param(name, marks=pytest.mark.slow) for name in slow]
    return [*(name for name in names if name not in slow), *marked]


@pytest.fixture(params=engines(EXACT))
def exact(request):
    return make(request.param)


@pytest.fixture(params=engines([*ENGINES, "nndescent_graph"]))
def engine(request):
    if request.param == "nndescent_graph":
        pytest.importorskip("pynndescent")
        return GRAPH()
    return make(request.param)


def tables(most=24, least=1, coordinates=COORDINATES):
    shapes = st.tuples(st.integers(least, most), st.integers(1, 4))
    return st_np.arrays(np.float32, shapes, elements=coordinates)


def nearest(vectors, k):
    """N(x) of every row by plain loops."""
    m = len(vectors)
    return [oracle.nearest_in_class(vectors, [0] * m, i, k) for i in range(m)]


def own_distances(vectors, ids):
    points = vectors.astype(np.float64)
    return ((points[ids] - points[:, None]) ** 2).sum(-1)


@holds(8, vectors=tables(least=20, most=60), k=st.integers(1, 70))
def test_a_row_is_never_its_own_neighbor_and_distances_are_right(engine, vectors, k):
    m = len(vectors)
    ids, distances = self_neighbors(vectors, k, engine)
    assert ids.shape == distances.shape == (m, min(k, m - 1))
    assert not (ids == np.arange(m)[:, None]).any()
    assert all(len(set(row)) == len(row) for row in ids.tolist())
    assert ((ids >= 0) & (ids < m)).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    np.testing.assert_array_equal(distances, own_distances(vectors, ids))


@holds(15, vectors=tables(), k=st.integers(1, 30))
def test_the_nearest_are_those_of_all_pairs_among_duplicates_and_ties(
    exact, vectors, k
):
    ids, distances = self_neighbors(vectors, k, exact)
    truth = np.array(nearest(vectors, k), np.int64)
    np.testing.assert_array_equal(distances, own_distances(vectors, truth))
    if len(vectors) <= k + SPARE:
        assert ids.tolist() == truth.tolist()
    elif ids.size:  # Which of many rows at the last distance are taken is left open.
        inner = distances < distances[:, -1:]
        assert ids[inner].tolist() == truth[inner].tolist()
    ties = np.diff(distances, axis=1) == 0
    assert (np.diff(ids, axis=1)[ties] > 0).all()


@holds(
    10,
    vectors=tables(most=16),
    k=st.integers(1, 6),
    exponent=st.integers(-20, 20),
    data=st.data(),
)
def test_distances_see_no_order_no_translation_and_the_scale_alone(
    exact, vectors, k, exponent, data
):
    m, d = vectors.shape
    order = np.array(data.draw(st.permutations(range(m))))
    shift = data.draw(st_np.arrays(np.float32, d, elements=st.integers(-999, 999)))
    factor = np.float32(2.0**exponent)
    _, distances = self_neighbors(vectors, k, exact)
    moved = (factor * (vectors + shift))[order]
    _, others = self_neighbors(moved, k, exact)
    np.testing.assert_allclose(others, factor**2 * distances[order], rtol=1e-6)


@holds(10, vectors=tables(least=2), k=st.integers(1, 8))
def test_more_neighbors_begin_with_fewer(exact, vectors, k):
    _, fewer = self_neighbors(vectors, k, exact)
    _, more = self_neighbors(vectors, k + 1, exact)
    np.testing.assert_array_equal(more[:, : fewer.shape[1]], fewer)


@holds(10, vectors=tables(most=30, least=4), k=st.integers(1, 4), data=st.data())
def test_neighbors_are_of_the_same_class_and_other_classes_change_nothing(
    vectors, k, data
):
    m = len(vectors)
    drawn = data.draw(st.lists(st.integers(0, 2), min_size=m, max_size=m))
    classes = np.unique(drawn, return_inverse=True)[1]
    moved = vectors + np.where(classes == classes[0], 0, 1000)[:, None]
    of_first = []
    for v in (vectors, moved.astype(np.float32)):
        parameters = resolve_class_parameters(np.bincount(classes), k=k, r="balance")
        rng = np.random.default_rng(0)
        z = overload(
            lambda ids, v=v: v[ids], classes, parameters, ExactSearch(), rng
        ).quadruplets
        for i, rows, w in zip(z.samples, z.neighbors, z.weights, strict=True):
            found = rows[w[1:] > 0]  # All are overloaded: a row is an id.
            assert (classes[found] == classes[i]).all()
            assert i not in found
            members = np.count_nonzero(classes == classes[i])
            assert len(found) == min(k, members - 1)
        first = classes[z.samples] == classes[0]
        of_first.append((z.samples[first], z.neighbors[first], z.weights[first]))
    for a, b in zip(*of_first, strict=True):
        np.testing.assert_array_equal(a, b)
