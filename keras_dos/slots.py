"""The slots of N(x) in a batch, eq. (1): the live f(x), then stored neighbors."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dos import _keras

__all__ = ["fill_slots", "slot_logits"]


def fill_slots(embedding: Any, neighbors: Any, weights: Any) -> Any:
    """Return N(x): the live f(x) in slot 0, then the stored neighbors.

    Slots that do not exist hold a copy of f(x) without gradient, so that a layer of the
    head that uses the whole batch (batch normalization) sees no foreign values.

    Args:
        embedding: f(x), shape (b, d), any float dtype.
        neighbors: Stored embeddings, shape (b, k, d), float32.
        weights: w, shape (b, k + 1), float32; 0 for slots that do not exist.

    Returns:
        Shape (b, k + 1, d), float32.

    Example:
        >>> fill_slots([[1.0]], [[[2.0], [9.0]]], [[0.5, 0.5, 0.0]]).numpy().tolist()
        [[[1.0], [2.0], [1.0]]]
    """
    weights = ops.convert_to_tensor(weights)
    live = ops.expand_dims(ops.cast(embedding, "float32"), 1)
    exists = ops.expand_dims(weights[:, 1:] > 0, -1)
    stored = ops.where(exists, neighbors, ops.stop_gradient(live))
    return ops.concatenate([live, stored], axis=1)


def slot_logits(head: keras.Model, slots: Any) -> Any:
    """Return the logits of g(v) for each slot v, in training mode.

    Args:
        head: g, from embeddings (b, d) to probabilities (b, n).
        slots: N(x), shape (b, s, d), float32.

    Returns:
        Shape (b, s, n), float32.

    Example:
        >>> head = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
        >>> slot_logits(head, ops.convert_to_tensor([[[3.0, 4.0]]])).numpy().tolist()
        [[[3.0, 4.0]]]
    """
    _, s, d = ops.shape(slots)
    probabilities = head(ops.reshape(slots, (-1, d)), training=True)
    # A Keras softmax remembers its logits. Without them, log p is as good, down to the
    # smallest p that float32 can represent.
    logits = _keras.logits_of(probabilities)
    if logits is None:
        p = ops.cast(probabilities, "float32")
        logits = ops.log(ops.maximum(p, np.finfo(np.float32).tiny))
    return ops.reshape(ops.cast(logits, "float32"), (-1, s, probabilities.shape[-1]))
