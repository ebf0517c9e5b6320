"""The model: a Keras classifier that shows its embedding."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dos.callback import split_callbacks
from keras_dos.objective import MicroClusterObjective, per_example, unscaled
from keras_dos.training_data import (
    TrainingData,
    read_training_data,
    split_validation,
)


@keras.saving.register_keras_serializable(package="keras_dos")
class DOSModel(keras.Model):
    """A classifier x → f(x) → g(f(x)) that trains with Deep Over-sampling (Fig. 1).

    It is a functional Keras model with two named outputs, and compiles with one loss
    and metrics on the probabilities. With an `OverloadingCallback` among the callbacks
    of `fit` it trains with the micro-cluster losses, eqs. (8)-(10); without one it is
    a plain Keras classifier.

    Args:
        inputs: The input of the network: a `keras.Input` or a nested structure of them.
        outputs: A dict of two tensors: "embedding", f(x), shape (batch, d), and
            "probabilities", g(f(x)), shape (batch, n), a softmax computed from the
            embedding alone.
        **kwargs: `name` and `trainable`, as in `keras.Model`.

    Raises:
        ValueError: If the outputs are not such a pair, or are logits.

    Example:
        >>> import keras
        >>> inputs = keras.Input((4,))
        >>> embedding = keras.layers.Dense(8, activation="relu")(inputs)
        >>> probabilities = keras.layers.Dense(3, activation="softmax")(embedding)
        >>> model = DOSModel(
        ...     inputs, {"embedding": embedding, "probabilities": probabilities})
        >>> model.classifier.output_shape, model.embedder.output_shape
        ((None, 3), (None, 8))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _check_outputs(self)
        self._objective: MicroClusterObjective | None = None

    @classmethod
    def from_classifier(
        cls, classifier: keras.Model, embedding: str, name: str | None = None
    ) -> "DOSModel":
        """Make a DOSModel of a functional or sequential Keras classifier.

        Args:
            classifier: A built model from x to class probabilities, shape (batch, n).
                Its layers and weights are shared, not copied.
            embedding: The name of the layer whose output, shape (batch, d), is f(x).
            name: The name of the model. Defaults to None: one that Keras chooses.

        Returns:
            The model.

        Raises:
            ValueError: If there is no such layer, or its output is not an embedding.

        Example:
            >>> import keras
            >>> classifier = keras.Sequential([
            ...     keras.Input((4,)),
            ...     keras.layers.Dense(8, activation="relu", name="features"),
            ...     keras.layers.Dense(3, activation="softmax"),
            ... ])
            >>> model = DOSModel.from_classifier(classifier, embedding="features")
            >>> model.head.count_params()
            27
        """
        if not getattr(classifier, "inputs", None) or len(classifier.outputs) != 1:
            raise ValueError(
                "`classifier` must be a functional or sequential model with an Input "
                "and one output; a subclassed model has no graph to cut. "
                f"Received: {classifier} of type {type(classifier).__name__}."
            )
        names = [layer.name for layer in classifier.layers]
        if embedding not in names:
            raise ValueError(
                "`embedding` must name a layer of the classifier; its layers are "
                f"{names}. Received: embedding={embedding!r}."
            )
        sequential = isinstance(classifier, keras.Sequential)
        inputs = classifier.inputs[0] if sequential else classifier.input
        probabilities = classifier.outputs[0]
        outputs = {
            "embedding": _output_on_the_way(
                classifier.get_layer(embedding), probabilities
            ),
            "probabilities": probabilities,
        }
        return cls(inputs, outputs, name=name)

    @functools.cached_property
    def classifier(self) -> keras.Model:
        """The model x → probabilities, on the same weights."""
        return self._part("classifier", self.input, self.output["probabilities"])

    @functools.cached_property
    def embedder(self) -> keras.Model:
        """The model x → embedding, f, on the same weights."""
        return self._part("embedder", self.input, self.output["embedding"])

    @functools.cached_property
    def head(self) -> keras.Model:
        """The model embedding → probabilities, g, on the same weights."""
        return self._part(
            "head", self.output["embedding"], self.output["probabilities"]
        )

    # The parts live in cached properties because those bypass `__setattr__`: a model
    # that Keras tracked as a layer would appear twice in summaries and saved files.
    def _part(self, name: str, inputs: Any, outputs: Any) -> keras.Model:
        return keras.Model(inputs, outputs, name=f"{self.name}_{name}")

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does; with an `OverloadingCallback`, by DOS.

        The arguments are those of `keras.Model.fit`. With the callback these points
        differ:

        * The training data are read once and kept in memory, so that every sample
          stays with its own neighbors whatever the dataset does at its next pass.
          Random augmentation in the dataset would be frozen by this: put it into the
          model as layers. Leave repetitions to `epochs`: a copy of a sample would be
          its nearest neighbor.
        * An epoch is one pass over the over-sampled set Z' of eq. (7), in the warm-up
          too: ceil(Σ_j r_j n_j / batch size) steps. `shuffle` also applies to datasets.
        * `loss` is that of the rounds, with the embedding loss and the adjusted H;
          `val_loss` is the plain loss of `compile`.
        * `steps_per_epoch` and endless datasets are refused.

        Args:
            x: Arrays, or a finite and batched tf.data.Dataset of (x, y) or
                (x, y, sample_weight); x may be a nested structure.
            y: Labels of the arrays: integers (m,) or (m, 1), or one-hot (m, n).
            batch_size: Samples per step for arrays. Defaults to None, which is 32.
            epochs: Number of the last epoch, warm-up included. Defaults to 1.
            verbose: As in Keras.
            callbacks: Keras callbacks, at most one `OverloadingCallback` among them.
            validation_split: Share of the arrays, from their end, kept for validation.
            validation_data: As in Keras; it takes no part in the overloading.
            shuffle: Whether to shuffle the quadruplets at each epoch, by the seed of
                the callback. Defaults to True.
            class_weight: As in Keras; weights both parts of the loss.
            sample_weight: As in Keras, shape (m,); weights both parts of the loss.
            initial_epoch: As in Keras; the warm-up keeps its place if `warmup_epochs`
                is given, since its default follows from `epochs`.
            steps_per_epoch: Must be None with the callback.
            validation_steps: As in Keras.
            validation_batch_size: As in Keras.
            validation_freq: As in Keras.

        Returns:
            The `History`.

        Raises:
            ValueError: If the data, the labels or the arguments cannot work.
            TypeError: If the data are of a kind that cannot be read in one pass.
        """
        overloading, others = split_callbacks(callbacks)
        keras_arguments: dict[str, Any] = {
            "epochs": epochs,
            "verbose": verbose,
            "initial_epoch": initial_epoch,
            "class_weight": class_weight,
            "validation_steps": validation_steps,
            "validation_freq": validation_freq,
        }
        # Keras' own error says best what an uncompiled model lacks.
        if overloading is None or not self.compiled:
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                sample_weight=sample_weight,
                steps_per_epoch=steps_per_epoch,
                validation_batch_size=validation_batch_size,
                **keras_arguments,
            )
        if steps_per_epoch is not None:
            raise ValueError(
                "`steps_per_epoch` must be left out with OverloadingCallback: a round "
                "is one pass over the over-sampled training set, and its length "
                f"follows from r. Received: steps_per_epoch={steps_per_epoch}."
            )
        # The public get_compile_config would serialize the loss, and warn of lambdas.
        loss_weights = self._compile_config.config["loss_weights"]
        if loss_weights is not None:
            raise ValueError(
                "`loss_weights` has no place beside OverloadingCallback, which weights "
                "the two parts of the loss by `embedding_weight`: leave it out of "
                f"`compile`. Received: loss_weights={loss_weights}."
            )
        if not self.trainable_weights:
            raise ValueError(
                "The model has nothing to train: set `trainable` of some layers and "
                "compile again. Received: no trainable weights."
            )
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_validation(
                (x, y, sample_weight), validation_split
            )
        n_classes = self.head.output_shape[-1]
        data = read_training_data(x, y, sample_weight, batch_size, n_classes=n_classes)
        _check_probabilities(self, data)
        self._build_for_strategy(data)
        with self.distribute_strategy.scope():
            dataset, self._objective = overloading.prepare(self, data, shuffle)
        # A step traced in an earlier fit belongs to an earlier objective, or to none.
        self.train_function = None
        try:
            return super().fit(
                dataset,
                # First, so that what it adds to the logs reaches the other callbacks.
                callbacks=[overloading, *others],
                validation_data=validation_data,
                validation_batch_size=validation_batch_size or batch_size,
                shuffle=False,  # The callback orders the quadruplets.
                **keras_arguments,
            )
        finally:
            overloading.release()
            self._objective = None
            self.train_function = None

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step: plain, or on the micro-cluster losses of a round."""
        if self._objective is None:
            logs: dict[str, Any] = super().train_step(data)
            return logs
        quadruplets, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, weights = quadruplets["x"], quadruplets["weights"]
        with tf.GradientTape() as tape:
            embedding = self.embedder(x, training=True)
            slots = self._objective.slots(embedding, quadruplets["neighbors"], weights)
            logits = slot_logits(self.head, slots)
            loss = self._objective(y, slots, logits, weights, sample_weight)
            loss += self._regularization()
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(scaled_loss, variables), variables)

        tracker = next(metric for metric in self.metrics if metric.name == "loss")
        tracker.update_state(unscaled(loss), sample_weight=ops.shape(y)[0])
        probabilities = ops.softmax(logits[:, 0])
        y_pred = {"embedding": embedding, "probabilities": probabilities}
        metrics = self.compute_metrics(x, y, y_pred, sample_weight)
        return {**metrics, **self._objective.logs()}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of `compile` on the class probabilities, eq. (2)."""
        per_example(self.loss)
        p = y_pred["probabilities"]
        return super().compute_loss(x, y, p, sample_weight, training)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update and return the metrics of `compile` on the class probabilities."""
        p = y_pred["probabilities"]
        metrics: dict[str, Any] = super().compute_metrics(x, y, p, sample_weight)
        return metrics

    def reset_metrics(self) -> None:
        """Reset all metrics, the parts of the micro-cluster loss among them."""
        super().reset_metrics()
        if self._objective is not None:
            self._objective.reset()

    def _build_for_strategy(self, data: TrainingData) -> None:
        """Build loss and metrics on a plain batch, as tf.distribute needs them.

        Under a strategy Keras builds them from the first batch of `fit` by calling the
        model on it, and a batch of quadruplets is no input of the model.
        """
        strategy = self.distribute_strategy
        if tf.distribute.has_strategy() or strategy is not tf.distribute.get_strategy():
            self.test_on_batch(*data.rows(np.arange(1)))

    def _regularization(self) -> Any:
        """Return the sum of `add_loss` and weight penalties, one share a replica."""
        total = sum(ops.sum(ops.cast(loss, "float32")) for loss in self.losses)
        return total / self.distribute_strategy.num_replicas_in_sync


