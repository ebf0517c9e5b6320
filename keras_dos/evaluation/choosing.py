"""What all choices on validation data share: a measure, and how ties are broken."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks

Measure = Callable[[NDArray[np.int64], NDArray[np.int64]], float]

# The mean of the same values in another order may differ by rounding.
_ROUNDING = 1e-12


def measured(
    measure: Measure, truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> float:
    """Return what a measure that others wrote says of predictions.

    Raises:
        TypeError: If that is not a number.
        ValueError: If it is not finite.

    Example:
        >>> measured(lambda t, p: (t == p).mean(), np.array([1]), np.array([1]))
        1.0
    """
    # One that wrote into them would change what the next candidate is measured on.
    shown = [array.view() for array in (truth, predicted)]
    for array in shown:
        array.flags.writeable = False
    return _checks.finite("measure(...)", measure(*shown))


def first_best(values: list[float]) -> int:
    """Return the place of the first of the largest values.

    Values that differ only by rounding are equal, so that a candidate that changes more
    is not taken for it.

    Example:
        >>> first_best([0.1, 0.3, 0.1 + 0.2])
        1
    """
    best = max(values)
    # Near 0, what cancels leaves rounding behind. A large value, such as the cost of a
    # candidate that nobody wants, must not make small ones equal.
    near = _ROUNDING * min(1.0, max(map(abs, values)))
    return next(
        i
        for i, value in enumerate(values)
        if math.isclose(value, best, rel_tol=_ROUNDING, abs_tol=near)
    )
