"""What `fit` reads: every form of data means the same samples, or is refused."""

import itertools

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from toy import blobs, compiled, largest_difference, network

from keras_dos import DOSModel, OverloadingCallback
from keras_dos.samples import InMemory

BATCH = 16
X, Y = blobs((14, 9, 5))
W = np.random.default_rng(1).uniform(0.5, 2.0, len(X)).astype("float32")
# All its batches have the same size but the last.
assert len(X) % BATCH


def slices(*parts):
    return tf.data.Dataset.from_tensor_slices(parts)


def trained(*args, model=None, **kwargs):
    """The weights after a round on the data."""
    model = compiled(model or network(), loss="crossentropy", run_eagerly=True)
    callback = OverloadingCallback(k=3, r=1, warmup_epochs=0, embeddings="pass")
    model.fit(*args, verbose=0, callbacks=[callback], **kwargs)
    return model.get_weights()


@pytest.fixture(scope="module")
def from_arrays():
    """What training on NumPy arrays gives, by the names of what is given."""
    weights = {
        "x, y": trained(X, Y, batch_size=BATCH),
        "x, y, w": trained(X, Y, batch_size=BATCH, sample_weight=W),
    }
    assert largest_difference(weights["x, y"], network().get_weights()) > 1e-3
    assert largest_difference(weights["x, y"], weights["x, y, w"]) > 1e-3
    return weights


def assert_same(weights, others):
    assert largest_difference(weights, others) < 1e-6


def assert_read(*args, sample_weight=None, batch_size=None):
    """Check that these are X and Y, in order; return the data."""
    source = InMemory(
        *args, sample_weight=sample_weight, batch_size=batch_size, n_classes=3
    )
    x, y, *weights = rows(source)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(source.classes, Y)
    assert source.classes.dtype == np.int64
    assert len(y) == len(X)
    assert source.batch_size == BATCH
    return x, *weights


def rows(source):
    """All rows of a source, by id."""
    ids = tf.range(len(source.classes), dtype=tf.int64)
    batches = [row for _, row in source.batches(ids, tf.zeros_like(ids))]
    return tf.nest.map_structure(lambda *t: tf.concat(t, 0), *batches)


# Arrays.

ARRAYS = {
    "tensors": (tf.constant(X), tf.constant(Y)),
    "variables": (tf.Variable(X), tf.Variable(Y)),
    "float64": (X.astype("float64"), Y),
    "float64 tensors": (tf.constant(X, tf.float64), tf.constant(Y, tf.int32)),
    "float labels": (X, Y.astype("float64")),
    "uint8 labels": (X, Y.astype("uint8")),
    "list of labels": (X, Y.tolist()),
    "list of numpy labels": (X, list(Y)),
    "column": (X, Y[:, None]),
    "list of columns": (X, [[j] for j in Y]),
    "one-hot": (X, keras.utils.to_categorical(Y, 3)),
    "one-hot float64": (X, np.eye(3)[Y]),
    "one-hot int": (X, np.eye(3, dtype=int)[Y]),
    "not contiguous": (np.asfortranarray(X), np.repeat(Y, 2)[::2]),
}


@pytest.mark.parametrize("form", ARRAYS)
def test_arrays(form):
    x, *weights = assert_read(*ARRAYS[form], batch_size=BATCH)
    assert x.dtype == tf.float32
    assert weights == []


@pytest.mark.parametrize("form", ["float64 tensors", "list of columns", "one-hot"])
def test_fit_on_arrays(form, from_arrays):
    assert_same(trained(*ARRAYS[form], batch_size=BATCH), from_arrays["x, y"])


@pytest.mark.parametrize(
    "w",
    [
        W.astype("float64"),
        W.tolist(),
        W[:, None],
        tf.constant(W),
        tf.constant(W, tf.float64),
    ],
)
def test_sample_weights(w):
    _, weights = assert_read(X, Y, sample_weight=w, batch_size=BATCH)
    np.testing.assert_array_equal(weights, W)
    assert weights.dtype == tf.float32


@pytest.mark.filterwarnings("ignore:Samples of weight 0")
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_sample_weights_need_not_be_floats(dtype):
    w = (np.arange(len(X)) % 2).astype(dtype)
    weights = trained(X, Y, batch_size=BATCH, sample_weight=w)
    expected = trained(X, Y, batch_size=BATCH, sample_weight=w.astype("float32"))
    assert_same(weights, expected)


