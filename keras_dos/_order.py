"""The order of values that stand for one class each."""

from typing import Any


def in_class_order(name: str, value: Any) -> None:
    """Raise if a value has labels, as of pandas, that are not the classes in order.

    Raises:
        ValueError: If it has.

    Example:
        >>> in_class_order("counts", [600, 0, 30])
    """
    index = getattr(value, "index", None)
    if index is None or callable(index):  # That of a list is a method.
        return
    if list(index) != list(range(len(index))):
        raise ValueError(
            f"`{name}` must be in the order of the classes, from 0 on: what "
            "`value_counts` of pandas returns is in that of the counts, and leaves out "
            "classes. Pass what `keras_dos.class_counts` returns, or a list. "
            f"Received: {name} of the classes {list(index)[:10]}."
        )
