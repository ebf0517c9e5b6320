"""Why freeze first: a backbone trained elsewhere, with a new head, then all layers.

    python examples/gallery/backbone.py

The backbone learns the digits 0 to 4; the task is 5 to 9, two of them rare. A new head
learns on the frozen backbone, with DOS or plainly; then all layers go on with DOS.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from keras_dos import DOSModel, OverloadingCallback, make_imbalanced

LOSS = "sparse_categorical_crossentropy"


def pretrained(x: np.ndarray, y: np.ndarray) -> keras.Model:
    """Return a small backbone, trained on classes of its own."""
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16)]
    layers += [keras.layers.Conv2D(n, 3, activation="relu") for n in (16, 32)]
    backbone = keras.Sequential([*layers, keras.layers.Flatten()])
    classifier = keras.Sequential([backbone, keras.layers.Dense(5, "softmax")])
    classifier.compile("adam", LOSS)
    classifier.fit(x, y, epochs=10, verbose=0)
    return backbone


def on_top(backbone: keras.Model) -> DOSModel:
    """Return a new embedding and head on the frozen backbone."""
    backbone.trainable = False
    inputs = keras.Input((8, 8, 1))
    # With training=False, BatchNormalization would keep its statistics too.
    e = keras.layers.Dense(32, activation="relu")(backbone(inputs, training=False))
    p = keras.layers.Dense(5, activation="softmax")(e)
    return DOSModel(inputs, {"embedding": e, "probabilities": p})


def one_draw(seed: int) -> list[float]:
    """Return the balanced accuracy of each stage, in %."""
    keras.utils.set_random_seed(seed)
    x, y = load_digits(return_X_y=True)
    x, old = x.reshape(-1, 8, 8, 1), y < 5
    backbone = pretrained(x[old], y[old])
    x, x_test, y, y_test = train_test_split(x[~old], y[~old] - 5, random_state=seed)
    kept, scores = make_imbalanced(y, reduction_rate=0.95, minority=2, seed=seed), []

    def fit(model: DOSModel, rate: float, *callbacks: OverloadingCallback) -> None:
        model.compile(keras.optimizers.Adam(rate), LOSS)  # Anew: `trainable` changed.
        model.fit(x[kept], y[kept], epochs=20, callbacks=[*callbacks], verbose=0)
        predicted = model.classifier.predict(x_test, verbose=0).argmax(axis=1)
        scores.append(100 * balanced_accuracy_score(y_test, predicted))

    fit(on_top(backbone), 1e-3)
    model = on_top(backbone)
    fit(model, 1e-3, OverloadingCallback(k=5, seed=seed))
    backbone.trainable = True
    # It is warm already; a pass finds the neighbors of the first round.
    fit(model, 1e-4, OverloadingCallback(k=5, warmup_epochs=0, embeddings="pass"))
    return scores


def main(draws: int = 4) -> None:
    """Print the mean of each stage over the draws."""
    print(f"{draws} draws, three quarters of a minute on two cores ...")
    scores = np.array([one_draw(seed) for seed in range(draws)])
    print("balanced accuracy, %")
    for i, stage in enumerate(("frozen, plain", "frozen, DOS", "then unfrozen, DOS")):
        print(f"{stage:<20}{scores[:, i].mean():5.1f} ± {scores[:, i].std():4.1f}")


if __name__ == "__main__":
    main()
