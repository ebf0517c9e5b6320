"""The public suite for engines: ours pass it, and broken ones of many kinds do not."""

import subprocess
import sys

import numpy as np
import pytest
from engines import ENGINES, make

from keras_dos.search import testing


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ENGINES)
def test_our_engines_pass(name, seed):
    _, recall = ENGINES[name]
    testing.check_search(make(name), recall=recall, seed=seed)


def all_pairs(vectors, k):
    """A right answer, each row itself first among its duplicates."""
    points = vectors.astype(np.float64)
    squared = ((points[:, None] - points) ** 2).sum(axis=-1)
    np.fill_diagonal(squared, -1)
    ids = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return ids, np.maximum(np.take_along_axis(squared, ids, axis=1), 0)


class Engine:
    """Answers as all_pairs, but for what a test changes."""

    def __init__(self, answer=all_pairs):
        self.answer = answer

    def search(self, vectors, k):
        return self.answer(vectors, k)


def test_a_right_engine_passes():
    testing.check_search(Engine())


def test_the_own_row_need_not_be_in_the_answer():
    def without_itself(vectors, k):
        ids, distances = all_pairs(vectors, k + 1)
        return (ids[:, 1:], distances[:, 1:]) if k < len(vectors) else (ids, distances)

    testing.check_search(Engine(without_itself))


def test_of_equally_near_rows_any_will_do():
    def largest_ids_first(vectors, k):
        ids, distances = all_pairs(vectors[::-1], k)
        return len(vectors) - 1 - ids[::-1], distances[::-1]

    testing.check_search(Engine(largest_ids_first))


def of_products(vectors, k):
    norms = (vectors**2).sum(axis=1)
    squared = norms[:, None] + norms - 2 * vectors @ vectors.T
    ids = np.argsort(squared, axis=1)[:, :k]
    return ids, np.take_along_axis(squared, ids, axis=1)


def not_squared(vectors, k):
    ids, distances = all_pairs(vectors, k)
    return ids, np.sqrt(distances)


def of_the_next_row(vectors, k):
    ids, distances = all_pairs(vectors, k)
    return np.roll(ids, 1, axis=0), distances


def misses_the_nearest(vectors, k):
    ids, distances = all_pairs(vectors, k + 1)
    kept = np.arange(ids.shape[1]) != 1 if k < len(vectors) else slice(None)
    return ids[:, kept], distances[:, kept]


def first_rows_only(vectors, k):
    ids, distances = all_pairs(vectors, len(vectors))
    wanted = np.sort(np.argsort(ids >= k, axis=1, kind="stable")[:, :k], axis=1)
    return (np.take_along_axis(array, wanted, axis=1) for array in (ids, distances))


def itself_instead_of_a_neighbor(vectors, k):
    # The own row among others, at a distance that is not its own.
    ids, distances = all_pairs(vectors, k + 1)
    if k < len(vectors):
        ids[:, 1], ids, distances = ids[:, 0], ids[:, 1:], distances[:, 1:]
    return ids, distances


def itself_twice(vectors, k):
    ids, distances = all_pairs(vectors, k)
    ids[:, -1] = np.arange(len(vectors))
    return ids, distances


def repeats_of_duplicates(vectors, k):
    # Rows that are equal are taken for one.
    _, first = np.unique(vectors, axis=0, return_index=True)
    ids, distances = all_pairs(vectors, k)
    same = {vectors[row].tobytes(): row for row in first}
    return [[same[vectors[i].tobytes()] for i in row] for row in ids], distances


def writes(vectors, k):
    vectors -= vectors.mean(axis=0)
    return all_pairs(vectors, k)


def writes_in_spite_of_the_flag(vectors, k):
    answer = all_pairs(vectors, k)
    vectors.setflags(write=True)
    vectors[0] += 1
    return answer


def one_too_few(vectors, k):
    ids, distances = all_pairs(vectors, k)
    return ids[:, :-1], distances[:, :-1]


def rows_are_columns(vectors, k):
    ids, distances = all_pairs(vectors, k)
    return ids.T, distances.T


def pads(vectors, k):
    ids, distances = all_pairs(vectors, k)
    ids[:, 5:], distances[:, 5:] = -1, np.inf
    return ids, distances


def farthest_first(vectors, k):
    ids, distances = all_pairs(vectors, k)
    return ids[:, ::-1], distances[:, ::-1]


def float_ids(vectors, k):
    ids, distances = all_pairs(vectors, k)
    return ids.astype(np.float32), distances


def needs_two_rows(vectors, k):
    if len(vectors) < 2:
        raise IndexError("too few rows to build an index")
    return all_pairs(vectors, k)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (of_products, r'vectors "[^"]+" of shape .*(squared distance from row|ascend)'),
        (not_squared, r'"random" of shape \(120, 8\) with k=1: the squared distance '),
        (of_the_next_row, r"from row \d+ to row \d+ is \S+, not "),
        (misses_the_nearest, "it found 0.000 of the nearest rows, recall=1.0 is asked"),
        (first_rows_only, "with k=1: it found 0.0"),
        (itself_instead_of_a_neighbor, "it found 0.000 of the nearest rows"),
        (itself_twice, "RuntimeError.*the same id twice|it found 0.000"),
        (repeats_of_duplicates, '"duplicates".*the same id twice'),
        (writes, "ValueError: .*read-only"),
        (writes_in_spite_of_the_flag, "it changed `vectors`"),
        (one_too_few, r"RuntimeError: .*Received: ids of shape \(120, 1\)"),
        (rows_are_columns, "RuntimeError: .* Engine .*Received: ids of shape"),
        (pads, "with k=5: RuntimeError: .*Received: ids from -1"),
        (farthest_first, "distances that do not ascend"),
        (float_ids, "ids of dtype float32"),
        (needs_two_rows, '"one row".* with k=1: IndexError: too few rows to build'),
    ],
)
def test_a_broken_engine_fails(answer, fault):
    with pytest.raises(AssertionError, match=rf"(?s)^Engine fails on .*{fault}"):
        testing.check_search(Engine(answer))


def test_recall_is_as_strict_as_asked():
    def half(vectors, k):
        right, wrong = all_pairs(vectors, k), misses_the_nearest(vectors, k)
        odd = np.arange(len(vectors))[:, None] % 2
        return (np.where(odd, a, b) for a, b in zip(right, wrong, strict=True))

    testing.check_search(Engine(half), recall=0.4)
    with pytest.raises(AssertionError, match=r"it found 0\.500 .*recall=0\.6 is asked"):
        testing.check_search(Engine(half), recall=0.6)


def test_the_seed_decides_the_vectors():
    def seen(seed):
        first = []

        def answer(vectors, k):
            first.append(vectors.copy())
            return all_pairs(vectors, k)

        testing.check_search(Engine(answer), seed=seed)
        return first[0]

    np.testing.assert_array_equal(seen(3), seen(3))
    assert not np.array_equal(seen(3), seen(4))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"engine": "exact"}, TypeError),
        ({"engine": Engine}, TypeError),
        ({"recall": "all"}, TypeError),
        ({"recall": -0.1}, ValueError),
        ({"recall": 1.1}, ValueError),
        ({"seed": 0.5}, TypeError),
        ({"seed": -1}, ValueError),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, error):
    ((name, _),) = arguments.items()
    with pytest.raises(error, match=rf"^`{name}` must .*Received: {name}=.*\.$"):
        testing.check_search(**{"engine": Engine(), **arguments})


@pytest.mark.slow
def test_it_needs_no_pytest():
    code = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "from keras_dos.search import ExactSearch, testing\n"
        "testing.check_search(ExactSearch())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
