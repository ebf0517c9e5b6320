"""The objective of a round: eqs. (8)-(10) with the loss of `compile` as H."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_dos import losses

# T of ρ' in the scale-free form. With distances in units of their mean, T = 1 makes ρ'
# nearly uniform, and the live embedding would get only 1/(k+1) of the class gradient.
SHARE_TEMPERATURE = 0.1
# In the scale-free form a neighbor this many units away pulls no more. In a healthy
# round hardly any is; where training moves the embeddings far from those stored, as
# rounds without warm-up or fresh batch normalization do, the pull would tear the
# network apart. (Without warm-up it may end with all embeddings equal even so.)
FARTHEST = 10.0


class MicroClusterObjective:
    """ℓ'_g + λ ℓ'_f of a batch, with sample weights and replicas as in a Keras loss.

    Args:
        loss: The loss of `compile`: a name, a `keras.losses.Loss`, or a function of
            (y_true, y_pred) that returns one value per example.
        embedding_weight: λ, the weight of the embedding loss.
        scale_free: Whether squared distances count in units of `unit`.
        n_classes: Classes of the head.
        tau: Exponent of the prior; 0 leaves H as it is.

    Attributes:
        prior: Class frequencies by which H is adjusted, shape (n,), all positive; a
            variable. Ones, as at first, leave H as it is.
        unit: The squared distance that counts as 1 in the scale-free form; a variable
            that each refresh sets.
    """

    # Subclasses that study the method change these two, `slots` and `_shares`.
    _share_temperature = SHARE_TEMPERATURE
    _differentiate_shares = False

    def __init__(
        self,
        loss: Any,
        *,
        embedding_weight: float,
        scale_free: bool,
        n_classes: int,
        tau: float,
    ) -> None:
        self._loss = per_example(loss)
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        if reduction in (None, "none"):
            raise ValueError(
                "The loss of `compile` must be reduced over the batch: leave "
                f"`reduction` out. Received: reduction={reduction!r}."
            )
        self._reduce = _Reduction(reduction)
        self._embedding_weight = embedding_weight
        self._scale_free = scale_free
        self._tau = tau
        self.prior = tf.Variable(tf.ones(n_classes), trainable=False)
        self.unit = tf.Variable(1.0, trainable=False)
        self._trackers = {
            "embedding_loss": keras.metrics.Mean(name="embedding_loss"),
            "classification_loss": keras.metrics.Mean(name="classification_loss"),
        }
        # Apart from the other two: a validation resets those before an epoch's end.
        self._distance = keras.metrics.Mean(name="neighbor_distance")

    def __call__(
        self,
        y: Any,
        slots: Any,
        logits: Any,
        weights: Any,
        sample_weight: Any = None,
    ) -> Any:
        """Return the loss of a batch and track its parts.

        Args:
            y: Labels, shape (b,), (b, 1) or one-hot (b, n).
            slots: N(x), shape (b, s, d): slot 0 the live f(x), then stored neighbors.
            logits: Of g(v) for each slot, shape (b, s, n).
            weights: w, shape (b, s); 0 for slots that do not exist.
            sample_weight: Shape (b,), or None.

        Returns:
            The scalar ℓ'_g + λ ℓ'_f.
        """
        mask = weights > 0
        distances = losses.squared_distances(slots[:, 0], slots)
        share_distances = distances
        if self._scale_free:
            distances = ops.divide_no_nan(distances, self.unit)
            distances = ops.minimum(distances, FARTHEST)
            neighbors = ops.cast(mask[:, 1:], "float32")
            self._distance.update_state(distances[:, 1:], sample_weight=neighbors)
            share_distances = distances / self._share_temperature
        parts = {
            "embedding_loss": losses.embedding_loss(distances, weights, mask=mask),
            "classification_loss": losses.classification_loss(
                self._shares(share_distances, weights, mask),
                self._slot_losses(y, logits),
                differentiate_shares=self._differentiate_shares,
            ),
        }
        reduced = {
            name: self._reduce(values, values, sample_weight)
            for name, values in parts.items()
        }
        for name, value in reduced.items():
            self._trackers[name].update_state(unscaled(value), ops.shape(y)[0])
        return (
            reduced["classification_loss"]
            + self._embedding_weight * reduced["embedding_loss"]
        )

    def slots(self, embedding: Any, neighbors: Any, weights: Any) -> Any:
        """Return N(x), shape (b, k + 1, d), from what `fill_slots` takes."""
        return fill_slots(embedding, neighbors, weights)

    def logs(self) -> dict[str, Any]:
        """Return the running means of ℓ'_f and ℓ'_g."""
        return {name: tracker.result() for name, tracker in self._trackers.items()}

    def reset(self) -> None:
        """Start the running means anew."""
        for tracker in self._trackers.values():
            tracker.reset_state()

    def mean_distance(self) -> float:
        """Return the mean squared distance to neighbors since `reset_distance`.

        In units, of the scale-free form; 0 for the literal one.
        """
        return float(self._distance.result())

    def reset_distance(self) -> None:
        """Start the mean distance anew."""
        self._distance.reset_state()

    def _shares(self, distances: Any, weights: Any, mask: Any) -> Any:
        """Return ρ' of each slot, eq. (10), shape (b, s)."""
        return losses.slot_weights(distances, weights, mask=mask)

    def _slot_losses(self, y: Any, logits: Any) -> Any:
        """Return H(g(v), y) of each slot, shape (b, s)."""
        b, s, n = ops.shape(logits)
        if self._tau:
            logits = losses.prior_adjusted(logits, self.prior, self._tau)
        # From this very softmax Keras' cross-entropies find their way back to the
        # logits; probabilities below 1e-7 would have no gradient.
        probabilities = keras.activations.softmax(ops.reshape(logits, (-1, n)))
        labels = ops.repeat(y, s, axis=0)
        values = self._loss(labels, probabilities)
        if len(values.shape) != 1:
            raise ValueError(
                "The loss of `compile` must give one value per example, so that each "
                "slot of N(x) can be weighted: return shape (batch,), not a mean. "
                f"Received: a loss that returns shape {tuple(values.shape)}."
            )
        return ops.reshape(values, (b, s))


