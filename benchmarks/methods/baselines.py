"""The methods that people would pick instead, each on the same budget of steps."""

import time
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from benchmarks import networks
from benchmarks.methods import losses, readouts, samples, weights
from benchmarks.methods.task import Task, Trained
from keras_dos import DOSModel

CROSS_ENTROPY = "sparse_categorical_crossentropy"
EFFECTIVE_BETA = 0.9999  # As in the papers of LDAM and of deferred re-weighting.


def plain(task: Task) -> Trained:
    """Train with cross-entropy on the samples as they are; add CNN-CL and post-hoc."""
    model = task.network()
    trained = train(task, model, CROSS_ENTROPY)
    softmax = trained.readouts["softmax"]
    more = {**readouts.of_embedding(task, model), **readouts.post_hoc(task, softmax)}
    return replace(trained, readouts=trained.readouts | more)


def class_weights(task: Task, power: float = 1.0) -> Trained:
    """Train with cross-entropy weighted by n_j^(−power)."""
    class_weight = weights.inverse_frequency(task.counts, power)
    return train(task, task.network(), CROSS_ENTROPY, class_weight=class_weight)


def class_balanced_loss(task: Task, beta: float = 0.999) -> Trained:
    """Train with cross-entropy weighted by the effective number of samples."""
    class_weight = weights.effective_number(task.counts, beta)
    return train(task, task.network(), CROSS_ENTROPY, class_weight=class_weight)


def over_sampling(task: Task) -> Trained:
    """Train with cross-entropy on class-balanced random samples."""
    data = class_balanced(task)
    return train(task, task.network(), CROSS_ENTROPY, data)


def smote(task: Task) -> Trained:
    """Train with cross-entropy on the set that SMOTE balances, on pixels."""
    x, y = samples.smote(task.x, task.y, task.seed)
    data = samples.shuffled(x, y, task.batch_size, task.seed)
    return train(task, task.network(), CROSS_ENTROPY, data)


def focal(task: Task, gamma: float = 2.0) -> Trained:
    """Train with the focal loss."""
    return train(task, task.network(), losses.focal(gamma))


def logit_adjustment(task: Task, tau: float = 1.0) -> Trained:
    """Train with logit-adjusted cross-entropy; with τ = 1 it is balanced softmax."""
    return train(task, task.network(), losses.logit_adjusted(task.counts, tau))


def mixup(task: Task, alpha: float = 0.2, tau: float = 0.0) -> Trained:
    """Train on mixed images and labels; with τ > 0 with logit adjustment."""
    data = samples.mixed_up(shuffled(task), alpha, task.seed)
    loss = losses.logit_adjusted_mixed(task.counts, tau)
    return train(
        task, task.network(), loss if tau else "categorical_crossentropy", data
    )


def deferred_reweighting(task: Task, fraction: float = 0.2) -> Trained:
    """Train plainly, then with class-balanced weights in the last epochs."""
    return _deferred(
        task, task.network(), CROSS_ENTROPY, fraction, class_weight=_effective(task)
    )


def deferred_logit_adjustment(
    task: Task, tau: float = 1.0, fraction: float = 0.2
) -> Trained:
    """Train plainly, then with logit-adjusted cross-entropy in the last epochs."""
    adjusted = losses.logit_adjusted(task.counts, tau)
    return _deferred(task, task.network(), CROSS_ENTROPY, fraction, late_loss=adjusted)


def ldam_drw(task: Task, scale: float = 30.0, fraction: float = 0.2) -> Trained:
    """Train with LDAM and deferred re-weighting; the head compares directions."""
    model = networks.with_cosine_head(task.network(), scale)
    loss = losses.ldam(task.counts, scale)
    return _deferred(task, model, loss, fraction, class_weight=_effective(task))


def head_retraining(task: Task, fraction: float = 1 / 3) -> Trained:
    """Train plainly, then a fresh head on class-balanced samples (cRT).

    Kang et al., ICLR 2020. The two stages share the budget.
    """
    first = _first_epochs(task, fraction)
    network = task.network()
    features = train(task, network, CROSS_ENTROPY, epochs=first)
    network.embedder.trainable = False
    embedding = network.output["embedding"]
    head = layers.Dense(10, activation="softmax", name="fresh")
    model = DOSModel(
        network.input, {"embedding": embedding, "probabilities": head(embedding)}
    )
    data = class_balanced(task)
    trained = train(task, model, CROSS_ENTROPY, data, epochs=task.epochs - first)
    return replace(
        trained,
        steps=features.steps + trained.steps,
        seconds=features.seconds + trained.seconds,
    )


def _deferred(
    task: Task,
    model: DOSModel,
    loss: Any,
    fraction: float,
    *,
    late_loss: Any = None,
    class_weight: dict[int, float] | None = None,
) -> Trained:
    """Train, and change the loss or the weights of classes for the last epochs."""
    first = _first_epochs(task, fraction)
    data = shuffled(task)
    started = time.perf_counter()
    task.compile(model, loss)
    settings: dict[str, Any] = {
        "steps_per_epoch": task.steps,
        "shuffle": False,
        "verbose": 0,
    }
    model.fit(data, epochs=first, **settings)
    if late_loss is not None:
        task.compile(model, late_loss, model.optimizer)  # It keeps its state.
    history = model.fit(
        data,
        epochs=task.epochs,
        initial_epoch=first,
        class_weight=class_weight,
        **settings,
    )
    seconds = time.perf_counter() - started
    p = task.predict(model.classifier)
    return Trained({"softmax": p}, task.epochs * task.steps, seconds, history.history)


def _effective(task: Task) -> dict[int, float]:
    return weights.effective_number(task.counts, EFFECTIVE_BETA)


def _first_epochs(task: Task, fraction: float) -> int:
    """Return the epochs before a last stage that takes this fraction of all."""
    return min(task.epochs - 1, max(1, round(task.epochs * (1 - fraction))))


def train(
    task: Task,
    model: DOSModel,
    loss: Any,
    data: tf.data.Dataset | None = None,
    *,
    epochs: int | None = None,
    class_weight: dict[int, float] | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
) -> Trained:
    """Train for the budget, or for some of its epochs."""
    epochs = task.epochs if epochs is None else epochs
    if data is None:
        data = shuffled(task)
    started = time.perf_counter()
    task.compile(model, loss, optimizer, steps=epochs * task.steps)
    history: keras.callbacks.History = model.fit(
        data,
        epochs=epochs,
        steps_per_epoch=task.steps,
        class_weight=class_weight,
        shuffle=False,
        verbose=0,
    )
    seconds = time.perf_counter() - started
    p = task.predict(model.classifier)
    return Trained({"softmax": p}, epochs * task.steps, seconds, history.history)


def shuffled(task: Task) -> tf.data.Dataset:
    """Return endless batches of the training set, each pass in an order of its own."""
    return samples.shuffled(task.x, task.y, task.batch_size, task.seed)


def class_balanced(task: Task) -> tf.data.Dataset:
    """Return batches of the training set in which all classes are equally likely."""
    return samples.class_balanced(task.x, task.y, task.batch_size, task.seed)
