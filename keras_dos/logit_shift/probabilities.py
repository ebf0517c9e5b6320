"""Shift class probabilities, and check what they are shifted by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks
from keras_dos.labels import class_prior

MOST_TAU = 1e30


def shift_probabilities(
    probabilities: ArrayLike,
    class_counts: Sequence[int] | NDArray[np.integer],
    tau: float,
) -> NDArray[np.float64]:
    """Divide class probabilities by π_j^τ and make them sum to one again.

    Args:
        probabilities: Class probabilities, shape `(m, n)` with n > 1, any real dtype;
            each row sums to one within 0.02. A 0 stays 0: in half precision, take
            probabilities that a softmax with `dtype="float32"` computed.
        class_counts: Training samples of each class, shape `(n,)`, not all 0. Their
            proportions are π. A class without samples is shifted like the largest one,
            as in the adjusted loss of `OverloadingCallback`.
        tau: The exponent τ, any finite number. 0 changes nothing, 1 goes from the
            class frequencies of the training set to equal ones, and a negative one
            lowers the probabilities of rare classes.

    Returns:
        Class probabilities, shape `(m, n)`, float64.

    Raises:
        TypeError: If `probabilities` are not numbers, or `tau` is not one.
        ValueError: If a row of `probabilities` does not hold probabilities, if
            `class_counts` are not counts of n classes, or if `tau` is not finite.

    Example:
        >>> shift_probabilities([[0.9, 0.1]], [30, 10], tau=1.0).round(2)
        array([[0.75, 0.25]])
    """
    p = _checks.probabilities("probabilities", probabilities)
    prior = training_prior(class_counts, p.shape[1])
    logits = log_probabilities(p) - read_tau(tau) * np.log(prior)
    shifted: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def read_tau(tau: Any) -> float:
    """Return τ as a float, far from where τ log π overflows in float32.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is too large or not finite.

    Example:
        >>> read_tau(1)
        1.0
    """
    number = _checks.finite("tau", tau)
    if abs(number) > MOST_TAU:
        raise ValueError(
            f"`tau` must be from -{MOST_TAU:g} to {MOST_TAU:g}. Received: tau={tau!r}."
        )
    return number


def log_probabilities(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log p, in which no factor π^−τ is too large; that of 0 is −∞.

    Example:
        >>> log_probabilities(np.array([1.0, 0.0]))
        array([  0., -inf])
    """
    with np.errstate(divide="ignore"):
        logits: NDArray[np.float64] = np.log(p)
    return logits


def training_prior(class_counts: Any, n: int | None = None) -> NDArray[np.float64]:
    """Return the class frequencies π of the training set, as the adjusted loss does.

    Args:
        class_counts: Training samples of each class, shape (n,).
        n: The number of classes. Defaults to None: not checked.

    Returns:
        Shape (n,), float64; that of a class without samples is the largest.

    Raises:
        ValueError: If they are not counts of n classes, or all 0.

    Example:
        >>> training_prior([30, 10, 0]).tolist()
        [0.75, 0.25, 0.75]
    """
    counts = _checks.class_counts("class_counts", class_counts, n)
    if not counts.any():
        raise ValueError(
            "`class_counts` must hold the training samples of each class, not all 0. "
            f"Received: class_counts={class_counts!r}."
        )
    return class_prior(counts).astype(np.float64)
