"""MicroClusterObjective: its parts against plain loops, alone and through `fit`."""

import pickle

import numpy as np
import oracle
import pytest
import tensorflow as tf
from toy import blobs, compiled, identity_network

from keras_dos import MicroClusterObjective, OverloadingCallback, losses
from keras_dos.draws import draw_weights
from keras_dos.objective import LOSS_FORMS


def cluster(seed=0, b=5, k=3, d=4):
    rng = np.random.default_rng(seed)
    slots = rng.normal(size=(b, k + 1, d)).astype("float32")
    w = rng.dirichlet(np.ones(k + 1), size=b).astype("float32")
    h = rng.exponential(size=(b, k + 1)).astype("float32")
    return slots, w, h


def assert_losses(objective, unit, scaled):
    """Compare with (8)-(10) on distances that `scaled` makes of squared ones."""
    slots, w, h = cluster()
    pull, class_loss = objective(objective.distances(slots, unit), w, h)
    for i in range(len(slots)):
        d2 = [scaled(oracle.squared_distance(slots[i, 0], v)) for v in slots[i]]
        expected = sum(wi * d for wi, d in zip(w[i], d2, strict=True))
        np.testing.assert_allclose(pull[i], expected, rtol=1e-5)
        t = objective.temperature
        terms = [np.exp(-wi * d / t) for wi, d in zip(w[i], d2, strict=True)]
        expected = sum(e * x for e, x in zip(terms, h[i], strict=True)) / sum(terms)
        np.testing.assert_allclose(class_loss[i], expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("unit", [1.0, 4.0])
def test_the_scale_free_form(temperature, unit):
    objective = MicroClusterObjective(temperature=temperature, cap=1.5)
    assert_losses(objective, unit, lambda d2: min(d2 / unit, 1.5))


def test_the_form_of_the_paper():
    assert_losses(LOSS_FORMS["paper"], 1.0, lambda d2: d2)


@pytest.mark.parametrize("cap", [None, 0.5])
def test_beyond_the_cap_a_slot_no_longer_pulls(cap):
    objective = MicroClusterObjective(cap=cap)
    live = tf.Variable([[0.0, 0.0]])
    with tf.GradientTape() as tape:
        slots = tf.stack([live, tf.constant([[3.0, 0.0]])], axis=1)
        distances = objective.distances(slots, 9.0)
        pull, _ = objective(distances, [[0.5, 0.5]], [[0.0, 0.0]])
    gradient = tape.gradient(pull, live).numpy().ravel()
    np.testing.assert_allclose(gradient, [0.0 if cap else -1 / 3, 0.0], atol=1e-6)


@pytest.mark.parametrize("differentiate", [False, True])
def test_the_gradient_through_the_shares(differentiate):
    objective = MicroClusterObjective(differentiate_shares=differentiate)
    live = tf.Variable([[0.1, 0.0]])
    with tf.GradientTape() as tape:
        slots = tf.stack([live, tf.constant([[1.0, 0.0]])], axis=1)
        distances = objective.distances(slots, 1.0)
        _, class_loss = objective(distances, [[0.5, 0.5]], [[1.0, 2.0]])
    gradient = tape.gradient(class_loss, live)
    moves = gradient is not None and np.abs(gradient).max() > 1e-6
    assert moves == differentiate


@pytest.mark.parametrize(
    ("temperature", "share"), [(1, 0.19), (0.1, 0.37), (0.03, 0.64)]
)
def test_the_temperature_sets_the_share_of_the_live_embedding(temperature, share):
    """On average over w, with five neighbors at the usual distance."""
    w = draw_weights(np.ones((20_000, 5), bool), np.random.default_rng(0))
    d2 = np.tile(np.float32([0, 1, 1, 1, 1, 1]), (len(w), 1))
    h = np.zeros_like(w)
    h[:, 0] = 1
    _, class_loss = MicroClusterObjective(temperature=temperature)(d2, w, h)
    assert np.mean(class_loss) == pytest.approx(share, abs=0.01)


def test_a_unit_of_zero_means_no_distances():
    slots, _, _ = cluster()
    distances = MicroClusterObjective().distances(slots, 0.0)
    np.testing.assert_array_equal(distances, 0)


@pytest.mark.parametrize("far", [1e30, np.inf])
def test_a_slot_that_does_not_exist_counts_for_nothing(far):
    d2 = np.array([[0.0, 2.0, far], [0.0, far, far]], "float32")
    w = np.array([[0.4, 0.6, 0.0], [1.0, 0.0, 0.0]], "float32")
    h = np.array([[1.0, 3.0, 1e6], [2.0, 1e6, 1e6]], "float32")
    pull, class_loss = MicroClusterObjective(temperature=1.0)(d2, w, h)
    np.testing.assert_allclose(pull, [1.2, 0.0], rtol=1e-6)
    share = np.exp(-1.2) / (1 + np.exp(-1.2))
    np.testing.assert_allclose(class_loss, [1 + 2 * share, 2.0], rtol=1e-6)


def test_custom_shares_and_slots_are_used_by_fit():
    x, y = blobs((20, 15, 4))
    seen = []

    def shares(distances, weights, *, mask):
        seen.append("shares")
        return losses.slot_shares(distances, None, mask=mask)  # eq. (5) for (10).

    def slots(embedding, neighbors, weights):
        seen.append("slots")
        live = tf.cast(embedding, tf.float32)[:, None]
        return tf.concat([live, tf.zeros_like(neighbors)], axis=1)

    model = compiled(identity_network(), learning_rate=0.0, run_eagerly=True)
    objective = MicroClusterObjective(
        scale_free=False, temperature=1.0, cap=None, shares=shares, slots=slots
    )
    callback = OverloadingCallback(
        k=2,
        r=1,
        warmup_epochs=0,
        embeddings="pass",
        loss_form=objective,
        logit_adjustment=0.0,
    )
    history = model.fit(x, y, batch_size=39, verbose=0, callbacks=[callback]).history
    assert seen == ["slots", "shares"]
    kernel, bias = (w.astype("float64") for w in model.head.get_weights())
    expected = []
    for row, label in zip(x.astype("float64"), y, strict=True):
        n = [row, *np.zeros((2, 6))]  # Each class has at least three samples.
        h = [oracle.cross_entropy(oracle.softmax(v @ kernel + bias), label) for v in n]
        expected.append(oracle.loss_g(row, n, h))
    np.testing.assert_allclose(
        history["classification_loss"], np.mean(expected), rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 0.1),
        ({"loss_form": "paper"}, 1.0),
        ({"loss_form": MicroClusterObjective(cap=None)}, 0.1),
        ({"loss_form": MicroClusterObjective(scale_free=False)}, 1.0),
        ({"loss_form": "paper", "embedding_weight": 0.03}, 0.03),
        ({"embedding_weight": 0}, 0.0),
    ],
)
def test_lambda_where_none_is_given(arguments, expected):
    x, y = blobs()
    model = compiled(identity_network(), learning_rate=0.0)
    callback = OverloadingCallback(warmup_epochs=0, embeddings="pass", **arguments)
    history = model.fit(x, y, verbose=0, callbacks=[callback]).history
    pull = history["loss"][0] - history["classification_loss"][0]
    np.testing.assert_allclose(
        pull, expected * history["embedding_loss"][0], rtol=1e-4, atol=1e-6
    )


