"""Find the probability from which on a sample should count as one of a class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import f1_score

from keras_dos import _checks
from keras_dos.evaluation.choosing import Measure, first_best, measured
from keras_dos.evaluation.predictions import read_predictions

# More would differ in recall by less than its noise on as many samples.
_MOST_MEASURED = 200


@dataclass(frozen=True, eq=False)
class ThresholdChoice:
    """The threshold that `choose_threshold` chose for a class, and what it gains.

    `print(choice)` shows all of it in one line.

    Attributes:
        threshold: The probability of the class from which on a sample counts as one of
            it, from 0 to 1; a little above 1 if it is best that none does although some
            have a probability of 1.
        value: The measure, or the mean cost of a sample, on the validation data with
            the threshold. It is the best of many values, so that new data will usually
            see a worse one.
        at_half: The same with the threshold .5.
        class_index: The class.
        support: Validation samples per class, shape `(n,)`, int64.
        costs: The costs of a false positive and of a false negative; None if a measure
            was given.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
        >>> choice = choose_threshold([0, 0, 1, 1], p)
        >>> print(choice)
        threshold = 0.25 for class 1: 1.000 on validation data (2 of the class, 2 of the
        rest), 0.000 at 0.5
        >>> choice.classify([[0.72, 0.28], [0.85, 0.15]])
        array([1, 0])
    """

    threshold: float
    value: float
    at_half: float
    class_index: int
    support: NDArray[np.int64]
    costs: tuple[float, float] | None

    def classify(self, probabilities: ArrayLike) -> NDArray[np.int64]:
        """Return the class of each sample under the threshold.

        Args:
            probabilities: Predicted class probabilities, shape `(m, n)`, any real
                dtype; each row sums to one within 0.02.

        Returns:
            Class indices, shape `(m,)`, int64: the class of the threshold where its
            probability is at least that, else the most probable one of the others.

        Raises:
            TypeError: If `probabilities` are not numbers.
            ValueError: If a row does not hold probabilities, or if there are not as
                many classes as in the validation data.

        Example:
            >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
            >>> choose_threshold([0, 0, 1, 1], p).classify([[0.72, 0.28]])
            array([1])
        """
        p = _checks.probabilities("probabilities", probabilities)
        n = len(self.support)
        if p.shape[1] != n:
            raise ValueError(
                f"`probabilities` must have {n} columns, one for each class of the "
                f"validation data. Received: shape {p.shape}."
            )
        others = p.copy()
        others[:, self.class_index] = -1  # Below any probability.
        taken = p[:, self.class_index] >= self.threshold
        return np.where(taken, self.class_index, others.argmax(axis=1))

    def __str__(self) -> str:
        """Format the choice as one line of plain text."""
        n_class = self.support[self.class_index]
        cost = "" if self.costs is None else "cost "
        per_sample = "" if self.costs is None else " per sample"
        return (
            f"threshold = {self.threshold:.3g} for class {self.class_index}: "
            f"{cost}{self.value:.3f}{per_sample} on validation data ({n_class} of the "
            f"class, {self.support.sum() - n_class} of the rest), "
            f"{cost}{self.at_half:.3f} at 0.5"
        )


def choose_threshold(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    class_index: int = 1,
    measure: Measure | None = None,
    costs: Sequence[float] | None = None,
) -> ThresholdChoice:
    """Choose a decision threshold for one class on validation data.

    Tries .5, a threshold just below the probability of each sample of the class, and
    one above all; those between them only add false positives. A measure is asked about
    200 samples of the class at most, evenly spaced. The choice is the threshold with
    the largest measure or the lowest cost; of equals, the one closest to .5, so that
    nothing changes without a gain. Choose on validation data, never on test data. With
    few samples of the class the choice is noisy: the recall of ten comes in steps of a
    tenth.

    With costs and calibrated probabilities, the best threshold is known without data:
    cost of a false positive / sum of both costs. The choice finds one for probabilities
    that are not calibrated, too. It is best for the class frequencies of the validation
    data, which should be those of the deployment.

    Args:
        y_true: True classes of m validation samples: class indices, shape `(m,)` or
            `(m, 1)`, or one-hot rows, shape `(m, n)`.
        probabilities: Predicted class probabilities, shape `(m, n)` with n > 1, any
            real dtype; each row sums to one within 0.02.
        class_index: The class that the threshold is for; it has samples, and so has the
            rest. Defaults to 1, the second of two.
        measure: A function of truth and prediction, both of shape `(m,)` and int64, 1
            for the class and 0 for the rest, that returns a finite number, larger if
            better. Defaults to None: scikit-learn's `f1_score`, unless `costs` are
            given.
        costs: The cost of a false positive and of a false negative, both positive.
            Defaults to None: `measure` decides.

    Returns:
        The threshold, with the measure or cost and the number of validation samples.

    Raises:
        TypeError: If what is given or what `measure` returns are not numbers.
        ValueError: If the shapes do not match, if a row of `probabilities` does not
            hold probabilities, if `sparse_labels` rejects `y_true`, if `class_index` is
            not a class with samples, if there are no others, if `costs` are not two
            positive numbers, if both `measure` and `costs` are given, or if `measure`
            is not finite.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
        >>> choice = choose_threshold([0, 1, 0, 1], p, costs=(1, 10))
        >>> round(choice.threshold, 2), choice.value
        (0.15, 0.25)
    """
    truth, p = read_predictions(y_true, probabilities)
    support = np.bincount(truth, minlength=p.shape[1]).astype(np.int64)
    class_index = _checks.class_id("class_index", class_index, support)
    if support[class_index] == len(truth):
        raise ValueError(
            "`y_true` must hold samples of other classes than `class_index`, too: a "
            "threshold divides them. "
            f"Received: {len(truth)} samples, all of class {class_index}."
        )
    if measure is not None and costs is not None:
        raise ValueError(
            "`measure` must be None if `costs` are given, which say themselves what is "
            f"best. Received: measure={measure!r}, costs={costs!r}."
        )
    of_class, score = truth == class_index, p[:, class_index]
    upper = np.unique(score[of_class])
    if costs is None:
        priced, chosen = None, f1_score if measure is None else measure
        _checks.function("measure", chosen, "y_true", "y_pred")
        thresholds = _candidates(_thinned(upper), score)
        values = gains = _measures(chosen, of_class, score, thresholds)
    else:
        priced = _two_costs(costs)
        thresholds = _candidates(upper, score)
        values = _mean_costs(score[of_class], score[~of_class], thresholds, priced)
        # In units of the smaller cost, beside which no difference is rounding.
        gains = [-value / min(priced) for value in values]
    best = first_best(gains)
    return ThresholdChoice(
        thresholds[best], values[best], values[0], class_index, support, priced
    )


def _measures(
    measure: Measure,
    of_class: NDArray[np.bool_],
    score: NDArray[np.float64],
    thresholds: list[float],
) -> list[float]:
    truth = of_class.astype(np.int64)
    return [measured(measure, truth, (score >= t).astype(np.int64)) for t in thresholds]


def _thinned(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return evenly spaced ones of sorted scores if there are too many to measure."""
    places = np.linspace(0, len(scores) - 1, min(len(scores), _MOST_MEASURED))
    return scores[places.round().astype(np.int64)]


