"""Class labels: read them, count them, name the rare ones, and their prior."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks

# Counts of more classes than any head has would fill the memory.
MOST_CLASSES = 10_000_000


@contextlib.contextmanager
def labels_of(name: str) -> Iterator[None]:
    """Name the argument that has the labels in errors that speak of `labels`.

    Example:
        >>> with labels_of("y"):
        ...     sparse_labels("abc")
        Traceback (most recent call last):
        TypeError: `y` must have labels that fit the classes: `labels` must be ...
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        message = f"`{name}` must have labels that fit the classes: {error}"
        raise type(error)(message) from error


def sparse_labels(labels: ArrayLike, n_classes: int | None = None) -> NDArray[np.int64]:
    """Convert the labels of single-label classification to class indices.

    Args:
        labels: Class indices, shape `(m,)` or `(m, 1)`, or one-hot rows, shape
            `(m, n)` with n > 1; m > 0. Integers, booleans, or floats with integer
            values.
        n_classes: Number of classes n. Defaults to None: the largest index is not
            checked.

    Returns:
        Class indices, shape `(m,)`, int64.

    Raises:
        TypeError: If the labels are not numbers, or `n_classes` is not an integer.
        ValueError: If there are no labels, if they are neither class indices nor
            one-hot, if one lies outside `[0, n_classes)`, if some are masked, if a
            table has numbered columns that are not 0 to n - 1 in order, or if
            `n_classes` is less than 1.

    Example:
        >>> sparse_labels([[0, 0, 1], [1, 0, 0]])
        array([2, 0])
    """
    if n_classes is not None:
        n_classes = _checks.integer("n_classes", n_classes, minimum=1)
    _checks.columns_in_class_order("labels", labels)
    values = _checks.array("labels", labels)
    if values.dtype.kind not in "iufb":
        raise TypeError(
            "`labels` must be numbers: class indices or one-hot rows. Map names to "
            "indices first, for example with `numpy.unique(names, "
            f"return_inverse=True)`. Received: dtype={values.dtype}."
        )
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            "`labels` must have shape (m,) or (m, 1) for class indices, or (m, n) for "
            "one-hot rows, and hold at least one label. "
            f"Received: shape={values.shape}."
        )
    if _has_columns(values):
        return _from_one_hot(values, n_classes)
    return _from_indices(values.reshape(-1), n_classes)


def class_counts(labels: ArrayLike, n_classes: int | None = None) -> NDArray[np.int64]:
    """Count the samples of each class.

    Args:
        labels: As for `sparse_labels`.
        n_classes: Number of classes n. Defaults to None: the number of columns of
            one-hot labels, or the largest class index plus one.

    Returns:
        Samples per class, shape `(n,)`, int64.

    Raises:
        TypeError: As for `sparse_labels`.
        ValueError: As for `sparse_labels`, or if an index is 10,000,000 or more, or
            `n_classes` is more.

    Example:
        >>> class_counts([0, 2, 2, 0, 2], n_classes=4)
        array([2, 0, 3, 0])
    """
    if n_classes is not None:
        _checks.integer("n_classes", n_classes, minimum=1, maximum=MOST_CLASSES)
    _checks.columns_in_class_order("labels", labels)
    values = _checks.array("labels", labels)
    indices = sparse_labels(values, n_classes)
    if indices.max() >= MOST_CLASSES:
        raise ValueError(
            "`labels` must be class indices, not identifiers such as numbers of "
            "products: map them with `numpy.unique(ids, return_inverse=True)`. "
            f"Received: a label {indices.max()}."
        )
    if n_classes is None and _has_columns(values):
        n_classes = values.shape[1]
    # bincount returns the platform's integer, which is not int64 everywhere.
    return np.bincount(indices, minlength=n_classes or 0).astype(np.int64)


def minority_classes(counts: ArrayLike) -> tuple[int, ...]:
    """Find the minority classes.

    A class is in the minority if it has at least one sample and fewer than half as
    many samples as the largest class.

    Args:
        counts: Samples per class, shape `(n,)`, integers, as `class_counts` returns
            them.

    Returns:
        The indices of the minority classes, ascending; empty if there are none.

    Raises:
        ValueError: If `counts` is not a vector of non-negative integers.

    Example:
        >>> minority_classes([600, 6000, 3000, 0])
        (0,)
    """
    values = _checks.class_counts("counts", counts)
    is_minority = (values > 0) & (values < values.max() / 2)
    return tuple(np.flatnonzero(is_minority).tolist())


def class_prior(counts: ArrayLike) -> NDArray[np.float32]:
    """Return the class frequencies π_j for logit adjustment.

    A class without samples gets the prior of the largest class instead of 0: the
    smaller the prior, the less the adjusted loss penalizes the probability of a
    class, so the network would hardly learn that the class does not occur.

    Args:
        counts: Samples per class, shape `(n,)`, integers, not all 0, as
            `class_counts` returns them.

    Returns:
        The prior, shape `(n,)`, float32. It sums to one if every class has samples.

    Raises:
        ValueError: If `counts` is not a vector of non-negative integers.

    Example:
        >>> class_prior([3, 1, 0]).tolist()
        [0.75, 0.25, 0.75]
    """
    values = _checks.class_counts("counts", counts)
    prior: NDArray[np.float64] = values / values.sum(dtype=np.float64)
    return np.where(values > 0, prior, prior.max()).astype(np.float32)


def are_one_hot(rows: NDArray[Any]) -> bool:
    """Return whether each row has a single 1 and is 0 elsewhere.

    Args:
        rows: Numbers, shape `(m, n)`.

    Example:
        >>> are_one_hot(np.array([[0, 1], [1, 1]]))
        False
    """
    return bool(np.isin(rows, (0, 1)).all() and (rows.sum(axis=1) == 1).all())


def _has_columns(values: NDArray[Any]) -> bool:
    return values.ndim == 2 and values.shape[1] > 1


def _from_one_hot(rows: NDArray[Any], n_classes: int | None) -> NDArray[np.int64]:
    expected = n_classes or rows.shape[1]
    if rows.shape[1] != expected or not are_one_hot(rows):
        raise ValueError(
            f"`labels` of two dimensions must be one-hot, with n_classes={expected} "
            "columns: each sample has exactly one class, a single 1 in its row. Label "
            "smoothing belongs in the loss: "
            "`keras.losses.CategoricalCrossentropy(label_smoothing=...)`. "
            f"Received: shape={rows.shape}, first row={rows[0]}."
        )
    indices: NDArray[np.int64] = rows.argmax(axis=1).astype(np.int64)
    return indices


def _from_indices(values: NDArray[Any], n_classes: int | None) -> NDArray[np.int64]:
    # NaN, infinity and values beyond int64 do not survive the round trip.
    with np.errstate(invalid="ignore"):
        indices = values.astype(np.int64)
    wrong = (indices != values) | (indices < 0)
    if n_classes is not None:
        wrong |= indices >= n_classes
    if wrong.any():
        limit = "" if n_classes is None else f" and smaller than n_classes={n_classes}"
        raise ValueError(
            "`labels` of one dimension must be class indices, whole numbers from 0"
            f"{limit}. Drop samples without a label first; label smoothing belongs in "
            f"the loss, mixed labels in the model. Received: {values[wrong][0]}."
        )
    return indices
