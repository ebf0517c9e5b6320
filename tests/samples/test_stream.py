"""Streams: read anew in each epoch, aligned, and refused where they cannot be."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from alignment import EPOCHS, PIXELS, M, X, Y, assert_aligned, epochs_of
from toy import blobs, compiled, largest_difference, network

from keras_dos import OverloadingCallback
from keras_dos.samples import InMemory, SampleSource, Stream, bounded
from keras_dos.samples.checked import checked

WEIGHTS = np.linspace(0.5, 2.0, M).astype("float32")


def dataset(batch_size=8, *, x=X, y=Y, drop_remainder=False):
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    return rows.batch(batch_size, drop_remainder)


def numbered(batch_size=8, *, x=X):
    """Shuffled anew in each pass, with ids."""
    rows = tf.data.Dataset.from_tensor_slices((x, Y)).enumerate()
    return rows.shuffle(M).batch(batch_size)


def uneven():
    """Batches of 9, 50 and 0 samples."""
    parts = [dataset(50).take(1), dataset(59).map(lambda x, y: (x[50:], y[50:]))]
    return (
        parts[0]
        .concatenate(parts[1].map(lambda x, y: (x[:0], y[:0])))
        .concatenate(parts[1])
    )


def unknown(x):
    return tf.numpy_function(np.copy, [x], tf.float32)


def generated(x_shape, y_shape):
    """From a generator that tells shapes as given."""
    rows = PIXELS[:8], np.eye(3, dtype="float32")[Y[:8]]
    return tf.data.Dataset.from_generator(
        lambda: iter([rows]),
        output_signature=(
            tf.TensorSpec(x_shape, tf.float32),
            tf.TensorSpec(y_shape, tf.float32),
        ),
    )


def jitter(x, seed):
    noise = tf.random.stateless_normal(x.shape[1:] if len(x.shape) > 1 else [6], seed)
    return tf.concat([x[:1], x[1:] + 0.1 * noise], axis=0)


def trained(source, *, epochs=4, first=0, shuffle=True, **settings):
    model = compiled(network())
    settings = {"k": 3, "warmup_epochs": 2, **settings}
    model.fit(
        source,
        epochs=epochs,
        initial_epoch=first,
        shuffle=shuffle,
        verbose=0,
        callbacks=[OverloadingCallback(**settings)],
    )
    return model.get_weights()


@pytest.mark.parametrize(
    ("make", "buffer_size", "augment", "embeddings"),
    [
        (dataset, None, None, "training"),
        (dataset, 8, jitter, "pass"),
        (dataset, 1, None, "pass"),
        (numbered, None, None, "pass"),
        (numbered, 13, jitter, "training"),
        (uneven, 20, jitter, "training"),
        (uneven, None, None, "pass"),
    ],
)
def test_neighbors_are_those_of_the_very_sample(make, buffer_size, augment, embeddings):
    source = Stream(make(), augment=augment, buffer_size=buffer_size)
    assert isinstance(source, SampleSource)
    assert_aligned(source, embeddings=embeddings)


def test_a_dropped_remainder_takes_no_part():
    source = Stream(dataset(8, drop_remainder=True))
    assert len(source.classes) == M - M % 8
    ids = [batch[0][:, 0] for batches, _ in epochs_of(source) for batch in batches]
    assert np.concatenate(ids).max() == M - M % 8 - 1


def test_each_sample_comes_as_often_as_r_says():
    rates = [1, 1.5, 3]
    for seen in assert_aligned(Stream(dataset(), buffer_size=10), r=rates)[1:]:
        copies = np.array([len(seen[i]) for i in range(M)])
        for j, rate in enumerate(rates):
            of_class = copies[j == Y]
            assert of_class.sum() == rate * len(of_class)
            assert np.ptp(of_class) == (rate % 1 > 0)


@pytest.mark.slow
@pytest.mark.parametrize("embeddings", ["training", "pass"])
def test_a_stream_trains_as_memory_does_in_the_same_order(embeddings):
    """To the last bits; by windows without shuffling, or shuffled in one window."""
    memory = InMemory(PIXELS, Y, batch_size=8)
    expected = trained(memory, embeddings=embeddings)
    for make in (dataset, numbered):
        weights = trained(Stream(make(x=PIXELS)), embeddings=embeddings)
        assert largest_difference(expected, weights) < 1e-6  # Some CPUs round by place.
    arguments = {"shuffle": False, "r": 1, "embeddings": embeddings}
    expected = trained(memory, **arguments)
    weights = trained(Stream(dataset(x=PIXELS), buffer_size=10), **arguments)
    assert largest_difference(expected, weights) < 1e-6  # Some CPUs round by place.


@pytest.mark.slow
def test_sample_weights_stay_with_their_samples():
    rows = tf.data.Dataset.from_tensor_slices((PIXELS, Y, WEIGHTS)).batch(8)
    expected = trained(InMemory(PIXELS, Y, WEIGHTS, batch_size=8))
    assert largest_difference(expected, trained(Stream(rows))) == 0
    assert largest_difference(expected, trained(Stream(dataset(x=PIXELS)))) > 0


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_sample_weights_are_numbers_or_a_column_as_in_memory(shape, dtype):
    weights = (np.arange(len(Y)) % 3 + 1).astype(dtype)
    rows = tf.data.Dataset.from_tensor_slices((X, Y, weights.reshape(shape))).batch(8)
    ids = tf.constant(np.random.default_rng(0).permutation(len(Y)))
    for source in (Stream(rows), InMemory(rows)):
        batches = source.batches(ids, tf.zeros_like(ids))
        assert batches.element_spec[1][2] == tf.TensorSpec([None], dtype)
        for places, (_, _, w) in batches:
            np.testing.assert_array_equal(w, weights[ids.numpy()[places]])


def test_one_hot_labels():
    one_hot = np.eye(3, dtype="float32")[Y]
    source = Stream(dataset(y=one_hot))
    assert source.classes.tolist() == Y.tolist()
    assert Stream(dataset(y=one_hot), labels=one_hot).classes.tolist() == Y.tolist()


@pytest.mark.slow
def test_epochs_have_orders_of_their_own_that_follow_from_the_seed():
    def orders(seed, first=0):
        source = Stream(dataset(), buffer_size=20)
        return [
            np.concatenate([batch[0][:, 0] for batch in batches]).tolist()
            for batches, _ in epochs_of(
                source, embeddings="pass", first=first, seed=seed
            )
        ]

    zero = orders(0)
    assert len({tuple(order) for order in zero}) == EPOCHS
    assert orders(0) == zero
    assert orders(0, first=1) == zero[1:]
    assert orders(1)[0] != zero[0]


# What is read, and when.


class Counted:
    """A dataset that counts its passes and the rows read, from a generator."""

    def __init__(self, x=X):
        self.size, self.passes, self._x = M, 0, x
        spec = tf.TensorSpec([x.shape[1]], tf.float32), tf.TensorSpec([], tf.int64)
        self.dataset = tf.data.Dataset.from_generator(
            self._rows, output_signature=spec
        ).batch(8)

    def _rows(self):
        self.passes += 1
        for i in np.arange(self.size) % M:
            yield self._x[i], Y[i]


def test_each_epoch_is_one_pass():
    counted = Counted()
    source = Stream(counted.dataset, labels=Y)
    before = counted.passes
    for epoch, _ in enumerate(epochs_of(source)):
        assert counted.passes - before == epoch + 1


def test_functions_hold_nothing_as_long_as_the_labels():
    """TensorFlow copies constants in functions many times as each pass starts."""
    m = 5000
    x, y = np.zeros((m, 1), "float32"), np.arange(m) % 3
    source = checked(Stream(dataset(100, x=x, y=y)))
    ids = tf.range(m, dtype=tf.int64)
    for passes in (source.batches(ids, ids), source.inputs(np.arange(m), 100)):
        variant = tf.data.experimental.to_variant(passes)
        graph = tf.raw_ops.DatasetToGraphV2(input_dataset=variant).numpy()
        library = tf.compat.v1.GraphDef.FromString(graph).library
        sizes = [
            node.attr["value"].ByteSize()
            for function in library.function
            for node in function.node_def
            if node.op == "Const"
        ]
        assert sizes
        assert max(sizes) < m


def test_labels_save_the_first_pass():
    given, read = Counted(), Counted()
    Stream(given.dataset, labels=Y)
    Stream(read.dataset)
    assert read.passes == given.passes + 1


def test_random_augmentation_of_the_dataset_is_alive():
    def noisy(x, y):
        return tf.concat([x[:, :1], x[:, 1:] + tf.random.normal([1, 6])], 1), y

    tf.random.set_seed(None)
    first, second, _ = assert_aligned(Stream(dataset().map(noisy)))
    assert all((first[i][0] != second[i][0]).any() for i in range(M))


@pytest.mark.slow
def test_augmentation_is_new_by_epoch_and_copy_and_repeated_by_a_resume():
    def pixels(first):
        source = Stream(dataset(), augment=jitter, buffer_size=20)
        return [
            np.concatenate([batch[0] for batch in batches])
            for batches, _ in epochs_of(source, first=first, embeddings="pass")
        ]

    whole = pixels(0)
    drawn = np.concatenate(whole)[:, 1:]
    assert len(np.unique(drawn, axis=0)) == len(drawn)
    np.testing.assert_array_equal(pixels(1)[0], whole[1])


def test_a_pass_embeds_plain_samples():
    def shift(x, seed):
        return x + 1000.0

    source = Stream(dataset(), augment=shift)
    *_, (_, tables) = epochs_of(source, embeddings="pass")
    np.testing.assert_array_equal(tables[0], X[Y == 0, 1:])


def test_structured_inputs_are_augmented():
    def rows(x, y):
        return {"a": x[:, :3], "b": x[:, 3:]}, y

    def augment(x, seed):
        return {"a": x["a"] + tf.random.stateless_uniform([3], seed), "b": x["b"]}

    source = Stream(dataset().map(rows), augment=augment)
    ids = tf.range(M, dtype=tf.int64)
    for places, (x, _) in source.batches(ids, ids):
        assert (x["a"].numpy() != X[places, :3]).all()
        np.testing.assert_array_equal(x["b"], X[places, 3:])


# What is refused.


@pytest.mark.parametrize("labels", [Y, Y * 0], ids=["three classes", "one class"])
def test_a_dataset_that_shuffles_is_refused_at_once(labels):
    """Labels would not tell, where the samples of one class change places."""
    rows = tf.data.Dataset.from_tensor_slices((PIXELS, labels))
    with pytest.raises(ValueError, match=r"same order in each pass.*that reshuffles"):
        Stream(rows.shuffle(M).batch(8))
    Stream(rows.shuffle(M).batch(8).cache())


@pytest.mark.parametrize("each", [True, False])
def test_a_shuffle_within_interleave_is_refused_at_once(each):
    """Of one class: labels would not tell."""
    tf.random.set_seed(None)  # With one, shuffles in functions have seeds.
    rows = tf.data.Dataset.from_tensor_slices((PIXELS, Y * 0))

    def mixed(seed=None):
        return tf.data.Dataset.range(2).interleave(
            lambda i: rows.shard(2, i).shuffle(M, seed, each), cycle_length=2
        )

    def passes(data):
        return [[int(x[0]) for x, _ in data] for _ in range(3)]

    orders = passes(mixed())
    assert orders[0] != orders[1] or orders[1] != orders[2]
    with pytest.raises(ValueError, match=r"same order in each pass.*that reshuffles"):
        Stream(mixed().batch(8))
    first, *others = passes(mixed(seed=1))
    assert others == [first, first]
    assert Stream(mixed(seed=1).batch(8)).classes.tolist() == [0] * M


def test_a_dataset_that_hides_how_it_shuffles_is_refused():
    rng = np.random.default_rng(0)  # Another order in each pass.
    shuffled = tf.data.Dataset.from_generator(
        lambda: ((PIXELS[i], Y[i]) for i in rng.permutation(M)),
        output_signature=(
            tf.TensorSpec(PIXELS.shape[1:], tf.float32),
            tf.TensorSpec([], tf.int64),
        ),
    ).batch(8)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"same order in each pass"
    ):
        trained(Stream(shuffled))


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("labels", [None, Y])
def test_samples_of_several_shapes_are_refused(labels, ids):
    """As .padded_batch() makes them, each batch as long as its longest sample."""
    lengths = tf.data.Dataset.from_tensor_slices((1 + np.arange(M) // 20, Y))
    rows = lengths.map(lambda n, y: (tf.ones([n]), y))
    shapes = [None], []
    if ids:
        rows, shapes = rows.enumerate(), ([], shapes)
    message = r"`dataset` must have samples of one shape.*`padded_shapes`.*\[2\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(
            Stream(rows.padded_batch(8, shapes), labels=labels).inputs(np.arange(M), 8)
        )
    shapes = ([], ([5], [])) if ids else ([5], [])
    source = Stream(rows.padded_batch(8, shapes), labels=labels)
    (_, x), *_ = source.inputs(np.arange(M), M)
    assert x.numpy().sum(axis=1).tolist() == (1 + np.arange(M) // 20).tolist()


def test_samples_of_one_shape_that_is_not_known_in_advance():
    rows = dataset().map(lambda x, y: (tf.ensure_shape(unknown(x), [None, None]), y))
    assert rows.element_spec[0].shape[1] is None
    assert_aligned(Stream(rows))


def test_a_dataset_that_shuffles_once_is_right():
    rows = tf.data.Dataset.from_tensor_slices((PIXELS, Y))
    once = rows.shuffle(M, seed=3, reshuffle_each_iteration=False).batch(8)
    source = Stream(once)
    assert source.classes.tolist() != Y.tolist()
    trained(source)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "buffer_size"),
    [(M - 20, 19), (M - 1, 20), (M + 1, 20), (M - 1, 100), (M + 20, 100)],
)
def test_a_dataset_of_another_size_is_refused(size, buffer_size):
    counted = Counted(PIXELS)
    source = Stream(counted.dataset, buffer_size=buffer_size)
    counted.size = size
    with pytest.raises(
        tf.errors.OpError, match=r"same order in each pass|contained only"
    ):
        trained(source)


@pytest.mark.slow
@pytest.mark.parametrize("change", [lambda i: i * 0, lambda i: i + 1, lambda i: -i])
def test_ids_that_are_not_those_of_m_samples_are_refused(change):
    other = numbered(x=PIXELS).map(lambda i, row: (change(i), row))
    with pytest.raises(ValueError, match=rf"each id 0..m−1 once.*m={M}"):
        Stream(other)
    with pytest.raises(tf.errors.OpError, match=r"same order|each place"):
        trained(Stream(other, labels=Y))


@pytest.mark.parametrize("buffer_size", [None, 10])
def test_an_id_that_comes_twice_is_refused(buffer_size):
    first, second = np.flatnonzero(Y[0] == Y)[:2]
    ids = np.arange(M)
    ids[second] = first
    rows = tf.data.Dataset.from_tensor_slices((ids, (PIXELS, Y))).batch(8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"each place .* once"):
        trained(Stream(rows, labels=Y, buffer_size=buffer_size))


def test_weights_that_are_not_finite_are_refused():
    weights = np.where(np.arange(M) == 5, np.nan, WEIGHTS)
    rows = tf.data.Dataset.from_tensor_slices((PIXELS, Y, weights)).batch(8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="finite sample weights"):
        trained(Stream(rows))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: X, TypeError, r"PyDataset; for random access.*Indexed.*ndarray"),
        (lambda: dataset().repeat(), ValueError, r"`dataset` must be a finite"),
        (lambda: dataset().take(0), ValueError, r"must not be empty"),
        (lambda: dataset().unbatch(), ValueError, r"`dataset` must be a batched"),
        (
            lambda: dataset().map(lambda x, y: x),
            ValueError,
            r"`dataset` must be a .*of",
        ),
        (
            lambda: numbered().map(lambda i, row: (tf.cast(i, tf.int32), row)),
            ValueError,
            r"ids of shape \(b,\), int64",
        ),
        (
            lambda: dataset().map(lambda x, y: (x, y, tf.stack([y, y], 1))),
            ValueError,
            r"one number per sample as weight.*shape \(None, 2\)",
        ),
        (
            lambda: numbered().map(lambda i, row: (i, (*row, tf.as_string(i)))),
            ValueError,
            r"one number per sample as weight.*string",
        ),
        (lambda: generated(None, None), ValueError, r"how many axes.*<unknown>"),
        (lambda: generated([None, 6], None), ValueError, r"how many axes.*<unknown>"),
        (
            lambda: generated([None, 6], [None, None]),
            ValueError,
            r"how many columns labels have.*shape=\(None, None\)",
        ),
        (lambda: dataset().map(lambda x, y: (x[:0], y[:0])), ValueError, r"no samples"),
        (
            lambda: dataset(y=Y + 0.5),
            ValueError,
            r"`labels` of one dimension must be class",
        ),
        (lambda: dataset(y=-Y), ValueError, r"`labels` of one dimension must be class"),
    ],
)
def test_datasets_of_another_form_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        Stream(make())


@pytest.mark.parametrize("labels", [Y[:-1], Y[::-1].copy(), np.append(Y, 0)])
def test_labels_that_are_not_those_of_the_dataset_are_refused(labels):
    with pytest.raises(tf.errors.OpError, match=r"same order in each pass"):
        trained(Stream(dataset(x=PIXELS), labels=labels))


@pytest.mark.parametrize("y", [0.9 * np.eye(3)[Y] + 0.1 / 3, Y + 0.4])
def test_smoothed_labels_are_refused_beside_labels_too(y):
    with pytest.raises(ValueError, match=r"label smoothing|Label smoothing"):
        Stream(dataset(y=y), labels=Y)
    sharp, loss = np.eye(3)[Y], "categorical_crossentropy"
    if y.ndim == 1:
        sharp, loss = Y.astype(float), "sparse_categorical_crossentropy"
    later = np.concatenate([sharp[:8], y[8:]])
    model = compiled(network(), loss=loss)
    with pytest.raises(tf.errors.OpError, match=r"same order in each pass"):
        model.fit(
            Stream(dataset(x=PIXELS, y=later), labels=Y),
            verbose=0,
            epochs=2,
            callbacks=[OverloadingCallback(warmup_epochs=1)],
        )


@pytest.mark.parametrize("labels", [None, Y])
def test_a_first_batch_may_be_empty(labels):
    empty = dataset().take(1).map(lambda x, y: (x[:0], y[:0]))
    source = Stream(empty.concatenate(dataset()), labels=labels)
    assert source.batch_size == 8
    assert source.classes.tolist() == Y.tolist()


@pytest.mark.parametrize("batches", [1, 3])
def test_a_generator_that_ends_once_and_for_all_is_refused(batches):
    parts = zip(np.split(PIXELS[:54], 3), np.split(Y[:54], 3), strict=True)
    once = iter(list(parts)[:batches])
    spec = tf.TensorSpec([None, 6]), tf.TensorSpec([None], tf.int64)
    with pytest.raises(ValueError, match=r"begin anew"):
        trained(
            Stream(tf.data.Dataset.from_generator(lambda: once, output_signature=spec))
        )


def test_a_long_first_pass_says_so_once(monkeypatch):
    monkeypatch.setattr(bounded, "LONG_PASS", -1)
    unknown = dataset().filter(lambda *row: True)
    with pytest.warns(UserWarning, match=r"`dataset` is still.*\.take\(n\)") as warned:
        assert Stream(unknown).classes.tolist() == Y.tolist()
    assert len(warned) == 1


def test_a_stream_as_validation_data_is_refused_at_once():
    model = compiled(network())
    source = Stream(dataset(x=PIXELS))
    with pytest.raises(TypeError, match=r"`validation_data` must be.*Received: Stream"):
        model.fit(
            source,
            validation_data=source,
            epochs=3,
            verbose=0,
            callbacks=[OverloadingCallback()],
        )


@pytest.mark.parametrize(
    "augment",
    [
        lambda x, seed: x[1:],
        lambda x, seed: None,
        lambda x, seed: tf.cast(x, tf.float64),
        lambda x, seed: (x, x),
        lambda x, seed: x[None],
    ],
)
def test_an_augmentation_that_changes_the_form_is_refused(augment):
    with pytest.raises(ValueError, match=r"`augment` must return a sample of"):
        Stream(dataset(), augment=augment)


def test_an_augmentation_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"`augment` must be a function.*augment=3"):
        Stream(dataset(), augment=3)


@pytest.mark.parametrize("size", [0, -1, 1.5, "all"])
def test_a_bad_buffer_size_is_refused(size):
    with pytest.raises((TypeError, ValueError), match=r"`buffer_size`.*Received"):
        Stream(dataset(), buffer_size=size)


def test_a_dataset_in_the_order_of_classes_is_warned_of():
    order = np.argsort(Y, kind="stable")
    with pytest.warns(UserWarning, match=r"ordered by class.*20 of 59 samples"):
        Stream(dataset(x=X[order], y=Y[order]), buffer_size=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Stream(dataset(x=X[order], y=Y[order]))  # All in one window.
        Stream(dataset(), buffer_size=20)
        x, y = blobs((5000, 100, 3))
        Stream(dataset(64, x=x, y=y), buffer_size=100)
