"""Measure the cost of a round of DOS against an epoch of plain Keras, in one run.

    python benchmarks/cost.py

Both train the same network on the same MNIST images for the same number of steps
(r = 1). The ratio is that of median epochs; the first epoch of each, which traces, is
left out. The time of a round includes its refresh: embedding, search and drawing.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow_datasets as tfds

from keras_dos import OverloadingCallback, networks

EPOCHS = 6


class EpochTimer(keras.callbacks.Callback):
    """A timer of epochs that includes `on_epoch_begin` of other callbacks."""

    def on_train_begin(self, logs: object = None) -> None:
        self.marks = [time.perf_counter()]

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.marks.append(time.perf_counter())

    def median(self, first: int) -> float:
        return float(np.median(np.diff(self.marks)[first:]))


def main() -> None:
    train = tfds.load("mnist", split="train[:20000]", batch_size=-1)
    x, y = train["image"].numpy(), train["label"].numpy()

    def epoch_seconds(first: int, callbacks: list[keras.callbacks.Callback]) -> float:
        keras.utils.set_random_seed(0)
        model = networks.c6_c16_f400_f120((28, 28, 1), n_classes=10)
        model.compile("adam", "sparse_categorical_crossentropy")
        timer = EpochTimer()
        model.fit(
            x,
            y,
            batch_size=60,
            epochs=EPOCHS,
            verbose=0,
            callbacks=[*callbacks, timer],
        )
        return timer.median(first)

    plain = epoch_seconds(1, [])
    print(f"plain Keras: {plain:.2f} s an epoch of {len(y):,} images")
    for k in (0, 3, 5, 10):
        callback = OverloadingCallback(k=k, r=1, warmup_epochs=1)
        seconds = epoch_seconds(2, [callback])
        print(f"DOS, k = {k}: {seconds:.2f} s, ratio {seconds / plain:.2f}")


if __name__ == "__main__":
    main()
