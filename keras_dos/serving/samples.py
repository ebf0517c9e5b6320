"""Samples of a model's inputs: the user's, or one that is made up."""

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.serving.inputs import ModelInputs

# As many samples as `predict` takes at once, if they are not larger than this.
_MAX_SAMPLES = 32
_MAX_BYTES = 8 * 2**20


def sample_inputs(inputs: ModelInputs, given: Any) -> list[NDArray[Any]]:
    """Return samples of each input: the given ones, or a random one.

    Args:
        inputs: The inputs of the model.
        given: Arrays in the structure that `predict` takes, or None.

    Returns:
        One array per input, shape (m, ...) with m at most 32, in the input's dtype.

    Raises:
        ValueError: If the given samples do not fit, or none can be made up.

    Example:
        >>> from keras_dos.serving.inputs import read_inputs
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> (samples,) = sample_inputs(read_inputs(model), np.array([[1, 2], [3, 4]]))
        >>> samples.dtype, samples.shape
        (dtype('float32'), (2, 2))
    """
    if given is None:
        return [_made_up(spec) for spec in inputs.specs]
    arrays = _flat(inputs, given)
    for array, spec in zip(arrays, inputs.specs, strict=True):
        _check(array, spec)
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(
            "`warmup_inputs` must have the same number of samples for each input. "
            f"Received: {sorted(lengths)} samples."
        )
    size = max(1, sum(array[:1].nbytes for array in arrays))
    most = max(1, min(_MAX_SAMPLES, _MAX_BYTES // size))
    return [
        array[:most].astype(spec.dtype.as_numpy_dtype)
        for array, spec in zip(arrays, inputs.specs, strict=True)
    ]


def warn_of_scaled_images(inputs: ModelInputs, samples: list[NDArray[Any]]) -> None:
    """Warn the caller of `export_servable` about images with values no file has."""
    images = samples[0]
    if inputs.image is None or images.dtype.kind != "f":
        return
    if images.min() < 0 or (images.max() <= 1 and images.any()):
        warnings.warn(
            "`warmup_inputs` are images with values below 0 or none above 1, but the "
            "signature `images_bytes` gives the model the values 0 to 255 of a file. "
            "Put the scaling into the model, such as keras.layers.Rescaling(1 / 255).",
            stacklevel=3,
        )


def _flat(inputs: ModelInputs, given: Any) -> list[NDArray[Any]]:
    try:
        keras.tree.assert_same_structure(inputs.structure, given)
    except ValueError as error:
        described = inputs.pack(f"<{spec.name}>" for spec in inputs.specs)
        raise ValueError(
            "`warmup_inputs` must be arrays in the structure of the model's inputs, "
            f"{described}. Received: a {type(given).__name__}."
        ) from error
    return [_checks.array("warmup_inputs", v) for v in keras.tree.flatten(given)]


def _check(array: NDArray[Any], spec: tf.TensorSpec) -> None:
    if not spec.shape.is_compatible_with(array.shape) or len(array) < 1:
        raise ValueError(
            f'`warmup_inputs` must be samples of the input "{spec.name}", shape '
            f"{tuple(spec.shape)}, at least one. Received: shape {array.shape}."
        )
    kinds = "bui" if spec.dtype.is_integer else "buif"
    if spec.dtype != tf.string and (
        array.dtype.kind not in kinds or not np.isfinite(array).all()
    ):
        raise ValueError(
            f'`warmup_inputs` must be finite values of the input "{spec.name}", '
            f"{spec.dtype.name}. Received: {np.ravel(array)[:3]}..., {array.dtype}."
        )


def _made_up(spec: tf.TensorSpec) -> NDArray[Any]:
    """Return uniform values in [0, 1), or zeros of a type that is not floating."""
    shape = tuple(spec.shape[1:])
    if None in shape:
        raise ValueError(
            "`warmup_inputs` must be given for a model of free size, in a size that "
            "requests will have. Received: warmup_inputs=None, input "
            f'"{spec.name}" of shape {tuple(spec.shape)}.'
        )
    if spec.dtype.is_floating:
        values = np.random.default_rng(0).random((1, *shape))
        return values.astype(spec.dtype.as_numpy_dtype)
    zeros: NDArray[Any] = tf.zeros((1, *shape), spec.dtype).numpy()
    return zeros
