"""Adjust a cross-entropy by the class frequencies of the training set."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from keras_dos import _checks, _keras
from keras_dos.logit_shift.probabilities import read_tau
from keras_dos.losses import adjusted_logits
from keras_dos.serving.prior import read_prior


@keras.saving.register_keras_serializable(package="keras_dos")
class LogitAdjustedCrossentropy(keras.losses.Loss):
    """The cross-entropy of logits that are shifted by τ log π, for any Keras model.

    The loss of Section 5 of Menon et al.; with τ = 1, the balanced softmax. Then z + τ
    log π fits the data, so that the probabilities of the model, whose logits are z, are
    those of equally frequent classes.

    `OverloadingCallback` adjusts the loss of its rounds itself, by the frequencies of
    the over-sampled set. It refuses this one, unless its `logit_adjustment` is 0.

    Args:
        prior: Class counts or frequencies π of the training set, shape (n,), not all 0.
            A class with none is adjusted like the largest one.
        tau: The exponent τ, any finite number. 0 is the plain cross-entropy. Defaults
            to 1.0.
        from_logits: Whether the model outputs logits instead of probabilities.
            Defaults to False.
        reduction: As in Keras. Defaults to "sum_over_batch_size".
        name: Its name. Defaults to "logit_adjusted_crossentropy".

    Attributes:
        adjusts_logits: Whether τ is not 0, which `OverloadingCallback` asks for.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If `prior` is not a prior or `tau` is not finite.

    Example:
        >>> loss = LogitAdjustedCrossentropy([30, 10])
        >>> round(float(loss([1], [[0.5, 0.5]])), 3)  # −log .25
        1.386
    """

    def __init__(
        self,
        prior: Sequence[float] | NDArray[Any],
        tau: float = 1.0,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "logit_adjusted_crossentropy",
    ) -> None:
        # In half precision the probabilities of rare classes would round to zero.
        super().__init__(name=name, reduction=reduction, dtype="float32")
        _checks.boolean("from_logits", from_logits)
        self._prior = _positive_prior(prior)
        self._tau = read_tau(tau)
        self._from_logits = from_logits
        self.adjusts_logits = self._tau != 0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example.

        Args:
            y_true: Labels, shape (b,) or (b, 1), or one-hot, (b, n).
            y_pred: Class probabilities or logits, shape (b, n).

        Raises:
            ValueError: If there are not n classes, or the labels have another shape.
        """
        y_true, y_pred = map(ops.convert_to_tensor, (y_true, y_pred))
        n = len(self._prior)
        if len(y_pred.shape) != 2:
            raise ValueError(
                "`y_pred` must have shape (b, n), a row for each sample. "
                f"Received: shape {tuple(y_pred.shape)}."
            )
        if y_pred.shape[-1] != n:
            raise ValueError(
                "`prior` must have a number for each class of the model. "
                f"Received: {n} numbers, y_pred of shape {tuple(y_pred.shape)}."
            )
        logits = y_pred if self._from_logits else _logits(y_pred)
        adjusted = adjusted_logits(logits, self._prior, self._tau)
        if y_true.shape[1:] == y_pred.shape[1:]:
            y_true = ops.cast(y_true, "float32")
            return ops.categorical_crossentropy(y_true, adjusted, from_logits=True)
        if tf.TensorShape(y_true.shape)[1:].num_elements() not in (None, 1):
            raise ValueError(
                f"`y_true` must have shape (b,) or (b, 1), or one-hot rows, (b, {n}). "
                f"Received: shape {tuple(y_true.shape)}."
            )
        y_true = ops.reshape(y_true, (-1,))
        return ops.sparse_categorical_crossentropy(y_true, adjusted, from_logits=True)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the loss again."""
        return {
            **super().get_config(),
            "prior": self._prior.tolist(),
            "tau": self._tau,
            "from_logits": self._from_logits,
        }


def _logits(probabilities: Any) -> Any:
    """Return logits: those that a softmax was applied to, or log p."""
    logits = _keras.logits_of(probabilities)
    if logits is not None:
        return logits
    # Far below any probability that counts, where log p is still finite.
    return ops.log(ops.maximum(probabilities, np.finfo(np.float32).tiny))


def _positive_prior(prior: Any) -> NDArray[np.float64]:
    """Return frequencies that sum to one, those of classes with none filled in."""
    _checks.in_class_order("prior", prior)
    values = _checks.real_array("prior", prior)
    if values.ndim != 1 or len(values) < 2 or not values.any():
        raise ValueError(
            "`prior` must be class counts or frequencies, one for each of two or more "
            f"classes and not all 0. Received: prior={prior!r}."
        )
    filled = np.where(values == 0, values.max(), values)
    return read_prior("prior", filled, len(values))
