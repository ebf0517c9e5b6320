"""Datasets of unknown size: read whole if they end, and not for ever if they do not."""

import math
import os

import pytest
import tensorflow as tf
from toy import blobs, compiled, network

from keras_dos import OverloadingCallback, make_imbalanced
from keras_dos.samples import InMemory, Stream, bounded

X, Y = blobs((14, 9, 5))


def slices():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(7)


def endless():
    """Its cardinality is unknown."""
    return slices().repeat().filter(lambda x, y: True)


def fit(dataset):
    compiled(network()).fit(dataset, verbose=0, callbacks=[OverloadingCallback()])


@pytest.mark.parametrize(
    ("read", "name"),
    [(fit, "x"), (InMemory, "x"), (Stream, "dataset"), (make_imbalanced, "labels")],
)
def test_an_endless_dataset_of_unknown_size_is_refused(read, name, monkeypatch):
    monkeypatch.setattr(bounded, "free_memory", lambda: 200_000.0)
    message = rf"^`{name}` must be a dataset that ends.*take\(n\).*Received: \d\d "
    with pytest.raises(ValueError, match=message):
        read(endless())


def test_what_a_dataset_may_take_is_half_of_the_free_memory(monkeypatch):
    # Ten batches of 7 rows: 6 floats and a label each, and 1000 bytes per tensor.
    taken = 10 * (7 * (6 * 4 + 8) + 2 * 1000)
    dataset = endless().take(11)
    monkeypatch.setattr(bounded, "free_memory", lambda: 2.0 * taken)
    assert len(InMemory(dataset).classes) == 11 * 7
    monkeypatch.setattr(bounded, "free_memory", lambda: 2.0 * taken - 2)
    with pytest.raises(ValueError, match=r"Received: 10 elements of"):
        InMemory(dataset)


@pytest.mark.parametrize("known", [False, True])
def test_a_long_pass_is_reported_once_if_no_end_is_known(known, monkeypatch):
    monkeypatch.setattr(bounded, "LONG_PASS", 0.0)
    dataset = slices() if known else slices().filter(lambda x, y: True)
    if known:
        assert Stream(dataset).classes.tolist() == Y.tolist()
        assert InMemory(dataset).classes.tolist() == Y.tolist()
        return
    with pytest.warns(
        UserWarning, match="^`x` is still being read.*Received: "
    ) as told:
        assert InMemory(dataset).classes.tolist() == Y.tolist()
    assert len(told) == 1


def test_strings_count_as_long_as_they_are():
    assert bounded.size_of({"a": tf.zeros(6), "b": tf.constant([["cd", "efg"]])}) == 29


def test_the_free_memory_is_that_of_the_machine():
    if hasattr(os, "sysconf"):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert 0.001 * total < bounded.free_memory() <= total
    else:
        assert bounded.free_memory() == math.inf
