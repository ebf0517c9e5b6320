"""An exported image network, and what its signatures have to answer."""

from dataclasses import dataclass
from pathlib import Path

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
