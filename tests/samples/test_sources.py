"""A custom source works as well as arrays, and fails loudly."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, largest_difference, network

from keras_dos import OverloadingCallback
from keras_dos.samples import InMemory, SampleSource, Stream
from keras_dos.samples.sources import as_source

X, Y = blobs()


class ById:
    """Rows by id through Python, in the order of the places or in another."""

    def __init__(self, reverse=False):
        self.classes, self.batch_size = Y, 16
        self._reverse = reverse
        self.asked = []

    def _rows(self, ids):
        (x,) = tf.numpy_function(lambda i: [X[i]], [ids], [tf.float32])
        return tf.ensure_shape(x, [None, 6])

    def inputs(self, ids, batch_size):
        self.asked.append(ids)
        batches = tf.data.Dataset.from_tensor_slices(ids).batch(batch_size)
        return batches.map(lambda i: (i, self._rows(i)))

    def batches(self, ids, seeds):
        z = ids.shape[0]
        places = tf.data.Dataset.range(z).batch(self.batch_size)
        if self._reverse:  # As a source that streams has an order of its own.
            places = places.map(lambda place: z - 1 - place)

        def rows(place):
            i = tf.gather(ids, place)
            return place, (self._rows(i), tf.gather(self.classes, i))

        return places.map(rows)


def trained(x, y=None, **arguments):
    model = compiled(network())
    settings = {"k": 3, "r": 2.5, "warmup_epochs": 1, **arguments}
    history = model.fit(
        x, y, epochs=3, verbose=0, callbacks=[OverloadingCallback(**settings)]
    ).history
    return model.get_weights(), history


@pytest.mark.slow
def test_a_source_trains_as_arrays_do():
    expected, _ = trained(InMemory(X, Y, batch_size=16))
    weights, _ = trained(ById())
    assert largest_difference(expected, weights) == 0


@pytest.mark.parametrize("k_majority", [None, 0])
def test_ids_to_embed_ascend(k_majority):
    """So that a source that streams can serve them in one pass."""
    source = ById()
    trained(source, k_majority=k_majority, embeddings="pass")
    asked = source.asked[-1]
    assert (np.diff(asked) > 0).all()
    assert len(asked) == len(Y)


@pytest.mark.slow
def test_neighbors_and_w_follow_a_source_with_an_order_of_its_own():
    """In one batch an epoch the order within it changes no sum."""
    losses = []
    for source in (ById(), ById(reverse=True)):
        source.batch_size = 1000
        _, history = trained(source)
        losses.append(history["embedding_loss"])
    assert losses[0][-1] > 0
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_source_with_a_validation_part():
    model = compiled(network())
    callback = OverloadingCallback(k=3)
    history = model.fit(
        ById(), validation_data=(X, Y), epochs=2, verbose=0, callbacks=[callback]
    ).history
    assert len(history["val_loss"]) == 2


@pytest.mark.parametrize(
    "beside", [{"y": Y}, {"sample_weight": np.ones(len(Y))}, {"batch_size": 8}]
)
def test_a_source_has_its_own_labels_weights_and_batch_size(beside):
    (name,) = beside
    model = compiled(network())
    with pytest.raises(ValueError, match=rf"source of samples.*Received: \['{name}'\]"):
        model.fit(ById(), verbose=0, callbacks=[OverloadingCallback()], **beside)


def test_a_source_needs_the_callback():
    source = InMemory(X, Y)
    with pytest.raises(TypeError, match=r"^`x` may be a source.*Received: x=<"):
        compiled(network()).fit(source, verbose=0)


def test_a_source_cannot_be_split():
    model = compiled(network())
    with pytest.raises(ValueError, match=r"`validation_split` works with arrays"):
        model.fit(
            ById(), validation_split=0.5, verbose=0, callbacks=[OverloadingCallback()]
        )


def test_a_source_that_returns_too_few_rows_raises():
    class Short(ById):
        def inputs(self, ids, batch_size):
            return super().inputs(ids[:-1], batch_size)

    with pytest.raises(ValueError, match=r"one row for each id.*77 rows for 78 ids"):
        trained(Short(), warmup_epochs=0, embeddings="pass")


@pytest.mark.slow
def test_a_source_may_return_the_inputs_in_any_order():
    class Backward(ById):
        def inputs(self, ids, batch_size):
            return super().inputs(ids[::-1].copy(), batch_size)

    expected, _ = trained(ById(), embeddings="pass")
    weights, _ = trained(Backward(), embeddings="pass")
    # Some CPUs round a row differently in another place of the batch.
    assert largest_difference(expected, weights) < 1e-6


@pytest.mark.parametrize("change", [lambda i: i * 0, lambda i: i + 1, lambda i: i - 1])
def test_a_source_that_returns_other_inputs_raises(change):
    class Other(ById):
        def inputs(self, ids, batch_size):
            return super().inputs(ids, batch_size).map(lambda i, x: (change(i), x))

    with pytest.raises(ValueError, match=r"one row for each id.*78 rows for 78 ids"):
        trained(Other(), warmup_epochs=0, embeddings="pass")


@pytest.mark.parametrize(
    "form",
    [
        lambda w: tf.stack([w, w], axis=1),
        lambda w: w[:, None, None],
        lambda w: tf.ensure_shape(
            tf.numpy_function(np.atleast_2d, [w], tf.float32), [None, None]
        ),
        lambda w: tf.as_string(w),
        lambda w: tf.cast(w, tf.complex64),
    ],
    ids=["two columns", "three axes", "unknown columns", "strings", "complex"],
)
def test_weights_of_a_source_are_one_number_per_sample(form):
    """Others would broadcast over the batch, each sample weighted by all weights."""

    class Weighted(ById):
        def batches(self, ids, seeds):
            def weighted(places, row):
                return places, (*row, form(tf.cast(row[1], tf.float32)))

            return super().batches(ids, seeds).map(weighted)

    with pytest.raises(ValueError, match=r"`sample_weight` must have one number per"):
        trained(Weighted())


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_source_with_weights_that_are_not_finite_ends_the_first_step(weight):
    class Weighted(ById):
        def batches(self, ids, seeds):
            def with_weights(places, row):
                rare = tf.where(row[1] == 2, weight, 1.0)
                return places, (*row, rare)

            return super().batches(ids, seeds).map(with_weights)

    with pytest.raises(tf.errors.InvalidArgumentError, match="finite sample weights"):
        trained(Weighted())


class Noting(ById):
    """Keeps (id, seed) of each row, by pass."""

    def __init__(self):
        super().__init__()
        self.passes = []

    def batches(self, ids, seeds):
        def note(places):
            begun = tf.reduce_min(places) == 0
            drawn = tf.gather(ids, places), tf.gather(seeds, places)
            tf.numpy_function(self._note, [begun, *drawn], [])
            return places

        places = tf.data.Dataset.range(ids.shape[0]).batch(self.batch_size)
        return places.map(note).map(
            lambda p: (
                p,
                (self._rows(tf.gather(ids, p)), tf.gather(Y, tf.gather(ids, p))),
            )
        )

    def _note(self, begun, ids, seeds):
        if begun:
            self.passes.append([])
        self.passes[-1] += zip(ids.tolist(), seeds.tolist(), strict=True)


@pytest.mark.slow
def test_seeds_are_new_in_each_epoch_and_the_same_in_a_resumed_training():
    passes = []
    for first in (0, 2):
        source = Noting()
        compiled(network()).fit(
            source,
            epochs=4,
            initial_epoch=first,
            verbose=0,
            callbacks=[OverloadingCallback(k=3, warmup_epochs=2)],
        )
        passes.append(source.passes[-(4 - first) :])
    whole, resumed = passes
    drawn = [seed for rows in whole for _, seed in rows]
    assert len(set(drawn)) == len(drawn)  # Copies of a sample differ too.
    assert min(drawn) >= 0
    assert resumed == whole[2:]


def test_what_is_a_source():
    assert isinstance(ById(), SampleSource)
    assert isinstance(InMemory(X, Y), SampleSource)
    assert not isinstance(X, SampleSource)
    source = ById()
    assert as_source(source).classes is source.classes
    assert isinstance(as_source(X, Y), InMemory)


class OwnBatches(ById):
    """Reads from front to back, in batches that end where its files do."""

    def batches(self, ids, seeds):
        z = ids.shape[0]
        sizes = [7, 20, 1]
        edges = np.minimum(np.cumsum(np.resize([0, *sizes], z + 1)), z)

        def generate():
            for a, b in itertools.pairwise(np.unique([0, *edges, z])):
                yield np.arange(a, b)

        places = tf.data.Dataset.from_generator(
            generate, output_signature=tf.TensorSpec([None], tf.int64)
        )

        def rows(place):
            i = tf.gather(ids, place)
            return place, (self._rows(i), tf.gather(self.classes, i))

        return places.map(rows)


@pytest.mark.slow
def test_a_source_with_batches_of_its_own_trains_on_all_samples():
    expected, _ = trained(InMemory(X, Y, batch_size=16))
    weights, _ = trained(OwnBatches())
    assert largest_difference(expected, weights) == 0


@pytest.mark.parametrize(
    "broken",
    [
        lambda places: places * 0,
        lambda places: tf.maximum(places, 1),
        lambda places: tf.where(places == 3, places + 1, places),
        lambda places: places + 1000,
        lambda places: places - 1,
    ],
)
def test_a_source_that_skips_or_repeats_places_is_refused(broken):
    class Broken(ById):
        def batches(self, ids, seeds):
            def rows(places):
                places = broken(places)
                i = tf.gather(ids, places % ids.shape[0])
                return places, (self._rows(i), tf.gather(self.classes, i))

            places = tf.data.Dataset.range(ids.shape[0]).batch(self.batch_size)
            return places.map(rows)

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"each place .* once"):
        trained(Broken())


@pytest.mark.parametrize("batches", [0, 1, -1])
def test_a_source_that_ends_early_is_refused(batches):
    class Ends(ById):
        def batches(self, ids, seeds):
            whole = super().batches(ids, seeds)
            steps = -(-ids.shape[0] // self.batch_size)
            return whole.take(batches % steps)

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"ends before all places"):
        trained(Ends())


def test_a_source_whose_last_batch_is_short_is_refused():
    class Short(ById):
        def batches(self, ids, seeds):
            samples = super().batches(ids, seeds).unbatch().take(ids.shape[0] - 1)
            return samples.batch(self.batch_size)

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"each place .* once"):
        trained(Short())


def test_a_source_that_gives_nothing_in_the_next_epoch_is_refused():
    class Once(ById):
        left = True

        def batches(self, ids, seeds):
            def generate():
                z = ids.shape[0] if self.left else 0
                self.left = z == 1  # Not after a whole epoch.
                for start in range(0, z, self.batch_size):
                    yield np.arange(start, min(start + self.batch_size, z))

            def rows(place):
                i = tf.gather(ids, place)
                return place, (self._rows(i), tf.gather(self.classes, i))

            return tf.data.Dataset.from_generator(
                generate, output_signature=tf.TensorSpec([None], tf.int64)
            ).map(rows)

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"ends before all places"):
        trained(Once())


class Frozen(ById):
    """Reads `ids` once, when its values are not yet those of an epoch."""

    def batches(self, ids, seeds):
        return super().batches(tf.constant(np.array(ids)), seeds)


class Mislabeled(ById):
    def batches(self, ids, seeds):
        return super().batches(ids, seeds).map(lambda p, row: (p, (row[0], 2 - row[1])))


@pytest.mark.parametrize("make", [Frozen, Mislabeled])
def test_a_source_that_yields_other_samples_is_refused(make):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"asks for.*inside `map`"):
        trained(make())


@pytest.mark.parametrize("base", [InMemory, Stream])
def test_a_subclass_that_yields_other_samples_is_refused(base):
    class Reversed(base):
        def batches(self, ids, seeds):
            return super().batches(ids[::-1], seeds)

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    with pytest.raises(tf.errors.InvalidArgumentError, match="asks for"):
        trained(Reversed(data))


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["column", "one-hot"])
def test_a_source_may_have_labels_of_any_form(labels):
    class Formed(ById):
        def batches(self, ids, seeds):
            def formed(places, row):
                x, y = row
                y = y[:, None] if labels == "column" else tf.one_hot(y, 3)
                return places, (x, y)

            return super().batches(ids, seeds).map(formed)

    model = compiled(network(), loss="crossentropy")
    callback = OverloadingCallback(k=3, warmup_epochs=0, embeddings="pass")
    history = model.fit(Formed(), epochs=2, verbose=0, callbacks=[callback]).history
    assert history["embedding_loss"][-1] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda batches: batches.map(lambda p, row: row),
        lambda batches: batches.map(lambda p, row: (p, row[0])),
        lambda batches: batches.map(lambda p, row: (tf.cast(p, tf.int32), row)),
        lambda batches: batches.map(
            lambda p, row: (
                p,
                (tf.numpy_function(np.copy, [row[0]], tf.float32), row[1]),
            )
        ),
        lambda batches: batches.unbatch(),
        lambda batches: batches.map(lambda p, row: (p[:, None], row)),
        lambda batches: batches.map(lambda p, row: (p, (row[0], {"y": row[1]}))),
        lambda batches: batches.map(lambda p, row: (p, (row[0], row[1][0]))),
        lambda batches: batches.map(
            lambda p, row: (p, (row[0], row[1][:, None, None]))
        ),
        lambda batches: batches.map(lambda p, row: (p, (row[0], tf.as_string(row[1])))),
    ],
)
def test_batches_of_another_form_are_refused(change):
    class Broken(ById):
        def batches(self, ids, seeds):
            return change(super().batches(ids, seeds))

    message = r"`batches` of the source must yield \(places, \(x, y\)\).*ensure_shape"
    with pytest.raises(ValueError, match=message):
        trained(Broken())


@pytest.mark.parametrize(
    ("member", "value", "error", "message"),
    [
        ("classes", Y.tolist(), ValueError, "`classes` of a source.*list"),
        ("classes", Y.astype("float32"), ValueError, "`classes` of a source"),
        ("classes", np.eye(3, dtype=int)[Y], ValueError, r"shape \(78, 3\)"),
        ("classes", tf.constant(Y), ValueError, "`classes` of a source"),
        ("classes", None, ValueError, "NoneType"),
        ("classes", Y[:0], ValueError, r"shape \(0,\)"),
        ("classes", Y + 1, ValueError, "n_classes=3.*Received: 3"),
        ("batch_size", "16", TypeError, "batch_size='16'"),
        ("batch_size", 0, ValueError, "batch_size=0"),
    ],
)
def test_what_a_source_has_is_checked(member, value, error, message):
    source = ById()
    setattr(source, member, value)
    with pytest.raises(error, match=message):
        trained(source)


def test_the_class_of_a_source_is_not_a_source():
    class Constant(ById):
        classes, batch_size = Y, 16

    with pytest.raises(TypeError, match=r"`source` must be an object.*Received: "):
        trained(Constant)


@pytest.mark.parametrize(
    "change",
    [
        lambda batches: batches.map(lambda i, x: (x,)),
        lambda batches: batches.map(lambda i, x: (x, i)),
        lambda batches: batches.map(lambda i, x: (i, x, x)),
        lambda batches: batches.map(lambda i, x: (i[:, None], x)),
    ],
)
def test_inputs_of_another_form_are_refused(change):
    class Broken(ById):
        def inputs(self, ids, batch_size):
            batches = super().inputs(ids, batch_size)
            return change(batches)

    with pytest.raises(ValueError, match=r"`inputs` of the source must yield pairs"):
        trained(Broken())


@pytest.mark.parametrize("name", ["inputs", "batches"])
@pytest.mark.parametrize("make", [list, lambda dataset: None])
def test_what_is_no_dataset_is_refused(name, make):
    class Broken(ById):
        pass

    given = getattr(ById, name)
    setattr(Broken, name, lambda self, *asked: make(given(self, *asked)))
    with pytest.raises(TypeError, match=rf"`{name}` of the source must return a tf"):
        trained(Broken())


def test_the_classes_of_a_source_may_have_any_type_of_integers():
    expected, _ = trained(ById())
    for dtype in (">i4", "uint8"):
        source = ById()
        source.classes = Y.astype(dtype)
        source.batches = lambda ids, seeds: ById().batches(ids, seeds)
        weights, _ = trained(source)
        assert largest_difference(expected, weights) == 0
