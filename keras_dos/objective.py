"""Eqs. (8)-(10) put together: how N(x) pulls f(x) and divides its class loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from keras import ops

from keras_dos import _checks, losses
from keras_dos.slots import fill_slots

# Less would divide by 0 in float32.
LEAST_TEMPERATURE = 1e-30


@dataclass(frozen=True)
class MicroClusterObjective:
    """The two losses of a micro-cluster, eqs. (8) and (9), with the shares ρ' of (10).

    The default is the scale-free form. Squared distances are measured in D̄, the mean
    squared distance to an in-class neighbor at the last refresh, so that one weight λ
    works for embeddings of any scale. The paper's form is
    `MicroClusterObjective(scale_free=False, temperature=1.0, cap=None)`, which
    `OverloadingCallback(loss_form="paper")` selects.

    Args:
        scale_free: Whether squared distances are measured in D̄. Defaults to True.
        temperature: T of ρ' ∝ exp(−w d² / T). With k = 5 and neighbors at a distance
            of D̄, T = 1 makes ρ' nearly uniform and leaves the live f(x) 19 % of the
            class loss on average, T = 0.1 37 %, and T = 0.03 64 %. Defaults to 0.03.
        cap: The squared distance, in the same unit, beyond which a slot no longer
            pulls; None for no limit. In a healthy round hardly any neighbor is that
            far. If training moves the embeddings far from those stored, as in rounds
            without warm-up or with fresh batch normalization, the pull would tear the
            network apart. Defaults to 10.
        shares: ρ', a function from distances, weights and mask, each of shape (b, s),
            to shares of shape (b, s). Defaults to `keras_dos.losses.slot_shares`.
        differentiate_shares: Whether the gradient also flows through ρ'; the paper
            calls it a weight. Defaults to False.
        slots: N(x), a function from the live f(x), shape (b, d), the stored neighbors,
            shape (b, k, d), and w, shape (b, k + 1), to slots of shape (b, k + 1, d),
            with the live one in slot 0. Defaults to `keras_dos.slots.fill_slots`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If `temperature` is below 1e-30, or `cap` not positive.

    Example:
        >>> objective = MicroClusterObjective()
        >>> d2 = objective.distances([[[0.0], [1.0]]], unit=4.0)
        >>> d2.numpy().tolist()
        [[0.0, 0.25]]
        >>> pull, class_loss = objective(d2, [[0.5, 0.5]], [[1.0, 3.0]])
        >>> float(pull[0]), round(float(class_loss[0]), 4)
        (0.125, 1.0305)
    """

    scale_free: bool = True
    temperature: float = 0.03
    cap: float | None = 10.0
    shares: Callable[..., Any] = losses.slot_shares
    differentiate_shares: bool = False
    slots: Callable[[Any, Any, Any], Any] = fill_slots

    def __post_init__(self) -> None:
        _checks.boolean("scale_free", self.scale_free)
        _checks.boolean("differentiate_shares", self.differentiate_shares)
        _checks.number("temperature", self.temperature, minimum=LEAST_TEMPERATURE)
        if self.cap is not None:
            _checks.positive("cap", self.cap)
        _checks.function("shares", self.shares, "distances", "weights", mask="mask")
        _checks.function("slots", self.slots, "embedding", "neighbors", "weights")

    @property
    def default_weight(self) -> float:
        """The default of λ: 0.1 in the scale-free form, else the paper's implicit 1."""
        return 0.1 if self.scale_free else 1.0

    def distances(self, slots: Any, unit: Any) -> Any:
        """Return ‖f(x) − v‖² of each slot v in a given unit, limited by the cap.

        Args:
            slots: N(x), shape (b, s, d), slot 0 the live f(x).
            unit: The squared distance that counts as 1; with 0 all distances are 0.

        Returns:
            Shape (b, s), float32.
        """
        slots = ops.convert_to_tensor(slots)
        squared = losses.squared_distances(slots[:, 0], slots)
        distances = tf.math.divide_no_nan(squared, unit)
        return distances if self.cap is None else ops.minimum(distances, self.cap)

    def __call__(self, distances: Any, weights: Any, slot_losses: Any) -> Any:
        """Return ℓ'_f (8) and ℓ'_g (9) of each example.

        Args:
            distances: From `distances`, shape (b, s).
            weights: w, shape (b, s); 0 for slots that do not exist.
            slot_losses: H(g(v), y) of each slot, shape (b, s).

        Returns:
            Two tensors of shape (b,), float32.

        Raises:
            ValueError: If `shares` returns another shape.
        """
        distances, weights = map(ops.convert_to_tensor, (distances, weights))
        mask = weights > 0
        shares = self.shares(distances / self.temperature, weights, mask=mask)
        shares = tensor_of_shape("shares", shares, tuple(distances.shape))
        # Where the shape is known to the step alone, nothing may broadcast either,
        # which this older operation refuses.
        shares = tf.raw_ops.Select(condition=mask, x=shares, y=ops.zeros_like(shares))
        return (
            losses.embedding_loss(distances, weights, mask=mask),
            losses.classification_loss(
                shares, slot_losses, differentiate_shares=self.differentiate_shares
            ),
        )


def tensor_of_shape(name: str, value: Any, expected: tuple[int | None, ...]) -> Any:
    """Return as a tensor what a function of the objective returned.

    Args:
        name: The function, for errors.
        value: What it returned.
        expected: The static shape, None where it is not known. An axis of 1 is refused
            there too, since it would broadcast.

    Raises:
        ValueError: If it is none, or the shape is another.

    Example:
        >>> tensor_of_shape("shares", ops.zeros((2, 3)), (None, 3)).shape
        TensorShape([2, 3])
    """
    try:
        tensor = ops.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` of a MicroClusterObjective must return a tensor. "
            f"Received: {value!r}."
        ) from error
    shape = tuple(tensor.shape)
    pairs = list(zip(shape, expected, strict=False))
    wrong = [a for a, b in pairs if a not in (None, b) and (b is not None or a == 1)]
    if len(shape) != len(expected) or wrong:
        raise ValueError(
            f"`{name}` of a MicroClusterObjective must return shape {expected}. "
            f"Received: shape {shape}."
        )
    return tensor


LOSS_FORMS = {
    "scale_free": MicroClusterObjective(),
    "paper": MicroClusterObjective(scale_free=False, temperature=1.0, cap=None),
}
"""The named objectives."""
