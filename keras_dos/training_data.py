"""The training set as `fit` was given it, read once and held in memory.

A neighbor belongs to one very sample, so a sample needs an id that stays. A dataset
that shuffles or augments yields other rows in another order at each pass, and ids taken
in one pass would be wrong in the next. Hence one pass, whose rows are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.imbalance import sparse_labels


@dataclass(frozen=True)
class TrainingData:
    """Samples with stable ids 0..m−1.

    Attributes:
        x: Inputs, a tensor or a nested structure of tensors of first axis m, on CPU.
        y: Labels as given (sparse or one-hot), a tensor of first axis m, on CPU.
        sample_weight: Shape (m,), on CPU, or None.
        classes: The class of each sample, shape (m,), int64.
        batch_size: Samples per training step.
    """

    x: Any
    y: tf.Tensor
    sample_weight: tf.Tensor | None
    classes: NDArray[np.int64]
    batch_size: int

    def __len__(self) -> int:
        return len(self.classes)

    def rows(self, ids: NDArray[np.int64]) -> tuple[Any, tf.Tensor]:
        """Return the inputs and labels of the given samples."""
        return gather(self.x, ids), gather(self.y, ids)

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return a dataset of the inputs of the given samples, in batches."""
        rows = tf.data.Dataset.from_tensor_slices(ids).batch(batch_size)
        return rows.map(lambda i: (gather(self.x, i),)).prefetch(tf.data.AUTOTUNE)


def gather(structure: Any, ids: tf.Tensor) -> Any:
    """Return the rows `ids` of every tensor in a nested structure."""
    return tf.nest.map_structure(lambda t: tf.gather(t, ids), structure)


def read_training_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    *,
    n_classes: int,
) -> TrainingData:
    """Read what `fit` was given into memory, in one pass.

    Args:
        x: Arrays (any nested structure of arrays or tensors of first axis m), or a
            finite, batched tf.data.Dataset of (x, y) or (x, y, sample_weight).
        y: Labels of the arrays, integers of shape (m,) or (m, 1) or one-hot (m, n).
        sample_weight: Weights of the arrays, shape (m,), or None.
        batch_size: Samples per step for arrays. Defaults to None, which is 32. Must be
            None for a dataset, which has a batch size of its own.
        n_classes: Classes of the head.

    Returns:
        The samples, with the ids that they keep through the training.

    Raises:
        TypeError: If the data are of a kind that cannot be read in one pass.
        ValueError: If they are infinite, empty, not batched, or badly labeled.
    """
    if isinstance(x, tf.data.Dataset):
        for name, value in (
            ("y", y),
            ("sample_weight", sample_weight),
            ("batch_size", batch_size),
        ):
            if value is not None:
                raise ValueError(
                    f"`{name}` goes with arrays; a dataset brings its own. Leave "
                    f"`{name}` out. Received: x={x}, {name}={_shown(value)}."
                )
        x, y, sample_weight, batch_size = _read_dataset(x)
    else:
        x, y, sample_weight = _read_arrays(x, y, sample_weight)
    classes = _classes(y, n_classes)
    sizes = {len(t) for t in tf.nest.flatten((x, y, sample_weight)) if t is not None}
    if len(sizes) != 1:
        raise ValueError(
            "`x`, `y` and `sample_weight` must have the same number of samples. "
            f"Received: {sorted(sizes)}."
        )
    if sample_weight is not None and sample_weight.shape.rank != 1:
        raise ValueError(
            "`sample_weight` must have one weight per sample, shape (m,). "
            f"Received: shape {tuple(sample_weight.shape)}."
        )
    return TrainingData(x, y, sample_weight, classes, batch_size or 32)


