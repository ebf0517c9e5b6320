"""Algorithm 1: deep feature overloading, as pure functions on arrays.

| lines of Algorithm 1 | here |
|---|---|
| 5 (STL) | `plain_epoch`: the warm-up epochs of `fit` |
| 6 (for t = 1..T) | the epochs of `fit`: `OverloadingCallback.on_epoch_begin` |
| 7-9 (v_i = f(x_i)) | `overload`, with the `embed` it is given |
| 10-21 (N(x), w, Z) | `overload` |
| 22 (MTL) | `DOSModel.train_step`, on the batches of `QuadrupletPipeline` |
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_dos.class_parameters import ClassParameters
from keras_dos.search import NeighborSearch, self_neighbors

# Samples that stand for a class without overloading when the spread is measured.
REFERENCE_SAMPLES = 100
# Share of the spread below which the unit of squared distance does not fall.
UNIT_FLOOR = 0.02


@dataclass(frozen=True)
class Quadruplets:
    """The weighted training set Z' of eq. (7), by id.

    Attributes:
        samples: Id i of x_i and y_i, shape (z,), int64.
        neighbors: Rows of `table`, the neighbors in N(x_i), shape (z, k), int64.
        weights: w on the simplex over f(x_i) and its neighbors, shape (z, k + 1),
            float32. A weight of 0 marks a slot that does not exist.
        table: Embeddings of the samples in overloaded classes, shape (rows, d),
            float32.
    """

    samples: NDArray[np.int64]
    neighbors: NDArray[np.int64]
    weights: NDArray[np.float32]
    table: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.samples)

    def ordered(self, order: NDArray[np.int64]) -> "Quadruplets":
        """Return the quadruplets in another order, over the same table."""
        return Quadruplets(
            self.samples[order], self.neighbors[order], self.weights[order], self.table
        )


@dataclass(frozen=True)
class Round:
    """What one overloading yields.

    Attributes:
        quadruplets: Z', each sample before any of its further copies.
        unit: The squared distance that counts as 1 in the scale-free form of (8) and
            (10), from `distance_unit`; 0 where there are no neighbors.
        variances: In-class variance (mean squared distance to the class mean) of each
            class; empty where no class is overloaded.
    """

    quadruplets: Quadruplets
    unit: float
    variances: dict[int, float]


def overload(
    embed: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    classes: NDArray[np.int64],
    parameters: ClassParameters,
    search: NeighborSearch,
    rng: np.random.Generator,
) -> Round:
    """Overload the training set: lines 7-21 of Algorithm 1.

    Args:
        embed: f, from sample ids of shape (m,) to embeddings of shape (m, d).
        classes: y, the class of each sample, shape (m,), int64.
        parameters: k_j and r_j of each class.
        search: The neighbor search.
        rng: The source of w and of the samples that a fractional r_j adds.

    Returns:
        Z' and the measures taken on the embeddings.

    Raises:
        ValueError: If an embedding is not finite.

    Example:
        >>> from keras_dos.class_parameters import resolve_class_parameters
        >>> from keras_dos.search import ExactSearch
        >>> x = np.array([[0.0], [1.0], [5.0], [6.0], [9.0]], np.float32)
        >>> y = np.array([0, 0, 0, 0, 1])
        >>> parameters = resolve_class_parameters(
        ...     np.bincount(y), k=1, r="balance", minority=None, k_majority=None)
        >>> rng = np.random.default_rng(0)
        >>> z = overload(
        ...     lambda ids: x[ids], y, parameters, ExactSearch(), rng).quadruplets
        >>> z.samples.tolist()  # Each sample, then the further copies.
        [0, 1, 2, 3, 4, 4, 4, 4]
        >>> z.neighbors[:4, 0].tolist()  # Sample 4 has no neighbor in its class.
        [1, 0, 3, 2]
    """
    k, slots = parameters.k, parameters.slots
    overloaded = np.flatnonzero(k[classes] > 0)
    reference = reference_samples(classes, parameters, rng)
    embedded = np.concatenate([overloaded, reference])
    embeddings = embed(embedded)  # Lines 7-9, for the classes line 11 will ask for.
    table = embeddings[: len(overloaded)]
    row_of = np.full(len(classes), -1, np.int64)
    row_of[overloaded] = np.arange(len(overloaded))

    parts, distances = [], [np.empty(0, np.float32)]
    for j in np.flatnonzero(parameters.counts):  # Line 10.
        members = np.flatnonzero(classes == j)
        neighbors = np.full((len(members), slots), -1, np.int64)
        if k[j] > 0:  # Lines 11-13.
            rows = row_of[members]
            ids, squared = self_neighbors(table[rows], int(k[j]), search)
            neighbors[:, : ids.shape[1]] = rows[ids]
            distances.append(squared.ravel())
        copies, places = draw_copies(len(members), int(parameters.sizes[j]), rng)
        weights = draw_weights(neighbors[places] >= 0, rng)  # Line 17.
        parts.append((copies, members[places], neighbors[places], weights))  # Line 18.

    copy, samples, neighbors, weights = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    quadruplets = Quadruplets(samples, np.maximum(neighbors, 0), weights, table)
    variances, spread = class_moments(embeddings, classes[embedded])
    return Round(  # Line 21.
        quadruplets.ordered(np.lexsort((samples, copy))),
        distance_unit(np.concatenate(distances), spread),
        variances,
    )


def reference_samples(
    classes: NDArray[np.int64], parameters: ClassParameters, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw samples of the classes that are not overloaded, to measure the spread.

    Returns:
        At most REFERENCE_SAMPLES ids of each class with k_j = 0; none if all have.

    Example:
        >>> from keras_dos.class_parameters import resolve_class_parameters
        >>> y = np.array([0, 0, 0, 0, 0, 1, 1])
        >>> parameters = resolve_class_parameters(
        ...     np.bincount(y), k=1, r=1, minority=[1], k_majority=0)
        >>> sorted(reference_samples(y, parameters, np.random.default_rng(0)).tolist())
        [0, 1, 2, 3, 4]
    """
    drawn = [np.empty(0, np.int64)]
    for j in np.flatnonzero((parameters.k == 0) & (parameters.slots > 0)):
        members = np.flatnonzero(classes == j)
        size = min(len(members), REFERENCE_SAMPLES)
        drawn.append(rng.choice(members, size, replace=False))
    return np.concatenate(drawn)