def slot_logits(head: keras.Model, slots: Any) -> Any:
    """Return the logits of g(v) for each slot: from (b, s, d) to (b, s, n), float32."""
    b, s, d = ops.shape(slots)
    probabilities = head(ops.reshape(slots, (-1, d)), training=True)
    # A softmax of Keras remembers its logits. Without them log p is as good, down to
    # the smallest p that float32 holds.
    logits = getattr(probabilities, "_keras_logits", None)
    if logits is None:
        p = ops.cast(probabilities, "float32")
        logits = ops.log(ops.maximum(p, np.finfo(np.float32).tiny))
    return ops.reshape(ops.cast(logits, "float32"), (b, s, probabilities.shape[-1]))


def _output_on_the_way(layer: keras.Layer, tensor: Any) -> Any:
    """Return the output of a layer from which a symbolic tensor was computed.

    `layer.output` will not do: of a nested model it is a tensor of the inner graph.
    """
    pending, seen = [tensor], set()
    while pending:
        tensor = pending.pop()
        operation, node_index, _ = tensor._keras_history
        if operation is layer:
            return tensor
        if tensor not in seen:
            seen.add(tensor)
            pending.extend(operation._inbound_nodes[node_index].input_tensors)
    raise ValueError(
        "`embedding` must name a layer that the output of the classifier is computed "
        f"from. Received: embedding={layer.name!r}."
    )


