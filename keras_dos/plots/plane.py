"""Embeddings in the plane."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from keras_dos import _checks
from keras_dos.labels import class_counts, labels_of, sparse_labels
from keras_dos.plots import style

Projection = Literal["tsne", "pca"]
IN_A_ROW = 3
TINY = 1e-10
CROWD = 400  # Samples; more are drawn smaller, so that they cover each other less.


def embeddings(
    stages: Mapping[str, ArrayLike],
    y: ArrayLike,
    minority: Sequence[int] = (),
    projection: Projection = "tsne",
    class_names: Sequence[str] | None = None,
    seed: int = 0,
) -> Figure:
    """Draw the embeddings of the same samples at several stages, each in the plane.

    Each class has its name where its samples are densest. With minority classes, these
    are triangles in color and the others gray dots. Each stage is projected by
    itself, so that places in one panel say nothing about those in another.

    Args:
        stages: Embeddings of m samples by title, such as "before" and "after", each
            of shape `(m, d)` with m > 2 and d > 1, any real dtype; at most three.
        y: Labels of the samples: class indices, shape `(m,)` or `(m, 1)`, or one-hot
            rows, shape `(m, n)`.
        minority: Indices of the minority classes, each with samples here. Defaults to
            none: every class has a color; six follow each other, then repeat.
        projection: `"tsne"` (default) or `"pca"`, by scikit-learn.
        class_names: A name for each class. Defaults to None: the indices.
        seed: Seed of the projection. Defaults to 0.

    Returns:
        A figure with one panel per stage.

    Raises:
        TypeError: If `stages` is not a mapping to arrays of numbers, or another
            argument has the wrong type.
        ValueError: If there are no stages or more than three, if the shapes do not
            fit together, if an embedding is not finite, if `minority` does not name
            classes with samples, or `projection` is unknown.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1], [20, 5])
        >>> stages = {"before": rng.normal(size=(25, 8)), "after": np.eye(25)}
        >>> figure = embeddings(stages, y, minority=[1], projection="pca")
        >>> [axes.get_title() for axes in figure.axes]
        ['before', 'after']
    """
    style.named("stages", stages, most=IN_A_ROW)
    _checks.choice("projection", projection, ("tsne", "pca"))
    _checks.integer("seed", seed, minimum=0, maximum=2**32 - 1)
    with labels_of("y"):
        labels, counts = sparse_labels(y), class_counts(y)
    rare = _checks.class_ids("minority", minority, counts)
    names = style.class_names(class_names, len(counts))
    vectors = {
        title: _vectors(title, value, len(labels)) for title, value in stages.items()
    }
    height = style.WIDTH / len(stages) if len(stages) > 1 else 5.5
    figure, panels = style.panels(len(stages), height + (0.5 if rare else 0.2))
    for axes, (title, values) in zip(panels, vectors.items(), strict=True):
        _scatter(axes, _projected(values, projection, seed), labels, rare, names)
        style.title(axes, title, len(panels))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if rare:
        style.legend_below(figure, panels[0], columns=2)
    return figure


def _vectors(title: str, value: ArrayLike, m: int) -> NDArray[np.float64]:
    name = f"stages[{title!r}]"
    values = _checks.real_array(name, value).astype(np.float64)
    if values.ndim != 2 or values.shape[0] != m or m < 3 or values.shape[1] < 2:
        raise ValueError(
            f"`{name}` must have shape (m, d), a row for each of the m > 2 labels and "
            f"d > 1. Received: shape {values.shape}, {m} labels."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{name}` must be finite; NaN means that training diverged. Received: "
            f"{(~np.isfinite(values)).any(axis=1).sum()} rows that are not."
        )
    return values


def _projected(
    values: NDArray[np.float64], projection: Projection, seed: int
) -> NDArray[np.float64]:
    """Return a point in the plane for each row, shape (m, 2)."""
    values = values - values.mean(axis=0)
    size = np.abs(values).max()
    if not size:  # A network that has collapsed; t-SNE would end the process.
        return np.zeros((len(values), 2))
    if not TINY < size < 1 / TINY:  # t-SNE squares values in float32.
        values = values / size
    if projection == "pca":
        method = PCA(2, random_state=seed)
    else:
        # Its usual perplexity of 30 needs more samples than a small example has.
        method = TSNE(perplexity=min(30.0, (len(values) - 1) / 3), random_state=seed)
    return np.asarray(method.fit_transform(values))


def _scatter(
    axes: Axes,
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    minority: tuple[int, ...],
    names: list[str],
) -> None:
    """Draw the samples of each class and its name, the minority on top."""
    common = np.setdiff1d(labels, minority)
    size = min(1.0, CROWD / len(labels))
    colored = minority or tuple(common)
    for j in (*common, *minority):
        rare, own = j in minority, points[labels == j]
        color, marker = style.GRAY, "o"
        if j in colored:
            cycle, place = divmod(colored.index(j), len(style.COLORS))
            color = style.COLORS[place]
            marker = "^" if rare else style.MARKERS[cycle % len(style.MARKERS)]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=size * (26 if rare else 12),
            marker=marker,
            color=color,
            alpha=0.9 if rare else 0.5,
            linewidths=0,
            label="minority classes, each in a color" if rare else "other classes",
        )
        x, y = _densest(own[:500])
        text = axes.text(
            x,
            y,
            names[j],
            ha="center",
            va="center",
            fontweight="bold",
            zorder=3,
        )
        text.set_path_effects(
            [withStroke(linewidth=3, foreground=axes.get_facecolor())]
        )


def _densest(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the point that has a quarter of all points nearest around it.

    The mean may lie between two clusters, among other classes.
    """
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.asarray(points[np.quantile(distances, 0.25, axis=1).argmin()])
