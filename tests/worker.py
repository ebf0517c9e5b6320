"""One of two workers, or a single process, for test_workers.py: it trains and notes.

    python worker.py FOLDER TASK...

With TF_CONFIG it is one of several workers. The last line that it prints is JSON.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

SEVERAL = "TF_CONFIG" in os.environ
if SEVERAL:  # Before anything else touches TensorFlow's devices.
    STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()
    INDEX = STRATEGY.cluster_resolver.task_id
else:
    STRATEGY, INDEX = tf.distribute.get_strategy(), 0

import keras  # noqa: E402
from toy import blobs, compiled, penalized  # noqa: E402

from keras_dos import BackupAndRestore, DOSModel, OverloadingCallback, workers  # noqa: E402
from keras_dos.samples import Indexed, Stream  # noqa: E402

X, Y = blobs((30, 20, 8))  # 58 samples, 84 quadruplets: last batches of 2 and 4.
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, len(X)).astype("float32")


def network(**compiled_with):
    with STRATEGY.scope():
        return penalized(**compiled_with)


def note(model, history):
    weights = np.concatenate([w.ravel() for w in model.get_weights()]).tolist()
    history = {k: v for k, v in history.history.items() if k != "refresh_time"}
    return {"weights": weights, "history": history}


def fit(*data, callbacks=(), epochs=4, steps=1, settings=None, **more):
    settings = {"k": 3, "warmup_epochs": 2, **(settings or {})}
    model = network(steps_per_execution=steps)
    callbacks = [OverloadingCallback(**settings), *callbacks]
    history = model.fit(*data, epochs=epochs, callbacks=callbacks, verbose=0, **more)
    return note(model, history)


def plain():
    """Without the callback."""
    model = network()
    arguments = {"batch_size": 8, "shuffle": False, "validation_data": (X, Y)}
    return note(model, model.fit(X, Y, epochs=2, verbose=0, **arguments))


def training():
    arguments = {"batch_size": 8, "sample_weight": WEIGHTS, "validation_data": (X, Y)}
    return fit(X, Y, **arguments)


def passed():
    return fit(X, Y, batch_size=8, settings={"embeddings": "pass"})


def mapped():
    """With a table of half the size in a file of each worker."""
    settings = {"table_dtype": "float16", "table_dir": FOLDER}
    return fit(X, Y, batch_size=8, settings=settings)


def normalized():
    """With BatchNormalization, and validation data of an odd last batch."""
    with STRATEGY.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        e = keras.layers.Dense(5)(inputs)
        e = keras.layers.BatchNormalization(synchronized=True)(e)
        p = keras.layers.Dense(3, "softmax")(e)
        model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}))
    callback = OverloadingCallback(k=3, warmup_epochs=2, embeddings="pass")
    arguments = {"batch_size": 8, "validation_data": (X[:57], Y[:57])}
    history = model.fit(X, Y, epochs=4, callbacks=[callback], verbose=0, **arguments)
    return note(model, history)


def stream():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    return fit(Stream(dataset))


def indexed():
    def jitter(x, rng):
        return x + rng.normal(scale=0.1, size=6).astype("float32")

    return fit(Indexed(X, Y, augment=jitter, batch_size=8))


def inference():
    model = network()
    losses = model.evaluate(X, Y, batch_size=8, verbose=0)
    p = model.predict(X, batch_size=8, verbose=0)["probabilities"]
    return {"evaluate": losses, "predict": p.ravel().tolist()}


def uneven():
    """81 quadruplets in batches of 8: the last has one, which two cannot share."""
    steps = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)

    kept = np.delete(np.arange(len(Y)), np.flatnonzero(Y == 2)[0])
    history = fit(X[kept], Y[kept], batch_size=8, callbacks=[Count()])["history"]
    return {"steps": len(steps), "loss": history["loss"]}


def refused():
    messages = []
    for arguments in ({"batch_size": 7}, {"class_weight": {0: 1.0}}, {"steps": 3}):
        try:
            fit(X, Y, **arguments)
        except ValueError as error:
            messages.append(str(error))
    return messages


def backup():
    """Stop within epoch 4, by a kill of the second worker if FOLDER has "kill"."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            here = (self.epoch, batch) == (3, 6)
            if here and INDEX == 1 and (FOLDER / "kill").exists():
                (FOLDER / "kill").unlink()
                os.kill(os.getpid(), signal.SIGKILL)

    kept = BackupAndRestore(FOLDER / "backup", save_freq=4)
    return fit(
        X,
        Y,
        batch_size=8,
        epochs=6,
        callbacks=[kept, Kill()],
    )


def other_epochs():
    """A backup that only the first worker has."""
    first = 2 if INDEX == 0 else 0
    try:
        fit(X, Y, batch_size=8, initial_epoch=first)
    except RuntimeError as error:
        return str(error)


def one_sided():
    """What goes wrong on one worker alone ends the training of all of them."""

    class Broken:
        def search(self, vectors, k):
            raise OSError("no index")

    class Short:
        """Of another type and shape than the other worker expects."""

        def search(self, vectors, k):
            return np.zeros((3, k), np.int32), np.zeros((3, k))

    shard = X[INDEX::2], Y[INDEX::2]
    at_once = {"embeddings": "pass", "warmup_epochs": 0}
    attempts = [
        ((X, Y), {"neighbor_search": Broken(), **at_once}),
        ((X, Y), {"neighbor_search": Short(), **at_once}),
        (shard, {}),
        ((X, Y), {"seed": INDEX}),
        ((X, np.roll(Y, INDEX)), {}),
    ]
    messages = []
    for data, settings in attempts:
        try:
            fit(*data, batch_size=8, settings=settings)
        except (OSError, RuntimeError) as error:
            messages.append(f"{type(error).__name__}: {error}")
    return messages


def exchanged():
    """Rows in parts of two, where a worker may have none left."""
    both, workers._PART_BYTES = workers.Workers(STRATEGY), 2 * 3 * 8
    for sizes in [(5, 2), (0, 7), (7, 0), (0, 0), (4, 9)]:
        rows = [np.arange(3 * b).reshape(-1, 3) + 100 * i for i, b in enumerate(sizes)]
        gathered = both.gathered(rows[INDEX])
        np.testing.assert_array_equal(gathered, np.concatenate(rows))
        assert both.parts(sizes[INDEX]) == [slice(0, workers.PART)][: max(sizes)]
    return "equal"


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    print(json.dumps({task: globals()[task]() for task in sys.argv[2:]}))
