"""Rounds without `fit` and without a callback."""

import gc
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, largest_difference, network

from keras_dos import OverloadingCallback
from keras_dos.rounds import Rounds
from keras_dos.samples import InMemory
from keras_dos.settings import Settings
from keras_dos.slots import slot_logits

LOSS = "sparse_categorical_crossentropy"
SETTINGS = {"k": 3, "r": 2.5, "warmup_epochs": 2}


def rounds_of(model, source, epochs, **settings):
    return Rounds(
        Settings(**settings), source, model.embedder, LOSS, n_classes=3, epochs=epochs
    )


@pytest.mark.slow
def test_a_custom_loop_trains_as_fit_does():
    x, y = blobs()
    fitted = compiled(network())
    history = fitted.fit(
        x,
        y,
        batch_size=16,
        epochs=5,
        verbose=0,
        callbacks=[OverloadingCallback(**SETTINGS)],
    ).history

    model = network()
    optimizer = keras.optimizers.SGD(0.05)
    rounds = rounds_of(model, InMemory(x, y, batch_size=16), 5, **SETTINGS)
    batches = rounds.dataset()
    for epoch in range(5):
        rounds.begin_epoch(epoch)
        rounds.loss.reset_logs()
        for quadruplets, labels in batches:
            w = quadruplets["weights"]
            with tf.GradientTape() as tape:
                embedding = model.embedder(quadruplets["x"], training=True)
                slots = rounds.loss.slots(embedding, quadruplets["neighbors"], w)
                logits = slot_logits(model.head, slots)
                loss = rounds.loss(labels, slots, logits, w)
            gradients = tape.gradient(loss, model.trainable_weights)
            optimizer.apply(gradients, model.trainable_weights)
            rounds.record(quadruplets, embedding)
        logs = {**rounds.loss.logs(), **rounds.end_epoch(epoch)}
        for name in ("embedding_loss", "classification_loss", "minority_variance"):
            np.testing.assert_allclose(logs[name], history[name][epoch], rtol=1e-4)
    rounds.end()
    assert rounds.training_prior.tolist() == fitted.training_prior.tolist()
    assert largest_difference(fitted.get_weights(), model.get_weights()) < 1e-5


def test_each_pass_of_a_warm_up_has_an_order_of_its_own():
    """Epochs of 1.5 passes: which half is shown twice must change."""
    _, y = blobs((20, 20))
    ids = np.arange(40.0)[:, None]
    embedder = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    settings = Settings(k=1, r=[1.5, 1.5], warmup_epochs=4)
    source = InMemory(ids, y)
    rounds = Rounds(settings, source, embedder, LOSS, n_classes=2, epochs=5)
    twice = []
    for epoch in range(4):
        rounds.begin_epoch(epoch)
        rows = np.concatenate([q["x"].numpy().ravel() for q, _ in rounds.dataset()])
        counts = np.bincount(rows.astype(int), minlength=40)
        assert sorted(counts) == [1] * 20 + [2] * 20
        twice.append(counts)
    assert (twice[0] != twice[2]).any()
    # Two epochs are three passes.
    assert (twice[0] + twice[1] == 3).all()


def test_far_embeddings_are_told_by_their_own_epoch():
    """Epochs in which they were near do not water them down; 5 units are far."""
    x, y = blobs()
    rounds = rounds_of(
        network(), InMemory(x, y), 3, k=3, warmup_epochs=0, embeddings="pass"
    )
    w = np.full((6, 4), 0.25, "float32")

    def end_epoch(epoch, units):
        rounds.begin_epoch(epoch)
        rounds.loss.set_unit(2.0)
        slots = np.zeros((6, 4, 5), "float32")
        slots[:, 1:, 0] = np.sqrt(2.0 * units)
        rounds.loss(y[:6], slots, np.zeros((6, 4, 3), "float32"), w)
        rounds.end_epoch(epoch)

    end_epoch(0, 0.1)
    end_epoch(1, 4.9)  # Warnings are errors here.
    with pytest.warns(UserWarning, match=r"Received: 5\.1 times .* in epoch 3,"):
        end_epoch(2, 5.1)


