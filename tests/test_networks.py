"""Tests of keras_dos.networks."""

import keras
import numpy as np
import pytest

from keras_dos.model import DOSModel
from keras_dos.networks import c6_c16_f400_f120, c20_c50_f500_f120

NETWORKS = [(c6_c16_f400_f120, (6, 16, 400)), (c20_c50_f500_f120, (20, 50, 500))]


@pytest.fixture
def _mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def parameters_by_hand(height, width, channels, n_classes, first, second, units):
    for _ in range(2):
        height, width = (height - 4) // 2, (width - 4) // 2
    return (
        (25 * channels + 1) * first
        + (25 * first + 1) * second
        + (height * width * second + 1) * units
        + (units + 1) * 120
        + (120 + 1) * n_classes
    )


@pytest.mark.parametrize(("build", "sizes"), NETWORKS)
@pytest.mark.parametrize(
    ("shape", "n_classes"),
    [((28, 28, 1), 10), ((32, 32, 3), 7), ((16, 96, 2), 2)],
)
def test_parameters_are_those_of_table_4(build, sizes, shape, n_classes):
    model = build(shape, n_classes)
    assert isinstance(model, DOSModel)
    assert model.count_params() == parameters_by_hand(*shape, n_classes, *sizes)
    assert model.input_shape == (None, *shape)
    shapes = {name: output.shape for name, output in model.output.items()}
    assert shapes == {"embedding": (None, 120), "probabilities": (None, n_classes)}


def forward_by_hand(model, image):
    """One image through the weights of the model by plain loops."""
    weights = [np.asarray(w) for w in model.get_weights()]
    x = image.astype(np.float64) / 255
    for kernel, bias in (weights[0:2], weights[2:4]):
        height, width = x.shape[0] - 4, x.shape[1] - 4
        convolved = np.empty((height, width, kernel.shape[-1]))
        for i in range(height):
            for j in range(width):
                patch = x[i : i + 5, j : j + 5]
                convolved[i, j] = np.tensordot(patch, kernel, axes=3) + bias
        convolved = np.maximum(convolved, 0)
        x = np.empty((height // 2, width // 2, kernel.shape[-1]))
        for i in range(height // 2):
            for j in range(width // 2):
                cell = convolved[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                x[i, j] = cell.max(axis=(0, 1))
    x = x.reshape(-1)
    for kernel, bias in (weights[4:6], weights[6:8]):
        x = np.maximum(x @ kernel + bias, 0)
    logits = np.exp(x @ weights[8] + weights[9])
    return x, logits / logits.sum()


@pytest.mark.parametrize("build", [build for build, _ in NETWORKS])
def test_outputs_equal_a_forward_pass_by_hand(build):
    keras.utils.set_random_seed(0)
    model = build((20, 18, 3), 4)
    image = np.random.default_rng(0).integers(0, 256, (20, 18, 3), dtype=np.uint8)
    outputs = model(image[np.newaxis])
    embedding, probabilities = forward_by_hand(model, image)
    np.testing.assert_allclose(outputs["embedding"][0], embedding, atol=1e-5)
    np.testing.assert_allclose(outputs["probabilities"][0], probabilities, atol=1e-5)


def test_uint8_and_float_images_give_the_same():
    model = c6_c16_f400_f120((28, 28, 1), 10)
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    of_uint8 = model.predict(images, verbose=0)["probabilities"]
    of_float = model.predict(images.astype("float32"), verbose=0)["probabilities"]
    np.testing.assert_array_equal(of_uint8, of_float)


@pytest.mark.usefixtures("_mixed_precision")
def test_probabilities_are_float32_in_mixed_precision():
    model = c6_c16_f400_f120((28, 28, 1), 10)
    outputs = model(np.full((2, 28, 28, 1), 255, dtype=np.uint8))
    assert keras.backend.standardize_dtype(outputs["embedding"].dtype) == "float16"
    assert keras.backend.standardize_dtype(outputs["probabilities"].dtype) == "float32"
    sums = np.asarray(outputs["probabilities"]).sum(axis=1)
    np.testing.assert_allclose(sums, 1, rtol=1e-6)


def test_embedding_layer_can_be_found_by_name():
    model = c6_c16_f400_f120((28, 28, 1), 10)
    assert model.get_layer("embedding").output is model.output["embedding"]
    assert model.get_layer("probabilities").output is model.output["probabilities"]


@pytest.mark.parametrize("build", [build for build, _ in NETWORKS])
@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (
            (28, 28),
            ValueError,
            r"`input_shape` must be three.*: input_shape=\(28",
        ),
        ((15, 28, 1), ValueError, r"at least 16\. Received: input_shape\[0\]=15\."),
        ((28, 15, 1), ValueError, r"at least 16\. Received: input_shape\[1\]=15\."),
        ((28, 28, 0), ValueError, r"at least 1\. Received: input_shape\[2\]=0\."),
        ((28, None, 1), TypeError, r"integer\. Received: input_shape\[1\]=None\."),
        ((28, 28.0, 1), TypeError, r"integer\. Received: input_shape\[1\]=28\.0\."),
        (28, TypeError, r"`input_shape` must be three integers.*: input_shape=28\."),
        (None, TypeError, "`input_shape` must be three integers"),
    ],
)
def test_wrong_input_shape_raises(build, shape, error, message):
    with pytest.raises(error, match=message):
        build(shape, 10)


@pytest.mark.parametrize("n_classes", [1, 0, -1, 2.0, None, True])
def test_wrong_number_of_classes_raises(n_classes):
    error = ValueError if type(n_classes) is int else TypeError
    with pytest.raises(error, match=rf"Received: n_classes={n_classes}\."):
        c6_c16_f400_f120((28, 28, 1), n_classes)


def test_integers_of_numpy_are_integers(tmp_path):
    shape = [np.int64(16), np.int32(17), np.uint8(1)]
    model = c6_c16_f400_f120(shape, n_classes=np.int64(3))
    assert model.input_shape == (None, 16, 17, 1)
    assert model.output["probabilities"].shape == (None, 3)
    model.save(tmp_path / "model.keras")  # Its config is JSON.
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.count_params() == model.count_params()


def test_images_have_their_channels_last_whatever_the_default_of_keras_is():
    keras.config.set_image_data_format("channels_first")
    try:
        model = c6_c16_f400_f120((20, 24, 3), n_classes=2)
    finally:
        keras.config.set_image_data_format("channels_last")
    expected = c6_c16_f400_f120((20, 24, 3), n_classes=2)
    assert model.count_params() == expected.count_params()
    model.set_weights(expected.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3))
    np.testing.assert_allclose(
        model(images)["probabilities"], expected(images)["probabilities"], rtol=1e-5
    )
