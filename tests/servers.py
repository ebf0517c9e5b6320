"""Two servers with one face: TensorFlow Serving, and a stand-in in this process.

The stand-in answers gRPC with the official protos and the part of the REST API that the
tests use, and reads the same models.config. It is no proof of how the real server
behaves; it lets the clients and the tests themselves run where there is none.
"""

import base64
import http.server
import json
import re
import signal
import socket
import subprocess
import threading
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2


class TensorFlowServing:
    """The real server, in a process of its own; a context manager.

    Args:
        command: The command line, without ports.
        log: A file for what it prints.
    """

    def __init__(self, command, log):
        self.grpc_address, self.rest_address = (
            f"127.0.0.1:{free_port()}" for _ in range(2)
        )
        self._command = [
            *command,
            f"--port={self.grpc_address.split(':')[1]}",
            f"--rest_api_port={self.rest_address.split(':')[1]}",
        ]
        self._log = Path(log)

    def __enter__(self):
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *error):
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        print(self._log.read_text()[-3000:])  # Shown if a test fails.
        assert code in (0, -signal.SIGTERM)


class StandIn:
    """Answers in this process what the real server would; a context manager.

    Args:
        config_file: A models.config with one model; reread at each request.
    """

    def __init__(self, config_file):
        self.models = Models(config_file)

    def __enter__(self):
        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        service = Services(self.models)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            service, self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, self._grpc)
        self.grpc_address = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()
        models = self.models
        handler = type("Handler", (RestHandler,), {"models": models})
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.rest_address = f"127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._grpc.stop(None).wait()


class Models:
    """The versions that a models.config tells a server to serve."""

    def __init__(self, config_file):
        self._config_file = Path(config_file)
        self._lock = threading.Lock()
        self._loaded = {}

    @property
    def config(self):
        text = self._config_file.read_text()
        server = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
        (config,) = server.model_config_list.config
        return config

    def versions(self, config=None):
        """Return the versions that are served."""
        config = config or self.config
        names = [path.name for path in Path(config.base_path).iterdir()]
        there = sorted(int(name) for name in names if name.isdecimal())
        wanted = config.model_version_policy.specific.versions
        return [v for v in there if v in wanted] if wanted else there[-1:]

    def run(self, name, version, label, signature, make_inputs):
        """Return the version that answers, and its outputs by name."""
        config = self.config
        if name != config.name:
            raise ValueError(f"no model {name}")
        if label:
            if label not in config.version_labels:
                raise ValueError(f"no label {label}")
            version = config.version_labels[label]
        # Asked once: a version that comes in between must not take away the one that
        # was the latest.
        served = self.versions(config)
        version = version or served[-1]
        if version not in served:
            raise ValueError(f"no version {version}")
        with self._lock:
            if version not in self._loaded:
                path = Path(config.base_path) / str(version)
                self._loaded[version] = tf.saved_model.load(str(path))
        function = self._loaded[version].signatures[signature or "serving_default"]
        inputs = make_inputs(function.structured_input_signature[1])
        outputs = function(**{key: tf.constant(v) for key, v in inputs.items()})
        return version, {key: value.numpy() for key, value in outputs.items()}


class Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """The gRPC services."""

    def __init__(self, models):
        self._models = models

    def Predict(self, request, context):  # noqa: N802
        spec = request.model_spec
        try:
            version, outputs = self._models.run(
                spec.name,
                spec.version.value,
                spec.version_label,
                spec.signature_name,
                lambda _: {k: tf.make_ndarray(v) for k, v in request.inputs.items()},
            )
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelStatus(self, request, context):  # noqa: N802
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in self._models.versions():
            response.model_version_status.add(
                version=version,
                state=get_model_status_pb2.ModelVersionStatus.AVAILABLE,
            )
        return response


class RestHandler(http.server.BaseHTTPRequestHandler):
    """The REST API: the status, and `predict` with instances."""

    models = None
    _path = re.compile(
        r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+))?"
        r"(/labels/(?P<label>\w+))?(?P<predict>:predict)?"
    )

    def do_GET(self):
        versions = self.models.versions()
        statuses = [{"version": str(v), "state": "AVAILABLE"} for v in versions]
        self._answer(200, {"model_version_status": statuses})

    def do_POST(self):
        path = self._path.fullmatch(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(body)
        try:
            _, outputs = self.models.run(
                path["name"],
                int(path["version"] or 0),
                path["label"],
                request.get("signature_name"),
                lambda specs: _from_instances(request["instances"], specs),
            )
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            return self._answer(400, {"error": str(error)})
        rows = {name: _texts(values.tolist()) for name, values in outputs.items()}
        if len(rows) == 1:
            (predictions,) = rows.values()
        else:
            predictions = [
                dict(zip(rows, values, strict=True))
                for values in zip(*rows.values(), strict=True)
            ]
        return self._answer(200, {"predictions": predictions})

    def _answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Print nothing."""


def _from_instances(instances, specs):
    ((name, spec),) = specs.items()
    if spec.dtype == tf.string:
        return {name: [base64.b64decode(instance["b64"]) for instance in instances]}
    return {name: np.array(instances, spec.dtype.as_numpy_dtype)}


def _texts(values):
    if isinstance(values, list):
        return [_texts(value) for value in values]
    return values.decode() if isinstance(values, bytes) else values


def free_port():
    """Return a port of the loopback interface that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
