"""The choice of an engine, its sizes, and engines that break their contract."""

import importlib.machinery
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf

import keras_dos.search
from keras_dos.search import (
    ExactSearch,
    NNDescentSearch,
    ScannSearch,
    get_search,
    self_neighbors,
)

UNDEFINED_SYMBOL = tf.errors.NotFoundError(None, None, "undefined symbol: _ZN10tsl")


@pytest.fixture(autouse=True)
def _fresh_choice():
    keras_dos.search._auto.cache_clear()
    yield
    keras_dos.search._auto.cache_clear()


@pytest.fixture
def forget_scann(monkeypatch):
    """Let ScaNN be imported afresh; the loaded module comes back afterward."""
    for name in [name for name in sys.modules if name.split(".")[0] == "scann"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def without_scann(monkeypatch, forget_scann):
    monkeypatch.setitem(sys.modules, "scann", None)


@pytest.fixture
def without_pynndescent(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynndescent", None)


@pytest.fixture(params=[UNDEFINED_SYMBOL, ImportError("no libstdc++"), OSError("bad")])
def broken_scann(request, monkeypatch, forget_scann):
    class Finder:
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name == "scann":
                return importlib.machinery.ModuleSpec(name, cls, is_package=True)
            return None

        @staticmethod
        def create_module(spec):
            return None

        @staticmethod
        def exec_module(module):
            raise request.param

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    return request.param


def test_auto_takes_scann_where_it_imports():
    try:
        ScannSearch()
    except ImportError as error:
        pytest.skip(str(error))
    assert isinstance(get_search("auto"), ScannSearch)
    assert isinstance(get_search(), ScannSearch)
    assert isinstance(get_search("scann"), ScannSearch)


def test_auto_without_scann_takes_pynndescent(without_scann):
    pytest.importorskip("pynndescent")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(get_search("auto"), NNDescentSearch)


def test_auto_without_either_is_silently_exact(without_scann, without_pynndescent):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(get_search("auto"), ExactSearch)


def test_auto_with_a_broken_scann_warns_once(broken_scann, without_pynndescent):
    with pytest.warns(UserWarning, match="takes the place of ScannSearch") as caught:
        first = get_search("auto")
    assert isinstance(first, ExactSearch)
    [warning] = caught
    assert f"{type(broken_scann).__name__}: {broken_scann}" in str(warning.message)
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(get_search("auto"), ExactSearch)


def test_scann_without_scann_says_what_to_do(without_scann):
    with pytest.raises(ImportError, match=r"Received: ModuleNotFoundError: ") as caught:
        get_search("scann")
    assert 'pip install "scann[tf]"' in str(caught.value)
    assert 'neighbor_search="exact"' in str(caught.value)


def test_nndescent_without_pynndescent_says_what_to_do(without_pynndescent):
    with pytest.raises(ImportError, match=r"Received: ModuleNotFoundError: ") as caught:
        get_search("nndescent")
    assert 'pip install "keras-dos[pynndescent]"' in str(caught.value)
    assert 'neighbor_search="exact"' in str(caught.value)


def test_broken_scann_becomes_an_import_error(broken_scann):
    reason = type(broken_scann).__name__
    with pytest.raises(ImportError, match=rf"Received: {reason}: ") as caught:
        ScannSearch()
    assert caught.value.__cause__ is broken_scann


@pytest.mark.slow
def test_importing_the_package_leaves_the_engines_packages_alone():
    code = (
        "import sys\n"
        "import keras_dos.search as s\n"
        "assert not {'scann', 'pynndescent'} & set(sys.modules)\n"
        "sys.modules['scann'] = sys.modules['pynndescent'] = None\n"
        "print(type(s.get_search()).__name__)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "ExactSearch"


def test_exact_by_name():
    assert isinstance(get_search("exact"), ExactSearch)


@pytest.mark.parametrize("name", ["", "Exact", "faiss"])
def test_unknown_name(name):
    with pytest.raises(ValueError, match=rf"`neighbor_search` .*_search='{name}'\.$"):
        get_search(name)


@pytest.mark.parametrize(
    "identifier", [None, 5, np.ones(3), ExactSearch, type("A", (), {"search": 3})()]
)
def test_not_an_engine(identifier):
    with pytest.raises(TypeError, match=r"`neighbor_search`.*Received: "):
        get_search(identifier)


class Custom:
    """An engine that finds the next rows in a ring, at the distances it is given."""

    def __init__(self, change=lambda ids, distances: (ids, distances)):
        self.change = change
        self.calls = []

    def search(self, vectors, k):
        self.calls.append((vectors, k))
        n = len(vectors)
        ids = (np.arange(n)[:, None] + np.arange(min(k, n))) % n
        distances = np.tile(np.arange(min(k, n), dtype=np.float64), (n, 1))
        return self.change(ids, distances)


def test_custom_engine():
    engine = Custom()
    assert get_search(engine) is engine
    ids, distances = self_neighbors(np.ones((3, 4), np.float16).T, 2, engine)
    assert ids.tolist() == [[1, 2], [2, 3], [3, 0], [0, 1]]
    assert distances.tolist() == [[1, 2]] * 4
    assert (ids.dtype, distances.dtype) == (np.int64, np.float32)
    [(vectors, k)] = engine.calls
    assert (vectors.dtype, vectors.shape, k) == (np.float32, (4, 3), 3)
    assert vectors.flags.c_contiguous


def test_self_is_removed_by_id_or_else_the_farthest():
    def change(ids, distances):
        ids[0] = [2, 0, 1]  # Itself in the middle.
        ids[1] = [3, 2, 0]  # Itself pushed out by duplicates.
        return ids, 0 * distances

    ids, _ = self_neighbors(np.ones((4, 2)), 2, Custom(change))
    assert ids.tolist() == [[2, 1], [3, 2], [3, 0], [0, 1]]


def put(where, value):
    def change(ids, distances):
        arrays = {"ids": ids, "distances": distances}
        arrays[where][1, 2] = value
        return ids, distances

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put("distances", np.nan), "1 distances not finite"),
        (put("distances", np.inf), "1 distances not finite"),
        (put("distances", 0.5), "distances that do not ascend"),
        (
            lambda i, d: (i, np.tile(np.array([9, 5, 1], "uint16"), (5, 1))),
            "distances that do not ascend",
        ),
        (put("ids", 5), "ids from 0 to 5 for 5 rows"),
        (put("ids", -1), "ids from -1 to 4 for 5 rows"),
        (put("ids", 2), "the same id twice in a row"),
        (put("distances", 1e39), "1 distances not finite"),
        (lambda i, d: (i, d - 9), "a squared distance of -9"),
        (lambda i, d: (i, d.astype(str)), "distances of dtype <U32"),
        (lambda i, d: (i, d + 0j), "distances of dtype complex128"),
        (lambda i, d: None, "a NoneType that is not a pair of arrays"),
        (lambda i, d: (i, d, d), "a tuple that is not a pair of arrays"),
        (lambda i, d: ([[1], [2, 3]], d), "a tuple that is not a pair of arrays"),
        (lambda i, d: (i.astype(float), d), "ids of dtype float64"),
        (lambda i, d: (i[:, :2], d), r"ids of shape \(5, 2\), .* of shape \(5, 3\)"),
        (lambda i, d: (i, d[:4]), r"ids of shape \(5, 3\), .* of shape \(4, 3\)"),
        (lambda i, d: (i[0], d[0]), r"ids of shape \(3,\), distances of shape \(3,\)"),
    ],
)
def test_bad_answers_name_the_engine(change, fault):
    with pytest.raises(RuntimeError, match=rf"Custom must .*Received: {fault}\.$"):
        self_neighbors(np.ones((5, 2)), 2, Custom(change))


def test_distances_may_round_to_less_than_0():
    """Such as those taken from |a|² + |b|² - 2ab, far from the origin."""
    vectors = np.full((5, 2), 1e3, np.float32)
    _, distances = self_neighbors(vectors, 2, Custom(lambda i, d: (i, d * 0 - 0.1)))
    np.testing.assert_allclose(distances, -0.1)


@pytest.mark.parametrize("make_engine", [ExactSearch, ScannSearch, NNDescentSearch])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (True, TypeError), (2.5, TypeError)]
)
def test_rejects_bad_sizes(make_engine, value, error):
    with pytest.raises(
        error, match=r"^`(block_size|brute_force_below)`.*Received: .*="
    ):
        make_engine(value)


def test_scann_thresholds_must_be_in_order():
    with pytest.raises(ValueError, match=r"`partition_above` must be at least 100.*99"):
        ScannSearch(brute_force_below=100, partition_above=99)
