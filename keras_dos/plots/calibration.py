"""Whether class probabilities are as large as the classifier is often right."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from keras_dos import _checks
from keras_dos.evaluation.calibration import CalibrationBins, calibration_bins
from keras_dos.evaluation.predictions import read_predictions
from keras_dos.plots import style


def reliability_diagrams(
    y_true: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    n_bins: int = 10,
) -> Figure:
    """Draw accuracy against confidence, with the expected calibration error (ECE).

    Confidence is the probability of the most probable class. Each dot is a bin, of
    equal width, of samples by confidence: their mean confidence and their accuracy,
    whose difference is the gap. ECE is the mean gap over the samples (Guo et al., ICML
    2017). Below are the fractions of samples in the bins.

    All samples count the same. The probabilities of Deep Over-sampling are those of
    equally frequent classes; on other samples, move them to the frequencies of these
    first, with `shift_probabilities`.

    Args:
        y_true: True classes of m samples: class indices, shape `(m,)` or `(m, 1)`, or
            one-hot rows, shape `(m, n)`.
        probabilities: Class probabilities, shape `(m, n)`, any real dtype, by the
            title of their panel; at most three.
        n_bins: Number of bins. Defaults to 10.

    Returns:
        A figure with a panel per entry, and below each one with the fractions of
        samples.

    Raises:
        TypeError: If `probabilities` is not a mapping to arrays of numbers, or
            `n_bins` is not an integer.
        ValueError: If there are no probabilities or more than three, if one does not
            fit `y_true` or does not hold probabilities, or if `n_bins` is not
            from 1 to 1000.

    Example:
        >>> p = [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.25, 0.75]]
        >>> figure = reliability_diagrams([0, 0, 0, 1], {"CNN": p})
        >>> figure.axes[0].get_title()
        'CNN: ECE .250'
    """
    style.named("probabilities", probabilities, most=3)
    n_bins = _checks.integer("n_bins", n_bins, minimum=1, maximum=1000)
    found = {
        title: calibration_bins(*read_predictions(y_true, p), n_bins)
        for title, p in probabilities.items()
    }
    figure = Figure(
        figsize=(style.WIDTH, 5.5 if len(found) == 1 else 4.4), layout="constrained"
    )
    above, below = figure.subplots(
        2, len(found), squeeze=False, sharex=True, sharey="row", height_ratios=(4, 1)
    )
    for axes, rest, (title, bins) in zip(above, below, found.items(), strict=True):
        _draw(axes, rest, bins)
        error = style.decimal(bins.error)
        style.title(axes, f"{title}: ECE {error}", len(found))
    above[0].set_ylabel("accuracy")
    below[0].set_ylabel("samples")
    style.legend_below(figure, above[0], columns=3)
    return figure


def _draw(axes: Axes, below: Axes, bins: CalibrationBins) -> None:
    axes.plot((0, 1), (0, 1), color=style.GRAY, linestyle="--", label="calibrated")
    axes.vlines(
        bins.confidence,
        bins.confidence,
        bins.accuracy,
        color=style.ORANGE,
        linewidth=5,
        label="gap",
    )
    axes.plot(
        bins.confidence,
        bins.accuracy,
        "o",
        color=style.BLUE,
        clip_on=False,
        label="samples of one bin",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    edges = np.linspace(0, 1, len(bins.fraction) + 1)
    below.stairs(bins.fraction, edges, fill=True, color=style.GRAY)
    below.set(xlabel="confidence")
    below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for panel in (axes, below):
        panel.spines[["top", "right"]].set_visible(False)