def test_a_column_of_sample_weights_trains_as_keras_takes_it():
    column = slices(X, Y, W[:, None]).batch(BATCH)
    expected = trained(slices(X, Y, W).batch(BATCH))
    assert_same(trained(column), expected)


@pytest.mark.slow
def test_the_batch_size_of_arrays_is_32_or_as_given():
    def steps(batch_size):
        counted = []
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: counted.append(batch)
        )
        model = compiled(network(), run_eagerly=True)
        overloading = OverloadingCallback(k=0, r=1, warmup_epochs=0)
        callbacks = [overloading, callback]
        model.fit(X, Y, batch_size, verbose=0, callbacks=callbacks)
        return len(counted)

    assert steps(None) == 1
    assert steps(np.int64(10)) == 3
    assert steps(3) == 10


# Datasets.


def generator():
    for start in range(0, len(X), BATCH):
        yield X[start : start + BATCH], Y[start : start + BATCH]


def generated(**signature):
    dataset = tf.data.Dataset.from_generator(generator, **signature)
    assert dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
    return dataset


SIGNATURE = (tf.TensorSpec([None, 6]), tf.TensorSpec([None], tf.int64))

DATASETS = {
    "batched": lambda: slices(X, Y).batch(BATCH),
    "cached": lambda: slices(X, Y).batch(BATCH).cache(),
    "prefetched": lambda: slices(X, Y).batch(BATCH).prefetch(2),
    "cut": lambda: slices(X, Y).batch(BATCH).repeat().take(2),
    "float64": lambda: slices(X.astype("float64"), Y.astype("int8")).batch(BATCH),
    "column": lambda: slices(X, Y[:, None]).batch(BATCH),
    "one-hot": lambda: slices(X, np.eye(3)[Y]).batch(BATCH),
    "generator": lambda: generated(output_signature=SIGNATURE),
    "filtered": lambda: slices(X, Y).filter(lambda x, y: y < 9).batch(BATCH),
    "shapes unknown": lambda: generated(output_types=(tf.float32, tf.int64)),
}


@pytest.mark.parametrize("form", DATASETS)
def test_datasets(form):
    assert_read(DATASETS[form](), None)


@pytest.mark.parametrize("form", ["float64", "one-hot", "shapes unknown"])
def test_fit_on_datasets(form, from_arrays):
    assert_same(trained(DATASETS[form]()), from_arrays["x, y"])


def test_datasets_with_sample_weights(from_arrays):
    assert_same(trained(slices(X, Y, W).batch(BATCH)), from_arrays["x, y, w"])
    weights = trained(slices(X, Y, W.astype("float64")).batch(BATCH))
    assert_same(weights, from_arrays["x, y, w"])


def test_datasets_that_drop_the_last_batch():
    dataset = slices(X, Y, W).batch(BATCH, drop_remainder=True)
    x, y, weights = rows(InMemory(dataset, n_classes=3))
    np.testing.assert_array_equal(x, X[:BATCH])
    np.testing.assert_array_equal(y, Y[:BATCH])
    np.testing.assert_array_equal(weights, W[:BATCH])


@pytest.mark.parametrize("sizes", [(4, 4, 2), (2, 4, 4), (10,)])
def test_the_batch_size_of_a_dataset_is_its_largest(sizes):
    edges = np.cumsum((0, *sizes))
    dataset = tf.data.Dataset.from_generator(
        lambda: ((X[a:b], Y[a:b]) for a, b in itertools.pairwise(edges)),
        output_signature=SIGNATURE,
    )
    source = InMemory(dataset, n_classes=3)
    assert source.batch_size == max(sizes)
    x, y = rows(source)
    np.testing.assert_array_equal(x, X[:10])
    np.testing.assert_array_equal(y, Y[:10])


class Recording(DOSModel):
    """Records what its steps train on, by way of NumPy."""

    def train_step(self, data):
        if not hasattr(self, "steps"):
            self.steps = []
        (inputs, *rest) = data
        self.steps.append([np.asarray(t) for t in (inputs["x"], *rest)])
        return super().train_step(data)


