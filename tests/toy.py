"""A small problem and a small network, for tests that train."""

import keras
import numpy as np

from keras_dos import DOSModel


def blobs(counts=(40, 30, 8), d=6, seed=0, spread=1.0):
    """Gaussian classes in d dimensions, shuffled: x float32 (m, d), y int64 (m,)."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centers = rng.normal(scale=2.0, size=(len(counts), d))
    x = centers[y] + spread * rng.normal(size=(len(y), d))
    return x.astype("float32"), y


def network(d=6, n=3, embedding=5, *, seed=0, scale=1.0, policy=None, head=()):
    """An uncompiled DOSModel; `scale` multiplies the embedding, the head divides."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((d,))
    x = keras.layers.Dense(16, activation="relu", dtype=policy)(inputs)
    e = keras.layers.Dense(embedding, activation="tanh", dtype=policy)(x)
    if scale != 1.0:
        e = keras.layers.Rescaling(scale)(e)
    h = keras.layers.Rescaling(1 / scale)(e) if scale != 1.0 else e
    for layer in head:
        h = layer(h)
    p = keras.layers.Dense(n, activation="softmax", dtype="float32")(h)
    return DOSModel(inputs, {"embedding": e, "probabilities": p})


def penalized(**compiled_with):
    """A compiled DOSModel with a weight penalty, made in the scope that is open."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    e = keras.layers.Dense(5, "tanh", kernel_regularizer="l2")(inputs)
    p = keras.layers.Dense(3, "softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    return compiled(model, learning_rate=0.1, **compiled_with)


def identity_network(d=6, n=3, seed=0):
    """A DOSModel whose embedding is its input."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((d,))
    e = keras.layers.Activation("linear")(inputs)
    p = keras.layers.Dense(n, activation="softmax")(e)
    return DOSModel(inputs, {"embedding": e, "probabilities": p})


def compiled(model, learning_rate=0.05, **kwargs):
    """Compile with SGD and the usual loss, unless told otherwise."""
    settings = {
        "optimizer": keras.optimizers.SGD(learning_rate),
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        **kwargs,
    }
    model.compile(**settings)
    return model


def largest_difference(weights, others):
    return max(float(np.abs(a - b).max()) for a, b in zip(weights, others, strict=True))
