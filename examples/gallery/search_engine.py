"""Why an object with one method is enough: a search engine of your own, checked first.

    python examples/gallery/search_engine.py

scikit-learn's trees find neighbors exactly. `check_search` asks an engine for the
nearest rows of vectors that are known for trouble, before a training relies on it.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits, make_blobs
from sklearn.neighbors import NearestNeighbors

from keras_dos import DOSModel, OverloadingCallback, make_imbalanced
from keras_dos.search import ExactSearch, self_neighbors
from keras_dos.search.testing import check_search


class TreeSearch:
    """Search with a tree of scikit-learn, in float64."""

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and squared distances of the k nearest rows of each row."""
        points = vectors.astype(np.float64)
        neighbors = NearestNeighbors(n_neighbors=min(k, len(points))).fit(points)
        distances, ids = neighbors.kneighbors(points)
        return ids, distances**2


class Careless(TreeSearch):
    """The same, which forgets that distances are squared."""

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and distances."""
        ids, squared = super().search(vectors, k)
        return ids, squared**0.5


def main(sizes: tuple[int, ...] = (1_000, 4_000, 16_000)) -> None:
    """Check two engines, time one beside the exact search, and train with it."""
    print("Half a minute on two cores ...")
    check_search(TreeSearch())
    try:
        check_search(Careless())
    except AssertionError as error:
        print(f"refused: {error}")

    print("rows of a class   TreeSearch   ExactSearch   neighbors in common")
    for m in sizes:
        vectors = make_blobs(m, n_features=16, centers=8, random_state=0)[0]
        seconds, found = [], []
        for engine in (TreeSearch(), ExactSearch()):
            start = time.perf_counter()
            found.append(self_neighbors(vectors, 5, engine)[0])
            seconds.append(time.perf_counter() - start)
        common = np.mean(np.sort(found[0]) == np.sort(found[1]))
        print(f"{m:>15,}{seconds[0]:>11.2f} s{seconds[1]:>12.2f} s{common:>20.1%}")

    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    kept = make_imbalanced(y)
    inputs = keras.Input((64,))
    e = keras.layers.Dense(32, activation="relu")(inputs)
    p = keras.layers.Dense(10, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile("adam", "sparse_categorical_crossentropy")
    callback = OverloadingCallback(k=5, neighbor_search=TreeSearch())
    history = model.fit(x[kept], y[kept], epochs=6, callbacks=[callback], verbose=0)
    first, last = history.history["embedding_loss"][-2:]
    print(f"trained with it; embedding loss of the rounds: {first:.3f}, {last:.3f}")


if __name__ == "__main__":
    main()
