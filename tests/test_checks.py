"""Tests of keras_dos._checks."""

from fractions import Fraction

import keras
import numpy as np
import pytest

from keras_dos import _checks

NAN, INF = float("nan"), float("inf")
COUNTS = np.array([9, 0, 3, 5])


class Batches(dict):
    """A mapping that is not a plain dict, as `predict` may return."""


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.int32(3)])
def test_integers_become_int(value):
    for maximum in (None, 3):
        checked = _checks.integer("k", value, minimum=3, maximum=maximum)
        assert type(checked) is int
        assert checked == 3
    assert _checks.is_integer(value)
    assert _checks.is_number(value)


@pytest.mark.parametrize(
    "value", [3.0, np.float32(3), "3", None, True, np.True_, [3], np.array([3])]
)
def test_other_types_are_not_integers(value):
    assert not _checks.is_integer(value)
    with pytest.raises(TypeError, match=r"^`k` must be an integer\. Received: k="):
        _checks.integer("k", value, minimum=0)


@pytest.mark.parametrize(
    ("value", "maximum", "message"),
    [
        (1, None, r"^`k` must be at least 2\. Received: k=1\.$"),
        (1, 5, r"^`k` must be at least 2 and at most 5\. Received: k=1\.$"),
        (6, 5, r"^`k` must be at least 2 and at most 5\. Received: k=6\.$"),
    ],
)
def test_integers_out_of_range_raise(value, maximum, message):
    with pytest.raises(ValueError, match=message):
        _checks.integer("k", value, minimum=2, maximum=maximum)


@pytest.mark.parametrize("value", [Fraction(1, 2), "0.5", True, None, 1j])
def test_what_is_not_a_number_raises(value):
    assert not _checks.is_number(value)
    with pytest.raises(TypeError, match=r"`p` must be a number\. Received: p="):
        _checks.number("p", value)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5)])
def test_numbers_become_float(value):
    checked = _checks.number("p", value, below=1)
    assert type(checked) is float
    assert checked == 0.5
    assert _checks.is_number(value)


@pytest.mark.parametrize("value", ["0.5", None, True, np.True_, [0.5], 0.5j])
def test_other_types_are_not_numbers(value):
    assert not _checks.is_number(value)
    with pytest.raises(TypeError, match=r"^`p` must be a number\. Received: p="):
        _checks.number("p", value)


@pytest.mark.parametrize(
    ("value", "minimum", "below", "message"),
    [
        (-0.1, 0, 1, r"^`p` must be at least 0 and less than 1\. Received: p=-0\.1\.$"),
        (1, 0, 1, r"less than 1\. Received: p=1\.$"),
        (NAN, 0, 1, r"less than 1\. Received: p=nan\.$"),
        (0.5, 1, INF, r"^`p` must be at least 1 and finite\. Received: p=0\.5\.$"),
        (INF, 1, INF, r"and finite\. Received: p=inf\.$"),
        (NAN, 1, INF, r"and finite\. Received: p=nan\.$"),
    ],
)
def test_numbers_out_of_range_raise(value, minimum, below, message):
    with pytest.raises(ValueError, match=message):
        _checks.number("p", value, minimum, below)


def test_choices_are_strings():
    _checks.choice("profile", "exp", {"exp": 1, "step": 2})
    for value in ("linear", None, ["exp"], b"exp"):
        message = '^`profile` must be one of "exp", "step"\\. Received: profile='
        with pytest.raises(ValueError, match=message):
            _checks.choice("profile", value, ("exp", "step"))


@pytest.mark.parametrize("value", [0, 2, np.int64(3)])
def test_classes_with_samples_pass(value):
    checked = _checks.class_id("k", value, COUNTS)
    assert type(checked) is int
    assert checked == value


@pytest.mark.parametrize("value", [1, 4, -1, 2.0, "2", True, None])
def test_other_classes_raise(value):
    message = r"^`k` must name classes from 0 to 3 but \[1\], which have no samples\. "
    with pytest.raises(ValueError, match=f"{message}Received: class "):
        _checks.class_id("k", value, COUNTS)
    with pytest.raises(ValueError, match=message):
        _checks.class_ids("k", [0, value], COUNTS)


