"""Why not always DOS: on a small table, class weights do as well and cost nothing.

    python examples/gallery/binary_tabular.py

scikit-learn's breast cancer data: 60 of the 212 malignant tumors, all benign ones. AP,
the area under precision over recall, has no threshold; F1 has .5 or validation's best.
"""

import os
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from keras_dos import DOSModel, OverloadingCallback, class_counts, make_imbalanced


def neural(x: np.ndarray, y: np.ndarray, seed: int, method: str) -> keras.Model:
    """Train a small network: plain, with class weights, or with DOS."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(x.shape[1:])
    e = keras.layers.Dense(16, activation="relu")(inputs)
    p = keras.layers.Dense(2, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile("adam", "sparse_categorical_crossentropy")
    weights = dict(enumerate(len(y) / (2 * class_counts(y))))
    settings: dict[str, Any] = {
        "class_weight": {"class_weight": weights},
        "DOS": {"callbacks": [OverloadingCallback(k=5, seed=seed)]},
    }
    model.fit(x, y, epochs=20, batch_size=8, verbose=0, **settings.get(method, {}))
    return model.classifier


def one_draw(seed: int) -> dict[str, list[float]]:
    """Return AP, F1 at .5 and F1 at the threshold chosen, in %, of each method."""
    x, y = load_breast_cancer(return_X_y=True)
    y = 1 - y  # Malignant, the rare class, is 1.
    kept = make_imbalanced(y, "counts", counts={1: 60}, seed=seed)
    split = partial(train_test_split, test_size=0.5, random_state=seed)
    x, x_rest, y, y_rest = split(x[kept], y[kept], stratify=y[kept])
    x_val, x_test, y_val, y_test = split(x_rest, y_rest, stratify=y_rest)
    scale = StandardScaler().fit(x).transform
    trees = HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    predict = {"boosted trees": trees.fit(scale(x), y).predict_proba}
    for name in ("plain", "class_weight", "DOS"):
        predict[name] = neural(scale(x), y, seed, name)
    measures = {}
    for name, of in predict.items():
        p_val, p = (np.asarray(of(scale(part)))[:, 1] for part in (x_val, x_test))
        candidates = np.unique(p_val)
        best = candidates[np.argmax([f1_score(y_val, p_val >= t) for t in candidates])]
        f1 = [f1_score(y_test, p >= threshold) for threshold in (0.5, best)]
        measures[name] = [100 * v for v in (average_precision_score(y_test, p), *f1)]
    return measures


def main(draws: int = 6) -> None:
    """Compare the methods over the draws."""
    print(f"{draws} draws, a minute on two cores ...")
    measures = [one_draw(seed) for seed in range(draws)]
    print("method                   AP      F1 at .5  F1 at chosen  AP less DOS's")
    dos = np.array([draw["DOS"] for draw in measures])
    for name in measures[0]:
        values = np.array([draw[name] for draw in measures])
        cells = [*values.T, (values - dos)[:, 0]]
        print(f"{name:<14}", *(f"{v.mean():6.1f} ± {v.std():4.1f}" for v in cells))


if __name__ == "__main__":
    main()
