"""The guide's own commands and clients, against a server.

Each test runs twice: with a stand-in in this process, and with TensorFlow Serving where
`tensorflow_model_server` is on the PATH or named by TENSORFLOW_MODEL_SERVER.
"""

import base64
import json
import os
import shlex
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from guide import block
from servable import NAMES, SIGNATURES
from servers import StandIn, TensorFlowServing
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_dos import export_servable

MODEL = "svhn_dos"
BINARY = os.environ.get("TENSORFLOW_MODEL_SERVER") or shutil.which(
    "tensorflow_model_server"
)


class Client:
    """Asks a server by gRPC and REST."""

    def __init__(self, server):
        self.server = server
        options = [("grpc.enable_http_proxy", 0)]
        self.channel = grpc.insecure_channel(server.grpc_address, options)
        self.service = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def grpc(self, signature, inputs, label=""):
        """Return the answer, and the version that gave it."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL
        request.model_spec.signature_name = signature
        if label:
            request.model_spec.version_label = label
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self.service.Predict(request, timeout=30)
        outputs = {k: tf.make_ndarray(v) for k, v in response.outputs.items()}
        return outputs, response.model_spec.version.value

    def rest(self, path="", body=None):
        """Return the JSON that a GET or, with a body, a POST answers."""
        url = f"http://{self.server.rest_address}/v1/models/{MODEL}{path}"
        data = None if body is None else json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, data, timeout=30) as response:
            return json.load(response)

    def wait(self, question, answer, seconds=60):
        """Ask until a question has its answer."""
        end = time.monotonic() + seconds
        while True:
            try:
                answered = question()
            except (grpc.RpcError, OSError) as error:
                answered = error
            if answered == answer:
                return
            assert time.monotonic() < end, answered
            time.sleep(0.2)

    def states(self):
        """Return the state of each version that is not gone."""
        statuses = self.rest()["model_version_status"]
        return {s["version"]: s["state"] for s in statuses if s["state"] != "END"}


def write_config(folder, text):
    text = text.replace(f"/models/{MODEL}", str(folder / MODEL))
    unfinished = folder / "models.config.new"
    unfinished.write_text(text)
    unfinished.rename(folder / "models.config")


@pytest.fixture(scope="module", params=["stand-in", "tensorflow_model_server"])
def client(request, served, tmp_path_factory):
    if request.param != "stand-in" and not BINARY:
        pytest.skip(
            "no tensorflow_model_server: it is not on the PATH, and "
            "TENSORFLOW_MODEL_SERVER names none"
        )
    folder = tmp_path_factory.mktemp("saved_models")
    shutil.copytree(served.version, folder / MODEL / "1")
    write_config(folder, block("proto", "# The latest version"))
    (folder / "batching.config").write_text(block("proto", "max_batch_size"))
    if request.param == "stand-in":
        server = StandIn(folder / "models.config")
    else:
        code = block("bash", "tensorflow_model_server")
        flags = shlex.split(code.replace("\\\n", " "))
        flags = [
            flag.replace("saved_models/", f"{folder}/").replace(
                "poll_wait_seconds=10", "poll_wait_seconds=1"
            )
            for flag in flags[1:]
            if "port=" not in flag
        ]
        command = [BINARY, *flags, "--file_system_poll_wait_seconds=1"]
        server = TensorFlowServing(command, folder / "server.log")
    with server:
        client = Client(server)
        client.folder = folder
        client.wait(client.states, {"1": "AVAILABLE"})
        yield client
        client.channel.close()


def assert_answers(answer, expected):
    assert answer.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype == object:
            np.testing.assert_array_equal(answer[name], values)
        else:  # The server may have put the samples into another batch.
            np.testing.assert_allclose(answer[name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_grpc_answers_what_predict_says(client, served, signature):
    answer, _ = client.grpc(signature, served.inputs(signature))
    assert_answers(answer, served.outputs(signature))


@pytest.mark.parametrize("signature", SIGNATURES)
def test_rest_answers_what_predict_says(client, served, signature):
    (values,) = served.inputs(signature).values()
    if signature == "images_bytes":
        instances = [{"b64": base64.b64encode(image).decode()} for image in values]
    else:
        instances = values.tolist()
    body = {"signature_name": signature, "instances": instances}
    predictions = client.rest(":predict", body)["predictions"]
    if signature == "embed":  # An only output comes without its name.
        answer = {"embedding": np.array(predictions)}
    else:
        answer = {
            name: np.array([row[name] for row in predictions])
            for name in predictions[0]
        }
        answer["classes"] = np.char.encode(answer["classes"], "utf-8").astype(object)
    assert_answers(answer, served.outputs(signature))


def test_bad_requests_are_errors_and_the_server_lives_on(client, served):
    for signature, inputs in (
        ("images_bytes", {"images_bytes": [b"no image"]}),
        ("serving_default", {"images": served.images}),  # uint8
        ("serving_default", {"images": np.zeros((1, 5, 5, 3), "float32")}),
        ("embed", {"pixels": np.zeros((1, 32, 32, 3), "float32")}),
    ):
        with pytest.raises(grpc.RpcError) as error:
            client.grpc(signature, inputs)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    body = {"signature_name": "images_bytes", "instances": [{"b64": "bm8gaW1hZ2U="}]}
    with pytest.raises(urllib.error.HTTPError, match="400") as error:
        client.rest(":predict", body)
    assert "error" in json.load(error.value)
    answer, _ = client.grpc("images_bytes", served.inputs("images_bytes"))
    assert_answers(answer, served.outputs("images_bytes"))


@pytest.fixture
def workplace(client, served, tmp_path, monkeypatch):
    """A folder with image.png, from which the guide's clients find the server."""
    (tmp_path / "image.png").write_bytes(served.encoded[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


def test_the_grpc_client_of_the_guide_runs(client, served, workplace, capsys):
    code = block("python", "import grpc")
    exec(code.replace("localhost:8500", client.server.grpc_address), {})
    expected = served.outputs("images_bytes")
    best = expected["classes"][1][0].decode()
    assert capsys.readouterr().out == f"{best}: {expected['scores'][1][0]:.3f}\n"


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_the_curl_commands_of_the_guide_run(client, served, workplace):
    code = block("bash", "> request.json")
    code = code.replace("localhost:8501", client.server.rest_address)
    done = subprocess.run(["bash", "-ec", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    decoder = json.JSONDecoder()
    status, end = decoder.raw_decode(done.stdout)
    answer, _ = decoder.raw_decode(done.stdout[end:].lstrip())
    assert "AVAILABLE" in {s["state"] for s in status["model_version_status"]}
    (prediction,) = answer["predictions"]
    expected = served.outputs("images_bytes")
    assert prediction["classes"] == [c.decode() for c in expected["classes"][1]]
    np.testing.assert_allclose(prediction["scores"], expected["scores"][1], rtol=1e-4)


def test_a_second_version_takes_over_under_load_and_labels_lead_back(client, served):
    inputs = served.inputs("embed")
    seen, failures, done = [], [], threading.Event()

    def load():
        while not done.is_set():
            try:
                seen.append(client.grpc("embed", inputs)[1])
            except Exception as error:
                failures.append(error)

    def latest():
        return client.grpc("embed", inputs)[1]

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        client.wait(latest, 1)
        export_servable(served.model, client.folder / MODEL, class_names=NAMES)
        client.wait(latest, 2)
        time.sleep(1)  # The old version goes while the load goes on.
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(seen) == {1, 2}

    labels = block("proto", "# Two versions with labels")

    def answers(label):
        return lambda: client.grpc("embed", inputs, label)[1]

    try:
        write_config(client.folder, labels)
        client.wait(answers("stable"), 1)
        client.wait(answers("canary"), 2)
        promoted = labels.replace('"stable" value: 1', '"stable" value: 2')
        write_config(client.folder, promoted)
        client.wait(answers("stable"), 2)
        write_config(client.folder, labels)
        client.wait(answers("stable"), 1)
    finally:
        write_config(client.folder, block("proto", "# The latest version"))


def test_the_label_command_of_the_guide_runs(client, served, workplace):
    write_config(client.folder, block("proto", "# Two versions with labels"))
    try:
        client.wait(
            lambda: client.grpc("embed", served.inputs("embed"), "stable")[1], 1
        )
        image = base64.b64encode(served.encoded[0]).decode()
        body = {"signature_name": "images_bytes", "instances": [{"b64": image}]}
        (workplace / "request.json").write_text(json.dumps(body))
        code = block("bash", "labels/stable")
        code = code.replace("localhost:8501", client.server.rest_address)
        done = subprocess.run(["bash", "-ec", code], capture_output=True, text=True)
        (prediction,) = json.loads(done.stdout)["predictions"]
        best = served.outputs("images_bytes")["classes"][0][0].decode()
        assert prediction["classes"][0] == best
    finally:
        write_config(client.folder, block("proto", "# The latest version"))
