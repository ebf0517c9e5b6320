# %% [markdown]
"""Why over-sample deeply: rare classes are found again, at little cost to the others.

    python examples/gallery/quick_start.py

scikit-learn's 1,797 digits, of which four classes keep a tenth. Each draw has its own
rare classes, split and initial weights; both methods take about as many steps.
"""

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_dos import (
    DOSModel,
    OverloadingCallback,
    class_counts,
    classwise_report,
    make_imbalanced,
    minority_classes,
)


# %%
def network() -> DOSModel:
    """Return a small compiled network: an embedding and a softmax on it."""
    inputs = keras.Input((64,))
    hidden = keras.layers.Rescaling(1 / 16)(inputs)
    hidden = keras.layers.Dense(64, activation="relu")(hidden)
    e = keras.layers.Dense(32, activation="relu")(hidden)
    p = keras.layers.Dense(10, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def one_draw(seed: int, epochs: int = 30) -> dict[str, list[float]]:
    """Return balanced accuracy, recall of the rare and of the other classes."""
    digits = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(*digits, random_state=seed)
    kept = make_imbalanced(y, reduction_rate=0.9, seed=seed)
    x, y = x[kept], y[kept]
    rare = minority_classes(class_counts(y))
    callback = OverloadingCallback(k=5, seed=seed)
    # An epoch of DOS has more steps, since it repeats rare samples.
    longer = callback.steps_per_epoch(y) / -(-len(y) // 32)
    measures = {}
    for name, length in (("plain", round(epochs * longer)), ("DOS", epochs)):
        keras.utils.set_random_seed(seed)
        model = network()
        callbacks = [callback] if name == "DOS" else []
        model.fit(x, y, epochs=length, callbacks=callbacks, verbose=0)
        p = model.classifier.predict(x_test, verbose=0)
        report = classwise_report(y_test, p, rare)
        recalls = [report.average(g)["recall"] for g in ("minority", "majority")]
        measures[name] = [report.balanced_accuracy, *recalls]
    return measures


# %%
def main(draws: int = 5) -> None:
    """Print means and standard deviations over the draws."""
    print(f"{draws} draws, three quarters of a minute on two cores ...")
    measures = [one_draw(seed) for seed in range(draws)]
    print("method  balanced accuracy  recall: rare   others")
    for name in ("plain", "DOS"):
        values = 100 * np.array([draw[name] for draw in measures])
        cells = [f"{v.mean():5.1f} ± {v.std():4.1f}" for v in values.T]
        print(f"{name:<8}{cells[0]:>17}  {cells[1]:>12}  {cells[2]:>12}")


if __name__ == "__main__":
    main()
