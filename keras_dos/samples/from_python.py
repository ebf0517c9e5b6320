"""Samples that Python code gives, in the graph of a dataset."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class Form:
    """Shape and type of an array, but float64 as Keras takes arrays in `fit`."""

    def __init__(self, leaf: Any) -> None:
        array = np.asarray(leaf)
        double = array.dtype == np.float64
        self.dtype = tf.as_dtype(keras.config.floatx() if double else array.dtype)
        self.numpy = self.dtype.as_numpy_dtype
        self.shape = array.shape

    def fits(self, leaf: NDArray[Any]) -> bool:
        """Return whether another array has the same shape and type."""
        other = Form(leaf)
        return (other.shape, other.dtype) == (self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}"


def call_python(
    function: Callable[..., list[NDArray[Any]]],
    arguments: list[tf.Tensor],
    forms: Sequence[Form],
) -> list[tf.Tensor]:
    """Return what a function of arrays gives: batches of rows of known form.

    Args:
        function: It returns one array for each form, shape (b, ...).
        arguments: Tensors, which it receives as arrays.
        forms: Shape and type of the rows.

    Example:
        >>> batches = tf.data.Dataset.range(4).batch(2).map(
        ...     lambda i: call_python(lambda i: [2 * i], [i], [Form(np.int64(0))]))
        >>> [rows.numpy().tolist() for (rows,) in batches]
        [[0, 2], [4, 6]]
    """
    leaves = tf.numpy_function(function, arguments, [form.dtype for form in forms])
    for leaf, form in zip(leaves, forms, strict=True):
        leaf.set_shape([None, *form.shape])
    return list(leaves)


def from_py_dataset(dataset: keras.utils.PyDataset) -> tf.data.Dataset:
    """Return the batches of a PyDataset in their order, read anew in each pass.

    Its `on_epoch_end`, which may shuffle, is not called. A pass ends in an error at a
    batch of another structure, shape or type than the first.

    Raises:
        ValueError: If its length is not known or 0, or its first batch not a tuple of
            arrays.
    """
    if not dataset.num_batches:
        raise ValueError(
            "`dataset` must be finite and not empty: give the PyDataset a `__len__`. "
            f"Received: num_batches={dataset.num_batches}."
        )
    first = dataset[0]
    if not isinstance(first, tuple):
        raise ValueError(
            "`dataset` must be a PyDataset of (x, y) or (x, y, sample_weight). "
            f"Received: {type(first).__name__}."
        )
    # tf.data would read a list of inputs as one tensor.
    structure = keras.tree.lists_to_tuples(first)
    forms = _forms(structure, 0)

    def read(place: Any) -> list[NDArray[Any]]:
        rows = keras.tree.lists_to_tuples(dataset[int(place)])
        found = _forms(rows, int(place))
        if list(map(repr, found)) != list(map(repr, forms)):
            raise ValueError(
                "`dataset` must have batches of one structure, shape and type. "
                f"Received: samples of {found} in batch {place}, {forms} in batch 0."
            )
        pairs = zip(tf.nest.flatten(rows), forms, strict=True)
        return [np.asarray(leaf, form.numpy) for leaf, form in pairs]

    def batch(place: tf.Tensor) -> Any:
        return tf.nest.pack_sequence_as(structure, call_python(read, [place], forms))

    places = tf.data.Dataset.range(dataset.num_batches)
    return places.map(batch, num_parallel_calls=max(1, dataset.workers))


def _forms(rows: Any, place: int) -> list[Form]:
    """Return the forms of the samples in a batch.

    Raises:
        ValueError: If a part is not an array with the samples on the first axis.
    """
    arrays = [np.asarray(leaf) for leaf in tf.nest.flatten(rows)]
    shapes = [array.shape for array in arrays]
    if not all(shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(
            "`dataset` must be a PyDataset whose batches are made of arrays, with the "
            "same samples on the first axis: convert lists by np.asarray, and leave "
            f"out a part that is None. Received: shapes {shapes[:5]} in batch {place}."
        )
    return [Form(np.empty(array.shape[1:], array.dtype)) for array in arrays]
