"""Whether class probabilities are as large as the classifier is often right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CalibrationBins:
    """Bins of samples, of equal width in confidence.

    Confidence is the probability of the most probable class.

    Attributes:
        fraction: The fraction of samples in each bin, shape `(n_bins,)`, float64.
        confidence: Their mean confidence, shape `(n_bins,)`, float64; NaN for an empty
            bin.
        accuracy: Their accuracy, like `confidence`.
    """

    fraction: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap over the samples."""
        return float(np.nansum(self.fraction * abs(self.accuracy - self.confidence)))


def calibration_bins(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], n_bins: int
) -> CalibrationBins:
    """Bin samples by the probability of their most probable class.

    Args:
        truth: Class indices, shape `(m,)`.
        probabilities: Class probabilities, shape `(m, n)`.
        n_bins: Number of bins.

    Returns:
        Fraction of samples, mean confidence and accuracy of each bin.

    Example:
        >>> p = np.array([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
        >>> calibration_bins(np.array([0, 0, 1, 0]), p, n_bins=2).error
        0.0
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    # Rows may sum to a little more than one.
    bin_of = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    sizes, *sums = (
        np.bincount(bin_of, weights=weights, minlength=n_bins)
        for weights in (np.ones_like(confidence), confidence, correct)
    )
    means = [
        np.divide(s, sizes, out=np.full(n_bins, np.nan), where=sizes > 0) for s in sums
    ]
    return CalibrationBins(sizes / len(truth), *means)