def _check_outputs(model: keras.Model) -> None:
    outputs = getattr(model, "output", None)
    if not isinstance(outputs, dict) or set(outputs) != {"embedding", "probabilities"}:
        raise ValueError(
            "DOSModel is used as a functional model with two outputs: "
            'DOSModel(inputs, {"embedding": e, "probabilities": p}). '
            f"Received: outputs={outputs}."
        )
    for name, tensor in outputs.items():
        if len(tensor.shape) != 2 or tensor.shape[-1] is None:
            raise ValueError(
                f'The output "{name}" must have shape (batch, size): pool or flatten '
                f"what comes out of convolutions. Received: shape {tensor.shape}."
            )
    if outputs["probabilities"].shape[-1] < 2:
        raise ValueError(
            'The output "probabilities" needs one column per class: use '
            'Dense(2, activation="softmax") for two classes. '
            f"Received: shape {outputs['probabilities'].shape}."
        )
    layer = outputs["probabilities"]._keras_history.operation
    if getattr(layer, "activation", None) is keras.activations.linear:
        raise ValueError(
            'The output "probabilities" looks like logits. Give the last layer '
            f'activation="softmax", or add keras.layers.Softmax() after it. '
            f"Received: layer {layer.name!r} with a linear activation."
        )
    try:
        model.head  # noqa: B018
    except ValueError as error:
        raise ValueError(
            'The output "probabilities" must be computed from the output "embedding" '
            "and from nothing else, because the head is also applied to stored "
            f"embeddings. Received: {error}"
        ) from error


def _check_probabilities(model: DOSModel, data: TrainingData) -> None:
    """Raise if the head gives something else than probabilities on real samples."""
    x, _ = data.rows(np.arange(min(len(data), 8)))
    p = ops.convert_to_numpy(model.classifier(x, training=False)).astype(np.float32)
    if np.isfinite(p).all() and ((p < 0).any() or (abs(p.sum(1) - 1) > 0.02).any()):
        raise ValueError(
            'The output "probabilities" must be class probabilities that sum to one: '
            "end the network with a softmax. Received: rows that sum to "
            f"{p.sum(1).round(3).tolist()}."
        )