def test_classes_without_samples_are_named_only_if_there_are_some():
    with pytest.raises(ValueError, match=r"classes from 0 to 1\. Received: class 2\.$"):
        _checks.class_id("k", 2, np.array([4, 5]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([3, 0], (0, 3)),
        ((2,), (2,)),
        ([], ()),
        (np.array([3, 2]), (2, 3)),
        (range(2, 4), (2, 3)),
    ],
)
def test_classes_are_sorted(value, expected):
    checked = _checks.class_ids("minority", value, COUNTS)
    assert checked == expected
    assert all(type(j) is int for j in checked)


@pytest.mark.parametrize(
    ("value", "minimum", "limits"),
    [
        ([2, 2], 0, "0 to 2 different classes of 3"),
        ([0, 2, 3], 0, "0 to 2 different classes of 3"),
        ([], 1, "1 to 2 different classes of 3"),
    ],
)
def test_wrong_sets_of_classes_raise(value, minimum, limits):
    with pytest.raises(ValueError, match=rf"^`minority` must name {limits}\. Rec"):
        _checks.class_ids("minority", value, COUNTS, minimum)


@pytest.mark.parametrize(
    "value", [2, None, "23", {2, 3}, {2: 1}, [[2]], [0, [2]], iter([2])]
)
def test_other_types_are_not_sets_of_classes(value):
    with pytest.raises(TypeError, match=r"^`minority` must be a list of classes"):
        _checks.class_ids("minority", value, COUNTS)


@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("value", [[9, 0, 3], (9, 0, 3), np.array([9, 0, 3], "uint8")])
def test_counts_pass(value, n_classes):
    checked = _checks.class_counts("counts", value, n_classes)
    assert checked.tolist() == [9, 0, 3]


@pytest.mark.parametrize(
    "value",
    [[], [[1, 2]], [[1], [2, 3]], [1, -1], [1.0], [True], ["1"], 3, None, {0: 1}],
)
def test_other_counts_raise(value):
    with pytest.raises(ValueError, match=r"^`counts` must be an integer per class.*:"):
        _checks.class_counts("counts", value)


def test_counts_of_other_classes_raise():
    with pytest.raises(ValueError, match="must be 2 integers, one per class"):
        _checks.class_counts("counts", [1, 2, 3], n_classes=2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8"])
def test_probabilities_become_float64(dtype):
    checked = _checks.probabilities("p", np.array([[0, 1], [1, 0]], dtype))
    assert checked.dtype == np.float64
    assert checked.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("n", [10, 100])
def test_a_softmax_in_half_precision_passes(dtype, n):
    logits = 5.0 * np.random.default_rng(0).normal(size=(2000, n))
    p = keras.ops.softmax(keras.ops.cast(logits, dtype))
    _checks.probabilities("p", keras.ops.convert_to_numpy(p))


def test_rows_may_miss_one_by_two_hundredths():
    _checks.probabilities("p", [[0.9, 0.119]])
    with pytest.raises(ValueError, match=r"Received: 1 of 1 rows"):
        _checks.probabilities("p", [[0.9, 0.121]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Batches(embedding=1, probabilities=2), r"\['embedding', 'probabilities'\]"),
        ([["a", "b"]], "dtype <U1"),
        ([[None, 1.0]], "dtype object"),
        ([[True, False]], "dtype bool"),
        ([[0.5j, 0.5]], "dtype complex128"),
    ],
)
def test_other_types_are_not_probabilities(value, message):
    with pytest.raises(TypeError, match=f"^`p` must be .*Received: .*{message}"):
        _checks.probabilities("p", value)


@pytest.mark.parametrize("shape", [(2,), (3, 1), (0, 2), (1, 2, 2), ()])
def test_probabilities_of_wrong_shape_raise(shape):
    with pytest.raises(ValueError, match=r"^`p` must have shape \(m, n\).*: shape \("):
        _checks.probabilities("p", np.full(shape, 0.5))


@pytest.mark.parametrize(
    "row",
    [[0.4, 0.4], [1.5, -0.5], [NAN, 1], [INF, 0], [-INF, 1], [INF, -INF], [3, 5]],
)
def test_rows_that_are_not_probabilities_raise(row):
    with pytest.raises(ValueError, match=r"softmax.*Received: 1 of 3 rows.*first \["):
        _checks.probabilities("p", [[0.5, 0.5], row, [1, 0]])