def split_validation(arrays: Any, validation_split: float) -> tuple[Any, Any]:
    """Split (x, y, sample_weight) into training and validation, as Keras does.

    Args:
        arrays: A nested structure of arrays with the samples on the first axis.
        validation_split: The share, in (0, 1), taken from the end for validation.

    Returns:
        The arrays for training and those for validation.

    Raises:
        ValueError: If the arrays cannot be split.
    """
    if isinstance(arrays[0], tf.data.Dataset):
        raise ValueError(
            "`validation_split` goes with arrays. Give a dataset's validation part as "
            f"`validation_data`. Received: validation_split={validation_split}."
        )
    m = len(tf.nest.flatten(arrays[0])[0])
    split_at = int(m * (1 - validation_split))
    if not 0 < split_at < m:
        raise ValueError(
            "`validation_split` must leave samples for training and for validation. "
            f"Received: validation_split={validation_split} for {m} samples."
        )

    def part(rows: slice) -> Any:
        return tf.nest.map_structure(lambda t: None if t is None else t[rows], arrays)

    return part(slice(None, split_at)), part(slice(split_at, None))


def _classes(y: tf.Tensor, n_classes: int) -> NDArray[np.int64]:
    try:
        return sparse_labels(y.numpy(), n_classes)
    except ValueError as error:
        raise ValueError(f"The labels `y` do not fit the head: {error}") from error


def _read_arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    if isinstance(x, (tf.distribute.DistributedDataset, keras.utils.PyDataset)) or (
        isinstance(x, Iterator) or hasattr(x, "__next__")
    ):
        raise TypeError(
            "OverloadingCallback reads the training data once and looks up each "
            "sample again by its id. Pass arrays or a finite, batched tf.data.Dataset "
            "(a generator becomes one with tf.data.Dataset.from_generator). "
            f"Received: x of type {type(x).__name__}."
        )
    if y is None:
        raise ValueError("`y` is missing: arrays need labels. Received: y=None.")
    with tf.device("CPU:0"):
        x = tf.nest.map_structure(_tensor, x)
        y = _tensor(y)
        if sample_weight is not None:
            sample_weight = _tensor(sample_weight)
    return x, y, sample_weight


def _tensor(value: Any) -> tf.Tensor:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            "Inputs must be dense: use .to_tensor() on ragged and tf.sparse.to_dense "
            f"on sparse tensors. Received: {type(value).__name__}."
        )
    tensor = value.numpy() if tf.is_tensor(value) else np.asarray(value)
    if len(tensor.shape) == 0:
        raise ValueError(
            "`x` and `y` must be arrays with the samples on the first axis. "
            f"Received: {value!r}."
        )
    if tensor.dtype == np.float64:
        tensor = tensor.astype(keras.config.floatx())  # As Keras does with arrays.
    return tf.convert_to_tensor(tensor)


def _read_dataset(dataset: tf.data.Dataset) -> tuple[Any, Any, Any, int]:
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`x` is an infinite dataset, and one pass over the samples must end. Take "
            "the .repeat() away (fit runs the epochs), or cut it with .take(n). "
            f"Received: x={dataset}."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            "`x` must be a dataset of (x, y) or (x, y, sample_weight). "
            f"Received: element_spec={spec}."
        )
    for leaf in tf.nest.flatten(spec):
        if not isinstance(leaf, tf.TensorSpec):
            raise TypeError(
                "Inputs must be dense: map .to_tensor() over ragged and "
                "tf.sparse.to_dense over sparse tensors. "
                f"Received: element_spec={spec}."
            )
        if leaf.shape.rank == 0:
            raise ValueError(
                "`x` must be a batched dataset: add .batch(batch_size). "
                f"Received: element_spec={spec}."
            )
    batches = list(dataset)
    if not batches:
        raise ValueError("`x` is an empty dataset. Received: 0 batches.")
    batch_size = max(int(tf.shape(tf.nest.flatten(b)[0])[0]) for b in batches)
    with tf.device("CPU:0"):
        try:
            joined = tf.nest.map_structure(lambda *t: tf.concat(t, 0), *batches)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "All samples must have one shape; resize or pad them in the dataset. "
                f"Received: {error.message}"
            ) from error
    x, y, *rest = joined
    return x, y, rest[0] if rest else None, batch_size


def _shown(value: Any) -> str:
    """Return a short text for an argument that may be a large array."""
    return repr(value) if isinstance(value, int) else type(value).__name__
