"""The pictures of an experiment."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from benchmarks.cells import task_of
from benchmarks.entries import DOS, Entry, is_baseline
from benchmarks.measures import difference
from benchmarks.methods import METHODS
from benchmarks.problems import load
from benchmarks.tables import Reader
from keras_dos import DOSModel

mpl.use("Agg")

from matplotlib import pyplot as plt

GRAY, BLUE, RED, ORANGE = "#9aa0a6", "#2a6fbb", "#c0392b", "#e8a33d"
FARTHEST_LEFT = -7.0  # Points; a larger loss is drawn as an arrow there.
Draw = Callable[[Reader], Figure]


def write(name: str, reader: Reader, folder: Path) -> list[Path]:
    """Write the pictures of an experiment; return their paths."""
    written = []
    for picture, draw in PICTURES.get(name, {}).items():
        figure = draw(reader)
        path = folder / f"{picture}.png"
        figure.savefig(path, dpi=110)
        plt.close(figure)
        written.append(path)
    return written


def methods(reader: Reader) -> Figure:
    """Draw the balanced accuracy of each method, mean and sd, one panel per problem."""
    problems = reader.experiment.problems
    figure, panels = _panels(len(problems), height=0.3 * len(reader.entries) + 1.4)
    for axes, problem in zip(panels, problems, strict=True):
        for place, entry in enumerate(reversed(reader.entries)):
            values = reader.values(entry, problem)
            if np.isnan(values).any():
                continue
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            axes.errorbar(
                values.mean(), place, xerr=spread, fmt="o", color=_color(entry)
            )
        axes.set_yticks(range(len(reader.entries)))
        axes.set_yticklabels([entry.label for entry in reversed(reader.entries)])
        # A method that collapsed in one draw must not squeeze all others together.
        means = [reader.values(entry, problem).mean() for entry in reader.entries]
        low, _ = axes.get_xlim()
        axes.set_xlim(left=max(low, float(np.nanmedian(means)) - 16))
        axes.set(xlabel="balanced accuracy, %", title=problem.title)
        axes.title.set_fontsize(10)
        axes.grid(axis="x", alpha=0.3)
        axes.label_outer()
    return figure


def variance(reader: Reader) -> Figure:
    """Draw the in-class variance of DOS over its rounds, mean of the draws."""
    problems = reader.experiment.problems
    figure, panels = _panels(len(problems), height=3.2)
    for axes, problem in zip(panels, problems, strict=True):
        for group, color in (("minority", RED), ("majority", BLUE)):
            name = f"{group}_variance"
            runs = [
                [np.nan if v is None else v for v in record["history"][name]]
                for entry, _, record in reader.records(problem)
                if entry.label == DOS.label
            ]
            means = np.mean(runs, axis=0)
            rounds = np.flatnonzero(np.isfinite(means))
            axes.plot(rounds + 1, means[rounds], "o-", color=color, label=group)
            axes.set_xticks(rounds + 1)
        axes.set(xlabel="epoch of the round", title=problem.title, ylim=(0, None))
        axes.title.set_fontsize(10)
    panels[0].set_ylabel("in-class variance of the embeddings")
    panels[0].legend(frameon=False)
    return figure


def reduction(reader: Reader) -> Figure:
    """Draw balanced accuracy against the reduction rate, one line per method."""
    figure, (axes,) = _panels(1, width=8.5, height=5.5)
    problems = reader.experiment.problems
    rates = [problem.imbalance["reduction_rate"] for problem in problems]
    markers = "os^vD<>phXP*"
    for place, entry in enumerate(reader.entries):
        means = [reader.values(entry, problem).mean() for problem in problems]
        ours = not is_baseline(entry)
        axes.plot(
            range(len(rates)),
            means,
            marker=markers[place % len(markers)],
            linewidth=3 if entry.label == DOS.label else 1.2,
            linestyle="-" if ours else "--",
            color=BLUE
            if entry.label == DOS.label
            else plt.get_cmap("tab20")(place % 20),
            label=entry.label,
        )
    axes.set_xticks(range(len(rates)), [f"{rate}" for rate in rates])
    axes.set(
        xlabel="reduction rate p of four classes",
        ylabel="balanced accuracy, %",
        title=f"SVHN subset (5,136 / 2,000), mean of {reader.draws} draws",
    )
    figure.legend(loc="outside right", frameon=False, fontsize=8)
    return figure


def ablations(reader: Reader) -> Figure:
    """Draw what each change costs or gains, with its confidence interval."""
    problems = reader.experiment.problems
    base, *changes = reader.entries
    figure, panels = _panels(len(problems), width=8.5, height=0.27 * len(changes) + 1.2)
    for axes, problem in zip(panels, problems, strict=True):
        standard = reader.values(base, problem)
        for place, entry in enumerate(reversed(changes)):
            gain = difference(reader.values(entry, problem), standard)
            color = RED if gain["high"] < 0 else BLUE if gain["low"] > 0 else GRAY
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
        axes.set_yticklabels([entry.label for entry in reversed(changes)])
        axes.tick_params(axis="y", labelsize=8)
        axes.set(
            xlabel="points of balanced accuracy won or lost, 95 % interval",
            title=f"{problem.title}, validation",
        )
        axes.grid(axis="x", alpha=0.3)
        axes.label_outer()
    return figure


def embeddings(reader: Reader) -> Figure:
    """Draw test embeddings of the CNN, of over-sampling and of DOS in the plane."""
    problem = reader.experiment.problems[0]
    seed = reader.experiment.seeds[0]
    split = load(problem, reader.experiment.part, seed)
    figure, panels = _panels(3, height=4.6)
    labels = ("plain CNN", "random over-sampling", "DOS")
    for axes, label in zip(panels, labels, strict=True):
        entry = reader.entry(label)
        trained: list[DOSModel] = []

        def build(
            shape: tuple[int, ...], trained: list[DOSModel] = trained
        ) -> DOSModel:
            trained.append(problem.build(shape))
            return trained[-1]

        task = replace(task_of(problem, split, seed), build=build)
        METHODS[entry.method](task, **entry.settings)
        embedding = task.predict(trained[-1].embedder, split.x_eval[:1500])
        plane = TSNE(random_state=0).fit_transform(embedding)
        for c in range(10):
            chosen = split.y_eval[: len(embedding)] == c
            rare = c in split.minority
            axes.scatter(
                plane[chosen, 0],
                plane[chosen, 1],
                s=22 if rare else 8,
                marker="^" if rare else "o",
                color=plt.get_cmap("tab10")(c),
                linewidths=0,
                label=f"{c} (minority)" if rare else f"{c}",
            )
        axes.set(title=label, xticks=[], yticks=[])
    figure.suptitle(f"t-SNE of 1,500 test embeddings, {problem.title}, one draw")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right", frameon=False
    )
    return figure


def _panels(
    n: int, width: float | None = None, height: float = 4.0
) -> tuple[Figure, list[Axes]]:
    figure, panels = plt.subplots(
        1,
        n,
        figsize=(width or 1.5 + 4 * n, height),
        layout="constrained",
        squeeze=False,
    )
    for axes in panels[0]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(panels[0])


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
