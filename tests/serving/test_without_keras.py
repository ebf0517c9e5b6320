"""An export needs nothing but TensorFlow's own runtime, and is complete."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from guide import TEXT
from servable import SIGNATURES
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

SCRIPT = Path(__file__).parent / "load_without_keras.py"


def read_graph(version):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((version / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    return graph


@pytest.fixture(scope="module")
def answers(served, tmp_path_factory):
    """Answers by way, signature and output; and what the command line prints."""
    folder = tmp_path_factory.mktemp("without keras")
    definitions = read_graph(served.version).signature_def
    job = {}
    for name in SIGNATURES:
        arrays = {
            key: np.array(values.tolist()) if values.dtype == object else values
            for key, values in served.inputs(name).items()
        }
        np.savez(folder / f"{name}.npz", **arrays)
        job[name] = {
            "arrays": str(folder / f"{name}.npz"),
            "inputs": {k: t.name for k, t in definitions[name].inputs.items()},
            "outputs": {k: t.name for k, t in definitions[name].outputs.items()},
        }
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, SCRIPT, served.version, "job.json", "result.npz"]
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(folder / "result.npz")), done.stdout


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("way", ["C", "v2", "v1"])
def test_a_process_without_keras_answers_what_predict_says(
    served, answers, way, signature
):
    for name, expected in served.outputs(signature).items():
        answer = answers[0][f"{way} {signature} {name}"]
        np.testing.assert_array_equal(answer, expected.astype(answer.dtype))


def test_the_graph_holds_operations_of_a_stock_server_alone(served, answers):
    graph = read_graph(served.version).graph_def
    library = graph.library.function
    nodes = [*graph.node, *(node for function in library for node in function.node_def)]
    used = {node.op for node in nodes} - {f.signature.name for f in library}
    assert {"DecodeImage", "Conv2D", "TopKV2"} <= used
    assert used <= set(answers[0]["linked"])
    assert not {op for op in used if "Py" in op or ">" in op}
    # A server may have other devices than the exporting machine.
    assert not any("GPU" in node.device for node in nodes)


def test_the_command_line_tool_lists_the_signatures_of_the_guide(answers):
    listed = answers[1]
    for name in SIGNATURES:
        assert f"signature_def['{name}']" in listed
        assert f"`{name}`" in TEXT
    for name in ("images", "images_bytes"):
        assert f"inputs['{name}']" in listed
        assert f"`{name}`" in TEXT
    for name in ("probabilities", "classes", "scores", "embedding"):
        assert f"outputs['{name}']" in listed
        assert f"`{name}`" in TEXT
    assert "shape: (-1, 32, 32, 3)" in listed
    assert listed.count("Method name is: tensorflow/serving/predict") == 3


def test_the_warm_up_requests_replay(served):
    file = served.version / "assets.extra" / "tf_serving_warmup_requests"
    functions = tf.saved_model.load(str(served.version)).signatures
    replayed = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == served.version.parent.name
        signature = request.model_spec.signature_name
        inputs = {
            name: tf.constant(tf.make_ndarray(proto))
            for name, proto in request.inputs.items()
        }
        for name, values in functions[signature](**inputs).items():
            np.testing.assert_array_equal(values, served.outputs(signature)[name])
        replayed.append(signature)
    assert replayed == SIGNATURES
