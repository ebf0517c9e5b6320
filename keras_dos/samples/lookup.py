"""One sample after another, by index, as (x, y) or (x, y, sample_weight)."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.labels import sparse_labels


class Lookup:
    """Looks samples up in anything with `len()` and `[i]`.

    Args:
        source: As for `Indexed`.
        labels: y by id, first axis m, for a source of x alone; or None.
        keys: As for `Indexed`.

    Attributes:
        first: Sample 0.

    Raises:
        TypeError: If the source or `keys` is of the wrong type.
        ValueError: If the source is empty or endless, or its first sample is not of
            these forms.

    Example:
        >>> Lookup([{"image": 5, "label": 1}], None, ("image", "label")).sample(0)
        (5, array(1))
    """

    def __init__(
        self, source: Any, labels: NDArray[Any] | None, keys: Sequence[str] | None
    ) -> None:
        _check_source(source)
        _check_keys(keys)
        self._source, self._labels, self._keys = source, labels, keys
        self.first = self.sample(0)
        _check_x(self.first[0])
        _check_label_and_weight(*self.first[1:])

    def samples(self, ids: NDArray[np.int64]) -> Iterator[tuple[Any, ...]]:
        """Yield the samples of some ids, in order."""
        if has_rows(self._source):
            # In one go: from a memory map much faster than one by one.
            assert self._labels is not None
            yield from zip(self._source[ids], self._labels[ids], strict=True)
        else:
            yield from (self.sample(int(i)) for i in ids)

    def sample(self, i: int) -> tuple[Any, ...]:
        """Return (x, y[, sample_weight]) of an id.

        Raises:
            RuntimeError: If the source raises.
            ValueError: If the sample has another form.
        """
        try:
            sample = self._source[i]
        except Exception as error:
            raise RuntimeError(f"source[{i}] raised {error!r}.") from error
        if self._keys is not None:
            sample = self._named(sample, i)
        if not isinstance(sample, tuple):
            if self._labels is None:
                raise ValueError(
                    "`source[i]` must be (x, y) or (x, y, sample_weight); for x alone "
                    "pass `labels`, and for a mapping `keys`, such as "
                    f'("image", "label"). Received: {type(sample).__name__} for i={i}.'
                )
            sample = sample, self._labels[i]
        if len(sample) not in (2, 3):
            raise ValueError(
                "`source[i]` must be (x, y) or (x, y, sample_weight). "
                f"Received: a tuple of {len(sample)} for i={i}."
            )
        x, *others = sample
        return x, *map(np.asarray, others)

    def _named(self, sample: Any, i: int) -> Any:
        """Return the parts of a mapping that `keys` names; a single one as it is.

        Raises:
            ValueError: If it is not a mapping, or has other keys.
        """
        assert self._keys is not None
        if not isinstance(sample, Mapping):
            raise ValueError(
                "`keys` must be left out unless source[i] is a mapping. Received: "
                f"keys={self._keys!r} and {type(sample).__name__} for i={i}."
            )
        missing = [key for key in self._keys if key not in sample]
        if missing:
            raise ValueError(
                f"`keys` must be among those of source[{i}], {sorted(sample)}. "
                f"Received: {missing}."
            )
        parts = tuple(sample[key] for key in self._keys)
        return parts if len(parts) > 1 else parts[0]


def has_rows(source: Any) -> bool:
    """Return whether several ids give an array of what each of them gives alone.

    Not so for an array of objects, such as pairs (x, y).

    Example:
        >>> has_rows(np.zeros((3, 2))), has_rows(np.array([{}, {}]))
        (True, False)
    """
    return isinstance(source, np.ndarray) and source.dtype != object


def _check_source(source: Any) -> None:
    if isinstance(source, keras.utils.PyDataset | tf.data.Dataset):
        raise TypeError(
            "`source` must give one sample per index: read a PyDataset or a "
            "tf.data.Dataset with keras_dos.samples.Stream. "
            f"Received: {type(source).__name__}."
        )
    if hasattr(source, "iloc"):  # pandas: [i] is a column, or the row labeled i.
        raise TypeError(
            "`source` must give the i-th sample for [i]: pass table.to_numpy(). "
            f"Received: {type(source).__name__}."
        )
    indexed = hasattr(source, "__getitem__") and not isinstance(source, Mapping)
    scalar = isinstance(source, np.ndarray) and source.ndim == 0
    if not indexed or not hasattr(source, "__len__") or scalar:
        raise TypeError(
            "`source` must have len() and [i], which gives a sample for i in 0..m−1. "
            f"Received: {type(source).__name__}."
        )
    if not len(source):
        raise ValueError("`source` must not be empty. Received: 0 samples.")
    if len(source) == sys.maxsize:  # As Grain has it after .repeat().
        raise ValueError(
            "`source` must be finite: leave out .repeat(), as epochs repeat anyway. "
            f"Received: len(source)={len(source)}."
        )


def _check_keys(keys: Any) -> None:
    listed = isinstance(keys, Sequence) and not isinstance(keys, str | bytes)
    names = listed and all(isinstance(key, str) for key in keys)
    if keys is not None and not (names and 1 <= len(keys) <= 3):
        raise TypeError(
            '`keys` must be a sequence of names, one to three, such as ("image", '
            f'"label"). Received: keys={keys!r}.'
        )


def _check_x(x: Any) -> None:
    lists: list[Any] = []
    keras.tree.traverse(lambda part: lists.extend([part] * isinstance(part, list)), x)
    objects = [
        leaf
        for leaf in map(np.asarray, tf.nest.flatten(x))
        if leaf.dtype == object
        and not all(isinstance(s, str | bytes) for s in leaf.flat)
    ]
    if lists or objects:
        raise TypeError(
            "`source[i]` must give an array, or a dict or tuple of arrays, as x: "
            f"convert lists by np.asarray. Received: {x!r:.200}."
        )


def _check_label_and_weight(y: NDArray[Any], *weight: NDArray[Any]) -> None:
    sparse_labels(y[None])
    for w in weight:
        if w.ndim or w.dtype.kind not in "fiub":
            raise ValueError(
                "`source[i]` must give a sample weight that is one number. Received: "
                f"shape {w.shape}, dtype {w.dtype}."
            )
