"""Arrays of real numbers, and of class probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos._checks.classes import columns_in_class_order


def array(name: str, value: Any) -> NDArray[Any]:
    """Return an array.

    Raises:
        TypeError: If it has no values to read, as a tensor in a `tf.function` or on a
            device of another library.
        ValueError: If rows differ in length or values are masked.

    Example:
        >>> array("labels", np.ma.array([0, 1], mask=[False, True]))
        Traceback (most recent call last):
        ValueError: `labels` must have no masked values, which would count like all
        others: leave them out, or fill them in. Received: 1 of 2 masked.
    """
    if np.ma.is_masked(value):
        raise ValueError(
            f"`{name}` must have no masked values, which would count like all others: "
            "leave them out, or fill them in. "
            f"Received: {np.ma.count_masked(value)} of {np.size(value)} masked."
        )
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"`{name}` must be an array, or something that NumPy converts to one. "
            f"Received: {type(value).__name__}: {error}"
        ) from error


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
    columns_in_class_order(name, value)
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
