"""Deep Over-sampling for Keras: train classifiers on imbalanced classes.

Ando & Huang, "Deep Over-sampling Framework for Classifying Imbalanced Data",
ECML-PKDD 2017.
"""

import importlib.metadata

from keras_dos._backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dos import losses, metrics, networks, samples, schedule, search  # noqa: E402
from keras_dos.backup import BackupAndRestore  # noqa: E402
from keras_dos.callback import OverloadingCallback  # noqa: E402
from keras_dos.datasets import (  # noqa: E402
    make_imbalanced,
    mnist_back_rotation,
    select,
)
from keras_dos.evaluation import (  # noqa: E402
    ClasswiseReport,
    choose_threshold,
    classwise_report,
    comparison_table,
)
from keras_dos.labels import class_counts, minority_classes  # noqa: E402
from keras_dos.logit_shift import (  # noqa: E402
    LogitAdjustedCrossentropy,
    choose_logit_shift,
    shift_probabilities,
    with_logit_shift,
)
from keras_dos.model import DOSModel  # noqa: E402
from keras_dos.objective import MicroClusterObjective  # noqa: E402
from keras_dos.serving import export_servable  # noqa: E402

__version__ = importlib.metadata.version("keras-dos")

__all__ = [
    "BackupAndRestore",
    "ClasswiseReport",
    "DOSModel",
    "LogitAdjustedCrossentropy",
    "MicroClusterObjective",
    "OverloadingCallback",
    "choose_logit_shift",
    "choose_threshold",
    "class_counts",
    "classwise_report",
    "comparison_table",
    "export_servable",
    "losses",
    "make_imbalanced",
    "metrics",
    "minority_classes",
    "mnist_back_rotation",
    "networks",
    "samples",
    "schedule",
    "search",
    "select",
    "shift_probabilities",
    "with_logit_shift",
]
