"""k, r and the minority classes: what the user asks for is what each class gets."""

import re
from types import MappingProxyType

import numpy as np
import pytest
from toy import compiled, identity_network

from keras_dos import MicroClusterObjective, OverloadingCallback
from keras_dos.labels import class_prior
from keras_dos.parameters import resolve_class_parameters
from keras_dos.slots import fill_slots

NAN, INF = float("nan"), float("inf")


def resolve(counts, k=5, r="balance", minority=None, k_majority=None):
    return resolve_class_parameters(
        np.array(counts), k=k, r=r, minority=minority, k_majority=k_majority
    )


def data(counts, d=6):
    """Samples that differ, with these class counts, shuffled."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return rng.normal(size=(len(y), d)).astype("float32"), y


def train(counts, **arguments):
    x, y = data(counts)
    model = compiled(identity_network(n=len(counts)), run_eagerly=True)
    callback = OverloadingCallback(warmup_epochs=0, embeddings="pass", **arguments)
    return model.fit(x, y, batch_size=64, verbose=0, callbacks=[callback]).history


@pytest.fixture
def trained():
    """Train, and return the neighbors and the quadruplets that each class got."""
    steps = []

    def spy(embedding, neighbors, weights):
        steps.append((np.asarray(embedding), np.asarray(weights)))
        return fill_slots(embedding, neighbors, weights)

    def run(counts, **arguments):
        x, y = data(counts)
        class_of = {tuple(row): j for row, j in zip(x, y, strict=True)}
        train(counts, loss_form=MicroClusterObjective(slots=spy), **arguments)
        neighbors, sizes = [set() for _ in counts], [0 for _ in counts]
        for rows, weights in steps:
            for row, w in zip(rows, weights, strict=True):
                neighbors[class_of[tuple(row)]].add(np.count_nonzero(w[1:]))
                sizes[class_of[tuple(row)]] += 1
        return neighbors, sizes

    return run


COUNTS = (40, 30, 8)


# The forms that the arguments may have.

PER_CLASS = {
    "list": lambda values: list(values),
    "tuple": lambda values: tuple(values),
    "numpy": lambda values: np.array(values),
    "numpy scalars": lambda values: list(np.array(values)),
    "mapping": lambda values: dict(enumerate(values)),
    "numpy keys": lambda values: {np.int32(j): v for j, v in enumerate(values)},
    "any mapping": lambda values: MappingProxyType(dict(enumerate(values))),
}


@pytest.mark.parametrize("form", PER_CLASS)
def test_k_and_r_per_class_have_many_forms(form):
    k, r = (0, 3, 7), (1.0, 0.5, 4.25)
    parameters = resolve(COUNTS, k=PER_CLASS[form](k), r=PER_CLASS[form](r))
    assert parameters.k.tolist() == list(k)
    assert parameters.sizes.tolist() == [40, 15, 34]
    assert parameters.k.dtype == parameters.sizes.dtype == np.int64


@pytest.mark.parametrize("form", PER_CLASS)
def test_fit_takes_these_forms(trained, form):
    k, r = (0, 3, 12), (1.0, 0.5, 4.25)
    arguments = {"k": PER_CLASS[form](k), "r": PER_CLASS[form](r)}
    neighbors, sizes = trained(COUNTS, **arguments)
    assert neighbors == [{0}, {3}, {7}]  # A class of 8 has 7 neighbors, not 12.
    assert sizes == [40, 15, 34]


def test_classes_that_a_mapping_leaves_out_have_k_0_and_r_1():
    parameters = resolve(COUNTS, k={2: 3}, r={np.int64(1): 2})
    assert parameters.k.tolist() == [0, 0, 3]
    assert parameters.sizes.tolist() == [40, 60, 8]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64"])
def test_small_integers_do_not_overflow(dtype):
    values = np.array([100, 100, 100], dtype)
    parameters = resolve((400, 300, 8), k=values, r=values)
    assert parameters.k.tolist() == [100, 100, 100]
    assert parameters.sizes.tolist() == [40000, 30000, 800]


# k.


@pytest.mark.parametrize("counts", [(40, 30, 8), (9, 9), (100, 0, 3, 49, 50)])
@pytest.mark.parametrize("minority", [None, [1]])
@pytest.mark.parametrize("k_majority", [None, 0, 2, np.int64(4)])
@pytest.mark.parametrize("k", [0, 4, np.int8(4)])
def test_one_k(counts, minority, k_majority, k):
    if minority is None:
        minority = [j for j, n in enumerate(counts) if 0 < n < max(counts) / 2]
    elif not counts[1]:
        minority = [2]
    expected = []
    for j in range(len(counts)):
        majority = k_majority is not None and j not in minority
        expected.append(k_majority if majority else k)
    overloads_nobody = any(
        v > 0 and n == 0 for v, n in zip(expected, counts, strict=True)
    )
    has_no_effect = not minority and k_majority not in (None, k)
    if overloads_nobody or has_no_effect:
        with pytest.raises(ValueError, match=r"^`k` "):
            resolve(counts, k=k, k_majority=k_majority, minority=minority)
        return
    parameters = resolve(counts, k=k, k_majority=k_majority, minority=minority)
    assert parameters.k.tolist() == expected
    assert parameters.minority == tuple(minority)


def test_fit_uses_k_majority(trained):
    neighbors, sizes = trained(COUNTS, k=5, k_majority=1)
    assert neighbors == [{1}, {1}, {5}]
    assert sizes == [40, 40, 24]


def test_fit_uses_the_given_minority(trained):
    neighbors, sizes = trained(COUNTS, k=5, k_majority=0, r=2, minority=[1])
    assert neighbors == [{0}, {5}, {0}]
    assert sizes == [40, 60, 8]


def test_k_beyond_the_class_uses_the_neighbors_there_are(trained):
    counts = (12, 5, 1)
    assert resolve(counts, k=50).k_max == 11
    assert resolve(counts, k=[0, 50, 50]).k_max == 4
    assert resolve(counts, k=[0, 0, 50]).k_max == 0
    neighbors, _ = trained(counts, k=50)
    assert neighbors == [{11}, {4}, {0}]


# r.


@pytest.mark.parametrize("seed", range(5))
def test_balance_gives_every_class_the_size_of_the_largest(seed):
    """Equation (11): r = 1/R of the class, R its size over that of the largest."""
    counts = np.random.default_rng(seed).integers(0, 7000, 30)
    parameters = resolve(counts, k={int(counts.argmax()): 5})
    for n, size in zip(counts, parameters.sizes, strict=True):
        assert size == (max(counts) if n else 0)


@pytest.mark.parametrize("r", [1, 3, 2.5, 0.5, 0.01, np.float32(2.5), np.int64(3)])
@pytest.mark.parametrize("minority", [None, [1], (2, 1), np.array([0, 1]), range(2)])
def test_one_r_is_that_of_the_minority(r, minority):
    parameters = resolve(COUNTS, r=r, minority=minority)
    chosen = [2] if minority is None else sorted(minority)
    assert parameters.minority == tuple(chosen)
    for j, n in enumerate(COUNTS):
        expected = max(round(float(r) * n), 1) if j in chosen else n
        assert parameters.sizes[j] == expected
    assert parameters.n_quadruplets == sum(parameters.sizes)


@pytest.mark.parametrize("seed", range(5))
def test_sizes_are_rounded_products(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 500, 20)
    rates = rng.uniform(0.001, 4, 20)
    parameters = resolve(counts, r=rates)
    for n, rate, size in zip(counts, rates, parameters.sizes, strict=True):
        assert size == max(round(rate * n), 1)  # No class vanishes.


def test_fit_uses_a_fraction(trained):
    _, sizes = trained(COUNTS, r=np.float32(0.5), minority=[0, 2])
    assert sizes == [20, 30, 4]


# What follows from them.


@pytest.mark.parametrize(
    "counts", [(40, 30, 8), (10, 10), (7, 0, 1, 3), (1, 1), (100, 49, 50, 51)]
)
def test_minority_found_and_groups(counts):
    parameters = resolve(counts, k=0)
    minority, majority = [], []
    for j, n in enumerate(counts):
        if n > 0:
            (minority if n < max(counts) / 2 else majority).append(j)
    assert parameters.minority == tuple(minority)
    assert parameters.group("minority") == tuple(minority)
    assert parameters.group("majority") == tuple(majority)


def test_the_prior_is_that_of_the_over_sampled_set():
    prior = class_prior(resolve((40, 0, 8), k=0, r=2.5).sizes)
    np.testing.assert_allclose(prior, [40 / 60, 40 / 60, 20 / 60], rtol=1e-6)
    assert prior.dtype == np.float32


@pytest.mark.parametrize("counts", [(90, 60, 31, 29, 3), (10, 10), (7, 0, 1)])
def test_moderate_r_balances_up_to_three_times(counts):
    sizes = resolve(counts, k=0, r="moderate").sizes
    expected = [min(max(counts), 3 * n) for n in counts]
    assert sizes.tolist() == expected


def test_a_class_without_samples_is_left_out(trained):
    counts = (20, 0, 6)
    neighbors, sizes = trained(counts, k={0: 2, 2: 3}, r="balance")
    assert neighbors == [{2}, set(), {3}]
    assert sizes == [20, 0, 20]
    parameters = resolve(counts, k=[2, 0, 3], r=[2, 1, 0.5])
    assert parameters.k.tolist() == [2, 0, 3]
    assert parameters.sizes.tolist() == [40, 0, 3]
    assert resolve(counts, k=4, k_majority=0).k.tolist() == [0, 0, 4]


# What cannot be meant: the arguments, the error, and what it received. The first list
# is refused when the callback is made, the second when it meets the data.

EARLY = [
    ({"k": -1}, ValueError, "k", "k=-1"),
    ({"k": [5, -1, 5]}, ValueError, "k", "k=[5, -1, 5]"),
    ({"k": {0: -2}}, ValueError, "k", "k={0: -2}"),
    ({"k": True}, TypeError, "k", "k=True"),
    ({"k": np.True_}, TypeError, "k", "k=np.True_"),
    ({"k": [5, False, 5]}, TypeError, "k", "k=[5, False, 5]"),
    ({"k": 5.0}, TypeError, "k", "k=5.0"),
    ({"k": np.float32(5)}, TypeError, "k", "k=np.float32(5.0)"),
    ({"k": np.array([5.0, 5.0, 5.0])}, TypeError, "k", "k=array([5., 5., 5.])"),
    ({"k": {0: 2.5}}, TypeError, "k", "k={0: 2.5}"),
    ({"k": "5"}, TypeError, "k", "k='5'"),
    ({"k": b"555"}, TypeError, "k", "k=b'555'"),
    ({"k": ["5", "5", "5"]}, TypeError, "k", "k=['5', '5', '5']"),
    ({"k": None}, TypeError, "k", "k=None"),
    ({"k": {3, 4, 5}}, TypeError, "k", "k={3, 4, 5}"),
    ({"k": np.array(5)}, TypeError, "k", "k=array(5)"),
    ({"k": [[5, 5, 5]]}, TypeError, "k", "k=[[5, 5, 5]]"),
    ({"k": np.ones((3, 1), int)}, TypeError, "k", "k=array([[1],"),
    ({"k": []}, ValueError, "k", "k=[]"),
    ({"k": {}}, ValueError, "k", "k={}"),
    ({"k": np.array([], int)}, ValueError, "k", "k=array([], dtype=int64)"),
    ({"k_majority": -1}, ValueError, "k_majority", "k_majority=-1"),
    ({"k_majority": True}, TypeError, "k_majority", "k_majority=True"),
    ({"k_majority": 0.0}, TypeError, "k_majority", "k_majority=0.0"),
    ({"k_majority": "0"}, TypeError, "k_majority", "k_majority='0'"),
    ({"k_majority": [0, 0, 0]}, TypeError, "k_majority", "k_majority=[0, 0, 0]"),
    (
        {"k": [5, 5, 5], "k_majority": 0},
        ValueError,
        "k_majority",
        "k=[5, 5, 5], k_majority=0",
    ),
    ({"k": {2: 5}, "k_majority": 0}, ValueError, "k_majority", "k_majority=0"),
    ({"r": 0}, ValueError, "r", "r=0"),
    ({"r": -2}, ValueError, "r", "r=-2"),
    ({"r": NAN}, ValueError, "r", "r=nan"),
    ({"r": INF}, ValueError, "r", "r=inf"),
    ({"r": np.float32("nan")}, ValueError, "r", "r=np.float32(nan)"),
    ({"r": [1, 1, NAN]}, ValueError, "r", "r=[1, 1, nan]"),
    ({"r": np.array([1.0, 1.0, 0.0])}, ValueError, "r", "r=array([1., 1., 0.])"),
    ({"r": {2: -1.0}}, ValueError, "r", "r={2: -1.0}"),
    ({"r": "x"}, TypeError, "r", "r='x'"),
    ({"r": "Balance"}, TypeError, "r", "r='Balance'"),
    ({"r": None}, TypeError, "r", "r=None"),
    ({"r": True}, TypeError, "r", "r=True"),
    ({"r": [1, 1, "2"]}, TypeError, "r", "r=[1, 1, '2']"),
    ({"r": {2: "balance"}}, TypeError, "r", "r={2: 'balance'}"),
    ({"r": 2j}, TypeError, "r", "r=2j"),
    ({"r": np.complex64(2)}, TypeError, "r", "r=np.complex64(2+0j)"),
    ({"r": np.array(2.0)}, TypeError, "r", "r=array(2.)"),
    ({"r": [[1, 1, 2]]}, TypeError, "r", "r=[[1, 1, 2]]"),
    ({"r": []}, ValueError, "r", "r=[]"),
    ({"r": 1e300}, ValueError, "r", "r=1e+300"),
    ({"r": {2: 1e12}}, ValueError, "r", "r={2: 1000000000000.0}"),
    ({"r": [1, 1, 10**400]}, ValueError, "r", "000"),
    ({"k": 2**70}, ValueError, "k", f"k={2**70}"),
    ({"k": {2: 2**70}}, ValueError, "k", f"k={{2: {2**70}}}"),
    ({"k": 5, "k_majority": 2**70}, ValueError, "k_majority", f"majority={2**70}"),
    ({"r": {}}, ValueError, "r", "r={}"),
]

LATE = [
    ({"r": 1e9}, ValueError, "r", "r=1000000000.0, which makes 8e+09 of 78 samples."),
    ({"k": [5, 5]}, ValueError, "k", "2 values, k=[5, 5]"),
    ({"k": np.array([5, 5, 5, 5])}, ValueError, "k", "4 values"),
    ({"k": {3: 5}}, ValueError, "k", "class 3"),
    ({"k": {-1: 5}}, ValueError, "k", "class -1"),
    ({"k": {"2": 5}}, ValueError, "k", "class '2'"),
    ({"k": {2.0: 5}}, ValueError, "k", "class 2.0"),
    ({"k": {True: 5}}, ValueError, "k", "class True"),
    ({"r": [2.0]}, ValueError, "r", "1 values, r=[2.0]"),
    ({"r": (1, 2, 3, 4)}, ValueError, "r", "4 values"),
    ({"r": {np.int64(3): 2}}, ValueError, "r", "class np.int64(3)"),
    ({"r": {"2": 2}}, ValueError, "r", "class '2'"),
    ({"minority": [3]}, ValueError, "minority", "class 3"),
    ({"minority": [-1]}, ValueError, "minority", "class -1"),
    ({"minority": np.array([2.0])}, ValueError, "minority", "class np.float64(2.0)"),
    ({"minority": [True]}, ValueError, "minority", "class True"),
    ({"minority": ["2"]}, ValueError, "minority", "class '2'"),
    ({"minority": [1, 2, 2]}, ValueError, "minority", "minority=[1, 2, 2]"),
    ({"minority": [1, 2, 0]}, ValueError, "minority", "minority=[1, 2, 0]"),
    ({"minority": 2}, TypeError, "minority", "minority=2"),
    ({"minority": np.int64(2)}, TypeError, "minority", "minority=np.int64(2)"),
    ({"minority": np.array(2)}, TypeError, "minority", "minority=array(2)"),
    ({"minority": np.array([[2]])}, TypeError, "minority", "minority=array([[2]])"),
    ({"minority": "2"}, TypeError, "minority", "minority='2'"),
    ({"minority": {2: 5}}, TypeError, "minority", "minority={2: 5}"),
    ({"minority": iter([2])}, TypeError, "minority", "minority=<list_iterator"),
    ({"minority": [], "r": 3}, ValueError, "r", "r=3, class counts [40, 30, 8]"),
    ({"minority": [], "k_majority": 0}, ValueError, "k", "k=5, k_majority=0"),
]


def assert_refused(function, error, name, received):
    with pytest.raises(error) as caught:
        function()
    message = str(caught.value)
    assert message.startswith(f"`{name}` ")
    text, *values = message.split("Received: ")
    assert len(text) > len(name) + 10
    assert len(values) == 1
    assert received in values[0]
    assert re.search(r"[^.]\.$", values[0])


def named(cases):
    return [
        pytest.param(*case, id=re.sub(r"\s+", " ", str(case[0])))
        if "iterator" not in case[3]
        else pytest.param(*case, id="iterator")
        for case in cases
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "name", "received"), named(EARLY + LATE)
)
def test_values_that_cannot_be_meant_are_refused(arguments, error, name, received):
    assert_refused(lambda: resolve(COUNTS, **arguments), error, name, received)


@pytest.mark.parametrize(("arguments", "error", "name", "received"), named(EARLY))
def test_the_callback_refuses_them_when_it_is_made(arguments, error, name, received):
    assert_refused(lambda: OverloadingCallback(**arguments), error, name, received)


@pytest.mark.parametrize(("arguments", "error", "name", "received"), named(LATE))
def test_fit_refuses_what_does_not_fit_the_data(arguments, error, name, received):
    assert_refused(lambda: train(COUNTS, **arguments), error, name, received)


@pytest.mark.parametrize("door", [resolve, train])
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"k": 5, "k_majority": 0}, "k"),
        ({"k": 0, "k_majority": 5}, "k"),
        ({"r": 3}, "r"),
    ],
)
def test_what_only_a_minority_could_use_is_refused_on_balanced_data(
    door, arguments, name
):
    assert_refused(
        lambda: door((20, 20, 10), **arguments),
        ValueError,
        name,
        "class counts [20, 20, 10]",
    )


def test_balanced_data_takes_arguments_that_need_no_minority():
    counts = (20, 20, 10)
    assert resolve(counts, k=5, k_majority=5, r=1).k.tolist() == [5, 5, 5]
    assert resolve(counts, r=1.0).sizes.tolist() == [20, 20, 10]
    assert resolve(counts, minority=[2], k_majority=1).k.tolist() == [1, 1, 5]
    assert resolve(counts, minority=[2], r=1.5).sizes.tolist() == [20, 20, 15]


@pytest.mark.parametrize("door", [resolve, train])
@pytest.mark.parametrize(
    ("arguments", "name", "received"),
    [
        ({"k": 5}, "k", "k=5, class counts [20, 0, 6]"),
        ({"k": 0, "k_majority": 5}, "k", "class counts [20, 0, 6]"),
        ({"k": [5, 1, 5]}, "k", "k=[5, 1, 5], class counts [20, 0, 6]"),
        ({"k": {1: 0}}, "k", "class 1"),
        ({"k": 0, "r": {1: 2.0}}, "r", "class 1"),
        ({"k": 0, "r": [1, 2, 3]}, "r", "r=[1, 2, 3], class counts [20, 0, 6]"),
        ({"k": 0, "minority": [1]}, "minority", "class 1"),
        ({"k": 0, "minority": [0, 2]}, "minority", "minority=[0, 2]"),
    ],
)
def test_a_class_without_samples_can_be_given_nothing(door, arguments, name, received):
    counts = (20, 0, 6)
    assert_refused(lambda: door(counts, **arguments), ValueError, name, received)


def test_an_error_about_many_classes_names_the_first():
    counts = np.array([50] * 5 + [0] * 1000)
    message = r"\[5, 6, .*, 14, \.\.\.\] \(1000\).*class counts \[50, .*\] \(1005\)\.$"
    with pytest.raises(ValueError, match=message) as error:
        resolve_class_parameters(counts, k=5)
    assert len(str(error.value)) < 500
