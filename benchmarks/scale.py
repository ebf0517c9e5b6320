"""What large data cost: a refresh of a million samples, reading, and memory.

All samples are random. Times are of the wall on two cores, and depend on the machine;
ratios are taken in one process.
"""

import functools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.runner import in_a_process, stamp
from benchmarks.tables import markdown
from keras_dos import DOSModel, OverloadingCallback, networks
from keras_dos.overloading import overload
from keras_dos.parameters import resolve_class_parameters
from keras_dos.samples import Indexed, InMemory, SampleSource, Stream
from keras_dos.samples.checked import checked
from keras_dos.samples.quadruplets import QuadrupletBatches, Quadruplets
from keras_dos.samples.shared import shared_zeros
from keras_dos.search import get_search

Record = dict[str, Any]
M, N, D = 1_000_000, 1_000, 128
PROFILES: dict[str, NDArray[np.float64]] = {
    "exp, ratio 256": 256.0 ** (-np.arange(N) / (N - 1)),
    "1 / rank": 1 / np.arange(1, N + 1),
}
IMAGE, READ, BATCH, PASSES = (28, 28, 1), 40_000, 60, 5
LARGE, READ_LARGE, SIZES = (128, 128, 1), 4_000, (0.5, 2.0)
TIMES = 5  # So often a pass reads each TFRecord file: it takes seconds, as in training.
# With it, glibc gives back at once what is freed in blocks of a mebibyte and more.
THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def refresh(profile: str) -> Record:
    """Search and draw once among a million embeddings of a thousand classes."""
    rng = np.random.default_rng(0)
    frequencies = PROFILES[profile]
    counts = np.floor(M * frequencies / frequencies.sum()).astype(int)
    counts[0] += M - counts.sum()
    y = rng.permutation(np.repeat(np.arange(N), counts))
    # Three clusters per class.
    centers = rng.normal(size=(3 * N, D)).astype(np.float32)
    x = 0.3 * rng.standard_normal((M, D), np.float32)
    x += centers[3 * y + rng.integers(0, 3, M)]
    parameters = resolve_class_parameters(counts, k=5, r="moderate")
    with Peak() as peak:
        started = time.perf_counter()
        overload(lambda ids: x[ids], y, parameters, get_search("auto"), rng)
        seconds = time.perf_counter() - started
    return {
        "profile": profile,
        "largest": int(counts[0]),
        "smallest": int(counts[-1]),
        "quadruplets": parameters.n_quadruplets,
        "seconds": seconds,
        "peak, MiB": peak.mebibytes,
        "table, MiB": x.nbytes / 2**20,
    }


