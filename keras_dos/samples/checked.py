"""A source of your own, held to the contract of `SampleSource`."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.samples.arrays import check_weights
from keras_dos.samples.base import SampleSource
from keras_dos.samples.contract import asserted
from keras_dos.samples.memory import InMemory


def checked(source: Any) -> SampleSource:
    """Return a source that is as good as `InMemory`, or refuses to be used.

    Args:
        source: A `SampleSource`.

    Raises:
        TypeError: If it is not an object with the members of a `SampleSource`, or its
            batch size is not an integer.
        ValueError: If its classes are not an array of integers, or its batch size is
            below 1.

    Example:
        >>> source = InMemory(np.zeros((3, 2)), [0, 1, 1])
        >>> checked(source) is source
        True
    """
    # Not subclasses, which may yield anything.
    if type(source) in (InMemory, CheckedSource):
        return source  # type: ignore[no-any-return]
    return CheckedSource(source)


class CheckedSource:
    """Passes a source on, in batches of its batch size and each place once.

    Args:
        source: A `SampleSource`.

    Raises:
        TypeError: As `checked`.
        ValueError: As `checked`.
    """

    def __init__(self, source: Any) -> None:
        if not isinstance(source, SampleSource) or isinstance(source, type):
            raise TypeError(
                "`source` must be an object with the members of a SampleSource: "
                "`classes`, `batch_size`, `inputs` and `batches`. "
                f"Received: {source!r}."
            )
        self._source = source
        self.batch_size = _checks.integer("batch_size", source.batch_size, minimum=1)
        classes: Any = source.classes
        integers = isinstance(classes, np.ndarray) and classes.dtype.kind in "iu"
        if not integers or classes.ndim != 1 or not len(classes):
            raise ValueError(
                "`classes` of a source must be a NumPy array of integers, the class of "
                "each sample, shape (m,). "
                f"Received: {type(classes).__name__} of shape {np.shape(classes)}."
            )
        # TensorFlow takes the bytes of a constant for those of this machine.
        self.classes = classes.astype(np.int64, copy=False)

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return inputs to be embedded; see `SampleSource.inputs`.

        Raises:
            TypeError: If the source does not return a dataset.
            ValueError: If it does not yield `(ids, x)`.
        """
        batches = self._source.inputs(ids, batch_size)
        spec = _spec("inputs", batches)
        if not isinstance(spec, tuple) or len(spec) != 2 or not _are_ids(spec[0]):
            raise ValueError(
                "`inputs` of the source must yield pairs (ids, x), ids int64 of shape "
                f"(b,). Received: element_spec={spec}."
            )
        return batches.rebatch(batch_size)

    def batches(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.data.Dataset:
        """Return the samples to train on; see `SampleSource.batches`.

        Raises:
            TypeError: If the source does not return a dataset.
            ValueError: If it does not yield places and rows of known rank.
        """
        batches = self._source.batches(ids, seeds)
        _check_rows(_spec("batches", batches))
        # A source may have batches of its own, such as one that ends with each file.
        batches = batches.rebatch(self.batch_size)
        return asserted(batches, ids, self.classes, self.batch_size)


def _spec(name: str, dataset: Any) -> Any:
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"`{name}` of the source must return a tf.data.Dataset. "
            f"Received: {type(dataset).__name__}."
        )
    return dataset.element_spec


def _are_ids(spec: Any) -> bool:
    return getattr(spec, "dtype", None) == tf.int64 and spec.shape.rank in (1, None)


def _are_labels(spec: Any) -> bool:
    one_tensor = isinstance(spec, tf.TensorSpec) and spec.dtype != tf.string
    return one_tensor and spec.shape.rank in (1, 2)


def _check_rows(spec: Any) -> None:
    pair = isinstance(spec, tuple) and len(spec) == 2
    row = spec[1] if pair else None
    if (
        not isinstance(row, tuple)
        or len(row) not in (2, 3)
        or not _are_ids(spec[0])
        or not _are_labels(row[1])
        or not all(leaf.shape.rank for leaf in tf.nest.flatten(spec))
    ):
        raise ValueError(
            "`batches` of the source must yield (places, (x, y)) or (places, (x, y, "
            "sample_weight)), batched: places int64 of shape (b,), y numbers of shape "
            "(b,), (b, 1) or (b, n), and all of known rank (tf.ensure_shape). "
            f"Received: element_spec={spec}."
        )
    for weight in row[2:]:
        check_weights("sample_weight", weight)
