"""Class-wise k and r (Section 3.5): the user's choice as one value per class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.labels import minority_classes

__all__ = ["ClassParameters", "resolve_class_parameters"]

# The largest r of "moderate": beyond it the few samples of a rare class repeat so often
# that they are memorized, and the prior-adjusted loss does better.
MODERATE_R = 3.0

# Rows of neighbors are int32; an epoch of more quadruplets fits into no memory.
MOST = 2**31 - 1

ClassWiseInt: TypeAlias = int | Sequence[int] | Mapping[int, int]
ClassWiseRate: TypeAlias = str | float | Sequence[float] | Mapping[int, float]


@dataclass(frozen=True)
class ClassParameters:
    """The class-wise inputs of Algorithm 1.

    Attributes:
        counts: Samples per class, shape (n,), int64.
        minority: The minority classes.
        k: Overloading parameter k_j, shape (n,), int64.
        sizes: Quadruplets per class, round(r_j · counts_j), shape (n,), int64.
    """

    counts: NDArray[np.int64]
    minority: tuple[int, ...]
    k: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def n_quadruplets(self) -> int:
        """The size of Z', the same in every round."""
        return int(self.sizes.sum())

    @property
    def k_max(self) -> int:
        """The most neighbors that any sample has: max_j min(k_j, counts_j − 1)."""
        return int(np.minimum(self.k, np.maximum(self.counts - 1, 0)).max())

    def without_neighbors(self) -> "ClassParameters":
        """Return the same parameters with k_j = 0 for every class."""
        return replace(self, k=np.zeros_like(self.k))

    def group(self, name: str) -> tuple[int, ...]:
        """Return the classes of "minority" or "majority" that have samples."""
        return tuple(
            j
            for j in np.flatnonzero(self.counts).tolist()
            if (j in self.minority) == (name == "minority")
        )


def resolve_class_parameters(
    counts: NDArray[np.int64],
    *,
    k: ClassWiseInt = 5,
    r: ClassWiseRate = "moderate",
    minority: Sequence[int] | None = None,
    k_majority: int | None = None,
) -> ClassParameters:
    """Resolve the arguments of `OverloadingCallback` against the class counts.

    An epoch, even a warm-up epoch, has ceil(`n_quadruplets` / batch size) steps.

    Args:
        counts: Samples per class, shape (n,), int.
        k: As for `OverloadingCallback`.
        r: As for `OverloadingCallback`.
        minority: As for `OverloadingCallback`.
        k_majority: As for `OverloadingCallback`.

    Returns:
        The parameters of every class.

    Raises:
        ValueError: If a value is out of range, has the wrong length, names a class that
            does not exist or has no samples, or would have no effect.
        TypeError: If a value is of the wrong type.

    Example:
        >>> counts = np.array([1000, 100])
        >>> p = resolve_class_parameters(counts, k=5, r="balance", k_majority=0)
        >>> p.minority, p.k.tolist(), p.sizes.tolist()
        ((1,), [0, 5], [1000, 1000])
    """
    check_k(k, k_majority)
    check_r(r)
    counts = _checks.class_counts("counts", counts).astype(np.int64)
    found = (
        minority_classes(counts)
        if minority is None
        else _checks.class_ids("minority", minority, counts)
    )
    k_values = _resolve_k(k, k_majority, found, counts)
    rates = _resolve_r(r, found, counts)
    sizes = np.where(counts > 0, np.maximum(np.rint(rates * counts), 1), 0)
    if sizes.sum() > MOST:
        raise ValueError(
            f"`r` must ask for at most {MOST:,} quadruplets in an epoch. "
            f"Received: r={r!r}, which makes {sizes.sum():.3g} of {counts.sum():,} "
            "samples."
        )
    return ClassParameters(counts, found, k_values, sizes.astype(np.int64))


def check_k(k: Any, k_majority: Any) -> None:
    """Raise unless `k` and `k_majority` are of the right type and range.

    Raises:
        TypeError: If one is of the wrong type.
        ValueError: If one is negative or above 2³¹ − 1, `k` is empty, or `k_majority`
            is given with a k per class.
    """
    values = _class_wise("k", k, _checks.is_integer, "an int")
    if not all(0 <= v <= MOST for v in values):
        raise ValueError(
            f"`k` must not be negative, nor above {MOST}. Received: k={k!r}."
        )
    if k_majority is None:
        return
    _checks.integer("k_majority", k_majority, minimum=0, maximum=MOST)
    if not _checks.is_integer(k):
        raise ValueError(
            "`k_majority` must be left out unless `k` is one int: k per class covers "
            f"every class. Received: k={k!r}, k_majority={k_majority!r}."
        )


