"""What a training with the callback did to the embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from keras_dos.plots import style

LogsOfEpochs = Mapping[str, Sequence[Any]]
GROUPS = {"minority": style.VERMILION, "majority": style.BLUE}


def in_class_variance(
    histories: Mapping[str, keras.callbacks.History | LogsOfEpochs],
) -> Figure:
    """Draw the in-class variance of the embeddings at the start of each round.

    Args:
        histories: What `DOSModel.fit` with `OverloadingCallback` returned, or its
            attribute `history`, or a table with its columns, by title; at most three
            trainings.

    Returns:
        A figure with one panel per training: lines of the minority and the majority
        classes, a point for each round, at its epoch, counted from 1.

    Raises:
        TypeError: If `histories` is not a mapping.
        ValueError: If there are no trainings or more than three, or if one has neither
            `minority_variance` nor `majority_variance`, or no round.

    Example:
        >>> nan = float("nan")
        >>> history = {
        ...     "minority_variance": [nan, nan, 4.0, 3.0],
        ...     "majority_variance": [nan, nan, 5.0, 3.5],
        ... }
        >>> line = in_class_variance({"SVHN": history}).axes[0].lines[0]
        >>> line.get_xydata().tolist()
        [[3.0, 4.0], [4.0, 3.0]]
    """
    style.named("histories", histories, most=3)
    found = {title: _variances(title, value) for title, value in histories.items()}
    figure, panels = style.panels(len(histories), height=3.4)
    for axes, (title, variances) in zip(panels, found.items(), strict=True):
        for group, values in variances.items():
            rounds = np.flatnonzero(np.isfinite(values))
            axes.plot(
                rounds + 1, values[rounds], "o-", color=GROUPS[group], label=group
            )
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set(xlabel="epoch of the round", ylim=(0, None))
        style.title(axes, title, len(panels))
    panels[0].set_ylabel("in-class variance")
    style.legend_below(figure, panels[0], columns=2)
    return figure


def _variances(title: str, history: Any) -> dict[str, NDArray[np.float64]]:
    """Return the variance of each epoch, by group; NaN in epochs without a round."""
    logs = getattr(history, "history", history)
    # A group without classes has none. A table of pandas, as of a CSVLogger, has keys.
    variances = {
        group: _by_epoch(logs[f"{group}_variance"])
        for group in GROUPS
        if hasattr(logs, "keys") and f"{group}_variance" in logs
    }
    if not any(np.isfinite(values).any() for values in variances.values()):
        raise ValueError(
            f"`histories[{title!r}]` must be of a fit with `OverloadingCallback` that "
            "has come to its first round, from where on `minority_variance` and "
            f"`majority_variance` are finite. Received: {logs!r}."
        )
    return variances


def _by_epoch(values: Any) -> NDArray[np.float64]:
    """Return one number per epoch; none if they are not such numbers."""
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
    return numbers if numbers.ndim == 1 else np.empty(0)
