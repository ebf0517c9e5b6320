"""Validation arrays that would end a training only after its first epoch."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_dos.compiled_loss import check_label_form
from keras_dos.labels import labels_of, sparse_labels
from keras_dos.samples.arrays import check_weights


def check_validation(model: keras.Model, data: Any) -> None:
    """Raise unless a DOSModel can evaluate validation arrays.

    Of datasets nothing is read before its time: it may be long until their first batch.

    Args:
        model: A compiled DOSModel.
        data: `validation_data` of `fit`, in a form that Keras takes.

    Raises:
        TypeError: If labels are not numbers.
        ValueError: If labels are not those of the classes or of the loss, if there are
            none, if weights are not one per sample, or if the model does not take the
            inputs.
    """
    if not isinstance(data, list | tuple):
        return
    x, y, *weights = data
    n = model.head.output_shape[-1]
    with labels_of("validation_data"):
        check_label_form(model.loss, y.shape)
        if len(y.shape) < 2 or y.shape[1] == 1:
            sparse_labels(np.asarray(y), n)
        elif y.shape[1:] != (n,):  # In columns there may be any probabilities.
            raise ValueError(
                f"a column for each of {n}. Received: shape {tuple(y.shape)}."
            )
    for weight in weights:
        if weight is not None:
            check_weights("validation_data", tf.convert_to_tensor(weight))
    _check_inputs(model, x)


def _check_inputs(model: keras.Model, x: Any) -> None:
    parts = tf.nest.flatten(x)
    if not all(isinstance(part, np.ndarray | tf.Tensor) for part in parts):
        return
    try:
        for part in parts:
            if not _are_strings(part):
                keras.backend.standardize_dtype(part.dtype)  # As Keras will.
        first = tf.nest.map_structure(lambda part: tf.convert_to_tensor(part[:1]), x)
        # Layers that augment images draw from their seeds if they are not told.
        model.classifier(first, training=False)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            "`validation_data` must have inputs as the model takes them. "
            f"Received: {error}"
        ) from error


def _are_strings(part: Any) -> bool:
    """Return whether Keras takes an array of objects, which may be strings."""
    objects = isinstance(part, np.ndarray) and part.dtype == object
    return objects and all(isinstance(value, str) for value in part)
