"""Class-wise k and r (section 3.5): what the user asked for, one value per class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_dos.labels import minority_classes

# The largest r of "moderate": beyond it the few samples of a rare class repeat so often
# that they are learned by heart, and the prior-adjusted loss does better.
MODERATE_R = 3.0

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
    def slots(self) -> int:
        """Neighbor slots that any class can fill: max_j min(k_j, counts_j − 1)."""
        return int(np.minimum(self.k, np.maximum(self.counts - 1, 0)).max())

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
    k: ClassWiseInt,
    r: ClassWiseRate,
    minority: Sequence[int] | None,
    k_majority: int | None,
) -> ClassParameters:
    """Resolve the arguments of `OverloadingCallback` against the class counts.

    Args:
        counts: Samples per class, shape (n,), int.
        k: One k for all classes (majority classes take `k_majority` if it is given),
            one per class, or a mapping from class to k in which absent classes have 0.
        r: "balance" for the largest count over the class's own (1/R per class, eq. 11),
            "moderate" for the same, but MODERATE_R at most,
            a number for the minority classes (the others keep 1), one number per class,
            or a mapping from class to r in which absent classes have 1.
        minority: The minority classes, each once; None finds them by
            `minority_classes`.
        k_majority: k of the other classes, if k is one int. Defaults to None: the same.

    Returns:
        The parameters of every class.

    Raises:
        ValueError: If a value is out of range, names a class that does not exist or has
            no samples, or would have no effect.
        TypeError: If a value is of the wrong type.

    Example:
        >>> counts = np.array([1000, 100])
        >>> p = resolve_class_parameters(
        ...     counts, k=5, r="balance", minority=None, k_majority=0)
        >>> p.minority, p.k.tolist(), p.sizes.tolist()
        ((1,), [0, 5], [1000, 1000])
    """
    counts = np.asarray(counts, np.int64)
    found = _check_minority(minority, counts)
    k_values = _resolve_k(k, k_majority, found, counts)
    rates = _resolve_r(r, found, counts)
    sizes = np.where(counts > 0, np.maximum(np.rint(rates * counts), 1), 0)
    return ClassParameters(counts, found, k_values, sizes.astype(np.int64))


def _check_minority(
    minority: Sequence[int] | None, counts: NDArray[np.int64]
) -> tuple[int, ...]:
    if minority is None:
        return minority_classes(counts)
    if np.ndim(minority) != 1:  # Of an iterator too, which could be read only once.
        raise TypeError(
            "`minority` must be a list of classes, such as [3], or None to find them. "
            f"Received: minority={minority!r}."
        )
    for j in minority:
        _check_class("minority", j, counts)
    found = tuple(sorted({int(j) for j in minority}))
    if len(found) != len(minority):
        raise ValueError(
            "`minority` must name different classes. "
            f"Received: minority={tuple(minority)}."
        )
    if len(found) == np.count_nonzero(counts):
        raise ValueError(
            "`minority` must leave at least one class to the majority. "
            f"Received: minority={tuple(minority)}, class counts {counts.tolist()}."
        )
    return found


def _resolve_k(
    k: ClassWiseInt,
    k_majority: int | None,
    minority: tuple[int, ...],
    counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    if isinstance(k, int | np.integer):
        rest = k if k_majority is None else k_majority
        values = np.full(len(counts), rest, np.int64)
        values[list(minority)] = k
        if not minority and k != rest:
            raise ValueError(
                "`k` would have no effect: beside `k_majority` it is the k of the "
                "minority classes, and there are none (without `minority` they are "
                "those with fewer than half as many samples as the largest class). "
                "Name the minority classes with `minority`, or leave `k_majority` out. "
                f"Received: k={k}, k_majority={k_majority}, class counts "
                f"{counts.tolist()}."
            )
    else:
        values = _per_class("k", k, counts, absent=0).astype(np.int64)
    empty = np.flatnonzero((counts == 0) & (values > 0)).tolist()
    if empty:
        raise ValueError(
            f"`k` overloads classes that have no training sample: {empty}. Give k per "
            "class with 0 for them (a mapping leaves them out: k={0: 5, 1: 5}), or "
            "train a head without these classes. "
            f"Received: k={k}, class counts {counts.tolist()}."
        )
    return values


def _resolve_r(
    r: ClassWiseRate, minority: tuple[int, ...], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    if isinstance(r, str):
        balanced: NDArray[np.float64] = counts.max() / np.maximum(counts, 1)
        return np.minimum(balanced, MODERATE_R) if r == "moderate" else balanced
    if isinstance(r, int | float | np.number):
        if not minority and r != 1:
            raise ValueError(
                "`r` would have no effect: a number over-samples the minority classes, "
                "and there are none (without `minority` they are those with fewer than "
                "half as many samples as the largest class). "
                "Name the minority classes with `minority`, or give r per class. "
                f"Received: r={r}, class counts {counts.tolist()}."
            )
        values = np.ones(len(counts))
        values[list(minority)] = r
        return values
    values = _per_class("r", r, counts, absent=1)
    empty = np.flatnonzero((counts == 0) & (values != 1)).tolist()
    if empty:
        raise ValueError(
            f"`r` over-samples classes that have no training sample: {empty}. Give 1 "
            "for them (a mapping leaves them out: r={0: 2.0, 1: 2.0}). "
            f"Received: r={r}, class counts {counts.tolist()}."
        )
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
            _check_class(name, j, counts)
            values[int(j)] = v
        return values
    if len(value) != len(counts):
        raise ValueError(
            f"`{name}` must have one value for each of the {len(counts)} classes of "
            f"the head. Received: {len(value)} values, {name}={value}."
        )
    return np.asarray(value, np.float64)


def _check_class(name: str, j: Any, counts: NDArray[np.int64]) -> None:
    if not _is_int(j) or not 0 <= j < len(counts):
        raise ValueError(
            f"`{name}` names a class that the head does not have; its classes are 0 "
            f"to {len(counts) - 1}. Received: class {j!r}."
        )
    if counts[int(j)] == 0:
        raise ValueError(
            f"`{name}` names a class that has no training sample; leave it out. "
            f"Received: class {j!r}, class counts {counts.tolist()}."
        )


def check_k(k: Any, k_majority: Any) -> None:
    """Raise unless `k` and `k_majority` are of the right type and range."""
    values = _listed(k)
    if values is None or not all(_is_int(v) for v in values):
        raise TypeError(
            "`k` must be an int, one int per class, or a mapping from class to int. "
            f"Received: k={k!r}."
        )
    if not values:
        raise ValueError(f"`k` names no class; k=0 overloads none. Received: k={k!r}.")
    if any(v < 0 for v in values):
        raise ValueError(f"`k` must not be negative. Received: k={k!r}.")
    if k_majority is None:
        return
    if not _is_int(k_majority):
        raise TypeError(
            "`k_majority` must be an int, or None for the same k as the minority "
            f"classes. Received: k_majority={k_majority!r}."
        )
    if k_majority < 0:
        raise ValueError(
            f"`k_majority` must not be negative. Received: k_majority={k_majority!r}."
        )
    if not _is_int(k):
        raise ValueError(
            "`k_majority` goes with one int for `k`; a k per class leaves nothing for "
            f"it to say. Received: k={k!r}, k_majority={k_majority!r}."
        )


def check_r(r: Any) -> None:
    """Raise unless `r` is of the right type and range."""
    # An array would compare by element.
    if isinstance(r, str) and r in ("balance", "moderate"):
        return
    values = _listed(r)
    if values is None or not all(
        isinstance(v, int | float | np.integer | np.floating)
        and not isinstance(v, bool)
        for v in values
    ):
        raise TypeError(
            '`r` must be "balance", "moderate", a number, one number per class, or a '
            f"mapping from class to number. Received: r={r!r}."
        )
    if not values:
        raise ValueError(
            f"`r` names no class; r=1 over-samples none. Received: r={r!r}."
        )
    if not all(np.isfinite(float(v)) and v > 0 for v in values):
        raise ValueError(f"`r` must be positive and finite. Received: r={r!r}.")


def _listed(value: Any) -> list[Any] | None:
    """Return the numbers in an argument that may be one or many, None if neither."""
    if isinstance(value, str | bytes):
        return None
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim):
        return list(value)
    return [value]


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
