"""The model: a Keras classifier that also outputs its embedding."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_dos._keras import MetricsOfReplicas, SeveralWorkers
from keras_dos.callback import BeginEpoch
from keras_dos.compiled_loss import over_replicas, per_example
from keras_dos.outputs import check_metrics, check_outputs, output_of_layer
from keras_dos.preparation import begin_rounds, check_training, split_callbacks
from keras_dos.rounds import Rounds
from keras_dos.samples.quadruplets import are_quadruplets
from keras_dos.samples.sources import as_source, split_validation
from keras_dos.slots import slot_logits
from keras_dos.threads import in_one_thread
from keras_dos.training_prior import RemembersPrior


@keras.saving.register_keras_serializable(package="keras_dos")
class DOSModel(RemembersPrior, SeveralWorkers, MetricsOfReplicas, keras.Model):
    """A classifier x → f(x) → g(f(x)) that trains with Deep Over-sampling (Fig. 1).

    It is a functional Keras model with two named outputs, compiled with one loss and
    with metrics on the probabilities. `predict` returns a dict of both outputs,
    `model.classifier.predict` the probabilities alone. With an `OverloadingCallback` in
    `fit` it trains with the micro-cluster losses, eqs. (8)-(10); without one, it is a
    plain Keras classifier.

    Args:
        inputs: The input of the network: a `keras.Input` or a nested structure of them.
        outputs: A dict of two tensors: "embedding", f(x), shape (b, d), and
            "probabilities", g(f(x)), shape (b, n), a softmax computed from the
            embedding alone.
        **kwargs: `name` and `trainable`, as in `keras.Model`.

    Attributes:
        rounds: The `keras_dos.rounds.Rounds` of the current training; None outside a
            `fit` with an `OverloadingCallback`.
        training_prior: Class frequencies that the probabilities have, (n,), or None.

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
        check_outputs(self)
        self.rounds: Rounds | None = None
        self._train_functions: dict[int | None, Any] = {}  # By `rounds.slots`.
        self._traced_slots: int | None = None  # Those of `train_function`.

    @classmethod
    def from_classifier(
        cls, classifier: keras.Model, embedding: str, name: str | None = None
    ) -> "DOSModel":
        """Make a DOSModel from a functional or sequential Keras classifier.

        Args:
            classifier: A built model from x to class probabilities, shape (b, n).
                Its layers and weights are shared, not copied.
            embedding: The name of the layer whose output, shape (b, d), is f(x).
            name: The name of the model. Defaults to None: Keras chooses one.

        Returns:
            The model.

        Raises:
            ValueError: If `classifier` is not such a model or has no such layer, or if
                the output of the layer is not an embedding.

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
        outputs = {"embedding": output_of_layer(classifier, embedding)}
        outputs["probabilities"] = classifier.outputs[0]
        sequential = isinstance(classifier, keras.Sequential)
        inputs = classifier.inputs[0] if sequential else classifier.input
        return cls(inputs, outputs, name=name)

    # The parts live in cached properties because those bypass `__setattr__`: a model
    # that Keras tracked as a layer would appear twice in summaries and saved files.

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
        outputs = self.output
        return self._part("head", outputs["embedding"], outputs["probabilities"])

    def _part(self, name: str, inputs: Any, outputs: Any) -> keras.Model:
        return keras.Model(inputs, outputs, name=f"{self.name}_{name}")

    @in_one_thread
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

        The arguments are those of `keras.Model.fit`. With the callback:

        * `x` may also be a `keras_dos.samples.SampleSource`, such as `Stream` or
          `Indexed`. Other training data is read once and kept in memory, so that each
          sample keeps its own neighbors, which would freeze augmentation in a dataset.
          Use `epochs`, not repeated data: a copy would be the nearest neighbor.
        * An epoch, even in the warm-up, is one pass over the over-sampled set Z' of
          eq. (7): ceil(Σ_j r_j m_j / batch size) steps. `shuffle` also applies to
          datasets; the order follows from the seed of the callback.
        * In the rounds, `loss` has the embedding loss and the adjusted H, both weighted
          by `class_weight` or `sample_weight`; `val_loss` is the plain loss.
        * With `initial_epoch`, set `warmup_epochs` too: its default follows `epochs`.

        Args:
            x: An array or a nested structure of arrays; a finite and batched
                tf.data.Dataset of (x, y) or (x, y, sample_weight); or a source.
            y: Labels of the arrays: integers (m,) or (m, 1), or one-hot (m, n).
            batch_size: Samples per step for arrays. Defaults to None, which is 32.
            epochs: Number of the last epoch, warm-up included. Defaults to 1.
            verbose: As in Keras.
            callbacks: Keras callbacks, including at most one `OverloadingCallback`.
            validation_split: Fraction of the arrays, their end, to hold out. Default 0.
            validation_data: As in Keras; it takes no part in the overloading.
            shuffle: Whether to shuffle the quadruplets in each epoch. Defaults to True.
            class_weight: As in Keras; classes that it leaves out have weight 1.
            sample_weight: As in Keras, shape (m,) or (m, 1).
            initial_epoch: As in Keras.
            steps_per_epoch: Must be None with the callback.
            validation_steps: As in Keras.
            validation_batch_size: As in Keras.
            validation_freq: As in Keras.

        Returns:
            The `History` of the training.

        Raises:
            ImportError: If `neighbor_search` names a package that cannot be imported.
            RuntimeError: If the search breaks its contract, or another thread trains.
            TypeError: If the data cannot be read in one pass, or a setting or the
                answer of the schedule has the wrong type.
            ValueError: If the data, the labels or the arguments are invalid or do not
                fit together, or if embeddings are not finite.
        """
        # A copy: a debugger that looks at this frame refreshes what `locals` returns.
        arguments = dict(locals())
        del arguments["self"], arguments["__class__"]
        overloading, others = split_callbacks(callbacks, x)
        # For an uncompiled model, Keras' own error is the clearest.
        if not overloading or not self.compiled:
            return super().fit(**arguments)
        arguments["class_weight"] = check_training(self, arguments)
        rows, arguments["validation_data"] = split_validation(
            (x, y, sample_weight), validation_split, validation_data, validation_steps
        )
        source = as_source(*rows, batch_size, n_classes=self.head.output_shape[-1])
        rounds = begin_rounds(self, overloading.settings, source, arguments)
        for name in ("x", "y", "sample_weight", "batch_size", "validation_split"):
            del arguments[name]
        # First, so that what it adds to the logs reaches the other callbacks.
        arguments["callbacks"] = [overloading, *others, BeginEpoch()]
        arguments["validation_batch_size"] = validation_batch_size or batch_size
        arguments["shuffle"] = False  # The rounds order the quadruplets.
        with self._trained_by(rounds):
            return super().fit(rounds.distributed(), **arguments)

    @contextlib.contextmanager
    def _trained_by(self, rounds: Rounds) -> Iterator[None]:
        """Train on the quadruplets of `rounds` for the duration of a `fit`."""
        # A step traced in another fit belongs to other rounds, or to none. There are
        # rounds before these if a callback of a fit calls fit again.
        before = self.rounds, self._train_functions, self._traced_slots
        step = self.train_function if self.rounds else None
        self.rounds, self._train_functions, self._traced_slots = rounds, {}, None
        self.train_function = None
        try:
            yield
        finally:
            self.rounds, self._train_functions, self._traced_slots = before
            self.train_function = step

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step: on micro-cluster losses if given quadruplets, or plain."""
        if self.rounds is None or not are_quadruplets(data):
            return dict(super().train_step(data))
        quadruplets, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, neighbors, w = (quadruplets[name] for name in ("x", "neighbors", "weights"))
        k = self.rounds.slots
        with tf.GradientTape() as tape:
            if k is None:
                y_pred = self(x, training=True)
                loss = DOSModel.compute_loss(self, x, y, y_pred, sample_weight)  # (2)
            else:
                neighbors, w = neighbors[:, :k], w[:, : k + 1]
                embedding = self.embedder(x, training=True)  # f(x)
                slots = self.rounds.loss.slots(embedding, neighbors, w)  # N(x), (1)
                logits = slot_logits(self.head, slots)  # g(v) of each slot
                loss = self.rounds.loss(y, slots, logits, w, sample_weight)  # (8)-(10)
                loss += self._regularization()
                probabilities = ops.softmax(logits[:, 0])
                y_pred = {"embedding": embedding, "probabilities": probabilities}
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(scaled_loss, variables), variables)
        self.rounds.record(quadruplets, y_pred["embedding"])  # For the next N(x).
        tracker = next(metric for metric in self.metrics if metric.name == "loss")
        tracker.update_state(over_replicas(loss), sample_weight=ops.shape(y)[0])
        metrics = self.compute_metrics(x, y, y_pred, sample_weight)
        return metrics if k is None else {**metrics, **self.rounds.loss.logs()}

    def choose_train_function(self, slots: int | None) -> None:
        """Take the function that runs steps with so many slots; see `Rounds.slots`.

        Each is traced for what it needs, so that the warm-up costs what `fit` costs.
        """
        # After `compile` there is none, which Keras reports at the next step.
        if self.train_function is None or slots == self._traced_slots:
            return
        self._train_functions[self._traced_slots] = self.train_function
        self._traced_slots = slots
        self.train_function = self._train_functions.get(self._traced_slots)
        self.make_train_function()

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
        check_metrics(self)
        p = y_pred["probabilities"]
        return dict(super().compute_metrics(x, y, p, sample_weight))

    def reset_metrics(self) -> None:
        """Reset all metrics, including the parts of the micro-cluster loss."""
        super().reset_metrics()
        if self.rounds is not None:
            self.rounds.loss.reset_logs()

    def _regularization(self) -> Any:
        """Return one replica's part of the sum of `add_loss` and weight penalties."""
        total = sum(ops.sum(ops.cast(loss, "float32")) for loss in self.losses)
        return total / self.distribute_strategy.num_replicas_in_sync
