"""What a round draws: w, and the copies that r asks for."""

import numpy as np
import pytest
from scipy import stats
from toy import compiled, identity_network

from keras_dos import OverloadingCallback
from keras_dos.draws import draw_copies, draw_weights, sampled_weights


def exists(z, k):
    return np.ones((z, k), bool)


def uniform_over_sum(shape, rng):
    w = rng.uniform(size=shape)
    return w / w.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_weights_are_uniform_on_the_simplex(k):
    """Dirichlet(1, …, 1) has marginals Beta(1, k), and rand / sum has not."""
    n = 20_000
    w = draw_weights(exists(n, k), np.random.default_rng(3))
    wrong = uniform_over_sum((n, k + 1), np.random.default_rng(3))
    for slot in range(k + 1):
        assert stats.kstest(w[:, slot], "beta", (1, k)).pvalue > 1e-4
        assert stats.kstest(wrong[:, slot], "beta", (1, k)).pvalue < 1e-6
    if k > 1:  # Sums of slots tell that they are drawn together, too.
        pair = w[:, 0] + w[:, 1]
        assert stats.kstest(pair, "beta", (2, k - 1)).pvalue > 1e-4
        pair = wrong[:, 0] + wrong[:, 1]
        assert stats.kstest(pair, "beta", (2, k - 1)).pvalue < 1e-6


def test_weights_are_uniform_over_the_slots_that_exist():
    mask = np.tile([True, False, True, True, False], (20_000, 1))
    w = draw_weights(mask, np.random.default_rng(3))
    for slot in (0, 1, 3, 4):
        assert stats.kstest(w[:, slot], "beta", (1, 3)).pvalue > 1e-4


def test_weights_mark_the_slots_that_exist():
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(5000, 8)) < 0.5
    mask[0], mask[1] = True, False
    w = draw_weights(mask, rng)
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w[:, 1:] > 0, mask)
    assert (w[:, 1:][~mask] == 0).all()
    assert (w[:, 0] > 0).all()
    assert w[1].tolist() == [1.0] + [0.0] * 8
    np.testing.assert_allclose(w.sum(axis=1), 1, rtol=1e-6)


def test_a_slot_that_exists_never_weighs_0():
    class Smallest:
        def standard_exponential(self, shape, dtype):
            draws = np.zeros(shape, dtype)
            draws[:, 0] = 20.0
            return draws

    w = draw_weights(exists(4, 3), Smallest())
    assert (w > 0).all()


@pytest.mark.parametrize(("z", "k"), [(0, 3), (3, 0)])
def test_weights_without_rows_or_neighbors(z, k):
    w = draw_weights(exists(z, k), np.random.default_rng(0))
    assert w.shape == (z, k + 1)
    assert (w.sum(axis=1) == 1).all()


@pytest.mark.parametrize(("n", "size"), [(7, 7), (7, 21), (7, 24), (7, 3), (1, 5)])
def test_draw_copies(n, size):
    copies, samples = draw_copies(n, size, np.random.default_rng(0))
    assert copies.tolist() == [place // n for place in range(size)]
    for copy in range(size // n):
        assert samples[copies == copy].tolist() == list(range(n))
    rest = samples[copies == size // n]
    assert len(set(rest.tolist())) == len(rest) == size % n


# A custom sampler.


def equal_weights(exists, rng):
    slots = np.pad(exists, ((0, 0), (1, 0)), constant_values=True)
    return slots / slots.sum(axis=1, keepdims=True)


def test_fit_trains_with_the_weights_of_a_sampler():
    """On identical duplicates the pull is 0 and all slots weigh alike, else not."""
    asked = []

    def sampler(exists, rng):
        asked.append((exists.shape, type(rng)))
        return equal_weights(exists, rng)

    x = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")
    model = compiled(identity_network(n=2), learning_rate=0.0)
    callback = OverloadingCallback(
        k=2,
        r=1,
        warmup_epochs=0,
        embeddings="pass",
        loss_form="paper",
        weight_sampler=sampler,
    )
    history = model.fit(x, np.repeat([0, 1], 6), verbose=0, callbacks=[callback])
    assert asked == [((6, 2), np.random.Generator)] * 2
    expected = []
    for members in (x[:6], x[6:]):
        for row in members:
            squared = np.sort(((members - row) ** 2).sum(1))[1:3]
            expected.append(squared.sum() / 3)
    np.testing.assert_allclose(
        history.history["embedding_loss"], np.mean(expected), rtol=1e-5
    )


@pytest.mark.parametrize(
    "broken",
    [
        lambda w: w[:, 1:],
        lambda w: w[:-1],
        lambda w: 2 * w,
        lambda w: w - [[0.9, -0.9, 0]],
        lambda w: np.where(w > 0, np.nan, 0),
        lambda w: np.roll(w, 1, axis=1),
        lambda w: w[:, ::-1],
        lambda w: w - [[0.2, 0.0, -0.2]],  # A weight for no neighbor.
        lambda w: np.where(w > 0, [[0.0, 1.0, 0.0]], 0),  # Without the live f(x).
        lambda w: np.where(w > 0, [[1e-60, 1.0, 0.0]], 0),  # 0 in float32.
    ],
)
def test_a_sampler_that_leaves_the_simplex_is_refused(broken):
    mask = np.array([[True, False], [True, False]])
    assert sampled_weights(equal_weights, mask, None).tolist() == [[0.5, 0.5, 0]] * 2
    with pytest.raises(ValueError, match=r"^`weight_sampler` .*\(2, 3\).*Received: "):
        sampled_weights(
            lambda e, rng: broken(equal_weights(e, rng)), mask, np.random.default_rng(0)
        )


def test_a_sampler_may_use_its_array_again():
    x = np.random.default_rng(0).normal(size=(14, 6)).astype("float32")
    y = np.repeat([0, 1], 7)
    buffer = np.zeros((7, 3))

    def own_buffer(exists, rng):
        buffer[:] = draw_weights(exists, rng)
        return buffer

    losses = []
    for sampler in (draw_weights, own_buffer):
        model = compiled(identity_network(n=2), learning_rate=0.0)
        callback = OverloadingCallback(
            k=2, r=1, warmup_epochs=0, embeddings="pass", weight_sampler=sampler
        )
        history = model.fit(x, y, verbose=0, callbacks=[callback]).history
        losses.append(history["embedding_loss"])
    assert losses[0] == losses[1]


def test_a_sampler_cannot_change_which_neighbors_exist():
    def writes(exists, rng):
        exists[:] = True

    with pytest.raises(ValueError, match="read-only"):
        sampled_weights(writes, np.array([[True, False]]), None)


@pytest.mark.parametrize("drawn", [None, "uniform", [[1.0], [0.5, 0.5]]])
def test_what_is_not_an_array_is_refused(drawn):
    with pytest.raises(ValueError, match=r"^`weight_sampler` must return weights"):
        sampled_weights(lambda exists, rng: drawn, np.array([[True]]), None)
