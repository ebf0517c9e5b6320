"""What a round draws, line 17 of Algorithm 1: w, and the copies that r calls for."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_dos.parameters import ClassParameters

__all__ = ["WeightSampler", "draw_weights"]

# Samples that represent a class without overloading when the spread is measured.
REFERENCE_SAMPLES = 100


class WeightSampler(Protocol):
    """A function of (exists, rng) that draws w.

    Example:
        Equal weights instead of random ones:

        >>> def equal_weights(exists, rng):
        ...     slots = np.pad(exists, ((0, 0), (1, 0)), constant_values=True)
        ...     return slots / slots.sum(axis=1, keepdims=True)
        >>> equal_weights(np.array([[True, False]]), None).tolist()
        [[0.5, 0.5, 0.0]]
    """

    def __call__(
        self, exists: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[Any]:
        """Return w on the simplex over slot 0 and the neighbors that exist.

        Args:
            exists: Whether there is a neighbor, shape (z, k), bool.
            rng: The only source of randomness to use, so that the seed determines w.

        Returns:
            w, shape (z, k + 1), non-negative; rows sum to one, and slots without a
            neighbor have 0. A slot with 0 counts as one that does not exist.
        """
        ...


def draw_weights(
    exists: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw w uniformly on the simplex over slot 0 and the neighbors that exist.

    Uniform on the simplex is Dirichlet(1, …, 1): normalized exponential variables.
    Uniform variables divided by their sum would cluster around its center.

    Args:
        exists: Whether there is a neighbor, shape (z, k), bool.
        rng: The source of randomness.

    Returns:
        w, shape (z, k + 1), float32; rows sum to one, slots without a neighbor have 0.

    Example:
        >>> w = draw_weights(np.array([[True, False]]), np.random.default_rng(0))
        >>> w.shape, float(w[0, 2])
        ((1, 3), 0.0)
    """
    shape = (len(exists), exists.shape[1] + 1)
    draws: NDArray[np.float32] = rng.standard_exponential(shape, np.float32)
    # 0 marks a slot that does not exist, so no other slot may get it.
    draws = np.maximum(draws, np.float32(1e-6))
    draws[:, 1:] *= exists
    draws /= draws.sum(axis=1, keepdims=True)
    return draws


def sampled_weights(
    sampler: WeightSampler, exists: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return w from a sampler, after checking it.

    Args:
        sampler: The function that draws w.
        exists: Whether there is a neighbor, shape (z, k), bool. The sampler gets it
            read-only.
        rng: The source of randomness.

    Returns:
        w, shape (z, k + 1), float32.

    Raises:
        ValueError: If the sampler does not return weights on the simplex.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sampled_weights(draw_weights, np.array([[True, False]]), rng).shape
        (1, 3)
    """
    shown = exists.view()
    shown.setflags(write=False)
    shape = (len(exists), exists.shape[1] + 1)
    drawn = sampler(shown, rng)
    try:  # A copy: the sampler may use its array again for the next class.
        weights = np.array(drawn, np.float32)
    except (TypeError, ValueError):
        weights = np.empty(0, np.float32)
    if (
        weights.shape != shape
        or not (weights >= 0).all()  # Also True for NaN.
        or not (weights[:, 0] > 0).all()
        or weights[:, 1:][~exists].any()
        or not np.allclose(weights.sum(axis=1), 1, atol=1e-3)
    ):
        raise ValueError(
            f"`weight_sampler` must return weights of shape {shape}: rows on the "
            "simplex, above 0 for slot 0 (the live f(x)), 0 where no neighbor exists. "
            f"Received: shape {weights.shape}, first values {weights.ravel()[:4]}."
        )
    return weights


def draw_copies(
    n: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Repeat n samples to a given size: the r_j of line 17, fractions included.

    Args:
        n: Number of samples.
        size: Number of places to fill, round(r_j · n).
        rng: Chooses the samples that fill the remainder of size / n.

    Returns:
        The copy number and the sample of each place, each of shape (size,), int64.

    Example:
        >>> copies, samples = draw_copies(2, 5, np.random.default_rng(0))
        >>> copies.tolist(), samples[:4].tolist()
        ([0, 0, 1, 1, 2], [0, 1, 0, 1])
    """
    full, rest = divmod(size, n)
    chosen = rng.choice(n, rest, replace=False)
    samples = np.concatenate([np.tile(np.arange(n), full), chosen])
    return np.arange(size) // n, samples


def reference_samples(
    classes: NDArray[np.int64], parameters: ClassParameters, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw samples of the classes that are not overloaded, to measure the spread.

    Args:
        classes: y, the class of each sample, shape (m,), int64.
        parameters: k_j of each class.
        rng: Random generator for the samples.

    Returns:
        At most REFERENCE_SAMPLES ids of each class with k_j = 0; none if all have.

    Example:
        >>> from keras_dos.parameters import resolve_class_parameters
        >>> y = np.array([0, 0, 0, 0, 0, 1, 1])
        >>> parameters = resolve_class_parameters(
        ...     np.bincount(y), k=1, minority=[1], k_majority=0)
        >>> sorted(reference_samples(y, parameters, np.random.default_rng(0)).tolist())
        [0, 1, 2, 3, 4]
    """
    drawn = [np.empty(0, np.int64)]
    for j in np.flatnonzero((parameters.k == 0) & (parameters.k_max > 0)):
        members = np.flatnonzero(classes == j)
        size = min(len(members), REFERENCE_SAMPLES)
        drawn.append(rng.choice(members, size, replace=False))
    return np.concatenate(drawn)


def table_rows(parameters: ClassParameters) -> int:
    """Return the rows of a table for all that a round may embed, at least 1.

    Args:
        parameters: k_j of each class.

    Returns:
        Samples of overloaded classes, and `reference_samples` of the others.

    Example:
        >>> from keras_dos.parameters import resolve_class_parameters
        >>> table_rows(resolve_class_parameters(
        ...     np.array([900, 30]), k=1, minority=[1], k_majority=0))
        130
    """
    counts, k = parameters.counts, parameters.k
    if not parameters.k_max:
        return 1
    return int(np.where(k > 0, counts, np.minimum(counts, REFERENCE_SAMPLES)).sum())
