"""What once was silently wrong, or found out only after the warm-up."""

import copy
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, largest_difference, network

from keras_dos import DOSModel, OverloadingCallback
from keras_dos.outputs import LOGS
from keras_dos.samples import InMemory

X, Y = blobs()


def fit(model=None, x=X, y=Y, callbacks=(), settings=None, **arguments):
    model = model or compiled(network())
    own = OverloadingCallback(**(settings or {"k": 3, "warmup_epochs": 1}))
    arguments = {"epochs": 2, "verbose": 0, **arguments}
    return model, model.fit(x, y, callbacks=[*callbacks, own], **arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_found_before_the_first_step(value):
    x = X.copy()
    x[[40, 7], 2] = value
    with pytest.raises(ValueError, match=r"`x` must be finite.*in 2 of 78.*\[7, 40\]"):
        fit(x=x)


def test_a_network_may_know_what_to_do_with_missing_values():
    inputs = keras.Input((6,))
    known = keras.ops.where(keras.ops.isnan(inputs), 0.0, inputs)
    e = keras.layers.Dense(5, "tanh")(known)
    p = keras.layers.Dense(3, "softmax")(e)
    x = X.copy()
    x[3, 2] = np.nan
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    _, history = fit(compiled(model), x=x)
    assert np.isfinite(history.history["loss"]).all()


def test_rows_are_checked_in_parts():
    x = np.zeros((10_000, 2), np.float32)
    x[[0, 4095, 4096, 9_999], [0, 1, 0, 1]] = np.nan
    ids = InMemory({"a": x, "b": np.arange(10_000)}, np.zeros(10_000, int)).not_finite()
    assert ids.tolist() == [0, 4095, 4096, 9_999]


def test_weights_that_are_not_finite_are_refused():
    model = compiled(network())
    model.head.layers[-1].bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match="finite probabilities before it trains"):
        fit(model)
    weights = np.ones(len(Y))
    weights[[5, 9]] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"`sample_weight` must be finite.*2 NaN.*5"):
        fit(sample_weight=weights)
    with pytest.raises(ValueError, match=r"`class_weight` must be finite.*nan"):
        fit(class_weight={0: 1.0, 1: np.nan, 2: 1.0})


def test_weights_of_zero_are_told_of():
    weights = np.ones(len(Y))
    weights[[5, 9]] = 0
    with pytest.warns(UserWarning, match=r"Samples of weight 0.*: 2 of.*\[5, 9\]"):
        fit(sample_weight=weights)


@pytest.mark.slow
def test_metrics_are_those_of_the_probabilities():
    plain, named = (
        compiled(network(), metrics=metrics)
        for metrics in (["accuracy"], {"probabilities": ["accuracy"]})
    )
    expected, found = (fit(model)[1].history for model in (plain, named))
    assert found["accuracy"] == expected["accuracy"]


@pytest.mark.parametrize("name", ["metrics", "weighted_metrics"])
def test_metrics_of_the_embedding_are_refused(name):
    both = {"embedding": ["mse"], "probabilities": ["accuracy"]}
    model = compiled(network(), **{name: both})
    message = rf"`{name}` of a DOSModel.*'embedding'"
    with pytest.raises(ValueError, match=message):
        fit(model)
    with pytest.raises(ValueError, match=message):
        model.evaluate(X, Y, verbose=0)


def embedding_loss(y, p):
    return p[:, 0]


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize(
    "metrics",
    [
        [keras.metrics.Mean("refresh_time")],
        [embedding_loss],
        ["accuracy", keras.metrics.SparseCategoricalAccuracy("loss")],
        {"probabilities": ["accuracy", keras.metrics.Mean("minority_variance")]},
    ],
    ids=["object", "function", "loss", "dict"],
)
def test_metrics_named_as_our_logs_are_refused(argument, metrics):
    """The logs had ours in their place."""
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", **{argument: metrics})
    with pytest.raises(
        ValueError, match=r"`metrics` must not have the names.*Received"
    ):
        fit(model)


