"""Samples that are looked up by id, one by one, whenever a batch asks for them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks
from keras_dos.labels import sparse_labels
from keras_dos.samples.from_python import Form, call_python
from keras_dos.samples.lookup import Lookup, has_rows

READERS = 4
"""Batches that are read at a time, each by a thread."""

Augment = Callable[[Any, np.random.Generator], Any]


class Indexed:
    """Anything with `len()` and `[i]` as a source of samples, read in each epoch.

    Memory maps, `tfds.data_source`, ArrayRecord, Grain's map datasets, or a class of
    your own that reads the i-th file. What is kept of m samples are their labels.
    Batches are read by several threads ahead of the step, so `[i]` must be safe to call
    from any of them. A `keras.utils.PyDataset` gives batches: use `Stream`.

    Args:
        source: `source[i]`, i in 0..m−1, is (x, y) or (x, y, sample_weight), or x alone
            if there are `labels`. x is an array or a dict of arrays, whose shapes are
            the same for all samples.
        labels: y by id, shape (m,) or one-hot (m, n). Defaults to None: read from all
            samples once, which takes its time.
        keys: The names of x and y, and maybe of the sample weight, if `source[i]` is a
            mapping, such as ("image", "label"); of x alone if there are `labels`.
            Defaults to None.
        augment: A function of (x, rng) that returns one sample changed at random, of
            the same shape and type. `rng` derives from the seed of the callback and the
            epoch: each copy of a sample has its own, and a resumed training the same
            ones. Embeddings from a pass are those of plain samples. Defaults to None.
        batch_size: Samples per step. Defaults to 32.

    Attributes:
        classes: The class of each sample, shape (m,), int64.
        batch_size: Samples per step.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If the source is empty, its samples are of another form, or there
            are no labels or bad ones.

    Example:
        >>> x = np.arange(12.0).reshape(4, 3)  # Or np.load(file, mmap_mode="r").
        >>> source = Indexed(x, [0, 0, 0, 1], batch_size=2)
        >>> ids, seeds = tf.constant([3, 1], tf.int64), tf.constant([5, 6], tf.int64)
        >>> for places, (x, y) in source.batches(ids, seeds):
        ...     print(x.numpy().tolist(), y.numpy().tolist())
        [[9.0, 10.0, 11.0], [3.0, 4.0, 5.0]] [1, 0]
    """

    def __init__(
        self,
        source: Any,
        labels: ArrayLike | None = None,
        *,
        keys: Sequence[str] | None = None,
        augment: Augment | None = None,
        batch_size: int = 32,
    ) -> None:
        if augment is not None:
            _checks.function("augment", augment, "x", "rng")
        self._source, self._augment = source, augment
        self.batch_size = _checks.integer("batch_size", batch_size, minimum=1)
        self._labels = None if labels is None else _checks.array("labels", labels)
        if self._labels is not None:
            sparse_labels(self._labels)  # Before one of them is used.
        self._lookup = Lookup(source, self._labels, keys)
        first = self._lookup.first
        self._form = [Form(leaf) for leaf in tf.nest.flatten(first)]
        self._structure = first
        self._y = len(tf.nest.flatten(first[0]))  # The leaf after those of x.
        if self._labels is None:
            self._labels = self._read_labels()
        self.classes = sparse_labels(self._labels)
        if len(self.classes) != len(source):
            raise ValueError(
                "`labels` must have one label per sample of `source`. Received: "
                f"{len(self.classes)} labels of {len(source)} samples."
            )
        if augment is not None:
            first = self._augmented(first, 0, seed=0)
        self._columns([first], np.zeros(1, np.int64))

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return inputs to be embedded; see `SampleSource.inputs`."""
        batches = tf.data.Dataset.from_tensor_slices(ids).batch(batch_size)
        none = tf.zeros(0, tf.int64)
        found = batches.map(
            lambda i: (i, self._rows(i, none)[0]), num_parallel_calls=READERS
        )
        return found.prefetch(2)

    def batches(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.data.Dataset:
        """Return the samples to train on, in order; see `SampleSource.batches`."""
        places = tf.data.Dataset.range(ids.shape[0]).batch(self.batch_size)

        def rows(place: tf.Tensor) -> tuple[tf.Tensor, Any]:
            i = tf.gather(ids, place)
            return place, self._rows(i, tf.gather(seeds, place))

        return places.map(rows, num_parallel_calls=READERS)

    def _rows(self, ids: tf.Tensor, seeds: tf.Tensor) -> Any:
        """Return (x, y[, sample_weight]) of some ids, in the graph of a dataset."""
        leaves = call_python(self._read, [ids, seeds], self._form)
        return tf.nest.pack_sequence_as(self._structure, leaves)

    def _read(
        self, ids: NDArray[np.int64], seeds: NDArray[np.int64]
    ) -> list[NDArray[Any]]:
        """Return the rows of some ids, augmented if there are seeds, flattened."""
        if has_rows(self._source) and self._augment is None:
            x, y = self._form
            assert self._labels is not None
            return [
                self._source[ids].astype(x.numpy, copy=False),
                self._labels[ids].astype(y.numpy, copy=False),
            ]
        samples: Iterable[tuple[Any, ...]] = self._lookup.samples(ids)
        if self._augment is not None and len(seeds):
            triples = zip(samples, ids.tolist(), seeds.tolist(), strict=True)
            samples = (self._augmented(*triple) for triple in triples)
        return self._columns(samples, ids)

    def _columns(
        self, samples: Iterable[tuple[Any, ...]], ids: NDArray[np.int64]
    ) -> list[NDArray[Any]]:
        """Return the stacked leaves of some samples.

        Raises:
            ValueError: If a sample has another form or label than it had.
        """
        pairs = zip(samples, ids.tolist(), strict=True)
        rows = [self._leaves(sample, i) for sample, i in pairs]
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        y, known = columns[self._y], self.classes[ids]
        one_hot = y.ndim == 2 and y.shape[1] > 1
        expected = known[:, None] == np.arange(y.shape[1]) if one_hot else known
        wrong = (y.reshape(expected.shape) != expected).reshape(len(y), -1).any(axis=1)
        if wrong.any():
            n = wrong.argmax()
            raise ValueError(
                "`source[i]` must give the label that it gave at first, or that of "
                f"`labels`, {known[n]}. Received: {y[n]} for i={ids[n]}."
            )
        return columns

    def _augmented(self, sample: tuple[Any, ...], i: int, seed: int) -> tuple[Any, ...]:
        """Return a sample changed by a draw of its own.

        Raises:
            RuntimeError: If the function of the user raises.
        """
        assert self._augment is not None
        x, *others = sample
        rng = np.random.default_rng(seed)
        try:
            x = self._augment(tf.nest.map_structure(np.array, x), rng)
        except Exception as error:
            raise RuntimeError(f"`augment` raised {error!r} for i={i}.") from error
        return x, *others

    def _leaves(self, sample: tuple[Any, ...], i: int) -> list[NDArray[Any]]:
        """Return the leaves of a sample.

        Raises:
            ValueError: If it has another form than the first.
        """
        try:
            tf.nest.assert_same_structure(self._structure, sample)
            leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(sample)]
            same = all(map(Form.fits, self._form, leaves))
        except (TypeError, ValueError):
            same = False
        if not same:
            expected = tf.nest.pack_sequence_as(self._structure, self._form)
            received = tf.nest.map_structure(Form, sample)
            raise ValueError(
                "`source[i]` and `augment` must give samples of one form, that of "
                f"source[0], {expected}. Received: {received} for i={i}."
            )
        pairs = zip(leaves, self._form, strict=True)
        return [leaf.astype(form.numpy, copy=False) for leaf, form in pairs]

    def _read_labels(self) -> NDArray[Any]:
        """Return the labels of all samples, each read once and its form checked."""
        m = len(self._source)
        # Few parts, as each waits in memory, but enough to keep all threads busy.
        size = min(1000, max(1, m // (8 * READERS)))

        def read(start: int) -> NDArray[Any]:
            part = range(start, min(start + size, m))
            return np.stack(
                [self._leaves(self._lookup.sample(i), i)[self._y] for i in part]
            )

        with ThreadPoolExecutor(READERS) as threads:
            return np.concatenate(list(threads.map(read, range(0, m, size))))
