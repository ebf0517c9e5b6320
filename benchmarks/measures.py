"""From records of cells to the figures of tables: by seed, mean ± sd, differences."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.cells import Record, Store
from benchmarks.entries import Entry
from benchmarks.problems import Part, Problem

# "minority", "majority" or "all"; by training samples, "many" (the three largest
# classes), "medium" (four) or "few" (three).
Group = str
Values = NDArray[np.float64]  # One value per seed; NaN where the training diverged.


def class_wise(record: Record, readout: str, measure: str) -> Values:
    """Return a measure of each class; NaN if the training diverged."""
    if readout == "CNN-CL":
        readout = "lr" if measure == "auprc" else "knn"
    measures = record["measures"].get(readout)
    values = [None] * 10 if measures is None else measures[measure]
    return np.array(values, np.float64)


def balanced_accuracy(record: Record, readout: str = "softmax") -> float:
    """Return the mean recall of all classes in %."""
    return 100 * float(class_wise(record, readout, "recall").mean())


def group_mean(record: Record, readout: str, measure: str, group: Group) -> float:
    """Return the mean of a measure over a group of classes."""
    rare = np.isin(np.arange(10), record["minority"])
    largest_first = np.argsort(record["counts"], kind="stable")[::-1]
    members = {
        "minority": rare,
        "majority": ~rare,
        "all": rare | ~rare,
        "many": largest_first[:3],
        "medium": largest_first[3:7],
        "few": largest_first[7:],
    }[group]
    return float(class_wise(record, readout, measure)[members].mean())


def by_seed(
    store: Store,
    entry: Entry,
    problem: Problem,
    seeds: range,
    value: Callable[[Record, str], float] = balanced_accuracy,
    part: Part = "test",
) -> Values:
    """Return a value of each seed's cell."""
    cells = entry.cells(problem, seeds, part)
    return np.array([value(store[cell], entry.readout) for cell in cells])


def mean_sd(values: Sequence[float] | Values, digits: int = 1) -> str:
    """Return "mean ± sd", with the sample's standard deviation."""
    array = np.asarray(values, np.float64)
    if np.isnan(array).any():
        return f"diverged ({np.isnan(array).sum()} of {len(array)})"
    text = f"{array.mean():.{digits}f}"
    if len(array) > 1:
        text += f" ± {array.std(ddof=1):.{digits}f}"
    return text if digits < 2 else text.replace("0.", ".")


def difference(ours: Values, theirs: Values) -> dict[str, float]:
    """Return the mean paired difference and its 95 % confidence interval (t)."""
    gains = ours - theirs
    half = 0.0
    if len(gains) > 1:
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        half = float(stats.t.ppf(0.975, len(gains) - 1) * error)
    mean = float(gains.mean())
    return {"mean": mean, "low": mean - half, "high": mean + half}


def shown_difference(ours: Values, theirs: Values, digits: int = 1) -> str:
    """Return the difference as "+1.2 [+0.3, +2.1]"."""
    gain = difference(ours, theirs)
    if np.isnan(gain["mean"]):
        return "diverged"
    mean, low, high = (f"{gain[name]:+.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"
