"""The slots of N(x): what they hold, where gradients go, and the logits of g."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dos.slots import fill_slots, slot_logits

W = np.array([[0.2, 0.3, 0.5], [0.4, 0.0, 0.6], [1.0, 0.0, 0.0]], "float32")


def parts(seed=0, b=3, k=2, d=4):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(b, d)).astype("float32")
    return embedding, rng.normal(size=(b, k, d)).astype("float32")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_slots_that_do_not_exist_hold_the_live_embedding(dtype):
    embedding, neighbors = parts()
    live = embedding.astype(dtype)
    slots = fill_slots(live, neighbors, W)
    assert slots.dtype == tf.float32
    for i, w in enumerate(W):
        np.testing.assert_array_equal(slots[i, 0], live[i])
        for slot in (1, 2):
            stored = neighbors[i, slot - 1] if w[slot] else live[i]
            np.testing.assert_array_equal(slots[i, slot], stored)


def test_only_slot_0_is_alive():
    """A copy with a gradient would move f(x) through the statistics of a batch."""
    embedding, neighbors = parts()
    live = tf.Variable(embedding)
    factors = np.random.default_rng(1).normal(size=(3, 3, 4)).astype("float32")
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(factors * fill_slots(live, neighbors, W))
    gradient = tape.gradient(total, live)
    np.testing.assert_allclose(gradient, factors[:, 0], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_without_a_softmax_logits_are_log_p_and_finite(dtype):
    head = keras.Sequential(
        [keras.Input((4,)), keras.layers.Activation("linear", dtype=dtype)]
    )
    smallest = {"float32": 1e-30, "float16": 2.0**-14}[dtype]
    p = np.array([[[0.5, 0.25, smallest, 0.0]]], "float32")
    logits = slot_logits(head, tf.constant(p))
    assert logits.dtype == tf.float32
    expected = [np.log(v) for v in (0.5, 0.25, smallest, 2.0**-126)]
    np.testing.assert_allclose(logits[0, 0], expected, rtol=1e-6)


def test_logits_are_those_of_each_slot_in_training_mode():
    keras.utils.set_random_seed(0)
    normalization = keras.layers.BatchNormalization(momentum=0.0, epsilon=1e-6)
    softmax = keras.layers.Dense(3, activation="softmax", use_bias=False)
    head = keras.Sequential([keras.Input((4,)), normalization, softmax])
    embedding, neighbors = parts()
    slots = np.concatenate([embedding[:, None], neighbors], axis=1)
    logits = slot_logits(head, tf.constant(slots))
    rows = slots.reshape(9, 4).astype("float64")
    (kernel,) = softmax.get_weights()
    expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-6) @ kernel
    np.testing.assert_allclose(logits, expected.reshape(3, 3, 3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(normalization.moving_mean, rows.mean(0), atol=1e-6)
