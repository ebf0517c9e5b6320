"""Batches of quadruplets against direct indexing."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.overloading import without_neighbors
from keras_dos.samples import InMemory
from keras_dos.samples.quadruplets import QuadrupletBatches, Quadruplets
from keras_dos.samples.shared import shared_zeros

M, D, SIZE, BATCH = 12, 3, 20, 8
X = np.random.default_rng(0).normal(size=(M, 4)).astype("float32")
Y = np.arange(M) % 3
W = np.linspace(0.5, 2.0, M).astype("float32")
WORDS = np.array([f"w{i}" for i in range(M)])


def quadruplet_batches(
    k=2, x=X, y=Y, sample_weight=None, *, size=SIZE, batch_size=BATCH, recorded=False
):
    source = InMemory(x, y, sample_weight, batch_size=batch_size, n_classes=3)
    return QuadrupletBatches(source, size, k, shared_zeros((M, D), "f4"), recorded)


def quadruplets(k, rows=7, *, seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    return Quadruplets(
        rng.integers(0, M, size),
        rng.integers(0, rows, (size, k)),
        rng.uniform(size=(size, k + 1)).astype("float32"),
        rng.normal(size=(rows, D)).astype("float32"),
    )


def assign(batches, z):
    batches.assign(z, np.zeros(len(z), np.int64))


def assert_batches(batches, z, batch_size=BATCH):
    """Check batches of X and Y against Z' by plain indexing."""
    batches = list(batches)
    assert len(batches) == -(-len(z) // batch_size)
    places = iter(range(len(z)))
    for inputs, y in batches:
        assert set(inputs) == {"x", "neighbors", "weights"}
        here = list(itertools.islice(places, batch_size))
        k = z.neighbors.shape[1]
        assert inputs["x"].shape == (len(here), 4)
        assert inputs["neighbors"].shape == (len(here), k, D)
        assert inputs["weights"].shape == (len(here), k + 1)
        assert y.shape == (len(here),)
        for row, place in enumerate(here):
            i = z.samples[place]
            assert inputs["x"][row].numpy().tolist() == X[i].tolist()
            assert y[row].numpy() == Y[i]
            np.testing.assert_array_equal(inputs["weights"][row], z.weights[place])
            for slot, neighbor in enumerate(z.neighbors[place]):
                if not z.weights[place, slot + 1]:
                    continue  # It does not exist.
                stored = inputs["neighbors"][row, slot]
                np.testing.assert_array_equal(stored, z.table[neighbor])


@pytest.mark.parametrize("k", [0, 1, 5])
@pytest.mark.parametrize("batch_size", [1, 8, 10, 20, 64])
def test_batches_are_rows_in_the_order_of_the_quadruplets(k, batch_size):
    p = quadruplet_batches(k, batch_size=batch_size)
    z = quadruplets(k)
    assign(p, z)
    assert_batches(p.dataset(), z, batch_size)


def test_a_new_iterator_sees_what_was_assigned_before_it():
    """As `fit` does it: one dataset, an iterator for each epoch."""
    p = quadruplet_batches(3)
    dataset = p.dataset()
    rounds = [
        without_neighbors(np.arange(SIZE) % M, D),
        quadruplets(3, rows=9, seed=1),
        quadruplets(3, rows=9, seed=2),
        quadruplets(3, rows=2, seed=3),
        without_neighbors(np.arange(SIZE)[::-1] % M, D),
        quadruplets(3, rows=12, seed=4),
    ]
    for z in rounds:
        assign(p, z)
        assert_batches(dataset, z.padded(3))
        assert_batches(dataset, z.padded(3))


def test_slots_that_are_added_do_not_exist():
    z = quadruplets(2)
    padded = z.padded(4)
    np.testing.assert_array_equal(padded.neighbors[:, :2], z.neighbors)
    np.testing.assert_array_equal(padded.weights[:, :3], z.weights)
    assert not padded.weights[:, 3:].any()
    assert padded.table is z.table


def test_quadruplets_without_a_table_are_over_the_last_one():
    p, z = quadruplet_batches(2), quadruplets(2)
    assign(p, z)
    assign(p, without_neighbors(np.arange(SIZE) % M, D))
    again = z.ordered(np.arange(SIZE)[::-1])
    assign(p, dataclasses.replace(again, table=again.table[:0]))
    assert_batches(p.dataset(), again)


def test_they_do_not_share_what_they_were_assigned():
    first, second = quadruplet_batches(2), quadruplet_batches(4)
    datasets = first.dataset(), second.dataset()
    assign(first, quadruplets(2, seed=1))
    assign(second, quadruplets(4, seed=2))
    assert_batches(datasets[0], quadruplets(2, seed=1))
    assert_batches(datasets[1], quadruplets(4, seed=2))


@pytest.mark.parametrize(("size", "steps"), [(20, 3), (16, 2), (17, 3), (1, 1)])
def test_the_number_of_batches_is_declared_and_constant(size, steps):
    """`fit` freezes it at the first epoch, and would cut what is longer."""
    p = quadruplet_batches(size=size)
    dataset = p.dataset()
    for z in (
        without_neighbors(np.zeros(size, np.int64), D),
        quadruplets(2, size=size),
    ):
        assign(p, z)
        assert dataset.cardinality().numpy() == steps
        sizes = [len(y) for _, y in dataset]
        assert len(sizes) == steps
        assert sum(sizes) == size


def test_rows_to_record_at_go_with_their_sample():
    """Each sample once, where it comes last; the others go to the row beyond all."""
    p = quadruplet_batches(recorded=True)
    z = quadruplets(2)
    assign(p, z)
    rows = np.concatenate([inputs["rows"] for inputs, _ in p.dataset()])
    last = {sample: place for place, sample in enumerate(z.samples)}
    for place, sample in enumerate(z.samples):
        assert rows[place] == (sample if last[sample] == place else M)


def test_sample_weights_and_labels_go_with_their_sample():
    one_hot = np.eye(3, dtype="float32")[Y]
    p = quadruplet_batches(y=one_hot, sample_weight=W)
    z = quadruplets(2)
    assign(p, z)
    batches = list(p.dataset())
    y, w = (np.concatenate([batch[part] for batch in batches]) for part in (1, 2))
    np.testing.assert_array_equal(y, one_hot[z.samples])
    np.testing.assert_array_equal(w, W[z.samples])
    assert [len(batch[2]) for batch in batches] == [8, 8, 4]


@pytest.mark.parametrize("form", ["dict", "tuple", "list", "dict in tuple"])
def test_nested_inputs_keep_their_structure(form):
    a, b = X[:, :1], X[:, 1:]
    words = WORDS
    x = {
        "dict": {"a": a, "b": b, "words": words},
        "tuple": (a, b, words),
        "list": [a, b, words],
        "dict in tuple": ({"a": a, "b": b}, words),
    }[form]
    p = quadruplet_batches(x=x)
    z = quadruplets(2)
    assign(p, z)
    batches = [inputs["x"] for inputs, _ in p.dataset()]
    as_tuple = tuple(x) if isinstance(x, list) else x  # A list is one tensor to TF.
    tf.nest.assert_same_structure(batches[0], as_tuple)
    joined = tf.nest.map_structure(lambda *t: np.concatenate(t), *batches)
    for part, source in zip(tf.nest.flatten(joined), tf.nest.flatten(x), strict=True):
        expected = source[z.samples]
        if source is words:
            expected = np.char.encode(expected)
        np.testing.assert_array_equal(part.astype(expected.dtype), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_element_spec(weighted):
    """The size of a batch is open, all others are known: XLA compiles once."""
    p = quadruplet_batches(
        x={"image": X, "word": WORDS}, sample_weight=W if weighted else None
    )
    inputs, y, *rest = p.dataset().element_spec
    assert inputs == {
        "x": {
            "image": tf.TensorSpec([None, 4], tf.float32),
            "word": tf.TensorSpec([None], tf.string),
        },
        "neighbors": tf.TensorSpec([None, 2, D], tf.float32),
        "weights": tf.TensorSpec([None, 3], tf.float32),
    }
    assert y == tf.TensorSpec([None], tf.int64)
    assert rest == ([tf.TensorSpec([None], tf.float32)] if weighted else [])


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int32", "bool"])
def test_inputs_keep_their_type(dtype):
    x = (np.arange(M * 4) % 7).reshape(M, 4).astype(dtype)
    p = quadruplet_batches(1, x)
    z = quadruplets(1)
    assign(p, z)
    rows = np.concatenate([inputs["x"] for inputs, _ in p.dataset()])
    assert rows.dtype == x.dtype
    np.testing.assert_array_equal(rows, x[z.samples])


def test_the_data_are_sharded_by_batches_under_a_strategy():
    """The automatic policy warns, for there are no files to share out."""
    options = quadruplet_batches().dataset().options()
    policy = tf.data.experimental.AutoShardPolicy.DATA
    assert options.experimental_distribute.auto_shard_policy == policy


def test_a_table_that_is_in_the_memory_already_is_not_written_again():
    source = InMemory(X, Y, batch_size=BATCH)
    memory = shared_zeros((M, D), "f4")
    p = QuadrupletBatches(source, SIZE, 2, memory)
    z = quadruplets(2)
    memory[: len(z.table)] = z.table
    inside = dataclasses.replace(z, table=memory[: len(z.table)])
    inside.table.flags.writeable = False
    assign(p, inside)
    assert_batches(p.dataset(), z)


def test_it_has_no_variables():
    """Under a strategy each would be one on every device, where tf.data cannot read."""
    p = quadruplet_batches()
    assert not [v for v in vars(p).values() if isinstance(v, tf.Variable)]
