"""The model card: what a person who runs the server needs to know about a version."""

import datetime
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

CARD_FILE = "model_card.json"


def read_metrics(metrics: Any) -> Any:
    """Return metrics as JSON can hold them.

    Raises:
        ValueError: If they are not a mapping, or hold a value that JSON cannot.

    Example:
        >>> read_metrics({"f1": np.array([0.5, 0.75])})
        {'f1': [0.5, 0.75]}
    """
    try:
        if not isinstance(metrics, Mapping):
            raise TypeError("not a mapping")
        plain = json.dumps(dict(metrics), default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`metrics` must map names to finite numbers, strings, or nested lists and "
            f"mappings of them. Received: metrics={metrics!r} ({error})."
        ) from error
    return json.loads(plain)


def write_card(
    version: Path,
    model: keras.Model,
    signatures: Mapping[str, Any],
    **facts: Any,
) -> None:
    """Write `model_card.json` into the folder of a version.

    Args:
        version: The folder of the version.
        model: The model.
        signatures: Its signatures as concrete functions.
        **facts: What else the card says, in types that JSON knows or NumPy's.

    Raises:
        OSError: If the card cannot be written.
    """
    card = {
        "model": model.name,
        "parameters": model.count_params(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "keras_dos": metadata.version("keras-dos"),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
        **facts,
        "signatures": {
            name: {
                "inputs": _tensors(
                    {spec.name: spec for spec in function.structured_input_signature[0]}
                ),
                "outputs": _tensors(function.structured_outputs),
            }
            for name, function in signatures.items()
        },
    }
    text = json.dumps(card, indent=2, default=_plain, ensure_ascii=False)
    (version / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def _tensors(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        for name, spec in specs.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
