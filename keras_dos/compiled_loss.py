"""The loss of `compile` as H of eqs. (2), (4) and (9): per slot, then over a batch."""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import keras
import tensorflow as tf
from keras import ops


class CompiledLoss:
    """The loss of `compile`, for single slots and reduced as Keras reduces it.

    Args:
        loss: A name, a `keras.losses.Loss`, or a function of (y_true, y_pred) that
            returns one value per example.

    Raises:
        ValueError: If the loss cannot be weighted per slot.

    Example:
        >>> h = CompiledLoss("sparse_categorical_crossentropy")
        >>> values = h.of_slots([1], ops.zeros((1, 3, 2)))
        >>> [round(v, 3) for v in values.numpy()[0].tolist()]
        [0.693, 0.693, 0.693]
        >>> round(float(h.reduced(values[:, 0])), 3)
        0.693
    """

    def __init__(self, loss: Any) -> None:
        self._per_example = per_example(loss)
        ignored = getattr(loss, "ignore_class", None)
        if ignored is not None:
            raise ValueError(
                "The loss of `compile` must count all samples, since the rounds train "
                "on all classes: leave `ignore_class` out, and samples of that class "
                f"too. Received: ignore_class={ignored}."
            )
        if _calls_in_its_own_way(loss):
            raise ValueError(
                "The loss of `compile` must implement `call(y_true, y_pred)`, which "
                "returns one value per example, and leave `__call__` to Keras, so that "
                "each slot of N(x) can be weighted. "
                f"Received: {type(loss).__name__}, which overrides `__call__`."
            )
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        if reduction in (None, "none"):
            raise ValueError(
                "The loss of `compile` must be reduced over the batch: leave "
                f"`reduction` out. Received: reduction={reduction!r}."
            )
        self._reduction = _Reduction(reduction)

    def of_slots(self, y: Any, logits: Any) -> Any:
        """Return H(g(v), y) of each slot.

        Args:
            y: Labels, shape (b,), (b, 1) or one-hot (b, n).
            logits: Logits of g(v), shape (b, s, n), float32.

        Returns:
            Shape (b, s), float32.

        Raises:
            ValueError: If the loss does not give one value per example.
        """
        _, s, n = ops.shape(logits)
        # Keras' cross-entropies recover the logits from this softmax; with plain
        # probabilities, those below 1e-7 would have no gradient.
        probabilities = keras.activations.softmax(ops.reshape(logits, (-1, n)))
        values = self._per_example(_repeated(y, s), probabilities)
        if len(values.shape) != 1:
            raise ValueError(
                "The loss of `compile` must give one value per example, so that each "
                "slot of N(x) can be weighted: return shape (batch,), not a mean. "
                f"Received: a loss that returns shape {tuple(values.shape)}."
            )
        return ops.reshape(values, (-1, s))

    def reduced(self, values: Any, sample_weight: Any = None) -> Any:
        """Return the scalar loss of a batch from values of shape (b,).

        Under tf.distribute it is one replica's part, as for any Keras loss.
        """
        return self._reduction(values, values, sample_weight)


def per_example(loss: Any) -> Callable[[Any, Any], Any]:
    """Return the loss of `compile` as a function that does not reduce over the batch.

    Raises:
        ValueError: If there is no loss, more than one, or one that expects logits.
    """
    if loss is None or isinstance(loss, (dict, list, tuple)):
        raise ValueError(
            "`loss` of a DOSModel must be one loss, on its class probabilities: "
            'compile(loss="sparse_categorical_crossentropy"). '
            f"Received: loss={loss!r}."
        )
    if _is_alias(loss):
        return _crossentropy
    function = keras.losses.get(loss)
    if not isinstance(function, keras.losses.Loss):
        return lambda y, p: function(ops.cast(y, p.dtype), p)
    if function.get_config().get("from_logits"):
        raise ValueError(
            "DOSModel outputs class probabilities, not logits: leave `from_logits` out "
            f"of the loss. Received: loss={type(function).__name__}(from_logits=True)."
        )
    return lambda y, p: function.call(ops.cast(y, p.dtype), p)


def _calls_in_its_own_way(loss: Any) -> bool:
    is_loss = isinstance(loss, keras.losses.Loss)
    return is_loss and type(loss).__call__ is not keras.losses.Loss.__call__


def _repeated(y: Any, times: int) -> Any:
    """Return each label as often as there are slots, (b, ...) to (b · s, ...)."""
    y = ops.expand_dims(y, 1)
    tiled = ops.tile(y, (1, times) + (1,) * len(y.shape[2:]))
    return ops.reshape(tiled, (-1, *y.shape[2:]))


def over_replicas(value: Any) -> Any:
    """Undo the division of a reduced loss by the number of replicas, for the logs."""
    return value * tf.distribute.get_strategy().num_replicas_in_sync


def _is_alias(loss: Any) -> bool:
    """Return whether `compile` chooses the cross-entropy that fits the labels."""
    return isinstance(loss, str) and loss.lower() in ("crossentropy", "ce")


def _crossentropy(y: Any, p: Any) -> Any:
    """Return the cross-entropy for sparse or one-hot labels, as `compile` chooses."""
    if y.shape[1:] == p.shape[1:]:
        return keras.losses.categorical_crossentropy(ops.cast(y, p.dtype), p)
    return keras.losses.sparse_categorical_crossentropy(y, p)


class _Reduction(keras.losses.Loss):
    """The reduction of any Keras loss over per-example values."""

    def __init__(self, reduction: str) -> None:
        super().__init__(name="reduction", reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def is_crossentropy(loss: Any) -> bool:
    """Return whether a loss is the plain cross-entropy, which learns the posterior.

    Args:
        loss: That of `compile`.

    Example:
        >>> is_crossentropy("sparse_categorical_crossentropy")
        True
        >>> is_crossentropy(keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
        False
    """
    if _is_alias(loss):
        return True
    found = keras.losses.get(loss)
    functions = (
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.categorical_crossentropy,
    )
    kinds = (
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.CategoricalCrossentropy,
    )
    smoothed = getattr(found, "label_smoothing", 0)
    return found in functions or (type(found) in kinds and not smoothed)


def check_label_form(loss: Any, shape: Sequence[int | None]) -> None:
    """Raise if a loss of Keras is for labels of the other form, which may broadcast.

    Args:
        loss: That of `compile`.
        shape: That of a batch of labels.

    Raises:
        ValueError: If it is.

    Example:
        >>> check_label_form("sparse_categorical_crossentropy", (None,))
    """
    found = None if _is_alias(loss) else keras.losses.get(loss)
    own = found if isinstance(found, type | FunctionType) else type(found)
    if not own.__module__.startswith("keras."):
        return
    name = own.__name__
    sparse = name.lower().startswith("sparse")
    if sparse == (len(shape) == 2 and shape[1] != 1):
        form, fitting = "class indices", '"sparse_categorical_crossentropy"'
        if sparse:
            form, fitting = "one-hot", '"categorical_crossentropy"'
        raise ValueError(
            f"`y` is {form}: compile with {fitting}, or convert it. "
            f"Received: y of shape {tuple(shape)}, loss={name}."
        )
