"""Why text is no different: strings in, an embedding of the whole text, rare classes.

    python examples/gallery/text.py

From which package is the first paragraph of a docstring? The texts are those of what is
installed, so figures change with versions. Two of the four classes keep a tenth.
"""

import ast
import importlib.util
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from keras_dos import DOSModel, OverloadingCallback, classwise_report, make_imbalanced

PACKAGES, RARE = ("numpy", "scipy", "sklearn", "keras"), [1, 3]


def first_paragraphs(package: str) -> list[str]:
    """Return the first paragraphs of docstrings of a package, each once."""
    spec = importlib.util.find_spec(package)
    folder = Path(str(spec and spec.origin)).parent
    found: dict[str, None] = {}
    for path in sorted(folder.rglob("*.py")):
        if "test" in str(path):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
                if len(paragraph.split()) >= 4:
                    found[paragraph.replace(package, "")] = None
    return list(found)[:800]


def network(texts: np.ndarray) -> DOSModel:
    """Return a network that begins with strings."""
    words = keras.layers.TextVectorization(3000, output_sequence_length=40)
    words.adapt(texts)
    inputs = keras.Input((1,), dtype="string", name="text")
    tokens = keras.layers.Embedding(3000, 32, mask_zero=True)(words(inputs))
    pooled = keras.layers.GlobalAveragePooling1D()(tokens)
    e = keras.layers.Dense(32, activation="relu")(pooled)
    p = keras.layers.Dense(len(PACKAGES), activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    return model


def main(draws: int = 3) -> None:
    """Train a plain network and one with DOS on each draw."""
    print(f"{draws} draws, a minute on two cores ...")
    by_class = [first_paragraphs(package) for package in PACKAGES]
    x = np.concatenate(by_class)[:, None]
    y = np.repeat(range(len(by_class)), list(map(len, by_class)))
    print(f"{len(y):,} texts. Balanced accuracy, and recall of {PACKAGES[1]}, keras:")
    for seed in range(draws):
        x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=seed)
        kept = make_imbalanced(y_train, reduction_rate=0.9, minority=RARE, seed=seed)
        texts = tf.constant(x_train[kept])
        for name in ("plain", "DOS"):
            keras.utils.set_random_seed(seed)
            model = network(texts)
            callbacks = [OverloadingCallback(k=5, seed=seed)] if name == "DOS" else []
            model.fit(texts, y_train[kept], epochs=15, callbacks=callbacks, verbose=0)
            p = model.classifier(tf.constant(x_test))
            report = classwise_report(y_test, p, RARE)
            rare = " ".join(f"{report.recall[c]:.2f}" for c in RARE)
            print(f"draw {seed}  {name:<6}{report.balanced_accuracy:.3f}   {rare}")


if __name__ == "__main__":
    main()
