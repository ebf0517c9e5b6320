"""Why not start anew: a classifier that is trained already goes on with DOS.

    python examples/gallery/from_classifier.py

`DOSModel.from_classifier` shares the layers of a Keras classifier, whose embedding is
the output of a layer that you name. Beside it, a copy trains on plainly.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_dos import (
    DOSModel,
    OverloadingCallback,
    classwise_report,
    comparison_table,
    make_imbalanced,
)

RARE = [1, 4, 5, 8]


def trained_classifier(x: object, y: object) -> keras.Model:
    """Return a plain Keras classifier, compiled and trained as always."""
    classifier = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", name="features"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x, y, epochs=30, verbose=0)
    return classifier


def main(draws: int = 3) -> None:
    """Train plainly, go on plainly or with DOS, and compare."""
    print(f"{draws} draws, three quarters of a minute on two cores ...")
    digits = load_digits()
    for seed in range(draws):
        keras.utils.set_random_seed(seed)
        x, x_test, y, y_test = train_test_split(
            digits.images[..., None], digits.target, random_state=seed
        )
        kept = make_imbalanced(y, reduction_rate=0.9, minority=RARE, seed=seed)
        classifier = trained_classifier(x[kept], y[kept])
        copy = keras.models.clone_model(classifier)
        copy.set_weights(classifier.get_weights())
        copy.compile("adam", "sparse_categorical_crossentropy")
        probabilities = {"as it was": classifier.predict(x_test, verbose=0)}
        copy.fit(x[kept], y[kept], epochs=20, verbose=0)
        probabilities["20 more plain epochs"] = copy.predict(x_test, verbose=0)
        model = DOSModel.from_classifier(classifier, embedding="features")
        model.compile("adam", "sparse_categorical_crossentropy")
        # It is trained, so that the first epoch can be a round already.
        dos = OverloadingCallback(k=5, warmup_epochs=0, embeddings="pass", seed=seed)
        model.fit(x[kept], y[kept], epochs=20, callbacks=[dos], verbose=0)
        probabilities["20 more epochs of DOS"] = classifier.predict(x_test, verbose=0)
        reports = {
            name: classwise_report(y_test, p, RARE) for name, p in probabilities.items()
        }
        print(f"\nDraw {seed}\n{comparison_table(reports)}")


if __name__ == "__main__":
    main()
