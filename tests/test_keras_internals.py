"""Each look into Keras' internals, so that the day Keras moves is noticed here."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dos import _keras


def model():
    inputs = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(4, name="hidden")(inputs)
    outputs = keras.layers.Dense(2, activation="softmax", name="p")(hidden)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("weights", [None, [0.5], {"p": 0.5}])
def test_the_loss_weights_of_compile(weights):
    compiled = model()
    compiled.compile("sgd", loss=lambda y, p: p[:, 0], loss_weights=weights)
    assert _keras.compiled(compiled, "loss_weights") == weights


def test_the_operation_and_the_inputs_of_a_tensor():
    built = model()
    assert _keras.operation_of(built.output) is built.get_layer("p")
    (hidden,) = _keras.inputs_of(built.output)
    assert _keras.operation_of(hidden) is built.get_layer("hidden")
    (inputs,) = _keras.inputs_of(hidden)
    assert inputs is built.input
    assert _keras.inputs_of(inputs) == []


def test_a_layer_used_twice_has_the_inputs_of_each_use():
    first, second = keras.Input((3,)), keras.Input((3,))
    layer = keras.layers.Dense(2)
    one, two = layer(first), layer(second)
    assert _keras.inputs_of(one) == [first]
    assert _keras.inputs_of(two) == [second]


@pytest.mark.parametrize(
    "softmax",
    [
        keras.activations.softmax,
        keras.layers.Softmax(),
        keras.layers.Activation("softmax"),
    ],
)
def test_the_logits_of_a_softmax(softmax):
    z = np.array([[1.0, -90.0, 3.0]], "float32")
    p = softmax(keras.ops.convert_to_tensor(z))
    np.testing.assert_array_equal(_keras.logits_of(p), z)


def test_other_probabilities_have_no_logits():
    p = keras.ops.softmax(keras.ops.ones((1, 3)))
    assert _keras.logits_of(p / 1.0) is None


def test_callbacks_know_what_is_to_be_maximized():
    metric = keras.metrics.MeanSquaredError("score")
    _keras.mark_larger_as_better(metric)
    compiled = model()
    compiled.compile("sgd", "mse", metrics=[metric])
    stop = keras.callbacks.EarlyStopping("val_score", start_from_epoch=0)
    stop.set_model(compiled)
    compiled.evaluate(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    stop.on_train_begin()
    for epoch, value in enumerate([0.1, 0.3, 0.2]):
        stop.on_epoch_end(epoch, {"val_score": value})
    assert stop.best == 0.3


def test_metrics_come_from_the_model_whatever_else_a_step_returns():
    class Noisy(_keras.MetricsOfReplicas, keras.Model):
        step_logs = frozenset({"more"})

        def train_step(self, data):
            super().train_step(data)
            return {"loss": -1.0, "more": 5.0}

    inputs = keras.Input((1,))
    noisy = Noisy(inputs, keras.layers.Dense(1)(inputs))
    noisy.compile("sgd", "mse")
    history = noisy.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0).history
    assert history["loss"][0] >= 0
    assert history["more"] == [5.0]


def test_what_several_workers_override():
    """Whether it works there is tested with two workers, in the slow lane."""
    for name in ("_maybe_symbolic_build", "_make_function"):
        overridden = inspect.signature(getattr(_keras.SeveralWorkers, name))
        own = inspect.signature(getattr(keras.Model, name))
        assert len(overridden.parameters) == len(own.parameters)


def test_keras_calls_what_several_workers_override():
    called = []

    class Watched(keras.Model):
        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            called.append("build")
            return super()._maybe_symbolic_build(iterator, data_batch)

        def _make_function(self, step):
            called.append(step.__name__)
            return super()._make_function(step)

    inputs = keras.Input((1,))
    watched = Watched(inputs, keras.layers.Dense(1)(inputs))
    watched.compile("sgd", "mse")
    ones = np.ones((2, 1))
    watched.fit(ones, ones, verbose=0)
    watched.evaluate(ones, ones, verbose=0)
    assert called == ["build", "train_step", "build", "test_step"]


def test_the_shuffle_of_a_dataset():
    dataset = tf.data.Dataset.range(9)
    mixed = dataset.shuffle(9)
    assert _keras.reshuffles(mixed.batch(2).prefetch(1))
    assert _keras.reshuffles(tf.data.Dataset.zip(dataset, mixed))
    tf.random.set_seed(None)  # Others have set one, with which all shuffles have seeds.
    random = tf.data.Dataset.sample_from_datasets
    for makes in (
        lambda i: dataset.shuffle(9),
        lambda i: dataset.flat_map(lambda j: dataset.shuffle(9)),
        lambda i: random([dataset, dataset]),
    ):
        assert _keras.reshuffles(dataset.flat_map(makes))
        assert _keras.reshuffles(dataset.interleave(makes).batch(2))
    assert _keras.reshuffles(dataset.map(abs, 2, deterministic=False))
    loose = tf.data.Options()
    loose.deterministic = False
    parallel = dataset.interleave(lambda i: dataset, num_parallel_calls=2)
    for reordered in (parallel, dataset.map(abs, 2), dataset.batch(2, False, 2)):
        assert _keras.reshuffles(reordered.with_options(loose).batch(2))
    for fixed in (
        parallel,
        dataset.map(abs, 2),
        dataset.map(abs, 2, deterministic=True).with_options(loose),
        dataset.map(abs, 2).cache().with_options(loose),
        dataset.map(abs).with_options(loose),
        dataset.map(lambda i: tf.random.uniform([])),
        dataset.flat_map(lambda i: dataset.shuffle(9, seed=1)),
        dataset.flat_map(lambda i: dataset.shuffle(9, seed=i)),
        dataset.map(lambda i: i),
        dataset.shuffle(9, reshuffle_each_iteration=False),
        mixed.cache().batch(2),
    ):
        assert not _keras.reshuffles(fixed)
