"""Arrays in memory that TensorFlow reads too."""

import gc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.samples.shared import as_tensor, reader, shared_zeros


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("file", [False, True], ids=["memory", "file"])
def test_a_reader_finds_rows(file, dtype, tmp_path):
    array = shared_zeros((5, 3), dtype, tmp_path if file else None)
    assert not array.any()
    rows = tf.data.Dataset.from_tensors([[0, 4], [4, 1]])
    dataset = rows.map(reader(array))
    assert dataset.element_spec == tf.TensorSpec([2, 2, 3], dtype)
    for value in (1, 2):
        array[:] = value * np.arange(15).reshape(5, 3)
        np.testing.assert_array_equal(next(iter(dataset)), array[[[0, 4], [4, 1]]])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="It reads /proc.")
def test_a_file_goes_with_its_array(tmp_path):
    def is_mapped():
        return f"{tmp_path}/" in Path("/proc/self/maps").read_text()

    array = shared_zeros((5, 3), "float32", tmp_path)
    assert is_mapped()
    del array
    gc.collect()
    assert not is_mapped()


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
