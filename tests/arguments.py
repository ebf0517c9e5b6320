"""What the public functions take: the legal values of each of their arguments.

`POOL` has values of all kinds. For each argument the table tells which of them are
legal; all others must be refused. Further values of either kind stand beside.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_dos
from keras_dos import samples, schedule, search
from keras_dos.draws import draw_weights
from keras_dos.logit_shift import LogitShift
from keras_dos.networks import c6_c16_f400_f120, c20_c50_f500_f120
from keras_dos.parameters import resolve_class_parameters
from keras_dos.search.testing import check_search
from keras_dos.settings import Settings

NAN, INF = float("nan"), float("inf")
POOL = (
    *(None, True, False, np.True_, "", "x", "1", b"x", object(), 1j),
    *(0, 1, 2, 20, -1, 2**70, 10**400, np.int8(2), np.uint64(20)),
    *(0.0, 0.5, 1.0, -0.5, NAN, INF, -INF, np.float16(0.5), np.float64(2.5)),
    *([], {}, (), [None], [NAN], [[1], [2, 3]], ["x"], {"x": 1}, [2**70]),
    *(np.array(2), np.array([]), np.array([object()]), iter([1])),
)


# Kinds: which values of the pool are legal.


def is_int(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole(minimum, maximum=2**63 - 1):
    """Integers of Python and NumPy, from `minimum` on, that an int64 holds."""
    return lambda v: is_int(v) and minimum <= int(v) <= maximum


def real(minimum, *, below=INF, above=-INF):
    """Finite numbers of Python and NumPy, at least `minimum`."""

    def legal(v):
        number = is_int(v) or isinstance(v, float | np.floating)
        if not number or (is_int(v) and int(v) > 2**1023):
            return False
        return minimum <= float(v) < below and v > above and math.isfinite(v)

    return legal


def optional(kind):
    return lambda v: v is None or kind(v)


def is_empty(v):
    """An empty list; a mapping is none."""
    if isinstance(v, np.ndarray):
        return v.shape == (0,)
    return isinstance(v, list | tuple) and not v


def flag(v):
    return isinstance(v, bool)


def nothing(v):
    """Arrays and names, of which the pool has none that fits."""
    return False


SEED = whole(0, math.inf)


@dataclasses.dataclass
class Argument:
    """How an argument may be given.

    Attributes:
        kind: Which values of the pool are legal.
        legal: Further legal values.
        illegal: Further illegal ones.
        beside: Other arguments, where it needs them.
        named: The name in errors, if it is another.
    """

    kind: Callable[[Any], bool]
    legal: tuple[Any, ...] = ()
    illegal: tuple[Any, ...] = ()
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    named: str | None = None

    def legal_values(self, pool):
        return [*filter(self.kind, pool), *self.legal]

    def illegal_values(self, pool):
        return [*(v for v in pool if not self.kind(v)), *self.illegal]


def listed(kind, *legal, illegal=(), **beside):
    return Argument(kind, legal, tuple(illegal), beside)


# What a call needs besides the argument that varies.

Y = np.repeat([0, 1, 2], [12, 8, 4])
X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
ONE_HOT = np.eye(3)[Y]
P = np.full((24, 3), 1 / 3)
RAGGED = [[1.0], [2.0, 3.0]]


def classifier():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="features"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(24, seed=0).cache()


def ordered():
    """Batches of mixed classes, the same in each pass."""
    order = np.random.default_rng(0).permutation(24)
    return tf.data.Dataset.from_tensor_slices((X[order], Y[order])).batch(8)


class Series:
    """Values with labels of their own, as `value_counts` of pandas returns them."""

    def __init__(self, *values, index=(2, 0, 1)):
        self.values, self.index = values, index

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __repr__(self):
        return f"Series({self.values}, index={self.index})"


CLASSIFIER = classifier()
ORDERED = ordered()
ORDERED_LABELS = Y[np.random.default_rng(0).permutation(24)]
REPORT = keras_dos.classwise_report(Y, P, minority=[2], class_counts=[300, 50, 5])
THRESHOLD = keras_dos.choose_threshold(Y, P)
ENGINE = search.ExactSearch()
LABELS = listed(nothing, Y, Y.tolist(), Y[:, None], ONE_HOT, Y.astype("float32"))
CLASSES = listed(
    optional(is_empty),
    *([2], (1, 2), np.array([2]), range(1, 3)),
    illegal=([3], [-1], [1, 1], [0, 1, 2], [True], [1.0], {1}, [[1]], np.array([[1]])),
)
K = listed(
    whole(0, 2**31 - 1),
    *([5, 0, 2], (5, 0, 2), np.array([5, 0, 2]), {2: 3}, {np.int64(1): np.int8(2)}),
    Series(5, 0, 2, index=range(3)),
    illegal=(
        *([5], [5, 0, -1], {3: 5}, {2: 1.0}, [5, 0, 2**70], {2: True}),
        Series(5, 0, 2),
    ),
    r=1,
)
R = listed(
    real(0, above=0, below=2**31),
    *("balance", "moderate", [1, 2.5, 3], np.array([1.0, 2, 3]), {2: 3}, 1e7),
    illegal=(
        "Balance",
        [1],
        [1, 1, 0],
        {3: 2},
        {2: NAN},
        [1, 1, INF],
        1e300,
        {2: 1e300},
        Series(1, 2.5, 3),
    ),
)
COUNTS = listed(
    nothing,
    *([30, 20, 10], (30, 0, 10), np.array([3, 2, 1], "uint8")),
    Series(30, 20, 10, index=range(3)),
    illegal=(
        *([30, 20, -1], [30, 20, 1.0], [[30, 20, 10]], [True] * 3),
        Series(30, 20, 10),
    ),
)
PROBABILITIES = listed(
    nothing,
    *(P, P.tolist(), P.astype("float32"), tf.constant(P)),
    illegal=(P[0], 2 * P, P - [[1, -1, 0]], P * NAN, P[:, :1], P > 2, RAGGED),
)
K_MAJORITY = listed(optional(whole(0, 2**31 - 1)), k=5)
CALLBACK = {
    "k": K,
    "r": R,
    "minority": CLASSES,
    "k_majority": K_MAJORITY,
    "warmup_epochs": listed(optional(whole(0))),
    "refresh_freq": listed(whole(1)),
    "schedule": listed(
        optional(nothing),
        *(schedule.WarmupSchedule(), max),
        illegal=(lambda epoch: None,),
    ),
    "neighbor_search": listed(
        nothing,
        *("auto", "scann", "nndescent", "exact", ENGINE),
        illegal=(search.ExactSearch, "Exact"),
    ),
    "embeddings": listed(nothing, "pass", "training"),
    "table_dtype": listed(nothing, "float32", "float16", illegal=("bfloat16",)),
    "table_dir": listed(optional(nothing), ".", Path(), illegal=("no/such",)),
    "weight_sampler": listed(
        nothing, draw_weights, max, illegal=(lambda exists: exists,)
    ),
    "loss_form": listed(
        nothing,
        *("paper", "scale_free", keras_dos.MicroClusterObjective()),
        illegal=(keras_dos.MicroClusterObjective,),
    ),
    "embedding_weight": listed(optional(real(0, below=1e12))),
    "logit_adjustment": listed(optional(real(0, below=1e3))),
    "seed": listed(SEED),
}
OBJECTIVE = {
    "scale_free": listed(flag),
    "temperature": listed(real(0, above=0), illegal=(1e-31,)),
    "cap": listed(optional(real(0, above=0))),
    "shares": listed(nothing, max, illegal=(lambda distances, weights: weights,)),
    "differentiate_shares": listed(flag),
    "slots": listed(nothing, max, illegal=(lambda embedding, neighbors: neighbors,)),
}
NETWORK = {
    "input_shape": listed(
        nothing,
        *((16, 16, 1), [20, np.int64(18), 3]),
        illegal=((15, 16, 1), (16, 16), (16, 16, 0), (16.0, 16, 1), (True, 16, 1)),
    ),
    "n_classes": listed(whole(2, 2**20)),
}
PRIOR = listed(
    optional(nothing),
    *([30, 20, 10], np.array([0.5, 0.3, 0.2])),
    illegal=([1, 1], [1, 1, 0], [1, 1, -1], [1, 1, NAN], Series(30, 20, 10)),
)
SHIFT = {"class_counts": COUNTS, "tau": listed(real(-INF), illegal=(1e31, -1e39))}


def fitted_callback(**arguments):
    """What an argument means shows against the labels, as in `fit`."""
    return keras_dos.OverloadingCallback(**arguments).steps_per_epoch(Y)


def fitted_settings(**arguments):
    return Settings(**arguments).class_parameters(np.bincount(Y))


def steps(**arguments):
    return keras_dos.OverloadingCallback().steps_per_epoch(**arguments)


def profile(name):
    return {"labels": Y, "profile": name}


@dataclasses.dataclass
class Function:
    """A public function, and how to call it.

    Attributes:
        call: The function.
        needed: Arguments that any call needs.
        arguments: All arguments.
        slow: Whether calls that succeed take seconds.
    """

    call: Callable[..., Any]
    needed: Mapping[str, Any]
    arguments: Mapping[str, Argument]
    slow: bool = False


FUNCTIONS = {
    "OverloadingCallback": Function(fitted_callback, {}, CALLBACK),
    "OverloadingCallback.steps_per_epoch": Function(
        steps, {"y": Y}, {"y": LABELS, "batch_size": listed(whole(1))}
    ),
    "Settings": Function(fitted_settings, {}, CALLBACK),
    "MicroClusterObjective": Function(keras_dos.MicroClusterObjective, {}, OBJECTIVE),
    "DOSModel.from_classifier": Function(
        keras_dos.DOSModel.from_classifier,
        {"classifier": CLASSIFIER, "embedding": "features"},
        {
            "classifier": listed(nothing, CLASSIFIER),
            "embedding": listed(nothing, "features"),
            "name": listed(lambda v: v is None or (isinstance(v, str)), "a"),
        },
    ),
    "resolve_class_parameters": Function(
        resolve_class_parameters,
        {"counts": np.bincount(Y)},
        {
            "counts": listed(nothing, [30, 20, 10], np.array([30, 20, 10])),
            **{name: CALLBACK[name] for name in ("k", "r", "minority", "k_majority")},
        },
    ),
    "Epoch": Function(
        schedule.Epoch,
        {"phase": "keep"},
        {
            "phase": listed(nothing, "warmup", "overload", "keep"),
            "embedding_scale": listed(real(0, below=1e12)),
            "prior": listed(optional(nothing), "samples", "quadruplets"),
        },
    ),
    "WarmupSchedule": Function(
        schedule.WarmupSchedule,
        {},
        {name: CALLBACK[name] for name in ("warmup_epochs", "refresh_freq")},
    ),
    "class_counts": Function(
        keras_dos.class_counts,
        {"labels": Y},
        {
            "labels": LABELS,
            "n_classes": listed(optional(whole(3, 10**7)), illegal=(10**9, 2**62)),
        },
    ),
    "minority_classes": Function(keras_dos.minority_classes, {}, {"counts": COUNTS}),
    "make_imbalanced": Function(
        keras_dos.make_imbalanced,
        {"labels": Y, "minority": None},
        {
            "labels": listed(nothing, Y, ONE_HOT, ORDERED, minority=1),
            "profile": listed(nothing, "exp", "step"),
            "reduction_rate": listed(optional(real(0, below=1)), minority=1),
            "minority": listed(
                whole(1, 2), [1], np.array([1, 2]), illegal=([], [3], [1, 1], {1}, 1.0)
            ),
            "ratio": listed(optional(real(1)), profile="exp"),
            "counts": listed(
                lambda v: isinstance(v, dict) and not v,
                *([3, 2, 1], {2: 1}, np.array([3, 2, 1])),
                illegal=([3, 2, 0], [3, 2, 5], {3: 1}, {2: 1.0}, [3, 2, True]),
                profile="counts",
            ),
            "seed": listed(SEED, minority=1),
        },
    ),
    "select": Function(
        keras_dos.select,
        {"data": X, "indices": [0, 2]},
        {
            "data": listed(nothing, X, (X, Y), {"x": X}, tf.constant(X), dataset()),
            "indices": listed(
                nothing,
                *([0], (1, 2), np.array([3], "uint8"), range(24)),
                illegal=([-1], [24], [2, 1], [1, 1], [1.0], [True], 3, [[1]]),
            ),
        },
    ),
    "mnist_back_rotation": Function(
        keras_dos.mnist_back_rotation,
        {
            "images": np.zeros((1, 4, 4), np.uint8),
            "backgrounds": [np.arange(64, dtype=np.uint8).reshape(8, 8) * 3],
        },
        {
            "images": listed(
                nothing,
                *(np.zeros((1, 4, 4), np.uint8), np.zeros((2, 4, 4, 1), np.uint8)),
                illegal=(X, np.zeros((4, 4), np.uint8), np.zeros((0, 4, 4), np.uint8)),
            ),
            "backgrounds": listed(
                optional(nothing),
                iter([np.eye(4, dtype=np.uint8) * 255]),
                illegal=([X], [np.zeros((8, 8), np.uint8)], [np.ones(3, np.uint8)]),
            ),
            "seed": listed(SEED),
        },
    ),
    "classwise_report": Function(
        keras_dos.classwise_report,
        {"y_true": Y, "probabilities": P},
        {
            "y_true": LABELS,
            "probabilities": PROBABILITIES,
            "minority": CLASSES,
            "class_counts": dataclasses.replace(COUNTS, kind=optional(nothing)),
        },
    ),
    "ClasswiseReport.average": Function(
        REPORT.average,
        {},
        {
            "group": listed(
                nothing, "minority", "majority", "many", "medium", "few", "all"
            )
        },
    ),
    "comparison_table": Function(
        keras_dos.comparison_table,
        {},
        {"reports": listed(nothing, {"CNN": REPORT}, illegal=({"CNN": 5}, [REPORT]))},
    ),
    "choose_logit_shift": Function(
        keras_dos.choose_logit_shift,
        {"y_true": Y, "probabilities": P, "class_counts": [30, 20, 10]},
        {
            "y_true": LABELS,
            "probabilities": PROBABILITIES,
            "class_counts": COUNTS,
            "measure": listed(
                nothing,
                lambda t, p: np.float32((t == p).mean()),
                illegal=(lambda p: 1.0,),
            ),
        },
        slow=True,
    ),
    "choose_threshold": Function(
        keras_dos.choose_threshold,
        {"y_true": Y, "probabilities": P},
        {
            "y_true": LABELS,
            "probabilities": PROBABILITIES,
            "class_index": listed(whole(0, 2), illegal=(3, [1])),
            "measure": listed(
                optional(nothing),
                lambda t, p: np.float32((t == p).mean()),
                illegal=(lambda p: 1.0,),
            ),
            "costs": listed(
                optional(nothing),
                *((1, 5), [0.5, 2.5], np.array([1, 5])),
                illegal=((1,), (1, 2, 3), (0, 1), (1, -1), (1, NAN), (INF, 1), {1: 5}),
            ),
        },
    ),
    "ThresholdChoice.classify": Function(
        THRESHOLD.classify,
        {},
        {
            "probabilities": dataclasses.replace(
                PROBABILITIES,
                illegal=(*PROBABILITIES.illegal, [[0.5, 0.5]], [[0.25] * 4]),
            )
        },
    ),
    "shift_probabilities": Function(
        keras_dos.shift_probabilities,
        {"probabilities": P, "class_counts": [30, 20, 10], "tau": 1.0},
        {"probabilities": PROBABILITIES, **SHIFT},
    ),
    "LogitShift": Function(
        LogitShift, {"class_counts": [30, 20, 10], "tau": 1.0}, SHIFT
    ),
    "with_logit_shift": Function(
        keras_dos.with_logit_shift,
        {"model": CLASSIFIER, "class_counts": [30, 20, 10], "tau": 1.0},
        {"model": listed(nothing, CLASSIFIER), **SHIFT},
    ),
    "export_servable": Function(
        keras_dos.export_servable,
        {"model": CLASSIFIER, "path": "model", "training_prior": [1, 1, 1]},
        {
            "model": listed(nothing, CLASSIFIER),
            "path": listed(lambda v: isinstance(v, str) and v != "", Path("a")),
            "class_names": listed(
                optional(nothing), ["a", "b", "c"], illegal=(["a", "b"], ["a"] * 3)
            ),
            "class_counts": dataclasses.replace(COUNTS, kind=optional(nothing)),
            "training_prior": PRIOR,
            "deployment_prior": PRIOR,
            "max_image_pixels": listed(whole(1)),
            "warmup_inputs": listed(optional(nothing), X, illegal=(X[:, :2], X[0])),
            "metrics": listed(
                lambda v: v is None or (isinstance(v, dict)),
                {"f1": np.float32(0.5)},
                illegal=({"f1": NAN}, {"f1": object()}),
            ),
        },
        slow=True,
    ),
    "c6_c16_f400_f120": Function(
        c6_c16_f400_f120, {"input_shape": (16, 16, 1), "n_classes": 2}, NETWORK
    ),
    "c20_c50_f500_f120": Function(
        c20_c50_f500_f120, {"input_shape": (16, 16, 1), "n_classes": 2}, NETWORK
    ),
    "ExactSearch": Function(search.ExactSearch, {}, {"block_size": listed(whole(1))}),
    "ScannSearch": Function(
        search.ScannSearch,
        {},
        {
            "brute_force_below": listed(whole(16), partition_above=2**62),
            "partition_above": listed(whole(16), brute_force_below=16),
        },
    ),
    "NNDescentSearch": Function(
        search.NNDescentSearch, {}, {"brute_force_below": listed(whole(1))}, slow=True
    ),
    "get_search": Function(
        search.get_search,
        {},
        {
            "identifier": dataclasses.replace(
                listed(nothing, "exact", "auto", ENGINE), named="neighbor_search"
            )
        },
    ),
    "self_neighbors": Function(
        search.self_neighbors,
        {"vectors": X, "k": 2, "search": ENGINE},
        {
            "vectors": listed(
                nothing, X, X.tolist(), X.astype(">f4"), illegal=(X * NAN, X[0], X > 0)
            ),
            "k": listed(whole(1)),
            "search": listed(nothing, ENGINE, illegal=(search.ExactSearch,)),
        },
    ),
    "check_search": Function(
        check_search,
        {"engine": ENGINE},
        {
            "engine": listed(nothing, ENGINE, illegal=(search.ExactSearch,)),
            "recall": listed(real(0, below=1.5)),
            "seed": listed(SEED),
        },
        slow=True,
    ),
    "InMemory": Function(
        samples.InMemory,
        {"x": X, "y": Y},
        {
            "x": listed(nothing, X, {"a": X, "b": Y}, (X,), tf.constant(X)),
            "y": LABELS,
            "sample_weight": listed(
                optional(nothing), np.ones(24), illegal=(np.ones((24, 2)), ["x"] * 24)
            ),
            "batch_size": listed(optional(whole(1))),
            "n_classes": listed(optional(whole(3))),
        },
    ),
    "Indexed": Function(
        samples.Indexed,
        {"source": X, "labels": Y},
        {
            "source": listed(nothing, X, list(X)),
            "labels": listed(nothing, Y, ONE_HOT, Y.tolist()),
            "keys": listed(
                optional(lambda v: isinstance(v, list) and v == ["x"]),
                ("x",),
                source=[{"x": x} for x in X],
            ),
            "augment": listed(
                optional(nothing), lambda x, rng: 2 * x, illegal=(lambda x: 2 * x,)
            ),
            "batch_size": listed(whole(1)),
        },
    ),
    "Stream": Function(
        samples.Stream,
        {"dataset": ORDERED},
        {
            "dataset": listed(nothing, ORDERED, illegal=(ORDERED.repeat(), X)),
            "labels": listed(
                optional(nothing), ORDERED_LABELS, np.eye(3)[ORDERED_LABELS]
            ),
            "augment": listed(
                optional(nothing), lambda x, seed: 2 * x, illegal=(lambda x: 2 * x,)
            ),
            "buffer_size": listed(optional(whole(1))),
        },
    ),
}

# What is not checked, and why: names and patterns of names.
UNCHECKED = {
    "tensors of a step, which TensorFlow checks as it traces": (
        *("squared_distances", "embedding_loss", "slot_shares", "classification_loss"),
        *("adjusted_logits", "fill_slots", "slot_logits"),
        *("MicroClusterObjective.*", "TrainingLoss", "TrainingLoss.*"),
    ),
    "what a training hands on after it was checked": (
        *("Rounds", "Rounds.*", "draw_weights", "Settings.*"),
        *("ClassParameters", "ClassParameters.*", "WarmupSchedule.__call__"),
        *("InMemory.*", "Indexed.*", "Stream.*", "DOSModel.choose_train_function"),
        *("ExactSearch.*", "NNDescentSearch.*", "ScannSearch.*"),
    ),
    "not in the table yet": (
        *("BackupAndRestore", "LogitAdjustedCrossentropy"),
        *("BalancedAccuracy", "GroupRecall", "MacroF1", "WorstClassRecall"),
        *("classwise_bars", "embeddings", "in_class_variance", "reduction_rates"),
        *("precision_recall_curves", "reliability_diagrams"),
    ),
    "results, which other functions make": (
        *("ClasswiseReport", "LogitShiftChoice", "ThresholdChoice"),
    ),
    "the arguments of keras.Model": ("DOSModel",),
    "protocols, which others implement": (
        *("NeighborSearch", "NeighborSearch.*", "SampleSource", "SampleSource.*"),
        *("Schedule", "WeightSampler"),
    ),
}