def reading() -> list[Record]:
    """Return samples per second of each way to read, and what training takes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (READ, *IMAGE), dtype=np.uint8)
    y = rng.integers(0, 10, READ)
    model = networks.c6_c16_f400_f120(IMAGE, 10)
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=10)
    training = _training(model, x, y)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", x)
        mapped = np.load(f"{folder}/x.npy", mmap_mode="r")
        ways: dict[str, Callable[[], tf.data.Dataset]] = {
            "memory, quadruplets": _quadruplets(InMemory(x, y, batch_size=BATCH)),
            "memory map, quadruplets": _quadruplets(
                Indexed(mapped, y, batch_size=BATCH)
            ),
        }
        large = y[:READ_LARGE]
        for name, kind, images, labels, shape in (
            ("raw", "raw", x, y, IMAGE),
            ("PNG", "PNG", x, y, IMAGE),
            ("JPEG of 128 × 128", "JPEG", _images(large), large, LARGE),
        ):
            _write(f"{folder}/{kind}", images, labels, kind)
            dataset = _dataset([f"{folder}/{kind}"] * TIMES, BATCH, kind, shape)
            mixed = dataset.unbatch().shuffle(10_000).batch(BATCH)
            ways[f"TFRecord, {name}"] = functools.partial(dataset.prefetch, 2)
            ways[f"TFRecord, {name}, shuffled"] = functools.partial(mixed.prefetch, 2)
            ways[f"TFRecord, {name}, quadruplets"] = _quadruplets(Stream(dataset))
        passes: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(PASSES + 1):  # In turn, so that all meet the same machine.
            for name, way in ways.items():
                passes[name].append((_rate(way()), _first(way())))
    measured = {name: np.median(of[1:], axis=0) for name, of in passes.items()}
    return [
        {"way": "training", "samples per second": training},
        *(
            {"way": name, "samples per second": float(rate), "first batch, s": float(s)}
            for name, (rate, s) in measured.items()
        ),
    ]


def _rate(dataset: tf.data.Dataset) -> float:
    """Return the samples per second of a pass in TensorFlow, as `fit` reads batches."""

    def count(n: tf.Tensor, batch: Any) -> tf.Tensor:
        return n + tf.shape(batch[1], tf.int64)[0]

    started = time.perf_counter()
    n = dataset.reduce(tf.zeros([], tf.int64), count)
    return int(n) / (time.perf_counter() - started)


def _first(dataset: tf.data.Dataset) -> float:
    """Return the seconds until the first batch of a pass."""
    started = time.perf_counter()
    next(iter(dataset))
    return time.perf_counter() - started


def bounded(way: str, gigabytes: float) -> Record:
    """Train on files of some gigabytes; return the memory taken beyond the start."""
    m = int(gigabytes * 2**30 / np.prod(LARGE))
    rng = np.random.default_rng(0)
    y = rng.choice(10, m, p=np.r_[[0.01] * 4, [0.16] * 6])
    with tempfile.TemporaryDirectory() as folder:
        if way == "TFRecord":
            file = f"{folder}/x.tfrecord"
            _write(file, _images(y), y)
            source: SampleSource = Stream(_dataset([file], 64, shape=LARGE))
        else:
            file = f"{folder}/x.npy"
            mapped = np.lib.format.open_memmap(file, "w+", np.uint8, (m, *LARGE))
            for i, image in enumerate(_images(y)):
                mapped[i] = image
            del mapped
            source = Indexed(np.load(file, mmap_mode="r"), y, batch_size=64)
        model = _light_network()
        with Peak() as peak:
            model.fit(source, epochs=3, verbose=0, callbacks=[OverloadingCallback(k=5)])
    width = model.embedder.output_shape[-1] + 1
    return {
        "way": way,
        "threshold": os.environ.get(THRESHOLD, ""),
        "gigabytes": gigabytes,
        "samples": m,
        "peak, MiB": peak.mebibytes,
        "table, MiB": 4 * m * width / 2**20,
    }


class Peak:
    """The largest anonymous memory of this process within a block, beyond its start.

    Attributes:
        mebibytes: The peak, in MiB.
    """

    def __enter__(self) -> "Peak":
        self._start, self.mebibytes, self._ended = _anonymous(), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.mebibytes = max(self.mebibytes, _anonymous() - self._start)


def _anonymous() -> float:
    """Return the memory in use in MiB, without pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise OSError("This benchmark reads /proc, so it needs Linux.")


def _training(model: DOSModel, x: NDArray[Any], y: NDArray[Any]) -> float:
    model.fit(x, y, batch_size=BATCH, verbose=0)
    started = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
    return 2 * len(y) / (time.perf_counter() - started)


def _quadruplets(source: SampleSource) -> Callable[[], tf.data.Dataset]:
    k, d, rng = 5, 120, np.random.default_rng(0)
    m = len(source.classes)
    table = shared_zeros((m, d), np.float32)
    z = QuadrupletBatches(checked(source), m, k, table, recorded=True)
    drawn = Quadruplets(
        rng.permutation(m),
        rng.integers(0, m, (m, k), np.int32),
        rng.dirichlet(np.ones(k + 1), m).astype(np.float32),
        rng.standard_normal((m, d), np.float32),
    )
    z.assign(drawn, np.zeros(m, np.int64))
    return z.dataset


def _images(y: NDArray[Any]) -> Any:
    rng = np.random.default_rng(1)
    for label in y:
        yield rng.integers(20 * label, 20 * label + 60, LARGE, dtype=np.uint8)


def _write(file: str, x: Any, y: NDArray[Any], kind: str = "raw") -> None:
    encode = {"PNG": tf.io.encode_png, "JPEG": tf.io.encode_jpeg}.get(kind)
    with tf.io.TFRecordWriter(file) as writer:
        for image, label in zip(x, y, strict=True):
            data = encode(image).numpy() if encode else image.tobytes()
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
                "label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[int(label)])
                ),
            }
            features = tf.train.Features(feature=feature)
            writer.write(tf.train.Example(features=features).SerializeToString())


