"""One pass over a dataset of unknown size, which may have no end."""

import contextlib
import math
import os
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

# Seconds after which a pass over a dataset of unknown size is reported.
LONG_PASS = 60.0
# Of each tensor beside its values, as measured: most of what tiny batches take.
TENSOR_BYTES = 1000


def read_once(name: str, dataset: tf.data.Dataset) -> Iterator[Any]:
    """Yield the elements of a dataset, all of which are kept, while they fit in memory.

    An endless dataset whose cardinality is unknown, such as `.repeat().filter(...)` or
    a generator, cannot be told from a long one until it has used up the memory. Half of
    the free memory is the limit, since joining the elements takes the other half.

    Args:
        name: The argument, for errors.
        dataset: A dataset whose cardinality is not infinite.

    Raises:
        ValueError: If the elements take more than half of the free memory.

    Example:
        >>> len(list(read_once("x", tf.data.Dataset.range(3))))
        3
    """
    limit, kept, started = free_memory() / 2, 0, time.monotonic()
    unknown = dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
    for number, element in enumerate(dataset):
        if kept > limit:
            raise ValueError(
                f"`{name}` must be a dataset that ends and fits into memory twice: "
                "remove .repeat() or limit it with .take(n) if it never ends; if it is "
                "large, train on a keras_dos.samples.Stream of it. Received: "
                f"{number:,} elements of together {kept / 1e9:.3g} GB, and no end."
            )
        if unknown and time.monotonic() - started > LONG_PASS:
            unknown = False  # Once.
            warnings.warn(
                f"`{name}` is still being read, and it is not known in advance when a "
                "dataset like this ends. If it never does, as after .repeat(), stop "
                f"and limit it with .take(n). Received: {number:,} elements so far.",
                stacklevel=2,
            )
        kept += size_of(element) + TENSOR_BYTES * len(tf.nest.flatten(element))
        yield element


def size_of(element: Any) -> int:
    """Return the bytes of the tensors in a structure, strings as long as they are.

    Example:
        >>> size_of((tf.zeros((2, 3)), tf.constant(["a", "bc"])))
        27
    """
    total = 0
    for leaf in tf.nest.flatten(element):
        if leaf.dtype == tf.string:
            total += int(tf.reduce_sum(tf.strings.length(leaf)))
        else:
            total += leaf.dtype.size * int(tf.size(leaf))
    return total


def free_memory() -> float:
    """Return the bytes that a process can still take, infinity where it is unknown.

    Example:
        >>> free_memory() > 1_000_000
        True
    """
    found = [math.inf]
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Not on Windows.
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError):  # Linux.
        text = Path("/proc/meminfo").read_text()
        found += [1024.0 * int(n) for n in re.findall(r"MemAvailable:\s+(\d+)", text)]
    with contextlib.suppress(OSError, ValueError):  # A container; "max" is no limit.
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)
