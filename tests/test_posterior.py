"""What the probabilities are, on data whose true posterior is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_dos import DOSModel, OverloadingCallback, export_servable

COUNTS = np.array([20_000, 2_000])
DISTANCE = 2.0


def gaussians(counts):
    """Two Gaussians at their quantiles, so that no draw of them is a lucky one."""
    y = np.repeat([0, 1], counts)
    quantiles = np.concatenate([(np.arange(m) + 0.5) / m for m in counts])
    x = stats.norm.ppf(quantiles) + DISTANCE * y
    return x.astype("float32")[:, None], y


def posterior(x, prior):
    """p(1|x) of two Gaussians of unit variance, by Bayes' rule."""
    joint = [p * stats.norm.pdf(x[:, 0], DISTANCE * j) for j, p in enumerate(prior)]
    return joint[1] / sum(joint)


def trained(**settings):
    """A model that has learned to tell them apart, in two epochs and four rounds."""
    x, y = gaussians(COUNTS)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((1,))
    e = keras.layers.Dense(4, activation="tanh")(inputs)
    p = keras.layers.Dense(2, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    callback = OverloadingCallback(warmup_epochs=2, **settings)
    steps = 6 * callback.steps_per_epoch(y, batch_size=128)
    rate = keras.optimizers.schedules.CosineDecay(0.02, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=128, epochs=6, verbose=0, callbacks=[callback])
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"r": 1},
        {"r": "moderate"},
        {"r": "balance"},
        {"r": "moderate", "logit_adjustment": 0},
        {"r": 1, "logit_adjustment": 0.5},
        {"r": "moderate", "k": 0},
    ],
)
def test_served_probabilities_are_those_of_the_deployment(tmp_path, settings):
    """The model knows the prior that it was trained with; nobody has to say it."""
    model = trained(**settings)
    points, _ = gaussians([1_000, 1_000])
    expected = posterior(points, model.training_prior)
    p = model.classifier.predict(points, verbose=0)[:, 1]
    assert abs(p.mean() - expected.mean()) < 0.005
    # As docs/guide.md says, here and below. By default classes are equally frequent.
    equal = np.allclose(model.training_prior, 0.5, rtol=0, atol=1e-6)
    assert equal == ("logit_adjustment" not in settings and settings.get("k") != 0)

    frequencies = COUNTS / COUNTS.sum()
    version = export_servable(model, tmp_path, deployment_prior=frequencies)
    serve = tf.saved_model.load(version).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    served = serve(**{name: tf.constant(points)})["probabilities"].numpy()[:, 1]
    # Far from the frequencies that it was trained on, errors of the fit count more.
    most = 0.012 if settings["r"] == "balance" else 0.005
    assert abs(served.mean() - posterior(points, frequencies).mean()) < most
