"""Choosing a threshold, on known posteriors and against plain loops."""

import dataclasses
import functools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, fbeta_score, matthews_corrcoef

from keras_dos import choose_threshold
from keras_dos.evaluation import ThresholdChoice
from keras_dos.plots import precision_recall_curves

DISTANCE = 2.0


def known_posterior(n_rest, n_class):
    """Samples of two Gaussians, without noise, and their p(j|x) by Bayes' rule."""
    counts = np.array([n_rest, n_class])
    x = np.concatenate(
        [
            stats.norm.ppf((np.arange(m) + 0.5) / m) + DISTANCE * j
            for j, m in enumerate(counts)
        ]
    )
    joint = [m * stats.norm.pdf(x, DISTANCE * j) for j, m in enumerate(counts)]
    return np.repeat([0, 1], counts), np.transpose(joint / np.sum(joint, axis=0))


def some_predictions(seed, m=80, n=4):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n), rng.integers(n, size=m)])
    p = rng.dirichlet(np.ones(n), size=len(y))
    p[np.arange(len(y)), y] += 0.2
    p = np.ceil(p * 20)  # Ties.
    return y, p / p.sum(axis=1, keepdims=True)


def cost_by_hand(y, score, threshold, class_index, costs):
    total = 0.0
    for label, s in zip(y, score, strict=True):
        positive, truth = s >= threshold, label == class_index
        total += costs[0] * (positive and not truth) + costs[1] * (
            truth and not positive
        )
    return total / len(y)


def every_decision(score):
    """A threshold for each way in which scores can be divided."""
    distinct = sorted({0.0, *score.tolist()})
    return [*distinct, distinct[-1] + 1]


# Costs.


def expected_cost(threshold, counts, costs):
    """The mean cost of a threshold over all that the Gaussians could draw."""
    log_odds = np.log(threshold / (1 - threshold)) - np.log(counts[1] / counts[0])
    x = log_odds / DISTANCE + DISTANCE / 2
    rest, of_class = np.array(counts) / sum(counts)
    false_positives = rest * stats.norm.sf(x)
    return costs[0] * false_positives + costs[1] * of_class * stats.norm.cdf(
        x - DISTANCE
    )


@pytest.mark.parametrize("costs", [(1, 1), (1, 5), (1, 50), (10, 1), (0.5, 0.02)])
@pytest.mark.parametrize("counts", [(3000, 3000), (9500, 500)])
def test_with_costs_it_is_bayes_threshold(costs, counts):
    y, p = known_posterior(*counts)
    choice = choose_threshold(y, p, costs=costs)
    bayes = costs[0] / sum(costs)
    assert choice.threshold == pytest.approx(bayes, abs=0.04)
    least = expected_cost(bayes, counts, costs)
    assert expected_cost(choice.threshold, counts, costs) == pytest.approx(
        least, rel=0.01
    )
    assert choice.value == pytest.approx(least, rel=0.03)
    assert choice.at_half == pytest.approx(
        cost_by_hand(y, p[:, 1], 0.5, 1, costs), rel=1e-9
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-15, 1e300])
def test_only_the_ratio_of_the_costs_counts(scale):
    y, p = some_predictions(0)
    expected = choose_threshold(y, p, costs=(1, 4))
    choice = choose_threshold(y, p, costs=(scale, 4 * scale))
    assert choice.threshold == expected.threshold
    assert choice.value == pytest.approx(expected.value * scale)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("costs", [(1, 1), (1, 8), (8, 1)])
def test_no_threshold_costs_less(seed, costs):
    y, p = some_predictions(seed)
    choice = choose_threshold(y, p, class_index=seed, costs=costs)
    score = p[:, seed]
    least = min(cost_by_hand(y, score, t, seed, costs) for t in every_decision(score))
    assert choice.value == pytest.approx(least)
    assert choice.costs == costs


@pytest.mark.parametrize("ratio", [1e11, 1e13, 1e18])
def test_a_huge_cost_does_not_hide_a_small_one(ratio):
    y = [0, 0, 0, 1, 1]
    p = [[0.4, 0.6], [0.35, 0.65], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]
    for costs in ((1, ratio), (1 / ratio, 1)):
        choice = choose_threshold(y, p, costs=costs)
        assert (choice.threshold, choice.value) == (pytest.approx(0.725), 0)


