"""Train on a folder of images, one subfolder per class, read whenever a batch asks.

The folder is made from scikit-learn's handwritten digits, so that the example runs
anywhere; four classes are rare. `ImageFolder` is the part to take along.
    python examples/image_folder.py
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_dos import DOSModel, OverloadingCallback, classwise_report, make_imbalanced
from keras_dos.samples import Indexed

SIDE = 24


class ImageFolder:
    """The images of a folder by index, in the order of their paths, with `labels`."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*/*.png"))
        names = sorted({path.parent.name for path in self.paths})
        self.labels = [names.index(path.parent.name) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:
        image = keras.utils.load_img(self.paths[i], "grayscale", (SIDE, SIDE))
        return np.asarray(keras.utils.img_to_array(image, dtype="uint8"))


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
    embedding = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(x))
    probabilities = keras.layers.Dense(10, activation="softmax")(embedding)
    return DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})


def write(folder: Path, x: np.ndarray, y: np.ndarray) -> None:
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
        images = ImageFolder(train)
        source = Indexed(images, images.labels, augment=augment)
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(source, epochs=15, callbacks=[OverloadingCallback(k=5)], verbose=2)
        images = ImageFolder(test)
        x_test = np.stack([images[i] for i in range(len(images))])
    probabilities = model.classifier.predict(x_test, verbose=0)
    print(classwise_report(images.labels, probabilities, minority=range(4)))


if __name__ == "__main__":
    main()
