"""keras_dos.metrics: against scikit-learn, in every way that Keras runs a step."""

import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score
from toy import blobs, compiled, network

from keras_dos import OverloadingCallback
from keras_dos.metrics import (
    BalancedAccuracy,
    GroupRecall,
    MacroF1,
    WorstClassRecall,
)

GROUP = [3, 1]


def metrics():
    return [BalancedAccuracy(), MacroF1(), GroupRecall(GROUP), WorstClassRecall()]


def expected(y, predicted, weights=None):
    """The four measures by scikit-learn; classes without weight do not occur."""
    if weights is not None:
        y, predicted, weights = (a[weights != 0] for a in (y, predicted, weights))
    common = {"sample_weight": weights, "zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of predicted classes that do not occur.
        balanced = balanced_accuracy_score(y, predicted, sample_weight=weights)
    recalls = recall_score(y, predicted, labels=range(5), average=None, **common)
    group = [j for j in GROUP if j in y]
    return [
        balanced,
        f1_score(y, predicted, average="macro", **common),
        recalls[group].mean() if group else 0.0,
        recalls[np.unique(y)].min(),
    ]


def predictions(m=60, n=5, classes=range(5), seed=0):
    """Labels of some classes, and logits that are often right."""
    rng = np.random.default_rng(seed)
    y = rng.choice(list(classes), m)
    return y, rng.normal(size=(m, n)) + 1.5 * np.eye(n)[y]


def update(metric, y, logits, weights=None, batch=17):
    """Update by batches, the last of which is smaller."""
    for i in range(0, len(y), batch):
        part = slice(i, i + batch)
        w = None if weights is None else weights[part]
        metric.update_state(y[part], logits[part], sample_weight=w)
    return float(metric.result())


@pytest.mark.parametrize("classes", [range(5), [0, 1, 4], [0, 2], [3]])
@pytest.mark.parametrize("weighted", [False, True])
def test_several_batches_agree_with_scikit_learn(classes, weighted):
    """Of absent classes, some are predicted."""
    y, logits = predictions(classes=classes)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y)) if weighted else None
    values = [update(metric, y, logits, weights) for metric in metrics()]
    predicted = logits.argmax(axis=1)
    np.testing.assert_allclose(values, expected(y, predicted, weights), atol=1e-6)


def test_a_class_that_is_neither_true_nor_predicted_is_left_out_of_f1():
    y, logits = predictions(classes=[0, 1, 2])
    logits[:, 3:] = -9
    value = f1_score(y, logits.argmax(axis=1), average="macro")  # Of three classes.
    assert update(MacroF1(), y, logits) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_samples_without_a_prediction_are_missed(how):
    """NaN was class 0, or that of the number beside it."""
    y, logits = predictions()
    logits = logits.astype("float32")
    logits[y == 4, 4], logits[:9] = np.nan, np.nan
    predicted = np.where(np.isnan(logits).any(axis=1), 5, logits.argmax(axis=1))
    common = {"labels": range(5), "zero_division": 0}
    recalls = recall_score(y, predicted, average=None, **common)
    wanted = [
        recalls.mean(),
        f1_score(y, predicted, average="macro", **common),
        recalls[GROUP].mean(),
        recalls.min(),
    ]
    found = []
    for metric in metrics():
        metric.build(5)
        step = metric.update_state
        if how != "eager":
            step = tf.function(step, jit_compile=how == "xla")
        step(tf.constant(y), tf.constant(logits))
        found.append(float(metric.result()))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_network_that_gives_nan_is_not_the_best():
    """NaN as the measure of a first epoch would be the best for good."""
    x, y = blobs()
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "softmax")])
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", loss, metrics=[BalancedAccuracy()])
    weights = model.get_weights()

    def in_first_epoch(epoch, logs):
        model.set_weights([w + (np.nan if epoch == 0 else 0.0) for w in weights])

    poison = keras.callbacks.LambdaCallback(on_epoch_begin=in_first_epoch)
    stop = keras.callbacks.EarlyStopping(
        "val_balanced_accuracy", patience=3, restore_best_weights=True
    )
    history = model.fit(
        x, y, epochs=3, validation_data=(x, y), callbacks=[poison, stop], verbose=0
    ).history
    assert history["balanced_accuracy"][0] == history["val_balanced_accuracy"][0] == 0.0
    assert stop.best == max(history["val_balanced_accuracy"]) > 0.0
    assert np.isfinite(model.get_weights()[0]).all()


