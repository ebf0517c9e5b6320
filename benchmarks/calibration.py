"""How well probabilities are calibrated, as if all classes were equally frequent.

Every sample of the test set counts in proportion to 1 / (samples of its class), as in
balanced accuracy.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold
from sklearn.utils.class_weight import compute_sample_weight


def negative_log_likelihood(y: NDArray[np.int64], p: NDArray[np.floating]) -> float:
    """Return the mean of −log p_y over classes, in nats.

    Args:
        y: Labels, shape (m,).
        p: Class probabilities, shape (m, n).
    """
    weight = compute_sample_weight("balanced", y)
    p = np.asarray(p, np.float64)
    p = p / p.sum(axis=1, keepdims=True)
    return float(log_loss(y, p, sample_weight=weight, labels=range(p.shape[1])))


def scaled_negative_log_likelihood(
    y: NDArray[np.int64], p: NDArray[np.floating]
) -> float:
    """Return the negative log-likelihood after temperature scaling.

    Each half of the samples is scaled by the temperature that fits the other half best
    (Guo et al., ICML 2017).

    Args:
        y: Labels, shape (m,).
        p: Class probabilities, shape (m, n).
    """
    logits = np.log(np.maximum(p, np.finfo(np.float32).tiny).astype(np.float64))
    scaled = np.empty_like(logits)
    for fitted, rest in KFold(2, shuffle=True, random_state=0).split(logits):

        def loss(log_t: float, half: NDArray[np.int64] = fitted) -> float:
            p_half = softmax(logits[half] / np.exp(log_t), axis=1)
            return negative_log_likelihood(y[half], p_half)

        log_t = minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
        scaled[rest] = softmax(logits[rest] / np.exp(log_t), axis=1)
    return negative_log_likelihood(y, scaled)


def calibration_error(
    y: NDArray[np.int64], p: NDArray[np.floating], bins: int = 15
) -> float:
    """Return the expected calibration error of the most probable class.

    The mean distance between confidence and accuracy over bins of equal width in
    confidence (Guo et al., ICML 2017).

    Args:
        y: Labels, shape (m,).
        p: Class probabilities, shape (m, n).
        bins: Number of bins. Defaults to 15.
    """
    weight = compute_sample_weight("balanced", y)
    confidence = p.max(axis=1)
    excess = weight * (confidence - (p.argmax(axis=1) == y))
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=excess, minlength=bins)
    return float(np.abs(gaps).sum() / weight.sum())
