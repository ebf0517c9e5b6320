"""A tf.data pipeline that is read anew in each epoch."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks, _keras
from keras_dos.labels import sparse_labels
from keras_dos.samples.arrays import check_weights, gather_rows
from keras_dos.samples.augment import Augment, check_augment, map_samples
from keras_dos.samples.bounded import read_once, size_of
from keras_dos.samples.contract import have_classes
from keras_dos.samples.dataset import check_dataset, of_one_shape
from keras_dos.samples.from_python import from_py_dataset
from keras_dos.samples.order import check_mixed, places_by_id, places_of
from keras_dos.samples.shared import on_cpu

WINDOW_BYTES, WINDOW_SAMPLES = 2**25, 10_000
"""What a stream shuffles among each other by default, whichever is less."""

_ORDER = (
    "The dataset does not yield the same samples in the same order in each pass, so "
    "neighbors would belong to other samples. Remove .shuffle() or give it a seed and "
    "reshuffle_each_iteration=False; read files in a fixed order, with shuffle=False "
    "in list_files and without deterministic=False; let a generator begin anew in each "
    "pass; or let samples carry their ids: dataset.enumerate() before .shuffle() and "
    ".batch(). Received: "
)
_CHANGED = (
    f"{_ORDER}labels, or a number of samples, that differ from those of the first pass."
)


class Stream:
    """A tf.data pipeline as a source of samples, read anew in each epoch.

    What is kept of m samples are their labels. The id of a sample is its place in the
    dataset, so the dataset must yield the same samples in the same order in each pass,
    as files that are read in a fixed order do; or its samples carry their ids, as
    `dataset.enumerate()` numbers them before they are shuffled and batched.

    An epoch goes through the dataset once. Within windows of `buffer_size` samples
    the copies that r asks for are made, and all are ordered as `fit` shuffles them. So
    neighboring samples should be of different classes: a dataset that is ordered by
    class trains badly, and is warned of.

    Args:
        dataset: A finite and batched dataset of (x, y) or (x, y, sample_weight); or of
            (ids, (x, y)) or (ids, (x, y, sample_weight)), ids 0..m−1, int64; or a
            `keras.utils.PyDataset`, whose batches are read in their order.
        labels: y of the samples by id, shape (m,) or one-hot (m, n). Defaults to None:
            read in a first pass over the dataset, which takes its time.
        augment: A function of (x, seed) that changes one sample at random, such as
            with `tf.image.stateless_random_flip_left_right(x, seed)`. `seed`, shape
            (2,), int64, derives from the seed of the callback and the epoch: each copy
            of a sample has its own, and a resumed training the same ones. The shape
            must stay. Embeddings from a pass are those of plain samples. Defaults to
            None.
        buffer_size: Samples per window. Defaults to None: as many as take 32 MiB,
            at most 10,000.

    Attributes:
        classes: The class of each sample, shape (m,), int64.
        batch_size: Samples per step: the largest batch of the dataset, or if there are
            `labels`, its first.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If the dataset is infinite, empty, not batched, or badly labeled, if
            it reshuffles and has no ids, if its labels take more than half of the free
            memory, or if its ids are not those of m samples.

    Example:
        >>> dataset = tf.data.Dataset.from_tensor_slices(
        ...     ([10.0, 20.0, 30.0], [0, 0, 1])).batch(2)
        >>> source = Stream(dataset)
        >>> source.classes.tolist(), source.batch_size
        ([0, 0, 1], 2)
        >>> ids, seeds = tf.constant([1, 2, 2, 0], tf.int64), tf.zeros(4, tf.int64)
        >>> for places, (x, y) in source.batches(ids, seeds):
        ...     print(places.numpy().tolist(), x.numpy().tolist())
        [0, 1] [20.0, 30.0]
        [2, 3] [30.0, 10.0]
    """

    def __init__(
        self,
        dataset: tf.data.Dataset | keras.utils.PyDataset,
        *,
        labels: ArrayLike | None = None,
        augment: Augment | None = None,
        buffer_size: int | None = None,
    ) -> None:
        # All that can be told before a pass over the dataset.
        if augment is not None:
            _checks.function("augment", augment, "x", "seed")
        if labels is not None:
            self.classes = sparse_labels(labels)
        if buffer_size is not None:
            buffer_size = _checks.integer("buffer_size", buffer_size, minimum=1)
        dataset = _dataset(dataset)
        self._augment = augment
        some = _numbered(dataset).filter(lambda i, row: tf.size(i) > 0)
        first = next(iter(some), None)
        if first is None:
            raise ValueError("`dataset` must not be empty. Received: no samples.")
        own = first if _has_ids(dataset.element_spec) else first[1]
        self._numbered = _numbered(of_one_shape("dataset", dataset, own))
        if labels is None:
            self.classes, self.batch_size = _read_labels(self._numbered)
        else:
            sparse_labels(first[1][1].numpy())  # The same error as without `labels`.
            self.batch_size = len(first[0])
        if buffer_size is None:
            rows = len(first[0])
            fitting = max(1, WINDOW_BYTES * rows // max(1, size_of(first[1])))
            buffer_size = min(fitting, WINDOW_SAMPLES)
        self._window = min(buffer_size, len(self.classes))
        check_mixed(self.classes, self._window)
        if augment is not None:
            check_augment(augment, self._numbered.element_spec[1][0])

    def inputs(self, ids: NDArray[np.int64], batch_size: int) -> tf.data.Dataset:
        """Return inputs to be embedded; see `SampleSource.inputs`."""
        asked = np.zeros(len(self.classes), bool)
        asked[ids] = True
        is_asked = on_cpu(asked)

        def kept(i: tf.Tensor, row: tuple[Any, ...]) -> tuple[tf.Tensor, Any]:
            rows = tf.where(tf.gather(is_asked, i))[:, 0]
            return tf.gather(i, rows), gather_rows(row[0], rows)

        found = self._checked().map(kept).filter(lambda i, x: tf.size(i) > 0)
        return found.rebatch(batch_size).prefetch(2)

    def batches(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.data.Dataset:
        """Return the samples to train on; see `SampleSource.batches`."""
        m, size = len(self.classes), self._window

        def planned(plan: Any, element: Any) -> tuple[Any, Any]:
            # Once a pass, since the ids differ from pass to pass.
            first = element[0] == 0
            plan = tf.cond(first, lambda: places_by_id(ids, m), lambda: plan)
            return plan, (plan, *element)

        def joined(plan: Any, n: tf.Tensor, window: Any) -> tuple[tf.Tensor, Any]:
            i, row = window
            whole = tf.size(i, tf.int64) == tf.minimum(m - n * size, size)
            with tf.control_dependencies([tf.Assert(whole, [_CHANGED])]):
                places, rows = places_of(i, *plan)
            return places, gather_rows(row, rows)

        no_plan = tf.zeros(0, tf.int64), tf.zeros(0, tf.int64)
        windows = self._checked().rebatch(size).enumerate().scan(no_plan, planned)
        # The next window is read while one is trained on.
        batches = windows.map(joined).prefetch(1).rebatch(self.batch_size)
        if self._augment is None:
            return batches.prefetch(2)
        augment = self._augment

        def augmented(places: tf.Tensor, row: tuple[Any, ...]) -> tuple[Any, Any]:
            x, *others = row
            x = map_samples(augment, x, tf.gather(seeds, places))
            return places, (x, *others)

        return batches.map(augmented, num_parallel_calls=tf.data.AUTOTUNE)

    def _checked(self) -> tf.data.Dataset:
        """Return batches of (ids, row) that end in an error if the labels changed.

        Not windows: each function that passes these on keeps more of them in memory.
        """
        m = len(self.classes)
        classes = on_cpu(self.classes)

        def check(i: tf.Tensor, row: tuple[Any, ...]) -> tuple[tf.Tensor, Any]:
            x, y, *weight = row
            row = x, y, *(tf.reshape(w, [-1]) for w in weight)
            known = tf.gather(classes, tf.clip_by_value(i, 0, m - 1))
            same = (i >= 0) & (i < m) & have_classes(row[1], known)
            with tf.control_dependencies([tf.Assert(tf.reduce_all(same), [_CHANGED])]):
                return tf.identity(i), row

        return self._numbered.map(check)


def _dataset(dataset: Any) -> tf.data.Dataset:
    """Return the dataset of batches (x, y[, sample_weight]), or of (ids, these).

    Raises:
        TypeError: If it is not a dataset, or has parts that are not dense tensors.
        ValueError: If it is infinite, not batched, or of another structure, or if it
            reshuffles samples without ids.
    """
    if isinstance(dataset, keras.utils.PyDataset):
        dataset = from_py_dataset(dataset)
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset or a keras.utils.PyDataset; for "
            "random access by id use keras_dos.samples.Indexed. "
            f"Received: {type(dataset).__name__}."
        )
    spec = dataset.element_spec
    if _has_ids(spec):
        check_dataset("dataset", dataset.map(lambda i, row: row))
        if getattr(spec[0], "dtype", None) != tf.int64 or spec[0].shape.rank != 1:
            raise ValueError(
                "`dataset` must have ids of shape (b,), int64, in (ids, (x, y)): use "
                "dataset.enumerate() before .batch(). "
                f"Received: element_spec={spec}."
            )
        _check_rows(spec[1])
        return dataset
    check_dataset("dataset", dataset)
    _check_rows(spec)
    if _keras.reshuffles(dataset):
        # Labels do not tell, where samples are mixed within their classes.
        raise ValueError(f"{_ORDER}a dataset that reshuffles, {dataset}.")
    return dataset


def _has_ids(spec: Any) -> bool:
    return isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[1], tuple)


def _numbered(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return batches of (ids, (x, y[, sample_weight])) of a dataset from `_dataset`."""
    if _has_ids(dataset.element_spec):
        return dataset

    def number(start: tf.Tensor, row: tuple[Any, ...]) -> tuple[tf.Tensor, Any]:
        end = start + tf.shape(row[1], tf.int64)[0]
        return end, (tf.range(start, end), row)

    return dataset.scan(tf.zeros([], tf.int64), number)


