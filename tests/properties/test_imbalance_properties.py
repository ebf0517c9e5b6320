"""Properties of the imbalance profiles."""

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from lanes import holds

from keras_dos.datasets import make_imbalanced, select
from keras_dos.labels import class_counts

RATES = st.floats(0, 0.99, allow_subnormal=False)
RATIOS = st.floats(1, 1e6) | st.integers(1, 10**6) | st.sampled_from([1e300, 2**70])
SEEDS = st.integers(0, 2**70)


@st.composite
def problems(draw, profiles=("random", "exp", "step", "gaussian", "counts")):
    """Class counts, of which the last is not 0, and a profile with arguments."""
    counts = draw(st.lists(st.integers(0, 25), min_size=1, max_size=5))
    counts.append(draw(st.integers(1, 25)))
    present = np.flatnonzero(counts).tolist()
    assume(len(present) > 1)
    profile = draw(st.sampled_from(profiles))
    arguments = {}
    if profile in ("random", "gaussian"):
        arguments["reduction_rate"] = draw(RATES)
    if profile == "random":
        most = len(present) - 1
        named = st.lists(
            st.sampled_from(present), min_size=1, max_size=most, unique=True
        )
        arguments["minority"] = draw(st.integers(1, most) | named)
    if profile in ("exp", "step"):
        arguments["ratio"] = draw(RATIOS)
    if profile == "counts":
        arguments["counts"] = [draw(st.integers(1, c)) if c else 0 for c in counts]
    if profile == "gaussian":
        m = sum(counts)
        assume(round(m * arguments["reduction_rate"]) <= m - len(present))
    return counts, profile, arguments


def shuffled(counts, seed=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


def kept(labels, profile, arguments, n, seed=0):
    """The counts that are kept, and the indices."""
    indices = make_imbalanced(labels, profile, seed=seed, **arguments)
    return class_counts(labels[indices], n), indices


@holds(60, problem=problems(), seed=SEEDS)
def test_no_sample_is_kept_twice_and_no_class_vanishes(problem, seed):
    counts, profile, arguments = problem
    labels = shuffled(counts)
    n = len(counts)
    remaining, indices = kept(labels, profile, arguments, n, seed)
    assert indices.dtype == np.int64
    assert (np.diff(indices) > 0).all()
    assert 0 <= indices[0] <= indices[-1] < len(labels)
    np.testing.assert_array_equal(remaining > 0, np.array(counts) > 0)
    assert (remaining <= counts).all()
    _, same = kept(labels, profile, arguments, n, seed)
    np.testing.assert_array_equal(indices, same)
    np.testing.assert_array_equal(select(labels, indices), labels[indices])


@holds(40, problem=problems(), seed=SEEDS)
def test_counts_do_not_depend_on_the_order_or_the_form_of_the_labels(problem, seed):
    counts, profile, arguments = problem
    n = len(counts)
    labels, others = shuffled(counts, 1), shuffled(counts, 2)
    remaining, indices = kept(labels, profile, arguments, n, seed)
    np.testing.assert_array_equal(
        remaining, kept(others, profile, arguments, n, seed)[0]
    )
    for form in (np.eye(n)[labels], labels[:, None].astype("float32")):
        same = make_imbalanced(form, profile, seed=seed, **arguments)
        np.testing.assert_array_equal(indices, same)


@holds(40, problem=problems(["counts"]), data=st.data())
def test_counts_are_kept_exactly_and_follow_their_classes(problem, data):
    counts, profile, arguments = problem
    n = len(counts)
    wanted = np.array(arguments["counts"])
    remaining, _ = kept(shuffled(counts), profile, arguments, n)
    np.testing.assert_array_equal(remaining, wanted)
    named = data.draw(st.sets(st.sampled_from(np.flatnonzero(counts).tolist())))
    mapping = {j: int(wanted[j]) for j in named}
    remaining, _ = kept(shuffled(counts), profile, {"counts": mapping}, n)
    expected = [wanted[j] if j in named else counts[j] for j in range(n)]
    np.testing.assert_array_equal(remaining, expected)


@holds(40, problem=problems(["random", "gaussian"]), seed=SEEDS)
def test_a_reduction_rate_deletes_as_many_as_asked(problem, seed):
    counts, profile, arguments = problem
    labels = shuffled(counts)
    remaining, indices = kept(labels, profile, arguments, len(counts), seed)
    rate = arguments["reduction_rate"]
    if profile == "gaussian":
        assert len(labels) - len(indices) == round(len(labels) * rate)
        return
    minority = arguments["minority"]
    reduced = [max(1, round(c * (1 - rate))) for c in counts]
    changed = np.flatnonzero(remaining != counts)
    if isinstance(minority, int):
        assert len(changed) <= minority
        unchangeable = sum(r == c for r, c in zip(reduced, counts, strict=True) if c)
        assert len(changed) >= minority - unchangeable
        members = set(changed.tolist())
    else:
        members = set(minority)
    expected = [reduced[j] if j in members else c for j, c in enumerate(counts)]
    assert remaining.tolist() == expected


@pytest.mark.parametrize("profile", ["exp", "step"])
@holds(
    25,
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    ratio=RATIOS,
    more=st.floats(1, 100),
)
def test_a_ratio_orders_the_classes(profile, counts, ratio, more):
    counts = [max(counts)] * len(counts)
    n, largest = len(counts), counts[0]
    labels = shuffled(counts)
    remaining, _ = kept(labels, profile, {"ratio": ratio}, n)
    assert (np.diff(remaining) <= 0).all()
    assert remaining[0] == largest
    assert remaining[-1] == max(1, int(largest / ratio))
    if profile == "step":
        assert remaining.tolist() == sorted(
            [largest] * (n - n // 2) + [remaining[-1]] * (n // 2), reverse=True
        )
    fewer, _ = kept(labels, profile, {"ratio": ratio * more}, n)
    assert (fewer <= remaining).all()
