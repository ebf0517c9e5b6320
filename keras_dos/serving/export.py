"""Export a trained model for TensorFlow Serving."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks
from keras_dos.serving.card import read_metrics, write_card
from keras_dos.serving.images import check_max_pixels
from keras_dos.serving.inputs import read_inputs
from keras_dos.serving.outputs import check_probabilities, read_n_classes, read_names
from keras_dos.serving.prior import known_prior, read_priors
from keras_dos.serving.samples import sample_inputs, warn_of_scaled_images
from keras_dos.serving.signatures import build_archive
from keras_dos.serving.versions import local_folder, write_version
from keras_dos.serving.warmup import warmup_requests, write_warmup


def export_servable(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    class_counts: Sequence[int] | NDArray[np.integer] | None = None,
    training_prior: ArrayLike | None = None,
    deployment_prior: ArrayLike | None = None,
    warmup_inputs: Any = None,
    metrics: Mapping[str, Any] | None = None,
    max_image_pixels: int = 2**25,
) -> Path:
    """Write a model as the next version of a servable.

    The version is a SavedModel of stock TensorFlow operations: a server needs neither
    Python nor this package. It runs the model as `predict` does and returns float32,
    even for a mixed-precision model. Its signatures:

    * `serving_default`: from what `predict` takes to `probabilities`, shape `(m, n)`,
      in the order of the model's outputs, and the same sorted, the most probable class
      first: `classes` `(m, n)`, names if given and else int64 ids, and their `scores`
      `(m, n)`.
    * `embed`: from the same inputs to `embedding`, of a model that has that output.
    * `images_bytes`: from encoded images, a string tensor `images_bytes` of shape
      `(m,)`, to the outputs of `serving_default`, of a model whose only input is
      images with one or three channels. The images, PNG or JPEG of at most
      `max_image_pixels`, are decoded to values 0 to 255 and resized to the size of the
      input: a model that wants other values must scale them itself, with a layer.

    The version also holds warm-up requests, if `tensorflow-serving-api` is installed
    (`pip install "keras-dos[serving]"`), and a `model_card.json`. It appears under its
    name once it is complete and on the disk, and nothing is ever overwritten. Whoever
    may read `path` may read the version, whatever the umask.

    Args:
        model: A functional or sequential Keras model of class probabilities: a
            `DOSModel`, a model with one output of shape `(m, n)`, or one with a dict of
            outputs like that of a `DOSModel`. Inputs keep their names, with "_" for all
            but ASCII letters and digits; one that has none is called "inputs"
            ("inputs_0", ... if there are several).
        path: The local folder of the servable; its name is the model's name to a
            server.
        class_names: A list of n different names in the order of the outputs. Defaults
            to None: `classes` are ids.
        class_counts: Training samples of each class, shape `(n,)`, for the model card.
            Defaults to None: not known.
        training_prior: Class frequencies that the model's probabilities have, or
            counts in that proportion, shape `(n,)`, all positive; of a model that plain
            Keras trained, its class counts. Defaults to None: the `training_prior` of a
            `DOSModel`, which `fit` with an `OverloadingCallback` sets; not known for
            other models.
        deployment_prior: Class frequencies where the model is used, like
            `training_prior`, which it needs. The probabilities are then multiplied by
            the ratio of the two priors and sum to one again. Defaults to None: they
            stay the model's.
        warmup_inputs: Arrays in the structure of the model's inputs, of which the
            first samples, at most 32, make the warm-up requests. Defaults to None: a
            random one.
        metrics: Measures of the model's quality for the card, such as
            `{"balanced accuracy": 0.78}`. Defaults to None.
        max_image_pixels: The most pixels, height times width, of an encoded image; if
            the model has no fixed input size, of all images of a batch together. A
            larger one is refused before it is decoded, which takes 3 bytes per pixel
            of color. Defaults to 2**25, 33 megapixels.

    Returns:
        The folder of the new version, `path/1` for the first.

    Raises:
        TypeError: If the outputs of the model are not numbers, `path` is not a path,
            or `max_image_pixels` not an integer.
        ValueError: If the model cannot be served, an argument does not fit it, or the
            folder has the largest version that a server reads.
        OSError: If the folder cannot be written, such as on a full disk.

    Example:
        >>> import keras, tempfile
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     version = export_servable(model, folder, class_names=["no", "yes"])
        ...     version.name, sorted(path.name for path in version.iterdir())
        ('1', ['assets', 'assets.extra', 'fingerprint.pb', 'model_card.json',
               'saved_model.pb', 'variables'])
    """
    base = local_folder(path)
    inputs = read_inputs(model)
    n = read_n_classes(model)
    names = read_names(class_names, n)
    if class_counts is not None:
        class_counts = _checks.class_counts("class_counts", class_counts, n)
    prior, ratios = read_priors(known_prior(training_prior, model), deployment_prior, n)
    samples = sample_inputs(inputs, warmup_inputs)
    max_pixels = check_max_pixels(max_image_pixels, inputs, samples)
    facts = {
        "classes": list(range(n)) if names is None else names,
        "class_counts": class_counts,
        "probabilities_prior": prior,
        "metrics": read_metrics({} if metrics is None else metrics),
    }
    origin = "a random input" if warmup_inputs is None else "warmup_inputs"
    check_probabilities(model, inputs, samples, origin)
    archive, signatures = build_archive(model, inputs, names, ratios, max_pixels)
    if warmup_inputs is not None:
        warn_of_scaled_images(inputs, samples)
    requests = warmup_requests(inputs, samples, signatures)

    def write(version: Path) -> None:
        archive.write_out(version, verbose=False)
        write_warmup(version, Path(os.path.abspath(base)).name, requests)
        write_card(version, model, signatures, **facts)

    return write_version(base, write)