def test_samples_of_weight_zero_do_not_occur():
    y, logits = predictions()
    weights = np.where(np.isin(y, [1, 4]), 0.0, 2.0)
    values = [update(metric, y, logits, weights) for metric in metrics()]
    wanted = expected(y, logits.argmax(axis=1), weights)
    np.testing.assert_allclose(values, wanted, atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: y[:, None],
        lambda y: y.astype("uint8"),
        lambda y: y.astype("float32")[:, None],
        lambda y: np.eye(5)[y],
        lambda y: np.eye(5, dtype="uint8")[y],
    ],
)
def test_labels_of_any_shape_and_dtype_count_the_same(labels):
    y, logits = predictions()
    values = [update(metric, labels(y), logits) for metric in metrics()]
    np.testing.assert_allclose(values, expected(y, logits.argmax(axis=1)), atol=1e-6)


@pytest.mark.parametrize("n_columns", [1, 5])
@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_labels_whose_columns_only_the_step_knows(n_columns, dtype):
    y, logits = predictions()
    if dtype == "bool":
        y = np.minimum(y, 1) if n_columns == 1 else y
    labels = (y[:, None] if n_columns == 1 else np.eye(5)[y]).astype(dtype)
    signature = [tf.TensorSpec((None, None), dtype), tf.TensorSpec((None, 5))]
    values = []
    for metric in metrics():
        metric.build(5)
        tf.function(metric.update_state, signature)(labels, logits)
        values.append(float(metric.result()))
    np.testing.assert_allclose(values, expected(y, logits.argmax(axis=1)), atol=1e-6)


def test_columns_that_are_not_the_classes_are_an_error_in_the_step():
    signature = [tf.TensorSpec((None, None)), tf.TensorSpec((None, 5))]
    step = tf.function(BalancedAccuracy().update_state, signature)
    with pytest.raises(tf.errors.InvalidArgumentError, match="classes from 0 to 4"):
        step(np.eye(4), np.ones((4, 5)))


