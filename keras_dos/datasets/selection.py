"""Read the labels of a dataset, and select samples by their positions."""

from typing import Any, TypeVar, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks, _keras
from keras_dos.labels import are_one_hot
from keras_dos.samples.bounded import read_once

Data = TypeVar("Data")


def select(data: Data, indices: ArrayLike) -> Data:
    """Select the samples at `indices`, in order.

    Args:
        data: A NumPy array or tensor, or a nested structure (tuple, list, dict) of
            them with a common first axis; or a `tf.data.Dataset` of *single*
            examples. Whether a dataset is batched cannot be seen from its elements
            in general: `unbatch()` it first. Its order must be the one that the
            indices were made for, the same in each pass; a `shuffle` that changes it,
            unless it lies before a `cache`, is refused.
        indices: Positions of the samples, integers, strictly ascending, as
            `make_imbalanced` returns them.

    Returns:
        The same structure with NumPy arrays of the selected rows; or a dataset of
        just those examples, whose cardinality is `len(indices)`. If the cardinality
        of `data` is unknown and it ends too early, reading the new dataset raises a
        `tf.errors.FailedPreconditionError`.

    Raises:
        TypeError: If a leaf of the structure is not an array.
        ValueError: If the indices are empty, not integers, not strictly ascending or
            out of range, if the arrays differ in length, or if a dataset reshuffles.

    Example:
        >>> x, y = select((np.arange(10.0), np.arange(10)), [2, 3, 5])
        >>> x, y
        (array([2., 3., 5.]), array([2, 3, 5]))
    """
    positions = _checks.array("indices", indices)
    if (
        positions.ndim != 1
        or positions.size == 0
        or positions.dtype.kind not in "iu"
        or positions[0] < 0
        or (positions[1:] <= positions[:-1]).any()
    ):
        raise ValueError(
            "`indices` must be a non-empty vector of non-negative integers, strictly "
            f"ascending. Received: indices={positions!r}."
        )
    is_dataset = isinstance(data, tf.data.Dataset)
    if is_dataset:
        _check_order("data", data)
    take = _select_from_dataset if is_dataset else _select_from_arrays
    return cast(Data, take(data, positions))


def read_labels(labels: ArrayLike | tf.data.Dataset) -> NDArray[Any]:
    """Return labels as one array; read those of a dataset in a single pass.

    Args:
        labels: An array of labels; or a finite dataset of `(x, y)` or
            `(x, y, sample_weight)` elements, batched or not.

    Returns:
        The labels y, shape `(m,)` or `(m, ...)`, in their dtype.

    Raises:
        ValueError: If the dataset reshuffles, or has other elements, none or infinitely
            many, if their labels take more than half of the free memory, or if it is
            ambiguous whether it is batched.

    Example:
        >>> x, y = np.ones((5, 8)), [0, 2, 2, 1, 0]
        >>> read_labels(tf.data.Dataset.from_tensor_slices((x, y)).batch(2))
        array([0, 2, 2, 1, 0], dtype=int32)
    """
    if not isinstance(labels, tf.data.Dataset):
        _checks.columns_in_class_order("labels", labels)
        return _checks.array("labels", labels)
    spec = labels.element_spec
    if not (
        isinstance(spec, tuple)
        and len(spec) in (2, 3)
        and isinstance(spec[1], tf.TensorSpec)
        and spec[1].shape.rank is not None
    ):
        raise ValueError(
            "`labels` must be a dataset of (x, y) or (x, y, sample_weight) with one "
            f"dense tensor of labels y of known rank. Received: element_spec={spec}."
        )
    _check_order("labels", labels)
    infinite = labels.cardinality() == tf.data.INFINITE_CARDINALITY
    only_y = labels.map(lambda *e: e[1])
    ys = [] if infinite else [y.numpy() for y in read_once("labels", only_y)]
    if not ys:
        raise ValueError(
            "`labels` must be a dataset that is finite and holds at least one element; "
            "call `repeat()` after the selection. "
            f"Received: {'infinitely many' if infinite else 'no'} elements."
        )
    batched = _is_batched(spec)
    if batched and spec[1].shape.rank == 1 and _may_be_one_hot(ys):
        raise ValueError(
            "`labels` of this dataset could be batches of class indices as well as "
            "single one-hot vectors; map them to class indices, or pass the labels "
            f"as an array. Received: element_spec={spec}."
        )
    return np.concatenate(ys) if batched else np.stack(ys)


def _check_order(name: str, dataset: tf.data.Dataset) -> None:
    if _keras.reshuffles(dataset):
        raise ValueError(
            f"`{name}` must be a dataset with the same order in each pass, or "
            "positions would mean other samples: shuffle after the selection, or with "
            "a seed and reshuffle_each_iteration=False; give `sample_from_datasets` a "
            "seed; leave out deterministic=False. "
            f"Received: a dataset that reshuffles, {dataset}."
        )


def _is_batched(spec: tuple[Any, ...]) -> bool:
    """Return whether all components have the same first axis, even of unknown size."""
    shapes = [leaf.shape for leaf in tf.nest.flatten(spec)]
    if any(shape.rank == 0 for shape in shapes):
        return False
    return len({shape[0] for shape in shapes if shape.rank is not None}) == 1


def _may_be_one_hot(ys: list[NDArray[Any]]) -> bool:
    if ys[0].size < 2 or len({y.size for y in ys}) > 1:
        return False
    return are_one_hot(np.stack(ys))


def _select_from_dataset(
    dataset: tf.data.Dataset, positions: NDArray[Any]
) -> tf.data.Dataset:
    cardinality = int(dataset.cardinality())
    if cardinality >= 0:  # Negative ones stand for infinite and unknown.
        _check_range(positions, cardinality)
    n_needed = int(positions[-1]) + 1
    wanted = np.zeros(n_needed, dtype=bool)
    wanted[positions] = True
    return (
        dataset.take(n_needed)
        .enumerate()
        .filter(lambda position, _: tf.gather(wanted, position))
        .map(lambda _, example: example)
        .apply(tf.data.experimental.assert_cardinality(positions.size))
    )


def _select_from_arrays(data: Any, positions: NDArray[Any]) -> Any:
    leaves = keras.tree.flatten(data)
    for leaf in leaves:
        if not hasattr(leaf, "__array__") or len(leaf.shape) == 0:
            raise TypeError(
                "`data` must be a tf.data.Dataset, an array, or a nested structure of "
                "arrays with a common first axis; convert lists of numbers with "
                f"`numpy.asarray`. Received: {leaf!r}."
            )
    arrays = keras.tree.map_structure(lambda leaf: _checks.array("data", leaf), data)
    lengths = sorted({leaf.shape[0] for leaf in leaves})
    if len(lengths) != 1:
        raise ValueError(
            "`data` must have arrays of the same length, the number of samples. "
            f"Received: lengths={lengths}."
        )
    _check_range(positions, lengths[0])
    return keras.tree.map_structure(lambda array: array[positions], arrays)


def _check_range(positions: NDArray[Any], n_samples: int) -> None:
    if positions[-1] >= n_samples:
        raise ValueError(
            f"`indices` must be smaller than the {n_samples} samples of `data` "
            f"(`unbatch()` a batched dataset first). Received: {positions[-1]}."
        )
