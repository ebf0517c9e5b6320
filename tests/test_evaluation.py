"""Tests of keras_dos.evaluation."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
)

from keras_dos.evaluation import classwise_report, comparison_table

PERFECT = [[0.9, 0.1], [0.1, 0.9]]


def some_predictions(seed, n=60, n_classes=4):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n)])
    scores = rng.dirichlet(np.ones(n_classes), size=truth.size)
    scores[np.arange(truth.size), truth] += 0.3
    # Coarse values: ties are where average precision goes wrong.
    scores = np.ceil(scores * 8)
    return truth, scores / scores.sum(axis=1, keepdims=True)


def counted_by_hand(truth, probabilities, c):
    """Precision, recall and F1 of class c from counts."""
    true_positive = false_positive = false_negative = 0
    for label, row in zip(truth, probabilities, strict=True):
        predicted = max(range(len(row)), key=lambda j: row[j])
        true_positive += predicted == c and label == c
        false_positive += predicted == c and label != c
        false_negative += predicted != c and label == c
    n_predicted = true_positive + false_positive
    precision = true_positive / n_predicted if n_predicted else 0.0
    recall = true_positive / (true_positive + false_negative)
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def average_precision_by_hand(is_positive, scores):
    """Sum over thresholds of (gain in recall) x precision."""
    n_positive = sum(is_positive)
    average, last_recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        retrieved = [
            positive
            for positive, score in zip(is_positive, scores, strict=True)
            if score >= threshold
        ]
        recall = sum(retrieved) / n_positive
        average += (recall - last_recall) * sum(retrieved) / len(retrieved)
        last_recall = recall
    return average


@pytest.mark.parametrize("seed", range(5))
def test_measures_equal_those_counted_by_hand(seed):
    truth, probabilities = some_predictions(seed)
    report = classwise_report(truth, probabilities)
    for c in range(4):
        precision, recall, f1 = counted_by_hand(truth, probabilities, c)
        assert report.precision[c] == pytest.approx(precision)
        assert report.recall[c] == pytest.approx(recall)
        assert report.f1[c] == pytest.approx(f1)
        auprc = average_precision_by_hand(
            (truth == c).tolist(), probabilities[:, c].tolist()
        )
        assert report.auprc[c] == pytest.approx(auprc)
        assert report.support[c] == np.count_nonzero(truth == c)


@pytest.mark.parametrize("seed", range(5))
def test_accuracies_equal_those_of_scikit_learn(seed):
    truth, probabilities = some_predictions(seed)
    predicted = probabilities.argmax(axis=1)
    report = classwise_report(truth, probabilities)
    assert report.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert report.balanced_accuracy == pytest.approx(
        balanced_accuracy_score(truth, predicted)
    )


@pytest.mark.parametrize("seed", range(5))
def test_groups_average_their_classes(seed):
    truth, probabilities = some_predictions(seed)
    report = classwise_report(truth, probabilities, minority=[3, 1])
    assert report.minority == (1, 3)
    groups = {"minority": (1, 3), "majority": (0, 2), "all": (0, 1, 2, 3)}
    for group, classes in groups.items():
        expected = {
            measure: sum(getattr(report, measure)[c] for c in classes) / len(classes)
            for measure in ("precision", "recall", "f1", "auprc")
        }
        assert report.average(group) == pytest.approx(expected)


def calibration_error_by_hand(truth, probabilities):
    """Bins of 1/15: the sum of |probability − rightness| of each, over all samples."""
    excess = [0.0] * 15
    for label, row in zip(truth, probabilities.tolist(), strict=True):
        top = max(row)
        (b,) = [
            b for b in range(15) if b / 15 <= top < (b + 1) / 15 or b < top == b + 1
        ]
        excess[b] += top - (row.index(top) == label)
    return sum(map(abs, excess)) / len(truth)


@pytest.mark.parametrize("seed", range(5))
def test_probabilities_are_measured_as_by_scikit_learn(seed):
    truth, probabilities = some_predictions(seed)
    report = classwise_report(truth, probabilities)
    assert report.log_loss == pytest.approx(log_loss(truth, probabilities))
    # One class against the rest; of scikit-learn before 1.7 too.
    of_each = [brier_score_loss(truth == c, probabilities[:, c]) for c in range(4)]
    assert report.brier_score == pytest.approx(sum(of_each))
    assert report.calibration_error == pytest.approx(
        calibration_error_by_hand(truth, probabilities)
    )


def test_measures_of_probabilities_at_their_ends():
    perfect = classwise_report([0, 1], np.eye(2))
    assert (perfect.log_loss, perfect.brier_score) == pytest.approx((0, 0), abs=1e-12)
    assert perfect.calibration_error == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrong = classwise_report([1, 0], np.eye(2))
    assert wrong.log_loss == pytest.approx(-np.log(np.finfo(np.float64).eps))
    assert (wrong.brier_score, wrong.calibration_error) == (2, 1)


def test_log_loss_is_of_rows_that_sum_to_one():
    _, probabilities = some_predictions(0)
    truth = np.zeros(
        len(probabilities), int
    )  # The other classes are known all the same.
    expected = log_loss(truth, probabilities, labels=range(4))
    report = classwise_report(truth, probabilities * 1.01)
    assert report.log_loss == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_grouped_by_training_samples(seed):
    truth, probabilities = some_predictions(seed, n_classes=6)
    counts = [101, 100, 20, 19, 0, 5000]
    groups = {"many": (0, 5), "medium": (1, 2), "few": (3, 4)}
    report = classwise_report(truth, probabilities, class_counts=counts)
    assert report.class_counts.tolist() == counts
    for group, classes in groups.items():
        expected = {
            measure: np.mean(getattr(report, measure)[list(classes)])
            for measure in ("precision", "recall", "f1", "auprc")
        }
        assert report.average(group) == pytest.approx(expected)
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines[7:11]] == [*groups, "all"]
    for line, (group, classes) in zip(lines[7:10], groups.items(), strict=True):
        values = [f"{value:.3f}" for value in report.average(group).values()]
        assert line.split()[1:] == [str(report.support[list(classes)].sum()), *values]


def test_the_table_has_only_groups_with_classes():
    report = classwise_report([0, 1], PERFECT, [1], class_counts=[500, 5])
    names = [line.split()[0] for line in str(report).splitlines()]
    groups = ["minority", "majority", "many", "few", "all"]
    assert names == ["class", "0", "1*", *groups, "balanced", "log-loss"]
    assert all(math.isnan(value) for value in report.average("medium").values())


def test_all_forms_of_labels_give_the_same():
    truth, probabilities = some_predictions(0)
    expected = dataclasses.asdict(classwise_report(truth, probabilities))
    for labels in (
        truth[:, np.newaxis],
        truth.astype("float32"),
        np.eye(4)[truth],
        truth.tolist(),
    ):
        report = dataclasses.asdict(classwise_report(labels, probabilities.tolist()))
        for name, value in expected.items():
            np.testing.assert_array_equal(report[name], value)


def test_class_without_test_samples_is_left_out_of_averages():
    # Class 2 has no samples; one sample of class 0 is taken for it.
    probabilities = [[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.2, 0.8, 0.0]]
    report = classwise_report([0, 0, 1], probabilities, minority=[1, 2])
    np.testing.assert_array_equal(report.support, [2, 1, 0])
    np.testing.assert_array_equal(report.recall, [0.5, 1.0, np.nan])
    assert report.precision[2] == 0
    assert math.isnan(report.f1[2])
    assert math.isnan(report.auprc[2])
    assert report.balanced_accuracy == 0.75
    assert report.accuracy == pytest.approx(2 / 3)
    assert report.average("minority") == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "auprc": 1.0,
    }


def test_group_without_test_samples_averages_to_nan():
    report = classwise_report([0, 0], PERFECT, minority=[1])
    assert all(math.isnan(value) for value in report.average("minority").values())
    assert "nan" in str(report)


def test_class_that_is_never_predicted_has_precision_0():
    report = classwise_report([0, 1], [[0.9, 0.1], [0.8, 0.2]])
    assert report.precision.tolist() == [0.5, 0.0]
    assert report.f1[1] == 0.0


def test_report_is_frozen():
    report = classwise_report([0, 1], PERFECT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.minority = (1,)


def test_table_shows_every_class_and_the_averages():
    truth, probabilities = some_predictions(0, n_classes=11)
    report = classwise_report(truth, probabilities, minority=(2, 10))
    lines = str(report).splitlines()
    assert lines[0].split() == [
        *("class", "support", "precision", "recall", "F1", "AUPRC")
    ]
    names = [line.split()[0] for line in lines[1:-2]]
    classes = ["0", "1", "2*", "3", "4", "5", "6", "7", "8", "9", "10*"]
    assert names == [*classes, "minority", "majority", "all"]
    assert lines[3].split()[1:] == [
        str(report.support[2]),
        *(f"{v[2]:.3f}" for v in (report.precision, report.recall, report.f1)),
        f"{report.auprc[2]:.3f}",
    ]
    minority = report.average("minority").values()
    assert lines[12].split()[2:] == [f"{value:.3f}" for value in minority]
    n_minority = report.support[[2, 10]].sum()
    n_all = report.support.sum()
    assert [line.split()[1] for line in lines[12:15]] == [
        *(str(n) for n in (n_minority, n_all - n_minority, n_all))
    ]
    assert len({len(line) for line in lines[:-2]}) == 1, "columns are not aligned"
    assert f"balanced accuracy {report.balanced_accuracy:.3f}" in lines[-2]
    assert lines[-1] == (
        f"log-loss {report.log_loss:.3f}, Brier score {report.brier_score:.3f}, "
        f"calibration error {report.calibration_error:.3f}"
    )


@pytest.mark.parametrize("minority", [None, (), []])
def test_table_without_minority_has_only_all(minority):
    report = classwise_report([0, 1], PERFECT, minority)
    names = [line.split()[0] for line in str(report).splitlines()]
    assert names == ["class", "0", "1", "all", "balanced", "log-loss"]


def test_comparison_table_has_a_row_per_method():
    reports = {
        f"method {seed}": classwise_report(*some_predictions(seed), minority=[0])
        for seed in range(2)
    }
    lines = comparison_table(reports).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["balanced", "minority", "majority"]
    assert lines[1].split() == ["method", "accuracy", *["P", "R", "F1", "AUPRC"] * 2]
    for line, (name, report) in zip(lines[2:], reports.items(), strict=True):
        assert line.startswith(name)
        assert line.removeprefix(name).split() == [
            f"{report.balanced_accuracy:.3f}",
            *(f"{value:.3f}" for value in report.average("minority").values()),
            *(f"{value:.3f}" for value in report.average("majority").values()),
        ]
    assert len({len(line) for line in lines[1:]}) == 1, "columns are not aligned"


def test_comparison_table_needs_minority_classes():
    report = classwise_report([0, 1], PERFECT)
    with pytest.raises(ValueError, match=r"at least one class.*: minority=.*\(\)"):
        comparison_table({"plain": report})
    with pytest.raises(ValueError, match=r"at least one report.*reports=\{\}"):
        comparison_table({})


def test_comparison_table_refuses_reports_of_other_classes():
    reports = {n: classwise_report([0, 1], np.eye(n)[:2], [1]) for n in (2, 3)}
    assert comparison_table({2: reports[2]}).splitlines()[-1].startswith("2 ")
    with pytest.raises(ValueError, match=r"same classes.*Received: .*\{2: 2, 3: 3\}"):
        comparison_table(reports)


def test_comparison_table_refuses_reports_of_other_minorities():
    first, second = (classwise_report([0, 1], PERFECT, [j]) for j in range(2))
    with pytest.raises(ValueError, match=r"same `minority`.*'a': \(0,\), 'b': \(1,\)"):
        comparison_table({"a": first, "b": second})


@pytest.mark.parametrize("wrap", [lambda r: [r], lambda r: r, lambda r: {"DOS": [r]}])
def test_comparison_table_refuses_what_is_not_reports_by_method(wrap):
    report = classwise_report([0, 1], PERFECT, [1])
    with pytest.raises(TypeError, match=r"^`reports` must map names.*Received: rep"):
        comparison_table(wrap(report))


def test_rows_may_miss_one_by_two_hundredths():
    assert classwise_report([0, 1], np.array(PERFECT) * 1.019).accuracy == 1
    with pytest.raises(ValueError, match=r"with a softmax.*: 2 of 2 rows.*0\.9198"):
        classwise_report([0, 1], np.array(PERFECT) * 1.022)


@pytest.mark.parametrize(
    ("probabilities", "error", "message"),
    [
        ([[2.0, -1.0], [0.5, 0.5]], ValueError, "end the network with a softmax"),
        ([[0.2, 0.2], [0.5, 0.5]], ValueError, "end the network with a softmax"),
        ([[np.nan, 1.0], [0.5, 0.5]], ValueError, r"NaN means.*Received: 1 of 2 rows"),
        ([[np.inf, 1.0], [0.5, 0.5]], ValueError, "Received: 1 of 2 rows"),
        ([0.5, 0.5], ValueError, r"shape \(m, n\).*Received: shape \(2,\)"),
        ([[1.0], [1.0]], ValueError, r"shape \(m, n\)"),
        (np.empty((0, 2)), ValueError, r"shape \(m, n\)"),
        ({"probabilities": PERFECT}, TypeError, r'take \["probabilities"\] of the out'),
        ([["a", "b"], ["c", "d"]], TypeError, r"real numbers\. Received: dtype <U1"),
        ([*PERFECT, [0.5, 0.5]], ValueError, "2 labels, 3 rows"),
    ],
)
def test_wrong_probabilities_raise(probabilities, error, message):
    with pytest.raises(error, match=f"`probabilities`.*{message}"):
        classwise_report([0, 1], probabilities)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 2], ValueError, "smaller than n_classes=2"),
        ([[0.9, 0.1], [0.1, 0.9]], ValueError, "one-hot"),
        (["cat", "dog"], TypeError, "Map names to indices"),
    ],
)
def test_wrong_labels_raise(labels, error, message):
    with pytest.raises(error, match=message):
        classwise_report(labels, PERFECT)


@pytest.mark.parametrize(
    ("minority", "error", "message"),
    [
        ([2], ValueError, "classes from 0 to 1.*class 2"),
        ([-1], ValueError, "classes from 0 to 1.*class -1"),
        ([0, 1], ValueError, "0 to 1 different classes of 2"),
        ([1, 1], ValueError, "different classes"),
        ([0.0], ValueError, r"classes from 0 to 1.*class 0\.0"),
        (["0"], ValueError, "classes from 0 to 1.*class '0'"),
        ([[0]], TypeError, "list of classes"),
        (1, TypeError, "list of classes.*minority=1"),
    ],
)
def test_wrong_minority_raises(minority, error, message):
    with pytest.raises(error, match=f"`minority` must .*{message}"):
        classwise_report([0, 1], PERFECT, minority)


def test_wrong_group_raises():
    report = classwise_report([0, 1], PERFECT)
    for group in ("rare", ["all"]):
        with pytest.raises(ValueError, match="`group` must be one of"):
            report.average(group)
    with pytest.raises(
        ValueError, match=r"\['all'\] in a report without minority classes; pass `min"
    ):
        report.average("majority")
    with pytest.raises(
        ValueError, match="report without class counts; pass `class_cou"
    ):
        report.average("few")


@pytest.mark.parametrize("counts", [[5], [5, -1], [5.0, 1.0], "ab"])
def test_wrong_class_counts_raise(counts):
    with pytest.raises(ValueError, match="`class_counts` must be 2 integers, one per"):
        classwise_report([0, 1], PERFECT, class_counts=counts)
