"""Each method as a small Keras piece; `METHODS` names them all."""

from benchmarks.methods import (
    baselines,
    deep_over_sampling,
    metric_learning,
    recipes,
)
from benchmarks.methods.task import Method, Readouts, Task, Trained

METHODS: dict[str, Method] = {
    "plain": baselines.plain,
    "class_weights": baselines.class_weights,
    "over_sampling": baselines.over_sampling,
    "focal": baselines.focal,
    "class_balanced_loss": baselines.class_balanced_loss,
    "logit_adjustment": baselines.logit_adjustment,
    "deferred_logit_adjustment": baselines.deferred_logit_adjustment,
    "ldam_drw": baselines.ldam_drw,
    "deferred_reweighting": baselines.deferred_reweighting,
    "mixup": baselines.mixup,
    "head_retraining": baselines.head_retraining,
    "smote": baselines.smote,
    "triplet": metric_learning.triplet,
    "lmle": metric_learning.lmle,
    "dos": deep_over_sampling.dos,
    "recipe": recipes.recipe,
}

__all__ = ["METHODS", "Method", "Readouts", "Task", "Trained"]
