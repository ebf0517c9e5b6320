"""Search for the in-class neighbors N(x) of equation (1).

`testing` has the tests that an engine of your own should pass; it needs NumPy alone.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

from keras_dos import _checks
from keras_dos.search import testing
from keras_dos.search.base import NeighborSearch, is_engine, self_neighbors
from keras_dos.search.exact import ExactSearch
from keras_dos.search.nndescent import NNDescentSearch
from keras_dos.search.scann import ScannSearch

__all__ = [
    "ExactSearch",
    "NNDescentSearch",
    "NeighborSearch",
    "ScannSearch",
    "get_search",
    "self_neighbors",
    "testing",
]


def get_search(identifier: str | NeighborSearch = "auto") -> NeighborSearch:
    """Return the engine that finds in-class neighbors N(x), equation (1).

    Args:
        identifier: `"auto"` takes ScaNN where it can be imported, else pynndescent
            where that can, which compares all pairs up to 20,000 rows, and else the
            exact search. One that is installed but cannot be imported is reported by
            a `UserWarning`, once. `"scann"`, `"nndescent"` and `"exact"` name one of
            the three. An object with a method `search(vectors, k)`, see
            `NeighborSearch`, is returned as it is. Defaults to `"auto"`.

    Returns:
        An object with a method `search(vectors, k)`.

    Raises:
        ImportError: If `"scann"` or `"nndescent"` is asked for and cannot be imported.
        TypeError: If `identifier` is neither a string nor such an object.
        ValueError: If `identifier` is an unknown name.

    Example:
        >>> from keras_dos.search import get_search
        >>> type(get_search("exact")).__name__
        'ExactSearch'
    """
    check_identifier(identifier)
    return _ENGINES[identifier]() if isinstance(identifier, str) else identifier


def check_identifier(identifier: Any) -> None:
    """Raise unless `get_search` takes this; nothing is imported.

    Raises:
        TypeError: If it is neither a string nor an engine.
        ValueError: If it is an unknown name.

    Example:
        >>> check_identifier("scann")
    """
    if isinstance(identifier, str):
        _checks.choice("neighbor_search", identifier, _ENGINES)
    elif not is_engine(identifier):
        raise TypeError(
            '`neighbor_search` must be "auto", "scann", "nndescent", "exact" or an '
            "object, not a class, with a method `search(vectors, k)`. "
            f"Received: neighbor_search={identifier!r}."
        )


@functools.cache  # One warning and one attempt at the imports per process.
def _auto() -> NeighborSearch:
    for package, engine in (("scann", ScannSearch), ("pynndescent", NNDescentSearch)):
        if importlib.util.find_spec(package) is None:
            continue
        try:
            return engine()
        except ImportError as error:
            warnings.warn(
                f"Another neighbor search takes the place of {engine.__name__}. "
                f"{error}",
                UserWarning,
                stacklevel=3,
            )
    return ExactSearch()


_ENGINES: dict[str, Callable[[], NeighborSearch]] = {
    "auto": _auto,
    "scann": ScannSearch,
    "nndescent": NNDescentSearch,
    "exact": ExactSearch,
}