def test_the_class_is_never_predicted_if_that_costs_least():
    y = [1, 0, 0, 0]
    p = [[0.6, 0.4], [0.2, 0.8], [0.5, 0.5], [0.3, 0.7]]
    choice = choose_threshold(y, p, costs=(10, 1))
    assert choice.threshold == pytest.approx(0.9)
    assert choice.value == 0.25


@pytest.mark.parametrize("certain", [1.0, 1.015])
def test_the_class_may_be_never_predicted_where_a_probability_is_1(certain):
    y, p = [1, 0, 0, 1], np.array([[0, certain], [0, certain], [0.3, 0.7], [0.4, 0.6]])
    choice = choose_threshold(y, p, costs=(10, 1))
    assert choice.threshold > certain
    assert choice.value == 0.5
    assert choice.classify(p).tolist() == [0, 0, 0, 0]
    assert choice.classify(p.astype("float16")).tolist() == [0, 0, 0, 0]
    figure = precision_recall_curves(y, {"CNN": p}, 1, {"CNN": choice.threshold})
    assert figure.axes


# Measures.


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "measure",
    [
        f1_score,
        accuracy_score,
        matthews_corrcoef,
        functools.partial(fbeta_score, beta=2),
    ],
)
def test_no_threshold_has_a_larger_measure(seed, measure):
    y, p = some_predictions(seed)
    choice = choose_threshold(y, p, class_index=seed, measure=measure)
    of_class, score = y == seed, p[:, seed]
    found = [measure(of_class, score >= t) for t in every_decision(score)]
    assert choice.value == pytest.approx(max(found))
    assert choice.value == pytest.approx(measure(of_class, score >= choice.threshold))
    assert choice.at_half == pytest.approx(measure(of_class, score >= 0.5))
    assert choice.support.tolist() == np.bincount(y).tolist()
    assert choice.costs is None


def test_the_default_is_f1_of_the_second_class():
    y, p = some_predictions(5)
    default = choose_threshold(y, p)
    named = choose_threshold(y, p, class_index=1, measure=f1_score)
    assert dataclasses.astuple(default)[:4] == dataclasses.astuple(named)[:4]
    assert default.class_index == 1


@pytest.mark.slow
def test_hundreds_of_samples_of_the_class_are_thinned():
    y, p = known_posterior(4000, 1000)
    calls = []

    def counted(y_true, y_pred):
        calls.append((y_true.dtype, y_pred.dtype, y_pred.shape))
        return f1_score(y_true, y_pred)

    choice = choose_threshold(y, p, measure=counted)
    assert len(calls) == 202
    assert set(calls) == {(np.dtype("int64"), np.dtype("int64"), y.shape)}
    best = max(f1_score(y, p[:, 1] >= t) for t in p[::7, 1])
    assert choice.value == pytest.approx(best, abs=2e-3)
    assert choice.value > choice.at_half


def test_without_a_gain_nothing_changes():
    y, p = some_predictions(0)
    assert choose_threshold(y, p, measure=lambda *_: 1).threshold == 0.5
    perfect = choose_threshold([0, 1], [[0.9, 0.1], [0.3, 0.7]])
    assert perfect.threshold == 0.5
    assert perfect.value == perfect.at_half == 1


def test_a_gain_by_rounding_is_none():
    p = [[0.9, 0.1], [0.7, 0.3]]

    def measure(_, y_pred):
        return 0.1 + 0.2 if y_pred.any() else 0.3

    assert choose_threshold([0, 1], p, measure=measure).threshold == 0.5


def test_of_equals_the_closest_to_one_half_is_taken():
    p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]

    def measure(_, y_pred):
        return float(y_pred.any())

    choice = choose_threshold([0, 1, 1, 1], p, measure=measure)
    assert choice.threshold == pytest.approx(0.35)


def test_it_stands_midway_between_samples():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.5625, 0.4375]])
    choice = choose_threshold([0, 0, 1], p)
    assert choice.threshold == (0.3 + 0.4375) / 2
    # So that half precision does not change a decision.
    assert choice.classify(p.astype("float16")).tolist() == [0, 0, 1]


def test_all_forms_of_labels_give_the_same():
    y, p = some_predictions(3)
    expected = str(choose_threshold(y, p))
    for labels in (y[:, None], y.astype("float32"), np.eye(4)[y], y.tolist()):
        assert str(choose_threshold(labels, p.tolist())) == expected


