"""Validators that modules share, so that a mistake gives the same error everywhere.

A wrong type is a TypeError and a wrong value a ValueError. Each error names the
argument, says what was expected and ends with what was received.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos._functions import function as function
from keras_dos._order import in_class_order as in_class_order

LARGEST_INTEGER = 2**63 - 1


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer; a bool is not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number; a bool is not."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool)


def integer(name: str, value: Any, minimum: int, maximum: float | None = None) -> int:
    """Return an integer in [minimum, maximum]; by default an int64 must hold it.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is out of range.

    Example:
        >>> integer("k", np.int64(5), minimum=1)
        5
    """
    if not is_integer(value):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}.")
    most = LARGEST_INTEGER if maximum is None else maximum
    if not minimum <= int(value) <= most:
        limit = f" and at most {most}" if maximum is not None or value > most else ""
        raise ValueError(
            f"`{name}` must be at least {minimum}{limit}. Received: {name}={value!r}."
        )
    return int(value)


def seed(name: str, value: Any) -> int:
    """Return a non-negative integer of any size, as NumPy takes seeds.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is negative.
    """
    return integer(name, value, minimum=0, maximum=math.inf)


def number(
    name: str, value: Any, minimum: float = 0.0, below: float = math.inf
) -> float:
    """Return a finite number in [minimum, below).

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is out of range.
    """
    checked = as_float(name, value)
    if not minimum <= checked < below:
        limit = "finite" if below == math.inf else f"less than {below:g}"
        raise ValueError(
            f"`{name}` must be at least {minimum:g} and {limit}. "
            f"Received: {name}={value!r}."
        )
    return checked


def positive(name: str, value: Any) -> float:
    """Return a finite number above 0.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is out of range.
    """
    checked = as_float(name, value)
    if not 0 < checked < math.inf:
        raise ValueError(
            f"`{name}` must be positive and finite. Received: {name}={value!r}."
        )
    return checked


def boolean(name: str, value: Any) -> None:
    """Raise unless a value is True or False.

    Raises:
        TypeError: If it is neither.
    """
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}.")


def choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise unless a value is one of a few strings.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(f'"{c}"' for c in choices)
        raise ValueError(
            f"`{name}` must be one of {expected}. Received: {name}={value!r}."
        )


def class_id(name: str, value: Any, counts: NDArray[np.int64]) -> int:
    """Return a class that has samples, by `counts` of shape (n,), int64.

    Raises:
        ValueError: If it is not a class, or a class without samples.

    Example:
        >>> class_id("minority", 1, np.array([9, 3]))
        1
    """
    if not is_integer(value) or not 0 <= value < len(counts) or not counts[value]:
        empty = np.flatnonzero(counts == 0).tolist()
        but = f" but {empty}, which have no samples" if empty else ""
        raise ValueError(
            f"`{name}` must name classes from 0 to {len(counts) - 1}{but}. "
            f"Received: class {value!r}."
        )
    return int(value)


def class_ids(
    name: str, value: Any, counts: NDArray[np.int64], minimum: int = 0
) -> tuple[int, ...]:
    """Return different classes that have samples, ascending, but not all of them.

    Args:
        name: The argument, for errors.
        value: A sequence of classes.
        counts: Samples per class, shape (n,), int64.
        minimum: The smallest number of classes allowed. Defaults to 0.

    Raises:
        TypeError: If it is not a sequence of classes.
        ValueError: If it names a class twice, a class without samples, all classes, or
            too few.

    Example:
        >>> class_ids("minority", [2, 0], np.array([9, 3, 5]))
        (0, 2)
    """
    try:
        # An iterator, which could be read only once, has no dimension either.
        is_list = np.ndim(value) == 1
    except ValueError:  # Rows of different lengths.
        is_list = False
    if not is_list:
        raise TypeError(
            f"`{name}` must be a list of classes, such as [3]. "
            f"Received: {name}={value!r}."
        )
    found = sorted(class_id(name, j, counts) for j in value)
    most = np.count_nonzero(counts) - 1
    if len(set(found)) < len(found) or not minimum <= len(found) <= most:
        raise ValueError(
            f"`{name}` must name {minimum} to {most} different classes of {most + 1}. "
            f"Received: {name}={value!r}."
        )
    return tuple(found)


def class_counts(name: str, value: Any, n_classes: int | None = None) -> NDArray[Any]:
    """Return a vector of non-negative integers, one per class.

    Raises:
        ValueError: If it is not such a vector, not of `n_classes` classes, or in
            another order.

    Example:
        >>> class_counts("counts", [600, 0, 30]).tolist()
        [600, 0, 30]
    """
    in_class_order(name, value)
    try:
        counts = np.asarray(value)
    except ValueError:  # Rows of different lengths.
        counts = np.empty(0)
    if (
        counts.ndim != 1
        or not len(counts)
        or counts.dtype.kind not in "iu"
        or counts.min() < 0
        or len(counts) != (n_classes or len(counts))
    ):
        size = "an integer" if n_classes is None else f"{n_classes} integers, one"
        raise ValueError(
            f"`{name}` must be {size} per class, none negative, as "
            f"`keras_dos.class_counts` returns them. Received: {name}={value!r}."
        )
    return counts


def array(name: str, value: Any) -> NDArray[Any]:
    """Return an array; raise ValueError if rows differ in length."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"`{name}` must be an array. Received: {error}") from error


