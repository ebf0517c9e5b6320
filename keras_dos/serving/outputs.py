"""What a model answers: probabilities of n classes, and possibly embeddings."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.serving.inputs import ModelInputs


def named_outputs(model: keras.Model) -> dict[str, Any]:
    """Return the symbolic outputs by name; a single one counts as probabilities.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> named_outputs(model)["probabilities"].shape
        (None, 3)
    """
    sequential = isinstance(model, keras.Sequential)
    outputs = model.outputs[0] if sequential else model.output
    if isinstance(outputs, list | tuple) and len(outputs) == 1:
        (outputs,) = outputs
    return outputs if isinstance(outputs, dict) else {"probabilities": outputs}


def call(model: keras.Model, inputs: ModelInputs, tensors: Any) -> dict[str, Any]:
    """Return the outputs by name for flat inputs, computed as in `predict`.

    Example:
        >>> from keras_dos.serving.inputs import read_inputs
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> call(model, read_inputs(model), [np.ones((4, 2))])["probabilities"].shape
        TensorShape([4, 3])
    """
    outputs = model(inputs.pack(tensors), training=False)
    if not isinstance(outputs, dict):
        (outputs,) = keras.tree.flatten(outputs)
        outputs = {"probabilities": outputs}
    return outputs


def read_n_classes(model: keras.Model) -> int:
    """Return n, the number of classes that a model tells apart.

    Raises:
        ValueError: If the model has no probabilities of at least two classes.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> read_n_classes(model)
        3
    """
    outputs = named_outputs(model)
    shape: Any = getattr(outputs.get("probabilities"), "shape", ())
    if len(shape) != 2 or (shape[1] or 0) < 2:
        raise ValueError(
            "`model` must have class probabilities, shape (m, n) with n at least 2, as "
            'its only output or as an output called "probabilities": two classes are a '
            f'Dense(2, activation="softmax"). Received: outputs={outputs}.'
        )
    return int(shape[1])


def read_names(names: Any, n_classes: int) -> Sequence[str] | None:
    """Return the names of the classes in the order of the outputs, or None for None.

    Raises:
        ValueError: If they are not n different strings in order.

    Example:
        >>> read_names(("no", "yes"), n_classes=2)
        ['no', 'yes']
    """
    if names is None:
        return None
    # A set or a mapping has no order of classes, an iterator can be read only once.
    ordered = isinstance(names, list | tuple)
    ordered |= isinstance(names, np.ndarray) and names.ndim == 1
    texts = ordered and all(isinstance(name, str) for name in names)
    if not texts or len(names) != n_classes or len(set(names)) != n_classes:
        raise ValueError(
            f"`class_names` must be a list of {n_classes} different strings in the "
            "order of the outputs; of a mapping from name to class that is "
            f"sorted(names, key=names.get). Received: class_names={names!r}."
        )
    return [str(name) for name in names]


def check_probabilities(
    model: keras.Model, inputs: ModelInputs, samples: list[NDArray[Any]], origin: str
) -> None:
    """Raise unless a model answers samples with class probabilities.

    Args:
        model: The model.
        inputs: Its inputs.
        samples: An array per input.
        origin: What the samples are, for the error.

    Raises:
        ValueError: If it answers something else.

    Example:
        >>> from keras_dos.serving.inputs import read_inputs
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
        >>> check_probabilities(model, read_inputs(model), [np.ones((1, 2))], "ones")
    """
    probabilities = call(model, inputs, samples)["probabilities"]
    p = keras.ops.convert_to_numpy(probabilities)
    try:
        _checks.probabilities(f"model({origin})", p)
    except ValueError as error:
        broken = [] if np.isfinite(p).all() else _broken_weights(model)
        if not broken:
            raise
        raise ValueError(
            "`model` must have finite weights, but training diverged: export those of "
            "an earlier epoch, or train again with a lower learning rate. Received: "
            f"NaN or infinity in {len(broken)} of {len(model.weights)} weights, such "
            f"as {broken[:3]}."
        ) from error


def _broken_weights(model: keras.Model) -> list[str]:
    return [
        weight.path
        for weight in model.weights
        if not keras.ops.all(keras.ops.isfinite(weight.value))
    ]
