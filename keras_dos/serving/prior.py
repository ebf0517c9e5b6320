"""Class priors: which one the probabilities have, and how to move to another."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks


def known_prior(training: Any, model: keras.Model) -> Any:
    """Return `training_prior` as it was given, or as a DOSModel knows it, or None."""
    return getattr(model, "training_prior", None) if training is None else training


def read_priors(
    training: Any, deployment: Any, n_classes: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]:
    """Return the prior that the served probabilities have, and how to get there.

    Args:
        training: `training_prior` as it was given or as the model knows it, or None.
        deployment: `deployment_prior` as it was given, or None.
        n_classes: n.

    Returns:
        The prior, shape (n,), float64, or None if it is not known; and the log ratios
        that adjust probabilities to it, shape (n,), float32, or None if they stay.

    Raises:
        ValueError: If one is not a prior of n classes, or only the second is given.

    Example:
        >>> read_priors([30, 10], None, n_classes=2)
        (array([0.75, 0.25]), None)
    """
    if training is not None:
        training = read_prior("training_prior", training, n_classes)
    if deployment is None:
        return training, None
    deployment = read_prior("deployment_prior", deployment, n_classes)
    if training is None:
        raise ValueError(
            "`training_prior` must be given with `deployment_prior` for a model that "
            "does not know its own: the class counts of the samples that it was "
            "trained on. A DOSModel knows it after `fit` with an OverloadingCallback, "
            "unless samples had weights. Received: training_prior=None."
        )
    return deployment, log_ratios(training, deployment)


def read_prior(name: str, values: Any, n_classes: int) -> NDArray[np.float64]:
    """Return class frequencies that sum to one.

    Args:
        name: The argument that the values came from, for errors.
        values: Class counts or frequencies, shape (n,), all positive.
        n_classes: n.

    Returns:
        Shape (n,), float64.

    Raises:
        ValueError: If the values are not a prior of n classes.

    Example:
        >>> read_prior("training_prior", [30, 10], n_classes=2).tolist()
        [0.75, 0.25]
    """
    _checks.in_class_order(name, values)
    try:
        given = [] if np.ma.is_masked(values) else values
        prior = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        prior = np.empty(0)
    usable = prior.shape == (n_classes,) and np.isfinite(prior).all() and min(prior) > 0
    # Relative to the largest: the sum of finite numbers may be infinite.
    relative: NDArray[np.float64] = prior / prior.max() if usable else prior
    if not usable or min(relative) < 1e-30:
        raise ValueError(
            f"`{name}` must be {n_classes} positive numbers, class counts or "
            f"frequencies in the order of the outputs. Received: {name}={values!r}."
        )
    relative /= relative.sum()
    return relative


def log_ratios(
    training: NDArray[np.float64], deployment: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return log(π'_j / π_j), shape (n,), float32.

    By Bayes' rule p'(j|x) ∝ p(j|x) π'_j / π_j: logit adjustment after training.

    Example:
        >>> np.exp(log_ratios(np.array([0.5, 0.5]), np.array([0.8, 0.2]))).round(3)
        array([1.6, 0.4], dtype=float32)
    """
    ratios: NDArray[np.float64] = np.log(deployment) - np.log(training)
    return ratios.astype(np.float32)
