"""Reports side by side."""

from collections.abc import Mapping

from keras_dos.evaluation.report import ClasswiseReport
from keras_dos.evaluation.text import aligned, three_digits


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
        ValueError: If there are no reports, or not all of the same classes and minority
            classes.

    Example:
        >>> from keras_dos import classwise_report
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
    sizes = {method: len(report.support) for method, report in reports.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            "`reports` must all be of the same classes to be compared. "
            f"Received: numbers of classes={sizes}."
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
        rows.append([f"{method}", *three_digits(values)])
    return aligned(rows)
