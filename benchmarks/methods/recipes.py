"""What people train with today, alone and with Deep Over-sampling on top."""

import time
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from benchmarks import networks
from benchmarks.methods import losses
from benchmarks.methods.baselines import CROSS_ENTROPY, shuffled, train
from benchmarks.methods.deep_over_sampling import NO_NEIGHBORS, fit_rounds
from benchmarks.methods.samples import mixed_up
from benchmarks.methods.task import Task, Trained
from keras_dos import DOSModel

FORMS: dict[str, dict[str, Any] | None] = {
    "alone": None,
    "no neighbors": NO_NEIGHBORS,
    "DOS": {},
}


def recipe(task: Task, *, name: str = "augmentation", form: str = "DOS") -> Trained:
    """Train by a recipe, with the callback or without.

    Args:
        task: What to train on.
        name: A key of `RECIPES`. Defaults to "augmentation", random shifts.
        form: A key of `FORMS`: the recipe alone, with the same rounds but no
            neighbors, or with the defaults of `OverloadingCallback`. Defaults to "DOS".
    """
    return RECIPES[name](task, FORMS[form])


def _augmented(task: Task) -> DOSModel:
    return networks.shifted(task.network())


def _with_loss(
    loss: Callable[[Task], Any], network: Callable[[Task], DOSModel] = _augmented
) -> Callable[[Task, dict[str, Any] | None], Trained]:
    def run(task: Task, settings: dict[str, Any] | None) -> Trained:
        model = network(task)
        if settings is None:
            return train(task, model, loss(task))
        task.compile(model, loss(task))
        return _fit(task, model, settings)

    return run


def _weight_averaging(task: Task, settings: dict[str, Any] | None) -> Trained:
    """Keep a moving average of the weights, which `fit` takes over at its end."""
    model = _augmented(task)
    optimizer = task.new_optimizer(task.epochs * task.steps)
    optimizer.use_ema = True
    if settings is None:
        return train(task, model, CROSS_ENTROPY, optimizer=optimizer)
    task.compile(model, CROSS_ENTROPY, optimizer)
    return _fit(task, model, settings)


def _mixup(task: Task, settings: dict[str, Any] | None) -> Trained:
    """Mix images and labels; with the callback in the warm-up alone."""
    model = _augmented(task)
    data = mixed_up(shuffled(task), 0.2, task.seed)
    if settings is None:
        return train(task, model, "categorical_crossentropy", data)
    warmup = 2 * task.epochs // 3
    optimizer = task.new_optimizer(task.epochs * task.steps)
    task.compile(model, "categorical_crossentropy", optimizer)
    started = time.perf_counter()
    model.fit(data, epochs=warmup, steps_per_epoch=task.steps, shuffle=False, verbose=0)
    before = time.perf_counter() - started
    task.compile(model, CROSS_ENTROPY, optimizer)  # It keeps its state.
    more = {"warmup_epochs": warmup}
    return _fit(task, model, settings | more, initial_epoch=warmup, before=before)


def _fit(
    task: Task,
    model: DOSModel,
    settings: dict[str, Any],
    *,
    initial_epoch: int = 0,
    before: float = 0.0,
) -> Trained:
    started = time.perf_counter()
    history = fit_rounds(task, model, task.epochs, settings, initial_epoch)
    seconds = before + time.perf_counter() - started
    p = task.predict(model.classifier)
    return Trained({"softmax": p}, task.epochs * task.steps, seconds, history)


def _cosine_head(task: Task) -> DOSModel:
    return networks.with_cosine_head(_augmented(task))


def _smoothed(y: Any, p: Any) -> Any:
    labels = ops.one_hot(ops.reshape(y, (-1,)), p.shape[-1])
    return keras.losses.categorical_crossentropy(labels, p, label_smoothing=0.1)


RECIPES: dict[str, Callable[[Task, dict[str, Any] | None], Trained]] = {
    "no augmentation": _with_loss(lambda task: CROSS_ENTROPY, Task.network),
    "augmentation": _with_loss(lambda task: CROSS_ENTROPY),
    "mixup": _mixup,
    "label smoothing": _with_loss(lambda task: _smoothed),
    "focal loss": _with_loss(lambda task: losses.focal(1.0)),
    "LDAM": _with_loss(
        lambda task: losses.ldam(task.counts, networks.COSINE_SCALE), _cosine_head
    ),
    "weight averaging": _weight_averaging,
}
