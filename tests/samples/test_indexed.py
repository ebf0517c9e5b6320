"""Random access by id: read by threads, aligned, and refused where it cannot be."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from alignment import EPOCHS, PIXELS, M, X, Y, assert_aligned, epochs_of
from toy import compiled, largest_difference, network

from keras_dos import OverloadingCallback
from keras_dos.samples import Indexed, InMemory, SampleSource, Stream, indexed

WEIGHTS = np.linspace(0.5, 2.0, M).astype("float32")


class Pairs:
    """Samples by index, as files would be read."""

    def __init__(self, x=X, y=Y, *more):
        self.columns = x, y, *more
        self.read, self.threads = [], set()

    def __len__(self):
        return len(self.columns[0])

    def __getitem__(self, i):
        self.read.append(i)
        self.threads.add(threading.get_ident())
        return tuple(column[i] for column in self.columns)


class Mappings(Pairs):
    """As the data sources of TensorFlow Datasets."""

    def __getitem__(self, i):
        image, label = super().__getitem__(i)
        return {"image": image, "label": label, "id": i}


class Endless(Pairs):
    """As a Grain dataset after .repeat()."""

    def __len__(self):
        return sys.maxsize


class Table(Pairs):
    """As in pandas, [i] is a column, or what the index calls i."""

    iloc = None


def jitter(x, rng):
    x[1:] += 0.1 * rng.normal(size=6)  # In place, as users do.
    return x


def memory_map(folder, x=X):
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


def trained(source, **settings):
    model = compiled(network())
    settings = {"k": 3, "warmup_epochs": 2, **settings}
    callback = OverloadingCallback(**settings)
    model.fit(source, epochs=4, verbose=0, callbacks=[callback])
    return model.get_weights()


@pytest.mark.parametrize("augment", [None, jitter])
@pytest.mark.parametrize("embeddings", ["training", "pass"])
def test_neighbors_are_those_of_the_very_sample(augment, embeddings):
    before = X.copy()
    source = Indexed(list(zip(X, Y, strict=True)), augment=augment, batch_size=7)
    assert isinstance(source, SampleSource)
    assert_aligned(source, embeddings=embeddings)
    np.testing.assert_array_equal(X, before)


def test_an_array_of_pairs_is_read_as_a_list_of_them():
    pairs = np.empty(M, object)
    pairs[:] = list(zip(X, Y, strict=True))
    assert_aligned(Indexed(pairs, batch_size=7))


@pytest.mark.slow
def test_it_trains_as_memory_does_bit_for_bit(tmp_path):
    x = PIXELS
    expected = trained(InMemory(x, Y, batch_size=8))
    sources = [
        Indexed(x, Y, batch_size=8),
        Indexed(memory_map(tmp_path, x), Y, batch_size=8),
        Indexed(Pairs(x), batch_size=8),
        Indexed(Mappings(x), keys=("image", "label"), batch_size=8),
        Indexed([row.astype("float64") for row in x], Y, batch_size=8),
    ]
    for source in sources:
        assert largest_difference(expected, trained(source)) == 0
    weighted = trained(InMemory(x, Y, WEIGHTS, batch_size=8))
    source = Indexed(Pairs(x, Y, WEIGHTS), batch_size=8)
    assert largest_difference(weighted, trained(source)) == 0


def test_augmentation_is_new_by_epoch_and_copy_and_repeated_by_a_resume():
    def pixels(first):
        source = Indexed(X, Y, augment=jitter, batch_size=8)
        return [
            np.concatenate([batch[0] for batch in batches])
            for batches, _ in epochs_of(source, first=first, embeddings="pass")
        ]

    whole = pixels(0)
    drawn = np.concatenate(whole)[:, 1:]
    assert len(drawn) > EPOCHS * M
    assert len(np.unique(drawn, axis=0)) == len(drawn)
    np.testing.assert_array_equal(pixels(1)[0], whole[1])


def test_a_pass_embeds_plain_samples():
    source = Indexed(X, Y, augment=lambda x, rng: x + np.float32(1000))
    *_, (_, tables) = epochs_of(source, embeddings="pass")
    np.testing.assert_array_equal(tables[0], X[Y == 0, 1:])


def test_structured_inputs():
    class Structured(Pairs):
        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            return {"a": x[:3], "b": x[3:]}, np.eye(3, dtype="float32")[y]

    def augment(x, rng):
        return {"a": x["a"] + rng.normal(size=3).astype("float32"), "b": x["b"]}

    source = Indexed(Structured(), augment=augment)
    assert source.classes.tolist() == Y.tolist()
    ids = tf.range(M, dtype=tf.int64)
    for places, (x, y) in source.batches(ids, ids):
        assert (x["a"].numpy() != X[places, :3]).all()
        np.testing.assert_array_equal(x["b"], X[places, 3:])
        assert y.shape == (len(places), 3)
    for found, x in source.inputs(np.array([2, 5]), 8):
        np.testing.assert_array_equal(x["a"], X[found, :3])


def test_labels_save_the_first_pass_and_threads_read():
    pairs = Pairs()
    Indexed(pairs, Y)
    assert pairs.read == [0]
    Indexed(pairs)
    assert sorted(pairs.read) == sorted([0, 0, *range(M)])
    source = Indexed(pairs, Y, batch_size=2)
    pairs.threads.clear()
    ids = tf.range(M, dtype=tf.int64)
    read = [x.numpy()[:, 0] for _, (x, _) in source.batches(ids, ids)]
    assert np.concatenate(read).tolist() == list(range(M))
    assert threading.get_ident() not in pairs.threads


@pytest.mark.parametrize("labels", [Y, Y[:, None], np.eye(3)[Y]])
@pytest.mark.parametrize("given", [Y, Y[:, None], np.eye(3)[Y]])
def test_labels_may_have_another_form_than_those_of_the_source(labels, given):
    """The source's own are trained on."""
    source = Indexed(Pairs(X, given), labels)
    assert source.classes.tolist() == Y.tolist()
    ids = tf.range(M, dtype=tf.int64)
    read = np.concatenate([y for _, (_, y) in source.batches(ids, ids)])
    np.testing.assert_array_equal(read, given)


