"""The micro-cluster losses, eqs. (3)-(5) and (8)-(10), as pure functions.

A micro-cluster N(x) has s = k + 1 slots. Slot 0 holds the live embedding f(x), so
that with k = 0 the losses are those of plain training; slots 1..k hold stored
embeddings of in-class neighbors, constants in the training step. All functions are
batched, take a mask for clusters with fewer than k neighbors, and compute in float32:
in float16 a squared distance above 65,504 would be infinite.

Each function has both forms of its equation: the plain form (3)-(5) without the
weights w, the weighted form (8)-(10) with them.
"""

from typing import Any

import tensorflow as tf
from keras import ops

__all__ = [
    "adjusted_logits",
    "classification_loss",
    "embedding_loss",
    "slot_shares",
    "squared_distances",
]

Tensor = Any  # A TensorFlow tensor or anything that converts to one.


def squared_distances(embedding: Tensor, slots: Tensor) -> Tensor:
    """Return ‖f(x) − v‖² for each slot v of N(x).

    Args:
        embedding: f(x), shape (b, d), any float dtype.
        slots: N(x), shape (b, s, d), any float dtype.

    Returns:
        Squared distances, shape (b, s), float32.

    Raises:
        ValueError: If the shapes are others, which would broadcast.

    Example:
        >>> d2 = squared_distances([[0.0, 0.0]], [[[0.0, 0.0], [3.0, 4.0]]])
        >>> d2.numpy().tolist()
        [[0.0, 25.0]]
    """
    embedding = ops.cast(ops.convert_to_tensor(embedding), "float32")
    slots = ops.cast(ops.convert_to_tensor(slots), "float32")
    _check_shape("embedding", embedding, (None, None))
    b, d = embedding.shape
    _check_shape("slots", slots, (b, None, d))
    return ops.sum(ops.square(ops.expand_dims(embedding, 1) - slots), axis=-1)


def embedding_loss(
    distances: Tensor, weights: Tensor | None = None, *, mask: Tensor | None = None
) -> Tensor:
    """Return the micro-cluster loss for f: eq. (3), or eq. (8) with weights.

    ℓ_f = Σ_v ‖f(x) − v‖² and ℓ'_f = Σ_i w_i ‖f(x) − v_i‖². The minimum of ℓ'_f lies
    at the weighted mean Σ_i w_i v_i.

    Args:
        distances: ‖f(x) − v_i‖², shape (b, s), from `squared_distances`.
        weights: w on the simplex, shape (b, s). Defaults to None, which is eq. (3).
        mask: False for slots that do not exist, shape (b, s). Defaults to all True.

    Returns:
        The loss of each example, shape (b,), float32.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> float(embedding_loss([[0.0, 25.0]])[0])
        25.0
        >>> float(embedding_loss([[0.0, 25.0]], weights=[[0.8, 0.2]])[0])
        5.0
    """
    terms = _masked(_weighted(distances, weights), mask, 0.0)
    return ops.sum(terms, axis=-1)


def slot_shares(
    distances: Tensor, weights: Tensor | None = None, *, mask: Tensor | None = None
) -> Tensor:
    """Return the share of each slot in the class loss: ρ (5), or ρ' (10) with weights.

    ρ(v) = exp(−‖f(x) − v‖²) / Z and ρ'(v_i, w_i) = exp(−w_i ‖f(x) − v_i‖²) / Z, where
    Z makes the shares of one example sum to one. If all distances are infinite, which
    leaves 0 / 0, the slots have equal shares, as at any other equal distances.

    Args:
        distances: ‖f(x) − v_i‖², shape (b, s), from `squared_distances`.
        weights: w on the simplex, shape (b, s). Defaults to None, which is eq. (5).
        mask: False for slots that do not exist, shape (b, s). Defaults to all True.

    Returns:
        The shares, shape (b, s), float32; 0 where `mask` is False.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> slot_shares([[0.0, 0.0, 9.0]], mask=[[True, True, False]]).numpy().tolist()
        [[0.5, 0.5, 0.0]]
    """
    terms = _weighted(distances, weights)
    infinite = _masked(terms, mask, float("inf")) == float("inf")
    terms = ops.where(ops.all(infinite, axis=-1, keepdims=True), 0.0, terms)
    terms = _masked(terms, mask, float("inf"))
    # Not ops.softmax, which warns about a single slot, the normal case with k = 0.
    shares = tf.nn.softmax(-terms, axis=-1)
    return _masked(shares, mask, 0.0)  # NaN where no slot exists.


