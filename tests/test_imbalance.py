"""Tests of keras_dos.imbalance."""

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.imbalance import (
    class_counts,
    make_imbalanced,
    minority_classes,
    select,
    sparse_labels,
)

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


# Labels


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1, 2],
        np.array([2, 0, 1, 2], dtype="uint8"),
        np.array([[2], [0], [1], [2]]),
        np.array([2.0, 0.0, 1.0, 2.0], dtype="float32"),
        np.eye(3)[[2, 0, 1, 2]],
        np.eye(3, dtype=bool)[[2, 0, 1, 2]],
        tf.constant([2, 0, 1, 2]),
    ],
)
def test_all_forms_of_labels_become_sparse(labels):
    for n_classes in (None, 3):
        sparse = sparse_labels(labels, n_classes)
        assert sparse.dtype == np.int64
        assert sparse.tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], r"at least one label\. Received: shape=\(0,\)"),
        (np.empty((0, 3)), r"at least one label\. Received: shape=\(0, 3\)"),
        (3, r"Received: shape=\(\)"),
        (np.zeros((2, 2, 2)), r"Received: shape=\(2, 2, 2\)"),
        (["cat", "dog"], r"Map names to indices.*Received: dtype=<U3"),
        ([None, 1], "Received: dtype=object"),
        ([0, -1], r"drop samples without a label first\. Received: -1"),
        ([0, 0.5], r"whole numbers.*Label smoothing belongs into the loss.*: 0\.5"),
        ([0, np.nan], r"whole numbers.*Received: nan"),
        ([0, np.inf], r"whole numbers.*Received: inf"),
        ([0, 1e30], r"whole numbers.*Received: 1e\+30"),
        (np.array([2**63], "uint64"), r"whole numbers.*Received: 9223372036854775808"),
        ([[0.9, 0.1], [0, 1]], "one-hot.*Label smoothing belongs into the loss"),
        ([[1, 1], [0, 1]], "one-hot.*exactly one class"),
        ([[0, 0], [0, 1]], "one-hot.*exactly one class"),
        ([[2, -1], [0, 1]], "one-hot"),
    ],
)
def test_wrong_labels_raise(labels, message):
    with pytest.raises(ValueError, match=message):
        sparse_labels(labels)
    with pytest.raises(ValueError, match=message):
        class_counts(labels)


@pytest.mark.parametrize(
    ("labels", "n_classes", "message"),
    [
        ([0, 3], 3, r"smaller than n_classes=3\. Received: 3"),
        (np.eye(3), 4, r"n_classes=4 columns\. Received: shape=\(3, 3\)"),
        (np.eye(3), 2, r"n_classes=2 columns"),
        ([0], 0, r"at least 1\. Received: n_classes=0"),
        ([0], 2.0, r"Received: n_classes=2\.0"),
        ([0], True, r"Received: n_classes=True"),
    ],
)
def test_labels_that_do_not_fit_n_classes_raise(labels, n_classes, message):
    with pytest.raises(ValueError, match=message):
        sparse_labels(labels, n_classes)


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_equal_a_plain_loop(seed):
    labels = np.random.default_rng(seed).integers(6, size=50)
    counts = class_counts(labels, 8)
    assert counts.dtype == np.int64
    assert counts.tolist() == [sum(1 for v in labels if v == c) for c in range(8)]


def test_number_of_classes_is_that_of_the_largest_index_or_of_the_columns():
    assert class_counts([0, 3]).tolist() == [1, 0, 0, 1]
    assert class_counts(np.eye(5)[[0, 3]]).tolist() == [1, 0, 0, 1, 0]
    assert class_counts([[0], [3]]).tolist() == [1, 0, 0, 1]


# Minority classes


@pytest.mark.parametrize(
    ("counts", "minority"),
    [
        ([100, 49, 50, 0, 1], (1, 4)),
        ([5, 5, 5], ()),
        ([7, 3, 4], (1,)),
        (np.array([7, 3], dtype="uint8"), (1,)),
        ([0, 0], ()),
    ],
)
def test_minority_classes_have_fewer_than_half_of_the_largest(counts, minority):
    assert minority_classes(counts) == minority


@pytest.mark.parametrize("counts", [[], [[1, 2]], [1, -1], [1.0, 2.0], 3])
def test_wrong_counts_raise(counts):
    with pytest.raises(ValueError, match="counts must be a non-empty vector"):
        minority_classes(counts)


