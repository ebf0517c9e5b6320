"""tf.distribute: two replicas on logical CPUs, which a process sets up only once."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TWO_DEVICES = """
import sys

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

from killed import everything, train
from toy import blobs, compiled, largest_difference, penalized

from keras_dos import DOSModel, OverloadingCallback
from keras_dos.metrics import BalancedAccuracy, MacroF1
from keras_dos.samples import Indexed, InMemory, Stream

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""

SAME_STEPS = """

inside, embeddings, source = sys.argv[1] == "inside", sys.argv[2], sys.argv[3]


def train(strategy):
    x, y = blobs((30, 20, 6))  # 78 quadruplets: the last batch has 14.
    weights = np.random.default_rng(0).uniform(0.5, 2, len(x))
    with strategy.scope():
        measures = ["accuracy", MacroF1()]
        model = penalized(metrics=measures, weighted_metrics=[BalancedAccuracy()])

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
weights, two = train(mirrored)
assert largest_difference(expected, weights) < 1e-5
losses = "loss", "embedding_loss", "classification_loss"
for name in (*losses, "accuracy", "macro_f1", "balanced_accuracy"):
    np.testing.assert_allclose(two[name], one[name], rtol=1e-5)
print("equal")
"""


# An epoch of 79 quadruplets. Before the last batch one device has the same weights.
ODD = """
x, y = blobs((30, 20, 6), d=16)
sizes = np.array([30, 20, 29])


def train(strategy, size):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input((16,))
        h = keras.layers.Reshape((4, 4, 1))(inputs)
        h = keras.layers.MaxPooling2D()(keras.layers.Conv2D(3, 3, padding="same")(h))
        e = keras.layers.Dense(5, "tanh")(keras.layers.Flatten()(h))
        p = keras.layers.Dense(3, "softmax")(e)
        model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}))
    taken, weights = [], []

    def note(batch, logs):
        taken.append(batch)
        weights.append(model.get_weights())

    model.fit(
        x,
        y,
        batch_size=size,
        epochs=1,
        verbose=0,
        callbacks=[
            OverloadingCallback(
                k=3, r=sizes / [30, 20, 6], warmup_epochs=0, embeddings="pass"
            ),
            keras.callbacks.LambdaCallback(on_train_batch_end=note),
        ],
    )
    return len(taken), weights


for size, any_left in (32, True), (26, False):  # 15 and 1 for one device.
    steps, expected = train(tf.distribute.get_strategy(), size)
    taken, weights = train(mirrored, size)
    full = 79 // size
    assert (steps, taken) == (full + 1, full + any_left)
    assert largest_difference(expected[full - 1], weights[full - 1]) < 1e-5
    assert all(np.isfinite(w).all() for w in weights[-1])
print("equal")
"""

RESUMED = """
class Stop(Exception):
    pass


def stop(batch, logs):
    steps.append(batch)
    if len(steps) == 13 * 3 + 8:
        raise Stop


steps = []
with mirrored.scope():
    expected, _ = train(None)
    interrupt = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    try:
        train(sys.argv[1], [interrupt], save_freq=5)
    except Stop:
        pass
    resumed, history = train(sys.argv[1], save_freq=5)
assert history.epoch == [3, 4, 5], history.epoch
for one, two in zip(expected.variables, resumed.variables, strict=True):
    for of_replicas in zip(one.value.values, two.value.values):  # Averages differ.
        np.testing.assert_array_equal(*of_replicas)
for one, two in zip(everything(expected), everything(resumed), strict=True):
    np.testing.assert_array_equal(one, two)
print("equal")
"""


def prints_equal(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES + script, *arguments],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("equal\n"), done.stderr[-3000:]


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
    prints_equal(SAME_STEPS, where, embeddings, source)


ODD_SIZE = """
x, y = blobs((30, 20, 6))
with mirrored.scope():
    model = penalized()
try:
    model.fit(x, y, batch_size=7, verbose=0, callbacks=[OverloadingCallback()])
except ValueError as error:
    assert "a multiple of the 2 replicas" in str(error), error


class Ends(InMemory):
    def batches(self, ids, seeds):
        return super().batches(ids, seeds).take(1)


try:
    model.fit(Ends(x, y), verbose=0, callbacks=[OverloadingCallback()])
except tf.errors.InvalidArgumentError as error:
    assert "ends before all places have come" in str(error), error
    print("equal")
"""


def test_batches_that_replicas_cannot_share_and_early_ends_are_refused():
    prints_equal(ODD_SIZE)


def test_replicas_share_the_last_batch_equally():
    """Where one sample is left, a replica would have an empty batch."""
    prints_equal(ODD)


def test_a_training_on_two_replicas_goes_on_from_its_backup(tmp_path):
    prints_equal(RESUMED, str(tmp_path))
