"""The pictures of an experiment."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.cells import task_of
from benchmarks.entries import DOS, Entry, is_baseline
from benchmarks.measures import Values, difference
from benchmarks.methods import METHODS
from benchmarks.problems import Problem, load
from benchmarks.tables import Reader, best_baseline
from keras_dos import DOSModel, plots
from keras_dos.plots.style import BLUE, GRAY, ORANGE, VERMILION, panels, title

# Of the methods in the tables, those that a picture can show.
SHOWN = (
    "plain CNN",
    "random over-sampling",
    "DOS",
    "SMOTE on pixels",
    "DOS, the paper's",
)
FARTHEST_LEFT = -7.0  # Points; a larger loss is drawn as an arrow there.
Draw = Callable[[Reader], Figure]


def write(name: str, reader: Reader, folder: Path) -> list[Path]:
    """Write the pictures of an experiment; return their paths."""
    written = []
    for picture, draw in PICTURES.get(name, {}).items():
        figure = draw(reader)
        path = folder / f"{picture}.png"
        figure.savefig(path, dpi=110)
        written.append(path)
    return written


def methods(reader: Reader) -> Figure:
    """Draw the balanced accuracy of each method, mean and sd, one panel per problem."""
    problems = reader.experiment.problems
    height = 0.27 * len(reader.entries) + 1.4
    figure, row = panels(len(problems), height)
    for axes, problem in zip(row, problems, strict=True):
        for place, entry in enumerate(reversed(reader.entries)):
            values = reader.values(entry, problem)
            if np.isnan(values).any():
                continue
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            axes.errorbar(
                values.mean(), place, xerr=spread, fmt="o", color=_color(entry)
            )
        axes.set_yticks(range(len(reader.entries)))
        axes.margins(y=0.02)
        axes.set_yticklabels([entry.label for entry in reversed(reader.entries)])
        # A method that collapsed in one draw must not squeeze all others together.
        means = [reader.values(entry, problem).mean() for entry in reader.entries]
        low, _ = axes.get_xlim()
        axes.set_xlim(left=max(low, float(np.nanmedian(means)) - 16))
        axes.set(xlabel="balanced accuracy, %")
        title(axes, problem.title, len(row) + 1)
        axes.grid(axis="x", alpha=0.3)
        axes.label_outer()
    return figure


def variance(reader: Reader) -> Figure:
    """Draw the in-class variance of DOS over its rounds, mean of the draws."""
    return plots.in_class_variance(
        {
            problem.title: {
                name: np.mean(_runs(reader, problem, name), axis=0).tolist()
                for name in ("minority_variance", "majority_variance")
            }
            for problem in reader.experiment.problems
        }
    )


def _runs(reader: Reader, problem: Problem, name: str) -> Values:
    """Return a log of DOS, shape (draws, epochs); NaN where it has none."""
    runs = [
        record["history"][name]
        for entry, _, record in reader.records(problem)
        if entry.label == DOS.label
    ]
    return np.array(runs, np.float64)


def reduction(reader: Reader) -> Figure:
    """Draw balanced accuracy against the reduction rate, a few methods."""
    problems = reader.experiment.problems
    lines = {label: [reader.entry(label)] * len(problems) for label in SHOWN}
    lines["best baseline at each rate"] = [
        best_baseline(reader, problem) for problem in problems
    ]
    figure = plots.reduction_rates(
        [problem.imbalance["reduction_rate"] for problem in problems],
        {
            label: [
                reader.values(entry, problem).mean() / 100
                for entry, problem in zip(entries, problems, strict=True)
            ]
            for label, entries in lines.items()
        },
    )
    name = problems[0].title.rpartition(",")[0]
    title(figure.axes[0], f"{name}, mean of {reader.draws} draws", 1)
    return figure


def ablations(reader: Reader) -> Figure:
    """Draw what each change costs or gains, with its confidence interval."""
    problems = reader.experiment.problems
    base, *changes = reader.entries
    figure, row = panels(len(problems), height=0.27 * len(changes) + 1.2)
    for axes, problem in zip(row, problems, strict=True):
        standard = reader.values(base, problem)
        for place, entry in enumerate(reversed(changes)):
            gain = difference(reader.values(entry, problem), standard)
            color = VERMILION if gain["high"] < 0 else BLUE if gain["low"] > 0 else GRAY
            if gain["mean"] < FARTHEST_LEFT:
                axes.plot(FARTHEST_LEFT, place, "<", color=color)
                text = f"{gain['mean']:.0f}"
                axes.text(FARTHEST_LEFT + 0.2, place, text, va="center", fontsize=8)
                continue
            axes.plot([gain["low"], gain["high"]], [place, place], color=color)
            axes.plot(gain["mean"], place, "o", color=color)
        axes.set_xlim(left=FARTHEST_LEFT - 0.3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(changes)))
        axes.margins(y=0.02)
        axes.set_yticklabels([entry.label for entry in reversed(changes)])
        axes.tick_params(axis="y", labelsize=8)
        axes.set(xlabel="points of balanced accuracy won or lost, 95 % interval")
        title(axes, f"{problem.title}, validation", 1)
        axes.grid(axis="x", alpha=0.3)
        axes.label_outer()
    return figure


def embeddings(reader: Reader) -> Figure:
    """Draw test embeddings of the CNN and of DOS in the plane."""
    problem = reader.experiment.problems[0]
    seed = reader.experiment.seeds[0]
    split = load(problem, reader.experiment.part, seed)
    stages = {}
    for label in ("plain CNN", "DOS"):
        entry = reader.entry(label)
        trained: list[DOSModel] = []

        def build(
            shape: tuple[int, ...], trained: list[DOSModel] = trained
        ) -> DOSModel:
            trained.append(problem.build(shape))
            return trained[-1]

        task = replace(task_of(problem, split, seed), build=build)
        METHODS[entry.method](task, **entry.settings)
        stages[label] = task.predict(trained[-1].embedder, split.x_eval[:1000])
    figure = plots.embeddings(stages, split.y_eval[:1000], split.minority)
    figure.suptitle(f"t-SNE of 1,000 test embeddings, {problem.title}, one draw")
    return figure


def _color(entry: Entry) -> str:
    if entry.label == DOS.label:
        return BLUE
    return GRAY if is_baseline(entry) else ORANGE


PICTURES: dict[str, dict[str, Draw]] = {
    "ablations": {"ablations": ablations},
    "bars": {"bars": methods, "variance": variance, "embeddings": embeddings},
    "cifar10_lt": {"cifar10_lt": methods},
    "reduction": {"reduction": reduction},
}
