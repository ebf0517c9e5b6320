"""Tests of keras_dos.datasets.imbalance."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.datasets import make_imbalanced
from keras_dos.labels import class_counts, minority_classes

SEEDS = range(5)


def shuffled_labels(counts, seed=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


def kept_counts(labels, indices, n_classes):
    """Counts by a plain loop, after a check of the indices themselves."""
    assert indices.dtype == np.int64
    assert indices.tolist() == sorted(set(indices.tolist()))
    counts = [0] * n_classes
    for index in indices.tolist():
        counts[labels[index]] += 1
    return counts


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.0, 0.37, 0.9, 0.999])
def test_random_reduces_four_classes_exactly(seed, rate):
    counts = [300, 41, 500, 77, 120, 260, 90]
    labels = shuffled_labels(counts, seed)
    kept = make_imbalanced(labels, reduction_rate=rate, seed=seed)
    reduced = [max(1, round(n * (1 - rate))) for n in counts]
    actual = kept_counts(labels, kept, 7)
    assert all(k in (n, r) for k, n, r in zip(actual, counts, reduced, strict=True))
    if rate > 0:
        n_reduced = sum(k < n for k, n in zip(actual, counts, strict=True))
        assert n_reduced == 4


def test_random_is_the_default_with_the_reduction_rate_of_the_paper():
    labels = shuffled_labels([100] * 10)
    counts = class_counts(labels[make_imbalanced(labels)])
    assert sorted(counts.tolist()) == [10] * 4 + [100] * 6
    np.testing.assert_array_equal(
        make_imbalanced(labels),
        make_imbalanced(labels, "random", reduction_rate=0.9, minority=4, seed=0),
    )


@pytest.mark.parametrize("minority", [[0, 3], (3, 0), np.array([0, 3])])
def test_random_reduces_the_named_classes(minority):
    counts = [100, 50, 0, 30]
    labels = shuffled_labels(counts)
    kept = make_imbalanced(labels, minority=minority, reduction_rate=0.8)
    assert kept_counts(labels, kept, 4) == [20, 50, 0, 6]


def test_random_draws_other_minority_classes_with_other_seeds():
    labels = shuffled_labels([50] * 10)
    drawn = {
        minority_classes(class_counts(labels[make_imbalanced(labels, seed=seed)]))
        for seed in range(20)
    }
    assert len(drawn) > 10
    assert {len(classes) for classes in drawn} == {4}
    assert {c for classes in drawn for c in classes} == set(range(10))


def test_random_draws_the_minority_among_the_classes_with_samples():
    labels = shuffled_labels([50, 0, 0, 50])
    for seed in SEEDS:
        kept = make_imbalanced(labels, minority=1, seed=seed)
        assert sorted(kept_counts(labels, kept, 4)) == [0, 0, 5, 50]


def test_exp_gives_the_counts_of_cifar_10_lt():
    labels = shuffled_labels([5000] * 10)
    kept = make_imbalanced(labels, "exp")
    assert kept_counts(labels, kept, 10) == [
        *(5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    ]


@pytest.mark.parametrize("ratio", [1, 3, 7, 49, 50.0, 300])
def test_exp_ends_at_the_ratio_exactly(ratio):
    labels = shuffled_labels([2100, 2100, 2100])
    kept = make_imbalanced(labels, "exp", ratio=ratio)
    middle = int(2100 / ratio**0.5)
    assert kept_counts(labels, kept, 3) == [2100, middle, 2100 // ratio]


@pytest.mark.parametrize(("base", "n"), [(2, 6), (3, 6), (2, 10), (7, 4)])
def test_exp_keeps_whole_numbers_where_the_ratio_is_a_power(base, n):
    labels = np.repeat(np.arange(n), base ** (n - 1))
    kept = make_imbalanced(labels, "exp", ratio=base ** (n - 1))
    expected = [base ** (n - 1 - j) for j in range(n)]
    assert np.bincount(labels[kept]).tolist() == expected


def test_exp_leaves_smaller_classes_and_one_sample():
    labels = shuffled_labels([100, 7, 0, 100, 100])
    kept = make_imbalanced(labels, "exp", ratio=10_000)
    assert kept_counts(labels, kept, 5) == [100, 7, 0, 1, 1]


@pytest.mark.parametrize(
    ("counts", "ratio", "expected"),
    [
        ([500] * 4, None, [500, 500, 5, 5]),
        ([500] * 5, 10, [500, 500, 500, 50, 50]),
        ([500, 20, 30, 500], 10, [500, 20, 30, 50]),
        ([50, 50], 1000, [50, 1]),
    ],
)
def test_step_reduces_the_last_half(counts, ratio, expected):
    labels = shuffled_labels(counts)
    kept = make_imbalanced(labels, "step", ratio=ratio)
    assert kept_counts(labels, kept, len(counts)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 0.61, 0.95])
def test_gaussian_reaches_the_overall_reduction_exactly(seed, rate):
    counts = [300, 41, 500, 77, 0, 120, 260, 90]
    labels = shuffled_labels(counts, seed)
    kept = make_imbalanced(labels, "gaussian", reduction_rate=rate, seed=seed)
    actual = kept_counts(labels, kept, 8)
    assert len(kept) == labels.size - round(labels.size * rate)
    assert actual[4] == 0
    assert min(actual[:4] + actual[5:]) >= 1


def test_gaussian_deletes_most_from_the_middle_of_a_random_order():
    """Losses, sorted, follow the Gaussian by Monte Carlo; the classes change places."""
    labels = shuffled_labels([1000] * 6)
    rng = np.random.default_rng(0)
    positions = np.rint(rng.normal(2.5, 1.0, size=200_000))
    expected = sorted(np.mean(positions == j) for j in range(6))
    expected = np.array(expected) / sum(expected)
    most_reduced = set()
    for seed in SEEDS:
        kept = make_imbalanced(labels, "gaussian", reduction_rate=0.4, seed=seed)
        losses = 1000 - class_counts(labels[kept])
        # Standard deviations of the fractions are below 0.01.
        np.testing.assert_allclose(np.sort(losses) / 2400, expected, atol=0.03)
        most_reduced.add(int(losses.argmax()))
    assert len(most_reduced) > 2, "the middle two are not always the same classes"


def test_gaussian_goes_on_when_a_class_is_used_up():
    labels = shuffled_labels([1000, 10, 10, 10])
    kept = make_imbalanced(labels, "gaussian", reduction_rate=1026 / 1030)
    assert kept_counts(labels, kept, 4) == [1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"at most 1026 of 1030 samples.*: reduction"):
        make_imbalanced(labels, "gaussian", reduction_rate=1027 / 1030)


@pytest.mark.parametrize("profile", ["random", "exp", "step", "gaussian"])
def test_same_seed_same_indices(profile):
    labels = shuffled_labels([200] * 6)
    first = make_imbalanced(labels, profile, seed=3)
    np.testing.assert_array_equal(first, make_imbalanced(labels, profile, seed=3))
    assert first.tolist() != make_imbalanced(labels, profile, seed=4).tolist()


def test_kept_samples_are_drawn_uniformly():
    labels = np.repeat([0, 1], [20, 10])
    times_kept = np.zeros(30)
    for seed in range(1000):
        kept = make_imbalanced(labels, "step", ratio=5, seed=seed)
        times_kept[kept] += 1
    assert times_kept[:20].tolist() == [1000] * 20
    # Binomial(1000, 0.4): a standard deviation of 15.5.
    np.testing.assert_allclose(times_kept[20:], 400, atol=62)


@pytest.mark.parametrize(
    ("profile", "arguments", "message"),
    [
        ("linear", {}, r"`profile` must be one of.*Received: profile='linear'"),
        (["exp"], {}, r"`profile` must be one of.*Received: profile=\['exp'\]"),
        ("random", {"reduction_rate": 1.2}, r"Received: reduction_rate=1\.2\."),
        ("random", {"reduction_rate": 1}, r"less than 1.*reduction_rate=1\."),
        ("gaussian", {"reduction_rate": -0.1}, r"Received: reduction_rate=-0\.1\."),
        ("gaussian", {"reduction_rate": np.nan}, r"Received: reduction_rate=nan\."),
        ("exp", {"ratio": 0.5}, r"at least 1.*Received: ratio=0\.5\."),
        ("step", {"ratio": np.inf}, r"finite.*Received: ratio=inf\."),
        ("random", {"minority": 0}, r"Received: minority=0\."),
        ("random", {"minority": 6}, r"at most 5\. Received: minority=6\."),
        ("random", {"minority": []}, "1 to 5 different classes of 6"),
        ("random", {"minority": [6]}, "classes from 0 to 5.*class 6"),
        ("random", {"minority": [-1]}, "classes from 0 to 5.*class -1"),
        ("random", {"minority": [1, 1]}, "different classes"),
        ("random", {"minority": [1.0]}, r"classes from 0 to 5.*class 1\.0"),
        ("random", {"minority": range(6)}, "1 to 5 different classes of 6"),
        ("random", {"seed": -1}, r"Received: seed=-1\."),
        ("random", {"ratio": 100}, r"`ratio` must be left out: profile='random'.*=100"),
        ("random", {"counts": [1] * 6}, "`counts` must be left out"),
        ("exp", {"reduction_rate": 0.9}, "`reduction_rate` must be left.*'exp' does"),
        ("exp", {"minority": 4}, "`minority` must be left out: profile='exp' does"),
        ("step", {"minority": [1]}, "`minority` must be left out: profile='step' does"),
        ("step", {"reduction_rate": 0.9}, "`reduction_rate` must be left.*'step' does"),
        ("gaussian", {"ratio": 1}, "`ratio` must be left out: profile='gaussian' does"),
        ("gaussian", {"minority": 4}, "`minority` must be left out.*'gaussian' does"),
    ],
)
def test_wrong_arguments_raise(profile, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_imbalanced(shuffled_labels([20] * 6), profile, **arguments)


@pytest.mark.parametrize(
    ("profile", "arguments"),
    [
        ("random", {"minority": 1.5}),
        ("random", {"minority": True}),
        ("random", {"minority": {1}}),
        ("random", {"minority": [[1]]}),
        ("random", {"seed": None}),
        ("random", {"seed": True}),
        ("random", {"reduction_rate": "0.9"}),
        ("gaussian", {"reduction_rate": [0.9]}),
        ("exp", {"ratio": "100"}),
    ],
)
def test_arguments_of_wrong_type_raise(profile, arguments):
    (received,) = (f"{name}={value!r}." for name, value in arguments.items())
    with pytest.raises(TypeError, match=f"Received: {re.escape(received)}"):
        make_imbalanced(shuffled_labels([20] * 6), profile, **arguments)


def test_minority_without_samples_raises():
    labels = shuffled_labels([20, 0, 20])
    with pytest.raises(ValueError, match=r"but \[1\], which have no.*: class 1\."):
        make_imbalanced(labels, minority=[1])


def test_arguments_are_checked_before_a_dataset_is_read():
    def examples():
        raise AssertionError("The dataset was read.")
        yield

    spec = (tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32))
    dataset = tf.data.Dataset.from_generator(examples, output_signature=spec)
    for profile, arguments in (
        ("exp", {"minority": 4}),
        ("exp", {"ratio": 0.5}),
        ("random", {"reduction_rate": 1}),
        ("random", {"seed": -1}),
    ):
        with pytest.raises(ValueError, match="Received"):
            make_imbalanced(dataset, profile, **arguments)


def test_labels_of_one_class_raise():
    with pytest.raises(ValueError, match=r"at least two classes.*\[0, 3\]"):
        make_imbalanced([1, 1, 1], "exp")


def test_default_minority_needs_five_classes():
    with pytest.raises(ValueError, match=r"at most 2\. Received: minority=4\."):
        make_imbalanced(shuffled_labels([20] * 3))


@pytest.mark.parametrize("counts", [[10, 3, 25], {1: 3}, np.array([10, 3, 25])])
def test_counts_are_kept_as_they_are_given(counts):
    labels = np.repeat([0, 1, 2], [10, 20, 25])
    kept = make_imbalanced(labels, "counts", counts=counts, seed=1)
    np.testing.assert_array_equal(class_counts(labels[kept]), [10, 3, 25])
    again = make_imbalanced(labels, "counts", counts=counts, seed=2)
    assert (kept != again).any()


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        (None, ValueError, "must be 4 integers, one per class.*: counts=None"),
        (9, ValueError, "must be 4 integers, one per class.*: counts=9"),
        ([1, 2], ValueError, r"must be 4 integers.*: counts=\[1, 2\]"),
        ([10, 2.5, 25, 0], ValueError, r"must be 4 integers.*: counts=\[10, 2\.5"),
        ([10, -1, 25, 0], ValueError, "must be 4 integers, one per class, none neg"),
        ([10, 0, 25, 0], ValueError, r"least 1 and at most 20.*: counts\[1\]=0"),
        ([10, 21, 25, 0], ValueError, r"least 1 and at most 20.*: counts\[1\]=21"),
        ([10, True, 25, 0], TypeError, r"Received: counts\[1\]=True"),
        ([10, 20, 25, 1], ValueError, r"but \[3\], which have no samples.*class 3"),
        ({3: 0}, ValueError, r"but \[3\], which have no samples.*class 3"),
        ({4: 1}, ValueError, "classes from 0 to 3.*class 4"),
        ({-1: 1}, ValueError, "classes from 0 to 3.*class -1"),
        ({"1": 1}, ValueError, "classes from 0 to 3.*class '1'"),
        ({1: 2.5}, TypeError, r"Received: counts\[1\]=2\.5"),
    ],
)
def test_counts_that_cannot_be_kept_are_refused(counts, error, message):
    # Class 3 has no samples.
    labels = np.eye(4)[np.repeat([0, 1, 2], [10, 20, 25])]
    with pytest.raises(error, match=f"`counts.*{message}"):
        make_imbalanced(labels, "counts", counts=counts)


def test_counts_leave_out_classes_without_samples():
    labels = np.eye(3)[np.repeat([0, 2], [10, 20])]
    for counts in ([4, 0, 5], {0: 4, 2: 5}):
        kept = make_imbalanced(labels, "counts", counts=counts)
        assert class_counts(labels[kept]).tolist() == [4, 0, 5]


def test_counts_go_with_their_profile_only():
    with pytest.raises(ValueError, match=r"'exp' does not use it.*: counts="):
        make_imbalanced([0, 1, 1], "exp", counts=[1, 1])
