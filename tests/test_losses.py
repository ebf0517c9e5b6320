"""Eqs. (3)-(5) and (8)-(10) against plain loops."""

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf

from keras_dos import losses


def cluster(seed, b=7, s=4, d=3, scale=1.0):
    """f(x), N(x) with slot 0 live, w, and H of each slot."""
    rng = np.random.default_rng(seed)
    f = rng.normal(scale=scale, size=(b, d)).astype("float32")
    stored = f[:, None] + rng.normal(scale=0.7 * scale, size=(b, s - 1, d))
    slots = np.concatenate([f[:, None], stored.astype("float32")], axis=1)
    w = rng.dirichlet(np.ones(s), size=b).astype("float32")
    h = rng.exponential(size=(b, s)).astype("float32")
    return f, slots, w, h


@pytest.mark.parametrize("seed", range(5))
def test_plain_losses_are_equations_3_to_5(seed):
    f, slots, _, h = cluster(seed)
    distances = losses.squared_distances(f, slots)
    shares = losses.slot_shares(distances)
    np.testing.assert_allclose(
        losses.embedding_loss(distances),
        [oracle.loss_f(f[i], slots[i]) for i in range(len(f))],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        shares, [oracle.rho(f[i], slots[i]) for i in range(len(f))], rtol=1e-5
    )
    np.testing.assert_allclose(
        losses.classification_loss(shares, h),
        [oracle.loss_g(f[i], slots[i], h[i]) for i in range(len(f))],
        rtol=1e-5,
    )


