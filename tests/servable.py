"""An exported image network, what its signatures have to answer, and small helpers."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_dos import DOSModel

SIGNATURES = ["serving_default", "embed", "images_bytes"]
NAMES = ["zero", "one", "two", "drei und drüber"]


@dataclass(frozen=True)
class Served:
    """A version, images uint8 and as PNG, and what `predict` says of them."""

    model: DOSModel
    version: Path
    images: np.ndarray
    encoded: list[bytes]
    expected: dict[str, np.ndarray]

    def inputs(self, signature):
        """The inputs of a signature, by name."""
        if signature == "images_bytes":
            return {"images_bytes": np.array(self.encoded, dtype=object)}
        return {"images": self.images.astype("float32")}

    def outputs(self, signature):
        """What a signature has to answer; strings as bytes, as servers send them."""
        p = self.expected["probabilities"]
        if signature == "embed":
            return {"embedding": self.expected["embedding"]}
        order = np.argsort(-p, axis=1, kind="stable")
        names = np.array([name.encode() for name in NAMES], dtype=object)
        return {
            "probabilities": p,
            "classes": names[order],
            "scores": np.take_along_axis(p, order, axis=1),
        }


def of_input(shape, *layers):
    """A sequential model."""
    return keras.Sequential([keras.Input(shape), *layers])


def children(folder):
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())
