"""Why each part is there: the ablations of the benchmarks, read from their table.

    python examples/gallery/read_ablations.py [picture.png]

Each row of benchmarks/results/ablations.csv is one training. A change is compared with
the unchanged method on the same draw, since draws differ more than methods.
"""

import csv
import os
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy import stats

mpl.use(os.environ.get("MPLBACKEND", "Agg"))

from matplotlib import pyplot as plt

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "ablations.csv"
BASELINE = "the former defaults, but λ = 0.3"


def differences() -> dict[str, np.ndarray]:
    """Return, by change, points of balanced accuracy gained on each draw."""
    accuracy: dict[str, dict[str, float]] = {}
    with RESULTS.open() as file:
        for row in csv.DictReader(file):
            scores = accuracy.setdefault(row["method"], {})
            scores[row["seed"]] = float(row["balanced_accuracy"])
    whole = accuracy.pop(BASELINE)
    return {
        change: np.array([scores[seed] - whole[seed] for seed in whole])
        for change, scores in accuracy.items()
    }


def main(picture: str = "results/ablations.png") -> None:
    """Print and draw the mean difference of each change, with its 95 % interval."""
    print("A few seconds: nothing is trained.")
    gained = differences()
    order = sorted(gained, key=lambda change: gained[change].mean())
    means = np.array([gained[change].mean() for change in order])
    margins = np.array(
        [
            stats.sem(gained[change]) * stats.t.ppf(0.975, len(gained[change]) - 1)
            for change in order
        ]
    )
    print(f"points of balanced accuracy, less {BASELINE}")
    for change, mean, margin in zip(order, means, margins, strict=True):
        sure = "worse" if mean + margin < 0 else "better" if mean > margin else ""
        print(f"{mean:+6.1f} ± {margin:4.1f}  {sure:<7} {change}")

    # A few changes are catastrophes, which would leave no room for the others.
    shown = means > -10
    places = np.arange(shown.sum())
    figure, axes = plt.subplots(figsize=(8, 7), layout="constrained")
    axes.errorbar(means[shown], places, xerr=margins[shown], fmt="o", color="#2a6fbb")
    axes.axvline(0, color="#9aa0a6", linewidth=1)
    axes.set_yticks(places, np.array(order)[shown])
    axes.set_xlabel("points of balanced accuracy, 95 % interval over 5 draws")
    axes.spines[["top", "right"]].set_visible(False)
    Path(picture).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"Picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