def asks_for_neighbors(k: ClassWiseInt, k_majority: int | None) -> bool:
    """Return whether any class has a k above 0.

    Example:
        >>> asks_for_neighbors(0, None), asks_for_neighbors({2: 5}, None)
        (False, True)
    """
    values = _class_wise("k", k, _checks.is_integer, "an int")
    return any(values) or bool(k_majority)


def check_r(r: Any) -> None:
    """Raise unless `r` is of the right type and range.

    Raises:
        TypeError: If it is of the wrong type.
        ValueError: If it is out of range.
    """
    # An array would compare element by element.
    if isinstance(r, str) and r in ("balance", "moderate"):
        return
    values = _class_wise("r", r, _checks.is_number, '"balance", "moderate", a number')
    if not all(0 < _checks.as_float("r", v) <= MOST for v in values):
        raise ValueError(f"`r` must be positive and at most {MOST}. Received: r={r!r}.")


def _class_wise(
    name: str, value: Any, is_valid: Callable[[Any], bool], one: str
) -> list[Any]:
    """Return the values of an argument: one, one per class, or those of a mapping."""
    _checks.in_class_order(name, value)
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    values = [value]
    if isinstance(value, Mapping):
        values = list(value.values())
    elif listed or np.ndim(value):
        values = list(value)
    if not all(map(is_valid, values)):
        raise TypeError(
            f"`{name}` must be {one}, one value per class, or a mapping from class to "
            f"value. Received: {name}={value!r}."
        )
    if not values:
        raise ValueError(
            f"`{name}` must name at least one class. Received: {name}={value!r}."
        )
    return values


def _resolve_k(
    k: ClassWiseInt,
    k_majority: int | None,
    minority: tuple[int, ...],
    counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    if isinstance(k, int | np.integer):
        rest = k if k_majority is None else k_majority
        if k != rest:
            _require_minority("k", minority, f"k={k}, k_majority={rest}", counts)
        values = np.full(len(counts), rest, np.int64)
        values[list(minority)] = k
    else:
        values = _per_class("k", k, counts, absent=0).astype(np.int64)
    _require_samples("k", k, values != 0, counts)
    return values


def _resolve_r(
    r: ClassWiseRate, minority: tuple[int, ...], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    if isinstance(r, str):
        # Eq. (11): 1/R of each class.
        balanced: NDArray[np.float64] = counts.max() / np.maximum(counts, 1)
        return np.minimum(balanced, MODERATE_R) if r == "moderate" else balanced
    if isinstance(r, int | float | np.number):
        if r != 1:
            _require_minority("r", minority, f"r={r}", counts)
        values = np.ones(len(counts))
        values[list(minority)] = r
        return values
    values = _per_class("r", r, counts, absent=1)
    _require_samples("r", r, values != 1, counts)
    return values


def _per_class(
    name: str,
    value: Sequence[float] | Mapping[int, float],
    counts: NDArray[np.int64],
    absent: float,
) -> NDArray[np.float64]:
    """Return one value per class from a sequence or a mapping of valid numbers."""
    if isinstance(value, Mapping):
        values = np.full(len(counts), absent, np.float64)
        for j, v in value.items():
            values[_checks.class_id(name, j, counts)] = v
        return values
    if len(value) != len(counts):
        raise ValueError(
            f"`{name}` must have one value for each of the {len(counts)} classes of "
            f"the head. Received: {len(value)} values, {name}={value}."
        )
    return np.asarray(value, np.float64)


def _require_minority(
    name: str, minority: tuple[int, ...], received: str, counts: NDArray[np.int64]
) -> None:
    if not minority:
        raise ValueError(
            f"`{name}` would have no effect: a single value applies to the minority "
            "classes, and there are none (without `minority`, those with fewer than "
            "half as many samples as the largest class). Name them with "
            f"`minority`, or set `{name}` per class. "
            f"Received: {received}, class counts {_some(counts)}."
        )


def _require_samples(
    name: str, value: Any, changed: NDArray[np.bool_], counts: NDArray[np.int64]
) -> None:
    empty = np.flatnonzero((counts == 0) & changed).tolist()
    if empty:
        some = dict.fromkeys(np.flatnonzero(counts).tolist()[:2], 2)
        raise ValueError(
            f"`{name}` covers classes without a training sample: {_some(empty)}. Pass "
            f"a mapping that leaves them out, such as {name}={some}, or train a head "
            "without these classes. "
            f"Received: {name}={value}, class counts {_some(counts)}."
        )


def _some(values: Any) -> str:
    """Return values as text, of many the first alone."""
    listed = np.asarray(values).tolist()
    if len(listed) <= 20:
        return f"{listed}"
    return f"[{', '.join(map(str, listed[:10]))}, ...] ({len(listed)})"
