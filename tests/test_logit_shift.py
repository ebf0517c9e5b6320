"""Choosing and applying a logit shift, on posteriors that are known exactly."""

import dataclasses
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from keras_dos.logit_shift import choose_logit_shift, shift_probabilities

GRID = [i / 20 for i in range(-20, 61)]
COUNTS = {2: [3000, 150], 3: [3000, 300, 30]}
DISTANCE = 2.0


def posterior(x, prior):
    """p(j|x) of Gaussians of unit variance around 0, 2, ..., by Bayes' rule."""
    joint = np.array([p * stats.norm.pdf(x, DISTANCE * j) for j, p in enumerate(prior)])
    return (joint / joint.sum(axis=0)).T


def quantiles(counts):
    """Samples that are spread as the Gaussians are, without any noise."""
    x = [
        stats.norm.ppf((np.arange(m) + 0.5) / m) + DISTANCE * j
        for j, m in enumerate(counts)
    ]
    return np.concatenate(x), np.repeat(np.arange(len(counts)), counts)


def divided(p, counts, tau):
    """p_j / π_j^τ, normalized, in plain loops."""
    rows = []
    for row in p:
        factors = [(m / sum(counts)) ** -tau for m in counts]
        row = [float(q) * f for q, f in zip(row, factors, strict=True)]
        rows.append([q / sum(row) for q in row])
    return np.array(rows)


def some_predictions(seed, m=80, n=4):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n), rng.integers(n, size=m)])
    p = rng.dirichlet(np.ones(n), size=len(y))
    p[np.arange(len(y)), y] += 0.2
    p *= [1.0, 0.6, 0.4, 0.2]  # As of a network that saw few of the last.
    return y, p / p.sum(axis=1, keepdims=True)


# Shifting.


@pytest.mark.parametrize("n", [2, 3])
def test_tau_1_and_its_opposite_change_between_the_priors(n):
    x = np.linspace(-4, 9, 200)
    trained = posterior(x, np.array(COUNTS[n]) / sum(COUNTS[n]))
    balanced = posterior(x, np.ones(n) / n)
    there = shift_probabilities(trained, COUNTS[n], 1)
    np.testing.assert_allclose(there, balanced, rtol=1e-5)
    back = shift_probabilities(balanced, COUNTS[n], -1.0)
    np.testing.assert_allclose(back, trained, rtol=1e-5)


@pytest.mark.parametrize("tau", [-1.0, -0.35, 0.0, 0.5, 2.0, 3.0])
def test_it_divides_by_powers_of_the_class_frequencies(tau):
    _, p = some_predictions(0)
    counts = [900, 70, 20, 10]
    shifted = shift_probabilities(p, counts, tau)
    np.testing.assert_allclose(shifted, divided(p, counts, tau), rtol=1e-5)
    np.testing.assert_allclose(shifted.sum(axis=1), 1, rtol=1e-12)


def test_tau_0_changes_nothing():
    _, p = some_predictions(1)
    np.testing.assert_allclose(shift_probabilities(p, [9, 5, 2, 1], 0), p, rtol=1e-12)


def test_a_negative_tau_lowers_rare_classes():
    shifted = shift_probabilities([[0.5, 0.5]], [30, 10], -0.5)
    assert shifted[0, 1] < 0.5


