"""Algorithm 1: deep feature overloading, as pure functions on arrays.

| lines of Algorithm 1 | where |
|---|---|
| 5 (STL) | `plain_epoch` here: the warm-up epochs of `fit` |
| 6 (for t = 1..T) | the epochs of `fit`: `Rounds.begin_epoch`, by `schedule.py` |
| 7-9 (v_i = f(x_i)) | `overload` here, with its argument `embed`: `embeddings.py` |
| 10-21 (N(x), w, Z) | `overload` here |
| 22 (MTL) | `DOSModel.train_step`, on the batches of `QuadrupletBatches` |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos.draws import (
    WeightSampler,
    draw_copies,
    draw_weights,
    reference_samples,
    sampled_weights,
)
from keras_dos.parameters import ClassParameters
from keras_dos.samples.quadruplets import Quadruplets
from keras_dos.search import NeighborSearch, self_neighbors
from keras_dos.spread import class_moments, distance_unit
from keras_dos.workers import PART


@dataclass(frozen=True)
class Round:
    """The result of one overloading.

    Attributes:
        quadruplets: Z', each sample before any of its further copies.
        unit: The squared distance that counts as 1 in the scale-free form of (8) and
            (10), from `distance_unit`; 0 if there are no neighbors.
        variances: In-class variance (mean squared distance to the class mean) of each
            class; empty if no class is overloaded.
    """

    quadruplets: Quadruplets
    unit: float
    variances: dict[int, float]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the round as arrays by name, for a backup."""
        return {
            **vars(self.quadruplets),
            "unit": np.array(self.unit),
            "varying": np.array(list(self.variances), np.int64),
            "variances": np.array(list(self.variances.values())),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], table: NDArray[np.floating[Any]]
    ) -> "Round":
        """Return the round that `arrays` returned, with its embeddings in `table`."""
        rows = len(arrays["table"])
        table[:rows] = arrays["table"]
        columns = {name: arrays[name] for name in ("samples", "neighbors", "weights")}
        quadruplets = Quadruplets(**columns, table=table[:rows])
        pairs = zip(arrays["varying"], arrays["variances"], strict=True)
        variances = {int(j): float(value) for j, value in pairs}
        return cls(quadruplets, float(arrays["unit"]), variances)


def overload(
    embed: Callable[[NDArray[np.int64]], NDArray[np.floating[Any]]],
    classes: NDArray[np.int64],
    parameters: ClassParameters,
    search: NeighborSearch,
    rng: np.random.Generator,
    sampler: WeightSampler = draw_weights,
) -> Round:
    """Overload the training set: lines 7-21 of Algorithm 1.

    Args:
        embed: f, from ascending sample ids, shape (z,), to embeddings, shape (z, d), a
            memory of which the table becomes a part.
        classes: y, the class of each sample, shape (m,), int64.
        parameters: k_j and r_j of each class.
        search: The neighbor search.
        rng: Random generator for w and for the samples that a fractional r_j adds.
        sampler: The function that draws w. Defaults to `draw_weights`.

    Returns:
        Z' and the measures of the embeddings.

    Raises:
        ValueError: If an embedding is not finite or too large, `sampler` does not
            return weights on the simplex, or `search` writes into the embeddings.
        RuntimeError: If the search breaks its contract.

    Example:
        >>> from keras_dos.parameters import resolve_class_parameters
        >>> from keras_dos.search import ExactSearch
        >>> x = np.array([[0.0], [1.0], [5.0], [6.0], [9.0]], np.float32)
        >>> y = np.array([0, 0, 0, 0, 1])
        >>> parameters = resolve_class_parameters(np.bincount(y), k=1, r="balance")
        >>> rng = np.random.default_rng(0)
        >>> z = overload(
        ...     lambda ids: x[ids], y, parameters, ExactSearch(), rng).quadruplets
        >>> z.samples.tolist()  # Each sample, then the further copies.
        [0, 1, 2, 3, 4, 4, 4, 4]
        >>> z.neighbors[:4, 0].tolist()  # Sample 4 has no neighbor in its class.
        [1, 0, 3, 2]
    """
    k = parameters.k
    overloaded = np.flatnonzero(k[classes] > 0)
    embedded = np.union1d(overloaded, reference_samples(classes, parameters, rng))
    embeddings = embed(embedded)  # Lines 7-9, for the classes that line 11 needs.
    variances, spread = class_moments(embeddings, classes[embedded])
    table = _moved_up(embeddings, np.flatnonzero(k[classes[embedded]] > 0))
    row_of = np.full(len(classes), -1, np.int64)
    row_of[overloaded] = np.arange(len(overloaded))

    z = _empty_quadruplets(parameters.n_quadruplets, parameters.k_max, table)
    copy, end = np.empty(len(z), np.int64), 0
    distances = [np.empty(0, np.float32)]
    for j in np.flatnonzero(parameters.counts):  # Line 10.
        members = np.flatnonzero(classes == j)
        neighbors = np.full((len(members), parameters.k_max), -1, np.int32)
        if k[j] > 0:  # Lines 11-13.
            rows = row_of[members]
            ids, squared = self_neighbors(table[rows], int(k[j]), search)
            neighbors[:, : ids.shape[1]] = rows[ids]
            distances.append(squared.ravel())
        start, end = end, end + int(parameters.sizes[j])
        copy[start:end], places = draw_copies(len(members), end - start, rng)
        z.samples[start:end] = members[places]
        z.neighbors[start:end] = neighbors[places]
        exists = z.neighbors[start:end] >= 0
        z.weights[start:end] = sampled_weights(sampler, exists, rng)  # Line 17.
    np.maximum(z.neighbors, 0, out=z.neighbors)
    return Round(  # Lines 18-21.
        z.ordered(np.lexsort((z.samples, copy))),
        distance_unit(np.concatenate(distances), spread),
        variances,
    )


def _moved_up(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return some ascending rows of an array, in the place of its first ones."""
    if len(rows) < len(array):
        for start in range(0, len(rows), PART):
            part = rows[start : start + PART]
            array[start : start + len(part)] = array[part]
    return array[: len(rows)]


def _empty_quadruplets(z: int, k: int, table: NDArray[np.floating[Any]]) -> Quadruplets:
    return Quadruplets(
        np.empty(z, np.int64),
        np.empty((z, k), np.int32),
        np.empty((z, k + 1), np.float32),
        table,
    )


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
        neighbors=np.zeros((len(samples), 0), np.int32),
        weights=np.ones((len(samples), 1), np.float32),
        table=np.zeros((0, d), np.float32),
    )


def plain_epoch(
    m: int, size: int, epoch: int, order: Callable[[int], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return the samples of one epoch of single-task training: line 5.

    Keras epochs have a fixed number of steps, and Z' is larger than the training set.
    Warm-up epochs of that size cut an endless sequence of full passes into pieces.

    Args:
        m: Number of samples.
        size: Samples per epoch.
        epoch: The epoch, from 0.
        order: A function from the number of a pass to the order of its samples.

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
