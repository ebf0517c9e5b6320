"""What tells one setting from another: names and numbers that a file can keep."""

import dataclasses
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

Description = dict[str, Any]

# As `repr` has it; another one in each process.
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


def described(name: str, value: Any) -> Description:
    """Return what an argument is, part by part, as JSON returns it.

    A function is known by its name alone, an object by its type and its fields or, in
    Keras, its config. Learning rates that are numbers are left out, since training
    changes them, and so are the names that Keras numbers and texts with addresses.

    Args:
        name: The argument.
        value: Its value.

    Returns:
        Names with dots in them, and their values.

    Example:
        >>> from keras_dos.schedule import WarmupSchedule
        >>> for part in described("schedule", WarmupSchedule(2)).items():
        ...     print(*part)
        schedule WarmupSchedule
        schedule.warmup_epochs 2
        schedule.refresh_freq 1
    """
    text = json.dumps(_parts(name, value), default=_plain, skipkeys=True)
    # NaN as a word, which is equal to itself.
    found: Description = json.loads(text, parse_constant=str)
    return {key: part for key, part in found.items() if not _varies(key, part)}


def differences(there: Description, here: Description) -> str:
    """Return in words what differs between two descriptions.

    Example:
        >>> differences({"k": 3, "r": 1}, {"k": 2, "r": 1})
        'k=3 there and k=2 here'
    """
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return ", ".join(
        f"{name}={there.get(name)!r} there and {name}={here.get(name)!r} here"
        for name in names
    )


def _parts(name: str, value: Any) -> Description:
    parts = value if isinstance(value, Mapping) else _fields(value)
    if parts is None:
        return {name: value}
    if parts.get("class_name") == "__lambda__":  # Its code differs from run to run.
        return {name: "<lambda>"}
    found = {} if parts is value else {name: type(value).__qualname__}
    for key, part in parts.items():
        found |= _parts(f"{name}.{key}", part)
    return found


def _fields(value: Any) -> Mapping[str, Any] | None:
    """Return the parts of an object that says what they are, or None."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if not hasattr(value, "get_config"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of lambdas, which are not read back.
            return dict(value.get_config())
    except Exception:  # That of a user, who never needed it, may raise anything.
        return {}


def _plain(value: Any) -> Any:
    """Return what stands for a value that JSON does not know."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return getattr(value, "__qualname__", type(value).__qualname__)


def _varies(name: str, value: Any) -> bool:
    *_, last = name.split(".")
    if last == "learning_rate":
        return isinstance(value, float)
    return last == "name" or (isinstance(value, str) and bool(_ADDRESS.search(value)))