def test_a_warm_up_without_end_warns():
    x, y = blobs()
    rounds = rounds_of(network(), InMemory(x, y), 9)
    rounds.begin_epoch(0)
    with pytest.warns(UserWarning, match=r"before the first round.*epoch 7.*=6"):
        rounds.end()


def test_rounds_that_never_began_end_silently():
    x, y = blobs()
    rounds_of(network(), InMemory(x, y), 9).end()


@pytest.mark.parametrize(
    "embedder",
    [network(), network().embedder.predict, keras.Sequential([keras.layers.Dense(3)])],
    ids=["DOSModel", "function", "not built"],
)
def test_what_has_no_embedding_is_refused(embedder):
    with pytest.raises(TypeError, match=r"`embedder` must be .*`model.embedder`.*Rece"):
        Rounds(Settings(), InMemory(*blobs()), embedder, LOSS, n_classes=3, epochs=2)


def test_labels_beyond_the_head_are_refused():
    x, y = blobs()
    with pytest.raises(ValueError, match=r"n_classes=3.*Received: 3"):
        rounds_of(network(), InMemory(x, y + 1), 1)


class Next:
    """A search that costs nothing: the next rows of the class are the neighbors."""

    def search(self, vectors, k):
        m = len(vectors)
        ids = (np.arange(m)[:, None] + np.arange(k)) % m
        return ids, np.broadcast_to(np.float32(1), ids.shape)


@pytest.mark.parametrize("settings", [{}, {"k_majority": 0}], ids=["all", "minority"])
@pytest.mark.parametrize("embeddings", ["training", "pass"])
def test_a_round_is_drawn_without_a_second_table(embeddings, settings):
    m, d = 60_000, 128
    y = np.minimum(np.arange(m) // 1000, 56)
    inputs = keras.Input((1,))
    embedder = keras.Model(inputs, keras.layers.Dense(d)(inputs))
    source = InMemory(np.arange(m, dtype="float32")[:, None], y, batch_size=1000)
    chosen = Settings(1, 1, neighbor_search=Next(), embeddings=embeddings, **settings)
    rounds = Rounds(chosen, source, embedder, LOSS, n_classes=57, epochs=9)
    rounds.begin_epoch(6)
    table = m * d * 4
    tracemalloc.start()  # It sees what NumPy takes.
    try:
        rounds.begin_epoch(7)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * table


@pytest.mark.slow
def test_a_quadruplet_takes_120_bytes_beside_the_table():
    r = 2

    def kept(m):
        inputs = keras.Input((1,))
        embedder = keras.Model(inputs, keras.layers.Identity()(inputs))
        source = InMemory(np.arange(m, dtype="float32")[:, None], np.arange(m) % 10)
        chosen = Settings(5, 10 * [r], neighbor_search=Next())
        tracemalloc.start()  # It sees what NumPy takes.
        try:
            rounds = Rounds(chosen, source, embedder, LOSS, n_classes=10, epochs=9)
            rounds.begin_epoch(6)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    kept(1000)  # What TensorFlow keeps of the first one.
    each = (kept(40_000) - kept(20_000)) / 20_000
    table = np.dtype("float32").itemsize
    assert each == pytest.approx(120 * r + table, abs=4)


@pytest.mark.parametrize(
    ("epoch", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError)]
)
def test_an_epoch_that_cannot_be_is_refused(epoch, error):
    rounds = rounds_of(network(), InMemory(*blobs()), epochs=3, **SETTINGS)
    with pytest.raises(error, match=r"`epoch` must be .*Received"):
        rounds.begin_epoch(epoch)


@pytest.mark.parametrize(
    ("weights", "error"), [("balanced", TypeError), ({7: 2.0}, ValueError)]
)
def test_class_weights_that_mean_nothing_are_refused(weights, error):
    source, f = InMemory(*blobs()), network().embedder
    with pytest.raises(error, match=r"`class_weight` must .*Received"):
        Rounds(Settings(), source, f, LOSS, n_classes=3, epochs=3, class_weight=weights)
