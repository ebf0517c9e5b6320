"""Tests of keras_dos.datasets.selection."""

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.datasets import make_imbalanced, select
from keras_dos.datasets.selection import read_labels

SEEDS = range(5)


def labels_and_images():
    labels = np.repeat(np.arange(6), [30, 20, 10, 6, 6, 4])
    labels = np.random.default_rng(0).permutation(labels)
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
    read = read_labels(dataset)
    np.testing.assert_array_equal(read, elements[form][1][: len(read)])
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
    counts = np.bincount(np.arange(50)[kept] % 5)
    assert counts.tolist() == [10, 10, 10, 1, 1]
    assert reads == ["a pass"]


def test_labels_that_batches_and_one_hot_vectors_share_raise():
    # Ten features and ten classes, or batches of ten scalars?
    dataset = tf.data.Dataset.from_tensor_slices((np.ones((10, 10)), np.eye(10)))
    with pytest.raises(ValueError, match="as well as single one-hot vectors"):
        make_imbalanced(dataset)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (tf.data.Dataset.range(4), r"of \(x, y\)"),
        (tf.data.Dataset.from_tensor_slices({"x": [1], "y": [1]}), "element_spec="),
        (
            tf.data.Dataset.from_tensor_slices(([1], {"digit": [1]})),
            "one dense tensor of labels",
        ),
        (
            tf.data.Dataset.from_generator(
                lambda: [([1], [1])], output_types=(tf.int32, tf.int32)
            ),
            "of known rank",
        ),
        (tf.data.Dataset.from_tensor_slices(([1],) * 4), r"of \(x, y\)"),
        (
            tf.data.Dataset.from_tensor_slices(([1, 2], [0, 1])).repeat(),
            r"finite.*call `repeat\(\)` after.*Received: infinitely many elements\.",
        ),
        (
            tf.data.Dataset.from_tensor_slices(([1], [1])).take(0),
            r"at least one element.*Received: no elements\.",
        ),
        (
            tf.data.Dataset.from_tensor_slices(([1], [1])).filter(lambda x, y: y > 1),
            r"at least one element.*Received: no elements\.",
        ),
    ],
)
def test_wrong_datasets_raise(dataset, message):
    with pytest.raises(ValueError, match=f"`labels` must .*{message}"):
        make_imbalanced(dataset)


def test_datasets_of_names_raise():
    dataset = tf.data.Dataset.from_tensor_slices(([1, 2], ["cat", "dog"]))
    with pytest.raises(TypeError, match="Map names to indices"):
        make_imbalanced(dataset)


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
    with pytest.raises(ValueError, match=r"`indices` must.*strictly ascending"):
        select(data, indices)


def test_indices_out_of_range_raise():
    with pytest.raises(ValueError, match=r"smaller than the 5 samples.*Received: 5\."):
        select(np.arange(5), [0, 5])
    batched = tf.data.Dataset.range(20).batch(5)
    with pytest.raises(ValueError, match=r"4 samples.*`unbatch\(\)` a.*Received: 4\."):
        select(batched, [0, 4])


def test_indices_beyond_a_dataset_of_unknown_size_raise_when_it_is_read():
    dataset = tf.data.Dataset.range(5).filter(lambda _: True)
    with pytest.raises(tf.errors.FailedPreconditionError, match="2 elements but"):
        list(select(dataset, [0, 5]))


@pytest.mark.parametrize("data", [[1, 2, 3], (np.arange(3), None), np.float64(3), "ab"])
def test_data_that_is_not_arrays_raises(data):
    with pytest.raises(TypeError, match="nested structure of arrays"):
        select(data, [0])


def test_arrays_of_different_lengths_raise():
    with pytest.raises(ValueError, match=r"Received: lengths=\[3, 4\]"):
        select((np.arange(3), np.arange(4)), [0])
    with pytest.raises(ValueError, match=r"Received: lengths=\[\]"):
        select((), [0])


@pytest.mark.parametrize("read", [make_imbalanced, lambda data: select(data, [1, 2])])
def test_a_dataset_that_reshuffles_is_refused(read):
    labels, images = labels_and_images()
    dataset = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(9)
        .map(lambda x, y: (x, y))
    )
    with pytest.raises(ValueError, match=r"same order.*Received: a dataset that resh"):
        read(dataset)


@pytest.mark.parametrize("read", [make_imbalanced, lambda data: select(data, [1, 2])])
def test_parallel_calls_that_do_not_keep_the_order_are_refused(read):
    labels, images = labels_and_images()
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    mapped = dataset.map(lambda x, y: (x, y), num_parallel_calls=2, deterministic=False)
    with pytest.raises(ValueError, match=r"same order.*leave out deterministic=False"):
        read(mapped)


@pytest.mark.parametrize(
    "fix",
    [
        lambda data: data.shuffle(99, reshuffle_each_iteration=False),
        lambda data: data.shuffle(99).cache(),
    ],
)
def test_select_takes_a_dataset_that_was_shuffled_once(fix):
    labels, images = labels_and_images()
    dataset = fix(tf.data.Dataset.from_tensor_slices((images, labels)))
    kept = make_imbalanced(dataset, "step", ratio=4)
    expected = [y for _, y in dataset.as_numpy_iterator()]
    selected = [y for _, y in select(dataset, kept).as_numpy_iterator()]
    assert selected == [expected[i] for i in kept]


@pytest.mark.parametrize("seed", [None, 7])
def test_a_mixture_needs_a_seed(seed):
    labels, images = labels_and_images()
    parts = [
        tf.data.Dataset.from_tensor_slices((images[rows], labels[rows]))
        for rows in (slice(30), slice(30, None))
    ]
    tf.random.set_seed(None)  # One that another test has set would fix the order.
    mixture = tf.data.Dataset.sample_from_datasets(parts, seed=seed)
    if seed is None:
        with pytest.raises(ValueError, match="give `sample_from_datasets` a seed"):
            make_imbalanced(mixture, "step", ratio=4)
        return
    kept = make_imbalanced(mixture, "step", ratio=4)
    expected = [y for _, y in mixture.as_numpy_iterator()]
    selected = [y for _, y in select(mixture, kept).as_numpy_iterator()]
    assert selected == [expected[i] for i in kept]
