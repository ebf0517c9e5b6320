"""Class priors: which one the probabilities have, and how to move to another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_prior(name: str, values: Any, n_classes: int) -> NDArray[np.float64]:
    """Return class shares that sum to one.

    Args:
        name: The argument that the values came from, for errors.
        values: Class counts or frequencies, shape (n,), all positive.
        n_classes: n.

    Returns:
        Shape (n,), float64.

    Raises:
        ValueError: If the values are no prior of n classes.

    Example:
        >>> read_prior("training_prior", [30, 10], n_classes=2).tolist()
        [0.75, 0.25]
    """
    try:
        prior = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        prior = np.empty(0)
    usable = prior.shape == (n_classes,) and np.isfinite(prior).all() and min(prior) > 0
    # By the largest first: a sum may be infinite.
    shares: NDArray[np.float64] = prior / prior.max() if usable else prior
    if not usable or min(shares) < 1e-30:
        raise ValueError(
            f"`{name}` must be {n_classes} positive numbers, class counts or "
            "frequencies in the order of the model's outputs. "
            f"Received: {name}={values}."
        )
    shares /= shares.sum()
    return shares


def log_ratios(
    training: NDArray[np.float64], deployment: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return log(π'_j / π_j), shape (n,), float32.

    By Bayes' rule p'(j|x) ∝ p(j|x) π'_j / π_j: logit adjustment after the training.

    Example:
        >>> np.exp(log_ratios(np.array([0.5, 0.5]), np.array([0.8, 0.2]))).round(3)
        array([1.6, 0.4], dtype=float32)
    """
    ratios: NDArray[np.float64] = np.log(deployment) - np.log(training)
    return ratios.astype(np.float32)
