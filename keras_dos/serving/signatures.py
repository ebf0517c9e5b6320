"""The functions that a server runs, as TensorFlow graphs of stock operations."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.serving.images import decode_images
from keras_dos.serving.inputs import ModelInputs
from keras_dos.serving.outputs import call, named_outputs

Tensors = dict[str, Any]
Signature = tuple[Callable[..., Tensors], list[tf.TensorSpec]]

# They are part of TensorFlow's Python package, not of a server.
_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def build_archive(
    model: keras.Model,
    inputs: ModelInputs,
    class_names: Sequence[str] | None,
    log_ratios: NDArray[np.float32] | None,
    max_image_pixels: int,
) -> tuple[keras.export.ExportArchive, dict[str, Any]]:
    """Trace the signatures of a model.

    Args:
        model: A model of class probabilities: as its only output, or as an output
            "probabilities" next to which there may be an "embedding".
        inputs: Its inputs.
        class_names: One name per class, or None for integer ids.
        log_ratios: Logarithms of the factors of the probabilities, shape (n,), or
            None.
        max_image_pixels: The most pixels of an encoded image.

    Returns:
        The archive to write out, and its signatures by name as concrete functions.

    Raises:
        ValueError: If the graph needs more than a server has.

    Example:
        >>> from keras_dos.serving.inputs import read_inputs
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
        >>> inputs = read_inputs(model)
        >>> _, signatures = build_archive(model, inputs, ["no", "yes"], None, 1)
        >>> answer = signatures["serving_default"](inputs=tf.constant([[0.0, 1.0]]))
        >>> answer["classes"].numpy().tolist()
        [[b'yes', b'no']]
    """
    archive = keras.export.ExportArchive()
    # A model that is tracked itself is written with all its weights twice. Its lookup
    # tables must be tracked; the weights are, as part of the signatures.
    holder = tf.Module()
    holder.model = model
    archive.track(holder)
    concrete = {}
    signatures = _signatures(model, inputs, class_names, log_ratios, max_image_pixels)
    for name, (function, specs) in signatures.items():
        endpoint = archive.add_endpoint(name, function, specs)
        concrete[name] = endpoint.get_concrete_function()
        _check_operations(name, concrete[name].graph.as_graph_def())
    return archive, concrete


def _signatures(
    model: keras.Model,
    inputs: ModelInputs,
    class_names: Sequence[str] | None,
    log_ratios: NDArray[np.float32] | None,
    max_image_pixels: int,
) -> dict[str, Signature]:
    """Return each signature that the model can have, as a function and its inputs."""

    def classify(*tensors: Any) -> Tensors:
        probabilities = _run(model, inputs, tensors, "probabilities")
        if log_ratios is not None:
            # In logarithms no ratio is too large; log 0 = -inf stays a 0.
            probabilities = tf.nn.softmax(tf.math.log(probabilities) + log_ratios)
        return _ranked(probabilities, class_names)

    def embed(*tensors: Any) -> Tensors:
        return {"embedding": _run(model, inputs, tensors, "embedding")}

    def classify_bytes(images_bytes: Any) -> Tensors:
        return classify(decode_images(images_bytes, inputs.image, max_image_pixels))

    specs = list(inputs.specs)
    signatures: dict[str, Signature] = {"serving_default": (classify, specs)}
    if "embedding" in named_outputs(model):
        signatures["embed"] = embed, specs
    if inputs.image is not None:
        encoded = tf.TensorSpec((None,), tf.string, name="images_bytes")
        signatures["images_bytes"] = classify_bytes, [encoded]
    return signatures


def _run(model: keras.Model, inputs: ModelInputs, tensors: Any, output: str) -> Any:
    """Return one output of the model, in float32 even from mixed precision."""
    # A server does not check shapes, and some networks take any without an error.
    pairs = zip(tensors, inputs.specs, strict=True)
    tensors = [tf.ensure_shape(tensor, spec.shape) for tensor, spec in pairs]
    return tf.cast(call(model, inputs, tensors)[output], tf.float32)


def _ranked(probabilities: Any, class_names: Sequence[str] | None) -> Tensors:
    """Add classes and scores, most probable first; of equals the smaller id first."""
    scores, ids = tf.math.top_k(probabilities, k=probabilities.shape[-1])
    if class_names is None:
        classes = tf.cast(ids, tf.int64)
    else:
        classes = tf.gather(tf.constant(list(class_names)), ids)
    return {"probabilities": probabilities, "classes": classes, "scores": scores}


def _check_operations(signature: str, graph: Any) -> None:
    library = graph.library.function
    nodes = [*graph.node, *(node for function in library for node in function.node_def)]
    own = {function.signature.name for function in library}
    foreign = {
        node.op
        for node in nodes
        if node.op in _PYTHON_OPS
        or not (node.op in own or hasattr(tf.raw_ops, node.op))
    }
    if foreign:
        raise ValueError(
            "`model` must be made of TensorFlow's own operations, which a server has: "
            "replace layers that call Python (numpy_function, py_function) or custom "
            f'operations. Received: {sorted(foreign)} in the signature "{signature}".'
        )