def classification_loss(
    shares: Tensor, cross_entropy: Tensor, *, differentiate_shares: bool = False
) -> Tensor:
    """Return the micro-cluster loss for g: eq. (4), or eq. (9) with weighted shares.

    ℓ_g = Σ_v ρ(v) H(g(v), y) and ℓ'_g = Σ_i ρ'(v_i, w_i) H(g(v_i), y).

    Args:
        shares: ρ or ρ', shape (b, s), from `slot_shares`.
        cross_entropy: H(g(v_i), y), shape (b, s).
        differentiate_shares: Whether the gradient also flows through the shares, which
            moves f(x) toward or away from its neighbors to change how much they count.
            Defaults to False: the paper calls ρ a weight.

    Returns:
        The loss of each example, shape (b,), float32.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> float(classification_loss([[0.5, 0.5]], [[1.0, 3.0]])[0])
        2.0
    """
    shares = ops.convert_to_tensor(shares, "float32")
    if not differentiate_shares:
        shares = ops.stop_gradient(shares)
    cross_entropy = ops.convert_to_tensor(cross_entropy, "float32")
    _check_shape("cross_entropy", cross_entropy, shares.shape)
    return ops.sum(shares * cross_entropy, axis=-1)


def adjusted_logits(logits: Tensor, prior: Tensor, tau: float = 1.0) -> Tensor:
    """Return the logits shifted by the class frequencies of the training set.

    z'_j = z_j + τ log π_j. A cross-entropy taken on z' leaves z itself free of the
    prior: logit adjustment (Menon et al., ICLR 2021), here for H in eq. (9).

    Args:
        logits: Logits or log-probabilities z, shape (..., n).
        prior: Class frequencies π of the training set, shape (n,), all positive.
        tau: Exponent τ of the frequencies. Defaults to 1.0.

    Returns:
        z', shape (..., n), float32.

    Raises:
        ValueError: If the prior is not of n classes.

    Example:
        >>> z = adjusted_logits([0.0, 0.0], [0.75, 0.25])
        >>> ops.softmax(z).numpy().round(3).tolist()
        [0.75, 0.25]
    """
    logits, prior = (
        ops.cast(ops.convert_to_tensor(value), "float32") for value in (logits, prior)
    )
    _check_shape("prior", prior, logits.shape[-1:])
    return logits + tau * ops.log(prior)


def _weighted(distances: Tensor, weights: Tensor | None) -> Tensor:
    distances = ops.convert_to_tensor(distances, "float32")
    if weights is None:
        return distances
    weights = ops.convert_to_tensor(weights, "float32")
    _check_shape("weights", weights, distances.shape)
    return weights * distances


def _masked(terms: Tensor, mask: Tensor | None, value: float) -> Tensor:
    if mask is None:
        return terms
    mask = ops.convert_to_tensor(mask, "bool")
    _check_shape("mask", mask, terms.shape)
    return ops.where(mask, terms, value)


def _check_shape(name: str, value: Tensor, expected: Any) -> None:
    """Raise where a shape that is known before the step runs would broadcast."""
    if not tf.TensorShape(value.shape).is_compatible_with(expected):
        raise ValueError(
            f"`{name}` must have shape {tuple(expected)}, as the other arguments have "
            f"it. Received: shape {tuple(value.shape)}."
        )
