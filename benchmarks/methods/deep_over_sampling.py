"""DOS with its defaults, with any setting, and with parts of it changed."""

import time
from typing import Any

from benchmarks.methods import readouts
from benchmarks.methods.ablations import changed
from benchmarks.methods.stored_embeddings import stored
from benchmarks.methods.task import Task, Trained
from keras_dos import DOSModel, OverloadingCallback

NO_NEIGHBORS: dict[str, Any] = {"k": 0, "logit_adjustment": 1.0}
"""The re-sampling and the adjusted H of the rounds, without their neighbors."""


def dos(
    task: Task,
    *,
    embedding_readouts: bool = False,
    change: str = "",
    source: str | None = None,
    **settings: Any,
) -> Trained:
    """Train with the callback; without settings, with its defaults.

    Args:
        task: What to train on.
        embedding_readouts: Whether to add DOS-kNN and DOS-LR.
        change: The name of a change to the method, for ablations; none by default.
        source: A source of stored embeddings from `stored_embeddings`. Defaults to
            None: one of the package.
        **settings: Arguments of `OverloadingCallback`.

    Returns:
        The result. If r makes epochs longer than those of the budget, there are as
        many fewer of them, rounded.
    """
    steps = task.steps_of(settings.get("r", "moderate"))
    epochs = max(2, round(task.epochs * task.steps / steps))
    warmup = settings.pop("warmup_fraction", None)
    if warmup is not None:
        settings["warmup_epochs"] = min(epochs - 1, round(epochs * warmup))
    started = time.perf_counter()
    model = task.network()
    task.compile(model, "sparse_categorical_crossentropy", steps=epochs * steps)
    with stored(source):
        history = fit_rounds(task, model, epochs, changed(change, settings))
    seconds = time.perf_counter() - started
    outputs = {"softmax": task.predict(model.classifier)}
    if embedding_readouts:
        outputs.update(readouts.of_embedding(task, model))
    return Trained(outputs, epochs * steps, seconds, history)


def fit_rounds(
    task: Task,
    model: DOSModel,
    epochs: int,
    settings: dict[str, Any],
    initial_epoch: int = 0,
) -> dict[str, list[float]]:
    """Train a compiled model with the callback; return the history.

    Args:
        task: What to train on.
        model: The model.
        epochs: Number of the last epoch.
        settings: Arguments of `OverloadingCallback`, where they are not the defaults,
            the minority classes and the seed of the task.
        initial_epoch: As in Keras. Defaults to 0.
    """
    of_task = {"minority": task.minority or None, "seed": task.seed}
    history: dict[str, list[float]] = model.fit(
        task.x,
        task.y,
        batch_size=task.batch_size,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[OverloadingCallback(**of_task | settings)],
        verbose=0,
    ).history
    return history
