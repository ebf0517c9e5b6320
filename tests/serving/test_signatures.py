"""What the signatures answer, as a Python program loads them."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from servable import NAMES, SIGNATURES
from toy import network

from keras_dos import export_servable
from keras_dos.networks import c6_c16_f400_f120


def load(version):
    return tf.saved_model.load(str(version)).signatures


def ask(function, **inputs):
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in function(**tensors).items()}


@pytest.fixture(scope="module")
def signatures(served):
    return load(served.version)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_each_signature_answers_what_predict_says(served, signatures, signature):
    answer = ask(signatures[signature], **served.inputs(signature))
    expected = served.outputs(signature)
    assert answer.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(answer[name], values)
        again = ask(signatures[signature], **served.inputs(signature))[name]
        np.testing.assert_array_equal(answer[name], again)


def test_there_are_three_signatures_with_a_free_batch(signatures):
    assert sorted(signatures) == sorted(SIGNATURES)
    for function in signatures.values():
        (spec,) = function.structured_input_signature[1].values()
        for tensor in (spec, *function.structured_outputs.values()):
            assert tensor.shape[0] is None
            assert None not in tensor.shape[1:]


def test_the_best_class_comes_first_and_of_equals_the_smaller(tmp_path):
    inputs = keras.Input((3,), name="p")
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    p = np.array([[0.25, 0.5, 0.25], [0.2, 0.2, 0.6]], "float32")
    answer = ask(
        load(export_servable(model, tmp_path, warmup_inputs=p))["serving_default"], p=p
    )
    assert answer["classes"].tolist() == [[1, 0, 2], [2, 0, 1]]
    assert answer["classes"].dtype == np.int64
    np.testing.assert_array_equal(answer["scores"], -np.sort(-p, axis=1))
    np.testing.assert_array_equal(answer["probabilities"], p)


def encode(image, file_format):
    file = io.BytesIO()
    image.save(file, file_format)
    return file.getvalue()


def test_images_of_any_size_and_kind_are_made_to_fit(served, signatures):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    gray = image.convert("L")
    jpeg = encode(image, "JPEG")
    encoded = [
        encode(image, "PNG"),
        jpeg,
        encode(gray, "PNG"),
        encode(image.convert("RGBA"), "PNG"),
    ]
    answer = ask(signatures["images_bytes"], images_bytes=np.array(encoded, object))
    decoded = [
        pixels,
        tf.io.decode_jpeg(jpeg).numpy(),
        np.repeat(np.array(gray)[..., None], 3, axis=-1),
        pixels,
    ]
    resized = keras.layers.Resizing(32, 32)(np.stack(decoded).astype("float32"))
    expected = served.model.predict(resized, verbose=0)["probabilities"]
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-5)


@pytest.mark.parametrize("encoded", [b"", b"no image", b"\x89PNG\r\n\x1a\n half"])
def test_bad_bytes_are_an_error_and_the_next_request_works(served, signatures, encoded):
    function = signatures["images_bytes"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        ask(function, images_bytes=np.array([served.encoded[0], encoded], object))
    answer = ask(function, **served.inputs("images_bytes"))
    expected = served.outputs("images_bytes")["scores"]
    np.testing.assert_array_equal(answer["scores"], expected)


def test_inputs_of_another_shape_are_an_error_for_any_network(tmp_path):
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()]
    model = keras.Sequential([keras.Input((8, 8, 3), name="x"), *layers])
    function = load(export_servable(model, tmp_path))["serving_default"]
    ask(function, x=np.zeros((2, 8, 8, 3), "float32"))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[\?,8,8,3\]"):
        ask(function, x=np.zeros((2, 9, 9, 3), "float32"))


def test_gray_networks_take_color_images(tmp_path):
    keras.utils.set_random_seed(0)
    model = c6_c16_f400_f120((28, 28, 1), n_classes=3)
    image = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    )
    gray = tf.io.decode_png(encode(image, "PNG"), channels=1)
    answer = ask(
        load(export_servable(model, tmp_path))["images_bytes"],
        images_bytes=[encode(image, "PNG")],
    )
    expected = model.predict(gray[None], verbose=0)["probabilities"]
    np.testing.assert_array_equal(answer["probabilities"], expected)


def test_an_integer_input_of_free_size_gets_the_pixels_as_they_are(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(x))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    signatures = load(export_servable(model, tmp_path, warmup_inputs=images))
    assert sorted(signatures) == ["images_bytes", "serving_default"]
    expected = model.predict(images, verbose=0)
    encoded = np.array([tf.io.encode_png(image).numpy() for image in images], object)
    for answer in (
        ask(signatures["serving_default"], pixels=images),
        ask(signatures["images_bytes"], images_bytes=encoded),
    ):
        np.testing.assert_array_equal(answer["probabilities"], expected)


def test_mixed_precision_is_served_as_float32(tmp_path):
    model = network(policy="mixed_float16")
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    expected = model.predict(x, verbose=0)
    assert expected["embedding"].dtype == np.float16
    signatures = load(export_servable(model, tmp_path))
    for signature, output in (
        ("embed", "embedding"),
        ("serving_default", "probabilities"),
    ):
        value = ask(signatures[signature], inputs=x)[output]
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected[output])


def test_it_serves_inference_and_the_same_each_time(tmp_path):
    layers = keras.layers
    head = [layers.BatchNormalization(), layers.GaussianNoise(1.0), layers.Dropout(0.5)]
    model = network(head=head)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    function = load(export_servable(model, tmp_path))["serving_default"]
    expected = model.predict(x, verbose=0)["probabilities"]
    for _ in range(2):
        answer = ask(function, inputs=x)["probabilities"]
        np.testing.assert_array_equal(answer, expected)


def test_several_inputs_keep_their_names(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = {
        "pixels": keras.Input((4, 4, 1), name="pixels"),
        "age": keras.Input((1,), dtype="int32", name="age"),
    }
    flat = keras.layers.Flatten()(inputs["pixels"])
    age = keras.layers.Rescaling(0.01)(inputs["age"])
    x = keras.layers.Concatenate()([flat, age])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    rng = np.random.default_rng(0)
    values = {
        "pixels": rng.uniform(size=(3, 4, 4, 1)).astype("float32"),
        "age": rng.integers(90, size=(3, 1)).astype("int32"),
    }
    signatures = load(export_servable(model, tmp_path, warmup_inputs=values))
    assert list(signatures) == ["serving_default"]
    answer = ask(signatures["serving_default"], **values)
    expected = model.predict(values, verbose=0)
    np.testing.assert_array_equal(answer["probabilities"], expected)


def test_names_that_keras_chose_do_not_reach_the_clients(tmp_path):
    for model in (network(), network()):
        function = load(export_servable(model, tmp_path))["serving_default"]
        assert list(function.structured_input_signature[1]) == ["inputs"]


@pytest.mark.parametrize(
    ("training", "expected_training"),
    [([1, 1, 1], [1 / 3, 1 / 3, 1 / 3]), ([60, 30, 10], [0.6, 0.3, 0.1])],
)
def test_a_deployment_prior_follows_bayes_rule(tmp_path, training, expected_training):
    model = network()
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    deployment = [0.9, 0.09, 0.01]
    version = export_servable(
        model,
        tmp_path,
        class_names=NAMES[:3],
        training_prior=training,
        deployment_prior=[90, 9, 1],
    )
    answer = ask(load(version)["serving_default"], inputs=x)
    for p, served, classes in zip(
        model.predict(x, verbose=0)["probabilities"],
        answer["probabilities"],
        answer["classes"],
        strict=True,
    ):
        odds = [
            p[j] * deployment[j] / expected_training[j] for j in range(len(deployment))
        ]
        expected = [value / sum(odds) for value in odds]
        np.testing.assert_allclose(served, expected, rtol=1e-5)
        assert classes[0].decode() == NAMES[int(np.argmax(expected))]


def test_extreme_priors_give_no_nan(tmp_path):
    model = keras.Sequential([keras.Input((3,), name="p"), keras.layers.Identity()])
    x = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]], "float32")
    function = load(
        export_servable(
            model,
            tmp_path,
            training_prior=[1e25, 1, 1],
            deployment_prior=[1, 1e25, 1e25],
            warmup_inputs=x,
        )
    )["serving_default"]
    p = ask(function, p=x)["probabilities"]
    np.testing.assert_allclose(p, [[1, 0, 0], [0, 0.375, 0.625]], atol=1e-6)


def test_names_that_python_keeps_for_itself_are_changed(tmp_path):
    inputs = {name: keras.Input((2,), name=name) for name in ("class", "self")}
    x = keras.layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, [keras.layers.Dense(2, activation="softmax")(x)])
    function = load(export_servable(model, tmp_path))["serving_default"]
    names = list(function.structured_input_signature[1])
    assert sorted(names) == ["input_class", "input_self"]


def test_a_wrapped_model_brings_its_preprocessing(tmp_path):
    model = c6_c16_f400_f120((16, 16, 1), n_classes=2)
    inputs = keras.Input((32, 32, 1), name="images")
    wrapped = keras.Model(inputs, model(keras.layers.Resizing(16, 16)(inputs)))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1))
    signatures = load(export_servable(wrapped, tmp_path))
    assert sorted(signatures) == sorted(SIGNATURES)
    answer = ask(signatures["embed"], images=images.astype("float32"))
    expected = wrapped.predict(images, verbose=0)["embedding"]
    np.testing.assert_array_equal(answer["embedding"], expected)


def test_texts_are_looked_up_inside_the_graph(tmp_path):
    words = keras.layers.TextVectorization(output_mode="multi_hot")
    words.adapt(["a rare class", "a frequent class"])
    layers = [words, keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(
        [keras.Input((), dtype="string", name="1st text"), *layers]
    )
    signatures = load(export_servable(model, tmp_path))
    texts = np.array(["a class", "rare"], dtype=object)
    answer = ask(signatures["serving_default"], input_1st_text=texts)
    expected = model.predict(tf.constant(texts), verbose=0)
    np.testing.assert_array_equal(answer["probabilities"], expected)


def test_the_weights_are_written_once(served):
    variables = served.version / "variables" / "variables.data-00000-of-00001"
    weights = sum(array.nbytes for array in served.model.get_weights())
    assert weights <= variables.stat().st_size < 1.1 * weights
