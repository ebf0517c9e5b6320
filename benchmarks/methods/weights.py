"""Class weights for `fit(class_weight=...)`; their mean over the samples is 1."""

import numpy as np
from numpy.typing import NDArray


def inverse_frequency(counts: NDArray[np.int64], power: float) -> dict[int, float]:
    """Return weights ∝ n_j^(−power); with power 1 scikit-learn's "balanced"."""
    return _normalized(np.maximum(counts, 1).astype(float) ** -power, counts)


def effective_number(counts: NDArray[np.int64], beta: float) -> dict[int, float]:
    """Return class-balanced weights (Cui et al., CVPR 2019): (1 − β) / (1 − β^n_j)."""
    weights = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    return _normalized(weights, counts)


def _normalized(
    weights: NDArray[np.float64], counts: NDArray[np.int64]
) -> dict[int, float]:
    weights = weights * counts.sum() / (weights * counts).sum()
    return dict(enumerate(weights.tolist()))
