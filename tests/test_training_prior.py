"""The class frequencies that a model says its probabilities have."""

import keras
import numpy as np
import pytest
from toy import blobs, compiled, network

from keras_dos import DOSModel, OverloadingCallback, with_logit_shift
from keras_dos.schedule import Epoch

X, Y = blobs((40, 30, 8))
COUNTS = np.array([40, 30, 8])
COPIES = np.array([40, 40, 24])  # r = "moderate".


def trained(epochs=2, callbacks=(), fit=None, **settings):
    model = compiled(network())
    own = OverloadingCallback(**{"k": 3, "warmup_epochs": 1, **settings})
    arguments = {"epochs": epochs, "verbose": 0, "callbacks": [own, *callbacks]}
    model.fit(X, Y, **arguments, **(fit or {}))
    return model


def assert_prior(model, expected):
    expected = np.asarray(expected, float)
    np.testing.assert_allclose(model.training_prior, expected / expected.sum(), 1e-6)


def test_it_is_unknown_before_training_and_equal_after_the_defaults():
    assert network().training_prior is None
    assert_prior(trained(), [1, 1, 1])


def tau_from_samples(epoch, epochs):
    return Epoch("overload", prior="samples") if epoch else Epoch("warmup")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "fit", "expected"),
    [
        ({"logit_adjustment": 0}, {}, COPIES),
        ({"logit_adjustment": 0.5}, {}, COPIES**0.5),
        ({"logit_adjustment": 2.0}, {}, COPIES**-1.0),
        ({"r": 1, "logit_adjustment": 0}, {}, COUNTS),
        ({"k": 0}, {}, COPIES),
        ({"warmup_epochs": None, "schedule": tau_from_samples}, {}, COPIES / COUNTS),
        ({}, {"class_weight": {0: 1.0, 1: 2.0, 2: 5.0}}, [1, 2, 5]),
    ],
)
def test_it_follows_from_the_settings(settings, fit, expected):
    assert_prior(trained(fit=fit, **settings), expected)


@pytest.mark.slow
def test_it_is_unknown_after_other_training():
    for train in (
        lambda model: model.fit(X, Y, verbose=0),
        lambda model: model.train_on_batch(X, Y),
    ):
        model = trained()
        assert model.training_prior is not None
        train(model)
        assert model.training_prior is None


def test_it_is_unknown_with_sample_weights():
    assert trained(fit={"sample_weight": np.ones(len(Y))}).training_prior is None


def test_predict_and_evaluate_leave_it():
    model = trained()
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    assert_prior(model, [1, 1, 1])


class Keep(keras.callbacks.Callback):
    """The prior at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.priors = []

    def on_epoch_end(self, epoch, logs=None):
        self.priors.append(self.model.training_prior)


def test_the_warm_up_has_the_frequencies_of_the_samples():
    keep = Keep()
    trained(epochs=3, callbacks=[keep], warmup_epochs=2)
    frequencies = COUNTS / COUNTS.sum()
    np.testing.assert_allclose(keep.priors, [frequencies, frequencies, [1 / 3] * 3])


def test_early_stopping_restores_it_with_the_weights():
    class Worse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["measure"] = -epoch

    best = keras.callbacks.EarlyStopping(
        "measure", mode="max", patience=2, restore_best_weights=True
    )
    assert_prior(trained(epochs=4, callbacks=[Worse(), best]), COUNTS)


def test_files_keep_it(tmp_path):
    model = trained(logit_adjustment=0)
    model.save(tmp_path / "model.keras")
    assert_prior(keras.models.load_model(tmp_path / "model.keras"), COPIES)
    model.save_weights(tmp_path / "model.weights.h5")
    other = network()
    other.load_weights(tmp_path / "model.weights.h5")
    assert_prior(other, COPIES)


def test_weights_of_a_plain_model_have_none(tmp_path):
    model = network()
    model.training_prior = np.array([0.2, 0.3, 0.5])
    plain = keras.Model(model.input, model.output)
    plain.save_weights(tmp_path / "plain.weights.h5")
    model.load_weights(tmp_path / "plain.weights.h5")
    assert model.training_prior is None


def test_weights_from_elsewhere_make_it_unknown():
    model = trained()
    weights = model.get_weights()
    model.set_weights(list(weights))
    assert model.training_prior is None
    model.set_weights(weights)
    assert_prior(model, [1, 1, 1])


def test_it_is_unknown_if_a_class_has_no_samples():
    model = compiled(network(n=4))
    own = OverloadingCallback(k={0: 3, 1: 3, 2: 3}, warmup_epochs=1)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[own])
    assert model.training_prior is None


def test_a_logit_shift_shifts_it():
    model = trained(logit_adjustment=0)
    shifted = with_logit_shift(model, COUNTS, tau=1.0)
    assert isinstance(shifted, DOSModel)
    assert_prior(shifted, COPIES / COUNTS)
    assert with_logit_shift(network(), COUNTS, tau=1.0).training_prior is None
