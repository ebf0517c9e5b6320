"""Functions that users pass as arguments: whether they can be called as needed."""

import inspect
from typing import Any


def function(name: str, value: Any, *positional: str, **keywords: str) -> None:
    """Raise unless a value can be called with some arguments.

    Args:
        name: The argument, for errors.
        value: Its value.
        *positional: What it is called with, for errors.
        **keywords: The same by keyword.

    Raises:
        TypeError: If it cannot be called, or not with these. A function that does not
            tell its arguments, such as some written in C, passes.

    Example:
        >>> function("schedule", lambda epoch: None, "epoch", "epochs")
        Traceback (most recent call last):
        TypeError: `schedule` must be a function of (epoch, epochs). Received: ...
    """
    if not callable(value):
        raise TypeError(f"`{name}` must be a function. Received: {name}={value!r}.")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        expected = ", ".join([*positional, *(f"{key}=..." for key in keywords)])
        raise TypeError(
            f"`{name}` must be a function of ({expected}). "
            f"Received: {name}={value!r}, with {signature}: {error}."
        ) from error
