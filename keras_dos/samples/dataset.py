"""One pass over a tf.data.Dataset that keeps its rows."""

from typing import Any

import tensorflow as tf

from keras_dos.samples.bounded import read_once


def read_dataset(dataset: tf.data.Dataset) -> tuple[tuple[Any, ...], int]:
    """Return (x, y) or (x, y, sample_weight) as tensors, and the batch size.

    Args:
        dataset: A finite and batched dataset of (x, y) or (x, y, sample_weight).

    Raises:
        TypeError: If it has parts that are not dense tensors.
        ValueError: If it is infinite, larger than half of the free memory, empty, not
            batched, or of another structure, or if its samples differ in shape.

    Example:
        >>> dataset = tf.data.Dataset.from_tensor_slices(([1.0, 2.0, 3.0], [0, 0, 1]))
        >>> (x, y), batch_size = read_dataset(dataset.batch(2))
        >>> x.numpy().tolist(), batch_size
        ([1.0, 2.0, 3.0], 2)
    """
    check_dataset("x", dataset)
    batches = list(read_once("x", dataset))
    if not batches:
        raise ValueError("`x` must not be an empty dataset. Received: 0 batches.")
    for batch in batches:
        _check_batched("x", [leaf.shape for leaf in tf.nest.flatten(batch)])
    batch_size = max(int(y.shape[0]) for _, y, *_ in batches)
    with tf.device("CPU:0"):
        try:
            rows = tf.nest.map_structure(lambda *t: tf.concat(t, 0), *batches)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "`x` must have samples of one shape; resize or pad them in the "
                "dataset. "
                f"Received: {error.message}"
            ) from error
    return rows, batch_size


def check_dataset(name: str, dataset: tf.data.Dataset) -> None:
    """Raise unless a dataset has batches of (x, y) or (x, y, sample_weight).

    Args:
        name: The argument, for errors.
        dataset: Any dataset.

    Raises:
        TypeError: If it has parts that are not dense tensors.
        ValueError: If it is infinite, not batched, or of another structure.
    """
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"`{name}` must be a finite dataset, not an infinite one: remove .repeat() "
            "(`fit` runs the epochs), or limit it with .take(n). "
            f"Received: {name}={dataset}."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"`{name}` must be a dataset of (x, y) or (x, y, sample_weight). "
            f"Received: element_spec={spec}."
        )
    dense = all(isinstance(leaf, tf.TensorSpec) for leaf in tf.nest.flatten(spec))
    if not dense or not all(isinstance(part, tf.TensorSpec) for part in spec[1:]):
        raise TypeError(
            f"`{name}` must be a dataset of dense tensors, labels and sample weights "
            "one tensor each: map .to_tensor() over ragged and tf.sparse.to_dense over "
            "sparse ones, and leave out a part that is None. "
            f"Received: element_spec={spec}."
        )
    _check_batched(name, [leaf.shape for leaf in tf.nest.flatten(spec)])


def of_one_shape(name: str, dataset: tf.data.Dataset, first: Any) -> tf.data.Dataset:
    """Return a dataset that ends in an error at samples of another shape.

    Batches that are padded to their longest sample cannot be joined to others.

    Args:
        name: The argument, for errors.
        dataset: Batches of dense tensors.
        first: One of them.

    Example:
        >>> dataset = tf.data.Dataset.from_tensor_slices([[1, 2], [3, 4]]).batch(2)
        >>> of_one_shape("x", dataset, next(iter(dataset))) is dataset
        True
    """
    spec = dataset.element_spec
    if all(leaf.shape[1:].is_fully_defined() for leaf in tf.nest.flatten(spec)):
        return dataset
    shapes = [leaf.shape[1:] for leaf in tf.nest.flatten(first)]
    message = (
        f"`{name}` must have samples of one shape: resize or pad them to it, with "
        "`padded_shapes` in .padded_batch(). Received: samples of shapes"
    )

    def check(*batch: Any) -> Any:
        whole = []
        for leaf, shape in zip(tf.nest.flatten(batch), shapes, strict=True):
            received = tf.shape(leaf)[1:]
            same = tf.reduce_all(received == shape)
            asserted = tf.debugging.Assert(same, [message, received, shape])
            with tf.control_dependencies([asserted]):
                # Of an identity: what was there before the assertion does not wait.
                whole.append(tf.ensure_shape(tf.identity(leaf), [None, *shape]))
        return tf.nest.pack_sequence_as(spec, whole)

    return dataset.map(check)


def _check_batched(name: str, shapes: list[tf.TensorShape]) -> None:
    """Raise unless the shapes of a dataset's parts agree in a first axis."""
    sizes = {s[0] for s in shapes if s.rank} - {None}
    if len(sizes) > 1 or any(s.rank == 0 for s in shapes):
        raise ValueError(
            f"`{name}` must be a batched dataset, with as many labels as inputs in "
            "each element: add .batch(batch_size). "
            f"Received: an element of shapes {[str(s) for s in shapes]}."
        )
