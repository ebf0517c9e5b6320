"""Calibration measures against sums by hand."""

import numpy as np
import pytest

from benchmarks.calibration import (
    calibration_error,
    negative_log_likelihood,
    scaled_negative_log_likelihood,
)

Y = np.array([0, 0, 0, 1])
P = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], np.float32)


def test_negative_log_likelihood_is_the_mean_over_classes():
    of_class_0 = -np.log([0.9, 0.8, 0.3]).mean()
    expected = (of_class_0 - np.log(0.6)) / 2
    assert negative_log_likelihood(Y, P) == pytest.approx(expected, rel=1e-6)


def test_calibration_error_weights_classes_equally():
    """Four bins of one sample; those of class 0 count 1/6 each, that of class 1 1/2."""
    expected = (0.1 + 0.2 + 0.7) / 6 + 0.4 / 2
    assert calibration_error(Y, P) == pytest.approx(expected, rel=1e-6)


def test_over_and_under_confidence_in_a_bin_cancel():
    p = np.array([[0.75, 0.25]] * 4)
    y = np.array([0, 0, 0, 1])
    # Accuracy is 1 for class 0 and 0 for class 1: 1/2 on average.
    assert calibration_error(y, p, bins=1) == pytest.approx(0.25)
    assert calibration_error(np.array([0, 0, 0, 0]), np.eye(2)[[0] * 4]) == 0.0


def test_scaling_finds_the_temperature_by_which_probabilities_are_wrong():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row) for row in p])
    too_sure = p**4 / (p**4).sum(axis=1, keepdims=True)
    best = negative_log_likelihood(y, p)
    assert negative_log_likelihood(y, too_sure) > best + 0.5
    assert scaled_negative_log_likelihood(y, too_sure) == pytest.approx(best, abs=0.002)


def test_no_half_is_scaled_by_its_own_labels():
    """Labels without information: the temperature that fits one half harms the other.

    Were all samples scaled by what fits them, the loss would be log n or less, but for
    the largest temperature that is tried.
    """
    losses = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet([1, 1], size=12)
        losses.append(scaled_negative_log_likelihood(np.arange(12) % 2, p))
    assert np.mean(losses) > np.log(2) + 0.05
