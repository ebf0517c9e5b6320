"""Pictures of a training and of the classifiers that come out of it, by Matplotlib.

Each function returns a `matplotlib.figure.Figure`: a notebook shows it, and
`figure.savefig("f1.png")` writes it. Nothing is shown, saved or set globally; your own
style, such as a dark one, applies. What is compared comes as a mapping from names to
data. Of methods the first is the baseline, in gray; the colors are those of Okabe and
Ito, which the color-blind can tell apart.

Needs Matplotlib: `pip install "keras-dos[plots]"`. `import keras_dos` does not import
this module.
"""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError(
        "keras_dos.plots needs Matplotlib, which cannot be imported. Install it with "
        f'`pip install "keras-dos[plots]"`. Received: {type(error).__name__}: {error}'
    ) from error

from keras_dos.plots.calibration import reliability_diagrams
from keras_dos.plots.classes import classwise_bars
from keras_dos.plots.plane import embeddings
from keras_dos.plots.rates import reduction_rates
from keras_dos.plots.retrieval import precision_recall_curves
from keras_dos.plots.rounds import in_class_variance

__all__ = [
    "classwise_bars",
    "embeddings",
    "in_class_variance",
    "precision_recall_curves",
    "reduction_rates",
    "reliability_diagrams",
]
