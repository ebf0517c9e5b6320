"""Labels and class probabilities of the same samples."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks
from keras_dos.labels import labels_of, sparse_labels


def read_predictions(
    y_true: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels and class probabilities of the same samples.

    Args:
        y_true: Class indices, shape `(m,)` or `(m, 1)`, or one-hot rows, `(m, n)`.
        probabilities: Class probabilities, shape `(m, n)`, any real dtype.

    Returns:
        Class indices, shape `(m,)`, and class probabilities, shape `(m, n)`.

    Raises:
        TypeError: If they are not numbers.
        ValueError: If the shapes do not match, if a row does not hold probabilities, or
            if `sparse_labels` rejects `y_true`.

    Example:
        >>> read_predictions([[0, 1]], [[0.25, 0.75]])
        (array([1]), array([[0.25, 0.75]]))
    """
    scores = _checks.probabilities("probabilities", probabilities)
    m, n = scores.shape
    with labels_of("y_true"):
        truth = sparse_labels(y_true, n)
    if truth.size != m:
        raise ValueError(
            "`y_true` and `probabilities` must have the same number of samples. "
            f"Received: {truth.size} labels, {m} rows of probabilities."
        )
    return truth, scores
