"""What the probabilities are, on data whose true posterior is known."""

import keras
import numpy as np
import pytest
from scipy import stats

from keras_dos import DOSModel, OverloadingCallback

COUNTS = np.array([3000, 150])
DISTANCE = 2.0


def gaussians(counts, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], counts)
    return (rng.normal(size=len(y)) + DISTANCE * y).astype("float32")[:, None], y


def posterior(x, prior):
    """p(1|x) of two Gaussians of unit variance, by Bayes' rule."""
    joint = [p * stats.norm.pdf(x[:, 0], DISTANCE * j) for j, p in enumerate(prior)]
    return joint[1] / sum(joint)


@pytest.mark.slow
@pytest.mark.parametrize("r", [1, "moderate", "balance"])
def test_after_the_defaults_classes_are_equally_frequent(r):
    """As docs/guide.md says: H is adjusted by r_j m_j, on which the rounds train."""
    x, y = gaussians(COUNTS, seed=0)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((1,))
    e = keras.layers.Dense(8, activation="tanh")(inputs)
    p = keras.layers.Dense(2, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(
        x, y, batch_size=64, epochs=12, verbose=0, callbacks=[OverloadingCallback(r=r)]
    )
    points, _ = gaussians(COUNTS, seed=1)
    p = model.classifier.predict(points, verbose=0)[:, 1]
    assert abs(p.mean() - posterior(points, [0.5, 0.5]).mean()) < 0.03
    # Far from that of the training set, which plain training has.
    assert p.mean() - posterior(points, COUNTS / COUNTS.sum()).mean() > 0.1
