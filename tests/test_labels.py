"""Tests of keras_dos.labels."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_dos
from keras_dos import classwise_report, make_imbalanced, select
from keras_dos.labels import (
    are_one_hot,
    class_counts,
    class_prior,
    minority_classes,
    sparse_labels,
)

SEEDS = range(5)
P = [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1, 2],
        np.array([2, 0, 1, 2], dtype="uint8"),
        np.array([[2], [0], [1], [2]]),
        np.array([2.0, 0.0, 1.0, 2.0], dtype="float32"),
        np.eye(3)[[2, 0, 1, 2]],
        np.eye(3, dtype=bool)[[2, 0, 1, 2]],
        tf.constant([2, 0, 1, 2]),
    ],
)
def test_all_forms_of_labels_become_sparse(labels):
    for n_classes in (None, 3):
        sparse = sparse_labels(labels, n_classes)
        assert sparse.dtype == np.int64
        assert sparse.tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], r"at least one label\. Received: shape=\(0,\)"),
        (np.empty((0, 3)), r"at least one label\. Received: shape=\(0, 3\)"),
        (3, r"Received: shape=\(\)"),
        (np.zeros((2, 2, 2)), r"Received: shape=\(2, 2, 2\)"),
        ([0, -1], r"Drop samples without a label first.*Received: -1\."),
        ([0, 0.5], r"whole numbers.*label smoothing belongs in the loss.*: 0\.5"),
        ([0, np.nan], r"whole numbers.*Received: nan"),
        ([0, np.inf], r"whole numbers.*Received: inf"),
        ([0, 1e30], r"whole numbers.*Received: 1e\+30"),
        (np.array([2**63], "uint64"), r"whole numbers.*Received: 9223372036854775808"),
        ([[0.9, 0.1], [0, 1]], "one-hot.*Label smoothing belongs in the loss"),
        ([[1, 1], [0, 1]], "one-hot.*exactly one class"),
        ([[0, 0], [0, 1]], "one-hot.*exactly one class"),
        ([[2, -1], [0, 1]], "one-hot"),
        ([[np.nan, 1], [0, 1]], "one-hot"),
    ],
)
def test_wrong_labels_raise(labels, message):
    with pytest.raises(ValueError, match=message):
        sparse_labels(labels)
    with pytest.raises(ValueError, match=message):
        class_counts(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog"], r"`labels`.*Map names to indices.*Received: dtype=<U3"),
        ([None, 1], "Received: dtype=object"),
    ],
)
def test_labels_that_are_not_numbers_raise(labels, message):
    for read in (sparse_labels, class_counts):
        with pytest.raises(TypeError, match=message):
            read(labels)


@pytest.mark.parametrize(
    ("labels", "n_classes", "error", "message"),
    [
        ([0, 3], 3, ValueError, r"smaller than n_classes=3\..*Received: 3\."),
        (np.eye(3), 4, ValueError, r"n_classes=4 columns.*Received: shape=\(3, 3\)"),
        (np.eye(3), 2, ValueError, r"n_classes=2 columns"),
        ([0], 0, ValueError, r"at least 1\b.*Received: n_classes=0"),
        ([0], 2.0, TypeError, r"Received: n_classes=2\.0"),
        ([0], True, TypeError, r"Received: n_classes=True"),
    ],
)
def test_labels_that_do_not_fit_n_classes_raise(labels, n_classes, error, message):
    for read in (sparse_labels, class_counts):
        with pytest.raises(error, match=message):
            read(labels, n_classes)


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_equal_a_plain_loop(seed):
    labels = np.random.default_rng(seed).integers(6, size=50)
    counts = class_counts(labels, 8)
    assert counts.dtype == np.int64
    assert counts.tolist() == [sum(1 for v in labels if v == c) for c in range(8)]


def test_number_of_classes_is_that_of_the_largest_index_or_of_the_columns():
    assert class_counts([0, 3]).tolist() == [1, 0, 0, 1]
    assert class_counts(np.eye(5)[[0, 3]]).tolist() == [1, 0, 0, 1, 0]
    assert class_counts([[0], [3]]).tolist() == [1, 0, 0, 1]


# Minority classes


@pytest.mark.parametrize(
    ("counts", "minority"),
    [
        ([100, 49, 50, 0, 1], (1, 4)),
        ([5, 5, 5], ()),
        ([7, 3, 4], (1,)),
        (np.array([7, 3], dtype="uint8"), (1,)),
        ([0, 0], ()),
    ],
)
def test_minority_classes_have_fewer_than_half_of_the_largest(counts, minority):
    assert minority_classes(counts) == minority


@pytest.mark.parametrize("counts", [[], [[1, 2]], [1, -1], [1.0, 2.0], 3])
def test_wrong_counts_raise(counts):
    for read in (minority_classes, class_prior):
        with pytest.raises(ValueError, match="`counts` must be an integer per class"):
            read(counts)


def test_identifiers_are_not_class_indices():
    assert len(class_counts([0, 9_999_999])) == 10_000_000
    for labels in ([0, 10_000_000], np.array([0, 2**62])):
        with pytest.raises(ValueError, match=rf"identifiers.*a label {labels[1]}\.$"):
            class_counts(labels)


@pytest.mark.parametrize("read", [class_counts, sparse_labels, make_imbalanced])
def test_rows_of_different_lengths_are_no_labels(read):
    with pytest.raises(ValueError, match=r"^`labels` must be an array.*Received: "):
        read([[0, 1], [1]])


# The prior


@pytest.mark.parametrize("seed", SEEDS)
def test_prior_is_the_frequency_of_each_class(seed):
    counts = np.random.default_rng(seed).integers(1, 1000, size=7)
    prior = class_prior(counts)
    assert prior.dtype == np.float32
    expected = [np.float32(int(c) / int(counts.sum())) for c in counts]
    assert prior.tolist() == [float(p) for p in expected]


def test_class_without_samples_has_the_prior_of_the_largest():
    assert class_prior([0, 3, 1, 0]).tolist() == [0.75, 0.75, 0.25, 0.75]


@pytest.mark.parametrize(
    ("rows", "one_hot"),
    [(np.eye(3), True), ([[1, 1]], False), ([[0, 0]], False), ([[2, -1]], False)],
)
def test_rows_with_a_single_1_are_one_hot(rows, one_hot):
    assert are_one_hot(np.array(rows)) is one_hot


# Its place in the package


def imports(path):
    """The modules that a file imports, `from a import b` as "a" and "a.b"."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_labels_need_only_numpy_and_the_checks():
    package = Path(keras_dos.__file__).parent
    own = {m for m in imports(package / "labels.py") if m.startswith("keras_dos.")}
    assert own == {"keras_dos._checks"}
    others = {m.split(".")[0] for m in imports(package / "labels.py")} - {"keras_dos"}
    assert others - set(sys.stdlib_module_names) == {"numpy"}