@pytest.mark.parametrize("weights", [2.5, np.full((60, 1), 2.5), np.full(60, 2.5)])
def test_equal_weights_of_any_shape_change_nothing(weights):
    y, logits = predictions()
    metric = BalancedAccuracy()
    metric.update_state(y, logits, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(
        update(BalancedAccuracy(), y, logits)
    )


def test_probabilities_and_logits_of_any_precision_count_the_same():
    y, logits = predictions()
    for dtype in ("float16", "bfloat16", "float64"):
        p = keras.ops.cast(keras.ops.softmax(logits), dtype)
        predicted = keras.ops.convert_to_numpy(keras.ops.cast(p, "float32")).argmax(1)
        values = [update(metric, y, p) for metric in metrics()]
        np.testing.assert_allclose(values, expected(y, predicted), atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_counts_do_not_stop_where_float32_does(policy):
    keras.config.set_dtype_policy(policy)
    try:
        metric = BalancedAccuracy()
        right, wrong = [[1.0, 0.0]], [[0.0, 1.0]]
        metric.update_state([0], right, sample_weight=[2.0**24])
        metric.update_state([0], wrong)
        metric.update_state([0], right)
        metric.update_state([0], right, sample_weight=[-(2.0**24)])
        assert float(metric.result()) == 0.5
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_result_has_the_dtype_that_was_asked_for():
    y, logits = predictions()
    metric = BalancedAccuracy(dtype="float16")
    value = update(metric, y, logits)
    assert metric.result().dtype == tf.float16
    assert value == pytest.approx(update(BalancedAccuracy(), y, logits), abs=1e-3)


@pytest.mark.parametrize("metric", metrics(), ids=lambda m: m.name)
def test_a_new_metric_and_a_reset_one_are_0(metric):
    metric.reset_state()
    assert float(metric.result()) == 0
    assert update(metric, *predictions()) > 0
    metric.reset_state()
    assert float(metric.result()) == 0


@pytest.mark.parametrize("label", [-1, 5, 1.5, np.nan])
@pytest.mark.parametrize("graph", [False, True])
def test_labels_out_of_range_are_an_error(label, graph):
    y, logits = predictions()
    y = y.astype(type(label))
    y[7] = label
    metric = BalancedAccuracy()
    step = tf.function(metric.update_state) if graph else metric.update_state
    with pytest.raises(tf.errors.InvalidArgumentError, match="classes from 0 to 4"):
        step(tf.constant(y), tf.constant(logits))


@pytest.mark.parametrize(
    ("label", "metric"), list(zip([-1, 5, -1, 5], metrics(), strict=True))
)
def test_labels_out_of_range_leave_nan_where_xla_cannot_raise(label, metric):
    y, logits = predictions()
    update(metric, y, logits)
    y[7] = label
    step = tf.function(metric.update_state, jit_compile=True)
    step(tf.constant(y), tf.constant(logits))
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize(
    ("y", "y_pred", "message"),
    [
        ([0, 1], [[0.2], [0.7]], r"softmax.*one sigmoid.*shape \(2, 1\)"),
        ([0, 1], [0.2, 0.7], r"column for each class.*shape \(2,\)"),
        ([[0, 1]], [[[0.5, 0.5]] * 2], r"column for each class.*shape \(1, 2, 2\)"),
        ([[1, 0, 0]], [[0.5, 0.5]], r"\(b, 2\) if one-hot.*shape \(1, 3\)"),
        ([[[1]]], [[0.5, 0.5]], r"\(b, 2\) if one-hot.*shape \(1, 1, 1\)"),
        ([0, 1], [[0.5, 0.5]], r"same number of samples.*\(2,\) and \(1, 2\)"),
    ],
)
def test_other_shapes_are_refused(y, y_pred, message):
    with pytest.raises(ValueError, match=f"{message}"):
        BalancedAccuracy().update_state(y, y_pred)


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((2, 2))])
def test_weights_of_other_shapes_are_refused(weights):
    with pytest.raises(ValueError, match=r"`sample_weight` must.*for 2 samples"):
        BalancedAccuracy().update_state([0, 1], np.eye(2), weights)


