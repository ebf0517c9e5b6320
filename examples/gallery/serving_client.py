"""Why the prior matters to clients: one model, served where rare classes are rare.

    python examples/gallery/serving_client.py

After DOS the probabilities are those of equally frequent classes. Of two exports of one
model, the second is told how frequent the classes are where it serves. A client asks by
signature; a server gives the same answers over REST and gRPC (docs/serving.md).
"""

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from keras_dos import DOSModel, OverloadingCallback, class_counts, export_servable
from keras_dos.datasets import make_imbalanced

NAMES = [f"digit {digit}" for digit in range(10)]


def trained(x: np.ndarray, y: np.ndarray) -> DOSModel:
    """Return a small network after DOS."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,), name="pixels")
    hidden = keras.layers.Rescaling(1 / 16)(inputs)
    e = keras.layers.Dense(32, activation="relu")(hidden)
    p = keras.layers.Dense(10, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=30, callbacks=[OverloadingCallback(k=5)], verbose=0)
    return model


def ask(version: Path, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a servable answers, of which nothing is known but its folder."""
    servable = tf.saved_model.load(str(version))
    signature = servable.signatures["serving_default"]
    answer = signature(pixels=tf.constant(pixels, tf.float32))
    return {name: value.numpy() for name, value in answer.items()}


def main() -> None:
    """Train, export twice, and ask both on a test set as imbalanced as the training."""
    print("A quarter of a minute on two cores ...")
    digits = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(*digits, random_state=0)
    kept, kept_test = make_imbalanced(y), make_imbalanced(y_test)
    x, y, x_test, y_test = x[kept], y[kept], x_test[kept_test], y_test[kept_test]
    model, counts = trained(x, y), class_counts(y)
    priors: dict[str, dict[str, Any]] = {
        "equal classes": {},
        "as in training": {"deployment_prior": counts},
    }
    print("exported for     accuracy  balanced  log loss   first answer")
    for name, prior in priors.items():
        with tempfile.TemporaryDirectory() as folder:
            version = export_servable(model, folder, class_names=NAMES, **prior)
            answer = ask(version, x_test)
        p = answer["probabilities"]
        measures = (accuracy_score, balanced_accuracy_score)
        values = [measure(y_test, p.argmax(axis=1)) for measure in measures]
        values.append(log_loss(y_test, p, labels=range(10)))
        first = f"{answer['classes'][0, 0].decode()} {answer['scores'][0, 0]:.3f}"
        print(f"{name:<15}", *(f"{value:9.3f}" for value in values), f"  {first}")


if __name__ == "__main__":
    main()
