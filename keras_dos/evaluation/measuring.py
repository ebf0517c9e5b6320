"""Measure a classifier on one test set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    precision_recall_fscore_support,
)

from keras_dos import _checks
from keras_dos.evaluation.calibration import calibration_bins
from keras_dos.evaluation.predictions import read_predictions
from keras_dos.evaluation.report import ClasswiseReport

# As Guo et al. (ICML 2017) and most after them report the calibration error.
_BINS = 15


def classwise_report(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    minority: Sequence[int] | None = None,
    class_counts: Sequence[int] | NDArray[np.integer] | None = None,
) -> ClasswiseReport:
    """Measure precision, recall, F1 and AUPRC of each class, and the probabilities.

    Args:
        y_true: True classes of m test samples: class indices, shape `(m,)` or
            `(m, 1)`, or one-hot rows, shape `(m, n)`.
        probabilities: Predicted class probabilities, shape `(m, n)` with n > 1, any
            real dtype; each row sums to one within 0.02.
        minority: Indices of the minority classes *of the training data*, for example
            `minority_classes(class_counts(y_train))`. Defaults to None: as if empty, so
            that only the averages over all classes are reported.
        class_counts: *Training* samples of each class, shape `(n,)`, by which the
            report averages the measures over classes with many (more than 100), medium
            (20 to 100) and few (fewer than 20), too. Defaults to None: it does not.

    Returns:
        The measures of each class, and the log-loss, Brier score and calibration error
        of the probabilities.

    Raises:
        TypeError: If `y_true` or `probabilities` are not numbers, or `minority` is
            not a sequence.
        ValueError: If the shapes do not match, if a row of `probabilities` does not
            hold probabilities, if `sparse_labels` rejects `y_true`, if `minority`
            does not name different classes, at most n - 1 of them, or if `class_counts`
            are not counts of n classes.

    Example:
        >>> report = classwise_report([0, 1], [[0.9, 0.1], [0.6, 0.4]])
        >>> report.recall
        array([1., 0.])
    """
    truth, scores = read_predictions(y_true, probabilities)
    n = scores.shape[1]
    # A minority class may have no test samples, so each class counts as one that has.
    named = () if minority is None else minority
    minority = _checks.class_ids("minority", named, np.ones(n, np.int64))
    trained = None
    if class_counts is not None:
        counts = _checks.class_counts("class_counts", class_counts, n)
        trained = counts.astype(np.int64)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, scores.argmax(axis=1), labels=range(n), zero_division=0
    )
    absent = support == 0
    recall[absent] = f1[absent] = np.nan
    auprc = np.full(n, np.nan)
    for j in np.flatnonzero(support):
        auprc[j] = average_precision_score(truth == j, scores[:, j])
    return ClasswiseReport(
        precision=precision,
        recall=recall,
        f1=f1,
        auprc=auprc,
        support=support.astype(np.int64),
        minority=minority,
        log_loss=_log_loss(truth, scores),
        brier_score=_brier_score(truth, scores),
        calibration_error=calibration_bins(truth, scores, _BINS).error,
        class_counts=trained,
    )


def _log_loss(truth: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    # scikit-learn warns of rows that miss one by the rounding of half precision.
    p = p / p.sum(axis=1, keepdims=True)
    return float(log_loss(truth, p, labels=range(p.shape[1])))


def _brier_score(truth: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    # That of scikit-learn takes more than two classes only from 1.7 on.
    difference = p.copy()
    difference[np.arange(len(p)), truth] -= 1
    return float((difference**2).sum(axis=1).mean())
