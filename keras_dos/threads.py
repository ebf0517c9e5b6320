"""One training of a model at a time: threads that share it would share its rounds."""

import functools
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_one_thread(
    fit: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Let a method raise RuntimeError while another thread runs it on the same object.

    In the thread that runs it, it may call itself, as a callback that calls `fit` does.

    Args:
        fit: The method.

    Example:
        >>> class Model:
        ...     @in_one_thread
        ...     def fit(self, depth):
        ...         return self.fit(depth - 1) if depth else "trained"
        >>> Model().fit(depth=2)
        'trained'
    """

    @functools.wraps(fit)
    def alone(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        # Past Keras' `__setattr__`; of two threads `setdefault` gives both the same.
        lock = self.__dict__.setdefault("_lock_of_fit", threading.RLock())
        if not lock.acquire(blocking=False):
            raise RuntimeError(
                "A model must be trained in one thread at a time: wait for its other "
                "`fit` to end, or make a model for each thread. "
                f"Received: a second `fit` of {self} at the same time."
            )
        try:
            return fit(self, *args, **kwargs)
        finally:
            lock.release()

    return alone  # type: ignore[return-value]  # `self` has a name here.
