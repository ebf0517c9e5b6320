"""Each code block of docs/serving.md is run or checked; those that need a server in
test_server.py, against TensorFlow Serving too where there is one."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from guide import BLOCKS, TEXT, block, checked_blocks
from servable import SIGNATURES
from tensorflow_serving.config import model_server_config_pb2
from toy import blobs, compiled

from keras_dos import DOSModel, OverloadingCallback, class_counts, export_servable

HERE = Path(__file__).parent
MODEL = "svhn_dos"


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_a_test_covers_each_block(language, code):
    checked = [
        block
        for path in sorted(HERE.glob("test_*.py"))
        for block in checked_blocks(path.read_text("utf-8"))
    ]
    assert code in checked, f"run or check this {language} block in a test"


@pytest.mark.parametrize(
    ("source", "covered"),
    [
        ("def test():\n exec(block('python', 'import grpc'))", 1),
        ("def test():\n assert 'x' in block('python', 'import grpc')", 0),
        ("def test():\n assert block('bash', 'docker run')", 1),
        ("def test():\n pass", 0),
    ],
)
def test_a_python_block_is_covered_by_running_it(source, covered):
    assert len(checked_blocks(source)) == covered


def test_each_fence_is_a_block():
    assert TEXT.count("```") == 2 * len(BLOCKS)


@pytest.fixture(scope="module")
def trained():
    """A trained model of images with values 0 to 1, its images before, its labels."""
    x, y = blobs(counts=(20, 12, 6), d=27)
    images = (255 / (1 + np.exp(-x))).reshape(-1, 3, 3, 3).round().astype("float32")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 3, 3), name="images")
    h = keras.layers.Flatten()(inputs)
    embedding = keras.layers.Dense(8, activation="tanh")(h)
    p = keras.layers.Dense(3, activation="softmax")(embedding)
    model = DOSModel(inputs, {"embedding": embedding, "probabilities": p})
    callback = OverloadingCallback(k=2, neighbor_search="exact")
    compiled(model).fit(images / 255, y, epochs=3, callbacks=[callback], verbose=0)
    return model, images, y


def test_the_export_runs(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, images, y = trained
    code = block("python", "export_servable").replace("range(10)", "range(3)")
    values = {"model": model, "x_test": images / 255, "y": y}
    with pytest.warns(UserWarning, match="Put the scaling into the model"):
        exec(code, values)
    version = Path("saved_models", MODEL, "1")
    assert capsys.readouterr().out == f"{version}\n"
    assert f"print(version)  # {version}" in code
    card = json.loads((version / "model_card.json").read_text())
    assert card["class_counts"] == class_counts(y).tolist()
    assert card["classes"] == ["0", "1", "2"]


def test_it_answers_without_a_server(trained, tmp_path, capsys):
    model, images, _ = trained
    names = ["a", "b", "c"]
    version = export_servable(model, tmp_path, class_names=names, warmup_inputs=images)
    exec(block("python", "saved_model.load"), {"version": version, "x_test": images})
    name, score = capsys.readouterr().out.split()
    p = model.classifier.predict(images[:1], verbose=0)[0]
    assert name == names[p.argmax()]
    assert float(score) == pytest.approx(p.max(), rel=1e-4)


def test_the_wrapped_model_takes_the_values_of_files(trained, tmp_path):
    model, images, _ = trained
    code = block("python", "Rescaling(1 / 255)").replace("(32, 32, 3)", "(3, 3, 3)")
    values = {"model": model}
    exec(code, values)
    version = export_servable(values["wrapped"], tmp_path, warmup_inputs=images)
    signatures = tf.saved_model.load(str(version)).signatures
    assert sorted(signatures) == sorted(SIGNATURES)
    encoded = [tf.io.encode_png(image.astype("uint8")).numpy() for image in images]
    answer = signatures["images_bytes"](images_bytes=tf.constant(encoded))
    expected = model.predict(images / 255, verbose=0)["probabilities"]
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("code", [code for name, code in BLOCKS if name == "bash"])
def test_commands_are_well_formed(code):
    subprocess.run(["bash", "-n"], input=code, text=True, check=True)


def model_config(text):
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    return model


def test_the_configurations_are_those_of_one_model():
    latest = model_config(block("proto", "# The latest version"))
    labeled = model_config(block("proto", "# Two versions with labels"))
    served = set(labeled.model_version_policy.specific.versions)
    assert set(labeled.version_labels.values()) <= served
    labeled.ClearField("version_labels")
    labeled.ClearField("model_version_policy")
    assert latest == labeled
    assert (latest.name, latest.base_path) == (MODEL, f"/models/{MODEL}")
    assert latest.model_platform == "tensorflow"


def test_the_batching_is_well_formed():
    # Its message is not among the protos that tensorflow-serving-api installs.
    batching = block("proto", "max_batch_size")
    fields = dict(re.findall(r"^(\w+) \{ value: (\d+) \}$", batching, re.MULTILINE))
    assert len(fields) == len(batching.splitlines())
    assert set(fields) == {
        "max_batch_size",
        "batch_timeout_micros",
        "num_batch_threads",
        "max_enqueued_batches",
    }
    sizes = [int(size) for size in re.findall(r"allowed_batch_sizes: (\d+)", TEXT)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == int(fields["max_batch_size"])


def words(code):
    return shlex.split(code.replace("\\\n", " "))


def server_flags(code):
    flags = [word for word in words(code) if word.startswith("--") and word != "--rm"]
    return [flag for flag in flags if "port=" not in flag]


def test_the_container_gets_the_flags_of_the_plain_server():
    container = block("bash", "docker run")
    plain = block("bash", "tensorflow_model_server")
    assert server_flags(container) == [
        flag.replace("=saved_models/", "=/models/") for flag in server_flags(plain)
    ]
    assert [flag.split("=")[0] for flag in server_flags(plain)] == [
        "--model_config_file",
        "--model_config_file_poll_wait_seconds",
        "--enable_batching",
        "--batching_parameters_file",
        "--allow_version_labels_for_unavailable_models",
    ]
    # Docker takes what stands before the image as its own options.
    assert words(container).index("tensorflow/serving") < words(container).index(
        server_flags(container)[0]
    )
    assert "$PWD/saved_models:/models" in words(container)
    assert "every 10 seconds" in TEXT
    assert "--model_config_file_poll_wait_seconds=10" in words(plain)


def test_clients_ask_where_servers_listen():
    container = words(block("bash", "docker run"))
    plain = words(block("bash", "tensorflow_model_server"))
    for port, flag in (("8500", "--port"), ("8501", "--rest_api_port")):
        assert f"{flag}={port}" in plain
        assert f"{port}:{port}" in container
    urls = re.findall(r"http://\S+", block("bash", "> request.json"))
    urls += re.findall(r"http://\S+", block("bash", "labels/stable"))
    model = f"http://localhost:8501/v1/models/{MODEL}"
    assert urls == [model, f"{model}:predict", f"{model}/labels/stable:predict"]
    assert '"localhost:8500"' in block("python", "import grpc")
