"""tf.distribute: two replicas on logical CPUs, which a process sets up only once."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

from toy import blobs, largest_difference, penalized

from keras_dos import OverloadingCallback
from keras_dos.samples import Indexed, Stream

inside, embeddings, source = sys.argv[1] == "inside", sys.argv[2], sys.argv[3]


def train(strategy):
    x, y = blobs((30, 20, 6))  # 78 quadruplets: the last batch has 14.
    weights = np.random.default_rng(0).uniform(0.5, 2, len(x))
    with strategy.scope():
        model = penalized()

    callback = OverloadingCallback(k=3, warmup_epochs=1, embeddings=embeddings)

    # Even halves of each batch: Keras weights uneven ones equally.
    data = {"x": x, "y": y, "sample_weight": weights, "batch_size": 32}
    if source == "stream":
        rows = tf.data.Dataset.from_tensor_slices((x, y, weights))
        data = {"x": Stream(rows.batch(32))}
    elif source == "indexed":
        data = {"x": Indexed(list(zip(x, y, weights)), batch_size=32)}

    def fit():
        return model.fit(**data, epochs=3, verbose=0, callbacks=[callback]).history

    if inside:
        with strategy.scope():
            history = fit()
    else:
        history = fit()
    return model.get_weights(), history


expected, one = train(tf.distribute.get_strategy())
weights, two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert largest_difference(expected, weights) < 1e-5
for name in ("loss", "embedding_loss", "classification_loss", "accuracy"):
    np.testing.assert_allclose(two[name], one[name], rtol=1e-5)
print("equal")
"""


@pytest.mark.parametrize(
    ("where", "embeddings", "source"),
    [
        ("inside", "training", "arrays"),
        ("outside", "training", "stream"),
        ("outside", "pass", "arrays"),
        ("inside", "pass", "indexed"),
    ],
)
def test_two_replicas_take_the_same_steps_as_one(where, embeddings, source):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, where, embeddings, source],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("equal\n"), done.stderr[-3000:]