def recording(epochs, dataset):
    plain = network(d=2, n=2)
    model = Recording(plain.input, plain.output)
    compiled(model, run_eagerly=True)
    callback = OverloadingCallback(k=2, warmup_epochs=1)
    model.fit(dataset, epochs=epochs, verbose=0, callbacks=[callback])
    return [np.concatenate(column) for column in zip(*model.steps, strict=True)]


def test_samples_keep_their_label_and_weight_when_the_dataset_reshuffles():
    ids = np.arange(40)
    y = (ids % 7 > 4).astype(int)
    w = ids / 40 + 0.5
    x = np.stack([ids, -ids], 1).astype("float32")
    dataset = slices(x, y, w).shuffle(40, reshuffle_each_iteration=True).batch(16)
    first, second = (np.concatenate([b[0] for b in dataset]) for _ in range(2))
    assert (first != second).any()
    rows, labels, weights = recording(2, dataset)
    seen = rows[:, 0].astype(int)
    assert set(seen) == set(ids)
    np.testing.assert_array_equal(rows[:, 1], -rows[:, 0])
    np.testing.assert_array_equal(labels, y[seen])
    np.testing.assert_allclose(weights, w[seen])


def test_a_dataset_is_read_once():
    """What is random in it is frozen: a neighbor belongs to one particular sample."""
    passes = []

    def generate():
        passes.append(1)
        for i in range(40):
            yield np.random.normal(size=2), i % 2  # noqa: NPY002

    spec = (tf.TensorSpec([2]), tf.TensorSpec([], tf.int64))
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec).batch(16)
    rows, _ = recording(3, dataset)
    assert len(passes) == 1
    assert len(np.unique(rows, axis=0)) == 40


# Nested inputs, and strings.

A, B, C = X[:, :2], X[:, 2:4], X[:, 4:]
STRUCTURES = {
    "dict": lambda a, b, c: {"a": a, "b": b, "c": c},
    "tuple": lambda a, b, c: (a, b, c),
    "list": lambda a, b, c: [a, b, c],
    "dict in tuple": lambda a, b, c: ({"a": a, "b": b}, c),
    "list in dict": lambda a, b, c: {"a": [a, b], "c": c},
}


def nested_network(structure):
    """The network of `toy`, on an input in three parts."""
    keras.utils.set_random_seed(0)
    parts = [keras.Input((2,), name=name) for name in "abc"]
    x = keras.layers.Concatenate()(parts)
    x = keras.layers.Dense(16, activation="relu")(x)
    e = keras.layers.Dense(5, activation="tanh")(x)
    p = keras.layers.Dense(3, activation="softmax")(e)
    return DOSModel(structure(*parts), {"embedding": e, "probabilities": p})


@pytest.mark.parametrize("form", STRUCTURES)
def test_nested_arrays(form, from_arrays):
    structure = STRUCTURES[form]
    x = structure(A.astype("float64"), tf.constant(B), C)
    weights = trained(x, Y, batch_size=BATCH, model=nested_network(structure))
    assert_same(weights, from_arrays["x, y"])


@pytest.mark.parametrize("form", ["tuple", "dict in tuple"])
def test_nested_datasets(form, from_arrays):
    structure = STRUCTURES[form]
    dataset = slices(structure(A, B, C), Y, W).batch(BATCH)
    weights = trained(dataset, model=nested_network(structure))
    assert_same(weights, from_arrays["x, y, w"])


@pytest.mark.parametrize("form", ["arrays", "dataset"])
def test_strings(form):
    words = np.array(["é", "", "three", "four", "five", "six", "seven"])
    number = np.arange(7)
    x, y = {"word": words, "number": number}, np.array([0, 1, 1, 0, 2, 0, 1])
    if form == "arrays":
        source = InMemory(x, y, batch_size=3)
    else:
        source = InMemory(slices(x, y).batch(3))
    ids = np.array([5, 0, 0, 2])
    trained_on = list(source.batches(tf.constant(ids), tf.zeros(len(ids), tf.int64)))
    assert [place.numpy().tolist() for place, _ in trained_on] == [[0, 1, 2], [3]]
    (_, (rows, labels)), (_, (last, _)) = trained_on
    assert [w.decode() for w in rows["word"].numpy()] == ["six", "é", "é"]
    np.testing.assert_array_equal(rows["number"], ids[:3])
    np.testing.assert_array_equal(labels, y[ids[:3]])
    assert last["word"].numpy()[0] == b"three"
    batches = [batch for _, batch in source.inputs(np.array([0, 1, 2, 5]), 3)]
    assert [len(batch["word"]) for batch in batches] == [3, 1]
    assert batches[1]["word"].numpy()[0] == b"six"
    np.testing.assert_array_equal(batches[0]["number"], [0, 1, 2])


