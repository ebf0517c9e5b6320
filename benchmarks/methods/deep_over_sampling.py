"""DOS with its defaults, with any setting, and with parts of it changed."""

import time
from typing import Any

from benchmarks.methods import readouts
from benchmarks.methods.ablations import changed
from benchmarks.methods.task import Task, Trained
from keras_dos import OverloadingCallback


def dos(
    task: Task, *, embedding_readouts: bool = False, change: str = "", **settings: Any
) -> Trained:
    """Train with the callback; without settings, with its defaults.

    Args:
        task: What to train on.
        embedding_readouts: Whether to add DOS-kNN and DOS-LR.
        change: The name of a change to the method, for ablations; none by default.
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
    settings = {"minority": task.minority or None, "seed": task.seed} | settings
    callback = OverloadingCallback(**changed(change, settings))
    history = model.fit(
        task.x,
        task.y,
        batch_size=task.batch_size,
        epochs=epochs,
        callbacks=[callback],
        verbose=0,
    ).history
    seconds = time.perf_counter() - started
    outputs = {"softmax": task.predict(model.classifier)}
    if embedding_readouts:
        outputs.update(readouts.of_embedding(task, model))
    return Trained(outputs, epochs * steps, seconds, history)
