"""Metrics for `compile` that count all classes equally, whatever their frequencies.

They work in any Keras classifier with one output per class. Each keeps three counts of
each class instead of a confusion matrix, so that thousands of classes cost little.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dos import _checks, _keras

__all__ = ["BalancedAccuracy", "GroupRecall", "MacroF1", "WorstClassRecall"]


class _ClassCounts(keras.metrics.Metric):
    """Hits, samples and predictions of each class, from which a measure follows."""

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        _keras.mark_larger_as_better(self)
        self._counts: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            y_true: Labels, shape (b,) or (b, 1), or one-hot, (b, n).
            y_pred: Class probabilities or logits, shape (b, n) with n > 1.
            sample_weight: Shape (b,) or (b, 1), or a number. Defaults to None: all 1.

        Raises:
            tf.errors.InvalidArgumentError: If a label is out of range. In a step that
                XLA compiles, which cannot raise, the result is NaN instead.
            ValueError: If the shapes are others.
        """
        y_true, y_pred = map(ops.convert_to_tensor, (y_true, y_pred))
        _check_shapes(y_true, y_pred)
        n = y_pred.shape[-1]
        if self._counts is None:
            self.build(n)
        if self._counts.shape[1] != n:
            raise ValueError(
                f"`y_pred` must have {self._counts.shape[1]} classes, as in the first "
                "batch: make a metric for each model. "
                f"Received: shape {tuple(y_pred.shape)}."
            )
        given = _indices(y_true, n)
        y = ops.cast(given, "int32")
        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        weights = ops.ones_like(y, dtype="float64")
        if sample_weight is not None:
            _check_weights(sample_weight, y)
            weights *= ops.reshape(ops.cast(sample_weight, "float64"), (-1,))
        valid = ops.all((y >= 0) & (y < n) & (ops.cast(y, given.dtype) == given))
        message = f"`y_true` must hold classes from 0 to {n - 1}. Received:"
        tf.debugging.Assert(valid, [message, y])
        y = ops.clip(y, 0, n - 1)
        hits = ops.where(y == predicted, weights, 0.0)
        counts = [
            ops.segment_sum(values, classes, num_segments=n)
            for values, classes in ((hits, y), (weights, y), (weights, predicted))
        ]
        # XLA drops the assertion, so wrong labels must show in the result.
        self._counts.assign_add(ops.where(valid, ops.stack(counts), float("nan")))

    def result(self) -> Any:
        """Return the measure of all batches so far, a scalar; 0 before the first."""
        if self._counts is None:
            return ops.zeros((), self.dtype)
        return ops.cast(self._measure(*ops.unstack(self._counts)), self.dtype)

    def build(self, n_classes: int) -> None:
        """Make the counts of n classes, as the first batch does in `fit`.

        Raises:
            RuntimeError: If it is called in one of several replicas.
        """
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            # One variable for all, in which they would overwrite each other's counts.
            raise RuntimeError(
                "Before the first step of a training loop of your own with several "
                "replicas, call `build(n_classes)` in the scope of the strategy. "
                f"Received: a first batch in one of {replica.num_replicas_in_sync}."
            )
        # float32 would stop counting at 2^24 samples.
        shape = 3, n_classes
        self._counts = self.add_variable(shape, "zeros", "float64", name="counts")

    def _measure(self, hits: Any, samples: Any, predictions: Any) -> Any:
        """Return the measure from counts, each of shape (n,), float64."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="keras_dos")
class BalancedAccuracy(_ClassCounts):
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
class MacroF1(_ClassCounts):
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
class GroupRecall(_ClassCounts):
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
class WorstClassRecall(_ClassCounts):
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


def _indices(y_true: Any, n: int) -> Any:
    """Return class indices, shape (b,), of labels in any form; -1 of other widths."""
    if len(y_true.shape) == 1:
        return y_true
    # Only the step may know whether there is one column, or one for each class.
    width, column = ops.shape(y_true)[1], ops.cast(y_true[:, 0], "float64")
    classes = ops.cast(ops.argmax(y_true, axis=-1), "float64")
    return ops.where(width == 1, column, ops.where(width == n, classes, -1.0))


def _check_shapes(y_true: Any, y_pred: Any) -> None:
    shape = tuple(y_pred.shape)
    if len(shape) != 2 or shape[1] is None or shape[1] < 2:
        raise ValueError(
            "`y_pred` must have shape (b, n), a column for each class: for two classes "
            'end the model with Dense(2, activation="softmax") instead of one sigmoid. '
            f"Received: shape {shape}."
        )
    labels = tuple(y_true.shape)
    if labels and None not in (labels[0], shape[0]) and labels[0] != shape[0]:
        raise ValueError(
            "`y_true` and `y_pred` must have the same number of samples. "
            f"Received: shapes {labels} and {shape}."
        )
    if len(labels) not in (1, 2) or labels[1:] not in ((), (1,), (None,), shape[1:]):
        raise ValueError(
            f"`y_true` must have shape (b,) or (b, 1), or (b, {shape[1]}) if one-hot. "
            f"Received: shape {labels}."
        )


def _check_weights(sample_weight: Any, y: Any) -> None:
    """Raise where it is known that there is not one weight per sample, or for all."""
    b, shape = y.shape[0], tuple(ops.convert_to_tensor(sample_weight).shape)
    if shape[1:] not in ((), (1,), (None,)) or (
        shape and None not in (b, shape[0]) and shape[0] not in (1, b)
    ):
        raise ValueError(
            "`sample_weight` must have one number per sample, shape (b,) or (b, 1). "
            f"Received: shape {shape} for {b} samples."
        )


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