def test_metrics_of_layers_named_as_our_logs_are_refused():
    class Measured(keras.layers.Dense):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.mean = keras.metrics.Mean("majority_variance")

    model = network(head=[Measured(4)])
    with pytest.raises(ValueError, match=r"`metrics` must not have.*majority_variance"):
        fit(compiled(model))


def test_all_names_of_logs_are_known():
    _, history = fit()
    _, plain = fit(epochs=1, settings={"k": 0, "warmup_epochs": 0})
    of_keras = {"accuracy", "loss"}
    assert set(history.history) | set(plain.history) == of_keras | set(LOGS)


def test_a_second_thread_cannot_train_the_model():
    """It trained on the rounds of the first one."""
    model, refused = compiled(network()), []
    whole, _ = fit()

    def train_too(**arguments):
        try:
            model.fit(X, Y, verbose=0, **arguments)
        except RuntimeError as error:
            refused.append(str(error))

    def in_a_thread(*_):
        for callbacks in ([OverloadingCallback()], []):
            thread = threading.Thread(target=train_too, kwargs={"callbacks": callbacks})
            thread.start()
            thread.join()

    fit(model, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=in_a_thread)])
    assert len(refused) == 4
    assert "in one thread at a time" in refused[0]
    assert "Received: a second `fit`" in refused[0]
    assert largest_difference(model.get_weights(), whole.get_weights()) == 0


def test_a_training_that_failed_leaves_the_model_to_other_threads():
    def fail(*_):
        raise InterruptedError

    model, ended = compiled(network()), []
    with pytest.raises(InterruptedError):
        fit(model, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=fail)])
    thread = threading.Thread(target=lambda: ended.append(fit(model)))
    thread.start()
    thread.join()
    assert ended
    assert copy.deepcopy(model).fit(X, Y, verbose=0).epoch == [0]


def test_ignored_classes_are_refused():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    with pytest.raises(ValueError, match=r"leave `ignore_class` out.*ignore_class=2"):
        fit(compiled(network(), loss=loss))


def test_an_overridden_loss_is_refused():
    class Own(DOSModel):
        def compute_loss(self, *args, **kwargs):
            return 0.0

    plain = network()
    model = compiled(Own(plain.input, plain.output))
    with pytest.raises(ValueError, match=r"`compute_loss` must not.*Own\.compute_loss"):
        fit(model)


@pytest.mark.parametrize(
    "settings", [{"embedding_weight": 0.5}, {"loss_form": "paper"}]
)
def test_settings_of_neighbors_are_refused_without_neighbors(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=rf"`{name}` must be left out with k=0"):
        OverloadingCallback(k=0, **settings)


@pytest.mark.parametrize(
    "k", [np.int64(0), [0, 0, 0], {2: 0}], ids=["NumPy", "list", "mapping"]
)
def test_no_neighbors_may_be_written_in_many_ways(k):
    with pytest.raises(ValueError, match=r"`embedding_weight` must be left out"):
        OverloadingCallback(k=k, embedding_weight=0.5)