def test_the_first_pass_asks_for_few_samples_ahead(monkeypatch):
    """One task per sample would take gigabytes of a million."""
    tasks = []

    class Noting(ThreadPoolExecutor):
        def submit(self, *arguments, **named):
            tasks.append(arguments)
            return super().submit(*arguments, **named)

    monkeypatch.setattr(indexed, "ThreadPoolExecutor", Noting)
    pairs = Pairs(np.zeros((4001, 1)), np.arange(4001) % 3)
    assert Indexed(pairs).classes.tolist() == pairs.columns[1].tolist()
    assert len(tasks) <= 40


def test_the_first_pass_reads_in_parallel():
    """Four at a time, however few samples there are."""
    met = threading.Barrier(indexed.READERS)

    class Waiting(Pairs):
        def __getitem__(self, i):
            if i in (1, 16, 31, 46):  # Parts have one sample each.
                met.wait(timeout=10)
            return super().__getitem__(i)

    assert Indexed(Waiting()).classes.tolist() == Y.tolist()


def test_one_key_for_x_alone():
    source = Indexed(Mappings(), Y, keys=("image",), batch_size=4)
    ids = tf.constant([3, 1], tf.int64)
    ((_, (x, y)),) = source.batches(ids, ids)
    np.testing.assert_array_equal(x, X[[3, 1]])
    assert y.numpy().tolist() == Y[[3, 1]].tolist()


def test_a_memory_map_is_read_in_rows(tmp_path):
    """The rows of a batch and no others."""

    class Noting(np.memmap):
        asked = []  # noqa: RUF012

        def __getitem__(self, ids):
            Noting.asked.append(ids)
            return super().__getitem__(ids)

    mapped = memory_map(tmp_path).view(Noting)
    source = Indexed(mapped, Y, batch_size=8)
    Noting.asked.clear()
    ids = tf.constant([3, 1, 4], tf.int64)
    ((_, (x, _)),) = source.batches(ids, ids)
    np.testing.assert_array_equal(x, X[[3, 1, 4]])
    asked = [a.tolist() for a in Noting.asked if isinstance(a, np.ndarray)]
    assert asked == [[3, 1, 4]]


def test_data_sources_of_others():
    grain = pytest.importorskip("grain")
    mapped = grain.MapDataset.source(list(zip(X, Y, strict=True)))
    assert_aligned(Indexed(mapped, batch_size=8))


