"""One of few values."""

from collections.abc import Collection
from typing import Any


def boolean(name: str, value: Any) -> None:
    """Raise unless a value is True or False.

    Raises:
        TypeError: If it is neither.
    """
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}.")


def choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise unless a value is one of a few strings.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(f'"{c}"' for c in choices)
        raise ValueError(
            f"`{name}` must be one of {expected}. Received: {name}={value!r}."
        )
