"""Arrays in memory that TensorFlow reads too."""

import gc

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.samples.shared import as_tensor, shared_zeros


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int32"])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 1), (1000, 17), (4, 0)])
def test_what_is_written_can_be_read(shape, dtype):
    array = shared_zeros(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert not array.any()
    tensor = as_tensor(array)
    assert tensor.dtype == dtype
    assert "CPU:0" in tensor.device
    array[...] = np.arange(array.size).reshape(shape) % 99
    np.testing.assert_array_equal(tensor, array)


def test_a_dataset_reads_what_is_there_when_it_is_read():
    array = shared_zeros((4, 2), "float32")
    tensor = as_tensor(array)
    dataset = tf.data.Dataset.range(4).batch(2).map(lambda i: tf.gather(tensor, i))
    for value in (1, 2, 3):
        array[:] = value
        rows = np.concatenate(list(dataset))
        assert (rows == value).all()


def test_a_tensor_keeps_the_memory():
    array = shared_zeros((1000, 100), "float32")
    array[:] = 5
    tensor = as_tensor(array)
    del array
    gc.collect()
    others = [np.ones((1000, 100), np.float32) for _ in range(10)]
    assert (tensor.numpy() == 5).all()
    assert len(others) == 10


@pytest.mark.parametrize("size", range(1, 40, 3))
def test_any_operation_may_read_it(size):
    """TensorFlow ends the process if memory does not begin where it expects it."""
    tensor = as_tensor(shared_zeros((size, 3), "float32"))
    assert tf.reduce_sum(tf.gather(tensor + 1, [0, 0])).numpy() == 6