@pytest.mark.parametrize("seed", range(5))
def test_weighted_losses_are_equations_8_to_10(seed):
    f, slots, w, h = cluster(seed)
    distances = losses.squared_distances(f, slots)
    shares = losses.slot_shares(distances, w)
    np.testing.assert_allclose(
        losses.embedding_loss(distances, w),
        [oracle.weighted_loss_f(f[i], slots[i], w[i]) for i in range(len(f))],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        shares,
        [oracle.weighted_rho(f[i], slots[i], w[i]) for i in range(len(f))],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        losses.classification_loss(shares, h),
        [oracle.weighted_loss_g(f[i], slots[i], w[i], h[i]) for i in range(len(f))],
        rtol=1e-5,
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_masked_slots_do_not_exist(weighted):
    f, slots, w, h = cluster(0)
    w = w if weighted else None
    distances = losses.squared_distances(f, slots)
    mask = np.ones(distances.shape, bool)
    mask[:, 2:] = False
    short = None if w is None else w[:, :2]
    np.testing.assert_allclose(
        losses.embedding_loss(distances, w, mask=mask),
        losses.embedding_loss(distances[:, :2], short),
        rtol=1e-6,
    )
    shares = losses.slot_shares(distances, w, mask=mask)
    np.testing.assert_allclose(
        shares[:, :2], losses.slot_shares(distances[:, :2], short), rtol=1e-6
    )
    np.testing.assert_array_equal(shares[:, 2:], 0)
    np.testing.assert_allclose(
        losses.classification_loss(shares, h),
        losses.classification_loss(shares[:, :2], h[:, :2]),
        rtol=1e-6,
    )


def test_where_no_slot_exists_shares_are_0():
    shares = losses.slot_shares(
        [[0.0, 1.0], [0.0, 0.0]], mask=[[False] * 2, [True] * 2]
    )
    np.testing.assert_allclose(shares, [[0, 0], [0.5, 0.5]])


@pytest.mark.parametrize("w", [None, [[0.2, 0.5, 0.3]] * 4])
def test_slots_that_are_all_infinitely_far_have_equal_shares(w):
    """As slots at any other equal distance without weights; they were NaN."""
    far = np.inf
    distances = [[far, far, far], [far, far, 1.0], [far, 1.0, far], [far, far, np.nan]]
    mask = np.ones((4, 3), bool)
    mask[1, 2] = False
    distances = tf.Variable(distances)
    with tf.GradientTape() as tape:
        shares = losses.slot_shares(distances, w, mask=mask)
        first = tf.reduce_sum(shares[:3, 0])
    expected = [[1 / 3] * 3, [0.5, 0.5, 0], [0, 1, 0]]
    np.testing.assert_allclose(shares[:3], expected, rtol=1e-6)
    # NaN is not hidden. Whether it spreads to all slots depends on the processor.
    assert np.isnan(shares[3]).any()
    assert np.isnan(losses.classification_loss(shares, mask)[3])
    assert np.isfinite(tape.gradient(first, distances)[:3]).all()


def test_the_gradient_of_the_embedding_loss_points_at_the_weighted_mean():
    f, slots, w, _ = cluster(1)
    live = tf.constant(f)
    with tf.GradientTape() as tape:
        tape.watch(live)
        # Slot 0 is f(x) itself and follows it.
        n = tf.concat([live[:, None], tf.constant(slots[:, 1:])], axis=1)
        loss = losses.embedding_loss(losses.squared_distances(live, n), w)
    gradient = tape.gradient(loss, live).numpy()
    target = np.einsum("bs,bsd->bd", w, slots)
    np.testing.assert_allclose(-gradient / 2, target - f, rtol=1e-4, atol=1e-6)


def test_gradients_with_masked_slots_are_finite():
    f, slots, w, h = cluster(2)
    live = tf.constant(f)
    mask = np.zeros((len(f), slots.shape[1]), bool)
    mask[:, 0] = True
    with tf.GradientTape() as tape:
        tape.watch(live)
        n = tf.concat([live[:, None], tf.constant(slots[:, 1:])], axis=1)
        distances = losses.squared_distances(live, n)
        shares = losses.slot_shares(distances, w, mask=mask)
        loss = losses.embedding_loss(distances, w, mask=mask)
        loss += losses.classification_loss(shares, h, differentiate_shares=True)
    np.testing.assert_array_equal(tape.gradient(loss, live).numpy(), 0)


def test_the_class_loss_depends_on_every_slot():
    """Σρ' = 1 times one H would be cross-entropy in disguise."""
    f, slots, w, h = cluster(3)
    shares = losses.slot_shares(losses.squared_distances(f, slots), w)
    before = losses.classification_loss(shares, h).numpy()
    for slot in range(slots.shape[1]):
        changed = h.copy()
        changed[:, slot] += 1
        after = losses.classification_loss(shares, changed).numpy()
        np.testing.assert_allclose(
            after - before, shares[:, slot], rtol=1e-4, atol=1e-6
        )


def test_shares_carry_a_gradient_only_when_asked():
    f, slots, w, h = cluster(4)

    def gradient(differentiate):
        live = tf.constant(f)
        with tf.GradientTape() as tape:
            tape.watch(live)
            distances = losses.squared_distances(live, slots[:, 1:])
            shares = losses.slot_shares(distances, w[:, 1:])
            loss = losses.classification_loss(
                shares, h[:, 1:], differentiate_shares=differentiate
            )
        return tape.gradient(loss, live)

    assert gradient(False) is None
    step = 1e-3
    expected = np.zeros(f.shape)
    for i, j in np.ndindex(f.shape):
        for sign in (1, -1):
            moved = f[i].astype("float64").copy()
            moved[j] += sign * step
            expected[i, j] += (
                sign
                * oracle.weighted_loss_g(moved, slots[i, 1:], w[i, 1:], h[i, 1:])
                / (2 * step)
            )
    np.testing.assert_allclose(gradient(True), expected, rtol=1e-3, atol=1e-5)


def test_half_precision_does_not_overflow():
    f = np.full((1, 4), 200, "float16")
    slots = np.stack([f, -f], axis=1)
    assert float(losses.squared_distances(f, slots)[0, 1]) == 4 * 400.0**2


def test_logit_adjustment_shifts_the_odds_by_those_of_the_prior():
    z = np.random.default_rng(0).normal(size=(5, 3))
    prior = np.array([0.7, 0.2, 0.1])
    for tau in (0.5, 1.0, 2.0):
        adjusted = keras.ops.softmax(losses.adjusted_logits(z, prior, tau)).numpy()
        for row, p in zip(adjusted, map(oracle.softmax, z), strict=True):
            for i, j in ((0, 1), (1, 2)):
                odds = p[i] / p[j] * (prior[i] / prior[j]) ** tau
                np.testing.assert_allclose(row[i] / row[j], odds, rtol=1e-5)


D, W = np.zeros((2, 3), "float32"), np.ones((2, 3), "float32")
WRONG = {
    "slots of another d": ("squared_distances", (D, np.zeros((2, 4, 1)))),
    "slots of another b": ("squared_distances", (D[:1], np.zeros((2, 4, 3)))),
    "embeddings without an axis": ("squared_distances", (D[:, 0], D)),
    "slots of one example": ("squared_distances", (D, np.zeros((4, 3)))),
    "weights of one slot": ("embedding_loss", (D, W[:, :1])),
    "weights of one example": ("slot_shares", (D, W[0])),
    "mask of more": ("embedding_loss", (D,), {"mask": np.ones((5, 2, 3), bool)}),
    "mask of one slot": ("slot_shares", (D, W), {"mask": np.ones((2, 1), bool)}),
    "cross-entropy of the example": ("classification_loss", (W, W[:, :1])),
    "prior of one class": ("adjusted_logits", (D, [0.5])),
    "prior of each example": ("adjusted_logits", (D, W)),
    "logits of one class": ("adjusted_logits", (D[:, :1], [0.5, 0.5])),
}


@pytest.mark.parametrize("case", WRONG)
def test_shapes_that_would_broadcast_are_refused(case):
    name, arguments, *keywords = WRONG[case]
    function = getattr(losses, name)
    with pytest.raises(ValueError, match=r"must have shape \(.*Received: shape \("):
        function(*arguments, **(keywords[0] if keywords else {}))


def test_shapes_need_not_be_known_before_the_step():
    f, slots, w, h = cluster(5)
    ranks = (2, 3, 2, 2)

    @tf.function(input_signature=[tf.TensorSpec([None] * rank) for rank in ranks])
    def both(f, slots, w, h):
        shares = losses.slot_shares(losses.squared_distances(f, slots), w)
        return losses.classification_loss(shares, h)

    expected = both.python_function(f, slots, w, h)
    np.testing.assert_allclose(both(f, slots, w, h), expected, rtol=1e-6)


def test_distances_may_be_part_of_a_functional_model():
    embedding, slots = keras.Input((2,)), keras.Input((3, 2))
    model = keras.Model([embedding, slots], losses.squared_distances(embedding, slots))
    values = np.ones((1, 2), np.float32), np.zeros((1, 3, 2), np.float32)
    np.testing.assert_array_equal(model(values), [[2, 2, 2]])
    with pytest.raises(ValueError, match="`slots` must have shape"):
        losses.squared_distances(embedding, keras.Input((3, 4)))
