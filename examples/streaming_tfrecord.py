"""Train on TFRecord files several times larger than the memory of the process.

Handwritten digits, enlarged and noisy, are written to files; four classes are rare. The
process then limits its own memory, and trains through a warm-up and rounds with
`samples.Stream`, which reads the files anew in each epoch.

    python examples/streaming_tfrecord.py --gigabytes 8
"""

import argparse
import os
import re
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# oneDNN's allocator takes memory in steps that double, up to what a limit leaves.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_dos import DOSModel, OverloadingCallback, classwise_report
from keras_dos.samples import Stream

SIDE = 256
FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def main() -> None:
    """Write, limit, train and evaluate."""
    arguments = parse_arguments()
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        m = int(arguments.gigabytes * 2**30 / SIDE**2)
        files = write(Path(folder), x, y, m)
        limit = limit_memory(arguments.memory)
        print(f"{m:,} images, {arguments.gigabytes} GB, in {len(files)} files; {limit}")
        dataset = tf.data.TFRecordDataset(files).batch(64)
        source = Stream(dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE))
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(source, epochs=3, callbacks=[OverloadingCallback(k=5)], verbose=2)
    noisy = enlarged(x_test, np.random.default_rng(1))
    probabilities = model.classifier.predict(noisy, verbose=0)
    print(classwise_report(y_test, probabilities, minority=range(4)))


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=4, help="images to write")
    parser.add_argument(
        "--memory", type=float, default=1.5, help="gigabytes beyond the start"
    )
    parser.add_argument(
        "--folder", help="where to write; a temporary folder if left out"
    )
    return parser.parse_args()


def write(folder: Path, x: np.ndarray, y: np.ndarray, m: int) -> list[str]:
    """Write m noisy images to files of up to 1,024; classes 0 to 3 are rare."""
    rng = np.random.default_rng(0)
    frequencies = np.where(y < 4, 0.05, 1.0)
    files = []
    for start in range(0, m, 1024):
        size = min(1024, m - start)
        drawn = rng.choice(len(y), size, p=frequencies / frequencies.sum())
        files.append(str(folder / f"{start:09d}.tfrecord"))
        with tf.io.TFRecordWriter(files[-1]) as writer:
            for image, label in zip(enlarged(x[drawn], rng), y[drawn], strict=True):
                writer.write(example(image, label).SerializeToString())
    return files


def enlarged(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return noisy images of SIDE x SIDE pixels, uint8, from digits of 8 x 8."""
    scale = SIDE // 8
    pixels = (12 * x.reshape(-1, 8, 8)).astype(np.uint8)
    images = np.kron(pixels, np.ones((1, scale, scale), np.uint8))
    return (images + rng.integers(0, 60, images.shape, dtype=np.uint8))[..., None]


def example(image: np.ndarray, label: int) -> tf.train.Example:
    """Return the record of an image."""
    pixels = tf.train.BytesList(value=[image.tobytes()])
    feature = {
        "image": tf.train.Feature(bytes_list=pixels),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


def parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the images and labels of a batch of records."""
    parsed = tf.io.parse_example(records, FEATURES)
    pixels = tf.io.decode_raw(parsed["image"], tf.uint8)
    return tf.reshape(pixels, (-1, SIDE, SIDE, 1)), parsed["label"]


def network() -> DOSModel:
    """Return a small uncompiled network on images of SIDE x SIDE pixels."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.AveragePooling2D(16)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Conv2D(16, 3, activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    embedding = keras.layers.Dense(64, activation="relu")(x)
    probabilities = keras.layers.Dense(10, activation="softmax")(embedding)
    return DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})


def limit_memory(gigabytes: float) -> str:
    """Limit the data of this process, where the system can; say what was done."""
    status = Path("/proc/self/status")
    if not status.exists():
        return "memory not limited: this needs Linux"
    import resource

    used = int(re.findall(r"VmData:\s+(\d+)", status.read_text())[0]) * 1024
    limit = used + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return f"memory limited to {gigabytes} GB more than now"


if __name__ == "__main__":
    main()
