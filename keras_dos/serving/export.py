"""Export a trained model for TensorFlow Serving."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dos.serving.card import read_metrics, write_card
from keras_dos.serving.inputs import ModelInputs, read_inputs, sample_inputs
from keras_dos.serving.prior import log_ratios, read_prior
from keras_dos.serving.signatures import build_archive, named_outputs
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
) -> Path:
    """Write a model as the next version of a servable.

    The version is a SavedModel of stock TensorFlow operations: a server needs neither
    Python nor this package. It runs the model as `predict` does and returns float32,
    also of a model of mixed precision. Its signatures:

    * `serving_default`: from what `predict` takes to `probabilities`, shape (batch, n),
      in the order of the model's outputs, and the same sorted, the most probable class
      first: `classes` (batch, n), names if given and else int64 ids, and their
      `scores` (batch, n).
    * `embed`: from the same inputs to `embedding`, of a model that has that output.
    * `images_bytes`: from encoded images, a string tensor `images_bytes` of shape
      (batch,), to the outputs of `serving_default`, of a model whose only input are
      images with one or three channels. The images, PNG or JPEG, are decoded to values
      0 to 255 and resized to the size of the input: a model that wants other values
      must do that itself, with a layer.

    The version also holds warm-up requests, if `tensorflow-serving-api` is installed
    (`pip install "keras-dos[serving]"`), and a `model_card.json`. It appears under its
    name when it is whole, and nothing is ever overwritten.

    Args:
        model: A functional or sequential Keras model of class probabilities: a
            `DOSModel`, a model with one output of shape (batch, n), or one with a dict
            of outputs like that of a `DOSModel`. Inputs keep their names, with "_" for
            all but ASCII letters and digits; one that has none is called "inputs"
            ("inputs_0", ... if there are more).
        path: The local folder of the servable; its name is the model's name to a
            server.
        class_names: A list of n different names in the order of the outputs. Defaults
            to None: `classes` are ids.
        class_counts: Training samples of each class, shape (n,), for the model card.
        training_prior: Class frequencies that the model's probabilities have, or
            counts of that proportion, shape (n,), all positive. About equal ones,
            `np.ones(n)`, after a training with the defaults of `OverloadingCallback`,
            whatever the training set was; those of the samples trained on, copies
            included, after one with `prior_adjustment=0`, with k=0, or without the
            callback. Defaults to None: not known.
        deployment_prior: Class frequencies where the model is used, like
            `training_prior`, which it needs. The probabilities are then multiplied by
            the ratio of the two priors and sum to one again. Defaults to None: they
            stay the model's.
        warmup_inputs: Arrays in the structure of the model's inputs, of which the
            first samples, at most 32, make the warm-up requests. Defaults to None: a
            random one.
        metrics: What to tell of the model's quality in the card, such as
            `{"balanced accuracy": 0.78}`. Defaults to None.

    Returns:
        The folder of the new version, `path/1` for the first.

    Raises:
        ValueError: If the model cannot be served, or an argument does not fit it.
        OSError: If the folder cannot be written.

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
    n = _n_classes(model)
    names = _read_names(class_names, n)
    counts = _read_counts(class_counts, n)
    prior, ratios = _priors(training_prior, deployment_prior, n)
    samples = sample_inputs(inputs, warmup_inputs)
    facts = {
        "classes": list(range(n)) if names is None else names,
        "class_counts": counts,
        "probabilities_prior": prior,
        "metrics": read_metrics({} if metrics is None else metrics),
    }

    _check_probabilities(model, inputs, samples)
    archive, signatures = build_archive(model, inputs, names, ratios)
    if warmup_inputs is not None:
        _warn_of_scaled_images(inputs, samples[0])
    requests = warmup_requests(inputs, samples)

    def write(version: Path) -> None:
        archive.write_out(version, verbose=False)
        write_warmup(
            version,
            Path(os.path.abspath(base)).name,
            {name: requests[name] for name in signatures},
        )
        write_card(version, model, signatures, **facts)

    return write_version(base, write)


def _n_classes(model: keras.Model) -> int:
    probabilities = named_outputs(model).get("probabilities")
    shape: Any = getattr(probabilities, "shape", ())
    if len(shape) != 2 or (shape[1] or 0) < 2:
        raise ValueError(
            "`model` must have class probabilities, shape (batch, n) with n at least "
            '2, as its only output or as an output called "probabilities": two classes '
            'are a Dense(2, activation="softmax"). '
            f"Received: outputs={named_outputs(model)}."
        )
    return int(shape[1])


def _read_names(names: Any, n: int) -> list[str] | None:
    if names is None:
        return None
    # A set or a mapping has no order of classes, an iterator can be read only once.
    ordered = isinstance(names, list | tuple | np.ndarray)
    texts = ordered and all(isinstance(name, str) for name in names)
    if not texts or len(names) != n or len(set(names)) != n:
        raise ValueError(
            f"`class_names` must be a list of {n} different strings, one per class in "
            "the order of the model's outputs; of a mapping from name to class that is "
            f"sorted(names, key=names.get). Received: class_names={names!r}."
        )
    return [str(name) for name in names]


def _read_counts(counts: Any, n: int) -> NDArray[np.integer] | None:
    if counts is None:
        return None
    try:
        values = np.asarray(counts)
    except ValueError:  # Rows of different lengths.
        values = np.empty(0)
    if values.shape != (n,) or values.dtype.kind not in "iu" or values.min() < 0:
        raise ValueError(
            f"`class_counts` must be {n} integers, the training samples of each class "
            "as `keras_dos.class_counts` returns them. "
            f"Received: class_counts={counts}."
        )
    return values


def _priors(
    training: Any, deployment: Any, n: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]:
    """Return the prior that the served probabilities have, and how to get there."""
    if training is not None:
        training = read_prior("training_prior", training, n)
    if deployment is None:
        return training, None
    deployment = read_prior("deployment_prior", deployment, n)
    if training is None:
        raise ValueError(
            "`training_prior` must be given with `deployment_prior`: equal shares, "
            f"np.ones({n}), if the model was trained by OverloadingCallback with its "
            "defaults, else the class counts of the samples that it was trained on. "
            "Received: training_prior=None."
        )
    return deployment, log_ratios(training, deployment)


def _check_probabilities(
    model: keras.Model, inputs: ModelInputs, samples: list[NDArray[Any]]
) -> None:
    outputs = model(inputs.pack(samples), training=False)
    p = outputs["probabilities"] if isinstance(outputs, dict) else outputs
    p = keras.ops.convert_to_numpy(p).astype(np.float32)
    if not np.isfinite(p).all() or (p < 0).any() or (abs(p.sum(1) - 1) > 0.02).any():
        raise ValueError(
            "`model` must return class probabilities that sum to one: end the network "
            "with a softmax. (Without `warmup_inputs` a random input was tried.) "
            f"Received: rows that sum to {p.sum(1).round(3).tolist()}."
        )


def _warn_of_scaled_images(inputs: ModelInputs, images: NDArray[Any]) -> None:
    if inputs.image is None or images.dtype.kind != "f":
        return
    if images.min() < 0 or (images.max() <= 1 and images.any()):
        warnings.warn(
            "`warmup_inputs` are images with values below 0 or none above 1, but the "
            "signature `images_bytes` gives the model values 0 to 255, as they come "
            "out of a file. Put the scaling into the model, for example with "
            "keras.layers.Rescaling(1 / 255).",
            stacklevel=3,
        )
