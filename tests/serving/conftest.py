"""One export for all tests of serving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from servable import NAMES, Served

from keras_dos import export_servable
from keras_dos.networks import c6_c16_f400_f120


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = c6_c16_f400_f120((32, 32, 3), n_classes=4)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    version = export_servable(
        model,
        tmp_path_factory.mktemp("models") / "svhn dos",
        class_names=NAMES,
        class_counts=[40, 30, 20, 10],
        warmup_inputs=images,
        metrics={"balanced accuracy": np.float32(0.75)},
    )
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    expected = model.predict(images, verbose=0)
    return Served(model, version, images, encoded, expected)