def class_moments(
    embeddings: NDArray[np.float32], classes: NDArray[np.int64]
) -> tuple[dict[int, float], float]:
    """Measure the in-class variances and the spread of all embeddings.

    Args:
        embeddings: Shape (m, d), float32.
        classes: Shape (m,), int64.

    Returns:
        The mean squared distance to the class mean, by class, and the mean squared
        distance between two embeddings if every class had the same share.

    Example:
        >>> embeddings = np.array([[0.0], [2.0], [10.0], [12.0]], np.float32)
        >>> class_moments(embeddings, np.array([0, 0, 1, 1]))
        ({0: 1.0, 1: 1.0}, 52.0)
    """
    variances, means = {}, []
    for j in np.unique(classes):
        members = embeddings[classes == j].astype(np.float64)
        variances[int(j)] = float(members.var(axis=0).sum())
        means.append(members.mean(axis=0))
    if not means:
        return {}, 0.0
    between = float(np.var(means, axis=0).sum())
    return variances, 2 * (float(np.mean(list(variances.values()))) + between)


def distance_unit(distances: NDArray[np.float32], spread: float) -> float:
    """Return the unit of squared distance of the scale-free form.

    It is D̄, the mean squared distance to an in-class neighbor, so that a weight means
    the same for embeddings of any scale. Rounds shrink D̄, and a unit that followed it
    to zero would let the embedding loss grow until it crushed the classes; hence the
    floor, a share of the spread, which class distinction keeps up.

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


def draw_weights(
    exists: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw w uniformly on the simplex over slot 0 and the neighbors that exist.

    Uniform on the simplex is Dirichlet(1, …, 1): normalized exponential variables.
    Uniform variables divided by their sum would crowd around its center.

    Args:
        exists: Whether there is a neighbor, shape (z, k), bool.
        rng: The source of randomness.

    Returns:
        w, shape (z, k + 1), float32; rows sum to one, slots without neighbor have 0.

    Example:
        >>> w = draw_weights(np.array([[True, False]]), np.random.default_rng(0))
        >>> w.shape, float(w[0, 2])
        ((1, 3), 0.0)
    """
    shape = (len(exists), exists.shape[1] + 1)
    draws: NDArray[np.float32] = rng.standard_exponential(shape, np.float32)
    # 0 is the mark of a slot that does not exist, so no other may reach it.
    draws = np.maximum(draws, np.float32(1e-6))
    draws[:, 1:] *= exists
    draws /= draws.sum(axis=1, keepdims=True)
    return draws


def draw_copies(
    n: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Repeat n samples to a given size: the r_j of line 17, fractions included.

    Args:
        n: Number of samples.
        size: Number of places to fill, round(r_j · n).
        rng: Chooses the samples that take the rest of size / n.

    Returns:
        For each place the number of the copy and the sample, shape (size,), int64.

    Example:
        >>> copies, samples = draw_copies(2, 5, np.random.default_rng(0))
        >>> copies.tolist(), samples[:4].tolist()
        ([0, 0, 1, 1, 2], [0, 1, 0, 1])
    """
    full, rest = divmod(size, n)
    chosen = rng.choice(n, rest, replace=False)
    samples = np.concatenate([np.tile(np.arange(n), full), chosen])
    return np.arange(size) // n, samples


def without_neighbors(samples: NDArray[np.int64], d: int) -> Quadruplets:
    """Return samples as quadruplets of plain training: k = 0, w = (1).

    Args:
        samples: Sample ids, shape (z,), int64.
        d: Size of the embedding.

    Returns:
        Quadruplets whose N(x) holds f(x) alone.

    Example:
        >>> without_neighbors(np.array([3, 1]), d=2).weights.tolist()
        [[1.0], [1.0]]
    """
    return Quadruplets(
        samples,
        neighbors=np.zeros((len(samples), 0), np.int64),
        weights=np.ones((len(samples), 1), np.float32),
        table=np.zeros((0, d), np.float32),
    )


def plain_epoch(
    m: int, size: int, epoch: int, order: Callable[[int], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return the samples of one epoch of single-task training: line 5.

    An epoch of Keras has a fixed number of steps, and Z' is larger than the training
    set. Warm-up epochs of that size cut an endless row of full passes into pieces.

    Args:
        m: Number of samples.
        size: Samples per epoch.
        epoch: The epoch, from 0.
        order: The order of the samples in each pass.

    Returns:
        Sample ids, shape (size,), int64.

    Example:
        >>> plain_epoch(3, 5, 1, lambda i: np.arange(3)).tolist()
        [2, 0, 1, 2, 0]
    """
    start = epoch * size
    first, last = start // m, (start + size - 1) // m
    passes = np.concatenate([order(i) for i in range(first, last + 1)])
    return passes[start - first * m :][:size]
