"""Class-wise retrieval measures, as the DOS paper reports them.

Reference:
    Ando, S., Huang, C. Y.: Deep over-sampling framework for classifying imbalanced
    data. ECML-PKDD 2017, Section 4.2. https://arxiv.org/abs/1704.07515
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from keras_dos import _checks
from keras_dos.labels import labels_of, sparse_labels

Group = Literal["minority", "majority", "all"]

_MEASURES = ("precision", "recall", "f1", "auprc")


@dataclasses.dataclass(frozen=True, eq=False)
class ClasswiseReport:
    """Class-wise measures of a classifier on one test set.

    Created by `classwise_report`. Precision, recall and F1 come from the multi-class
    confusion matrix of the most probable classes; AUPRC, the area under the
    precision-recall curve, from the class-wise probabilities (Section 4.2 of the
    paper). `print(report)` shows them as a table.

    Attributes:
        precision: Shape `(n,)`, float64; 0 for a class that is never predicted.
        recall: Shape `(n,)`, float64; NaN for a class without test samples.
        f1: Harmonic mean of precision and recall, shape `(n,)`, float64; NaN for a
            class without test samples.
        auprc: Average precision, one class against the rest, shape `(n,)`, float64;
            NaN for a class without test samples.
        support: Test samples per class, shape `(n,)`, int64.
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
            group: `"minority"`, `"majority"` (the classes not in `minority`) or
                `"all"`. Classes without test samples are left out.

        Returns:
            The averages of `"precision"`, `"recall"`, `"f1"` and `"auprc"`; NaN if
            no class of the group has test samples.

        Raises:
            ValueError: If `group` is not one of these, or if it is `"minority"` or
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
        """Return which classes of the group have test samples, shape `(n,)`."""
        in_minority = np.isin(np.arange(self.support.size), self.minority)
        members = {
            "minority": in_minority,
            "majority": ~in_minority,
            "all": np.full_like(in_minority, True),
        }
        _checks.choice("group", group, members)
        if group != "all" and not self.minority:
            raise ValueError(
                '`group` must be "all" in a report without minority classes; pass '
                f"`minority` to `classwise_report`. Received: group={group!r}."
            )
        return members[group] & (self.support > 0)

    def __str__(self) -> str:
        """Format the measures as a plain-text table; * marks the minority classes."""
        rows = [["class", "support", "precision", "recall", "F1", "AUPRC"]]
        for j in range(self.support.size):
            name = f"{j}*" if j in self.minority else f"{j}"
            values = [float(getattr(self, measure)[j]) for measure in _MEASURES]
            rows.append([name, f"{self.support[j]}", *_three_digits(values)])
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
    """Measure precision, recall, F1 and AUPRC of each class.

    Args:
        y_true: True classes of m test samples: class indices, shape `(m,)` or
            `(m, 1)`, or one-hot rows, shape `(m, n)`.
        probabilities: Predicted class probabilities, shape `(m, n)` with n > 1, any
            real dtype; each row sums to one within 0.01.
        minority: Indices of the minority classes *of the training data*, for example
            `minority_classes(class_counts(y_train))`. Defaults to None: as if empty, so
            that only the averages over all classes are reported.

    Returns:
        The measures of each class.

    Raises:
        TypeError: If `y_true` or `probabilities` are not numbers, or `minority` is
            not a sequence.
        ValueError: If the shapes do not match, if a row of `probabilities` does not
            hold probabilities, if `sparse_labels` rejects `y_true`, or if `minority`
            does not name different classes, at most n - 1 of them.

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
    )


def read_predictions(
    y_true: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels and class probabilities of the same samples.

    Args:
        y_true: Class indices, shape `(m,)` or `(m, 1)`, or one-hot rows, `(m, n)`.
        probabilities: Class probabilities, shape `(m, n)`, any real dtype.

    Returns:
        Class indices, shape `(m,)`, and class probabilities, shape `(m, n)`.

    Raises:
        TypeError: If they are not numbers.
        ValueError: If the shapes do not match, if a row does not hold probabilities, or
            if `sparse_labels` rejects `y_true`.

    Example:
        >>> read_predictions([[0, 1]], [[0.25, 0.75]])
        (array([1]), array([[0.25, 0.75]]))
    """
    scores = _checks.probabilities("probabilities", probabilities)
    m, n = scores.shape
    with labels_of("y_true"):
        truth = sparse_labels(y_true, n)
    if truth.size != m:
        raise ValueError(
            "`y_true` and `probabilities` must have the same number of samples. "
            f"Received: {truth.size} labels, {m} rows of probabilities."
        )
    return truth, scores


def comparison_table(reports: Mapping[str, ClasswiseReport]) -> str:
    """Format reports side by side, in the layout of Table 6 of the paper.

    Args:
        reports: A report for each method, by the name of the method; all of them
            with the same minority classes.

    Returns:
        A plain-text table with one row per method: balanced accuracy, then average
        precision (P), recall (R), F1 and AUPRC of the minority classes and of the
        majority classes.

    Raises:
        TypeError: If it is not a mapping to reports.
        ValueError: If there are no reports, or not all with the same minority classes.

    Example:
        >>> truth, predicted = [0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]
        >>> print(comparison_table({"CNN": classwise_report(truth, predicted, [1])}))
                balanced  minority                       majority
        method  accuracy         P      R     F1  AUPRC         P      R     F1  AUPRC
        CNN        0.750     0.500  1.000  0.667  1.000     1.000  0.500  0.667  1.000
    """
    reports_only = isinstance(reports, Mapping) and all(
        isinstance(report, ClasswiseReport) for report in reports.values()
    )
    if not reports_only or not reports:
        error = ValueError if reports_only else TypeError
        raise error(
            "`reports` must map names to ClasswiseReports: at least one report. "
            f"Received: reports={reports!r}."
        )
    minorities = {method: report.minority for method, report in reports.items()}
    if len(set(minorities.values())) > 1 or () in minorities.values():
        raise ValueError(
            "`reports` must all be made with the same `minority`, at least one class, "
            f"to be compared. Received: minority={minorities}."
        )
    measures = ["P", "R", "F1", "AUPRC"]
    rows = [
        ["", "balanced", "minority", "", "", "", "majority", "", "", ""],
        ["method", "accuracy", *measures, *measures],
    ]
    for method, report in reports.items():
        values = [
            report.balanced_accuracy,
            *report.average("minority").values(),
            *report.average("majority").values(),
        ]
        rows.append([method, *_three_digits(values)])
    return _aligned(rows)


def _three_digits(values: list[float]) -> list[str]:
    return [f"{value:.3f}" for value in values]


def _aligned(rows: list[list[str]]) -> str:
    """Join cells into lines, the first column flush left, the others flush right."""
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