def test_neighbors_of_the_majority_alone_have_an_embedding_loss():
    callback = OverloadingCallback(k=0, k_majority=3, embedding_weight=0.5)
    assert callback.settings.full_weight == 0.5


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ([1.0, 2.0, 3.0], TypeError, r"must map classes.*\[1\.0"),
        ("balanced", TypeError, "must map classes.*'balanced'"),
        ({}, ValueError, r"must map classes.*\{\}"),
        ({"0": 1.0}, ValueError, "must name classes from 0 to 2.*class '0'"),
        ({-1: 2.0}, ValueError, "must name classes from 0 to 2.*class -1"),
        ({3: 2.0}, ValueError, "must name classes from 0 to 2.*class 3"),
        ({0: "1"}, TypeError, "must be a number.*'1'"),
        ({0: None}, TypeError, "must be a number.*None"),
        ({0: -1.0}, ValueError, r"must not be negative.*-1\.0 for class 0"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(class_weight, error, message):
    with pytest.raises(error, match=f"`class_weight` {message}"):
        fit(class_weight=class_weight)


@pytest.mark.slow
def test_classes_that_class_weight_leaves_out_weigh_one():
    some, all_ = {1: 2.0}, {0: 1.0, 1: 2.0, 2: 1.0}
    models = [fit(class_weight=weights)[0] for weights in (some, all_)]
    assert largest_difference(*(model.get_weights() for model in models)) == 0


def test_class_weights_beside_sample_weights_are_refused():
    with pytest.raises(ValueError, match=r"`class_weight` must be left out.*weights"):
        fit(class_weight={0: 2.0}, sample_weight=np.ones(len(Y)))


@pytest.mark.parametrize(
    ("y", "loss", "message"),
    [
        (np.eye(3)[Y], "sparse_categorical_crossentropy", '"categorical_crossentropy"'),
        (Y, "categorical_crossentropy", '"sparse_categorical_crossentropy"'),
        (Y[:, None], keras.losses.CategoricalCrossentropy(), '"sparse_'),
        (Y, "mse", '"sparse_'),
    ],
)
def test_labels_of_the_other_form_are_refused(y, loss, message):
    with pytest.raises(ValueError, match=rf"`y` is .*: compile with {message}"):
        fit(compiled(network(), loss=loss), y=y)


@pytest.mark.parametrize(
    "callbacks", [[OverloadingCallback], ["early_stopping"], {3}, [len]], ids=str
)
def test_what_is_no_callback_is_refused(callbacks):
    message = r"`callbacks` must be a list of Keras callbacks.*Received: .* among them"
    with pytest.raises(TypeError, match=message):
        compiled(network()).fit(X, Y, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (X, TypeError),
        ((X,), TypeError),
        ([], TypeError),
        ((X, {"probabilities": Y}), TypeError),
        ("validation", TypeError),
        (False, TypeError),
        ((X, Y[:5]), ValueError),
    ],
    ids=str,
)
def test_validation_data_are_refused_before_the_first_epoch(data, error):
    with pytest.raises(error, match=r"`validation_data` must be .*Received: "):
        fit(validation_data=data)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((X, np.eye(3)[Y]), ValueError, "labels that fit .*`y` is one-hot"),
        ((X, Y + 1), ValueError, "labels that fit .*n_classes=3"),
        ((X, Y + 0.5), ValueError, "labels that fit .*whole numbers"),
        ((X, Y.astype(str)), TypeError, "labels that fit .*must be numbers"),
        ((X[:0], Y[:0]), ValueError, "labels that fit .*at least one label"),
        ((X[:, :4], Y), ValueError, r"inputs as the model .*\(None, 6\)"),
        ((X.astype(str), Y), ValueError, "inputs as the model"),
        ((X, Y, np.ones((78, 2))), ValueError, "one number per sample as weight"),
    ],
    ids=["one-hot", "range", "half", "text", "none", "width", "text in x", "weights"],
)
def test_validation_arrays_are_checked_before_the_first_epoch(data, error, message):
    begun = []
    told = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begun.append(1))
    with pytest.raises(error, match=rf"`validation_data` must have {message}"):
        fit(validation_data=data, callbacks=[told])
    assert not begun


def test_a_check_of_validation_arrays_leaves_random_layers_alone():
    """Layers that augment images do so if nobody says that it is not training."""
    inputs = keras.Input((6,))
    x = keras.layers.Reshape((2, 3, 1))(inputs)
    x = keras.layers.RandomBrightness(0.5, (-9, 9), seed=1)(x)
    e = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})

    def begin(*_):
        raise InterruptedError

    told = keras.callbacks.LambdaCallback(on_train_begin=begin)
    before = [v.numpy() for v in model.variables]  # The state of the seed too.
    model(tf.zeros((1, 6)), training=True)
    drawn = [v.numpy() for v in model.variables]
    assert largest_difference(before, drawn) > 0
    with pytest.raises(InterruptedError):
        fit(compiled(model), validation_data=(X, Y), callbacks=[told])
    assert largest_difference(drawn, [v.numpy() for v in model.variables]) == 0


