"""A logit shift inside a model: what it answers, saved, loaded and exported."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, network

from keras_dos import DOSModel, export_servable, shift_probabilities, with_logit_shift
from keras_dos.logit_shift import LogitShift

COUNTS = [40, 30, 8]
X = blobs()[0]


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def predict(model, x=X):
    """What `predict` answers, without the time to trace it."""
    outputs = model(x, training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def softmax(n=3, **kwargs):
    return keras.layers.Dense(n, activation="softmax", **kwargs)


def test_counts_that_change_later_do_not_change_the_layer():
    counts = np.array(COUNTS)
    layer = LogitShift(counts, 1.0)
    counts[:] = 1
    assert layer.get_config()["class_counts"] == list(COUNTS)


@pytest.mark.parametrize("tau", [-0.7, 0.0, 2.5])
def test_a_dos_model_answers_shifted_probabilities_and_the_same_embedding(tau):
    model = network()
    before = predict(model)
    shifted = with_logit_shift(model, COUNTS, tau)
    assert type(shifted) is DOSModel
    assert shifted.name == model.name
    after = predict(shifted)
    np.testing.assert_array_equal(after["embedding"], before["embedding"])
    expected = shift_probabilities(before["probabilities"], COUNTS, tau)
    np.testing.assert_allclose(after["probabilities"], expected, rtol=1e-5)
    head = predict(shifted.head, before["embedding"])
    np.testing.assert_allclose(head, expected, rtol=1e-5)
    np.testing.assert_array_equal(
        predict(model)["probabilities"], before["probabilities"]
    )


def test_weights_are_shared_and_nothing_is_compiled():
    model = compiled(network())
    shifted = with_logit_shift(model, np.array(COUNTS), 1.0)
    assert model.compiled
    assert not shifted.compiled
    model.set_weights(network(seed=1).get_weights())
    expected = shift_probabilities(predict(model)["probabilities"], COUNTS, 1.0)
    np.testing.assert_allclose(predict(shifted)["probabilities"], expected, rtol=1e-5)
    assert len(shifted.weights) == len(model.weights)


def sequential():
    return keras.Sequential([keras.Input((6,)), softmax()]), X


def functional():
    inputs = keras.Input((6,))
    return keras.Model(inputs, softmax()(inputs)), X


def named():
    inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((6,), name="b")}
    p = softmax()(keras.layers.Add()([inputs["a"], inputs["b"]]))
    outputs = {"probabilities": p, "first": inputs["a"]}
    return keras.Model(inputs, outputs), {"a": X, "b": X[::-1]}


@pytest.mark.parametrize("build", [sequential, functional, named])
def test_other_models_keep_their_inputs_and_outputs(build):
    model, x = build()
    before, after = predict(model, x), predict(with_logit_shift(model, COUNTS, 1.5), x)
    if build is named:
        np.testing.assert_array_equal(after["first"], x["a"])
        before, after = before["probabilities"], after["probabilities"]
    expected = shift_probabilities(before, COUNTS, 1.5)
    np.testing.assert_allclose(after, expected, rtol=1e-5)


def test_a_dict_of_one_output_stays_a_dict():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, {"probabilities": softmax()(inputs)})
    assert predict(with_logit_shift(model, COUNTS, 1.0)).keys() == {"probabilities"}


def test_it_computes_in_float32_in_mixed_precision(mixed_precision):
    model = keras.Sequential(
        [keras.Input((2,), dtype="float32"), keras.layers.Softmax(dtype="float32")]
    )
    shifted = with_logit_shift(model, [10**6, 1], 1.0)
    p = np.array([[1.0, 1e-9]])  # 0 in float16.
    after = predict(shifted, np.log(p).astype("float32"))
    assert after.dtype == np.float32
    expected = shift_probabilities(p, [10**6, 1], 1.0)
    np.testing.assert_allclose(after, expected, rtol=1e-5)


def test_the_loss_of_a_0_is_finite():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
    shifted = with_logit_shift(model, [30, 10], 1.0)
    x = np.array([[0.0, -200.0]], "float32")
    assert predict(model, x)[0, 1] == 0
    compiled(shifted, run_eagerly=True)  # A graph may skip the log of a softmax.
    assert np.isfinite(shifted.evaluate(x, np.array([1]), verbose=0)[0])


@pytest.mark.parametrize("tau", [10.0, -10.0, 1e30])
def test_a_0_stays_a_0_however_far_the_others_are_shifted(tau):
    p, counts = np.array([[0.75, 0.25, 0.0], [1.0, 0.0, 0.0]]), [10**6, 100, 1]
    shifted = np.asarray(LogitShift(counts, tau)(p.astype("float32")))
    np.testing.assert_allclose(shifted, shift_probabilities(p, counts, tau), atol=1e-4)


# Kept.


def test_a_saved_model_is_loaded_with_its_shift(tmp_path):
    shifted = with_logit_shift(network(), COUNTS, 1.35)
    shifted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is DOSModel
    for name, values in predict(shifted).items():
        np.testing.assert_array_equal(predict(loaded)[name], values)
    config = loaded.layers[-1].get_config()
    assert (config["class_counts"], config["tau"]) == (COUNTS, 1.35)


def test_a_second_shift_adds_to_a_first_that_was_saved(tmp_path):
    with_logit_shift(network(), COUNTS, 1.5).save(tmp_path / "model.keras")
    keras.utils.clear_session()  # As in another process, names begin anew.
    loaded = keras.models.load_model(tmp_path / "model.keras")
    twice = predict(with_logit_shift(loaded, COUNTS, -0.5))["probabilities"]
    once = predict(with_logit_shift(network(), COUNTS, 1.0))["probabilities"]
    np.testing.assert_allclose(twice, once, rtol=1e-5)


LOADING = """
import sys, keras
try:
    keras.models.load_model(sys.argv[1])
