"""All access to Keras' internals, each with a test that fails when Keras changes."""

from typing import Any

import keras


def compiled_loss_weights(model: keras.Model) -> Any:
    """Return the `loss_weights` of `compile`, or None.

    The public `get_compile_config` also serializes the loss, and warns about lambdas.
    """
    return model._compile_config.config["loss_weights"]


def operation_of(tensor: Any) -> Any:
    """Return the layer or operation that computed a symbolic tensor."""
    return tensor._keras_history.operation


def inputs_of(tensor: Any) -> list[Any]:
    """Return the symbolic tensors that a symbolic tensor was computed from."""
    operation, node_index, _ = tensor._keras_history
    return list(operation._inbound_nodes[node_index].input_tensors)


def logits_of(probabilities: Any) -> Any:
    """Return the logits that a Keras softmax was applied to, or None if not stored."""
    return getattr(probabilities, "_keras_logits", None)
