"""Tests of keras_dos.labels."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_dos
from keras_dos import make_imbalanced
from keras_dos.labels import (
    are_one_hot,
    class_counts,
    class_prior,
    minority_classes,
    sparse_labels,
)

SEEDS = range(5)


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
