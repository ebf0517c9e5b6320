"""How methods bear a growing imbalance."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks
from keras_dos.plots import style


def reduction_rates(
    rates: Sequence[float], balanced_accuracy: Mapping[str, ArrayLike]
) -> Figure:
    """Draw balanced accuracy against the reduction rate, one labeled line per method.

    Args:
        rates: Reduction rates p of the minority classes, as in `make_imbalanced`, at
            least two, ascending, each in [0, 1).
        balanced_accuracy: Balanced accuracy at each rate, from 0 to 1, shape
            `(len(rates),)`, by the name of the method, the baseline first; at most
            seven.

    Returns:
        A figure with one panel; the x-axis is logarithmic in 1 − p, the fraction of
        samples that is left.

    Raises:
        TypeError: If `balanced_accuracy` is not a mapping to numbers, or `rates` are
            not numbers.
        ValueError: If there are no methods or more than seven, if there are fewer than
            two rates, if they do not ascend or lie outside of [0, 1), or if
            the accuracy is not a number from 0 to 1 for each rate.

    Example:
        >>> found = {"CNN": [0.7, 0.53], "DOS": [0.77, 0.62]}
        >>> figure = reduction_rates([0.9, 0.99], found)
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['CNN', 'DOS']
    """
    colors = style.methods("balanced_accuracy", balanced_accuracy)
    given = _checks.real_array("rates", rates)
    p = [_checks.number("rates", rate, below=1) for rate in given.ravel()]
    if given.ndim != 1 or len(p) < 2 or any(a >= b for a, b in itertools.pairwise(p)):
        raise ValueError(
            "`rates` must hold at least two reduction rates, ascending. "
            f"Received: rates={rates!r}."
        )
    lines = {
        name: _accuracy(name, value, len(p))
        for name, value in balanced_accuracy.items()
    }
    figure, (axes,) = style.panels(1, height=5.0)
    kept = 1 - np.array(p)
    for place, (name, values) in enumerate(lines.items()):
        axes.plot(
            kept,
            values,
            marker=style.MARKERS[place],
            linestyle="-" if place else "--",
            linewidth=2,
            color=colors[name],
            label=name,
        )
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xticks(kept, [f"{rate:g}" for rate in p])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="reduction rate p", ylabel="balanced accuracy")
    axes.grid(axis="y", alpha=0.3)
    ends = {name: (kept[-1], values[-1]) for name, values in lines.items()}
    style.label_ends(figure, axes, ends, colors)
    return figure


def _accuracy(name: str, value: ArrayLike, n_rates: int) -> NDArray[np.float64]:
    values = _checks.real_array(f"balanced_accuracy[{name!r}]", value)
    values = values.astype(np.float64)
    if values.shape != (n_rates,) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"`balanced_accuracy[{name!r}]` must hold a number from 0 to 1 for each of "
            f"the {n_rates} rates. Received: {value!r}."
        )
    return values