except TypeError as error:
    print("LogitShift" in str(error) or "DOSModel" in str(error))
import keras_dos
print(type(keras.models.load_model(sys.argv[1]).layers[-1]).__name__)
"""


@pytest.mark.slow
def test_a_process_that_imports_the_package_loads_it(tmp_path):
    model, _ = functional()
    with_logit_shift(model, COUNTS, 1.0).save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path / "model.keras")],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "LogitShift"], done.stderr[-3000:]


def test_an_export_serves_what_predict_says(tmp_path):
    shifted = with_logit_shift(network(), COUNTS, 2.0)
    version = export_servable(shifted, tmp_path / "toy", class_counts=COUNTS)
    signatures = tf.saved_model.load(str(version)).signatures
    expected = shifted.predict(X, verbose=0)
    answer = signatures["serving_default"](inputs=tf.constant(X))
    np.testing.assert_allclose(
        answer["probabilities"], expected["probabilities"], rtol=1e-6
    )
    best = expected["probabilities"].argmax(axis=1)
    np.testing.assert_array_equal(answer["classes"][:, 0], best)
    answer = signatures["embed"](inputs=tf.constant(X))
    np.testing.assert_allclose(answer["embedding"], expected["embedding"], atol=1e-6)


# Refusals.


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Subclassed, "`model` must be a functional Keras model"),
        (
            lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]),
            "looks like logits.*softmax",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((6,)), keras.layers.Dense(1, activation="sigmoid")]
            ),
            "`model` must have class probabilities",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((6,)), keras.layers.Dense(3), keras.layers.Rescaling(2.0)]
            ),
            r"random input.* must be non-negative class probabilities",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((6,)), keras.layers.Dense(3, activation="sigmoid")]
            ),
            "random input.* in rows that sum to one",
        ),
    ],
)
def test_a_wrong_model_raises(build, message):
    with pytest.raises(ValueError, match=message):
        with_logit_shift(build(), COUNTS, 1.0)


def test_a_model_of_free_size_is_not_asked():
    pooled = keras.layers.GlobalAveragePooling1D()
    model = keras.Sequential([keras.Input((None, 6)), pooled, softmax()])
    assert with_logit_shift(model, COUNTS, 1.0).output_shape == (None, 3)


@pytest.mark.parametrize(
    ("counts", "tau", "error", "message"),
    [
        ([30, 10], 1.0, ValueError, "`class_counts` must be 3 integers"),
        ([0, 0, 0], 1.0, ValueError, "`class_counts` must hold.*not all 0"),
        (COUNTS, np.nan, ValueError, "`tau` must be finite"),
        (COUNTS, "1", TypeError, "`tau` must be a number"),
    ],
)
def test_wrong_arguments_raise(counts, tau, error, message):
    with pytest.raises(error, match=message):
        with_logit_shift(network(), counts, tau)


def test_the_layer_checks_its_input_too():
    with pytest.raises(ValueError, match="`class_counts` must be 3 integers"):
        LogitShift([30, 10], 1.0)(np.ones((1, 3)) / 3)
