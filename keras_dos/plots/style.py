"""What all pictures share: colors, panels, and labels at the ends of lines."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_dos import _checks

WIDTH = 8.0  # Inches; text of 10 points can be read if that is 800 pixels.
FONT_SIZE, SMALL = 10.0, 9.0  # Points.
# The colors of Okabe and Ito that can be read on white and on black.
ORANGE, BLUE, GREEN = "#E69F00", "#0072B2", "#009E73"
VERMILION, PURPLE, SKY = "#D55E00", "#CC79A7", "#56B4E9"
COLORS = (ORANGE, BLUE, GREEN, VERMILION, PURPLE, SKY)
GRAY = "#8C8C8C"
LEADER = 24.0  # Points from the end of a line to its name.
MARKERS = "os^vDPX"


def named(name: str, value: Any, most: int | None = None) -> None:
    """Raise unless a value is a mapping from names to what is drawn.

    Args:
        name: The argument, for errors.
        value: Its value.
        most: The largest number of entries. Defaults to None: no limit.

    Raises:
        TypeError: If it is not a mapping.
        ValueError: If it is empty, or has too many entries.

    Example:
        >>> named("reports", {"DOS": 1}, most=7)
    """
    if not isinstance(value, Mapping):
        raise TypeError(
            f"`{name}` must be a mapping from names to what is drawn, such as "
            f'{{"DOS": ...}}. Received: {type(value).__name__}.'
        )
    if not value or (most is not None and len(value) > most):
        limit = "at least one entry" if most is None else f"1 to {most} entries"
        more = "" if most is None else "; more cannot be told apart: choose some"
        raise ValueError(
            f"`{name}` must have {limit}{more}. Received: {len(value)} entries."
        )


def methods(name: str, value: Any) -> dict[str, str]:
    """Return a color for each method, gray for the first, which is the baseline.

    Raises:
        TypeError: If it is not a mapping.
        ValueError: If it is empty, if there are more methods than colors, or if a name
            is empty or begins with "_", which Matplotlib leaves out of legends.

    Example:
        >>> methods("reports", {"CNN": 1, "DOS": 2})
        {'CNN': '#8C8C8C', 'DOS': '#E69F00'}
    """
    named(name, value, most=1 + len(COLORS))
    hidden = [method for method in value if f"{method}"[:1] in ("", "_")]
    if hidden:
        raise ValueError(
            f'`{name}` must have names that do not begin with "_", and none that is '
            "empty: Matplotlib leaves these out of legends. "
            f"Received: {hidden[0]!r}."
        )
    return dict(zip(value, (GRAY, *COLORS), strict=False))


def class_names(value: Sequence[str] | None, n: int) -> list[str]:
    """Return a name for each of n classes, the index if none is given.

    Raises:
        ValueError: If there are not n names, or in another order.

    Example:
        >>> class_names(None, 2)
        ['0', '1']
    """
    if value is None:
        return [str(j) for j in range(n)]
    _checks.in_class_order("class_names", value)
    # A set or a mapping has no order of classes; a Series of pandas has.
    ordered = isinstance(value, list | tuple) or hasattr(value, "__array__")
    if not ordered or np.shape(value)[:1] != (n,):
        raise ValueError(
            f"`class_names` must be a list with a name for each of the {n} classes. "
            f"Received: class_names={value!r}."
        )
    return [str(name) for name in value]


def panels(
    n: int, height: float, width: float = WIDTH, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side, without lines above and to the right.

    Args:
        n: Number of panels.
        height: Height of the figure in inches.
        width: Its width. Defaults to what can be read at 800 pixels.
        sharey: Whether the panels have the same y-axis. Defaults to False.

    Example:
        >>> figure, (left, right) = panels(2, height=3)
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    row = figure.subplots(1, n, squeeze=False, sharey=sharey)[0]
    for axes in row:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(row)


def title(axes: Axes, text: str, n: int) -> None:
    """Give one of n panels side by side a title, in lines that fit above it."""
    lines = textwrap.wrap(
        # A value stays on the line of what it is the value of.
        text.replace(" = ", "\xa0=\xa0"),
        width=75 // n,
        break_long_words=False,
        break_on_hyphens=False,
    )
    axes.set_title("\n".join(lines), fontsize=11)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Write below all panels, where it covers nothing, what one of them shows."""
    handles, labels = axes.get_legend_handles_labels()
    first = dict(zip(reversed(labels), reversed(handles), strict=True))
    figure.legend(
        [first[label] for label in dict.fromkeys(labels)],
        list(dict.fromkeys(labels)),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )


def decimal(value: float) -> str:
    """Format a number from 0 to 1.

    Example:
        >>> decimal(0.25)
        '.250'
    """
    return f"{value:.3f}".removeprefix("0")


def label_ends(
    figure: Figure,
    axes: Axes,
    ends: Mapping[str, tuple[float, float]],
    colors: Mapping[str, str],
) -> None:
    """Write the name of each line to the right of its end, so that none overlap.

    Args:
        figure: The figure.
        axes: Its only panel, whose limits are final.
        ends: The last point of each line, by name.
        colors: The color of each line, by name.
    """
    texts = [
        axes.annotate(
            name,
            end,
            xytext=(LEADER, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colors[name],
                "relpos": (0, 0.5),
                "shrinkA": 0,
                "shrinkB": 6,
            },
        )
        for name, end in ends.items()
    ]
    figure.draw_without_rendering()  # Where the ends are depends on the layout.
    pixels = axes.transData.transform(np.array(list(ends.values())))
    heights = (pixels[:, 1] * 72 / figure.dpi).tolist()
    moved = spread(heights, gap=1.25 * FONT_SIZE)
    for text, old, new in zip(texts, heights, moved, strict=True):
        text.set_position((LEADER, new - old))


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights apart until each is at least a gap from the next.

    Args:
        heights: Where labels would stand, in any order.
        gap: The smallest distance.

    Returns:
        Where they stand, in the same order: close ones are spaced evenly around
        their mean.

    Example:
        >>> spread([0, 11, 10], gap=2)
        [0.0, 11.5, 9.5]
    """
    groups: list[list[int]] = []

    def lowest(group: list[int]) -> float:
        mean = sum(heights[i] for i in group) / len(group)
        return mean - gap * (len(group) - 1) / 2

    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        groups.append([i])
        # Two groups that touch become one, which may touch the one below it.
        while len(groups) > 1 and (
            lowest(groups[-1]) - lowest(groups[-2]) < gap * len(groups[-2])
        ):
            last = groups.pop()
            groups[-1] += last
    placed = [0.0] * len(heights)
    for group in groups:
        for place, i in enumerate(group):
            placed[i] = float(lowest(group) + gap * place)
    return placed
