"""Arrays that NumPy writes and TensorFlow reads, in one memory."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike, NDArray

# Where TensorFlow's kernels expect memory to begin, in bytes.
_ALIGNMENT = 64


def shared_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that `as_tensor` can show to TensorFlow.

    Example:
        >>> shared_zeros((2, 3), np.float32).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def as_tensor(array: NDArray[Any]) -> tf.Tensor:
    """Return a tensor on the CPU over the memory of an array, not a copy of it.

    What is written into the array later can be read from the tensor. A variable would
    need a second array, a third while it is assigned, and under a strategy one on each
    device.

    Args:
        array: From `shared_zeros`.

    Example:
        >>> array = shared_zeros((2,), np.float32)
        >>> tensor = as_tensor(array)
        >>> array[1] = 5.0
        >>> tensor.numpy().tolist()
        [0.0, 5.0]
    """
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
