"""What a model takes: a named tensor per input."""

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

# Names that Keras numbers: another model of the same process gets another one.
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
            "`model` must be a functional Keras model, or a sequential one that was "
            "built: of others it is not known what they take. "
            f"Received: model={model!r} of type {type(model).__name__}."
        )
    sequential = isinstance(model, keras.Sequential)
    structure = model.inputs[0] if sequential else model.input
    leaves = keras.tree.flatten_with_path(structure)
    specs = [
        tf.TensorSpec(
            (None, *tensor.shape[1:]),
            tensor.dtype,
            _server_name(path, tensor.name, "" if len(leaves) == 1 else f"_{position}"),
        )
        for position, (path, tensor) in enumerate(leaves)
    ]
    names = Counter(spec.name.lower() for spec in specs)  # TensorFlow ignores case.
    shared = [name for name, n in names.items() if n > 1]
    if shared:
        raise ValueError(
            "`model` must have inputs whose names differ in ASCII letters or digits: "
            "the `name` of each keras.Input, or its key in a dict of inputs. "
            f"Received: {shared[0]!r} twice."
        )
    return ModelInputs(structure, tuple(specs))


def _server_name(path: tuple[Any, ...], name: str, number: str) -> str:
    """Return the name of an input to clients, from its key or its own name."""
    if path and isinstance(path[-1], str):
        name = path[-1]
    if _KERAS_NAME.fullmatch(name):
        name = f"inputs{number}"
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    # TensorFlow would refuse or change it.
    if not name[:1].isalpha() or keyword.iskeyword(name) or name == "self":
        name = f"input_{name.lstrip('_')}"
    return name
