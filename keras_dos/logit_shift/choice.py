"""Choose the exponent of a logit shift on validation data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import balanced_accuracy_score

from keras_dos import _checks
from keras_dos.evaluation.choosing import Measure, first_best, measured
from keras_dos.evaluation.predictions import read_predictions
from keras_dos.logit_shift.probabilities import (
    log_probabilities,
    training_prior,
)

# From −1, which takes back a whole adjustment of the loss, to 3: overfitted networks
# often want more than 1. Ordered so that the first of equals changes the least.
_TAUS = sorted((i / 20 for i in range(-20, 61)), key=lambda tau: (abs(tau), -tau))


@dataclass(frozen=True, eq=False)
class LogitShiftChoice:
    """The exponent τ that `choose_logit_shift` chose, and what it gains.

    `print(choice)` shows all of it in one line.

    Attributes:
        tau: The exponent τ.
        value: The measure on the validation data with the shift. It is the largest of
            81 values, so that new data will usually see less.
        unshifted: The measure on the validation data without a shift.
        support: Validation samples per class, shape `(n,)`, int64.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
        >>> choice = choose_logit_shift([0, 0, 1, 1], p, class_counts=[30, 10])
        >>> print(choice)
        tau = 0.8: 1.000 on validation data (2 or more per class), 0.500 unshifted
    """

    tau: float
    value: float
    unshifted: float
    support: NDArray[np.int64]

    def __str__(self) -> str:
        """Format the choice as one line of plain text."""
        fewest = self.support[self.support > 0].min()
        return (
            f"tau = {self.tau:g}: {self.value:.3f} on validation data "
            f"({fewest} or more per class), {self.unshifted:.3f} unshifted"
        )


def choose_logit_shift(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    class_counts: Sequence[int] | NDArray[np.integer],
    *,
    measure: Measure = balanced_accuracy_score,
) -> LogitShiftChoice:
    """Choose the exponent τ of a logit shift on validation data.

    Tries τ = −1, −.95, ..., 3 and takes the one with the largest measure; of equals,
    the one closest to 0, so that nothing changes without a gain. Choose on validation
    data, never on test data. A class with ten validation samples has a recall in steps
    of a tenth: with few samples of the rare classes the choice is noisy.

    Args:
        y_true: True classes of m validation samples: class indices, shape `(m,)` or
            `(m, 1)`, or one-hot rows, shape `(m, n)`.
        probabilities: Predicted class probabilities, shape `(m, n)` with n > 1, any
            real dtype; each row sums to one within 0.02.
        class_counts: Training samples of each class, shape `(n,)`, not all 0.
        measure: A function of true and predicted classes, both of shape `(m,)` and
            int64, that returns a finite number, larger if better. Defaults to
            scikit-learn's `balanced_accuracy_score`.

    Returns:
        τ, with the measure and the number of validation samples.

    Raises:
        TypeError: If what is given or what `measure` returns are not numbers.
        ValueError: If the shapes do not match, if a row of `probabilities` does not
            hold probabilities, if `sparse_labels` rejects `y_true`, if a class has
            training samples but no validation samples, if `class_counts` are not
            counts of n classes, or if `measure` is not finite.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
        >>> choose_logit_shift([0, 0, 1, 1], p, class_counts=[30, 10]).tau
        0.8
    """
    truth, p = read_predictions(y_true, probabilities)
    n = p.shape[1]
    prior = training_prior(class_counts, n)
    _checks.function("measure", measure, "y_true", "y_pred")
    support = np.bincount(truth, minlength=n).astype(np.int64)
    unseen = np.flatnonzero((np.asarray(class_counts) > 0) & (support == 0)).tolist()
    if unseen:
        raise ValueError(
            "`y_true` must hold samples of every class that has training samples: a "
            "shift that is best for the others may be bad for the rest. "
            f"Received: no samples of the classes {unseen}."
        )
    logits, shift = log_probabilities(p), np.log(prior)
    values = [
        measured(measure, truth, (logits - tau * shift).argmax(axis=1)) for tau in _TAUS
    ]
    best = first_best(values)
    return LogitShiftChoice(_TAUS[best], values[best], values[0], support)