def _check_rows(spec: Any) -> None:
    """Raise unless shapes are known as far as they must be, and weights numbers.

    Raises:
        ValueError: If they are not.
    """
    _, y, *weight = spec
    ranks = [leaf.shape.rank for leaf in tf.nest.flatten(spec)]
    if None in ranks or (y.shape.rank == 2 and y.shape[1] is None):
        raise ValueError(
            "`dataset` must know how many axes its parts have, and how many columns "
            "labels have: give `output_signature` to from_generator, or map "
            f"tf.ensure_shape over them. Received: element_spec={spec}."
        )
    for w in weight:
        check_weights("dataset", w)


def _read_labels(numbered: tf.data.Dataset) -> tuple[NDArray[np.int64], int]:
    """Return the class of each sample by id, and the largest batch.

    Raises:
        ValueError: If the labels are bad, or the ids not those of m samples.
    """
    ids, labels = [], []
    pairs = numbered.map(lambda i, row: (i, row[1])).prefetch(8)
    for i, y in read_once("dataset", pairs):
        ids.append(i.numpy())
        labels.append(y.numpy())
    if not ids:
        raise ValueError(_CHANGED)
    all_ids = np.concatenate(ids)
    classes = sparse_labels(np.concatenate(labels))
    order = np.argsort(all_ids, kind="stable")
    if not np.array_equal(all_ids[order], np.arange(len(all_ids))):
        raise ValueError(
            "`dataset` must have each id 0..m−1 once. Received: "
            f"{len(np.unique(all_ids))} different ids from {all_ids.min()} to "
            f"{all_ids.max()} for m={len(all_ids)} samples."
        )
    return classes[order], max(map(len, ids))
