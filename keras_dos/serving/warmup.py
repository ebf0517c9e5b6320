"""Warm-up requests, which a server replays before it serves a new version."""

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_dos.serving.inputs import ModelInputs

# Where TensorFlow Serving looks for them.
WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")

Requests = Mapping[str, Mapping[str, Any]]


def warmup_requests(inputs: ModelInputs, samples: list[Any]) -> Requests:
    """Return the inputs by name of one request per signature that may exist."""
    tensors = {s.name: v for s, v in zip(inputs.specs, samples, strict=True)}
    requests = {"serving_default": tensors, "embed": tensors}
    if inputs.image is not None:
        pixels = tf.saturate_cast(tf.round(tf.cast(samples[0], tf.float32)), tf.uint8)
        encoded = [tf.io.encode_png(image).numpy() for image in pixels]
        requests["images_bytes"] = {"images_bytes": encoded}
    return requests


def write_warmup(version: Path, model_name: str, requests: Requests) -> None:
    """Write the requests where a server finds them, or say why it has none.

    Args:
        version: The folder of the version.
        model_name: The name of the model to a server.
        requests: Inputs by name for each signature to warm up.
    """
    try:
        protos = importlib.import_module("tensorflow_serving.apis.prediction_log_pb2")
    except Exception as error:  # With another protobuf its import raises others.
        warnings.warn(
            "The servable has no warm-up requests, so that the first requests to each "
            "version will be slow: they are written by tensorflow-serving-api. Install "
            "it with `pip install tensorflow-serving-api`, in the version of "
            "TensorFlow, and export again. "
            f"Received: {type(error).__name__}: {error}",
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
