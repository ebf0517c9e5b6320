"""The table of stored embeddings: in half precision, and in a file."""

import errno
import gc
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, network

from keras_dos import OverloadingCallback
from keras_dos.collected import CollectedEmbeddings
from keras_dos.samples import Indexed, Stream
from keras_dos.search import ExactSearch

X, Y = blobs((30, 20, 8))
WAYS = {"training": {}, "pass": {"embeddings": "pass"}}
SOURCES = {
    "memory": lambda: X,
    "stream": lambda: Stream(tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)),
    "indexed": lambda: Indexed(X, Y, batch_size=16),
}


class Spy(ExactSearch):
    """An exact search that keeps the embeddings that it is given, class by class."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def search(self, vectors, k):
        self.seen.append(vectors.copy())
        return super().search(vectors, k)


class Rounds(keras.callbacks.Callback):
    """Notes the neighbors in the batches of each epoch, and what a folder has."""

    def __init__(self, folder=None, stop=None):
        super().__init__()
        self.folder, self.stop, self.neighbors, self.mapped = folder, stop, [], []

    def on_train_batch_end(self, batch, logs=None):
        if self.folder is not None:
            self.mapped.append(mapped(self.folder))
            assert not list(self.folder.iterdir())

    def on_epoch_end(self, epoch, logs=None):
        rows = [z["neighbors"].numpy() for z, *_ in self.model.rounds.dataset()]
        self.neighbors.append(np.concatenate(rows))
        if epoch == self.stop:
            raise InterruptedError


def mapped(folder):
    """Whether this process has a file of a folder in its memory."""
    return f"{folder}/" in Path("/proc/self/maps").read_text()


def trained(*callbacks, data=None, spy=None, scale=1.0, **settings):
    model = compiled(network(scale=scale))
    own = OverloadingCallback(
        k=3, warmup_epochs=1, neighbor_search=spy or ExactSearch(), **settings
    )
    data = X if data is None else data
    labels = (Y, 16) if data is X else ()
    callbacks = [own, *callbacks]
    history = model.fit(data, *labels, epochs=4, verbose=0, callbacks=callbacks)
    history.history.pop("refresh_time")
    return model.get_weights(), history.history


on_linux = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="It reads /proc."
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "memory",
        pytest.param("stream", marks=pytest.mark.slow),
        pytest.param("indexed", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_table_in_a_file_changes_nothing(way, source, tmp_path):
    weights, history = trained(data=SOURCES[source](), **WAYS[way])
    others, other = trained(data=SOURCES[source](), table_dir=tmp_path, **WAYS[way])
    assert history == other
    for one, another in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, another)


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("stop", [None, 2])
@pytest.mark.parametrize("way", WAYS)
def test_the_file_is_gone_when_the_training_is(way, stop, tmp_path):
    watch = Rounds(tmp_path, stop)
    if stop is None:
        trained(watch, table_dir=tmp_path, **WAYS[way])
    else:
        with pytest.raises(InterruptedError):
            trained(watch, table_dir=str(tmp_path), **WAYS[way])
    assert all(watch.mapped)
    gc.collect()
    assert not mapped(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="all"),
        pytest.param({"k_majority": 0}, id="minority", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("file", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("way", WAYS)
def test_float16_is_searched_and_trained_on(way, file, more, tmp_path):
    single, half, watch = Spy(), Spy(), Rounds()
    settings = {**WAYS[way], **more}
    trained(spy=single, **settings)
    settings["table_dir"] = tmp_path if file else None
    trained(watch, spy=half, table_dtype="float16", **settings)
    # The same network before the first round.
    for one, other in zip(single.seen[:1], half.seen[:1], strict=True):
        assert other.dtype == np.float32
        np.testing.assert_array_equal(one.astype("float16"), other)
        assert (one != other).any()
    last = np.concatenate(half.seen[-3 if not more else -1 :])
    stored = watch.neighbors[-1].reshape(-1, last.shape[1])
    assert stored.dtype == np.float32
    assert {tuple(v) for v in last} >= {tuple(v) for v in stored if v.any()}


@pytest.mark.parametrize("way", WAYS)
def test_embeddings_that_float16_does_not_hold_are_refused(way):
    message = r"`table_dtype` must be .float32.*65,504.*Received: \d+ of 58 .*epoch 2"
    with pytest.raises(ValueError, match=message):
        trained(table_dtype="float16", scale=1e6, **WAYS[way])
    trained(table_dtype="float32", scale=1e6, **WAYS[way])


def test_what_has_diverged_is_told_apart():
    class Diverge(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights = self.model.get_weights()
            self.model.set_weights([np.full_like(w, np.nan) for w in weights])

    settings = {"table_dtype": "float16", "embeddings": "pass"}
    with pytest.raises(ValueError, match=r"the training has diverged, or inputs"):
        trained(Diverge(), **settings)


def test_a_full_disk_ends_the_training_before_it_begins(tmp_path, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    watch = Rounds()
    with pytest.raises(OSError, match=r"`table_dir`.*1,160 bytes.*No space") as caught:
        trained(watch, table_dir=tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path)
    assert not watch.neighbors


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    own = OverloadingCallback(k=3, table_dir=folder)
    folder.rmdir()
    with pytest.raises(OSError, match=r"`table_dir` must have room") as caught:
        compiled(network()).fit(X, Y, epochs=3, verbose=0, callbacks=[own])
    assert caught.value.filename == str(folder)


@pytest.mark.parametrize("epoch", [0, 1, 2046, 3000, 100_000])
def test_float16_is_recorded_in_any_epoch(epoch):
    table = CollectedEmbeddings(3, 2, np.float16)
    table.begin_epoch(epoch)
    table.record([1], [[0.1, 1e6]])
    embeddings = np.zeros((3, 2), np.float16)
    recorded = table.read(np.arange(3), embeddings)
    assert recorded.tolist() == [False, True, False]
    assert embeddings[1].tolist() == [np.float16(0.1), np.inf]
    again = CollectedEmbeddings(3, 2, np.float16)
    again.restore(table.rows())
    np.testing.assert_array_equal(again.rows(), table.rows())
