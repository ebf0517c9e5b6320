"""Hits, samples and predictions of each class, counted over batches."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_dos import _keras


class ClassCounts(keras.metrics.Metric):
    """Hits, samples and predictions of each class, from which a measure follows.

    A sample whose prediction has a NaN is missed and counts as predicted for no class,
    so that a network that gives nothing else scores 0, the worst. A measure of NaN
    could be the best of a callback for good, since nothing is larger.
    """

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
        given_up = ops.any(ops.isnan(ops.cast(y_pred, "float32")), axis=-1)
        weights = ops.ones_like(y, dtype="float64")
        if sample_weight is not None:
            _check_weights(sample_weight, y)
            weights *= ops.reshape(ops.cast(sample_weight, "float64"), (-1,))
        valid = ops.all((y >= 0) & (y < n) & (ops.cast(y, given.dtype) == given))
        message = f"`y_true` must hold classes from 0 to {n - 1}. Received:"
        tf.debugging.Assert(valid, [message, y])
        y = ops.clip(y, 0, n - 1)
        predictions = ops.where(given_up, 0.0, weights)
        hits = ops.where(y == predicted, predictions, 0.0)
        counts = [
            ops.segment_sum(values, classes, num_segments=n)
            for values, classes in ((hits, y), (weights, y), (predictions, predicted))
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