# What is refused.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Indexed(iter([1])),
            TypeError,
            r"must have len\(\) and \[i\].*iterator",
        ),
        (lambda: Indexed([]), ValueError, r"must not be empty"),
        (lambda: Indexed(X), ValueError, r"for x alone pass `labels`.*ndarray"),
        (lambda: Indexed(Mappings()), ValueError, r'`keys`, such as \("image".*dict'),
        (
            lambda: Indexed(Mappings(), keys=("image", "y")),
            ValueError,
            r"`keys` must be among.*\['id', 'image', 'label'\].*Received: \['y'\]",
        ),
        (lambda: Indexed([(1,)]), ValueError, r"a tuple of 1 for i=0"),
        (lambda: Indexed(X, Y[:-1]), ValueError, r"58 labels of 59 samples"),
        (lambda: Indexed(X, Y - 1), ValueError, r"`labels` of one dimension.*-1"),
        (lambda: Indexed(X, Y, batch_size=0), ValueError, r"batch_size=0"),
        (lambda: Indexed(X, Y, augment=1), TypeError, r"`augment` must be a function"),
        (
            lambda: Indexed(X, Y, augment=lambda x, rng: x[:2]),
            ValueError,
            r"`augment` must give.*float32\[7\].*float32\[2\]",
        ),
        (
            lambda: Indexed(X, Y, augment=lambda x, rng: x.astype("uint8")),
            ValueError,
            r"Received: .*uint8\[7\]",
        ),
        (
            lambda: Indexed(tf.data.Dataset.range(3)),
            TypeError,
            r"keras_dos.samples.Stream",
        ),
        (lambda: Indexed(Endless()), ValueError, r"finite: leave out .repeat\(\)"),
        (lambda: Indexed(X, []), ValueError, r"at least one label"),
        (lambda: Indexed(X.tolist(), Y), TypeError, r"convert lists.*Received: \[0\.0"),
        (
            lambda: Indexed([({"a": [1.0, 2.0]}, 0)]),
            TypeError,
            r"convert lists.*Received: \{'a': \[1\.0",
        ),
        (lambda: Indexed([(None, 0)]), TypeError, r"must give an array.*None"),
        (lambda: Indexed(Table(), Y), TypeError, r"\.to_numpy\(\).*Table"),
        (
            lambda: Indexed(Pairs(), (Y + 1) % 3),
            ValueError,
            rf"or that of `labels`, {(Y[0] + 1) % 3}. Received: {Y[0]} for i=0",
        ),
        (lambda: Indexed(Pairs(X, np.eye(3)[Y]), Y + 3), ValueError, r"\].* for i=0"),
        (
            lambda: Indexed(Pairs(), keys=("image", "label")),
            ValueError,
            r"`keys` must be left out unless.*tuple for i=0",
        ),
        (lambda: Indexed(Mappings(), keys="xy"), TypeError, r"sequence of names"),
        (lambda: Indexed(Mappings(), keys=()), TypeError, r"sequence of names"),
        (
            lambda: Indexed([(0.0, 0), (1.0, [0, 1])]),
            ValueError,
            r"one form.*int64\[2\]\) for i=1",
        ),
        (lambda: Indexed([(0.0, 0), ([1.0], 1)]), ValueError, r"one form.* for i=1"),
        (lambda: Indexed([(0.0, 0), None]), ValueError, r"NoneType for i=1"),
        (
            lambda: Indexed(Pairs(X, Y, WEIGHTS[:, None])),
            ValueError,
            r"weight that is one number.*shape \(1,\)",
        ),
        (
            lambda: Indexed(Pairs(X, Y, Y.astype(str))),
            ValueError,
            r"weight that is one number.*dtype <U",
        ),
        (
            lambda: Indexed(X, Y, augment=lambda x, rng: x.missing),
            RuntimeError,
            r"`augment` raised AttributeError.* for i=0",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


BROKEN = int(np.flatnonzero(Y == 0)[5])


class Broken(Pairs):
    """Breaks at one sample."""

    def __init__(self, kind):
        super().__init__(PIXELS)
        self.kind = kind

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        if i == BROKEN:
            if self.kind == "raises":
                raise OSError("no such file")
            x = x[:3] if self.kind == "shape" else x
            y = 2 - y if self.kind == "label" else y
        return x, y


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raises", r"source\[17\] raised OSError\('no such file'\)"),
        ("shape", r"one form.*Received: .*for i=17"),
        ("label", r"label that it gave at first.*for i=17"),
    ],
)
def test_a_sample_that_breaks_is_named(kind, message):
    with pytest.raises(tf.errors.OpError, match=message.replace("17", str(BROKEN))):
        trained(Indexed(Broken(kind), Y))


