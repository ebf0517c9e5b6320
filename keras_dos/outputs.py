"""The two outputs of a DOSModel: what they must be, and how to find one by layer."""

from collections.abc import Iterator
from typing import Any

import keras

from keras_dos import _keras

LOGS = (
    "embedding_loss",
    "classification_loss",
    "refresh_time",
    "minority_variance",
    "majority_variance",
)
"""What `OverloadingCallback` adds to the logs."""


def check_outputs(model: keras.Model) -> None:
    """Raise unless a DOSModel has the outputs "embedding" and "probabilities".

    Raises:
        ValueError: If it has other outputs, of other shapes, or logits, or if its
            probabilities do not depend on the embedding alone.
    """
    outputs = getattr(model, "output", None)
    if not isinstance(outputs, dict) or set(outputs) != {"embedding", "probabilities"}:
        raise ValueError(
            "`outputs` must be a dict of the two outputs of a functional model: "
            'DOSModel(inputs, {"embedding": e, "probabilities": p}). '
            f"Received: outputs={outputs}."
        )
    for name, tensor in outputs.items():
        if len(tensor.shape) != 2 or tensor.shape[-1] is None:
            raise ValueError(
                f'The output "{name}" must have shape (batch, size): pool or flatten '
                f"the output of convolutions. Received: shape {tensor.shape}."
            )
    if outputs["probabilities"].shape[-1] < 2:
        raise ValueError(
            'The output "probabilities" needs one column per class: use '
            'Dense(2, activation="softmax") for two classes. '
            f"Received: shape {outputs['probabilities'].shape}."
        )
    check_not_logits(outputs["probabilities"])
    try:
        model.head  # noqa: B018
    except ValueError as error:
        _check_no_layer_is_shared(**outputs)
        raise ValueError(
            'The output "probabilities" must be computed from the output "embedding" '
            "and from nothing else, because the head is also applied to stored "
            f"embeddings. Received: {error}"
        ) from error


def _check_no_layer_is_shared(embedding: Any, probabilities: Any) -> None:
    """Raise if that is why Keras cannot cut the head off, which it does by layer."""
    head = list(_behind(probabilities, end=embedding))
    layer = _keras.operation_of(embedding)
    from_the_embedding_alone = all(map(_keras.inputs_of, head))
    if from_the_embedding_alone and layer in map(_keras.operation_of, head):
        raise ValueError(
            'The layer that computes the output "embedding" must not be used again to '
            'compute "probabilities": give the head a layer of its own, or take the '
            "output of keras.layers.Identity() after it as the embedding. "
            f"Received: layer {layer.name!r} in both."
        )


def _behind(tensor: Any, end: Any = None) -> Iterator[Any]:
    """Yield a symbolic tensor and all that it was computed from, none behind `end`."""
    pending, seen = [tensor], {end}
    while pending:
        tensor = pending.pop()
        if tensor not in seen:
            seen.add(tensor)
            yield tensor
            pending.extend(_keras.inputs_of(tensor))


def check_not_logits(probabilities: Any) -> None:
    """Raise if the layer that computed class probabilities ends in no activation.

    Args:
        probabilities: A symbolic tensor, shape (b, n).

    Raises:
        ValueError: If its layer has a linear activation.

    Example:
        >>> check_not_logits(keras.layers.Softmax()(keras.Input((3,))))
    """
    layer = _keras.operation_of(probabilities)
    if getattr(layer, "activation", None) is keras.activations.linear:
        raise ValueError(
            'The output "probabilities" looks like logits. Give the last layer '
            'activation="softmax", or add keras.layers.Softmax() after it. '
            f"Received: layer {layer.name!r} with a linear activation."
        )


def output_of_layer(classifier: keras.Model, name: Any) -> Any:
    """Return the output of a layer from which a classifier's output was computed.

    `layer.output` does not work: for a nested model it is a tensor of the inner graph.

    Args:
        classifier: A built model with a graph and one output.
        name: The name of the layer.

    Raises:
        ValueError: If `classifier` is not such a model, or has no such layer before its
            output.

    Example:
        >>> classifier = keras.Sequential([
        ...     keras.Input((4,)), keras.layers.Dense(8, name="features"),
        ...     keras.layers.Dense(3, activation="softmax")])
        >>> output_of_layer(classifier, "features").shape
        (None, 8)
    """
    _check_classifier(classifier)
    probabilities = classifier.outputs[0]
    for tensor in _behind(probabilities):
        if isinstance(name, str) and _keras.operation_of(tensor).name == name:
            _check_before_the_end(tensor, probabilities, name)
            return tensor
    raise ValueError(
        "`embedding` must name a layer that the output of the classifier is computed "
        f"from; its layers are {[layer.name for layer in classifier.layers]}. "
        f"Received: embedding={name!r}."
    )


def _check_classifier(classifier: Any) -> None:
    if not getattr(classifier, "inputs", None):
        raise ValueError(
            "`classifier` must be a functional or sequential model with an Input "
            "and one output; a subclassed model has no graph to cut. "
            f"Received: {classifier} of type {type(classifier).__name__}."
        )
    if len(classifier.outputs) != 1:
        outputs = classifier.output
        names = list(outputs) if isinstance(outputs, dict) else len(classifier.outputs)
        raise ValueError(
            "`classifier` must have one output, its class probabilities: choose it "
            "with keras.Model(model.input, probabilities). A DOSModel needs no "
            "conversion; its property `classifier` has one output. "
            f"Received: {classifier} with outputs {names}."
        )


def _check_before_the_end(tensor: Any, probabilities: Any, name: Any) -> None:
    if tensor is probabilities:
        raise ValueError(
            "`embedding` must name a layer before the last one: the head from the "
            "embedding to the probabilities needs a layer of its own. "
            f"Received: embedding={name!r}, whose output is the probabilities."
        )


def check_metrics(model: keras.Model) -> None:
    """Raise if `compile` got metrics of the embedding, which has no labels.

    Args:
        model: A compiled DOSModel.

    Raises:
        ValueError: If a dict of metrics has another key than "probabilities".
    """
    for name in ("metrics", "weighted_metrics"):
        metrics = _keras.compiled(model, name)
        if isinstance(metrics, dict) and set(metrics) - {"probabilities"}:
            raise ValueError(
                f"`{name}` of a DOSModel measure its class probabilities: pass a list, "
                'or a dict with the one key "probabilities". '
                f"Received: keys {list(metrics)}."
            )


def check_names_of_metrics(model: keras.Model) -> None:
    """Raise if a metric has a name of `LOGS`, or "loss": one would hide the other.

    Args:
        model: A compiled DOSModel.

    Raises:
        ValueError: If one has.
    """
    metrics = [*model.metrics]
    for argument in ("metrics", "weighted_metrics"):
        metrics += keras.tree.flatten(_keras.compiled(model, argument))
    names = [getattr(m, "name", getattr(m, "__name__", m)) for m in metrics]
    taken = [name for name in LOGS if name in names]
    if names.count("loss") > 1:  # Keras' own is one of them.
        taken.append("loss")
    if taken:
        raise ValueError(
            "`metrics` must not have the names of what a training with "
            f"OverloadingCallback logs, {', '.join(LOGS)} and loss: name them "
            f"otherwise. Received: {taken}."
        )
