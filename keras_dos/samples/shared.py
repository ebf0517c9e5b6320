"""Arrays that NumPy writes and TensorFlow reads, in one memory."""

import os
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike, NDArray

# Where TensorFlow's kernels expect memory to begin, in bytes.
_ALIGNMENT = 64


def shared_zeros(
    shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None
) -> NDArray[Any]:
    """Return an array of zeros that `reader` can show to TensorFlow.

    Args:
        shape: Its shape.
        dtype: Its type.
        folder: Where to keep it as a memory-mapped file. The file has no name, so it is
            gone with the array, or with the process, however that ends. Defaults to
            None: in memory.

    Raises:
        OSError: If the folder cannot be written to, or has no room.

    Example:
        >>> shared_zeros((2, 3), np.float32).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if folder is not None:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # A disk that is full when pages are written would end the process.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def as_tensor(array: NDArray[Any]) -> tf.Tensor:
    """Return a tensor on the CPU over the memory of an array, not a copy of it.

    What is written into the array later can be read from the tensor. A variable would
    need a second array, a third while it is assigned, and under a strategy one on each
    device.

    Args:
        array: From `shared_zeros`, in memory.

    Example:
        >>> array = shared_zeros((2,), np.float32)
        >>> tensor = as_tensor(array)
        >>> array[1] = 5.0
        >>> tensor.numpy().tolist()
        [0.0, 5.0]
    """
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def on_cpu(array: NDArray[Any]) -> tf.Tensor:
    """Return a copy of an array on the CPU, for functions of datasets to capture.

    What a function captures is an input of it; a constant would be copied many times as
    each pass starts.

    Args:
        array: Any array.

    Example:
        >>> on_cpu(np.array([1, 2])).device.rpartition("/")[-1]
        'device:CPU:0'
    """
    with tf.device("CPU:0"):
        return tf.constant(array)


def reader(array: NDArray[Any]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function from rows to what an array has there when it is called.

    Args:
        array: From `shared_zeros`. Keep one in a file while the function is in use.

    Returns:
        A function for the graph of a dataset, from an integer tensor, shape (...), to
        one of shape (..., *array.shape[1:]).

    Example:
        >>> array = shared_zeros((3, 1), np.float32)
        >>> dataset = tf.data.Dataset.range(3).batch(2).map(reader(array))
        >>> array[:] = [[1.0], [2.0], [3.0]]
        >>> [rows.numpy().tolist() for rows in dataset]
        [[[1.0], [2.0]], [[3.0]]]
    """
    if not isinstance(array, np.memmap):
        tensor = as_tensor(array)
        return lambda rows: tf.gather(tensor, rows)

    # TensorFlow keeps functions for good, and the file must go before.
    shape, dtype, file = array.shape, array.dtype, weakref.ref(array)

    def look_up(rows: NDArray[Any]) -> NDArray[Any]:
        mapped = file()
        assert mapped is not None
        values: NDArray[Any] = mapped[rows]
        return values

    def read(rows: tf.Tensor) -> tf.Tensor:
        # A dataset copies a tensor once, to tell it from others.
        found = tf.numpy_function(look_up, [rows], dtype)
        found.set_shape(rows.shape.concatenate(shape[1:]))
        return found

    return read
