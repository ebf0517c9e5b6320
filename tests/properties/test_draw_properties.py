"""Properties of what a round draws, of the class-wise k and r, and of the slots."""

import keras
import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from lanes import holds

from keras_dos.draws import (
    REFERENCE_SAMPLES,
    draw_copies,
    draw_weights,
    reference_samples,
    sampled_weights,
)
from keras_dos.labels import class_prior, minority_classes
from keras_dos.parameters import MODERATE_R, resolve_class_parameters
from keras_dos.slots import fill_slots, slot_logits

SEEDS = st.integers(0, 2**70)
MASKS = st_np.arrays(bool, st.tuples(st.integers(0, 6), st.integers(0, 5)))


# w.


@holds(40, exists=MASKS, seed=SEEDS)
def test_w_is_on_the_simplex_over_the_slots_that_exist(exists, seed):
    before = exists.copy()
    w = draw_weights(exists, np.random.default_rng(seed))
    assert (w[:, 0] > 0).all()
    np.testing.assert_array_equal(w[:, 1:] > 0, exists)
    np.testing.assert_allclose(w.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(exists, before)
    again = sampled_weights(draw_weights, exists, np.random.default_rng(seed))
    np.testing.assert_array_equal(w, again)


# Copies.


@holds(60, n=st.integers(1, 9), size=st.integers(1, 40), seed=SEEDS)
def test_copies_fill_the_size_exactly_and_no_sample_is_more_than_one_ahead(
    n, size, seed
):
    copies, samples = draw_copies(n, size, np.random.default_rng(seed))
    assert copies.shape == samples.shape == (size,)
    times = np.bincount(samples, minlength=n)
    assert len(times) == n
    assert set(times.tolist()) <= {size // n, -(-size // n)}
    assert len(set(zip(copies, samples, strict=True))) == size
    # The copies of a sample are 0, 1, ...
    for sample in range(n):
        assert sorted(copies[samples == sample]) == list(range(times[sample]))
    again = draw_copies(n, size, np.random.default_rng(seed))
    np.testing.assert_array_equal(again, (copies, samples))


@holds(6, n=st.integers(1, 5), size=st.integers(1, 12))
def test_every_sample_gets_r_copies_on_average(n, size):
    rng = np.random.default_rng(0)
    draws = 400
    times = sum(
        np.bincount(draw_copies(n, size, rng)[1], minlength=n) for _ in range(draws)
    )
    # Four standard deviations of a mean of draws from {0, 1}.
    np.testing.assert_allclose(times / draws, size / n, atol=4 * 0.5 / draws**0.5)


# k and r of each class.


@st.composite
def problems(draw):
    """Class counts with k and r per class, 0 and 1 for a class without samples."""
    counts = np.array(draw(st.lists(st.integers(0, 60), min_size=2, max_size=6)))
    assume(counts.any())
    n = len(counts)
    k = np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)))
    rates = st.floats(0.01, 6, allow_subnormal=False)
    r = np.array(draw(st.lists(rates, min_size=n, max_size=n)))
    return counts, np.where(counts, k, 0), np.where(counts, r, 1.0)


@holds(60, problem=problems(), data=st.data())
def test_k_r_and_the_minority_follow_their_classes(problem, data):
    counts, k, r = problem
    order = np.array(data.draw(st.permutations(range(len(counts)))))
    for rate, moved_rate in [(r, r[order]), ("balance",) * 2, ("moderate",) * 2]:
        parameters = resolve_class_parameters(counts, k=k, r=rate)
        moved = resolve_class_parameters(counts[order], k=k[order], r=moved_rate)
        np.testing.assert_array_equal(moved.k, parameters.k[order])
        np.testing.assert_array_equal(moved.sizes, parameters.sizes[order])
        assert {order[j] for j in moved.minority} == set(parameters.minority)
        assert moved.k_max == parameters.k_max
        assert moved.n_quadruplets == parameters.n_quadruplets
    np.testing.assert_array_equal(
        class_prior(counts[order]), class_prior(counts)[order]
    )


@holds(60, problem=problems())
def test_sizes_are_r_times_the_counts(problem):
    counts, k, r = problem
    sizes = resolve_class_parameters(counts, k=k, r=r).sizes
    np.testing.assert_array_equal(sizes > 0, counts > 0)
    assert ((np.abs(sizes - r * counts) <= 0.5) | (sizes == 1))[counts > 0].all()
    balanced = resolve_class_parameters(counts, k=k, r="balance")
    assert set(balanced.sizes[counts > 0]) == {counts.max()}
    moderate = resolve_class_parameters(counts, k=k, r="moderate").sizes
    most = np.minimum(balanced.sizes, np.rint(MODERATE_R * counts))
    np.testing.assert_array_equal(moderate, most)
    assert balanced.k_max <= counts.max() - 1
    assert balanced.without_neighbors().k_max == 0
    groups = balanced.group("minority"), balanced.group("majority")
    assert sorted([*groups[0], *groups[1]]) == np.flatnonzero(counts).tolist()
    assert set(groups[0]) == set(balanced.minority)


