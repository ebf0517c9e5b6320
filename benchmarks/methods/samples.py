"""Endless training batches: as they are, class-balanced, mixed up; and SMOTE."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.problems import Images, Labels


def shuffled(x: Images, y: Labels, batch_size: int, seed: int) -> tf.data.Dataset:
    """Return batches of the samples in a new order at each pass, over and over."""
    ids = tf.data.Dataset.range(len(y)).shuffle(len(y), seed=seed).repeat()
    return _batches(ids, x, y, batch_size)


def class_balanced(x: Images, y: Labels, batch_size: int, seed: int) -> tf.data.Dataset:
    """Return batches in which each class is as likely as any other."""
    by_class = []
    for c in np.unique(y):
        members = np.flatnonzero(y == c)
        ids = tf.data.Dataset.from_tensor_slices(members)
        by_class.append(ids.shuffle(len(members), seed=seed + int(c)).repeat())
    ids = tf.data.Dataset.sample_from_datasets(by_class, seed=seed)
    return _batches(ids, x, y, batch_size)


def smote(x: Images, y: Labels, seed: int) -> tuple[Images, Labels]:
    """Return the set balanced by imbalanced-learn's SMOTE on pixels."""
    from imblearn.over_sampling import SMOTE

    fewest = np.bincount(y)[np.unique(y)].min()
    sampler = SMOTE(k_neighbors=min(5, fewest - 1), random_state=seed)
    pixels, labels = sampler.fit_resample(x.reshape(len(x), -1), y)
    return pixels.reshape(-1, *x.shape[1:]).astype(np.uint8), labels


def mixed_up(batches: tf.data.Dataset, alpha: float, seed: int) -> tf.data.Dataset:
    """Mix the images and one-hot labels of each batch, with Keras' own layer."""
    layer = keras.layers.MixUp(alpha=alpha, seed=seed)

    def mix(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = tf.cast(x, tf.float32), tf.one_hot(y, 10)
        mixed = layer({"images": images, "labels": labels}, training=True)
        return mixed["images"], mixed["labels"]

    return batches.map(mix)


def _batches(
    ids: tf.data.Dataset, x: Images, y: Labels, batch_size: int
) -> tf.data.Dataset:
    """Gather by batch: one by one, images would cost more time than the training."""
    with tf.device("cpu"):
        images, labels = tf.constant(x), tf.constant(y)
    batches = ids.batch(batch_size)
    gathered = batches.map(lambda i: (tf.gather(images, i), tf.gather(labels, i)))
    return gathered.prefetch(tf.data.AUTOTUNE)
