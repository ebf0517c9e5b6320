"""What `fit` does before a training with Deep Over-sampling begins."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from keras_dos import _checks, _keras, advice
from keras_dos.adjustment import ClassWeight, check_class_weight
from keras_dos.backup import BackupAndRestore
from keras_dos.callback import OverloadingCallback
from keras_dos.compiled_loss import check_label_form
from keras_dos.outputs import check_names_of_metrics
from keras_dos.rounds import Rounds
from keras_dos.samples import InMemory, SampleSource
from keras_dos.schedule import planned_epoch
from keras_dos.settings import Settings
from keras_dos.validation import check_validation
from keras_dos.workers import Workers


def split_callbacks(
    callbacks: Any, x: Any
) -> tuple[OverloadingCallback | None, list[Any]]:
    """Split callbacks into the OverloadingCallback, if there is one, and the others.

    A backup comes last, so that it has what the others changed.

    Args:
        callbacks: The argument of `fit`: a callback, a nested list of them, or a
            `keras.callbacks.CallbackList`, whose callbacks are taken out of it.
        x: The argument of `fit`.

    Raises:
        TypeError: If `x` is a source, which only an OverloadingCallback reads, or
            one of the callbacks is not a callback.
        ValueError: If there is more than one.
    """
    listed = _flat(callbacks)
    found = [c for c in listed if isinstance(c, OverloadingCallback)]
    if len(found) > 1:
        raise ValueError(
            "`callbacks` must include at most one OverloadingCallback; set k and r per "
            f"class instead. Received: {len(found)} of them."
        )
    if not found and isinstance(x, SampleSource):
        raise TypeError(
            "`x` may be a source of samples only if an OverloadingCallback is among "
            "the `callbacks`: without one, train on the arrays or the dataset behind "
            f"it. Received: x={x}."
        )
    others = [c for c in listed if c not in found]
    others.sort(key=lambda callback: isinstance(callback, BackupAndRestore))
    return (found[0] if found else None), others


def _flat(callbacks: Any) -> list[Any]:
    flat = []
    for callback in keras.tree.flatten(callbacks):
        if callback is None:
            continue
        if isinstance(callback, type) or not hasattr(callback, "set_model"):
            raise TypeError(
                "`callbacks` must be a list of Keras callbacks, objects and not "
                f"classes. Received: {callback!r} among them."
            )
        if isinstance(callback, keras.callbacks.CallbackList):
            flat += _flat(callback.callbacks)
        else:
            flat.append(callback)
    return flat


def check_training(
    model: keras.Model, arguments: Mapping[str, Any]
) -> ClassWeight | None:
    """Raise if the model or an argument of `fit` or `compile` rules out rounds.

    Args:
        model: A compiled DOSModel.
        arguments: Those of `fit`, by name.

    Returns:
        `class_weight` with all classes: Keras fails at one above those it names.

    Raises:
        TypeError: If `initial_epoch` is not an integer, or `class_weight` not a mapping
            to numbers.
        ValueError: If a training cannot begin.
    """
    steps_per_epoch, class_weight = (
        arguments[name] for name in ("steps_per_epoch", "class_weight")
    )
    if steps_per_epoch is not None:
        raise ValueError(
            "`steps_per_epoch` must be left out with OverloadingCallback: a round "
            "is one pass over the over-sampled training set, and its length "
            f"follows from r. Received: steps_per_epoch={steps_per_epoch}."
        )
    _checks.integer("initial_epoch", arguments["initial_epoch"], minimum=0)
    _check_strategy(model.distribute_strategy)
    if class_weight is not None and Workers(model.distribute_strategy).count > 1:
        raise ValueError(
            "`class_weight` must be left out on several machines: pass weights of the "
            f"samples as `sample_weight`. Received: class_weight={class_weight}."
        )
    n = model.head.output_shape[-1]
    check_class_weight(class_weight, n)
    _check_overridden(model)
    check_names_of_metrics(model)
    loss_weights = _keras.compiled(model, "loss_weights")
    if loss_weights is not None:
        raise ValueError(
            "`loss_weights` must be left out of `compile`: OverloadingCallback weights "
            "the two parts of the loss by `embedding_weight`. "
            f"Received: loss_weights={loss_weights}."
        )
    if not model.trainable_weights:
        raise ValueError(
            "The model has nothing to train: set `trainable` to True for some layers "
            "and compile again. Received: no trainable weights."
        )
    if class_weight is None:
        return None
    return {j: float(class_weight.get(j, 1.0)) for j in range(n)}


def _check_overridden(model: keras.Model) -> None:
    own = next(c for c in type(model).__mro__ if "compute_loss" in vars(c))
    if not own.__module__.startswith("keras_dos."):
        raise ValueError(
            "`compute_loss` must not be overridden with OverloadingCallback, which "
            "computes the losses of a micro-cluster instead: pass a loss to `compile`, "
            "which becomes H, and a MicroClusterObjective as `loss_form`. "
            f"Received: {own.__name__}.compute_loss."
        )


def _check_strategy(strategy: tf.distribute.Strategy) -> None:
    refused = tf.distribute.ParameterServerStrategy, tf.distribute.TPUStrategy
    if isinstance(strategy, refused):
        raise ValueError(
            "OverloadingCallback needs a strategy whose replicas take the same steps, "
            "on devices that hold tables: MirroredStrategy for the GPUs of one "
            "machine, or MultiWorkerMirroredStrategy for several machines. "
            f"Received: {type(strategy).__name__}."
        )


def begin_rounds(
    model: keras.Model,
    settings: Settings,
    source: SampleSource,
    arguments: Mapping[str, Any],
) -> Rounds:
    """Return the rounds for training a DOSModel, in the scope of its strategy.

    Args:
        model: A compiled DOSModel.
        settings: The user's settings.
        source: The samples.
        arguments: Those of `fit`, by name.

    Raises:
        ImportError: If `neighbor_search` names a package that cannot be imported.
        TypeError: If a setting is of the wrong type.
        ValueError: If the model, the settings and the samples do not fit together.
    """
    _check_first_outputs(model, source)
    check_validation(model, arguments["validation_data"])
    strategy = model.distribute_strategy
    if tf.distribute.has_strategy() or strategy is not tf.distribute.get_strategy():
        # Under a strategy Keras builds loss and metrics from the first batch of `fit`
        # by calling the model on it, and a batch of quadruplets is not a valid input.
        first = tf.zeros(1, tf.int64)
        _, row = next(iter(source.batches(first, first)))
        model.test_on_batch(*row)
    model.embedder.jit_compile = model.jit_compile
    with strategy.scope():
        rounds = Rounds(
            settings,
            source,
            model.embedder,
            model.loss,
            n_classes=model.head.output_shape[-1],
            **{name: arguments[name] for name in ("epochs", "shuffle", "class_weight")},
        )
    dataset = rounds.dataset()
    spec = dataset.element_spec
    _check_labels_and_weights(model.loss, spec, arguments["class_weight"])
    epochs = arguments["epochs"]
    if 0 < arguments["initial_epoch"] < epochs and settings.warmup_depends_on_epochs:
        advice.of_a_moving_warm_up(arguments["initial_epoch"], epochs)
    if rounds.parameters.k_max and isinstance(source, InMemory):
        advice.of_copies(source.share_of_copies())
    _check_adjusted_once(model.loss, settings, epochs, rounds.parameters.k_max)
    plan = planned_epoch(settings.planned, 0, epochs)
    if plan.phase == "warmup" and strategy.num_replicas_in_sync == 1:
        _, y, *_ = next(iter(dataset))
        d = model.embedder.output_shape[-1]
        rounds.loss.check(y[:1], rounds.parameters.k_max, d)
    return rounds


def _check_labels_and_weights(loss: Any, spec: Any, class_weight: Any) -> None:
    _, y, *weight = spec
    check_label_form(loss, y.shape)
    if weight and class_weight is not None:
        raise ValueError(
            "`class_weight` must be left out where samples have weights: multiply the "
            "two into `sample_weight`. "
            f"Received: class_weight={class_weight} with weights of samples."
        )


def _check_adjusted_once(
    loss: Any, settings: Settings, epochs: int, k_max: int
) -> None:
    tau, schedule = settings.tau(k_max), settings.planned
    if not tau or not getattr(loss, "adjusts_logits", False):
        return
    if any(planned_epoch(schedule, epoch, epochs).prior for epoch in range(epochs)):
        raise ValueError(
            "The loss of `compile` is adjusted by the class frequencies, and "
            "OverloadingCallback would adjust it again in the rounds: compile with "
            '"sparse_categorical_crossentropy", or pass `logit_adjustment=0`. '
            f"Received: loss={type(loss).__name__}, logit_adjustment={tau:g}."
        )


def _check_first_outputs(model: keras.Model, source: SampleSource) -> None:
    """Raise unless the head gives probabilities on real samples.

    A network may know what to do with inputs that are not finite: its outputs tell.
    """
    not_finite = np.empty(0, np.int64)
    if isinstance(source, InMemory):
        not_finite = source.not_finite()
    for ids in (np.arange(min(len(source.classes), 8)), not_finite[:8]):
        if not len(ids):
            continue
        p = ops.convert_to_numpy(model.classifier(_inputs(source, ids), training=False))
        if np.isfinite(p).all():
            _checks.probabilities("probabilities", p)
        elif len(not_finite):
            raise ValueError(
                "`x` must be finite: drop or replace what is missing. Received: NaN or "
                f"infinity in {len(not_finite):,} of {len(source.classes):,} samples, "
                f"such as {not_finite[:5].tolist()}."
            )
        else:
            raise ValueError(
                "The model must give finite probabilities before it trains: its "
                "weights or inputs are not finite, or too large. Received: NaN or "
                f"infinity for samples {ids[~np.isfinite(p).all(axis=1)].tolist()}."
            )


def _inputs(source: SampleSource, ids: NDArray[np.int64]) -> Any:
    """Return a few inputs, as the network takes them.

    Raises:
        ValueError: If there are none.
    """
    for _, x in source.inputs(ids, len(ids)):
        return x
    raise ValueError(
        "`inputs` of the source must return one row for each id, in each pass: a "
        "generator must begin anew, where one that has ended gives nothing. "
        f"Received: no rows for {len(ids)} ids."
    )