def test_it_is_a_value():
    objective = MicroClusterObjective(temperature=0.3)
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert objective != MicroClusterObjective()
    with pytest.raises(AttributeError):
        objective.temperature = 1.0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"temperature": 0}, ValueError),
        ({"temperature": -1.0}, ValueError),
        ({"temperature": float("nan")}, ValueError),
        ({"temperature": "1"}, TypeError),
        ({"cap": 0.0}, ValueError),
        ({"cap": float("inf")}, ValueError),
        ({"cap": True}, TypeError),
        ({"scale_free": 1}, TypeError),
        ({"differentiate_shares": None}, TypeError),
        ({"shares": "rho"}, TypeError),
        ({"slots": None}, TypeError),
    ],
)
def test_values_that_cannot_be_meant_are_refused(arguments, error):
    (name,) = arguments
    with pytest.raises(error, match=rf"^`{name}` must be .*Received: {name}="):
        MicroClusterObjective(**arguments)


@pytest.mark.parametrize("form", ["literal", None, 3, MicroClusterObjective])
def test_what_is_not_a_form_is_refused(form):
    with pytest.raises(ValueError, match=r"^`loss_form` must be one of"):
        OverloadingCallback(loss_form=form)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("shares", lambda distances, weights, *, mask: weights[:, :1]),
        ("shares", lambda distances, weights, *, mask: weights[:1]),
        ("shares", lambda distances, weights, *, mask: weights[:, 0]),
        ("shares", lambda distances, weights, *, mask: 1.0),
        ("slots", lambda embedding, neighbors, weights: embedding),
        ("slots", lambda embedding, neighbors, weights: embedding[:, None]),
        ("slots", lambda embedding, neighbors, weights: neighbors[:, :, :2]),
    ],
)
def test_what_would_broadcast_is_refused(name, function, eager):
    x, y = blobs()
    model = compiled(identity_network(), run_eagerly=eager)
    objective = MicroClusterObjective(**{name: function})
    callback = OverloadingCallback(
        k=2, warmup_epochs=0, embeddings="pass", loss_form=objective
    )
    refusals = (ValueError, tf.errors.InvalidArgumentError)
    message = rf"`{name}` of a Micro.*Received: shape"
    in_the_step = "must have the same size and shape|Input to reshape"
    with pytest.raises(refusals, match=f"{message}|{in_the_step}"):
        model.fit(x, y, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("name", ["shares", "slots"])
def test_a_function_that_returns_no_tensor_is_named(name):
    x, y = blobs()
    form = MicroClusterObjective(**{name: lambda *args, mask=None: None})
    callback = OverloadingCallback(k=3, warmup_epochs=1, loss_form=form)
    message = rf"`{name}` of a MicroClusterObjective must return a tensor.*None"
    with pytest.raises(ValueError, match=message):
        compiled(identity_network()).fit(x, y, epochs=2, verbose=0, callbacks=callback)