def test_another_number_of_classes_is_refused():
    metric = BalancedAccuracy()
    metric.update_state([0], [[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"2 classes.*Received: shape \(1, 3\)"):
        metric.update_state([0], [[0.5, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (3, TypeError, "classes=3"),
        ([0.5], TypeError, "classes=0.5"),
        ([-1], ValueError, "classes=-1"),
        ([[1], [1, 2]], ValueError, "list: setting an array element"),
        ([], ValueError, r"classes=\[\]"),
        ([2, 2], ValueError, r"classes=\[2, 2\]"),
    ],
)
def test_a_group_names_different_classes(classes, error, message):
    with pytest.raises(error, match=f"Received: {message}"):
        GroupRecall(classes)


def test_a_group_names_classes_of_the_model():
    with pytest.raises(ValueError, match=r"from 0 to 1.*Received: classes=\[0, 2\]"):
        GroupRecall((2, 0)).update_state([0], [[0.5, 0.5]])


@pytest.mark.parametrize("metric", metrics(), ids=lambda m: m.name)
def test_a_metric_can_be_made_again_from_what_keras_saves(metric):
    config = keras.saving.serialize_keras_object(metric)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(metric)
    assert again.name == metric.name
    assert update(again, *predictions()) == update(metric, *predictions())


# In a model.


def plain(policy=None, **kwargs):
    """A compiled Keras classifier that does not learn, and data."""
    x, y = blobs((40, 30, 20, 15, 8))
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, activation="relu", dtype=policy)
    softmax = keras.layers.Dense(5, activation="softmax", dtype=policy)
    model = keras.Sequential([keras.Input((6,)), hidden, softmax])
    return compiled(model, learning_rate=0.0, metrics=metrics(), **kwargs), x, y


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"run_eagerly": True},
        {"steps_per_execution": 3, "jit_compile": False},
        {"steps_per_execution": 3, "jit_compile": True},
        {"policy": "mixed_float16"},
    ],
    ids=str,
)
def test_fit_and_evaluate_measure_what_scikit_learn_does(settings):
    model, x, y = plain(**settings)
    history = model.fit(
        x, y, epochs=2, batch_size=16, validation_data=(x[:70], y[:70]), verbose=0
    ).history
    predicted = model.predict(x, batch_size=16, verbose=0).argmax(axis=1)
    evaluated = model.evaluate(x, y, batch_size=16, return_dict=True, verbose=0)
    names = [metric.name for metric in metrics()]
    whole, part = expected(y, predicted), expected(y[:70], predicted[:70])
    for i, name in enumerate(names):
        np.testing.assert_allclose(history[name], whole[i], atol=1e-6)
        np.testing.assert_allclose(history[f"val_{name}"], part[i], atol=1e-6)
        np.testing.assert_allclose(evaluated[name], whole[i], atol=1e-6)


@pytest.mark.slow
def test_only_weighted_metrics_see_sample_weights():
    model, x, y = plain(weighted_metrics=[BalancedAccuracy("weighted")])
    weights = np.random.default_rng(0).uniform(0.1, 3, len(y))
    evaluated = model.evaluate(x, y, sample_weight=weights, return_dict=True, verbose=0)
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    for name, w in (("balanced_accuracy", None), ("weighted", weights)):
        assert evaluated[name] == pytest.approx(expected(y, predicted, w)[0], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["sparse", "one-hot"])
def test_a_dos_model_measures_before_and_after_saving(labels, tmp_path):
    x, y = blobs()
    truth, loss = y, "sparse_categorical_crossentropy"
    if labels == "one-hot":
        truth, loss = keras.utils.to_categorical(y), "categorical_crossentropy"
    group = GroupRecall([2], name="minority_recall")
    measures = [BalancedAccuracy(), group, MacroF1(), WorstClassRecall()]
    model = compiled(network(), metrics=measures, loss=loss)
    history = model.fit(
        x,
        truth,
        epochs=3,
        verbose=0,
        validation_data=(x, truth),
        callbacks=[OverloadingCallback(k=3)],
    ).history
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    predicted = model.classifier.predict(x, verbose=0).argmax(axis=1)
    recalls = recall_score(y, predicted, average=None)
    wanted = {
        "balanced_accuracy": balanced_accuracy_score(y, predicted),
        "minority_recall": recalls[2],
        "macro_f1": f1_score(y, predicted, average="macro"),
        "worst_class_recall": recalls.min(),
    }
    evaluated = loaded.evaluate(x, truth, return_dict=True, verbose=0)
    assert 1 / 3 < history["balanced_accuracy"][-1] <= 1
    for name, value in wanted.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, abs=1e-6)
        assert evaluated[name] == pytest.approx(value, abs=1e-6)


