"""The search that builds a graph: recall, repetition, and what the graph lacks."""

import warnings

import numpy as np
import pytest
from engines import GRAPH

from keras_dos.search import (
    ExactSearch,
    NNDescentSearch,
    get_search,
    self_neighbors,
    testing,
)

pytest.importorskip("pynndescent")


def clusters(m=6000, d=64, seed=0):
    """Vectors near planes of 12 dimensions, as embeddings are."""
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(8, 12, d)) / 12**0.5
    labels = rng.integers(8, size=m)
    near = np.einsum("mr,mrd->md", rng.normal(size=(m, 12)), planes[labels])
    spread = near + 0.1 * rng.normal(size=(m, d)) + rng.normal(size=(8, d))[labels]
    return spread.astype(np.float32)


def recall(vectors, answer, k=5):
    """The fraction of the nearest rows found; the distances must be right."""
    ids, distances = answer
    _, truth = self_neighbors(vectors, k, ExactSearch())
    points = vectors.astype(np.float64)
    own = ((points[ids] - points[:, None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(distances, own, rtol=1e-5)
    return (distances <= truth[:, -1:] * (1 + 1e-6)).mean()


class Spy:
    """Stands in for pynndescent's class, and keeps the points that it was given."""

    def __init__(self, graph):
        self.neighbor_graph = graph, None

    def __call__(self, points, **settings):
        self.points = points
        return self


def nearest(vectors, width=30):
    """A right graph, in which rows are not their own neighbors."""
    return self_neighbors(vectors, width, ExactSearch())[0].astype(np.int32)


def spied(graph):
    search = GRAPH()
    search._descent = Spy(graph)
    return search


def test_by_name():
    assert isinstance(get_search("nndescent"), NNDescentSearch)


def test_classes_up_to_the_threshold_are_compared_in_full():
    vectors = clusters(50)
    search = NNDescentSearch(brute_force_below=50)
    search._descent = None  # Nothing to build a graph with.
    for mine, exact in zip(
        search.search(vectors, 6), ExactSearch().search(vectors, 6), strict=True
    ):
        np.testing.assert_array_equal(mine, exact)


def test_rows_that_the_graph_leaves_short_are_searched_exactly():
    vectors = clusters(100)
    graph = nearest(vectors)
    graph[::2, 3:] = -1
    assert recall(vectors, self_neighbors(vectors, 5, spied(graph))) == 1


@pytest.mark.parametrize("scale", [1e-12, 1, 1e17])
def test_the_graph_is_built_on_values_whose_squares_fit(scale):
    vectors = (clusters(100) * np.float64(scale)).astype(np.float32)
    search = spied(nearest(vectors))
    search.search(vectors, 6)
    scaled = search._descent.points
    squares = (scaled**2).sum(axis=1)
    assert scaled.dtype == np.float32
    assert np.isfinite(4 * squares).all()
    assert squares.max() > 1e29


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_graph_passes_the_public_suite(seed):
    testing.check_search(GRAPH(), recall=0.95, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 5, 20])
def test_recall_in_clusters(k):
    vectors = clusters()
    assert recall(vectors, self_neighbors(vectors, k, GRAPH()), k) >= 0.95


@pytest.mark.slow
def test_two_calls_agree_and_leave_the_vectors_alone():
    vectors = clusters()
    before = vectors.copy()
    search = GRAPH()
    first = self_neighbors(vectors, 5, search)
    self_neighbors(clusters(seed=1), 5, search)
    for again in (search, GRAPH()):
        second = self_neighbors(vectors, 5, again)
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(vectors, before)


@pytest.mark.slow
def test_duplicates_are_searched_without_a_warning():
    vectors = np.vstack([clusters(500), np.ones((200, 64), np.float32)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = self_neighbors(vectors, 5, GRAPH())
    assert recall(vectors, answer) >= 0.95
