"""What a model takes: a named tensor per input, and samples of it."""

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# As many samples as `predict` takes at once, if they are not larger than this.
_MAX_SAMPLES = 32
_MAX_WARMUP_BYTES = 8 * 2**20

# Names that Keras counts up: another model of the same process gets another one.
_KERAS_NAME = re.compile(r"(keras_tensor|input_layer)(_\d+)?")


@dataclass(frozen=True)
class ModelInputs:
    """The inputs of a model, as a server names them.

    Attributes:
        structure: The nested structure that the model is called with.
        specs: A named spec per tensor of the structure, flattened; the batch is free.
    """

    structure: Any
    specs: tuple[tf.TensorSpec, ...]

    @property
    def image(self) -> tf.TensorSpec | None:
        """The spec of the input if it is one batch of gray or RGB images."""
        if len(self.specs) != 1:
            return None
        (spec,) = self.specs
        real = spec.dtype.is_floating or spec.dtype.is_integer
        real &= spec.dtype != tf.int8  # It does not hold the values of a file.
        is_image = spec.shape.rank == 4 and spec.shape[-1] in (1, 3) and real
        return spec if is_image else None

    def pack(self, tensors: Any) -> Any:
        """Return flat tensors in the structure that the model is called with."""
        return keras.tree.pack_sequence_as(self.structure, list(tensors))


def read_inputs(model: keras.Model) -> ModelInputs:
    """Return the inputs of a functional or sequential model.

    A name that Keras chose would change from export to export, and with it what clients
    have to send. Such an input is called "inputs", or "inputs_0", ... of several.

    Raises:
        ValueError: If the model has no graph of named inputs.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> read_inputs(model).specs
        (TensorSpec(shape=(None, 2), dtype=tf.float32, name='inputs'),)
    """
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "`model` must be a functional Keras model, or a sequential one with an "
            "Input or built by a call: others do not say what they take. "
            f"Received: model={model} of type {type(model).__name__}."
        )
    sequential = isinstance(model, keras.Sequential)
    structure = model.inputs[0] if sequential else model.input
    leaves = keras.tree.flatten_with_path(structure)
    specs = []
    for position, (path, tensor) in enumerate(leaves):
        name = path[-1] if path and isinstance(path[-1], str) else tensor.name
        if _KERAS_NAME.fullmatch(name):
            name = "inputs" if len(leaves) == 1 else f"inputs_{position}"
        name = re.sub(r"\W", "_", name, flags=re.ASCII)
        # TensorFlow would refuse or change it.
        if not name[0].isalpha() or keyword.iskeyword(name) or name == "self":
            name = f"input_{name.lstrip('_')}"
        specs.append(tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name))
    names = Counter(spec.name.lower() for spec in specs)  # TensorFlow ignores case.
    shared = [name for name, n in names.items() if n > 1]
    if shared:
        raise ValueError(
            "`model` needs inputs with different names, of letters, digits and "
            "underscores: the `name` of each keras.Input, or its key in a dict of "
            f"inputs. Received: {shared[0]!r} twice."
        )
    return ModelInputs(structure, tuple(specs))


def sample_inputs(inputs: ModelInputs, given: Any) -> list[NDArray[Any]]:
    """Return samples of each input: the given ones, or a random one.

    Args:
        inputs: The inputs of the model.
        given: Arrays in the structure that `predict` takes, or None.

    Returns:
        One array per input, shape (m, ...) with m at most 32, in the input's dtype.

    Raises:
        ValueError: If the given samples do not fit, or none can be made up.
    """
    if given is None:
        return [_made_up(spec) for spec in inputs.specs]
    try:
        keras.tree.assert_same_structure(inputs.structure, given)
    except ValueError as error:
        described = keras.tree.map_structure(lambda s: f"<{s.name}>", inputs.structure)
        raise ValueError(
            "`warmup_inputs` must be arrays in the structure of the model's inputs, "
            f"{described}. Received: a {type(given).__name__}."
        ) from error
    arrays = [np.asarray(values) for values in keras.tree.flatten(given)]
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    for array, spec in zip(arrays, inputs.specs, strict=True):
        if not spec.shape.is_compatible_with(array.shape) or min(lengths) < 1:
            raise ValueError(
                f'`warmup_inputs` must be samples of the input "{spec.name}", shape '
                f"{tuple(spec.shape)}, at least one. Received: shape {array.shape}."
            )
        integer_wanted = spec.dtype.is_integer and array.dtype.kind == "f"
        if spec.dtype != tf.string and (
            integer_wanted
            or array.dtype.kind not in "buif"
            or not np.isfinite(array).all()
        ):
            raise ValueError(
                f'`warmup_inputs` must be finite values of the input "{spec.name}", '
                f"{spec.dtype.name}. Received: {np.ravel(array)[:3]}..., "
                f"{array.dtype.name}."
            )
    if len(lengths) > 1:
        raise ValueError(
            "`warmup_inputs` must have as many samples of each input. "
            f"Received: {sorted(lengths)} samples."
        )
    size = max(1, sum(array[:1].nbytes for array in arrays))
    most = max(1, min(_MAX_SAMPLES, _MAX_WARMUP_BYTES // size))
    return [
        array[:most].astype(spec.dtype.as_numpy_dtype)
        for array, spec in zip(arrays, inputs.specs, strict=True)
    ]


def _made_up(spec: tf.TensorSpec) -> NDArray[Any]:
    """Return uniform values in [0, 1), or zeros of a type that is not floating."""
    shape = tuple(spec.shape[1:])
    if None in shape:
        raise ValueError(
            "`warmup_inputs` must be given to a model of free size, for a size that "
            "requests have: the warm-up is of no use for another. "
            f'Received: warmup_inputs=None, input "{spec.name}" of shape '
            f"{tuple(spec.shape)}."
        )
    if spec.dtype.is_floating:
        values = np.random.default_rng(0).random((1, *shape))
        return values.astype(spec.dtype.as_numpy_dtype)
    zeros: NDArray[Any] = tf.zeros((1, *shape), spec.dtype).numpy()
    return zeros