def test_nothing_in_the_package_imports_the_datasets():
    package = Path(keras_dos.__file__).parent
    importing = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(m.startswith("keras_dos.datasets") for m in imports(path))
    }
    outside = {path for path in importing if not path.startswith("datasets")}
    assert outside == {"__init__.py"}


class Table:
    """Rows with numbered or named columns, as `get_dummies` of pandas returns them."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype)


@pytest.mark.parametrize(
    "read",
    [sparse_labels, class_counts, make_imbalanced, lambda y: classwise_report(y, P)],
)
@pytest.mark.parametrize(
    "columns",
    [[0, 2], [1, 0], np.array([1, 2]), [0.0, 2.0], [0.0, np.nan], ["0", "2"]],
    ids=str,
)
def test_columns_that_are_not_the_classes_are_refused(read, columns):
    message = r"labels` must have a column for each class.* with the columns \["
    with pytest.raises(ValueError, match=message):
        read(Table(np.eye(2), columns))


def test_probabilities_are_in_the_order_of_the_classes():
    with pytest.raises(ValueError, match=r"^`probabilities` must have a column for"):
        classwise_report([0, 1], Table(P, [1, 0]))


@pytest.mark.parametrize(
    "columns", [[0, 1], [0.0, 1.0], ["0", "1"], ["no", "yes"], ["y_3", "2"]], ids=str
)
def test_columns_in_order_or_with_names_are_read(columns):
    assert class_counts(Table(np.eye(2), columns)).tolist() == [1, 1]
    report = classwise_report([0, 1], Table(P, columns))
    assert report.recall.tolist() == [1, 1]


def test_the_column_of_labels_may_have_any_number():
    assert class_counts(Table([[0], [2]], [7])).tolist() == [1, 0, 1]


MASKED = np.ma.array([0, 1, 1], mask=[False, False, True])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("labels", class_counts),
        ("labels", make_imbalanced),
        ("labels", lambda y: classwise_report(y, [[0.9, 0.1]] * 3)),
        ("probabilities", lambda y: classwise_report([0] * 3, np.ma.stack([y, 1 - y]))),
        ("indices", lambda y: select(np.arange(3), y[:2] + 1)),
        ("data", lambda y: select((np.arange(3), y), [0])),
        ("counts", minority_classes),
    ],
)
def test_masked_values_are_refused(name, read):
    masked = MASKED if name != "indices" else np.ma.array([0, 1], mask=[0, 1])
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: "):
        read(masked)


def test_a_masked_array_without_masked_values_is_an_array():
    assert class_counts(np.ma.array([0, 1, 1])).tolist() == [1, 2]
    assert minority_classes(np.ma.array([9, 1])) == (1,)


def test_the_prior_of_huge_counts_is_no_other():
    assert class_prior([2**62] * 4).tolist() == [0.25] * 4


class OnADevice:
    """Values that NumPy cannot read, as of a tensor of another library on a GPU."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no values on this side")


def test_values_that_cannot_be_read_are_refused_by_name():
    message = r"`labels` must be an array.*Received: OnADevice.*no values on this side"
    with pytest.raises(TypeError, match=message):
        class_counts(OnADevice())
    with pytest.raises(TypeError, match=r"^`probabilities` must be an array"):
        classwise_report([0, 1], OnADevice())


def test_labels_of_a_graph_are_refused_by_name():
    @tf.function
    def count(labels):
        return class_counts(labels)

    with pytest.raises(TypeError, match=r"`labels` must be an array.* SymbolicTensor"):
        count(tf.constant([0, 1]))