def _dataset(
    files: list[str], batch_size: int, kind: str = "raw", shape: tuple[int, ...] = IMAGE
) -> tf.data.Dataset:
    decode = {"PNG": tf.io.decode_png, "JPEG": tf.io.decode_jpeg}.get(kind)

    def parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_example(records, FEATURES)
        if decode:
            x = tf.map_fn(decode, parsed["image"], fn_output_signature=tf.uint8)
        else:
            x = tf.io.decode_raw(parsed["image"], tf.uint8)
        return tf.reshape(x, (-1, *shape)), parsed["label"]

    batches = tf.data.TFRecordDataset(files).batch(batch_size)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _light_network() -> DOSModel:
    inputs = keras.Input(LARGE)
    x = keras.layers.AveragePooling2D(16)(keras.layers.Rescaling(1 / 255)(inputs))
    e = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(x))
    p = keras.layers.Dense(10, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def document() -> str:
    """Measure, each in a process of its own, and return the tables in Markdown."""
    refreshed = [in_a_process(refresh, profile) for profile in PROFILES]
    rates = in_a_process(reading)
    memory = _memory()
    training = rates[0]["samples per second"]
    alone = {r["way"]: r["samples per second"] for r in rates}
    made = stamp()
    versions = ", ".join(f"{name} {v}" for name, v in made["versions"].items())
    parts = [
        "# What large data cost",
        (__doc__ or "").partition("\n")[2],
        f"One refresh (search and drawing) of {M:,} embeddings of {D} numbers in {N:,} "
        "classes, k = 5. The peak is beyond the embeddings themselves.",
        _table(refreshed),
        f"Reading {READ:,} images of {IMAGE[0]} × {IMAGE[1]} ({READ_LARGE:,} of "
        f"{LARGE[0]} × {LARGE[1]}) in batches of {BATCH}, TFRecord {TIMES} times over, "
        f"samples per second, median of {PASSES} passes. Quadruplets have k = 5 "
        'neighbors of 120 numbers. "Training" is what plain `fit` of C6-C16-F400-F120 '
        "takes from memory.",
        markdown(
            [*rates[1], "of training", "of the dataset", "shuffled"],
            [
                [
                    name,
                    f"{rate:,.0f}",
                    f"{first[0]:.2f}" if first else "",
                    f"{rate / training:.1f}",
                    *_ratios(name, rate, alone),
                ]
                for name, rate, *first in (r.values() for r in rates)
            ],
        ),
        f"Training three epochs, two of them warm-up, on images of {LARGE[0]} × "
        f"{LARGE[1]} in files, d = 64, r = moderate: the largest memory beyond that at "
        "the start of `fit`, and one copy of the table of embeddings, without and with "
        f"a threshold of `{THRESHOLD}`.",
        _table(memory),
        f"`{made['command']}`, {versions}; CPU.\n",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _memory() -> list[Record]:
    """Measure the memory of training with and without the threshold of malloc."""
    records = []
    others = {name: v for name, v in os.environ.items() if name != THRESHOLD}
    for threshold in ({}, {THRESHOLD: str(2**20)}):
        # It counts from the start of a process.
        with mock.patch.dict(os.environ, others | threshold, clear=True):
            for way in ("TFRecord", "memory map"):
                records += [in_a_process(bounded, way, size) for size in SIZES]
    return records


def _ratios(name: str, rate: float, of: dict[str, float]) -> list[str]:
    """Return a rate as a ratio to that of the same dataset, as it is and shuffled."""
    dataset = name.removesuffix(", quadruplets")
    peers = dataset, f"{dataset}, shuffled"
    if name == dataset:
        return ["", ""]
    return [f"{rate / of[peer]:.2f}" if peer in of else "" for peer in peers]


def _table(records: list[Record]) -> str:
    rows = [
        [f"{v:,.1f}" if isinstance(v, float) else f"{v}" for v in record.values()]
        for record in records
    ]
    return markdown(list(records[0]), rows)
