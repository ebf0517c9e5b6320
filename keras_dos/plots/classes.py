"""Measures class by class."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from keras_dos import _checks
from keras_dos.evaluation import ClasswiseReport
from keras_dos.plots import style

Measure = Literal["precision", "recall", "f1", "auprc"]

TITLES: dict[Measure, str] = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auprc": "AUPRC",
}


def classwise_bars(
    reports: Mapping[str, ClasswiseReport],
    measure: Measure = "f1",
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw a measure of each class as bars, one per method.

    The minority classes stand to the right of the others.

    Args:
        reports: A report for each method, by the name of the method, the baseline
            first; at most seven, all of the same classes and minority classes.
        measure: `"precision"`, `"recall"`, `"f1"` (default) or `"auprc"`. A class
            for which it is NaN has no bar.
        class_names: A name for each class. Defaults to None: the indices.

    Returns:
        A figure with one panel.

    Raises:
        TypeError: If `reports` is not a mapping to reports.
        ValueError: If there are no reports or more than seven, if they differ in their
            classes, or `measure` is unknown.

    Example:
        >>> from keras_dos import classwise_report
        >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> reports = {
        ...     "CNN": classwise_report([0, 1, 1], p, minority=[1]),
        ...     "DOS": classwise_report([0, 1, 0], p, minority=[1]),
        ... }
        >>> classwise_bars(reports, "recall").axes[0].get_ylabel()
        'recall'
    """
    colors = style.methods("reports", reports)
    _checks.choice("measure", measure, TITLES)
    n, minority = _classes(reports)
    names = style.class_names(class_names, n)
    order = sorted(range(n), key=lambda j: j in minority)
    # Room for the names and a gap between the two groups.
    places = np.arange(n) + 0.5 * np.isin(order, minority)
    longest = max(len(name) for name in names)
    figure, (axes,) = style.panels(1, 3.9, max(style.WIDTH, 0.6 + 0.6 * n))
    width = 0.8 / len(reports)
    for i, (name, report) in enumerate(reports.items()):
        axes.bar(
            places + (i - (len(reports) - 1) / 2) * width,
            getattr(report, measure)[order],
            width,
            label=name,
            color=colors[name],
        )
    axes.set_xticks(places, [names[j] for j in order])
    axes.tick_params(axis="x", length=0, rotation=0 if longest < 8 else 30)
    axes.set(ylim=(0, 1), ylabel=TITLES[measure], axisbelow=True)
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("class")
    if minority:
        border = n - len(minority) - 0.25
        axes.axvline(border, color=style.GRAY, linewidth=0.8)
        axes.set_title("minority classes", loc="right", fontsize=style.SMALL)
        axes.set_title("other classes", loc="left", fontsize=style.SMALL)
    style.legend_below(figure, axes, columns=min(len(reports), 4))
    return figure


def _classes(reports: Mapping[str, ClasswiseReport]) -> tuple[int, tuple[int, ...]]:
    """Return the number of classes and the minority of all reports."""
    found = set()
    for name, report in reports.items():
        if not isinstance(report, ClasswiseReport):
            raise TypeError(
                "`reports` must hold what `classwise_report` returns. "
                f"Received: {type(report).__name__} for {name!r}."
            )
        found.add((len(report.support), report.minority))
    if len(found) > 1:
        raise ValueError(
            "`reports` must all have the same classes and minority classes. Received: "
            + " and ".join(f"{n} classes, minority {list(m)}" for n, m in sorted(found))
            + "."
        )
    return found.pop()
