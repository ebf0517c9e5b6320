"""Losses of the field on class probabilities, for `compile`.

Each is a function of (y_true, y_pred) that gives one value per sample, with sparse
labels of shape (b,) and probabilities of shape (b, n).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Loss = Callable[[Any, Any], Any]


def focal(gamma: float) -> Loss:
    """Return Keras' focal loss (Lin et al., ICCV 2017) without class weights."""

    def loss(y: Any, p: Any) -> Any:
        labels = ops.one_hot(ops.reshape(y, (-1,)), p.shape[-1])
        return keras.losses.categorical_focal_crossentropy(
            labels, p, alpha=1.0, gamma=gamma
        )

    return loss


def logit_adjusted(counts: NDArray[np.int64], tau: float) -> Loss:
    """Return the logit-adjusted loss (Menon et al., ICLR 2021).

    H(softmax(z + τ log π), y). With τ = 1 it is balanced softmax (Ren et al.,
    NeurIPS 2020).
    """
    shift = _shift(counts, tau)

    def loss(y: Any, p: Any) -> Any:
        return _cross_entropy(y, log_probabilities(p) + shift)

    return loss


def logit_adjusted_mixed(counts: NDArray[np.int64], tau: float) -> Loss:
    """Return the logit-adjusted loss for mixed labels, shape (b, n)."""
    shift = _shift(counts, tau)

    def loss(y: Any, p: Any) -> Any:
        logits = log_probabilities(p) + shift
        return keras.losses.categorical_crossentropy(y, logits, from_logits=True)

    return loss


def ldam(counts: NDArray[np.int64], scale: float, max_margin: float = 0.5) -> Loss:
    """Return the LDAM loss (Cao et al., NeurIPS 2019).

    The logit of the true class, scale · cos, is lowered by scale · m_j with margins
    m_j ∝ n_j^(−1/4), the largest `max_margin`. The head must give scale · cos.
    """
    margins = np.maximum(counts, 1).astype(np.float64) ** -0.25
    margins = (scale * max_margin * margins / margins.max()).astype(np.float32)

    def loss(y: Any, p: Any) -> Any:
        truth = ops.one_hot(ops.reshape(y, (-1,)), p.shape[-1])
        return _cross_entropy(y, log_probabilities(p) - truth * margins)

    return loss


def log_probabilities(p: Any) -> Any:
    """Return log p, which differs from the logits by a constant of each sample."""
    return ops.log(ops.maximum(p, np.finfo(np.float32).tiny))


def _shift(counts: NDArray[np.int64], tau: float) -> NDArray[np.float32]:
    prior = np.maximum(counts, 1) / counts.sum()
    shift: NDArray[np.float32] = tau * np.log(prior).astype(np.float32)
    return shift


def _cross_entropy(y: Any, logits: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