@pytest.mark.slow
def test_callbacks_monitor_it_through_warm_up_and_rounds(tmp_path):
    x, y = blobs((80, 60, 12), spread=3.0)
    keras.utils.set_random_seed(1)
    name, mode = "val_balanced_accuracy", "max"
    stop = keras.callbacks.EarlyStopping(
        name, mode=mode, patience=2, start_from_epoch=4, restore_best_weights=True
    )
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", monitor=name, mode=mode, save_best_only=True
    )
    plateau = keras.callbacks.ReduceLROnPlateau(
        name, mode=mode, factor=0.5, patience=2, min_delta=0
    )
    model = compiled(network(), metrics=[BalancedAccuracy()], learning_rate=0.5)
    history = model.fit(
        x,
        y,
        epochs=15,
        verbose=0,
        validation_data=(x, y),
        callbacks=[
            OverloadingCallback(k=3, warmup_epochs=4),
            stop,
            checkpoint,
            plateau,
        ],
    ).history
    values, rates = history[name], history["learning_rate"]
    assert 6 < len(values) < 15  # Stopped, after the warm-up.
    assert stop.best_epoch == 4 + int(np.argmax(values[4:]))
    assert stop.best_epoch == len(values) - 3
    restored = model.evaluate(x, y, return_dict=True, verbose=0)
    assert restored["balanced_accuracy"] == pytest.approx(max(values[4:]), abs=1e-6)
    saved = keras.models.load_model(tmp_path / "best.keras")
    kept = saved.evaluate(x, y, return_dict=True, verbose=0)["balanced_accuracy"]
    assert kept == pytest.approx(max(values), abs=1e-6)
    best, wait, rate = -1.0, 0, 0.5
    for epoch, value in enumerate(values):
        assert rates[epoch] == pytest.approx(rate)
        best, wait = (value, 0) if value > best else (best, wait + 1)
        if wait == 2:
            wait, rate = 0, rate / 2


SCRIPT = """
import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

from toy import blobs, compiled, network

from keras_dos import OverloadingCallback
from test_metrics import expected, metrics, predictions

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
y, logits = predictions(m=64)
wanted = expected(y, logits.argmax(axis=1))
with strategy.scope():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Identity()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=metrics(), jit_compile=False)
for _ in range(2):  # Reset between.
    values = model.evaluate(logits, y, batch_size=16, verbose=0)[1:]
    np.testing.assert_allclose(values, wanted, atol=1e-6)

own = metrics()


@tf.function
def step(batch):
    strategy.run(lambda y, z: [m.update_state(y, z) for m in own] and None, batch)


data = tf.data.Dataset.from_tensor_slices((y, logits)).batch(16)
batches = strategy.experimental_distribute_dataset(data)
try:
    step(next(iter(batches)))
except RuntimeError as error:
    assert "call `build(n_classes)` in the scope" in str(error), error
else:
    raise AssertionError("Replicas would have shared a variable.")
with strategy.scope():
    for metric in own:
        metric.build(5)
for batch in batches:
    step(batch)
np.testing.assert_allclose([float(m.result()) for m in own], wanted, atol=1e-6)

logits[::3] = np.nan  # Missed, whatever replica has them.
alone = metrics()
for metric in alone:
    metric.update_state(y, logits)
values = model.evaluate(logits, y, batch_size=16, verbose=0)[1:]
np.testing.assert_allclose(values, [float(m.result()) for m in alone], atol=1e-6)

x, y = blobs((40, 30, 20, 15, 8))
with strategy.scope():
    dos = compiled(network(n=5), metrics=metrics(), jit_compile=False)
history = dos.fit(x, y, epochs=2, verbose=0, validation_data=(x, y),
    callbacks=[OverloadingCallback(k=3, warmup_epochs=1)]).history
wanted = expected(y, dos.classifier.predict(x, verbose=0).argmax(axis=1))
values = [history[f"val_{m.name}"][-1] for m in own]
np.testing.assert_allclose(values, wanted, atol=1e-6)
print("equal")
"""


@pytest.mark.slow
def test_replicas_add_what_they_count():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "equal\n", done.stderr[-3000:]
