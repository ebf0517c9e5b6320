"""The paper's two baselines that learn an embedding from tuples of samples.

Their code is not public; these follow our reading of the descriptions, on our network.
"""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from benchmarks.methods import baselines, weights
from benchmarks.methods.task import STEPS_PER_EXECUTION, Probabilities, Task, Trained
from keras_dos import DOSModel

CANDIDATES = 2
"""Samples from which the extreme one becomes a member of a quintuplet. With 20 on this
network, all embeddings moved to one point within a round."""


def triplet(
    task: Task, margin: float = 0.2, cost_power: float = 0.5, weight: float = 1.0
) -> Trained:
    """Train with triplets, re-sampling and cost-sensitive learning (TL-RS-CSL).

    Batches are class-balanced. The loss is the cross-entropy, weighted by costs
    n_j^(−cost_power), plus the triplet loss on directions: each sample against the
    farthest of its class and the nearest of the others in the batch.
    """
    network = task.network()
    model = TripletModel(network.input, network.output)
    model.set_triplets(margin, weight)
    costs = weights.inverse_frequency(task.counts, cost_power)
    data = baselines.class_balanced(task)
    return baselines.train(
        task, model, baselines.CROSS_ENTROPY, data, class_weight=costs
    )


class TripletModel(DOSModel):
    """A classifier whose loss has a triplet term."""

    def set_triplets(self, margin: float, weight: float) -> None:
        """Set the margin between squared distances, and the weight of the term."""
        self._margin, self._weight = margin, weight

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        hinge = hardest_triplets(y_pred["embedding"], y, self._margin)
        return loss + self._weight * ops.mean(hinge)


def hardest_triplets(embedding: Any, y: Any, margin: float) -> Any:
    """Return the triplet hinge of each sample of a batch, shape (b,)."""
    distances = _distances(_directions(embedding))
    same = ops.equal(ops.reshape(y, (-1, 1)), ops.reshape(y, (1, -1)))
    farthest = ops.max(ops.where(same, distances, -1.0), axis=1)
    nearest = ops.min(ops.where(same, 5.0, distances), axis=1)  # At most 4.
    return ops.relu(margin + farthest - nearest)