def real_array(name: str, value: Any) -> NDArray[Any]:
    """Return an array of real numbers, including bfloat16 but not booleans.

    Raises:
        TypeError: If it is not such an array.
        ValueError: If it has rows of different lengths.

    Example:
        >>> real_array("vectors", [[1, 2]]).shape
        (1, 2)
    """
    numbers = array(name, value)
    # NumPy knows bfloat16 only by the name that ml_dtypes gives it.
    if numbers.dtype.kind not in "fiu" and numbers.dtype.name != "bfloat16":
        raise TypeError(
            f"`{name}` must be an array of real numbers. "
            f"Received: dtype {numbers.dtype}."
        )
    return numbers


def probabilities(name: str, value: Any) -> NDArray[np.float64]:
    """Return class probabilities, shape (m, n), any real dtype, as float64.

    Row sums may differ from one by .02, which a softmax in bfloat16 does not exceed.

    Raises:
        TypeError: If it is not an array of numbers.
        ValueError: If it has another shape, or rows that are not probabilities.

    Example:
        >>> probabilities("probabilities", [[0.25, 0.75]]).tolist()
        [[0.25, 0.75]]
    """
    if isinstance(value, Mapping):
        raise TypeError(
            f'`{name}` must be one array: take ["probabilities"] of the outputs of a '
            f"DOSModel. Received: a mapping of {list(value)}."
        )
    given = real_array(name, value)
    if given.ndim != 2 or given.shape[0] == 0 or given.shape[1] < 2:
        raise ValueError(
            f"`{name}` must have shape (m, n), a row per sample and a column per "
            f"class, at least two. Received: shape {given.shape}."
        )
    p = given.astype(np.float64)
    with np.errstate(invalid="ignore"):  # The sum of infinities of both signs.
        misses = np.abs(p.sum(axis=1) - 1)
    wrong = ~((p >= 0).all(axis=1) & (misses <= 0.02))  # True for NaN too.
    if wrong.any():
        raise ValueError(
            f"`{name}` must be non-negative class probabilities, in rows that sum to "
            "one: end the network with a softmax; NaN means that training diverged. "
            f"Received: {wrong.sum()} of {len(p)} rows that are not, the first "
            f"{p[wrong.argmax()]}."
        )
    return p


def as_float(name: str, value: Any) -> float:
    """Return a number, infinite if no float can hold it; raise TypeError if none."""
    if not is_number(value):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}.")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite(name: str, value: Any) -> float:
    """Return a finite number; raise TypeError if none, ValueError if not finite."""
    number = as_float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}.")
    return number
