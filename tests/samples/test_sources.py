"""A custom source works as well as arrays, and fails loudly."""

import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, largest_difference, network

from keras_dos import OverloadingCallback
from keras_dos.samples import InMemory, SampleSource
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
        return batches.map(lambda i: (self._rows(i),))

    def batches(self, ids):
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


def test_a_source_trains_as_arrays_do():
    expected, _ = trained(InMemory(X, Y, batch_size=16))
    weights, _ = trained(ById())
    assert largest_difference(expected, weights) == 0


@pytest.mark.parametrize("k_majority", [None, 0])
def test_ids_to_embed_ascend(k_majority):
    """So that a source that streams can serve them in one pass."""
    source = ById()
    trained(source, k_majority=k_majority)
    asked = source.asked[-1]
    assert (np.diff(asked) > 0).all()
    assert len(asked) == len(Y)


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
        trained(Short(), warmup_epochs=0)


def test_what_is_a_source():
    assert isinstance(ById(), SampleSource)
    assert isinstance(InMemory(X, Y), SampleSource)
    assert not isinstance(X, SampleSource)
    source = ById()
    assert as_source(source) is source
    assert isinstance(as_source(X, Y), InMemory)