def test_a_0_stays_0_and_no_factor_is_too_large():
    p = np.array([[1.0, 0.0], [1.0, 1e-300], [0.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moderate = shift_probabilities(p, [10**9, 1], 3)
        extreme = shift_probabilities(p, [10**9, 1], 1000)
    np.testing.assert_array_equal(moderate[[0, 2]], p[[0, 2]])
    assert moderate[1, 1] == pytest.approx(1e-273, rel=1e-4)
    np.testing.assert_array_equal(extreme, [[1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_it_computes_in_float64_from_any_dtype(dtype):
    import ml_dtypes  # noqa: F401  # NumPy learns bfloat16 from it.

    _, p = some_predictions(2)
    p = p.astype(dtype)
    counts = [900, 70, 20, 10]
    shifted = shift_probabilities(p, counts, 1.5)
    assert shifted.dtype == np.float64
    np.testing.assert_allclose(shifted, divided(p, counts, 1.5), rtol=1e-5)


def test_a_class_without_training_samples_is_shifted_like_the_largest():
    p = [[0.5, 0.2, 0.3]]
    shifted = shift_probabilities(p, [0, 10, 40], 1.0)[0]
    expected = np.array([0.5 / 0.8, 0.2 / 0.2, 0.3 / 0.8])
    np.testing.assert_allclose(shifted, expected / expected.sum(), rtol=1e-6)


# Choosing.


@pytest.mark.parametrize("n", [2, 3])
def test_the_choice_is_bayes_rule_in_the_limit(n):
    """Of probabilities under the training prior, τ = 1 is best for balance."""
    x, y = quantiles([20_000] * n)
    prior = np.array(COUNTS[n]) / sum(COUNTS[n])
    choice = choose_logit_shift(y, posterior(x, prior), COUNTS[n])
    assert choice.tau == 1.0
    bayes = posterior(x, np.ones(n)).argmax(axis=1)
    assert choice.value == pytest.approx(balanced_accuracy_score(y, bayes), abs=1e-4)
    assert choice.unshifted == balanced_accuracy_score(
        y, posterior(x, prior).argmax(axis=1)
    )
    assert choice.value > choice.unshifted + 0.05


def test_a_few_rare_validation_samples_find_it_nearly():
    x, y = quantiles(COUNTS[2])
    choice = choose_logit_shift(y, posterior(x, np.array([20, 1]) / 21), COUNTS[2])
    assert choice.tau == pytest.approx(1.0, abs=0.2)
    assert choice.support.tolist() == COUNTS[2]


def test_tau_may_be_negative_and_the_measure_another():
    """Of probabilities under √π, τ = -.5 is best for plain accuracy under π."""
    x, y = quantiles([30_000, 1_500])
    p = posterior(x, np.sqrt([20 / 21, 1 / 21]))
    choice = choose_logit_shift(y, p, COUNTS[2], measure=accuracy_score)
    assert choice.tau == pytest.approx(-0.5, abs=0.1)
    assert choice.value > choice.unshifted


def macro_f1(y_true, y_pred):
    return f1_score(y_true, y_pred, average="macro", zero_division=0)


@pytest.mark.parametrize(
    ("seed", "measure"),
    [*((seed, balanced_accuracy_score) for seed in range(4)), (4, macro_f1)],
)
def test_the_choice_is_the_best_of_the_grid_closest_to_0(seed, measure):
    y, p = some_predictions(seed)
    counts = [900, 70, 20, 10]
    values = {tau: measure(y, divided(p, counts, tau).argmax(axis=1)) for tau in GRID}
    choice = choose_logit_shift(y, p, counts, measure=measure)
    largest = max(values.values())
    best = [tau for tau, value in values.items() if value >= largest - 1e-9]
    assert abs(choice.tau) == min(map(abs, best))
    assert choice.tau in best
    assert choice.value == pytest.approx(largest)
    assert choice.unshifted == values[0]
    assert choice.support.tolist() == np.bincount(y).tolist()


def test_the_default_measure_is_balanced_accuracy():
    y, p = some_predictions(7)
    counts = [900, 70, 20, 10]
    default = choose_logit_shift(y, p, counts)
    named = choose_logit_shift(y, p, counts, measure=balanced_accuracy_score)
    assert dataclasses.astuple(default)[:3] == dataclasses.astuple(named)[:3]


def test_without_a_gain_nothing_changes():
    y, p = some_predictions(0)
    assert choose_logit_shift(y, p, [900, 70, 20, 10], measure=lambda *_: 1).tau == 0
    perfect = np.eye(4)[y] * 0.9 + 0.025
    assert choose_logit_shift(y, perfect, [900, 70, 20, 10]).tau == 0
    equal = choose_logit_shift(y, p, [5, 5, 5, 5])
    assert equal.tau == 0
    assert equal.value == equal.unshifted


def test_a_gain_by_rounding_is_none():
    y, p = some_predictions(0)
    first = p.argmax(axis=1)

    def measure(_, y_pred):
        return 0.3 if (y_pred == first).all() else 0.1 + 0.2

    assert 0.1 + 0.2 > 0.3
    assert choose_logit_shift(y, p, [900, 70, 20, 10], measure=measure).tau == 0


def test_of_two_signs_the_one_that_favors_rare_classes_is_taken():
    p = [[0.51, 0.49], [0.49, 0.51]]  # Change at τ > 0, and at τ < 0.

    def changed(_, y_pred):
        return float(y_pred.tolist() != [0, 1])

    assert choose_logit_shift([0, 1], p, [30, 10], measure=changed).tau == 0.05


def test_the_measure_gets_classes():
    y, p = some_predictions(0)
    seen = []

    def measure(y_true, y_pred):
        seen.append((y_true, y_pred))
        return np.float32(0.5)

    choose_logit_shift(np.eye(4)[y], p, [900, 70, 20, 10], measure=measure)
    assert len(seen) == len(GRID) == 81
    for y_true, y_pred in seen:
        np.testing.assert_array_equal(y_true, y)
        assert y_true.dtype == y_pred.dtype == np.int64
        assert y_pred.shape == y.shape


def test_all_forms_of_labels_give_the_same():
    y, p = some_predictions(3)
    counts = np.array([900, 70, 20, 10])
    expected = str(choose_logit_shift(y, p, counts))
    for labels in (y[:, None], y.astype("float32"), np.eye(4)[y], y.tolist()):
        assert str(choose_logit_shift(labels, p.tolist(), counts.tolist())) == expected


def test_a_class_without_training_samples_needs_no_validation_samples():
    y, p = some_predictions(0)
    without = np.where(y == 2, 0, y)
    p[:, 2] = 0
    p /= p.sum(axis=1, keepdims=True)
    choice = choose_logit_shift(without, p, [900, 70, 0, 10])
    assert choice.support[2] == 0
    assert f"({choice.support[[0, 1, 3]].min()} or more per class)" in str(choice)
    # Its recall counts if it has some.
    assert choose_logit_shift(y, p, [900, 70, 0, 10]).value < choice.value


def test_a_class_without_validation_samples_is_named():
    y, p = some_predictions(0)
    with pytest.raises(
        ValueError, match=r"`y_true` must hold.*Received: no samples of.* \[1, 3\]\."
    ):
        choose_logit_shift(np.where(y % 2, 0, y), p, [900, 70, 20, 10])


def test_the_choice_is_frozen_and_prints_in_one_line():
    choice = choose_logit_shift([0, 0, 1], [[0.9, 0.1]] * 2 + [[0.7, 0.3]], [30, 10])
    assert str(choice) == (
        "tau = 0.8: 1.000 on validation data (1 or more per class), 0.500 unshifted"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice.tau = 1.0


# Refusals.

P = [[0.9, 0.1], [0.4, 0.6]]


@pytest.mark.parametrize(
    ("probabilities", "error", "message"),
    [
        ([[np.nan, 1.0], [0.5, 0.5]], ValueError, "NaN means.*Received: 1 of 2 rows"),
        ([[2.0, -1.0], [0.5, 0.5]], ValueError, "end the network with a softmax"),
        ([0.5, 0.5], ValueError, r"shape \(m, n\).*Received: shape \(2,\)"),
        ({"probabilities": P}, TypeError, r'take \["probabilities"\] of the outputs'),
    ],
)
def test_wrong_probabilities_raise(probabilities, error, message):
    with pytest.raises(error, match=f"`probabilities`.*{message}"):
        choose_logit_shift([0, 1], probabilities, [30, 10])
    with pytest.raises(error, match=f"`probabilities`.*{message}"):
        shift_probabilities(probabilities, [30, 10], 1.0)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([30, 10, 5], "2 integers, one per class.*Received"),
        ([0.75, 0.25], "2 integers, one per class"),
        ([30, -1], "none negative"),
        ([0, 0], r"not all 0\. Received: class_counts=\[0, 0\]"),
    ],
)
def test_wrong_counts_raise(counts, message):
    with pytest.raises(ValueError, match=f"`class_counts` must.*{message}"):
        choose_logit_shift([0, 1], P, counts)
    with pytest.raises(ValueError, match=f"`class_counts` must.*{message}"):
        shift_probabilities(P, counts, 1.0)


@pytest.mark.parametrize(
    ("tau", "error", "message"),
    [
        (np.nan, ValueError, "must be finite. Received: tau=nan"),
        (-np.inf, ValueError, "must be finite"),
        ("1", TypeError, "must be a number. Received: tau='1'"),
        (True, TypeError, "must be a number"),
    ],
)
def test_a_wrong_tau_raises(tau, error, message):
    with pytest.raises(error, match=f"`tau` {message}"):
        shift_probabilities(P, [30, 10], tau)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 2], ValueError, "smaller than n_classes=2"),
        ([0, 1, 1], ValueError, "same number of samples.*3 labels, 2 rows"),
        (["cat", "dog"], TypeError, "Map names to indices"),
    ],
)
def test_wrong_labels_raise(labels, error, message):
    with pytest.raises(error, match=message):
        choose_logit_shift(labels, P, [30, 10])


@pytest.mark.parametrize(
    ("measure", "error", "message"),
    [
        ("accuracy", TypeError, "`measure` must be a function"),
        (lambda *_: None, TypeError, r"`measure\(\.\.\.\)` must be a number.*None"),
        (lambda *_: np.nan, ValueError, r"`measure\(\.\.\.\)` must be finite.*nan"),
    ],
)
def test_a_wrong_measure_raises(measure, error, message):
    with pytest.raises(error, match=message):
        choose_logit_shift([0, 1], P, [30, 10], measure=measure)
