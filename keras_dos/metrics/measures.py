"""Recall and F1 of classes that each count once."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dos import _checks
from keras_dos.metrics.counts import ClassCounts


@keras.saving.register_keras_serializable(package="keras_dos")
class BalancedAccuracy(ClassCounts):
    """The mean recall of the classes, each counting once.

    Classes without samples are left out, as in scikit-learn's
    `balanced_accuracy_score`. To weight samples, pass it as one of `weighted_metrics`.

    Args:
        name: Its name in the logs. Defaults to "balanced_accuracy".
        dtype: The dtype of the result; counts are float64. Defaults to None: float32.

    Example:
        >>> metric = BalancedAccuracy()
        >>> metric.update_state([0, 0, 0, 1], [[0.9, 0.1]] * 4)
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "balanced_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def _measure(self, hits: Any, samples: Any, predictions: Any) -> Any:
        return _mean(*_recalls(hits, samples))


@keras.saving.register_keras_serializable(package="keras_dos")
class MacroF1(ClassCounts):
    """The mean F1 of the classes, each counting once.

    Classes that are neither true nor predicted are left out, as in scikit-learn's
    `f1_score(average="macro")`. Unlike `keras.metrics.F1Score`, it takes sparse labels
    too.

    Args:
        name: Its name in the logs. Defaults to "macro_f1".
        dtype: The dtype of the result; counts are float64. Defaults to None: float32.

    Example:
        >>> metric = MacroF1()
        >>> metric.update_state([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
        >>> round(float(metric.result()), 3)
        0.667
    """

    def __init__(self, name: str = "macro_f1", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def _measure(self, hits: Any, samples: Any, predictions: Any) -> Any:
        seen = samples + predictions
        return _mean(tf.math.divide_no_nan(2 * hits, seen), seen != 0)


@keras.saving.register_keras_serializable(package="keras_dos")
class GroupRecall(ClassCounts):
    """The mean recall of some classes, such as the minority, each counting once.

    Classes without samples are left out; it is 0 if none of them has any.

    Args:
        classes: The classes, such as `minority_classes(class_counts(y))`.
        name: Its name in the logs. Defaults to "group_recall".
        dtype: The dtype of the result; counts are float64. Defaults to None: float32.

    Raises:
        TypeError: If `classes` is not a list of integers.
        ValueError: If it is empty, or names a class twice or one that does not exist.

    Example:
        >>> metric = GroupRecall([1], name="minority_recall")
        >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
        >>> float(metric.result())
        0.5
    """

    def __init__(
        self, classes: Sequence[int], name: str = "group_recall", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype)
        self._classes = _different_classes(classes)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the metric again."""
        return {**super().get_config(), "classes": list(self._classes)}

    def build(self, n_classes: int) -> None:
        """Make the counts of n classes, as the first batch does in `fit`.

        Raises:
            RuntimeError: If it is called in one of several replicas.
            ValueError: If the group has a class that the model does not have.
        """
        if self._classes[-1] >= n_classes:
            raise ValueError(
                f"`classes` must be from 0 to {n_classes - 1}, classes of the model. "
                f"Received: classes={list(self._classes)}."
            )
        super().build(n_classes)

    def _measure(self, hits: Any, samples: Any, predictions: Any) -> Any:
        recalls, present = _recalls(hits, samples)
        members = np.isin(np.arange(hits.shape[0]), self._classes)
        return _mean(recalls, present & members)


@keras.saving.register_keras_serializable(package="keras_dos")
class WorstClassRecall(ClassCounts):
    """The recall of the class whose recall is lowest.

    Classes without samples are left out. It moves in steps of one sample of the class,
    so it is noisy where that has few.

    Args:
        name: Its name in the logs. Defaults to "worst_class_recall".
        dtype: The dtype of the result; counts are float64. Defaults to None: float32.

    Example:
        >>> metric = WorstClassRecall()
        >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "worst_class_recall", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def _measure(self, hits: Any, samples: Any, predictions: Any) -> Any:
        recalls, present = _recalls(hits, samples)
        lowest = ops.min(ops.where(present, recalls, float("inf")))
        return ops.where(ops.any(present), lowest, 0.0)


def _recalls(hits: Any, samples: Any) -> tuple[Any, Any]:
    """Return the recall of each class, and whether it has samples; NaN counts as some.

    NaN, which wrong labels leave, must reach the result.
    """
    return tf.math.divide_no_nan(hits, samples), samples != 0


def _mean(values: Any, present: Any) -> Any:
    """Return the mean of the values that are present; 0 if none is."""
    total = ops.sum(ops.where(present, values, 0.0))
    return tf.math.divide_no_nan(total, ops.sum(ops.cast(present, "float64")))


def _different_classes(classes: Any) -> tuple[int, ...]:
    if _checks.array("classes", classes).ndim != 1:
        raise TypeError(
            "`classes` must be a list of classes, such as [3]. "
            f"Received: classes={classes!r}."
        )
    found = sorted(_checks.integer("classes", j, minimum=0) for j in classes)
    if not found or len(set(found)) < len(found):
        raise ValueError(
            "`classes` must name at least one class, and none twice. "
            f"Received: classes={classes!r}."
        )
    return tuple(found)
