"""How well probabilities are calibrated, as if all classes were equally frequent.

Every sample of the test set counts in proportion to 1 / (samples of its class), as in
balanced accuracy.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss
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
