"""How well one class is told from the rest."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from keras_dos import _checks
from keras_dos.evaluation.predictions import read_predictions
from keras_dos.plots import style


def precision_recall_curves(
    y_true: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    class_id: int,
    thresholds: Mapping[str, float] | None = None,
) -> Figure:
    """Draw precision against recall of a class against the rest, a curve per method.

    Args:
        y_true: True classes of m samples: class indices, shape `(m,)` or `(m, 1)`, or
            one-hot rows, shape `(m, n)`.
        probabilities: Class probabilities, shape `(m, n)`, any real dtype, by the name
            of the method, the baseline first; at most seven.
        class_id: The class; it has samples.
        thresholds: The probability of the class from which on a sample counts as one
            of it, by the name of the method: the chosen operating points, which are
            marked. Defaults to None: none is marked.

    Returns:
        A figure with one panel. The legend has the average precision (AP) and the
        operating points; a dashed line is the precision of a classifier that guesses.

    Raises:
        TypeError: If `probabilities` or `thresholds` is not a mapping, or if they do
            not hold numbers.
        ValueError: If there are no methods or more than seven, if probabilities do
            not fit `y_true` or are not probabilities, if `class_id` has no samples, or
            if a threshold is of no method or not from 0 to a little above 1.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
        >>> figure = precision_recall_curves([0, 1, 1, 0], {"DOS": p}, 1, {"DOS": 0.5})
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['DOS: AP 1.000', '    at ≥ 0.5: precision 1.000, recall .500', 'guessing']
    """
    colors = style.methods("probabilities", probabilities)
    found = {name: read_predictions(y_true, p) for name, p in probabilities.items()}
    chosen = {} if thresholds is None else _checked(thresholds, list(probabilities))
    figure, (axes,) = style.panels(1, height=5.4)
    for name, (truth, scores) in found.items():
        n = scores.shape[1]
        j = _checks.class_id("class_id", class_id, np.bincount(truth, minlength=n))
        of_class, score = truth == j, scores[:, j]
        precision, recall, _ = precision_recall_curve(of_class, score)
        average = style.decimal(average_precision_score(of_class, score))
        color = colors[name]
        label = f"{name}: AP {average}"
        # A step holds to the left: the next threshold has a lower recall.
        axes.step(recall, precision, where="post", color=color, label=label)
        if name in chosen:
            taken = score >= chosen[name]
            p = precision_score(of_class, taken, zero_division=1.0)
            r = recall_score(of_class, taken)
            label = (
                f"    at ≥ {chosen[name]:g}: precision {style.decimal(p)}, "
                f"recall {style.decimal(r)}"
            )
            axes.plot(r, p, "o", color=color, markersize=9, clip_on=False, label=label)
    axes.axhline(
        of_class.mean(), color=style.GRAY, linestyle=":", label="guessing", zorder=1
    )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    style.title(axes, f"class {class_id} against the rest", 1)
    style.legend_below(figure, axes, columns=1)
    return figure


def _checked(thresholds: Mapping[str, float], methods: list[str]) -> dict[str, float]:
    style.named("thresholds", thresholds)
    for name, value in thresholds.items():
        _checks.choice("thresholds", name, methods)
        # Those of `choose_threshold` end above 1, where none counts as of the class.
        _checks.number(f"thresholds[{name!r}]", value, below=1.1)
    return dict(thresholds)