@pytest.mark.parametrize("error", [ValueError("bad"), StopIteration()])
def test_an_augment_that_raises_names_the_sample(error):
    def augment(x, rng):
        if x[0] == BROKEN:
            raise error
        return x

    source = Indexed(X, Y, augment=augment)
    ids = tf.range(M, dtype=tf.int64)
    message = rf"`augment` raised {type(error).__name__}\(.* for i={BROKEN}\b"
    with pytest.raises(tf.errors.OpError, match=message):
        list(source.batches(ids, ids))


# Batches by index.


class Batches(keras.utils.PyDataset):
    def __init__(self, x=X, shuffle=False, **kwargs):
        super().__init__(**kwargs)
        self._x, self._shuffle, self._rng = x, shuffle, np.random.default_rng(0)
        self._order = np.arange(M)

    def __len__(self):
        return -(-M // 8)

    def __getitem__(self, i):
        if self._shuffle and i == 0:
            self._order = self._rng.permutation(M)
        rows = self._order[8 * i : 8 * i + 8]
        return self._x[rows], Y[rows]


@pytest.mark.slow
def test_a_py_dataset_is_streamed():
    with pytest.raises(TypeError, match=r"keras_dos.samples.Stream.*Batches"):
        Indexed(Batches())
    assert_aligned(Stream(Batches(), buffer_size=20))
    assert_aligned(Stream(Batches(workers=2)))
    with pytest.raises(tf.errors.OpError, match=r"same order in each pass"):
        trained(Stream(Batches(PIXELS, shuffle=True)))


def test_a_py_dataset_of_another_form_is_refused():
    class Endless(Batches):
        num_batches = None

    class Alone(Batches):
        def __getitem__(self, i):
            return super().__getitem__(i)[0]

    with pytest.raises(ValueError, match=r"`dataset` must be finite.*num_batches=None"):
        Stream(Endless())
    with pytest.raises(ValueError, match=r"PyDataset of \(x, y\).*ndarray"):
        Stream(Alone())


class Shaped(Batches):
    """Batches as a function makes them of (x, y, number)."""

    def __init__(self, function, **kwargs):
        super().__init__(PIXELS, **kwargs)
        self._function = function

    def __getitem__(self, i):
        return self._function(*super().__getitem__(i), i)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, i: (x.tolist(), y),
        lambda x, y, i: (x, y.tolist()),
        lambda x, y, i: (x, y, None),
        lambda x, y, i: (x, 0),
        lambda x, y, i: (x[1:], y),
    ],
)
def test_a_py_dataset_that_is_not_made_of_arrays_is_refused(function):
    with pytest.raises(
        ValueError, match=r"made of arrays.*Received: shapes.*in batch 0"
    ):
        Stream(Shaped(function))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, i: (x.astype("int64") if i == 0 else x, y),  # Would be cut.
        lambda x, y, i: (x[:, : 6 - i], y),
        lambda x, y, i: (x, y) if i == 0 else (x, y, y),
    ],
)
def test_a_py_dataset_whose_batches_differ_is_refused(function):
    with pytest.raises(tf.errors.OpError, match=r"one structure, shape and type.*batc"):
        Stream(Shaped(function))


def test_a_py_dataset_with_an_empty_first_batch_and_one_without_any():
    source = Stream(Shaped(lambda x, y, i: (x[: 8 * i], y[: 8 * i])))
    assert source.classes.tolist() == Y[8:].tolist()

    class Empty(Batches):
        def __len__(self):
            return 0

    with pytest.raises(ValueError, match=r"not empty.*Received: num_batches=0"):
        Stream(Empty())


def test_a_py_dataset_with_a_list_of_inputs():
    source = Stream(Shaped(lambda x, y, i: ([x[:, :2], x[:, 2:]], y)))
    ids = tf.range(M, dtype=tf.int64)
    rows = [x for _, (x, _) in source.batches(ids, ids)]
    for column, expected in enumerate((PIXELS[:, :2], PIXELS[:, 2:])):
        found = np.concatenate([x[column] for x in rows])
        np.testing.assert_array_equal(found, expected)
