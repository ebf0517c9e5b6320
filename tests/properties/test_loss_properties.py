"""Properties of eqs. (3)-(5) and (8)-(10) and of the scale-free form."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from lanes import holds

from keras_dos import losses
from keras_dos.objective import LOSS_FORMS, MicroClusterObjective
from keras_dos.spread import class_moments, distance_unit

GRID = st.integers(-40, 40)
"""Coordinates whose differences, squares and sums float32 holds exactly."""


def floats(low, high):
    return st.floats(low, high, width=32, allow_subnormal=False)


@dataclass
class Clusters:
    """Micro-clusters of b samples: slot 0 is f(x), and slots may be missing."""

    slots: np.ndarray
    w: np.ndarray
    mask: np.ndarray
    h: np.ndarray

    @property
    def f(self):
        return self.slots[:, 0]

    def distances(self):
        return losses.squared_distances(self.f, self.slots).numpy()

    def all_losses(self, distances, weighted=True):
        """ρ, ℓ_f and ℓ_g, or those with weights."""
        w = self.w if weighted else None
        shares = losses.slot_shares(distances, w, mask=self.mask)
        pull = losses.embedding_loss(distances, w, mask=self.mask)
        return shares, pull, losses.classification_loss(shares, self.h)


@st.composite
def clusters(draw, coordinates=GRID):
    b, s, d = draw(st.tuples(*(st.integers(1, 4),) * 3))
    slots = draw(st_np.arrays(np.float32, (b, s, d), elements=coordinates))
    mask = draw(st_np.arrays(bool, (b, s)))
    mask[:, 0] = True
    w = draw(st_np.arrays(np.float32, (b, s), elements=floats(2**-10, 1))) * mask
    h = draw(st_np.arrays(np.float32, (b, s), elements=floats(0, 100)))
    return Clusters(slots, w / w.sum(1, keepdims=True), mask, h)


weighted = pytest.mark.parametrize("weighted", [False, True])


@weighted
@holds(
    10,
    clusters=clusters(),
    unit=st.sampled_from([1e-6, 1e-3, 1.0, 1e6]),
)
def test_shares_are_on_the_simplex_and_losses_within_their_bounds(
    clusters, unit, weighted
):
    distances = clusters.distances() / np.float32(unit)
    shares, pull, class_loss = clusters.all_losses(distances, weighted)
    shares = np.asarray(shares)
    assert (shares >= 0).all()
    assert (shares[~clusters.mask] == 0).all()
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert (np.asarray(pull) >= 0).all()
    farthest = np.where(clusters.mask, distances, 0).max(1)
    n = 1 if weighted else clusters.mask.sum(1)
    assert (np.asarray(pull) <= n * farthest * (1 + 1e-5)).all()
    # ℓ_g is a mean of H over the slots that exist.
    lowest = np.where(clusters.mask, clusters.h, np.inf).min(1)
    highest = np.where(clusters.mask, clusters.h, -np.inf).max(1)
    assert (np.asarray(class_loss) >= lowest - 1e-3).all()
    assert (np.asarray(class_loss) <= highest + 1e-3).all()


@holds(10, clusters=clusters())
def test_distances_are_those_of_a_norm(clusters):
    f, v = clusters.f, clusters.slots
    d2 = clusters.distances()
    assert (d2 >= 0).all()
    assert (d2[:, 0] == 0).all()
    np.testing.assert_array_equal(d2 == 0, (v == f[:, None]).all(-1))
    for slot in range(v.shape[1]):  # Symmetry, and the triangle inequality.
        from_slot = losses.squared_distances(v[:, slot], v).numpy()
        np.testing.assert_array_equal(from_slot[:, 0], d2[:, slot])
        detour = np.sqrt(d2[:, [slot]]) + np.sqrt(from_slot)
        assert (np.sqrt(d2) <= detour * (1 + 1e-6)).all()


@weighted
@holds(8, clusters=clusters(), data=st.data())
def test_the_order_of_slots_and_of_samples_does_not_matter(clusters, weighted, data):
    b, s = clusters.mask.shape
    rows = np.array(data.draw(st.permutations(range(b))))[:, None]
    columns = np.array(data.draw(st.permutations(range(s))))
    distances = clusters.distances() / 100
    shares, pull, class_loss = clusters.all_losses(distances, weighted)
    moved = Clusters(
        clusters.slots[rows, columns],
        clusters.w[rows, columns],
        clusters.mask[rows, columns],
        clusters.h[rows, columns],
    )
    other = moved.all_losses(distances[rows, columns], weighted)
    np.testing.assert_allclose(
        other[0], np.asarray(shares)[rows, columns], rtol=1e-5, atol=1e-30
    )
    np.testing.assert_allclose(other[1], np.asarray(pull)[rows[:, 0]], rtol=1e-5)
    np.testing.assert_allclose(other[2], np.asarray(class_loss)[rows[:, 0]], rtol=1e-4)


@holds(10, clusters=clusters(), data=st.data())
def test_a_translation_changes_no_distance(clusters, data):
    d = clusters.f.shape[1]
    shift = data.draw(st_np.arrays(np.float32, d, elements=GRID))
    moved = losses.squared_distances(clusters.f + shift, clusters.slots + shift)
    np.testing.assert_array_equal(moved, clusters.distances())


@weighted
@holds(8, clusters=clusters(), junk=st.sampled_from([0.0, 7.0, 1e30, np.inf]))
def test_slots_that_are_missing_have_no_influence(clusters, junk, weighted):
    distances = clusters.distances()
    before = clusters.all_losses(distances, weighted)
    junk = np.float32(junk)
    changed = Clusters(
        clusters.slots,
        np.where(clusters.mask, clusters.w, np.float32(0.5)),
        clusters.mask,
        np.where(clusters.mask, clusters.h, np.float32(1e4)),
    )
    distances = np.where(clusters.mask, distances, junk)
    after = changed.all_losses(distances, weighted)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@holds(8, clusters=clusters())
def test_equal_weights_are_the_plain_form_at_a_temperature(clusters):
    """w_i = 1/s divides every distance by s: (8) is (3) / s, (10) is (5) at T = s."""
    n = clusters.mask.sum(1, keepdims=True).astype(np.float32)
    equal = Clusters(clusters.slots, clusters.mask / n, clusters.mask, clusters.h)
    distances = clusters.distances()
    plain = clusters.all_losses(distances / n, False)
    for a, b in zip(equal.all_losses(distances), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-30)


@holds(8, clusters=clusters())
def test_nearer_slots_have_larger_shares(clusters):
    distances = clusters.distances() / 100
    shares, _, _ = clusters.all_losses(distances, False)
    for d2, share, exists in zip(
        distances, np.asarray(shares), clusters.mask, strict=True
    ):
        nearest_first = np.argsort(d2[exists], kind="stable")
        assert (np.diff(share[exists][nearest_first]) <= 1e-7).all()


# The scale-free form.


@holds(
    8,
    clusters=clusters(),
    exponent=st.integers(-12, 12),
    cap=st.sampled_from([None, 0.5, 10.0]),
)
def test_the_scale_free_form_does_not_see_the_scale(clusters, exponent, cap):
    factor = np.float32(2.0**exponent)
    objective = MicroClusterObjective(cap=cap)
    unit = np.float32(300)
    d2 = objective.distances(clusters.slots, unit)
    scaled = objective.distances(factor * clusters.slots, factor**2 * unit)
    np.testing.assert_array_equal(d2, scaled)
    for a, b in zip(
        objective(d2, clusters.w, clusters.h),
        objective(scaled, clusters.w, clusters.h),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert (np.asarray(d2) <= (np.inf if cap is None else cap)).all()


@holds(8, clusters=clusters(), form=st.sampled_from([*LOSS_FORMS]))
def test_an_objective_is_invariant_to_translation_and_blind_to_what_is_missing(
    clusters, form
):
    objective = LOSS_FORMS[form]
    before = objective(
        objective.distances(clusters.slots, 50.0), clusters.w, clusters.h
    )
    junk = np.where(clusters.mask[..., None], clusters.slots, np.float32(1e30)) + 3
    h = np.where(clusters.mask, clusters.h, np.float32(1e4))
    after = objective(objective.distances(junk, 50.0), clusters.w, h)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@holds(
    15,
    v=st_np.arrays(
        np.float32, st.tuples(st.integers(2, 9), st.integers(1, 3)), elements=GRID
    ),
    data=st.data(),
)
def test_the_unit_and_the_variances_scale_and_nothing_else(v, data):
    m, d = v.shape
    classes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=m, max_size=m)))
    shift = data.draw(st_np.arrays(np.float32, d, elements=GRID))
    factor = np.float32(data.draw(st.sampled_from([0.125, 4.0])))
    order = np.array(data.draw(st.permutations(range(m))))
    names = np.array(data.draw(st.permutations(range(4))))
    variances, spread = class_moments(v, classes)
    assert spread >= 0
    moved = (factor * (v + shift))[order]
    others, other_spread = class_moments(moved, names[classes][order])
    assert other_spread == pytest.approx(factor**2 * spread, rel=1e-9, abs=1e-9)
    assert len(others) == len(variances)
    for j, variance in variances.items():
        expected = factor**2 * variance
        assert others[names[j]] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    d2 = losses.squared_distances(v, np.tile(v, (m, 1, 1))).numpy()
    unit = distance_unit(d2, spread)
    scaled = distance_unit(factor**2 * d2[order], other_spread)
    assert scaled == pytest.approx(factor**2 * unit, rel=1e-6, abs=1e-9)


# Logit adjustment.


@holds(10, data=st.data(), tau=floats(-2, 2), other_tau=floats(-2, 2))
def test_logit_adjustment_follows_the_classes_and_adds_up(data, tau, other_tau):
    n = data.draw(st.integers(2, 5))
    z = data.draw(st_np.arrays(np.float32, (3, n), elements=floats(-10, 10)))
    prior = data.draw(st_np.arrays(np.float32, n, elements=floats(2**-10, 1)))
    order = np.array(data.draw(st.permutations(range(n))))
    adjusted = losses.adjusted_logits(z, prior, tau).numpy()
    close = {"rtol": 1e-5, "atol": 1e-4}
    np.testing.assert_allclose(
        losses.adjusted_logits(z[:, order], prior[order], tau),
        adjusted[:, order],
        **close,
    )
    np.testing.assert_allclose(
        losses.adjusted_logits(adjusted, prior, other_tau),
        losses.adjusted_logits(z, prior, tau + other_tau),
        **close,
    )
    # Counts are as good as frequencies: every logit moves alike.
    moved = losses.adjusted_logits(z, 100 * prior, tau).numpy() - adjusted
    np.testing.assert_allclose(moved, tau * np.log(100), **close)