def per_example(loss: Any) -> Callable[[Any, Any], Any]:
    """Return the loss of `compile` as a function that does not reduce over the batch.

    Raises:
        ValueError: If there is no loss, more than one, or one that expects logits.
    """
    if loss is None or isinstance(loss, (dict, list, tuple)):
        raise ValueError(
            "DOSModel takes one loss, on its class probabilities: "
            'compile(loss="sparse_categorical_crossentropy"). '
            f"Received: loss={loss!r}."
        )
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
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


def unscaled(value: Any) -> Any:
    """Undo the division by the number of replicas, for what is logged."""
    return value * tf.distribute.get_strategy().num_replicas_in_sync


def _crossentropy(y: Any, p: Any) -> Any:
    """Tell sparse from one-hot labels, as `compile` does for this name."""
    if y.shape[1:] == p.shape[1:]:
        return keras.losses.categorical_crossentropy(ops.cast(y, p.dtype), p)
    return keras.losses.sparse_categorical_crossentropy(y, p)


def fill_slots(embedding: Any, neighbors: Any, weights: Any) -> Any:
    """Return N(x): the live f(x) in slot 0, then the stored neighbors.

    Slots that do not exist hold a copy of f(x) without gradient, so that a layer of the
    head that looks at the whole batch (batch normalization) sees nothing foreign.

    Args:
        embedding: f(x), shape (b, d).
        neighbors: Stored embeddings, shape (b, k, d).
        weights: w, shape (b, k + 1); 0 for slots that do not exist.

    Returns:
        Shape (b, k + 1, d), float32.
    """
    live = ops.expand_dims(ops.cast(embedding, "float32"), 1)
    exists = ops.expand_dims(weights[:, 1:] > 0, -1)
    stored = ops.where(exists, neighbors, ops.stop_gradient(live))
    return ops.concatenate([live, stored], axis=1)


class _Reduction(keras.losses.Loss):
    """Reduces values of examples as any Keras loss, under tf.distribute too."""

    def __init__(self, reduction: str) -> None:
        super().__init__(name="reduction", reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred
