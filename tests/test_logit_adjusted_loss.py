"""The cross-entropy that is adjusted by class frequencies, in any model and in DOS."""

import keras
import numpy as np
import pytest
from toy import blobs, compiled, largest_difference, network

from keras_dos import LogitAdjustedCrossentropy, OverloadingCallback
from keras_dos.schedule import Epoch

COUNTS = [40, 30, 8]
Y = np.array([0, 2, 1, 2, 0])
Z = np.random.default_rng(0).normal(size=(5, 3)).astype("float32") * 3
WEIGHTS = np.array([1.0, 2.0, 0.5, 0.0, 3.0])


def adjusted(z, y, prior, tau):
    """The loss of each example, sample by sample in float64."""
    values = []
    for row, label in zip(z, y, strict=True):
        shifted = [
            float(v) + tau * np.log(pi) for v, pi in zip(row, prior, strict=True)
        ]
        values.append(np.log(np.sum(np.exp(shifted))) - shifted[label])
    return np.array(values)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("tau", [-0.5, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("labels", [Y, Y[:, None], np.eye(3)[Y]], ids=["", "1", "n"])
def test_it_is_the_cross_entropy_of_shifted_logits(tau, from_logits, labels):
    loss = LogitAdjustedCrossentropy(COUNTS, tau, from_logits)
    y_pred = Z if from_logits else softmax(Z)
    expected = adjusted(Z, Y, COUNTS, tau)
    actual = loss.call(labels, y_pred)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss(labels, y_pred), expected.mean(), rtol=1e-4)
    weighted = loss(labels, y_pred, sample_weight=WEIGHTS)
    np.testing.assert_allclose(weighted, np.mean(WEIGHTS * expected), rtol=1e-4)


def test_counts_and_frequencies_are_the_same_prior():
    values = [
        float(LogitAdjustedCrossentropy(prior)(Y, softmax(Z)))
        for prior in (COUNTS, np.array(COUNTS) / 78, np.array(COUNTS) * 1e-9)
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-6)


def test_a_class_without_samples_is_adjusted_like_the_largest():
    without = LogitAdjustedCrossentropy([40, 30, 0])(Y, softmax(Z))
    largest = LogitAdjustedCrossentropy([40, 30, 40])(Y, softmax(Z))
    assert float(without) == float(largest)


def test_with_tau_0_it_is_the_loss_of_keras():
    plain = keras.losses.SparseCategoricalCrossentropy()(Y, softmax(Z))
    loss = LogitAdjustedCrossentropy(COUNTS, tau=0)(Y, softmax(Z))
    np.testing.assert_allclose(loss, plain, rtol=1e-6)


def test_confident_mistakes_still_have_a_gradient():
    """A probability below Keras' floor of 1e-7, with the logits known and not."""
    import tensorflow as tf

    loss = LogitAdjustedCrossentropy(COUNTS)
    z = tf.Variable([[30.0, 0.0, 0.0]])
    for known in (keras.activations.softmax, tf.nn.softmax):
        with tf.GradientTape() as tape:
            value = loss([2], known(z))
        gradient = tape.gradient(value, z).numpy()
        np.testing.assert_allclose(gradient, [[1, 0, -1]], atol=1e-5)


def test_half_precision_is_computed_in_float32():
    p = softmax(Z).astype("float16")
    value = LogitAdjustedCrossentropy(COUNTS)(Y, p)
    assert value.dtype == "float32"
    expected = adjusted(np.log(p.astype("float64")), Y, COUNTS, 1.0).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prior": "abc"}, TypeError, "dtype"),
        ({"prior": 3}, ValueError, "prior=3"),
        ({"prior": [3]}, ValueError, r"prior=\[3\]"),
        ({"prior": [[3, 4]]}, ValueError, r"prior=\[\[3, 4\]\]"),
        ({"prior": [0, 0]}, ValueError, r"prior=\[0, 0\]"),
        ({"prior": [1, -1]}, ValueError, r"prior=.*-1"),
        ({"prior": [1, np.nan]}, ValueError, "prior=.*nan"),
        ({"prior": [1, np.inf]}, ValueError, "prior=.*inf"),
        ({"prior": [1, 2], "tau": "big"}, TypeError, "tau='big'"),
        ({"prior": [1, 2], "tau": np.inf}, ValueError, "tau=inf"),
        ({"prior": [1, 2], "from_logits": 1}, TypeError, "from_logits=1"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=f"Received: {message}"):
        LogitAdjustedCrossentropy(**arguments)


def test_predictions_of_more_than_one_label_are_refused():
    with pytest.raises(ValueError, match=r"`y_pred` must have.*shape \(2, 3, 2\)"):
        LogitAdjustedCrossentropy([30, 10])(np.ones((2, 3)), np.full((2, 3, 2), 0.5))


@pytest.mark.parametrize("labels", [np.eye(2), np.zeros((2, 4)), np.zeros((2, 1, 3))])
def test_labels_of_another_shape_are_refused(labels):
    message = r"`y_true` must have shape .*\(b, 3\).*Received: shape \(2, "
    with pytest.raises(ValueError, match=message):
        LogitAdjustedCrossentropy(COUNTS)(labels, np.full((2, 3), 1 / 3))


def test_another_number_of_classes_is_refused():
    loss = LogitAdjustedCrossentropy([1, 2])
    with pytest.raises(ValueError, match=r"Received: 2 numbers, .*shape \(5, 3\)"):
        loss(Y, softmax(Z))


def gaussians(m=6000, rare=0.1):
    """Two classes at -1 and 1 on the first axis, of unit variance."""
    rng = np.random.default_rng(0)
    y = (rng.uniform(size=m) < rare).astype("int64")
    x = rng.normal(size=(m, 2))
    x[:, 0] += 2 * y - 1
    return x.astype("float32"), y


@pytest.mark.slow
def test_a_linear_model_learns_the_posterior_of_equal_classes():
    x, y = gaussians()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "softmax")])
    loss = LogitAdjustedCrossentropy(np.bincount(y))
    model.compile(keras.optimizers.Adam(0.2), loss)
    model.fit(x, y, batch_size=len(x), epochs=60, verbose=0)
    grid = np.stack([np.linspace(-2, 2, 9), np.zeros(9)], axis=1).astype("float32")
    p = model.predict(grid, verbose=0)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-2 * grid[:, 0])), atol=0.05)


@pytest.mark.slow
def test_a_compiled_model_is_saved_and_loaded_with_it(tmp_path):
    x, y = blobs()
    loss = LogitAdjustedCrossentropy(np.array(COUNTS), tau=0.7)
    for model in (network(), network().classifier):
        compiled(model, loss=loss)
        model.fit(x, y, verbose=0)
        expected = model.evaluate(x, y, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), expected)
        p = model.predict(x, verbose=0)
        p = p["probabilities"] if isinstance(p, dict) else p
        by_hand = adjusted(np.log(p), y, COUNTS, 0.7).mean()
        np.testing.assert_allclose(expected[0], by_hand, rtol=1e-4)


# In Deep Over-sampling.


def fit(loss, epochs=3, **settings):
    x, y = blobs()
    callback = OverloadingCallback(**{"k": 3, **settings})
    model = compiled(network(), loss=loss)
    history = model.fit(x, y, epochs=epochs, verbose=0, callbacks=[callback]).history
    return model.get_weights(), history


@pytest.mark.parametrize("settings", [{}, {"logit_adjustment": 0.5}])
def test_an_adjustment_of_the_rounds_on_top_is_refused(settings):
    loss = LogitAdjustedCrossentropy(COUNTS)
    with pytest.raises(
        ValueError,
        match=r"again in the rounds.*`logit_adjustment=0`.*Received: loss=Log",
    ):
        fit(loss, **settings)


@pytest.mark.slow
def test_it_adjusts_the_rounds_as_the_callback_does():
    """With r = 1, the class frequencies are those of the quadruplets."""
    loss = LogitAdjustedCrossentropy(COUNTS)
    settings = {"r": 1, "epochs": 2}
    own, _ = fit(loss, schedule=rounds(prior=None), logit_adjustment=0, **settings)
    usual = "sparse_categorical_crossentropy"
    of_callback, _ = fit(usual, schedule=rounds(prior="quadruplets"), **settings)
    plain, _ = fit(usual, schedule=rounds(prior=None), logit_adjustment=0, **settings)
    assert largest_difference(own, of_callback) < 1e-5
    assert largest_difference(own, plain) > 1e-3


def rounds(prior):
    """A schedule of rounds alone."""
    return lambda epoch, epochs: Epoch("overload", prior=prior)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tau", "settings"),
    [
        (0.0, {}),
        (1.0, {"logit_adjustment": 0}),
        (1.0, {"schedule": rounds(prior=None)}),
    ],
)
def test_what_is_adjusted_once_trains(tau, settings):
    _, history = fit(LogitAdjustedCrossentropy(COUNTS, tau), **settings)
    assert np.isfinite(history["loss"]).all()
    assert history["embedding_loss"][-1] > 0


@pytest.mark.slow
def test_without_neighbors_only_the_loss_adjusts():
    """With r = 1 there is nothing that the callback changes."""
    _, history = fit(LogitAdjustedCrossentropy(COUNTS), k=0, r=1)
    assert history["loss"][-1] < history["loss"][0]


def test_logits_are_refused_by_a_dos_model():
    x, y = blobs()
    loss = LogitAdjustedCrossentropy(COUNTS, from_logits=True)
    with pytest.raises(ValueError, match=r"not logits.*from_logits=True"):
        compiled(network(), loss=loss).fit(x, y, verbose=0)
