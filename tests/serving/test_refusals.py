"""Which models and arguments `export_servable` refuses, before it writes anything."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from servable import children, of_input
from toy import network

from keras_dos import export_servable

MASKED = np.ma.array([3, 2, 1], mask=[0, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"class_names": ["a", "b"]},
            r"`class_names` must be a list of 3 .*=\['a', 'b'\]",
        ),
        (
            {"class_names": ["a", "b", "a"]},
            "`class_names` must be a list of 3 different",
        ),
        ({"class_names": "abc"}, "Received: class_names='abc'"),
        ({"class_names": [1, 2, 3]}, "strings"),
        ({"class_names": 3}, "Received: class_names=3"),
        ({"class_names": np.array("abc")}, "`class_names` must be a list of 3"),
        ({"class_names": iter("abc")}, "`class_names` must be a list of 3"),
        ({"class_names": {"a", "b", "c"}}, "`class_names` must be a list of 3"),
        ({"class_names": {"a": 2, "b": 0, "c": 1}}, "key=names.get"),
        ({"class_counts": [[1], [2, 3], 4]}, "`class_counts` must be 3"),
        ({"class_counts": [5, 5]}, r"`class_counts` must be 3 .*=\[5, 5\]"),
        ({"class_counts": [5, 5, -1]}, "`class_counts` must be 3 integers"),
        ({"class_counts": [0.2, 0.3, 0.5]}, "`class_counts` must be 3 integers"),
        ({"class_counts": [[5, 5, 5]]}, "`class_counts` must be 3 integers"),
        ({"class_counts": 5}, "`class_counts` must be 3 .*=5"),
        ({"deployment_prior": [1, 1]}, "`deployment_prior` must be 3 positive"),
        ({"deployment_prior": [1, 0, 1]}, "`deployment_prior` must be 3 positive"),
        ({"deployment_prior": [1e-200, 1, 1e200]}, "`deployment_prior` must be 3"),
        ({"deployment_prior": "even"}, "Received: deployment_prior='even'"),
        ({"training_prior": [1, np.nan, 1]}, "`training_prior` must be 3 positive"),
        ({"training_prior": MASKED}, "`training_prior` must be 3 positive"),
        ({"class_counts": MASKED}, "`class_counts` must be 3 integers"),
        ({"metrics": {"f1": float("nan")}}, "`metrics` must map"),
        ({"metrics": {"f1": object()}}, "`metrics` must map"),
        ({"metrics": [0.5]}, "`metrics` must map"),
        ({"warmup_inputs": np.zeros((2, 5))}, r'"inputs", shape \(None, 6\).*\(2, 5\)'),
        ({"warmup_inputs": np.zeros((0, 6))}, "at least one"),
        ({"warmup_inputs": {"x": np.zeros((1, 6))}}, "structure .*<inputs>.* a dict"),
        ({"warmup_inputs": np.full((1, 6), np.nan)}, "finite values of the input"),
        ({"warmup_inputs": np.full((1, 6), 1j)}, "float32.*complex128"),
        ({"warmup_inputs": np.full((1, 6), "a")}, "finite values of the input"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(
    arguments, message, tmp_path
):
    with pytest.raises(ValueError, match=message) as error:
        export_servable(network(), tmp_path / "new", **arguments)
    assert "Received: " in str(error.value)
    assert children(tmp_path) == []


class Subclassed(keras.Model):
    def call(self, x):
        return x


class CallsPython(keras.layers.Layer):
    def call(self, x):
        y = tf.numpy_function(lambda a: a, [x], tf.float32)
        y.set_shape(x.shape)
        return y


def two_inputs(*names):
    a, b = (keras.Input((2,), name=name) for name in names)
    p = keras.layers.Dense(3, "softmax")(keras.layers.Concatenate()([a, b]))
    return keras.Model([a, b], p)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Subclassed(), "a functional Keras model"),
        (lambda: "model.keras", "of type str"),
        (
            lambda: of_input((4,), keras.layers.Dense(3)),
            r"`model\(a random input\)` must .* sum to one: .* softmax",
        ),
        (lambda: of_input((4,), keras.layers.Dense(1, "sigmoid")), "n at least 2"),
        (lambda: of_input((4, 4), keras.layers.Dense(3, "softmax")), "n at least 2"),
        (
            lambda: of_input((4,), CallsPython(), keras.layers.Softmax()),
            r"EagerPyFunc|PyFunc",
        ),
        (
            lambda: of_input(
                (None, 4),
                keras.layers.GlobalAveragePooling1D(),
                keras.layers.Softmax(),
            ),
            "`warmup_inputs` must be given",
        ),
        (lambda: two_inputs("x-1", "x 1"), "'x_1' twice"),
    ],
)
def test_models_that_cannot_be_served_are_refused(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_servable(model(), tmp_path / "new")
    assert children(tmp_path) == []


def test_warm_up_inputs_of_different_lengths_are_refused(tmp_path):
    given = [np.zeros((3, 2)), np.zeros((2, 2))]
    message = r"^`warmup_inputs` must have the same number.*Received: \[2, 3\] samples"
    with pytest.raises(ValueError, match=message):
        export_servable(two_inputs("a", "b"), tmp_path / "new", warmup_inputs=given)
    assert children(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("gs://bucket/model", ValueError),
        ("", ValueError),
        (None, TypeError),
        (3, TypeError),
        (b"folder", TypeError),
    ],
)
def test_a_path_that_is_not_a_local_folder_is_refused(
    path, error, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=r"must be the path of a local folder.*Received: "):
        export_servable(network(), path)
    assert children(tmp_path) == []


@pytest.mark.parametrize("name", ["model[2]", "[lr=0.1]/model"])
def test_a_path_that_tensorflow_does_not_find_again_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"`path` must not have brackets.*Received: "):
        export_servable(network(), tmp_path / name)
    assert children(tmp_path) == []


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "model").touch()
    with pytest.raises(ValueError, match="must not be a file"):
        export_servable(network(), tmp_path / "model")


def test_a_prior_is_not_guessed(tmp_path):
    model = of_input((4,), keras.layers.Dense(3, "softmax"))
    with pytest.raises(ValueError, match="`training_prior` must be given"):
        export_servable(model, tmp_path, deployment_prior=[1, 2, 3])


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = of_input((4,), keras.layers.Dense(3, "softmax", name="classes"))
    kernel, bias = model.get_weights()
    bias[1] = np.nan
    model.set_weights([kernel, bias])
    message = r"training diverged.*1 of 2 weights, such as \['\S*classes/bias'\]"
    with pytest.raises(ValueError, match=message):
        export_servable(model, tmp_path / "new")
    assert children(tmp_path) == []


def test_nan_of_finite_weights_is_not_said_to_be_theirs(tmp_path):
    model = of_input((4,), keras.layers.Lambda(lambda x: x / 0.0))
    with pytest.raises(ValueError, match="end the network with a softmax"):
        export_servable(model, tmp_path / "new")