def lmle(
    task: Task,
    margin: float = 0.1,
    warmup_fraction: float = 0.5,
    cluster_size: int = 100,
    rounds: int = 2,
) -> Trained:
    """Train Large Margin Local Embedding (Huang et al., CVPR 2016).

    After plain warm-up, k-means finds clusters in each class, renewed every round;
    quintuplets are drawn cluster-wise, each class as often as any other; a batch
    holds batch_size / 5 of them, so that a step costs what all methods' steps cost.
    New images are classified by the margins between their nearest clusters.
    """
    started = time.perf_counter()
    network = task.network()
    first = min(task.epochs - 1, max(1, round(task.epochs * warmup_fraction)))
    baselines.train(task, network, baselines.CROSS_ENTROPY, epochs=first)
    embedder = keras.Model(network.input, network.output["embedding"])
    embedder.compile(
        task.new_optimizer(task.epochs * task.steps),
        lambda _, embedding: quintuplet_loss(embedding, margin),
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    rng = np.random.default_rng(task.seed)
    per_batch = max(1, task.batch_size // 5)
    left = (task.epochs - first) * task.steps
    for length in np.diff(np.linspace(0, left, rounds + 1).astype(int)):
        clusters = Clusters.of(task, embedder, cluster_size)
        ids = clusters.quintuplets(length * per_batch, rng)
        batches = _quintuplet_batches(task, ids, per_batch)
        embedder.fit(batches, shuffle=False, verbose=0)
    clusters = Clusters.of(task, embedder, cluster_size)
    seconds = time.perf_counter() - started
    p = clusters.classify(task.predict(embedder))
    return Trained({"softmax": p}, task.epochs * task.steps, seconds, {})


def quintuplet_loss(embedding: Any, margin: float) -> Any:
    """Return the triple-header hinge of each quintuplet, five rows in a row.

    The order of the rows is anchor, farthest of the cluster, nearest of the class
    outside of it, farthest of the class, nearest of another class; each distance must
    exceed the one before by the margin.
    """
    vectors = ops.reshape(_directions(embedding), (-1, 5, embedding.shape[-1]))
    distances = ops.sum(ops.square(vectors[:, :1] - vectors[:, 1:]), axis=-1)
    hinges = ops.relu(margin + distances[:, :-1] - distances[:, 1:])
    return ops.repeat(ops.sum(hinges, axis=1), 5)


class Clusters:
    """Clusters within the classes of a training set."""

    def __init__(
        self, vectors: NDArray[np.float32], y: NDArray[np.int64], size: int, seed: int
    ) -> None:
        """Cluster each class by k-means into groups of about `size`."""
        self.vectors, self.y = vectors, y
        self.cluster = np.full(len(y), -1)
        centers: list[NDArray[np.float64]] = []
        owners: list[int] = []
        for c in np.unique(y):
            members = np.flatnonzero(y == c)
            n = max(1, round(len(members) / size))
            means = KMeans(n, n_init=1, random_state=seed).fit(vectors[members])
            self.cluster[members] = means.labels_ + len(owners)
            centers.extend(means.cluster_centers_)
            owners.extend([int(c)] * n)
        self.centers = np.asarray(centers, np.float32)
        self.owner = np.asarray(owners)

    @classmethod
    def of(cls, task: Task, embedder: keras.Model, size: int) -> "Clusters":
        """Cluster the directions of the training embeddings."""
        vectors = _unit_rows(task.predict(embedder, task.x))
        return cls(vectors, task.y, size, task.seed)

    def quintuplets(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw ids of quintuplets, shape (n, 5), by class, then cluster, then anchor.

        The four others are the extremes among a few samples drawn for each.
        """
        classes = np.unique(self.y)
        chosen = np.empty((n, 5), np.int64)
        groups = {c: np.flatnonzero(self.cluster == c) for c in np.unique(self.cluster)}
        of_class = {c: np.flatnonzero(self.y == c) for c in classes}
        others = {c: np.flatnonzero(self.y != c) for c in classes}
        for i in range(n):
            c = rng.choice(classes)
            own = rng.choice(np.flatnonzero(self.owner == c))
            group = groups[own]
            outside = of_class[c][self.cluster[of_class[c]] != own]
            anchor = rng.choice(group)
            pools = (group, outside if len(outside) else group, of_class[c], others[c])
            takes = (np.argmax, np.argmin, np.argmax, np.argmin)
            chosen[i, 0] = anchor
            for slot, (pool, take) in enumerate(zip(pools, takes, strict=True), 1):
                drawn = pool[rng.integers(len(pool), size=CANDIDATES)]
                squared = np.square(self.vectors[drawn] - self.vectors[anchor]).sum(1)
                chosen[i, slot] = drawn[take(squared)]
        return chosen

    def classify(
        self, embedding: NDArray[np.float32], n_clusters: int = 10
    ) -> Probabilities:
        """Return the softmax of the large-margin local decision.

        Among the nearest clusters, a class scores the distance to the nearest center
        of another class minus that to its own farthest one.
        """
        squared = np.square(_unit_rows(embedding)[:, None] - self.centers).sum(-1)
        n_clusters = min(n_clusters, len(self.owner))
        nearest = np.argsort(squared, axis=1)[:, :n_clusters]
        scores = np.full((len(embedding), 10), -10.0, np.float32)
        for i, places in enumerate(nearest):
            distances, owners = squared[i, places], self.owner[places]
            for c in np.unique(owners):
                rivals = distances[owners != c]
                best = rivals.min() if len(rivals) else 4.0
                scores[i, c] = best - distances[owners == c].max()
        return np.asarray(keras.ops.softmax(scores * 10.0))


def _quintuplet_batches(
    task: Task, ids: NDArray[np.int64], per_batch: int
) -> tf.data.Dataset:
    with tf.device("cpu"):
        images = tf.constant(task.x)
    rows = tf.data.Dataset.from_tensor_slices(ids).batch(per_batch)

    def gather(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        flat = tf.reshape(batch, [-1])
        return tf.gather(images, flat), tf.zeros_like(flat)

    return rows.map(gather).prefetch(tf.data.AUTOTUNE)


def _directions(embedding: Any) -> Any:
    return ops.normalize(ops.cast(embedding, "float32"), axis=-1)


def _unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-12)
    return unit


def _distances(vectors: Any) -> Any:
    """Return squared distances between unit vectors, shape (b, b)."""
    return 2.0 - 2.0 * ops.matmul(vectors, ops.transpose(vectors))
