"""Draw the two pictures of docs/index.md: `python docs/pictures.py`.

Each is drawn twice, for a light and for a dark background. Classes differ in marker as
well as in color, so that neither has to be seen.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]
PICTURES = Path(__file__).parent / "pictures"
SIZE = 10.5  # Points: 14.6 pixels where the 8 inches of a picture are 800 pixels.


@dataclass(frozen=True)
class Theme:
    """The colors on one background, of the palette of Okabe and Ito."""

    name: str
    text: str
    faint: str
    frequent: str
    rare: str


LIGHT = Theme("light", "#1f2328", "#8c8c8c", "#0072B2", "#D55E00")
DARK = Theme("dark", "#f0f0f0", "#9a9a9a", "#56B4E9", "#E69F00")


def micro_cluster(theme: Theme) -> Figure:
    """Draw f(x), its neighbors, and what the two losses do to them."""
    figure, axes = _plane((8, 3.9))
    live = np.array([3.0, 1.75])
    stored = np.array([[4.7, 2.75], [5.15, 1.6], [4.2, 0.55]])
    weights = np.array([0.15, 0.35, 0.3, 0.2])  # Of slot 0, then of the neighbors.
    mean = weights @ np.vstack([live, stored])
    for neighbor, weight in zip(stored, weights[1:], strict=True):
        axes.plot(
            *np.stack([live, neighbor], axis=1),
            color=theme.rare,
            linewidth=12 * weight,
            alpha=0.5,
            zorder=1,
        )
    frequent = np.random.default_rng(4).normal((0.9, 1.8), (0.5, 0.7), (26, 2))
    _points(axes, theme, frequent, stored)
    axes.scatter(live[0], live[1], s=230, marker="^", color=theme.rare, zorder=3)
    axes.scatter(
        mean[0], mean[1], s=90, marker="x", color=theme.text, linewidths=2, zorder=4
    )
    _arrow(axes, live, mean, theme.text)
    notes: list[tuple[str, Any, tuple[float, float]]] = [
        ("a frequent class", frequent[frequent[:, 1].argmax()], (0.5, 3.75)),
        ("f(x), the embedding of a\nrare sample as it is now", live, (2.0, 3.4)),
        (
            "its k = 3 nearest neighbors within the\n"
            "class, as stored when the round began",
            stored[0],
            (5.3, 3.5),
        ),
        (
            "the mean of all four, with random\n"
            "weights w: where the embedding\nloss pulls f(x)",
            mean,
            (6.0, 2.4),
        ),
    ]
    for text, point, place in notes:
        _note(axes, theme, text, point, place)
    axes.text(
        0.1,
        -0.4,
        "The class loss asks the head g for the class of x at every slot: "
        "at f(x) and at its neighbors.",
        color=theme.text,
        fontsize=SIZE,
    )
    axes.set(xlim=(-0.4, 9.2), ylim=(-0.6, 4.1))
    return figure


def rounds(theme: Theme) -> Figure:
    """Draw the epochs of a training, and the four steps of one round."""
    figure = Figure(figsize=(8, 4.1))
    _timeline(figure.add_axes((0.01, 0.69, 0.98, 0.3)), theme)
    frequent, rare = _disk((1.1, 2.0), 1.0, 13), _disk((2.6, 0.85), 0.68, 5)
    titles = (
        "1. Store the\nembeddings",
        "2. Find neighbors\nwithin each class",
        "3. Draw w; rare\nclasses get copies",
        "4. Train on these\nmicro-clusters",
    )
    for step, title in enumerate(titles, start=1):
        axes = figure.add_axes((0.25 * step - 0.24, 0.02, 0.23, 0.51))
        _frame(axes, theme, title)
        _class_in_step(axes, step, frequent, copies=1, marker="o", color=theme.frequent)
        _class_in_step(axes, step, rare, copies=3, marker="^", color=theme.rare)
        _points(axes, theme, frequent, rare, size=0.45)
    return figure


def main(folder: Path = PICTURES) -> None:
    """Write all pictures into a folder."""
    folder.mkdir(exist_ok=True)
    # The same files each time: letters as shapes, no date, no random ids.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "keras_dos"}):
        for draw in (micro_cluster, rounds):
            for theme in (LIGHT, DARK):
                path = folder / f"{draw.__name__}_{theme.name}.svg"
                draw(theme).savefig(path, transparent=True, metadata={"Date": None})
                # Matplotlib ends lines of shapes with a space, which the hooks refuse.
                lines = path.read_text("utf-8").splitlines()
                text = "\n".join(line.rstrip() for line in lines)
                path.write_text(text + "\n", "utf-8")


def _plane(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _frame(axes: Axes, theme: Theme, title: str) -> None:
    axes.set(xticks=[], yticks=[], xlim=(-0.3, 3.6), ylim=(0, 3.2))
    axes.set_title(title, color=theme.text, fontsize=SIZE)
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _points(
    axes: Axes, theme: Theme, frequent: Array, rare: Array, size: float = 1.0
) -> None:
    for group, area, marker, color in (
        (frequent, 70, "o", theme.frequent),
        (rare, 110, "^", theme.rare),
    ):
        x, y = group.T
        axes.scatter(x, y, s=area * size, marker=marker, color=color, zorder=2)


def _note(
    axes: Axes, theme: Theme, text: str, point: Any, place: tuple[float, float]
) -> None:
    axes.annotate(
        text,
        point,
        place,
        color=theme.text,
        fontsize=SIZE,
        va="center",
        arrowprops={"arrowstyle": "-", "color": theme.faint, "shrinkB": 8},
    )


def _arrow(axes: Axes, start: Any, end: Any, color: str) -> None:
    arrow = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 2}
    axes.annotate("", end, start, arrowprops=arrow, zorder=3)


def _timeline(axes: Axes, theme: Theme) -> None:
    """Nine epochs, the first six of which warm up, as they do by default."""
    axes.set_axis_off()
    axes.set(xlim=(0, 9), ylim=(0, 2.2))
    for epoch in range(9):
        color = theme.faint if epoch < 6 else theme.rare
        axes.barh(0.9, 0.92, left=epoch + 0.04, height=0.5, color=color)
    for x, text in ((3, "warm-up: plain epochs"), (7.5, "rounds, one per epoch")):
        axes.text(x, 1.55, text, ha="center", color=theme.text, fontsize=SIZE)
    text = "What a round does:"
    axes.text(0.04, 0.0, text, color=theme.text, fontsize=SIZE, weight="bold")


def _disk(center: tuple[float, float], radius: float, m: int) -> Array:
    """Points that fill a disk as the seeds of a sunflower do, a little displaced."""
    i = np.arange(m) + 0.5
    angle, distance = np.pi * (1 + 5**0.5) * i, radius * np.sqrt(i / m)
    disk = np.column_stack([distance * np.cos(angle), distance * np.sin(angle)])
    noise = np.random.default_rng(0).normal(scale=0.07, size=(m, 2))
    points: Array = center + disk + noise
    return points


def _class_in_step(
    axes: Axes, step: int, group: Array, *, copies: int, marker: str, color: str
) -> None:
    """Draw what the second to fourth step of a round add to the samples of a class."""
    near = _neighbors(group, k=2)
    targets = _targets(group, near, copies)
    if step == 2:
        for i, others in enumerate(near):
            for j in others:
                axes.plot(*group[[i, j]].T, color=color, linewidth=1)
    elif step == 3:
        x, y = targets.T
        axes.scatter(x, y, s=26, marker=marker, facecolors="none", edgecolors=color)
    elif step == 4:
        for start, end in zip(group.repeat(copies, axis=0), targets, strict=True):
            _arrow(axes, start, end, color)


def _neighbors(group: Array, k: int) -> NDArray[np.intp]:
    distances = np.linalg.norm(group[:, None] - group[None], axis=2)
    return np.argsort(distances, axis=1)[:, 1 : k + 1]


def _targets(group: Array, near: NDArray[np.intp], copies: int) -> Array:
    """The weighted mean of N(x), for each copy of each sample."""
    slots = np.column_stack([np.arange(len(group)), near]).repeat(copies, axis=0)
    weights = np.random.default_rng(1).dirichlet(np.ones(slots.shape[1]), len(slots))
    means: Array = np.einsum("zs,zsd->zd", weights, group[slots])
    return means


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