# validation_split.


@pytest.mark.parametrize(
    ("form", "split", "weighted"),
    [
        ("float64", 0.1, False),
        ("float64", 0.33, True),
        ("tensors", 0.5, False),
        ("nested", 0.7, True),
    ],
)
def test_validation_split_is_that_of_keras(form, split, weighted):
    model = network
    if form in ARRAYS:
        x, y = ARRAYS[form]
    else:
        x, y = STRUCTURES["dict in tuple"](A, B, C), Y

        def model():
            return nested_network(STRUCTURES["dict in tuple"])

    arguments = {
        "batch_size": BATCH,
        "validation_split": split,
        "sample_weight": W if weighted else None,
        "verbose": 0,
    }
    plain, dos = (
        compiled(model(), learning_rate=0.0, run_eagerly=True).fit(
            x, y, callbacks=callbacks, **arguments
        )
        for callbacks in ([], [OverloadingCallback(k=0, r=1, warmup_epochs=0)])
    )
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(dos.history[name], plain.history[name], rtol=1e-5)


def test_validation_split_takes_lists_of_labels_and_weights():
    def history(y, w):
        model = compiled(network(), learning_rate=0.0, run_eagerly=True)
        callback = OverloadingCallback(k=0, warmup_epochs=0)
        return model.fit(
            X, y, sample_weight=w, validation_split=0.3, verbose=0, callbacks=[callback]
        ).history

    listed, expected = history(Y.tolist(), tuple(W.tolist())), history(Y, W)
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(listed[name], expected[name], rtol=1e-6)


def test_validation_data_overrides_validation_split_as_in_keras():
    """All samples train then."""
    arguments = {"batch_size": BATCH, "validation_data": (X, Y)}
    assert_same(
        trained(X, Y, validation_split=0.5, **arguments), trained(X, Y, **arguments)
    )


# What cannot be read: the arguments of fit, the error, and the remedy it names.


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, Y


def two_sizes(*shapes):
    def generate():
        for shape in shapes:
            yield np.zeros(shape, "float32"), np.zeros(shape[0], "int64")

    spec = (tf.TensorSpec(None), tf.TensorSpec([None], tf.int64))
    return tf.data.Dataset.from_generator(generate, output_signature=spec)


def ragged():
    return tf.RaggedTensor.from_row_lengths(tf.range(len(X) * 2.0), [1, 3] * 14)


def sparse():
    return tf.sparse.from_dense(X)


def labeled(labels):
    return lambda: {"x": X, "y": labels}


def dataset_with(**arguments):
    return lambda: {"x": slices(X, Y).batch(BATCH), **arguments}


def arrays_with(**arguments):
    return lambda: {"x": X, "y": Y, **arguments}


def dataset(make):
    return lambda: {"x": make()}