@holds(40, problem=problems(), factor=st.integers(1, 1000))
def test_more_data_of_the_same_proportions_changes_no_class(problem, factor):
    counts, k, _ = problem
    assert minority_classes(factor * counts) == minority_classes(counts)
    for r in ("balance", "moderate"):
        sizes = resolve_class_parameters(counts, k=k, r=r).sizes
        more = resolve_class_parameters(factor * counts, k=k, r=r).sizes
        np.testing.assert_array_equal(more, factor * sizes)


@holds(
    40,
    problem=problems(),
    k=st.integers(0, 9),
    k_majority=st.none() | st.integers(0, 9),
    r=st.floats(0.01, 6),
)
def test_one_value_is_short_for_one_value_per_class(problem, k, k_majority, r):
    counts = problem[0] + 1
    minority = minority_classes(counts)
    assume(minority)
    rest = k if k_majority is None else k_majority
    ks = [k if j in minority else rest for j in range(len(counts))]
    rs = [r if j in minority else 1 for j in range(len(counts))]
    short = resolve_class_parameters(counts, k=k, k_majority=k_majority, r=r)
    long = resolve_class_parameters(
        counts, k=dict(enumerate(ks)), r=dict(enumerate(rs)), minority=minority
    )
    np.testing.assert_array_equal(short.k, long.k)
    np.testing.assert_array_equal(short.sizes, long.sizes)


@holds(20, problem=problems(), seed=SEEDS)
def test_reference_samples_are_of_the_classes_that_are_not_overloaded(problem, seed):
    counts, k, _ = problem
    counts = np.where(k == 0, 7 * counts, counts)
    parameters = resolve_class_parameters(counts, k=k)
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    drawn = reference_samples(classes, parameters, rng)
    assert len(set(drawn.tolist())) == len(drawn)
    wanted = (k == 0) & (parameters.k_max > 0)
    per_class = np.bincount(classes[drawn], minlength=len(counts))
    expected = np.where(wanted, np.minimum(counts, REFERENCE_SAMPLES), 0)
    np.testing.assert_array_equal(per_class, expected)


# The slots of a batch.


@st.composite
def batches(draw):
    b, k, d = draw(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(1, 3)))
    values = st.floats(-9, 9, width=32, allow_subnormal=False)
    embedding = draw(st_np.arrays(np.float32, (b, d), elements=values))
    neighbors = draw(st_np.arrays(np.float32, (b, k, d), elements=values))
    w = draw_weights(draw(st_np.arrays(bool, (b, k))), np.random.default_rng(0))
    return embedding, neighbors, w


@holds(15, batch=batches(), data=st.data())
def test_slots_follow_samples_and_neighbors_and_ignore_what_is_missing(batch, data):
    embedding, neighbors, w = batch
    b, k, _ = neighbors.shape
    slots = np.asarray(fill_slots(embedding, neighbors, w))
    np.testing.assert_array_equal(slots[:, 0], embedding)
    rows = np.array(data.draw(st.permutations(range(b))))[:, None]
    columns = np.array([0, *data.draw(st.permutations(range(1, k + 1)))])
    missing = (w[:, 1:] == 0)[..., None]
    junk = np.where(missing, np.float32(np.nan), neighbors)
    moved = fill_slots(
        embedding[rows[:, 0]], junk[rows, columns[1:] - 1], w[rows, columns]
    )
    np.testing.assert_array_equal(moved, slots[rows, columns])


@pytest.fixture(scope="module")
def head():
    """g with 3 classes, whose classes can be reordered."""
    keras.utils.set_random_seed(0)
    softmax = keras.layers.Dense(3, activation="softmax")
    return keras.Sequential([keras.Input((2,)), softmax])


@holds(
    6,
    slots=st_np.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.just(2)),
        elements=st.floats(-9, 9, width=32, allow_subnormal=False),
    ),
    names=st.permutations(range(3)),
)
def test_logits_are_those_of_each_slot_alone_and_follow_the_classes(head, slots, names):
    names = list(names)
    logits = np.asarray(slot_logits(head, slots))
    kernel, bias = head.get_weights()
    for i, s in np.ndindex(slots.shape[:2]):
        alone = slot_logits(head, slots[i : i + 1, s : s + 1])
        np.testing.assert_allclose(alone[0, 0], logits[i, s], rtol=1e-5, atol=1e-5)
    try:
        head.set_weights([kernel[:, names], bias[names]])
        moved = slot_logits(head, slots)
    finally:
        head.set_weights([kernel, bias])
    np.testing.assert_allclose(moved, logits[..., names], rtol=1e-5, atol=1e-5)
