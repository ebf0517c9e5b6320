"""An oracle of what a source must deliver: each sample with its own neighbors and w."""

import keras
import numpy as np
from toy import blobs

from keras_dos.rounds import Rounds
from keras_dos.settings import Settings

PIXELS, Y = blobs((30, 20, 9))
M = len(Y)
# The id in the first column; the embedding is the rest, as it is.
X = np.column_stack([np.arange(M), PIXELS]).astype("float32")
EPOCHS = 3


class NotingSearch:
    """Brute force that keeps the vectors of each class, by round."""

    def __init__(self):
        self.searched = []

    def search(self, vectors, k):
        self.searched.append(np.array(vectors))
        squared = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
        ids = np.argsort(squared, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(squared, ids, axis=1)


def epochs_of(source, *, embeddings="training", first=0, r="moderate", seed=0):
    """Train for nothing: yield (batches, tables) of each epoch.

    A batch is (x, neighbors, w, y) in NumPy; `tables` has by class what was searched.
    """
    inputs = keras.Input((1 + PIXELS.shape[1],))
    embedder = keras.Model(inputs, inputs[:, 1:])
    search = NotingSearch()
    settings = Settings(
        k=3,
        r=r,
        warmup_epochs=1,
        embeddings=embeddings,
        neighbor_search=search,
        seed=seed,
    )
    rounds = Rounds(
        settings,
        source,
        embedder,
        "sparse_categorical_crossentropy",
        n_classes=3,
        epochs=EPOCHS,
    )
    for epoch in range(first, EPOCHS):
        search.searched.clear()
        rounds.begin_epoch(epoch)
        batches = []
        for quadruplets, y in rounds.dataset():
            rounds.record(quadruplets, embedder(quadruplets["x"]))
            parts = *(quadruplets[name] for name in ("x", "neighbors", "weights")), y
            batches.append(tuple(np.asarray(part) for part in parts))
        yield batches, list(search.searched)


def assert_aligned(source, *, embeddings="training", r="moderate"):
    """Check every quadruplet of a training against NumPy; return the pixels by epoch.

    Returns:
        For each epoch a mapping from id to the pixels seen of it, one row per copy.
    """
    seen, sizes = [], []
    for epoch, (batches, tables) in enumerate(
        epochs_of(source, embeddings=embeddings, r=r)
    ):
        x, neighbors, w, y = (
            np.concatenate(part) for part in zip(*batches, strict=True)
        )
        ids = x[:, 0].astype(int)
        np.testing.assert_array_equal(y, Y[ids])
        if epoch:
            assert [len(t) for t in tables] == np.bincount(Y).tolist()
            for row, i in enumerate(ids):
                members = np.flatnonzero(Y[i] == Y)
                table = tables[Y[i]]
                squared = ((table - table[members == i]) ** 2).sum(1)
                squared[members == i] = np.inf
                expected = table[np.argsort(squared, kind="stable")[:3]]
                np.testing.assert_array_equal(neighbors[row], expected)
                np.testing.assert_allclose(w[row].sum(), 1, rtol=1e-5)
            assert (w[:, 1:] > 0).all()
        if epoch and embeddings == "training":
            # What was searched is what the epoch before computed last of each sample.
            for j, table in enumerate(tables):
                for i, row in zip(np.flatnonzero(j == Y), table, strict=True):
                    assert (seen[-1][i] == row).all(axis=1).any()
        by_id = {i: x[ids == i, 1:] for i in range(M)}
        seen.append(by_id)
        sizes.append(len(ids))
    assert len(set(sizes)) == 1
    return seen
