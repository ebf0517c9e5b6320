"""Train on a folder of images, one subfolder per class, read whenever a batch asks.

The folder is made from scikit-learn's handwritten digits, so that the example runs
anywhere; four classes are rare. `ImageFolder` is the part to take along.

    python examples/image_folder.py
"""

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_dos import DOSModel, OverloadingCallback, classwise_report, make_imbalanced
from keras_dos.samples import Indexed

SIDE = 24


class ImageFolder:
    """The images of a folder by index, in the order of their paths."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*/*.png"))
        names = sorted({path.parent.name for path in self.paths})
        self.labels = [names.index(path.parent.name) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        image = keras.utils.load_img(self.paths[i], "grayscale", (SIDE, SIDE))
        return keras.utils.img_to_array(image, dtype="uint8"), self.labels[i]


def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift by up to two pixels, and change the brightness."""
    shifted = np.roll(x, rng.integers(-2, 3, size=2), axis=(0, 1))
    return (shifted * rng.uniform(0.6, 1.0)).astype("uint8")


def network() -> DOSModel:
    """Return a small uncompiled network with BatchNormalization."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32):
        x = keras.layers.Conv2D(filters, 3, use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    embedding = keras.layers.Dense(64, activation="relu")(x)
    probabilities = keras.layers.Dense(10, activation="softmax")(embedding)
    return DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})


def write(folder: Path, x: Any, y: Any) -> None:
    """Write images as folder/class/number.png."""
    for i, (image, label) in enumerate(zip(x, y, strict=True)):
        path = folder / f"digit_{label}" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(path, image.reshape(8, 8, 1))


def main() -> None:
    """Write, train and evaluate."""
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0)
    kept = make_imbalanced(y, reduction_rate=0.8, minority=range(4))
    with tempfile.TemporaryDirectory() as name:
        train, test = Path(name) / "train", Path(name) / "test"
        write(train, x[kept], y[kept])
        write(test, x_test, y_test)
        source = Indexed(ImageFolder(train), augment=augment)
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        callback = OverloadingCallback(k=5)
        model.fit(source, epochs=15, callbacks=[callback], verbose=2)
        samples = [ImageFolder(test)[i] for i in range(len(y_test))]
    images, labels = (np.stack(column) for column in zip(*samples, strict=True))
    probabilities = model.classifier.predict(images, verbose=0)
    print(classwise_report(labels, probabilities, minority=range(4)))


if __name__ == "__main__":
    main()
