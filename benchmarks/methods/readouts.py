"""Ways to classify with a trained network: its own softmax and others."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.methods.task import Probabilities, Readouts, Task
from keras_dos import DOSModel

TAUS = (0.5, 1.0, 1.5, 2.0)
MOST_EMBEDDINGS = 20_000
"""Most training embeddings that classical classifiers see; of more, a random part."""


def of_embedding(task: Task, model: DOSModel) -> Readouts:
    """Return k-NN and logistic regression on the embedding, by scikit-learn."""
    chosen = np.arange(len(task.y))
    if len(chosen) > MOST_EMBEDDINGS:
        rng = np.random.default_rng(task.seed)
        chosen = np.sort(rng.choice(chosen, MOST_EMBEDDINGS, replace=False))
    train = task.predict(model.embedder, task.x[chosen])
    judged = task.predict(model.embedder)
    neighbors = KNeighborsClassifier(n_neighbors=5)
    classifiers = {"knn": neighbors, "lr": _regression(None)}
    # A head retrained on the embeddings, with each class of equal weight.
    classifiers["retrained head"] = _regression("balanced")
    return {
        name: _columns(classifier.fit(train, task.y[chosen]), judged)
        for name, classifier in classifiers.items()
    }


def post_hoc(task: Task, p: Probabilities) -> Readouts:
    """Return p / π^τ, post-hoc logit adjustment (Menon et al., ICLR 2021), by τ."""
    prior = np.maximum(task.counts, 1) / len(task.y)
    readouts = {}
    for tau in TAUS:
        adjusted = p / prior**tau
        readouts[f"post-hoc {tau}"] = adjusted / adjusted.sum(axis=1, keepdims=True)
    return readouts


def _regression(class_weight: str | None) -> Pipeline:
    regression = LogisticRegression(max_iter=300, class_weight=class_weight)
    return make_pipeline(StandardScaler(), regression)


def _columns(classifier: object, judged: NDArray[np.float32]) -> Probabilities:
    """Return probabilities with a column for each of the ten classes."""
    p = np.zeros((len(judged), 10), np.float32)
    p[:, classifier.classes_] = classifier.predict_proba(judged)  # type: ignore[attr-defined]
    return p
