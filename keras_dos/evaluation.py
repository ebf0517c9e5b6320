"""Class-wise retrieval measures, the ones that the DOS paper reports.

Reference:
    Ando, S., Huang, C. Y.: Deep over-sampling framework for classifying imbalanced
    data. ECML-PKDD 2017, Section 4.2. https://arxiv.org/abs/1704.07515
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from keras_dos.imbalance import sparse_labels

Group = Literal["minority", "majority", "all"]

_MEASURES = ("precision", "recall", "f1", "auprc")


@dataclasses.dataclass(frozen=True, eq=False)
class ClasswiseReport:
    """Class-wise measures of a classifier on one test set.

    Made by `classwise_report`. Precision, recall and F1 come from the multi-class
    confusion matrix of the most probable classes; AUPRC, the area under the
    precision-recall curve, from the class-wise probabilities (Section 4.2 of the
    paper). `print(report)` shows them as a table.

    Attributes:
        precision: Shape `(C,)`, float64; 0 for a class that is never predicted.
        recall: Shape `(C,)`, float64; NaN for a class without test samples.
        f1: Harmonic mean of precision and recall, shape `(C,)`, float64; NaN for a
            class without test samples.
        auprc: Average precision, one class against the rest, shape `(C,)`, float64;
            NaN for a class without test samples.
        support: Number of test samples, shape `(C,)`, int64.
        minority: Indices of the minority classes; empty if none were named.

    Example:
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
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    auprc: NDArray[np.float64]
    support: NDArray[np.int64]
    minority: tuple[int, ...]

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have test samples."""
        return self.average("all")["recall"]

    @property
    def accuracy(self) -> float:
        """Share of the test samples whose most probable class is the true one."""
        correct = np.nansum(self.recall * self.support)
        return float(correct / self.support.sum())

    def average(self, group: Group) -> dict[str, float]:
        """Averages each measure over a group of classes, each class counting once.

        Args:
            group: `"minority"`, `"majority"` (the classes not in `minority`) or
                `"all"`. Classes without test samples are left out.

        Returns:
            The averages of `"precision"`, `"recall"`, `"f1"` and `"auprc"`; NaN if
            no class of the group has test samples.

        Raises:
            ValueError: If `group` is none of these, or if it is `"minority"` or
                `"majority"` and the report was made without minority classes.

        Example:
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
        """Which classes of the group have test samples; shape `(C,)`."""
        if group not in ("minority", "majority", "all"):
            raise ValueError(
                "group must be 'minority', 'majority' or 'all'. "
                f"Received: group={group!r}."
            )
        if group != "all" and not self.minority:
            raise ValueError(
                "the report was made without minority classes; pass `minority` to "
                f"`classwise_report`. Received: group={group!r}."
            )
        in_minority = np.isin(np.arange(self.support.size), self.minority)
        members = {
            "minority": in_minority,
            "majority": ~in_minority,
            "all": np.full_like(in_minority, True),
        }
        return members[group] & (self.support > 0)

    def __str__(self) -> str:
        """Sets the measures in a plain-text table; * marks the minority classes."""
        rows = [["class", "support", "precision", "recall", "F1", "AUPRC"]]
        for c in range(self.support.size):
            name = f"{c}*" if c in self.minority else f"{c}"
            values = [float(getattr(self, measure)[c]) for measure in _MEASURES]
            rows.append([name, f"{self.support[c]}", *_three_digits(values)])
        groups: tuple[Group, ...] = ("minority", "majority", "all")
        for group in groups if self.minority else groups[-1:]:
            support = self.support[self._members(group)].sum()
            values = list(self.average(group).values())
            rows.append([group, f"{support}", *_three_digits(values)])
        summary = (
            f"balanced accuracy {self.balanced_accuracy:.3f}, "
            f"accuracy {self.accuracy:.3f}"
        )
        return f"{_aligned(rows)}\n{summary}"


