"""Arrays, as `fit` takes them, converted to tensors on the CPU."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Rows; NumPy takes a byte for each of their numbers.
_CHECKED_AT_ONCE = 4096


def read_arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, ...]:
    """Return (x, y) or (x, y, sample_weight) as tensors on the CPU.

    Args:
        x: Any nested structure of arrays or tensors with the samples on the first axis.
        y: Labels, first axis m.
        sample_weight: Weights, first axis m, or None.

    Raises:
        TypeError: If an argument is not made of dense arrays of numbers or strings.
        ValueError: If `y` is missing, or the numbers of samples differ.

    Example:
        >>> x, y = read_arrays(np.array([[1.0], [2.0]]), [0, 1], None)
        >>> len(x), y.dtype.name
        (2, 'int64')
    """
    check_arrays(x, y)
    with tf.device("CPU:0"):
        # tf.data would read a list of inputs as one tensor.
        x = tf.nest.map_structure(
            lambda t: _tensor("x", t), keras.tree.lists_to_tuples(x)
        )
        rows: tuple[Any, ...] = (x, _tensor("y", y))
        if sample_weight is not None:
            rows += (_tensor("sample_weight", sample_weight),)
    n_samples(rows)
    return rows


def check_arrays(x: Any, y: Any) -> None:
    """Raise unless these are labeled arrays, not a stream.

    Raises:
        TypeError: If `x` is a stream, or a function that makes one.
        ValueError: If there are no labels, or no arrays.
    """
    streams = (tf.distribute.DistributedDataset, keras.utils.PyDataset)
    if isinstance(x, streams) or hasattr(x, "__next__") or callable(x):
        raise TypeError(
            "`x` must be arrays, a finite, batched tf.data.Dataset or a source: "
            "OverloadingCallback looks up each sample by its id. Read a PyDataset with "
            "keras_dos.samples.Stream; convert a generator with "
            "tf.data.Dataset.from_generator. "
            f"Received: x of type {type(x).__name__}."
        )
    if y is None:
        raise ValueError("`y` is missing: arrays need labels. Received: y=None.")
    if not tf.nest.flatten(x):
        raise ValueError(f"`x` must have at least one array. Received: x={x!r}.")


def n_samples(rows: tuple[Any, ...]) -> int:
    """Return the number of samples, the same in every array.

    Raises:
        TypeError: If an array has no first axis.
        ValueError: If the numbers differ.

    Example:
        >>> n_samples((np.zeros((3, 2)), np.zeros(3)))
        3
    """
    shapes = [tuple(np.shape(t)) for t in tf.nest.flatten(rows)]
    if not all(shapes):
        raise TypeError(
            "`x`, `y` and `sample_weight` must be arrays with the samples on the first "
            "axis (`x` may be a structure of them; convert a list of numbers with "
            f"np.asarray). Received: shapes {shapes[:5]}."
        )
    sizes = {shape[0] for shape in shapes}
    if len(sizes) != 1:
        raise ValueError(
            "`x`, `y` and `sample_weight` must have the same number of samples. "
            f"Received: {sorted(sizes)}."
        )
    return int(sizes.pop())


def check_weights(name: str, weight: Any) -> None:
    """Raise unless sample weights are one number per sample, as Keras takes them.

    Args:
        name: The argument, for errors.
        weight: A tensor or its specification, shape (m,) or (m, 1).

    Raises:
        ValueError: If they have another shape, or are not real numbers.

    Example:
        >>> check_weights("sample_weight", tf.ones((3, 1)))
    """
    dtype = weight.dtype
    real = dtype.is_floating or dtype.is_integer or dtype.is_bool
    rank = weight.shape.rank
    if not real or rank not in (1, 2) or (rank == 2 and weight.shape[1] != 1):
        raise ValueError(
            f"`{name}` must have one number per sample as weight, shape (m,) or "
            f"(m, 1). Received: shape {tuple(weight.shape)}, dtype {dtype.name}."
        )


def gather_rows(structure: Any, ids: tf.Tensor) -> Any:
    """Return the rows `ids` of every tensor in a nested structure."""
    return tf.nest.map_structure(lambda t: tf.gather(t, ids), structure)


def finite_rows(structure: Any) -> NDArray[np.bool_]:
    """Return of each row whether its numbers are finite, in all tensors of a structure.

    Example:
        >>> finite_rows({"a": tf.constant([1.0, np.nan]), "b": tf.constant([1, 2])})
        array([ True, False])
    """
    leaves = tf.nest.flatten(structure)
    finite = np.ones(len(leaves[0]), bool)
    for leaf in leaves:
        if leaf.dtype.is_floating:
            values = leaf.numpy().reshape(len(leaf), -1)
            for start in range(0, len(values), _CHECKED_AT_ONCE):
                part = slice(start, start + _CHECKED_AT_ONCE)
                finite[part] &= np.isfinite(values[part]).all(axis=1)
    return finite


def row_hashes(structure: Any) -> NDArray[np.int64]:
    """Return a hash of each row, over all tensors of a structure; equal for equal rows.

    Example:
        >>> hashes = row_hashes((tf.constant([[1, 2], [1, 2], [3, 2]]),))
        >>> bool(hashes[0] == hashes[1]), bool(hashes[0] == hashes[2])
        (True, False)
    """
    leaves = tf.nest.flatten(structure)
    hashes = np.zeros(len(leaves[0]), np.int64)
    for leaf in leaves:
        if leaf.dtype == tf.string:
            leaf = tf.strings.to_hash_bucket_fast(leaf, 2**62)
        rows = leaf.numpy().reshape(len(leaf), -1)
        hashes = 31 * hashes + np.array([hash(row.tobytes()) for row in rows])
    return hashes


def _tensor(name: str, value: Any) -> tf.Tensor:
    if isinstance(value, Mapping):
        raise TypeError(
            f"`{name}` must be an array: a DOSModel has one loss, that of its "
            "probabilities, so pass the array without a dict. "
            f"Received: a dict of {list(value)}."
        )
    sparse = hasattr(value, "toarray")  # As the matrices and arrays of SciPy.
    if sparse or isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            f"`{name}` must be dense: use .to_tensor() on ragged and "
            "tf.sparse.to_dense on sparse tensors, and .toarray() on those of SciPy. "
            f"Received: {type(value).__name__}."
        )
    try:
        array = value.numpy() if tf.is_tensor(value) else np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(keras.config.floatx())  # As Keras does with arrays.
        return tf.convert_to_tensor(array)
    except ValueError as error:
        raise TypeError(
            f"`{name}` must be an array of numbers or strings. "
            f"Received: {type(value).__name__}: {error}"
        ) from error
