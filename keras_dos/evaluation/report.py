"""The measures of a classifier on one test set, by class and over all."""

import dataclasses
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.evaluation.text import aligned, three_digits

Group = Literal["minority", "majority", "many", "medium", "few", "all"]

_MEASURES = ("precision", "recall", "f1", "auprc")

# Training samples per class, as the literature on long tails groups classes.
_MANY, _FEW = 100, 20


@dataclasses.dataclass(frozen=True, eq=False)
class ClasswiseReport:
    """Class-wise measures of a classifier on one test set.

    Created by `classwise_report`. Precision, recall and F1 come from the multi-class
    confusion matrix of the most probable classes; AUPRC, the area under the
    precision-recall curve, from the class-wise probabilities (Section 4.2 of the
    paper). The log-loss, the Brier score and the calibration error say how good the
    probabilities themselves are, over all samples. `print(report)` shows all of it as
    a table.

    Attributes:
        precision: Shape `(n,)`, float64; 0 for a class that is never predicted.
        recall: Shape `(n,)`, float64; NaN for a class without test samples.
        f1: Harmonic mean of precision and recall, shape `(n,)`, float64; NaN for a
            class without test samples.
        auprc: Average precision, one class against the rest, shape `(n,)`, float64;
            NaN for a class without test samples.
        support: Test samples per class, shape `(n,)`, int64.
        minority: Indices of the minority classes; empty if none were named.
        log_loss: The mean of −log p of the true class, in nats; finite, as
            scikit-learn takes a 0 for the smallest step of float64, 2.2e-16.
        brier_score: The mean over samples of the sum over classes of the squared
            difference between probability and truth (1 or 0), from 0 to 2. With two
            classes it is twice the score of class 1 alone.
        calibration_error: The expected calibration error: samples in 15 bins of equal
            width by the probability of their most probable class; the mean over samples
            of the difference between mean probability and accuracy of their bin.
        class_counts: Training samples per class, shape `(n,)`, int64; None if they were
            not given.

    Example:
        >>> from keras_dos import classwise_report
        >>> report = classwise_report(
        ...     y_true=[0, 0, 1, 1],
        ...     probabilities=[[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]],
        ...     minority=[1],
        ... )
        >>> report.balanced_accuracy
        0.75
        >>> print(report)
        class     support  precision  recall     F1  AUPRC
        0               2      0.667   1.000  0.800  0.833
        1*              2      1.000   0.500  0.667  0.833
        minority        2      1.000   0.500  0.667  0.833
        majority        2      0.667   1.000  0.800  0.833
        all             4      0.833   0.750  0.733  0.833
        balanced accuracy 0.750, accuracy 0.750
        log-loss 0.511, Brier score 0.350, calibration error 0.350
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    auprc: NDArray[np.float64]
    support: NDArray[np.int64]
    minority: tuple[int, ...]
    log_loss: float
    brier_score: float
    calibration_error: float
    class_counts: NDArray[np.int64] | None

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have test samples."""
        return self.average("all")["recall"]

    @property
    def accuracy(self) -> float:
        """The fraction of test samples whose most probable class is the true one."""
        correct = np.nansum(self.recall * self.support)
        return float(correct / self.support.sum())

    def average(self, group: Group) -> dict[str, float]:
        """Average each measure over a group of classes, each class counting once.

        Args:
            group: `"minority"`, `"majority"` (the classes not in `minority`),
                `"many"`, `"medium"` or `"few"` (classes with more than 100, 20 to 100,
                or fewer than 20 training samples), or `"all"`. Classes without test
                samples are left out.

        Returns:
            The averages of `"precision"`, `"recall"`, `"f1"` and `"auprc"`; NaN if
            no class of the group has test samples.

        Raises:
            ValueError: If `group` is not one of these, or if the report was made
                without what it needs: minority classes, or class counts.

        Example:
            >>> from keras_dos import classwise_report
            >>> report = classwise_report([0, 1], [[0.9, 0.1], [0.6, 0.4]], [1])
            >>> report.average("majority")["recall"]
            1.0
        """
        members = self._members(group)
        return {
            measure: float(getattr(self, measure)[members].mean())
            if members.any()
            else float("nan")
            for measure in _MEASURES
        }

    def _members(self, group: Group) -> NDArray[np.bool_]:
        """Return which classes of the group have test samples, shape `(n,)`."""
        _checks.choice("group", group, get_args(Group))
        groups = self._groups()
        if group not in groups:
            counted = group in ("many", "medium", "few")
            lacking, argument = (
                ("class counts", "class_counts")
                if counted
                else ("minority classes", "minority")
            )
            raise ValueError(
                f"`group` must be one of {sorted(groups)} in a report without "
                f"{lacking}; pass `{argument}` to `classwise_report`. "
                f"Received: group={group!r}."
            )
        return groups[group] & (self.support > 0)

    def _groups(self) -> dict[Group, NDArray[np.bool_]]:
        """Return the classes of each group of this report, each of shape `(n,)`."""
        groups: dict[Group, NDArray[np.bool_]] = {}
        if self.minority:
            minority = np.isin(np.arange(self.support.size), self.minority)
            groups |= {"minority": minority, "majority": ~minority}
        if self.class_counts is not None:
            many, few = self.class_counts > _MANY, self.class_counts < _FEW
            groups |= {"many": many, "medium": ~many & ~few, "few": few}
        return groups | {"all": np.full(self.support.size, True)}

    def __str__(self) -> str:
        """Format the measures as a plain-text table; * marks the minority classes."""
        rows = [["class", "support", "precision", "recall", "F1", "AUPRC"]]
        for j in range(self.support.size):
            name = f"{j}*" if j in self.minority else f"{j}"
            values = [float(getattr(self, measure)[j]) for measure in _MEASURES]
            rows.append([name, f"{self.support[j]}", *three_digits(values)])
        for group, classes in self._groups().items():
            if not classes.any():
                continue
            support = self.support[classes].sum()
            values = list(self.average(group).values())
            rows.append([group, f"{support}", *three_digits(values)])
        summary = (
            f"balanced accuracy {self.balanced_accuracy:.3f}, "
            f"accuracy {self.accuracy:.3f}\n"
            f"log-loss {self.log_loss:.3f}, Brier score {self.brier_score:.3f}, "
            f"calibration error {self.calibration_error:.3f}"
        )
        return f"{aligned(rows)}\n{summary}"
