"""The order of an epoch over a stream: which places each of its samples is for."""

import warnings

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def places_by_id(ids: tf.Tensor, m: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the places of an epoch in the order of the samples that they are for.

    Args:
        ids: The sample for each place, shape (z,), int64.
        m: Number of samples.

    Returns:
        The places, shape (z,), and where those of each sample start and the last end,
        shape (m + 1,), both int64.

    Example:
        >>> places, starts = places_by_id(tf.constant([2, 0, 2], tf.int64), m=3)
        >>> places.numpy().tolist(), starts.numpy().tolist()
        ([1, 0, 2], [0, 1, 1, 3])
    """
    order = tf.argsort(ids, stable=True)
    starts = tf.searchsorted(tf.gather(ids, order), tf.range(m + 1, dtype=tf.int64))
    return tf.cast(order, tf.int64), tf.cast(starts, tf.int64)


def places_of(
    ids: tf.Tensor, order: tf.Tensor, starts: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the places that some samples are for, ascending, and the row of each.

    Args:
        ids: Different samples, shape (b,), int64.
        order: The places by sample, from `places_by_id`.
        starts: Where those of each sample start.

    Returns:
        Places and rows of `ids`, both of shape (c,), int64.

    Example:
        >>> by_id = places_by_id(tf.constant([2, 0, 2], tf.int64), m=3)
        >>> places, rows = places_of(tf.constant([1, 2], tf.int64), *by_id)
        >>> places.numpy().tolist(), rows.numpy().tolist()
        ([0, 2], [1, 1])
    """
    first = tf.gather(starts, ids)
    copies = tf.gather(starts, ids + 1) - first
    rows = tf.repeat(tf.range(tf.size(ids, tf.int64)), copies)
    before = tf.cumsum(copies, exclusive=True)
    nth = tf.range(tf.size(rows, tf.int64)) - tf.gather(before, rows)
    places = tf.gather(order, tf.gather(first, rows) + nth)
    ascending = tf.argsort(places)
    return tf.gather(places, ascending), tf.gather(rows, ascending)


def check_mixed(classes: NDArray[np.int64], window: int) -> None:
    """Warn if windows of the samples hold few of the classes that all have.

    Args:
        classes: The class of each sample, in the order of the stream, shape (m,).
        window: Samples that are shuffled among each other.

    Example:
        >>> check_mixed(np.array([0, 1, 0, 1]), window=2)
    """
    shuffled = np.random.default_rng(0).permutation(classes)
    as_read, mixed = _difference(classes, window), _difference(shuffled, window)
    if as_read > mixed + 0.25:
        warnings.warn(
            "The dataset is ordered by class, and so are the batches: each window of "
            "`buffer_size` samples has few of the classes. Shuffle the list of files "
            "once, interleave files, use a larger `buffer_size`, or random access "
            f"by id with keras_dos.samples.Indexed. Received: {window} of "
            f"{len(classes)} samples per window, whose classes differ from those of "
            f"all by {as_read:.0%}, where {mixed:.0%} is usual.",
            stacklevel=3,
        )


def _difference(classes: NDArray[np.int64], window: int) -> float:
    """Return the mean total variation between classes of windows and of all samples."""
    n = int(classes.max()) + 1
    whole = np.bincount(classes, minlength=n) / len(classes)
    parts = [classes[i : i + window] for i in range(0, len(classes), window)]
    distances = [
        np.abs(np.bincount(part, minlength=n) / len(part) - whole).sum() / 2
        for part in parts
    ]
    return float(np.average(distances, weights=[len(part) for part in parts]))