def test_a_threshold_is_at_most_one_where_rows_sum_to_more():
    p = [[0.0, 1.019], [0.0, 1.018]]
    choice = choose_threshold([0, 1], p, costs=(1, 1))
    assert choice.threshold <= 1


# Applying.


def chosen(threshold, class_index, n):
    support = np.ones(n, np.int64)
    return ThresholdChoice(threshold, 1.0, 1.0, class_index, support, None)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("class_index", range(4))
def test_classify_takes_the_class_or_the_best_of_the_others(threshold, class_index):
    _, p = some_predictions(6)
    expected = []
    for row in p.tolist():
        others = [j for j in range(4) if j != class_index]
        best = max(others, key=lambda j: row[j])
        expected.append(class_index if row[class_index] >= threshold else best)
    found = chosen(threshold, class_index, 4).classify(p)
    assert found.tolist() == expected
    assert found.dtype == np.int64
    assert found.shape == (len(p),)


def test_others_of_probability_0_may_be_the_best_of_them():
    assert chosen(1.0, 0, 3).classify([[0.999, 0.0, 0.001]]).tolist() == [2]
    assert chosen(1.0, 0, 2).classify([[0.999, 0.0]]).tolist() == [1]


def test_what_was_chosen_is_what_classify_does():
    y, p = some_predictions(7)
    choice = choose_threshold(y, p, class_index=2)
    assert choice.value == pytest.approx(f1_score(y == 2, choice.classify(p) == 2))


def test_the_choice_is_frozen_and_prints_in_one_line():
    p = [[0.9, 0.1]] * 2 + [[0.75, 0.25]]
    choice = choose_threshold([0, 0, 1], p)
    assert str(choice) == (
        "threshold = 0.175 for class 1: 1.000 on validation data "
        "(1 of the class, 2 of the rest), 0.000 at 0.5"
    )
    priced = choose_threshold([0, 0, 1], p, costs=(1, 6))
    assert str(priced) == (
        "threshold = 0.175 for class 1: cost 0.000 per sample on validation data "
        "(1 of the class, 2 of the rest), cost 2.000 at 0.5"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice.threshold = 1.0


# Refusals.

P = [[0.9, 0.1], [0.4, 0.6]]


def test_both_kinds_of_samples_are_needed():
    with pytest.raises(ValueError, match=r"`class_index` must.*\[1\], which have no"):
        choose_threshold([0, 0], P)
    with pytest.raises(ValueError, match=r"`y_true` must hold.*: 2 samples, all of cl"):
        choose_threshold([1, 1], P)


@pytest.mark.parametrize(
    ("costs", "error", "message"),
    [
        ((1,), ValueError, r"must be two numbers.*Received: costs=\(1,\)"),
        (5, ValueError, "must be two numbers"),
        ((1, 0), ValueError, "must be positive and finite"),
        ((1, np.nan), ValueError, "must be positive and finite"),
        ("ab", TypeError, "must be an array of real numbers"),
    ],
)
def test_wrong_costs_raise(costs, error, message):
    with pytest.raises(error, match=f"`costs` {message}"):
        choose_threshold([0, 1], P, costs=costs)


def test_a_measure_and_costs_exclude_each_other():
    with pytest.raises(ValueError, match=r"`measure` must be None.*costs=\(1, 2\)"):
        choose_threshold([0, 1], P, measure=f1_score, costs=(1, 2))


def test_a_measure_cannot_change_what_it_is_shown():
    def wipe(y_true, y_pred):
        y_true[:] = 1

    with pytest.raises(ValueError, match="read-only"):
        choose_threshold([0, 1], P, measure=wipe)


@pytest.mark.parametrize(
    ("measure", "error", "message"),
    [
        ("f1", TypeError, "`measure` must be a function"),
        (lambda *_: None, TypeError, r"`measure\(\.\.\.\)` must be a number.*None"),
        (lambda *_: np.nan, ValueError, r"`measure\(\.\.\.\)` must be finite.*nan"),
    ],
)
def test_a_wrong_measure_raises(measure, error, message):
    with pytest.raises(error, match=message):
        choose_threshold([0, 1], P, measure=measure)


def test_classify_refuses_other_classes():
    with pytest.raises(ValueError, match=r"`probabilities` must have 2 col.*\(1, 3\)"):
        choose_threshold([0, 1], P).classify([[0.2, 0.3, 0.5]])
