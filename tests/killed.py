"""A training with a backup that may kill itself, for test_backup.py.

    python killed.py FOLDER SETTINGS [MOMENT SEED]

SETTINGS is JSON, the arguments of `train`. With a MOMENT the process kills itself once:
"any", at a random time; "step", after a random step; "refresh", in a random search;
"write", in the middle of a random write of the backup. Without one it trains to the
end and writes weights, optimizer variables and states of random layers to
FOLDER/end.npz.
"""

import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

import keras
import numpy as np
from toy import blobs, compiled

from keras_dos import BackupAndRestore, DOSModel, OverloadingCallback
from keras_dos.search import ExactSearch

EPOCHS, BATCH = 6, 8
X, Y = blobs()  # 104 quadruplets: 13 steps.


def model_with_random_layers(width=16, **compiled_with):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    h = keras.layers.GaussianNoise(0.1)(inputs)  # As augmentation in the model.
    h = keras.layers.BatchNormalization()(keras.layers.Dense(width, "relu")(h))
    e = keras.layers.Dense(5, "tanh")(keras.layers.Dropout(0.2)(h))
    p = keras.layers.Dense(3, "softmax")(keras.layers.Dropout(0.1)(e))
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    return compiled(model, optimizer=keras.optimizers.Adam(0.01), **compiled_with)


def train(folder, callbacks=(), search=None, save_freq="epoch", steps=1, **settings):
    model = model_with_random_layers(steps_per_execution=steps)
    search = search or ExactSearch()
    own = OverloadingCallback(
        k=3, warmup_epochs=2, neighbor_search=search, seed=5, **settings
    )
    kept = [] if folder is None else [BackupAndRestore(folder, save_freq)]
    history = model.fit(
        X,
        Y,
        batch_size=BATCH,
        epochs=EPOCHS,
        callbacks=[own, *kept, *callbacks],
        verbose=0,
    )
    return model, history


def everything(model):
    """All that training changes."""
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class AfterStep(keras.callbacks.Callback):
    def __init__(self, rng):
        super().__init__()
        self.left = int(rng.integers(1, EPOCHS * 13))

    def on_train_batch_end(self, batch, logs=None):
        self.left -= self.model.steps_per_execution
        if self.left <= 0:
            kill()


class InSearch:
    def __init__(self, rng):
        self.left = int(rng.integers(1, 8))

    def search(self, vectors, k):
        self.left -= 1
        if self.left == 0:
            kill()
        return ExactSearch().search(vectors, k)


class InWrite(keras.callbacks.Callback):
    """Kills in the middle of a write: the system ends a process at a file's limit."""

    def __init__(self, rng):
        super().__init__()
        self.at, self.bytes = int(rng.integers(EPOCHS)), int(rng.integers(20_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.bytes, most))


if __name__ == "__main__":
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    moment, seed = (*sys.argv[3:], None, None)[:2]
    rng = np.random.default_rng(int(seed or 0))
    more = {}
    if moment == "any":
        threading.Timer(rng.uniform(0, 12), kill).start()
    elif moment == "step":
        more["callbacks"] = [AfterStep(rng)]
    elif moment == "refresh":
        more["search"] = InSearch(rng)
    elif moment == "write":
        more["callbacks"] = [InWrite(rng)]
    model, _ = train(folder / "backup", **settings, **more)
    np.savez(folder / "end.npz", *everything(model))
