"""The loss that a training minimizes: the objective with its state in TensorFlow."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from keras_dos import losses
from keras_dos.compiled_loss import CompiledLoss, over_replicas
from keras_dos.objective import MicroClusterObjective, tensor_of_shape

__all__ = ["TrainingLoss"]


class TrainingLoss:
    """ℓ'_g + λ ℓ'_f of a batch, with sample weights and replicas as in a Keras loss.

    Values that change between epochs are variables, so that a traced step sees them.

    Args:
        objective: Eqs. (8)-(10).
        loss: The loss of `compile`, H.
        n_classes: Number of classes n of the head.

    Raises:
        ValueError: If the loss cannot be weighted per slot.

    Example:
        >>> loss = TrainingLoss(
        ...     MicroClusterObjective(), "sparse_categorical_crossentropy", n_classes=2)
        >>> loss.set_adjustment(np.array([0.75, 0.25], np.float32), tau=1.0)
        >>> live = ops.zeros((1, 1, 4))  # k = 0: N(x) holds f(x) alone.
        >>> round(float(loss([1], live, ops.zeros((1, 1, 2)), [[1.0]])), 3)  # −log .25
        1.386
    """

    def __init__(
        self, objective: MicroClusterObjective, loss: Any, n_classes: int
    ) -> None:
        self._objective = objective
        self._compiled = CompiledLoss(loss)
        self._embedding_weight = tf.Variable(0.0, trainable=False)
        self._tau = tf.Variable(0.0, trainable=False)
        self._prior = tf.Variable(tf.ones(n_classes), trainable=False)
        self._unit = tf.Variable(1.0, trainable=False)
        self._parts = _Averages(2)
        # Kept apart from the other two, which validation resets before an epoch ends.
        self._distance = _Averages(1)

    def slots(self, embedding: Any, neighbors: Any, weights: Any) -> Any:
        """Return N(x), shape (b, k + 1, d), from the live f(x), neighbors and w.

        Raises:
            ValueError: If `slots` of the objective returns another shape.
        """
        slots = self._objective.slots(embedding, neighbors, weights)
        w_shape = tuple(ops.convert_to_tensor(weights).shape)
        return tensor_of_shape("slots", slots, (*w_shape, embedding.shape[-1]))

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
            logits: Logits of g(v) for each slot, shape (b, s, n).
            weights: w, shape (b, s); 0 for slots that do not exist.
            sample_weight: Shape (b,). Defaults to None: all 1.

        Returns:
            The scalar ℓ'_g + λ ℓ'_f.

        Raises:
            ValueError: If the loss does not return one value per example.
        """
        distances = self._objective.distances(slots, self._unit)
        exists = ops.cast(ops.convert_to_tensor(weights)[:, 1:] > 0, "float32")
        self._distance.add([ops.sum(exists * distances[:, 1:])], ops.sum(exists))
        adjusted = losses.adjusted_logits(logits, self._prior, self._tau)
        slot_losses = self._compiled.of_slots(y, adjusted)
        parts = self._objective(distances, weights, slot_losses)
        pull, class_loss = (
            ops.cast(self._compiled.reduced(part, sample_weight), "float32")
            for part in parts
        )
        b = ops.cast(ops.shape(y)[0], "float32")
        self._parts.add([over_replicas(part) * b for part in (pull, class_loss)], b)
        return class_loss + self._embedding_weight * pull  # ℓ'_g + λ ℓ'_f

    def check(self, y: Any, k: int, d: int) -> None:
        """Raise what a step of a round would, before a long warm-up hides it.

        Args:
            y: Labels of one sample, shape (1,), (1, 1) or one-hot (1, n).
            k: Neighbors in N(x).
            d: Size of the embedding.

        Raises:
            ValueError: If the loss does not return one value per example, or a
                function of the objective returns another shape than it must.
        """
        weights = ops.ones((1, k + 1)) / (k + 1)
        slots = self.slots(ops.zeros((1, d)), ops.zeros((1, k, d)), weights)
        n = self._prior.shape[0]
        self(y, slots, ops.zeros((1, k + 1, n)), weights)
        self.reset_logs()
        self.reset_neighbor_distance()

    def set_embedding_weight(self, embedding_weight: float) -> None:
        """Set λ."""
        self._embedding_weight.assign(embedding_weight)

    def set_adjustment(self, prior: NDArray[np.float32], tau: float) -> None:
        """Set the prior π, shape (n,), and the exponent τ by which H is adjusted.

        With τ = 0 H is that of `compile`.
        """
        self._prior.assign(prior)
        self._tau.assign(tau)

    def set_unit(self, unit: float) -> None:
        """Set D̄, the unit of squared distance in the scale-free form."""
        if self._objective.scale_free:
            self._unit.assign(unit)

    def logs(self) -> dict[str, Any]:
        """Return the running means of ℓ'_f and ℓ'_g."""
        pull, class_loss = ops.unstack(self._parts.result())
        return {"embedding_loss": pull, "classification_loss": class_loss}

    def reset_logs(self) -> None:
        """Restart the running means."""
        self._parts.reset_state()

    def neighbor_distance(self) -> float:
        """Return the mean squared distance to neighbors since the last reset, in D̄.

        It is 0 in a form that is not scale-free, whose distances have no typical size.
        """
        return float(self._distance.result()[0]) if self._objective.scale_free else 0.0

    def reset_neighbor_distance(self) -> None:
        """Restart the mean distance."""
        self._distance.reset_state()


class _Averages(keras.metrics.Metric):
    """Running means of several values, in one variable: each costs every step."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._sums = self.add_variable(shape=(n + 1,), initializer="zeros")

    def add(self, sums: list[Any], weight: Any) -> None:
        """Add sums of weighted values, and the sum of their weights."""
        self._sums.assign_add(ops.stack([*sums, weight]))

    def result(self) -> Any:
        """Return the means, shape (n,); 0 before any value."""
        return tf.math.divide_no_nan(self._sums[:-1], self._sums[-1])