# Profiles


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
        # Standard deviations of the shares are below 0.01.
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
        ("linear", {}, r"profile must be one of.*Received: profile='linear'"),
        ("random", {"reduction_rate": 1.2}, r"Received: reduction_rate=1\.2\."),
        ("random", {"reduction_rate": 1}, r"less than 1.*reduction_rate=1\."),
        ("gaussian", {"reduction_rate": -0.1}, r"Received: reduction_rate=-0\.1\."),
        ("gaussian", {"reduction_rate": np.nan}, r"Received: reduction_rate=nan\."),
        ("exp", {"ratio": 0.5}, r"at least 1.*Received: ratio=0\.5\."),
        ("step", {"ratio": np.inf}, r"finite.*Received: ratio=inf\."),
        ("random", {"minority": 0}, r"Received: minority=0\."),
        ("random", {"minority": 6}, r"Received: minority=6 of 6 classes"),
        ("random", {"minority": 1.5}, r"Received: minority=1\.5\."),
        ("random", {"minority": True}, r"Received: minority=True\."),
        ("random", {"minority": []}, "at least one and not all"),
        ("random", {"minority": [6]}, "different classes that have samples"),
        ("random", {"minority": [-1]}, "different classes that have samples"),
        ("random", {"minority": [1, 1]}, "different classes that have samples"),
        ("random", {"minority": [1.0]}, "different classes that have samples"),
        ("random", {"minority": range(6)}, "at least one and not all"),
        ("random", {"seed": -1}, r"Received: seed=-1\."),
        ("random", {"seed": None}, r"Received: seed=None\."),
        ("random", {"ratio": 100}, r"profile='random' does not use ratio.*ratio=100"),
        ("exp", {"reduction_rate": 0.9}, "'exp' does not use reduction_rate"),
        ("exp", {"minority": 4}, "'exp' does not use minority"),
        ("step", {"minority": [1]}, "'step' does not use minority"),
        ("step", {"reduction_rate": 0.9}, "'step' does not use reduction_rate"),
        ("gaussian", {"ratio": 1}, "'gaussian' does not use ratio"),
        ("gaussian", {"minority": 4}, "'gaussian' does not use minority"),
    ],
)
def test_wrong_arguments_raise(profile, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_imbalanced(shuffled_labels([20] * 6), profile, **arguments)


def test_labels_of_one_class_raise():
    with pytest.raises(ValueError, match="at least two classes"):
        make_imbalanced([1, 1, 1], "exp")


def test_default_minority_needs_five_classes():
    with pytest.raises(ValueError, match=r"default is 4.*minority=4 of 3 classes"):
        make_imbalanced(shuffled_labels([20] * 3))


# Datasets


def labels_and_images(counts=(30, 20, 10, 6, 6, 4)):
    labels = shuffled_labels(counts)
    return labels, np.arange(labels.size * 4, dtype="float32").reshape(-1, 2, 2)


@pytest.mark.parametrize(
    "batch",
    [
        lambda dataset: dataset,
        lambda dataset: dataset.batch(7),
        lambda dataset: dataset.batch(4, drop_remainder=True),
        lambda dataset: dataset.batch(100),
        lambda dataset: dataset.batch(1),
        lambda dataset: dataset.filter(lambda *_: True).batch(5),
    ],
)
@pytest.mark.parametrize("form", ["sparse", "column", "one-hot", "weighted", "nested"])
def test_datasets_give_the_indices_of_their_labels(batch, form):
    labels, images = labels_and_images()
    elements = {
        "sparse": (images, labels),
        "column": (images, labels[:, np.newaxis].astype("uint8")),
        "one-hot": (images, np.eye(6, dtype="float32")[labels]),
        "weighted": (images, labels, np.ones(labels.size)),
        "nested": ({"image": images, "id": np.arange(labels.size)}, labels),
    }
    dataset = batch(tf.data.Dataset.from_tensor_slices(elements[form]))
    np.testing.assert_array_equal(
        make_imbalanced(dataset, reduction_rate=0.5, seed=2),
        make_imbalanced(labels, reduction_rate=0.5, seed=2),
    )


def test_dataset_is_read_once():
    reads = []

    def examples():
        reads.append("a pass")
        yield from ((float(i), i % 5) for i in range(50))

    spec = (tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32))
    dataset = tf.data.Dataset.from_generator(examples, output_signature=spec)
    kept = make_imbalanced(dataset, "step", ratio=10)
    assert kept_counts(np.arange(50) % 5, kept, 5) == [10, 10, 10, 1, 1]
    assert reads == ["a pass"]


def test_labels_that_batches_and_one_hot_vectors_share_raise():
    # Ten features and ten classes, or batches of ten scalars?
    dataset = tf.data.Dataset.from_tensor_slices((np.ones((10, 10)), np.eye(10)))
    with pytest.raises(ValueError, match="as well as single one-hot vectors"):
        make_imbalanced(dataset)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (tf.data.Dataset.range(4), r"must have \(x, y\)"),
        (tf.data.Dataset.from_tensor_slices({"x": [1], "y": [1]}), "element_spec="),
        (
            tf.data.Dataset.from_tensor_slices(([1], {"digit": [1]})),
            "one dense tensor of labels",
        ),
        (
            tf.data.Dataset.from_tensor_slices(([1, 2], [0, 1])).repeat(),
            r"must be finite; call `repeat\(\)` after",
        ),
        (tf.data.Dataset.from_tensor_slices(([1], [1])).take(0), "at least one elem"),
        (
            tf.data.Dataset.from_tensor_slices(([1, 2], ["cat", "dog"])),
            "Map names to indices",
        ),
    ],
)
def test_wrong_datasets_raise(dataset, message):
    with pytest.raises(ValueError, match=message):
        make_imbalanced(dataset)


# Selection


def test_select_takes_rows_of_nested_arrays():
    data = {"x": np.arange(12).reshape(6, 2), "more": (np.arange(6.0), [np.arange(6)])}
    selected = select(data, np.array([0, 4, 5]))
    assert selected["x"].tolist() == [[0, 1], [8, 9], [10, 11]]
    assert isinstance(selected["more"], tuple)
    assert selected["more"][0].tolist() == [0.0, 4.0, 5.0]
    assert selected["more"][1][0].tolist() == [0, 4, 5]


def test_select_takes_rows_of_tensors():
    x, y = select((tf.range(4), np.arange(4)), [1, 3])
    assert x.tolist() == y.tolist() == [1, 3]


@pytest.mark.parametrize("cardinality_known", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_select_takes_examples_of_a_dataset(seed, cardinality_known):
    labels, images = labels_and_images()
    dataset = tf.data.Dataset.from_tensor_slices(({"image": images}, labels))
    if not cardinality_known:
        dataset = dataset.filter(lambda *_: True)
    kept = make_imbalanced(dataset, "gaussian", reduction_rate=0.6, seed=seed)
    selected = select(dataset, kept)
    assert selected.element_spec == dataset.element_spec
    assert selected.cardinality() == kept.size
    for _ in range(2):  # The dataset can be read again.
        elements = list(selected.as_numpy_iterator())
        np.testing.assert_array_equal([y for _, y in elements], labels[kept])
        np.testing.assert_array_equal([x["image"] for x, _ in elements], images[kept])


def test_select_takes_bare_examples():
    assert list(select(tf.data.Dataset.range(9), [0, 8]).as_numpy_iterator()) == [0, 8]


@pytest.mark.parametrize(
    "indices", [[], [1, 0], [1, 1], [-1, 2], [0.0, 1.0], [[0], [1]], [True, False]]
)
@pytest.mark.parametrize("data", [np.arange(5), tf.data.Dataset.range(5)])
def test_wrong_indices_raise(data, indices):
    with pytest.raises(ValueError, match="strictly ascending"):
        select(data, indices)


def test_indices_out_of_range_raise():
    with pytest.raises(ValueError, match=r"smaller than the 5 samples.*Received: 5\."):
        select(np.arange(5), [0, 5])
    batched = tf.data.Dataset.range(20).batch(5)
    with pytest.raises(ValueError, match=r"4 examples of the dataset; is it batched\?"):
        select(batched, [0, 4])


@pytest.mark.parametrize("data", [[1, 2, 3], (np.arange(3), None), np.float64(3), "ab"])
def test_data_that_are_no_arrays_raise(data):
    with pytest.raises(TypeError, match="nested structure of arrays"):
        select(data, [0])


def test_arrays_of_different_lengths_raise():
    with pytest.raises(ValueError, match=r"Received: lengths=\[3, 4\]"):
        select((np.arange(3), np.arange(4)), [0])
    with pytest.raises(ValueError, match=r"Received: lengths=\[\]"):
        select((), [0])


@pytest.mark.parametrize("counts", [[10, 3, 25], {1: 3}, np.array([10, 3, 25])])
def test_counts_are_kept_as_they_are_given(counts):
    labels = np.repeat([0, 1, 2], [10, 20, 25])
    kept = make_imbalanced(labels, "counts", counts=counts, seed=1)
    np.testing.assert_array_equal(class_counts(labels[kept]), [10, 3, 25])
    again = make_imbalanced(labels, "counts", counts=counts, seed=2)
    assert (kept != again).any()


@pytest.mark.parametrize(
    ("counts", "received"),
    [
        (None, "counts=None"),
        ([1, 2], "counts=\\[1, 2\\]"),
        ([10, 0, 25], "0 for class 1"),
        ([10, 21, 25], "21 for class 1"),
        ({3: 1}, "1 for class 3"),
        ({1: 2.5}, "counts=2.5"),
    ],
)
def test_counts_that_cannot_be_kept_are_refused(counts, received):
    labels = np.repeat([0, 1, 2], [10, 20, 25])
    with pytest.raises(ValueError, match=f"counts.*Received: {received}"):
        make_imbalanced(labels, "counts", counts=counts)


def test_counts_go_with_their_profile_only():
    with pytest.raises(ValueError, match="does not use counts"):
        make_imbalanced([0, 1, 1], "exp", counts=[1, 1])