@pytest.mark.filterwarnings("ignore:Many samples have a copy")
@pytest.mark.parametrize("dtype", ["O", "U"])
def test_validation_arrays_may_have_strings_as_keras_takes_them(dtype):
    inputs = keras.Input((), dtype="string")
    words = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
    e = keras.layers.Dense(4)(words(inputs))
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    x = np.where(Y == 1, "a", "b").astype(dtype)
    compiled(model, jit_compile=False)
    if dtype == "O":
        _, history = fit(model, x=x, validation_data=(x, Y))
        assert len(history.history["val_loss"]) == 2
    else:
        with pytest.raises(ValueError, match="inputs as the model takes them"):
            fit(model, x=x, validation_data=(x, Y))


def test_validation_labels_may_be_mixed():
    """As those of mixup; class indices would be one-hot too."""
    soft = 0.9 * np.eye(3)[Y] + 0.1 / 3
    model = compiled(network(), loss="categorical_crossentropy")
    _, history = fit(model, y=np.eye(3)[Y], validation_data=(X, soft))
    assert np.isfinite(history.history["val_loss"]).all()
    with pytest.raises(ValueError, match=r"labels that fit .*a column for each of 3"):
        fit(model, y=np.eye(3)[Y], validation_data=(X, np.eye(4)[Y]))


def test_validation_data_without_end_are_refused():
    endless = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat()
    with pytest.raises(ValueError, match=r"`validation_data` must end.*Received"):
        fit(validation_data=endless)
    _, history = fit(validation_data=endless, validation_steps=2)
    assert len(history.history["val_loss"]) == 2


@pytest.mark.slow
def test_a_warm_up_that_moves_is_told_of():
    model, _ = fit(epochs=3)
    with pytest.warns(UserWarning, match="pass `warmup_epochs`.*initial_epoch=3"):
        fit(model, settings={"k": 3}, initial_epoch=3, epochs=6)


def test_copies_of_samples_are_told_of():
    x, y = np.concatenate([X, X]), np.concatenate([Y, Y])
    with pytest.warns(UserWarning, match=r"Many samples have a copy.*100% of"):
        fit(x=x, y=y)
    words = np.array([["a"], ["b"], ["a"], ["c"]])
    parts = {"a": words, "b": np.array([[1], [2], [1], [1]])}
    assert InMemory(parts, np.zeros(4, int)).share_of_copies() == 0.5
    half = tf.cast([[1.0], [1.0], [2.0], [3.0]], tf.bfloat16)
    assert InMemory(half, np.zeros(4, int)).share_of_copies() == 0.5


@pytest.mark.slow
def test_rounds_begin_after_other_callbacks_have_changed_the_weights():
    """SwapEMAWeights has the averaged weights in the model between two epochs."""
    seen = []

    class Search:
        def search(self, vectors, k):
            seen.append(vectors[:, :1].copy())
            raise InterruptedError

    class Raw(keras.callbacks.Callback):
        """Embeds with the weights that the epoch trains."""

        def on_train_batch_end(self, batch, logs=None):
            self.embeddings = self.model.embedder.predict(X, verbose=0)

    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    model, raw = compiled(network(), optimizer=optimizer), Raw()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    settings = {"warmup_epochs": 1, "neighbor_search": Search(), "embeddings": "pass"}
    with pytest.raises(InterruptedError):
        fit(model, callbacks=[swap, raw], settings={"k": 3, **settings})
    np.testing.assert_allclose(seen[0][:, 0], raw.embeddings[Y == 0][:, 0], atol=1e-6)