def classwise_report(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    minority: Sequence[int] | None = None,
) -> ClasswiseReport:
    """Measures precision, recall, F1 and AUPRC of each class.

    Args:
        y_true: True classes of n test samples: class indices, shape `(n,)` or
            `(n, 1)`, or one-hot rows, shape `(n, C)`.
        probabilities: Predicted class probabilities, shape `(n, C)`, floats whose
            rows sum to one within 1e-3.
        minority: Indices of the minority classes *of the training data*, for example
            `minority_classes(class_counts(y_train))`. None (default) or empty: only
            the averages over all classes are reported.

    Returns:
        The measures of each class.

    Raises:
        ValueError: If the shapes do not fit, if the probabilities are none, or if
            `minority` is not a set of some, but not all, classes.

    Example:
        >>> report = classwise_report([0, 1], [[0.9, 0.1], [0.6, 0.4]])
        >>> report.recall
        array([1., 0.])
    """
    scores = _probabilities(probabilities)
    n_samples, n_classes = scores.shape
    truth = sparse_labels(y_true, n_classes)
    if truth.size != n_samples:
        raise ValueError(
            "y_true and probabilities must hold the same number of samples. "
            f"Received: {truth.size} labels, {n_samples} rows of probabilities."
        )
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, scores.argmax(axis=1), labels=range(n_classes), zero_division=0
    )
    absent = support == 0
    recall[absent] = f1[absent] = np.nan
    auprc = np.full(n_classes, np.nan)
    for c in np.flatnonzero(support):
        auprc[c] = average_precision_score(truth == c, scores[:, c])
    return ClasswiseReport(
        precision=precision,
        recall=recall,
        f1=f1,
        auprc=auprc,
        support=support.astype(np.int64),
        minority=_minority(minority, n_classes),
    )


def comparison_table(reports: Mapping[str, ClasswiseReport]) -> str:
    """Sets methods side by side, in the layout of Table 6 of the paper.

    Args:
        reports: A report for each method, by the name of the method; all of them
            made with minority classes.

    Returns:
        A plain-text table with one row per method: balanced accuracy, then average
        precision (P), recall (R), F1 and AUPRC of the minority classes and of the
        majority classes.

    Raises:
        ValueError: If there are no reports, or if one has no minority classes.

    Example:
        >>> truth, predicted = [0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]
        >>> print(comparison_table({"CNN": classwise_report(truth, predicted, [1])}))
                balanced  minority                       majority
        method  accuracy         P      R     F1  AUPRC         P      R     F1  AUPRC
        CNN        0.750     0.500  1.000  0.667  1.000     1.000  0.500  0.667  1.000
    """
    if not reports:
        raise ValueError("reports must hold at least one report. Received: reports={}.")
    measures = ["P", "R", "F1", "AUPRC"]
    rows = [
        ["", "balanced", "minority", "", "", "", "majority", "", "", ""],
        ["method", "accuracy", *measures, *measures],
    ]
    for method, report in reports.items():
        if not report.minority:
            raise ValueError(
                "each report must be made with `minority`. "
                f"Received: the report of {method!r}, which has no minority classes."
            )
        values = [
            report.balanced_accuracy,
            *report.average("minority").values(),
            *report.average("majority").values(),
        ]
        rows.append([method, *_three_digits(values)])
    return _aligned(rows)


def _probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    values: NDArray[Any] = np.asarray(probabilities)
    if (
        values.dtype.kind not in "fiu"
        or values.ndim != 2
        or values.shape[0] == 0
        or values.shape[1] < 2
    ):
        raise ValueError(
            "probabilities must be an array of the shape (n, C), n > 0 samples and "
            "C > 1 classes; of a DOSModel take "
            '`model.predict(x)["probabilities"]`. '
            f"Received: shape={values.shape}, dtype={values.dtype}."
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            "probabilities must be finite; NaN tells of a training that diverged. "
            f"Received: {np.count_nonzero(~np.isfinite(values))} values that are not."
        )
    sums = values.sum(axis=1)
    farthest = sums[np.abs(sums - 1).argmax()]
    if abs(farthest - 1) > 1e-3 or values.min() < 0:
        raise ValueError(
            "probabilities must be non-negative and each row must sum to one; apply "
            "a softmax to logits. "
            f"Received: a row that sums to {farthest}, smallest value {values.min()}."
        )
    return values


def _minority(minority: Sequence[int] | None, n_classes: int) -> tuple[int, ...]:
    if minority is None or np.size(minority) == 0:
        return ()
    classes = np.unique(minority)
    if (
        np.ndim(minority) != 1
        or classes.dtype.kind not in "iu"
        or not np.isin(classes, np.arange(n_classes)).all()
        or classes.size == n_classes
    ):
        raise ValueError(
            f"minority must be indices of some, but not all, of the {n_classes} "
            f"classes. Received: minority={minority!r}."
        )
    return tuple(classes.tolist())


def _three_digits(values: list[float]) -> list[str]:
    return [f"{value:.3f}" for value in values]


def _aligned(rows: list[list[str]]) -> str:
    """Joins cells to lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(
                    cell.rjust(width)
                    for cell, width in zip(row[1:], widths[1:], strict=True)
                ),
            ]
        ).rstrip()
        for row in rows
    )
