"""Random augmentation of the samples of a stream, each by a seed of its own."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_dos import _checks

Augment = Callable[[Any, tf.Tensor], Any]


def _sample_spec(x_spec: Any) -> Any:
    return tf.nest.map_structure(
        lambda leaf: tf.TensorSpec(leaf.shape[1:], leaf.dtype), x_spec
    )


def map_samples(augment: Augment, x: Any, seeds: tf.Tensor) -> Any:
    """Return x with each sample changed, by its own stateless seed."""
    spec = tf.nest.map_structure(tf.type_spec_from_value, x)
    pairs = tf.stack([seeds, tf.zeros_like(seeds)], axis=1)
    return tf.map_fn(
        lambda sample: augment(*sample),
        (x, pairs),
        fn_output_signature=_sample_spec(spec),
    )


def check_augment(augment: Augment, x_spec: Any) -> None:
    """Raise unless the function keeps the structure, shapes and types of a sample.

    Args:
        augment: The function of the user.
        x_spec: The specification of a batch.

    Raises:
        TypeError: If it is not a function of two arguments.
        ValueError: If it returns another form.
    """
    _checks.function("augment", augment, "x", "seed")
    expected = _sample_spec(x_spec)
    traced = tf.function(augment).get_concrete_function(
        expected, tf.TensorSpec([2], tf.int64)
    )
    received = tf.nest.map_structure(tf.type_spec_from_value, traced.structured_outputs)
    try:
        same = tf.nest.map_structure(
            lambda a, b: a.dtype == b.dtype and a.shape.is_compatible_with(b.shape),
            expected,
            received,
        )
    except (TypeError, ValueError, AttributeError):  # Such as of None.
        same = False
    if not all(tf.nest.flatten(same)):
        raise ValueError(
            "`augment` must return a sample of the structure, shapes and types of the "
            f"one that it receives, {expected}. Received: {received}."
        )
