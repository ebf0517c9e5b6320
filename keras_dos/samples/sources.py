"""From the data that `fit` receives to a source of samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_dos import _checks
from keras_dos.labels import sparse_labels
from keras_dos.samples.arrays import check_arrays, n_samples
from keras_dos.samples.base import SampleSource
from keras_dos.samples.checked import checked
from keras_dos.samples.memory import InMemory


def as_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    *,
    n_classes: int | None = None,
) -> SampleSource:
    """Return a source of the samples that `fit` receives.

    Args:
        x: A `SampleSource`, or as for `InMemory`.
        y: As for `InMemory`.
        sample_weight: As for `InMemory`.
        batch_size: As for `InMemory`.
        n_classes: As for `InMemory`.

    Returns:
        The source.

    Raises:
        TypeError: As for `InMemory`.
        ValueError: As for `InMemory`, or if labels, weights or a batch size are given
            with a source.

    Example:
        >>> as_source(np.zeros((3, 2)), [0, 1, 1]).classes.tolist()
        [0, 1, 1]
    """
    if not isinstance(x, SampleSource):
        return InMemory(x, y, sample_weight, batch_size=batch_size, n_classes=n_classes)
    given = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
    beside = [name for name, value in given.items() if value is not None]
    if beside:
        raise ValueError(
            "`x` is a source of samples, which has its own labels, weights and batch "
            f"size: leave them out. Received: {beside} with x={x}."
        )
    return checked(x)


def split_validation(
    rows: tuple[Any, Any, Any],
    validation_split: float,
    validation_data: Any = None,
    validation_steps: int | None = None,
) -> tuple[tuple[Any, Any, Any], Any]:
    """Split (x, y, sample_weight) into training and validation, as Keras does.

    Args:
        rows: x, y and sample_weight (or None), with the samples on the first axis.
        validation_split: The fraction, in (0, 1), taken from the end for validation; 0
            for no split.
        validation_data: Explicit validation data, which takes precedence. Defaults to
            None.
        validation_steps: Batches of the validation data to take. Defaults to None: all.

    Returns:
        The rows for training and the validation data.

    Raises:
        TypeError: If `x` is a stream, an array has no first axis, `validation_data` is
            of another type, or `validation_split` is not a number.
        ValueError: If the data cannot be split, labels are missing, all samples of a
            class would be held out, the arrays of `validation_data` differ in the
            number of samples, or they never end.

    Example:
        >>> split_validation((np.arange(4), np.array([0, 1, 0, 1]), None), 0.25)[1]
        (array([3]), array([1]), None)
    """
    if validation_data is not None:
        _check_validation(validation_data, validation_steps)
    if not validation_split or validation_data is not None:
        return rows, validation_data
    _checks.as_float("validation_split", validation_split)
    x, *others = rows
    if isinstance(x, tf.data.Dataset | SampleSource):
        raise ValueError(
            "`validation_split` works with arrays only: pass a dataset's validation "
            f"part as `validation_data`. Received: validation_split={validation_split}."
        )
    check_arrays(x, others[0])
    rows = (x, *(np.asarray(t) if isinstance(t, list | tuple) else t for t in others))
    m = n_samples(tuple(t for t in rows if t is not None))
    split_at = int(m * (1 - validation_split)) if 0 < validation_split < 1 else 0
    if not 0 < split_at < m:
        raise ValueError(
            "`validation_split` must leave samples for training and for validation. "
            f"Received: validation_split={validation_split} for {m} samples."
        )
    _check_no_class_is_lost(rows[1], split_at, validation_split)

    def part(kept: slice) -> Any:
        return tf.nest.map_structure(lambda t: None if t is None else t[kept], rows)

    return part(slice(None, split_at)), part(slice(split_at, None))


def _check_validation(data: Any, steps: int | None) -> None:
    """Raise for what Keras would refuse after an epoch, or evaluate forever.

    Raises:
        TypeError: If it is no validation data, or has no labels.
        ValueError: If its arrays differ in the number of samples, or it never ends.
    """
    endless = tf.data.INFINITE_CARDINALITY
    if (
        isinstance(data, tf.data.Dataset)
        and data.cardinality() == endless
        and steps is None
    ):
        raise ValueError(
            "`validation_data` must end: remove .repeat(), or say by "
            "`validation_steps` how many batches to take. "
            f"Received: {data}, validation_steps=None."
        )
    if isinstance(data, list | tuple):
        fits = len(data) in (2, 3) and hasattr(data[1], "shape")
    else:
        # A single array has no labels; anything else may be a source of batches.
        alone = isinstance(data, SampleSource | Mapping | str | bytes | int | float)
        fits = not alone and not hasattr(data, "shape")
    if not fits:
        parts = len(data) if isinstance(data, list | tuple) else "no"
        raise TypeError(
            "`validation_data` must be what Keras takes: arrays (x, y) or (x, y, "
            "sample_weight), or the tf.data.Dataset or PyDataset itself, batched. "
            f"Received: {type(data).__name__} of {parts} parts."
        )
    if isinstance(data, list | tuple):
        try:
            n_samples(tuple(part for part in data if part is not None))
        except (TypeError, ValueError) as error:
            message = f"`validation_data` must be arrays of the same samples: {error}"
            raise type(error)(message) from error


def _check_no_class_is_lost(y: Any, split_at: int, validation_split: float) -> None:
    try:
        classes = sparse_labels(np.asarray(y))
    except (TypeError, ValueError):
        return  # `InMemory` names the argument in this error.
    lost = np.setdiff1d(classes[split_at:], classes[:split_at])
    if len(lost):
        raise ValueError(
            "`validation_split` holds out the end of the arrays, and with it all "
            f"samples of the classes {lost.tolist()[:10]}: shuffle x and y alike "
            "before `fit`, or choose `validation_data` yourself. "
            f"Received: validation_split={validation_split}."
        )