REFUSED = {
    # Streams.
    "generator": (
        dataset(generator),
        TypeError,
        r"from_generator.*x of type generator",
    ),
    "generator function": (
        dataset(lambda: generator),
        TypeError,
        r"from_generator.*x of type function",
    ),
    "iterator": (
        dataset(lambda: iter(slices(X, Y).batch(8))),
        TypeError,
        "finite, batched tf.data.Dataset",
    ),
    "PyDataset": (dataset(lambda: Sequence()), TypeError, "x of type Sequence"),
    "split generator": (
        lambda: {"x": generator(), "validation_split": 0.2},
        TypeError,
        "x of type generator",
    ),
    "split PyDataset": (
        lambda: {"x": Sequence(), "validation_split": 0.2},
        TypeError,
        "x of type Sequence",
    ),
    # Datasets that cannot be read in one pass.
    "infinite": (
        dataset(lambda: slices(X, Y).batch(8).repeat()),
        ValueError,
        r"infinite.*remove \.repeat\(\)",
    ),
    "infinite generator": (
        dataset(lambda: generated(output_signature=SIGNATURE).repeat()),
        ValueError,
        "infinite",
    ),
    "empty": (dataset(lambda: slices(X, Y).batch(8).take(0)), ValueError, "empty"),
    "filtered empty": (
        dataset(lambda: slices(X, Y).filter(lambda x, y: y > 9).batch(8)),
        ValueError,
        "empty.*0 batches",
    ),
    # Datasets that are not batched.
    "unbatched": (dataset(lambda: slices(X, Y)), ValueError, r"add \.batch"),
    "unbatched one-hot": (
        dataset(lambda: slices(X, np.eye(3)[Y])),
        ValueError,
        r"add \.batch.*\(6,\).*\(3,\)",
    ),
    "unbatched, shapes unknown": (
        dataset(
            lambda: generated(output_types=(tf.float32, tf.int64)).unbatch().repeat(1)
        ),
        ValueError,
        r"add \.batch",
    ),
    "batches do not match": (
        dataset(
            lambda: tf.data.Dataset.zip(
                tf.data.Dataset.from_generator(
                    lambda: (X[:4], X[:8]), output_signature=SIGNATURE[0]
                ),
                tf.data.Dataset.from_generator(
                    lambda: (Y[:8], Y[:4]), output_signature=SIGNATURE[1]
                ),
            )
        ),
        ValueError,
        r"as many labels.*\(4, 6\).*\(8,\)",
    ),
    # Datasets of other things than dense (x, y[, sample_weight]).
    "x alone": (
        dataset(lambda: tf.data.Dataset.from_tensor_slices(X).batch(8)),
        ValueError,
        r"dataset of \(x, y\) or \(x, y, sample_weight\)",
    ),
    "dict of x and y": (
        dataset(lambda: tf.data.Dataset.from_tensor_slices({"x": X, "y": Y}).batch(8)),
        ValueError,
        r"dataset of \(x, y\) or",
    ),
    "four parts": (
        dataset(lambda: slices(X, Y, W, W).batch(8)),
        ValueError,
        "of .x, y",
    ),
    "ragged dataset": (
        dataset(lambda: slices(ragged(), Y).batch(8)),
        TypeError,
        r"dense.*\.to_tensor\(\)",
    ),
    "sparse dataset": (
        dataset(lambda: slices(sparse(), Y).batch(8)),
        TypeError,
        r"dense.*tf\.sparse\.to_dense",
    ),
    "None in dataset": (
        dataset(lambda: slices(X, Y).batch(8).map(lambda x, y: (x, y, None))),
        TypeError,
        "leave out a part that is None",
    ),
    "dict of labels in dataset": (
        dataset(lambda: slices(X, {"probabilities": Y}).batch(8)),
        TypeError,
        "labels and sample weights one tensor each",
    ),
    "tuple of weights in dataset": (
        dataset(lambda: slices(X, Y, (W, W)).batch(8)),
        TypeError,
        "labels and sample weights one tensor each",
    ),
    "two image sizes": (
        dataset(lambda: two_sizes((4, 8, 8, 1), (4, 9, 9, 1))),
        ValueError,
        "one shape; resize or pad",
    ),
    "two ranks": (
        dataset(lambda: two_sizes((4, 8, 8, 1), (4, 8, 8))),
        ValueError,
        "one shape; resize or pad",
    ),
    # What goes with arrays only.
    "dataset and y": (dataset_with(y=Y), ValueError, "^`y` must be left out.*ndarray"),
    "dataset and sample_weight": (
        dataset_with(sample_weight=W),
        ValueError,
        "^`sample_weight` must be left out.*ndarray",
    ),
    "dataset and batch_size": (
        dataset_with(batch_size=8),
        ValueError,
        "^`batch_size` must be left out.*batch_size=8",
    ),
    "dataset and validation_split": (
        dataset_with(validation_split=0.2),
        ValueError,
        "^`validation_split` works with arrays.*`validation_data`.*0.2",
    ),
    "dataset and steps_per_epoch": (
        dataset_with(steps_per_epoch=2),
        ValueError,
        "^`steps_per_epoch` must be left out.*steps_per_epoch=2",
    ),
    "arrays and steps_per_epoch": (
        arrays_with(steps_per_epoch=1),
        ValueError,
        "^`steps_per_epoch` must be left out.*steps_per_epoch=1",
    ),
    # Arrays.
    "nothing": (dict, ValueError, "^`y` is missing"),
    "no x": (lambda: {"y": Y}, TypeError, "^`x` must be an array.*NoneType"),
    "no y": (lambda: {"x": X}, ValueError, "^`y` is missing"),
    "no y to split": (
        lambda: {"x": X, "validation_split": 0.2},
        ValueError,
        "^`y` is missing",
    ),
    "ragged": (lambda: {"x": ragged(), "y": Y}, TypeError, r"^`x`.*\.to_tensor\(\)"),
    "sparse": (lambda: {"x": sparse(), "y": Y}, TypeError, r"^`x`.*sparse\.to_dense"),
    "sparse in dict": (
        lambda: {"x": {"a": sparse()}, "y": Y},
        TypeError,
        r"^`x`.*sparse\.to_dense.*SparseTensor",
    ),
    "SciPy": (
        lambda: {"x": scipy.sparse.csr_array(X), "y": Y},
        TypeError,
        r"^`x` must be dense.*\.toarray\(\).*csr_array",
    ),
    "SciPy to split": (
        lambda: {"x": scipy.sparse.csr_matrix(X), "y": Y, "validation_split": 0.2},
        TypeError,
        r"^`x` must be dense.*\.toarray\(\).*csr_matrix",
    ),
    "SciPy labels": (
        labeled(scipy.sparse.csr_array(np.eye(3)[Y])),
        TypeError,
        r"^`y` must be dense.*\.toarray\(\)",
    ),
    "list of lists": (
        lambda: {"x": X.tolist(), "y": Y},
        TypeError,
        "samples on the first axis.*np.asarray",
    ),
    "scalar": (lambda: {"x": 1.0, "y": Y}, TypeError, "samples on the first axis"),
    "objects": (
        lambda: {"x": np.array([X[0], X[1, :3]], object), "y": [0, 1]},
        TypeError,
        "^`x` must be an array of numbers or strings",
    ),
    "too few labels": (lambda: {"x": X, "y": Y[:-1]}, ValueError, r"same.*\[27, 28\]"),
    "too few labels to split": (
        lambda: {"x": X, "y": Y[:-1], "validation_split": 0.2},
        ValueError,
        r"same.*\[27, 28\]",
    ),
    "too few in a part": (
        lambda: {"x": {"a": X, "b": X[:9]}, "y": Y},
        ValueError,
        r"same number of samples.*\[9, 28\]",
    ),
    "no samples": (lambda: {"x": X[:0], "y": Y[:0]}, ValueError, "at least one label"),
    "batch_size 0": (arrays_with(batch_size=0), ValueError, "at least 1.*batch_size=0"),
    "batch_size -1": (arrays_with(batch_size=-1), ValueError, "batch_size=-1"),
    "batch_size 8.0": (arrays_with(batch_size=8.0), TypeError, "batch_size=8.0"),
    "batch_size True": (arrays_with(batch_size=True), TypeError, "batch_size=True"),
    # Weights.
    "columns of weights": (
        arrays_with(sample_weight=np.stack([W, W], axis=1)),
        ValueError,
        r"^`sample_weight` must have one number per sample.*\(28, 2\)",
    ),
    "columns of weights in dataset": (
        dataset(lambda: slices(X, Y, np.stack([W, W], axis=1)).batch(8)),
        ValueError,
        r"^`sample_weight` must have one number per sample.*\(28, 2\)",
    ),
    "words as weights": (
        arrays_with(sample_weight=["a"] * 28),
        ValueError,
        "^`sample_weight`.*dtype string",
    ),
    "dict of weights": (
        arrays_with(sample_weight={"probabilities": W}),
        TypeError,
        r"^`sample_weight` must be an array.*Received: a dict of \['probabilities'\]",
    ),
    "one weight": (arrays_with(sample_weight=2.0), TypeError, "first axis"),
    "too few weights": (
        arrays_with(sample_weight=W[1:]),
        ValueError,
        r"same number of samples.*\[27, 28\]",
    ),
    "too few weights to split": (
        arrays_with(sample_weight=W[1:], validation_split=0.2),
        ValueError,
        r"same number of samples.*\[27, 28\]",
    ),
    # Labels.
    "soft": (labeled(np.full((28, 3), 1 / 3)), ValueError, "one-hot.*label_smoothing"),
    "two-hot": (labeled(np.eye(3)[Y] + np.eye(3)[0]), ValueError, "one-hot"),
    "fractions": (labeled(Y + 0.5), ValueError, "whole numbers"),
    "NaN": (labeled(np.where(Y > 1, np.nan, Y)), ValueError, "whole numbers.*nan"),
    "negative": (labeled(Y - 1), ValueError, "from 0.*Received: -1"),
    "beyond the head": (labeled(Y + 1), ValueError, "n_classes=3.*Received: 3"),
    "one-hot beyond the head": (
        labeled(np.eye(4)[Y]),
        ValueError,
        r"n_classes=3 columns.*\(28, 4\)",
    ),
    "names": (labeled(np.array(["a", "b", "c"])[Y]), TypeError, "numpy.unique"),
    "three axes": (labeled(Y[:, None, None]), ValueError, r"\(28, 1, 1\)"),
    "dict of labels": (
        labeled({"probabilities": Y}),
        TypeError,
        "^`y` must be an array",
    ),
    "sorted labels to split": (
        lambda: {"x": X, "y": np.sort(Y), "validation_split": 0.2},
        ValueError,
        r"holds out the end.*classes \[2\].*shuffle.*validation_split=0.2",
    ),
    "names in dataset": (
        dataset(lambda: slices(X, np.array(["a", "b", "c"])[Y]).batch(8)),
        TypeError,
        "^`y` must have labels that fit the classes.*numpy.unique",
    ),
    "beyond the head in dataset": (
        dataset(lambda: slices(X, Y + 1).batch(8)),
        ValueError,
        "^`y` must have labels that fit the classes.*Received: 3",
    ),
}
for fraction in (1.0, -0.1, 1.5, 0.999, float("nan")):
    REFUSED[f"validation_split={fraction}"] = (
        arrays_with(validation_split=fraction),
        ValueError,
        f"leave samples for training.*validation_split={fraction} for 28 samples",
    )
