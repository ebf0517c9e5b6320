"""The training set as `fit` was given it, read once and held in memory.

A neighbor belongs to one very sample, so a sample needs an id that stays. A dataset
that shuffles or augments yields other rows in another order at each pass, and ids taken
in one pass would be wrong in the next. Hence one pass, whose rows are kept.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.labels import sparse_labels


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
        batch_size = _checked_batch_size(batch_size)
        x, y, sample_weight = _read_arrays(x, y, sample_weight)
    classes = _classes(y, n_classes)
    if sample_weight is not None and (
        sample_weight.shape.rank != 1 or not _is_real(sample_weight.dtype)
    ):
        raise ValueError(
            "`sample_weight` must have one number per sample, shape (m,). Received: "
            f"shape {tuple(sample_weight.shape)}, dtype {sample_weight.dtype.name}."
        )
    return TrainingData(x, y, sample_weight, classes, batch_size)


def split_validation(arrays: Any, validation_split: float) -> tuple[Any, Any]:
    """Split (x, y, sample_weight) into training and validation, as Keras does.

    Args:
        arrays: x, y and sample_weight, with the samples on the first axis.
        validation_split: The share, in (0, 1), taken from the end for validation.

    Returns:
        The arrays for training and those for validation.

    Raises:
        TypeError: If these are no arrays.
        ValueError: If the arrays cannot be split.
    """
    x, y, sample_weight = arrays
    if isinstance(x, tf.data.Dataset):
        raise ValueError(
            "`validation_split` goes with arrays. Give a dataset's validation part as "
            f"`validation_data`. Received: validation_split={validation_split}."
        )
    _check_arrays(x, y)
    y, sample_weight = (
        np.asarray(t) if isinstance(t, list | tuple) else t for t in (y, sample_weight)
    )
    arrays = (x, y, sample_weight)
    m = _n_samples(*arrays)
    split_at = int(m * (1 - validation_split)) if 0 < validation_split < 1 else 0
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


def _check_arrays(x: Any, y: Any) -> None:
    streams = (tf.distribute.DistributedDataset, keras.utils.PyDataset)
    if isinstance(x, streams) or hasattr(x, "__next__"):
        raise TypeError(
            "OverloadingCallback reads the training data once and looks up each "
            "sample again by its id. Pass arrays or a finite, batched tf.data.Dataset "
            "(a generator becomes one with tf.data.Dataset.from_generator). "
            f"Received: x of type {type(x).__name__}."
        )
    if y is None:
        raise ValueError("`y` is missing: arrays need labels. Received: y=None.")


def _read_arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    _check_arrays(x, y)
    with tf.device("CPU:0"):
        # A list of inputs would be one tensor to tf.data.
        x = tf.nest.map_structure(
            lambda t: _tensor("x", t), keras.tree.lists_to_tuples(x)
        )
        y = _tensor("y", y)
        if sample_weight is not None:
            sample_weight = _tensor("sample_weight", sample_weight)
    _n_samples(x, y, sample_weight)
    return x, y, sample_weight


def _tensor(name: str, value: Any) -> tf.Tensor:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            f"`{name}` must be dense: use .to_tensor() on ragged and "
            "tf.sparse.to_dense on sparse tensors. "
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


def _n_samples(x: Any, y: Any, sample_weight: Any) -> int:
    """Return the number of samples, if it is the same everywhere."""
    arrays = (x, y) if sample_weight is None else (x, y, sample_weight)
    shapes = [tuple(np.shape(t)) for t in tf.nest.flatten(arrays)]
    if not all(shapes):
        raise TypeError(
            "`x`, `y` and `sample_weight` must be arrays with the samples on the first "
            "axis (`x` may be a structure of them; np.asarray makes an array of a list "
            f"of numbers). Received: shapes {shapes[:5]}."
        )
    sizes = {shape[0] for shape in shapes}
    if len(sizes) != 1:
        raise ValueError(
            "`x`, `y` and `sample_weight` must have the same number of samples. "
            f"Received: {sorted(sizes)}."
        )
    return int(sizes.pop())


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
    if not all(isinstance(leaf, tf.TensorSpec) for leaf in tf.nest.flatten(spec)):
        raise TypeError(
            "`x` must be a dataset of dense tensors: map .to_tensor() over ragged and "
            "tf.sparse.to_dense over sparse ones, and leave out a part that is None. "
            f"Received: element_spec={spec}."
        )
    if not all(isinstance(part, tf.TensorSpec) for part in spec[1:]):
        raise TypeError(
            "`x` must be a dataset whose labels, and sample weights, are one tensor. "
            f"Received: element_spec={spec}."
        )
    _check_batched([leaf.shape for leaf in tf.nest.flatten(spec)])
    batches = list(dataset)
    if not batches:
        raise ValueError("`x` is an empty dataset. Received: 0 batches.")
    for batch in batches:
        _check_batched([leaf.shape for leaf in tf.nest.flatten(batch)])
    batch_size = max(int(y.shape[0]) for _, y, *_ in batches)
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


def _check_batched(shapes: list[tf.TensorShape]) -> None:
    """Raise unless shapes of a dataset's parts agree in a first axis."""
    sizes = {s[0] for s in shapes if s.rank} - {None}
    if len(sizes) > 1 or any(s.rank == 0 for s in shapes):
        raise ValueError(
            "`x` must be a batched dataset, every element so many inputs and as many "
            "labels: add .batch(batch_size). "
            f"Received: an element of shapes {[str(s) for s in shapes]}."
        )


def _checked_batch_size(batch_size: Any) -> int:
    if batch_size is None:
        return 32
    integer = isinstance(batch_size, int | np.integer)
    if not integer or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(
            "`batch_size` must be a positive int, or None for 32. "
            f"Received: batch_size={batch_size!r}."
        )
    return int(batch_size)


def _is_real(dtype: tf.DType) -> bool:
    return bool(dtype.is_floating or dtype.is_integer or dtype.is_bool)


def _shown(value: Any) -> str:
    """Return a short text for an argument that may be a large array."""
    return repr(value) if isinstance(value, int) else type(value).__name__
