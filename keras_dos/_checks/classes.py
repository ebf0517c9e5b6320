"""Classes, and values that stand for one class each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos._checks.numbers import is_integer, is_number


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
        counts = np.empty(0) if np.ma.is_masked(value) else np.asarray(value)
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


def in_class_order(name: str, value: Any) -> None:
    """Raise if a value has labels, as of pandas, that are not the classes in order.

    Raises:
        ValueError: If it has.

    Example:
        >>> in_class_order("counts", [600, 0, 30])
    """
    index = getattr(value, "index", None)
    if index is None or callable(index):  # That of a list is a method.
        return
    if list(index) != list(range(len(index))):
        raise ValueError(
            f"`{name}` must be in the order of the classes, from 0 on: what "
            "`value_counts` of pandas returns is in that of the counts, and leaves out "
            "classes. Pass what `keras_dos.class_counts` returns, or a list. "
            f"Received: {name} of the classes {list(index)[:10]}."
        )


def columns_in_class_order(name: str, value: Any) -> None:
    """Raise if a table, as of pandas, has numbered columns that are not the classes.

    Raises:
        ValueError: If it has.

    Example:
        >>> columns_in_class_order("labels", [[1, 0], [0, 1]])
    """
    columns = getattr(value, "columns", None)
    if columns is None or callable(columns):
        return
    found = list(columns)
    numbers = [_number_of(column) for column in found]
    numbered = len(found) > 1 and None not in numbers
    if numbered and numbers != list(range(len(found))):
        raise ValueError(
            f"`{name}` must have a column for each class, in order from 0 on: what "
            "`get_dummies` of pandas returns leaves out classes without samples. Pass "
            "class indices, `reindex(columns=range(n), fill_value=0)`, or, if the "
            "columns are in order under other numbers, `to_numpy()`. "
            f"Received: {name} with the columns {found[:10]}."
        )


def _number_of(column: Any) -> float | None:
    """Return the number that a column is named by, or None.

    Labels with gaps are floats to pandas, with NaN for those that are missing; columns
    that were read from a file are strings.
    """
    if isinstance(column, str) and column.isdecimal():
        return float(column)
    return float(column) if is_number(column) else None