for fraction in ("0.2", True):
    REFUSED[f"validation_split={fraction!r}"] = (
        arrays_with(validation_split=fraction),
        TypeError,
        f"^`validation_split` must be a number.*{fraction!r}",
    )


@pytest.fixture(scope="module")
def untrained():
    return compiled(network())


def assert_refused(model, arguments, error, message):
    callback = OverloadingCallback(k=3, warmup_epochs=0, embeddings="pass")
    with pytest.raises(error, match=f"(?s){message}") as caught:
        model.fit(verbose=0, callbacks=[callback], **arguments)
    assert "Received: " in str(caught.value)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_a_remedy(case, untrained):
    arguments, error, message = REFUSED[case]
    assert_refused(untrained, arguments(), error, message)


def test_an_unbatched_dataset_is_refused_before_it_is_read(untrained):
    def generate():
        raise AssertionError("It was read.")
        yield

    spec = (tf.TensorSpec([6]), tf.TensorSpec([], tf.int64))
    unbatched = tf.data.Dataset.from_generator(generate, output_signature=spec)
    assert_refused(untrained, {"x": unbatched}, ValueError, r"add \.batch")


def test_distributed_datasets_are_refused(untrained):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    distributed = strategy.experimental_distribute_dataset(slices(X, Y).batch(8))
    message = "x of type DistributedDataset"
    assert_refused(untrained, {"x": distributed}, TypeError, message)


def test_the_same_data_are_taken_without_the_callback():
    """The refusals belong to Deep Over-sampling, not to DOSModel."""
    model = compiled(network())
    infinite = slices(X, Y).batch(8).repeat()
    history = model.fit(infinite, steps_per_epoch=3, verbose=0, shuffle=False).history
    assert history["loss"][0] > 0
    assert model.fit(Sequence(), verbose=0).history["loss"][0] > 0
