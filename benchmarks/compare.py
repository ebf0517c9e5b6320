"""Compare plain training, random over-sampling and DOS over seeds.

    python benchmarks/compare.py svhn_cropped --reduction-rate 0.9 --epochs 9
    python benchmarks/compare.py mnist --reduction-rate 0.99 --epochs 6 --batch-size 60

Every method sees the same network, the same initial weights, the same samples, the same
optimizer and the same number of steps; DOS runs with its defaults. The test set is
used for the report alone.
"""

import argparse
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_dos import (
    ClasswiseReport,
    DOSModel,
    OverloadingCallback,
    class_counts,
    classwise_report,
    make_imbalanced,
    networks,
)


def main() -> None:
    arguments = parse_arguments()
    train, test = (
        tfds.load(arguments.data, split=split, batch_size=-1)
        for split in ("train", "test")
    )
    x, y, x_test, y_test = (
        part[key].numpy() for part in (train, test) for key in ("image", "label")
    )
    print(f"{arguments.data}: {len(y):,} training, {len(y_test):,} test images")
    rows: dict[str, list[tuple[ClasswiseReport, float]]] = {}
    for seed in range(arguments.seeds):
        kept = make_imbalanced(y, reduction_rate=arguments.reduction_rate, seed=seed)
        reduced = class_counts(y[kept]) < class_counts(y)
        minority = np.flatnonzero(reduced).tolist()
        counts = class_counts(y[kept]).tolist()
        print(f"seed {seed}: minority {minority}, counts {counts}", flush=True)
        steps = None
        for name in ("DOS", "over-sampling", "plain CNN"):
            started = time.perf_counter()
            model = train_one(name, x[kept], y[kept], seed, steps, arguments)
            seconds = time.perf_counter() - started
            steps = model.history.params["steps"]
            p = model.classifier.predict(x_test, batch_size=500, verbose=0)
            report = classwise_report(y_test, p, minority)
            rows.setdefault(name, []).append((report, seconds))
            print(f"  {name}: {report.balanced_accuracy:.4f}", flush=True)
    print_table(rows)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="a TFDS name with 10 classes of images")
    parser.add_argument("--reduction-rate", type=float, default=0.9)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def train_one(
    name: str,
    x: Any,
    y: Any,
    seed: int,
    steps: int | None,
    arguments: argparse.Namespace,
) -> DOSModel:
    """Train one network; all but DOS are told how many steps an epoch has."""
    keras.utils.set_random_seed(seed)
    model = networks.c6_c16_f400_f120(x.shape[1:], n_classes=10)
    model.compile("adam", "sparse_categorical_crossentropy")
    settings: dict[str, Any] = {"epochs": arguments.epochs, "verbose": 0}
    if name == "DOS":
        callbacks = [OverloadingCallback(seed=seed)]
        model.fit(
            x, y, batch_size=arguments.batch_size, callbacks=callbacks, **settings
        )
        return model

    def endless(rows: Any) -> tf.data.Dataset:
        samples = tf.data.Dataset.from_tensor_slices((x[rows], y[rows]))
        return samples.shuffle(len(y), seed=seed).repeat()

    if name == "plain CNN":
        samples = endless(slice(None))
    else:
        by_class = [endless(y == c) for c in np.unique(y)]
        samples = tf.data.Dataset.sample_from_datasets(by_class, seed=seed)
    samples = samples.batch(arguments.batch_size).prefetch(tf.data.AUTOTUNE)
    model.fit(samples, steps_per_epoch=steps, shuffle=False, **settings)
    return model


def print_table(rows: dict[str, list[tuple[ClasswiseReport, float]]]) -> None:
    """Print mean ± sd over the seeds as Markdown."""
    print("\n| method | balanced accuracy | minority F1 | majority F1 | time |")
    print("|---|---|---|---|---|")
    base = np.mean([seconds for _, seconds in rows["plain CNN"]])
    for name in ("plain CNN", "over-sampling", "DOS"):
        results = rows[name]
        values = {
            "balanced": [100 * r.balanced_accuracy for r, _ in results],
            "minority": [r.average("minority")["f1"] for r, _ in results],
            "majority": [r.average("majority")["f1"] for r, _ in results],
        }
        cells = [
            f"{np.mean(v):.{d}f} ± {np.std(v, ddof=1):.{d}f}"
            for v, d in zip(values.values(), (1, 3, 3), strict=True)
        ]
        ratio = np.mean([seconds for _, seconds in results]) / base
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |")
    paired = {
        name: [100 * report.balanced_accuracy for report, _ in results]
        for name, results in rows.items()
    }
    for name in ("plain CNN", "over-sampling"):
        gains = np.subtract(paired["DOS"], paired[name])
        listed = ", ".join(f"{gain:+.1f}" for gain in gains)
        print(f"DOS over {name}, points of balanced accuracy by seed: {listed}")


if __name__ == "__main__":
    main()
