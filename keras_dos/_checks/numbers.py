"""Numbers within their bounds."""

import math
from typing import Any

import numpy as np

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
