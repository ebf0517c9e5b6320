"""Streams whose batches other processes read: tf.data service."""

import numpy as np
import pytest
import tensorflow as tf
from alignment import M, X, Y, assert_aligned

from keras_dos.samples import Stream

pytestmark = pytest.mark.slow

service = tf.data.experimental.service


@pytest.fixture(scope="module")
def served():
    """A function that lets two readers share a dataset."""
    dispatcher = service.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    config = service.WorkerConfig(dispatcher_address=address)
    readers = [service.WorkerServer(config) for _ in range(2)]
    dynamic = service.ShardingPolicy.DYNAMIC
    yield lambda dataset: dataset.apply(service.distribute(dynamic, dispatcher.target))
    del readers


@pytest.mark.parametrize("embeddings", ["training", "pass"])
def test_samples_that_carry_their_ids_keep_their_neighbors(served, embeddings):
    rows = tf.data.Dataset.from_tensor_slices((np.arange(M), (X, Y)))
    assert_aligned(Stream(served(rows.batch(8))), embeddings=embeddings)


def test_ids_that_each_reader_counts_for_itself_are_refused(served):
    rows = tf.data.Dataset.from_tensor_slices((X, Y)).enumerate()
    with pytest.raises(ValueError, match=r"must have each id 0\.\.m−1 once"):
        Stream(served(rows.batch(8)))
