"""What a round measures on the embeddings: in-class variances and the unit D̄."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Fraction of the spread below which the unit of squared distance does not fall.
UNIT_FLOOR = 0.02
# Rows whose squares are taken at once; those of a large class would fill the memory.
_ROWS = 4096


def class_moments(
    embeddings: NDArray[np.floating[Any]], classes: NDArray[np.int64]
) -> tuple[dict[int, float], float]:
    """Measure the in-class variances and the spread of all embeddings.

    Args:
        embeddings: Shape (m, d), any float dtype.
        classes: Shape (m,), int64.

    Returns:
        The mean squared distance to the class mean, by class, and the mean squared
        distance between two embeddings if all classes were equally frequent.

    Example:
        >>> embeddings = np.array([[0.0], [2.0], [10.0], [12.0]], np.float32)
        >>> class_moments(embeddings, np.array([0, 0, 1, 1]))
        ({0: 1.0, 1: 1.0}, 52.0)
    """
    variances, means = {}, []
    for j in np.unique(classes):
        members = np.flatnonzero(classes == j)
        parts = np.split(members, np.arange(_ROWS, len(members), _ROWS))
        sums = (embeddings[part].sum(axis=0, dtype=np.float64) for part in parts)
        mean = np.sum(list(sums), axis=0) / len(members)
        squares = (np.square(embeddings[part] - mean).sum(axis=0) for part in parts)
        variance = np.sum(list(squares), axis=0) / len(members)
        variances[int(j)] = float(variance.sum())
        means.append(mean)
    if not means:
        return {}, 0.0
    between = float(np.var(means, axis=0).sum())
    return variances, 2 * (float(np.mean(list(variances.values()))) + between)


def distance_unit(distances: NDArray[np.float32], spread: float) -> float:
    """Return the unit of squared distance of the scale-free form.

    It is D̄, the mean squared distance to an in-class neighbor, so that a weight means
    the same for embeddings of any scale. Rounds shrink D̄, and a unit that followed it
    to zero would let the embedding loss grow until it crushed the classes. Hence the
    floor, a fraction of the spread, which the separation of the classes keeps up.

    Args:
        distances: Squared distances to in-class neighbors, any shape, float32.
        spread: Mean squared distance between embeddings of all classes.

    Returns:
        The unit; 0 without distances.

    Example:
        >>> distance_unit(np.array([4.0, 6.0], np.float32), spread=10.0)
        5.0
        >>> distance_unit(np.array([0.0, 0.0], np.float32), spread=10.0)
        0.2
    """
    if not distances.size:
        return 0.0
    return max(float(distances.mean(dtype=np.float64)), UNIT_FLOOR * spread)