def _candidates(upper: NDArray[np.float64], score: NDArray[np.float64]) -> list[float]:
    """Return the thresholds to try, ordered so that the first of equals changes least.

    Each stands midway between one of the scores `upper`, or 1, and the next lower score
    of all, where rounding does not change a decision. The last is above all.
    """
    distinct = np.unique(np.append(0.0, score))
    upper = np.append(upper, np.inf)
    lower = distinct[np.maximum(np.searchsorted(distinct, upper) - 1, 0)]
    # Rows may sum to a little more than one.
    midway = (np.minimum(upper, 1.0) + np.minimum(lower, 1.0)) / 2
    if distinct[-1] >= 1:  # By what half precision can tell, too.
        midway[-1] = distinct[-1] + 0.01
    return sorted([0.5, *midway.tolist()], key=lambda t: (abs(t - 0.5), t))


def _two_costs(costs: Sequence[float]) -> tuple[float, float]:
    values = _checks.real_array("costs", costs)
    if values.shape != (2,):
        raise ValueError(
            "`costs` must be two numbers: the cost of a false positive and that of a "
            f"false negative. Received: costs={costs!r}."
        )
    false_positive, false_negative = (_checks.positive("costs", c) for c in values)
    return false_positive, false_negative


def _mean_costs(
    score: NDArray[np.float64],
    rest: NDArray[np.float64],
    thresholds: list[float],
    costs: tuple[float, float],
) -> list[float]:
    """Return the mean cost of a sample of the class or the rest, by threshold."""
    m = len(score) + len(rest)
    missed = np.searchsorted(np.sort(score), thresholds)
    taken = len(rest) - np.searchsorted(np.sort(rest), thresholds)
    means: list[float] = (taken / m * costs[0] + missed / m * costs[1]).tolist()
    return means
