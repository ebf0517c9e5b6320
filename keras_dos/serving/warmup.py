"""Warm-up requests, which a server replays before it serves a new version."""

import importlib
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_dos.serving.inputs import ModelInputs

# Where TensorFlow Serving looks for them.
WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")

Requests = Mapping[str, Mapping[str, Any]]


def warmup_requests(
    inputs: ModelInputs, samples: list[Any], signatures: Collection[str]
) -> Requests:
    """Return one request per signature, as its inputs by name.

    Example:
        >>> inputs = ModelInputs(None, (tf.TensorSpec((None, 2), name="x"),))
        >>> warmup_requests(inputs, [[[1.0, 2.0]]], ["embed"])
        {'embed': {'x': [[1.0, 2.0]]}}
    """
    tensors = {s.name: v for s, v in zip(inputs.specs, samples, strict=True)}
    requests = dict.fromkeys(signatures, tensors)
    if "images_bytes" in requests:
        pixels = tf.saturate_cast(tf.round(tf.cast(samples[0], tf.float32)), tf.uint8)
        encoded = [tf.io.encode_png(image).numpy() for image in pixels]
        requests["images_bytes"] = {"images_bytes": encoded}
    return requests


def write_warmup(version: Path, model_name: str, requests: Requests) -> None:
    """Write the requests where a server finds them, or warn that there are none.

    Args:
        version: The folder of the version.
        model_name: The name of the model to a server.
        requests: Inputs by name for each signature to warm up.

    Raises:
        OSError: If they cannot be written.
    """
    try:
        protos = importlib.import_module("tensorflow_serving.apis.prediction_log_pb2")
    except Exception as error:  # With another protobuf its import raises others.
        warnings.warn(
            "The servable has no warm-up requests, so its first requests are slow. Run "
            "`pip install tensorflow-serving-api`, in the version of TensorFlow, and "
            f"export again. Received: {type(error).__name__}: {error}.",
            stacklevel=5,  # The caller of export_servable.
        )
        return
    file = version / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, tensors in requests.items():
            log = protos.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name, value in tensors.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
