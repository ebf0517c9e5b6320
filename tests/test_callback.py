"""OverloadingCallback among the other callbacks of one `fit`."""

import contextlib
import copy
import csv
import gc
import inspect
import os
import pickle
import re
import subprocess
import sys
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import blobs, compiled, identity_network, largest_difference, network

from keras_dos import DOSModel, MicroClusterObjective, OverloadingCallback
from keras_dos.samples import InMemory
from keras_dos.schedule import WarmupSchedule
from keras_dos.search import ExactSearch
from keras_dos.settings import Settings


def fit(model, callback=None, others=(), epochs=6, **kwargs):
    x, y = blobs()
    callback = callback or OverloadingCallback(k=3)
    return model.fit(
        x, y, epochs=epochs, verbose=0, callbacks=[*others, callback], **kwargs
    )


def test_one_fit_has_one_history_with_the_same_keys_in_every_epoch():
    history = fit(compiled(network()), validation_split=0.2)
    assert set(history.history) == {
        "accuracy",
        "classification_loss",
        "embedding_loss",
        "loss",
        "majority_variance",
        "minority_variance",
        "refresh_time",
        "val_accuracy",
        "val_loss",
    }
    assert {len(values) for values in history.history.values()} == {6}
    assert history.epoch == list(range(6))


@pytest.mark.parametrize(
    ("epochs", "warmup", "first_round"), [(6, None, 4), (10, None, 6), (6, 2, 2)]
)
def test_rounds_follow_the_warm_up(epochs, warmup, first_round):
    callback = OverloadingCallback(k=3, warmup_epochs=warmup)
    history = fit(compiled(network()), callback, epochs=epochs).history
    np.testing.assert_array_equal(history["refresh_time"][:first_round], 0)
    assert min(history["refresh_time"][first_round:]) > 0
    for name in ("embedding_loss", "minority_variance", "majority_variance"):
        np.testing.assert_array_equal(history[name][:first_round], np.inf)
        assert np.isfinite(history[name][first_round:]).all()
        assert min(history[name]) > 0


def test_without_neighbors_there_is_no_variance_to_log():
    history = fit(compiled(network()), OverloadingCallback(k=0), epochs=2).history
    assert set(history) == {
        "accuracy",
        "classification_loss",
        "embedding_loss",
        "loss",
        "refresh_time",
    }


def test_the_logs_of_an_epoch_are_its_own():
    """With learning rate 0 an epoch is the same after another or alone."""
    callback = OverloadingCallback(k=3, warmup_epochs=1)
    names = ("classification_loss", "embedding_loss")
    both, alone = (
        fit(
            compiled(identity_network(), learning_rate=0.0),
            callback,
            epochs=2,
            initial_epoch=first,
        ).history
        for first in (0, 1)
    )
    for name in names:
        np.testing.assert_allclose(both[name][1], alone[name][0], rtol=1e-6)
        assert abs(both[name][0] - both[name][1]) > 1e-3


def test_a_caller_may_keep_no_logs():
    callback = OverloadingCallback(k=3)
    without = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: callback.on_epoch_end(epoch)
    )
    history = fit(compiled(network()), callback, [without], epochs=2).history
    assert len(history["refresh_time"]) == 2


def test_one_epoch_is_one_round():
    callback = OverloadingCallback(k=3, embeddings="pass")
    history = fit(compiled(network()), callback, epochs=1).history
    assert history["embedding_loss"][0] > 0


def test_refreshing_every_third_epoch():
    callback = OverloadingCallback(k=3, warmup_epochs=1, refresh_freq=3)
    history = fit(compiled(network()), callback, epochs=8).history
    refreshed = np.array(history["refresh_time"]) > 0
    assert refreshed.tolist() == [e in (1, 4, 7) for e in range(8)]


def test_the_variances_are_those_of_the_embeddings():
    x, y = blobs()
    callback = OverloadingCallback(k=3, embeddings="pass")
    history = fit(compiled(identity_network()), callback, epochs=1).history

    def variance(j):
        members = x[y == j].astype("float64")
        return np.mean([np.sum((v - members.mean(0)) ** 2) for v in members])

    np.testing.assert_allclose(history["minority_variance"], variance(2), rtol=1e-5)
    np.testing.assert_allclose(
        history["majority_variance"], (variance(0) + variance(1)) / 2, rtol=1e-5
    )


def test_rounds_shrink_the_variance():
    callback = OverloadingCallback(warmup_epochs=10, embedding_weight=0.3)
    history = fit(compiled(network()), callback, epochs=20).history
    for name in ("minority_variance", "majority_variance"):
        assert history[name][-1] < 0.8 * history[name][10]


def test_an_epoch_is_one_pass_over_the_over_sampled_set():
    steps = []
    counter = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda e, logs: steps.append(0),
        on_train_batch_end=lambda b, logs: steps.__setitem__(-1, steps[-1] + 1),
    )
    fit(compiled(network()), OverloadingCallback(k=3), [counter], batch_size=16)
    assert steps == [7] * 6  # 40 + 40 + 3 * 8 samples.


def test_other_callbacks_see_the_logs_wherever_they_stand(tmp_path):
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras",
        monitor="minority_variance",
        mode="min",
        save_best_only=True,
    )
    board = keras.callbacks.TensorBoard(tmp_path / "board")
    schedule = keras.callbacks.LearningRateScheduler(lambda e: 0.1 / (e + 1))
    model = compiled(network())
    history = fit(model, others=[logger, checkpoint, board, schedule]).history
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    for name in ("embedding_loss", "refresh_time", "majority_variance"):
        np.testing.assert_allclose(
            [float(row[name]) for row in rows], history[name], rtol=1e-6
        )
    assert checkpoint.best == min(history["minority_variance"])
    assert keras.models.load_model(tmp_path / "best.keras").built
    assert list(tmp_path.glob("board/train/*"))
    np.testing.assert_allclose(
        history["learning_rate"], [0.1 / (e + 1) for e in range(6)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["embedding_loss", "minority_variance"])
def test_monitors_of_what_the_warm_up_cannot_measure_keep_a_round(tmp_path, monitor):
    stop = keras.callbacks.EarlyStopping(
        monitor, mode="min", patience=7, restore_best_weights=True
    )
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.keras", monitor=monitor, mode="min", save_best_only=True
    )
    plateau = keras.callbacks.ReduceLROnPlateau(monitor, mode="min", min_delta=0)
    monitors = [stop, checkpoint, plateau]
    values = fit(compiled(network()), others=monitors, epochs=6).history[monitor]
    assert np.isfinite(values).tolist() == 4 * [False] + 2 * [True]
    assert [callback.best for callback in monitors] == [min(values)] * 3
    assert stop.best_epoch == np.argmin(values)
    assert (tmp_path / "5.keras").exists()  # The first round.


def test_logs_have_values_that_progress_bars_show(capsys):
    x, y = blobs()
    callback = OverloadingCallback(k=3, warmup_epochs=1)
    compiled(network()).fit(x, y, epochs=2, verbose=2, callbacks=[callback])
    warmup, rounds = re.findall("embedding_loss: (\\S+)", capsys.readouterr().out)
    assert warmup == "inf"
    assert 0 < float(rounds) < 100


def test_early_stopping_after_the_rounds_began():
    # Stops at the first epoch that does not lower the accuracy.
    stop = keras.callbacks.EarlyStopping(
        monitor="accuracy", patience=0, mode="min", start_from_epoch=6
    )
    history = fit(compiled(network()), others=[stop], epochs=9).history
    assert len(history["loss"]) == 8


def test_early_stopping_before_the_first_round_warns():
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, mode="max")
    with pytest.warns(UserWarning, match=r"before the first round.*epoch 7.*=6"):
        fit(compiled(network()), others=[stop], epochs=9)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interrupted_at", "order"), [(1, "before"), (3, "after"), (5, "before")]
)
def test_a_resumed_training_equals_an_uninterrupted_one(
    tmp_path, interrupted_at, order
):
    def callbacks(*more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        own = OverloadingCallback(k=3, r=2.5, warmup_epochs=3, embeddings="pass")
        both = [backup, own] if order == "before" else [own, backup]
        return [*both, *more]

    x, y = blobs()
    settings = {"epochs": 7, "verbose": 0}

    def new_model(seed=0):
        return compiled(network(seed=seed), optimizer=keras.optimizers.SGD(0.05, 0.9))

    straight = new_model()
    straight.fit(x, y, callbacks=callbacks()[:2], **settings)
    with pytest.raises(InterruptedError):
        new_model().fit(
            x, y, callbacks=callbacks(Interrupt(interrupted_at)), **settings
        )
    resumed = new_model(seed=5)
    history = resumed.fit(x, y, callbacks=callbacks(), **settings)
    assert history.epoch == list(range(interrupted_at, 7))
    assert largest_difference(straight.get_weights(), resumed.get_weights()) == 0


@pytest.mark.slow
def test_initial_epoch_keeps_the_places_of_warm_up_and_rounds():
    x, y = blobs()
    callback = OverloadingCallback(k=3, warmup_epochs=3, embeddings="pass")
    whole = compiled(network())
    whole.fit(x, y, epochs=6, verbose=0, callbacks=[callback])
    parts = compiled(network())
    parts.fit(x, y, epochs=4, verbose=0, callbacks=[callback])
    parts.fit(x, y, epochs=6, initial_epoch=4, verbose=0, callbacks=[callback])
    assert largest_difference(whole.get_weights(), parts.get_weights()) == 0


def test_an_interrupted_fit_leaves_a_plain_model():
    x, y = blobs()
    model = compiled(network())
    with pytest.raises(InterruptedError):
        model.fit(
            x,
            y,
            verbose=0,
            callbacks=[
                OverloadingCallback(warmup_epochs=0, embeddings="pass"),
                Interrupt(0),
            ],
        )
    assert "embedding_loss" not in model.fit(x, y, verbose=0).history


def test_a_large_batch_and_a_tiny_class_train():
    x, y = blobs((20, 1, 2))
    model = compiled(network())
    history = model.fit(
        x, y, batch_size=512, epochs=3, verbose=0, callbacks=[OverloadingCallback(k=10)]
    ).history
    assert np.isfinite(history["loss"]).all()


def test_a_handful_of_samples_trains():
    x, y = blobs((3, 2))
    history = (
        compiled(network(n=2))
        .fit(
            x, y, epochs=2, verbose=0, callbacks=[OverloadingCallback(warmup_epochs=1)]
        )
        .history
    )
    assert history["embedding_loss"][1] > 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"warmup_epochs": -1}, ValueError, "warmup_epochs=-1"),
        ({"warmup_epochs": 1.5}, TypeError, "warmup_epochs=1.5"),
        ({"refresh_freq": 0}, ValueError, "refresh_freq=0"),
        ({"refresh_freq": True}, TypeError, "refresh_freq=True"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": "a"}, TypeError, "seed='a'"),
        ({"loss_form": "raw"}, ValueError, "loss_form='raw'"),
        ({"embedding_weight": -0.1}, ValueError, "embedding_weight=-0.1"),
        ({"embedding_weight": float("nan")}, ValueError, "embedding_weight=nan"),
        ({"embedding_weight": "big"}, TypeError, "embedding_weight='big'"),
        ({"logit_adjustment": float("inf")}, ValueError, "logit_adjustment=inf"),
        ({"embedding_weight": 1e300}, ValueError, "embedding_weight=1e\\+300"),
        ({"logit_adjustment": 1e300}, ValueError, "logit_adjustment=1e\\+300"),
        ({"k": -1}, ValueError, "k=-1"),
        ({"r": 0}, ValueError, "r=0"),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(arguments, error, message):
    with pytest.raises(error, match=f"Received: .*{message}"):
        OverloadingCallback(**arguments)


def test_an_unknown_search_is_refused_before_training():
    with pytest.raises(ValueError, match=r"Received: .*'annoy'"):
        fit(compiled(network()), OverloadingCallback(neighbor_search="annoy"))


def test_a_plain_model_is_refused():
    x, y = blobs()
    model = compiled(network().classifier)
    with pytest.raises(TypeError, match=r"from_classifier.*type Functional"):
        model.fit(x, y, verbose=0, callbacks=[OverloadingCallback()])


def test_two_of_them_are_refused():
    with pytest.raises(ValueError, match="Received: 2"):
        fit(compiled(network()), others=[OverloadingCallback()])


def test_a_warm_up_without_end_is_refused():
    callback = OverloadingCallback(warmup_epochs=6)
    with pytest.raises(ValueError, match=r"leaves no epoch.*warmup_epochs=6.*epochs=6"):
        fit(compiled(network()), callback)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_diverged_embeddings_end_with_a_remedy(value):
    x, y = blobs()
    inputs = keras.Input((6,))
    e = keras.layers.Dense(5, name="f")(inputs)
    p = keras.layers.Dense(3, "softmax")(e)
    model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}))
    bias = np.array([0, 0, value, 0, 0])  # One number of an embedding is enough.
    diverge = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: model.get_layer("f").bias.assign(bias)
    )
    with pytest.raises(
        ValueError, match=r"not finite.*clipnorm.*Received: 78 of 78.*epoch 1"
    ):
        model.fit(
            x,
            y,
            verbose=0,
            callbacks=[
                OverloadingCallback(warmup_epochs=0, embeddings="pass"),
                diverge,
            ],
        )


def test_a_dead_network_warns():
    inputs = keras.Input((6,))
    e = keras.layers.Dense(4, kernel_initializer="zeros")(inputs)
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}), 0.0)
    with pytest.warns(UserWarning, match="All embeddings are equal"):
        history = fit(model, epochs=2).history
    assert np.isfinite(history["loss"]).all()


def test_embeddings_far_from_those_stored_warn():
    """Fresh batch normalization: at inference the embedding is nearly constant."""
    inputs = keras.Input((6,))
    small = keras.layers.Rescaling(1e-3)(inputs)
    e = keras.layers.BatchNormalization(epsilon=1e-7)(small)
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}), 0.0)
    with pytest.warns(UserWarning, match=r"BatchNormalization.*in epoch 1") as told:
        fit(
            model,
            OverloadingCallback(k=3, warmup_epochs=0, embeddings="pass"),
            epochs=2,
        )
    assert len(told) == 1  # Not again in each epoch.


@pytest.mark.slow
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("settings", [{}, {"k_majority": 0}])
def test_far_embeddings_warn_whatever_fraction_has_neighbors(settings, validated):
    x, y = blobs((600, 40, 12))
    model = compiled(network(), optimizer=keras.optimizers.SGD(2.0))
    callback = OverloadingCallback(warmup_epochs=0, embeddings="pass", **settings)
    with pytest.warns(UserWarning, match="far from those stored"):
        model.fit(
            x,
            y,
            epochs=3,
            verbose=0,
            validation_data=(x[:9], y[:9]) if validated else None,
            callbacks=[callback],
        )


@pytest.mark.slow
def test_the_scale_of_the_loss_does_not_warn():
    """Warnings are errors here."""
    x, y = blobs()
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    model = compiled(network(), learning_rate=1e-3, loss=loss)
    history = model.fit(
        x,
        y,
        epochs=3,
        sample_weight=np.full(len(y), 5.0),
        validation_data=(x, y),
        verbose=0,
        callbacks=[OverloadingCallback()],
    ).history
    assert history["embedding_loss"][-1] > 20


def test_large_distances_of_the_paper_do_not_warn():
    """They have no unit in which they could be usual."""
    x, y = blobs(spread=5.0)
    callback = OverloadingCallback(
        k=3, warmup_epochs=0, embeddings="pass", loss_form="paper"
    )
    model = compiled(identity_network(), learning_rate=0.0)
    history = model.fit(x, y, verbose=0, callbacks=[callback]).history
    assert history["embedding_loss"][0] > 20


@pytest.mark.parametrize("settings", [{"epochs": 3, "initial_epoch": 3}, {"epochs": 0}])
def test_a_training_that_is_over_does_not_warn_and_changes_nothing(settings):
    x, y = blobs()
    model = compiled(network(head=[keras.layers.BatchNormalization()]))
    before = model.get_weights()
    callback = OverloadingCallback()
    history = model.fit(x, y, verbose=0, callbacks=[callback], **settings)
    assert history.epoch == []
    assert largest_difference(before, model.get_weights()) == 0


def test_after_fit_neither_model_nor_callback_holds_a_training():
    x, y = blobs()
    model = compiled(network())
    callback = OverloadingCallback(warmup_epochs=0, embeddings="pass")
    before = pickle.dumps(callback)
    for others in ([], [Interrupt(0)]):
        with contextlib.suppress(InterruptedError):
            model.fit(x, y, verbose=0, callbacks=[callback, *others])
        assert model.rounds is None
        assert pickle.dumps(callback) == before


@pytest.mark.slow
def test_what_a_training_held_in_memory_is_free_after_it():
    held = []
    model = compiled(network())
    watch = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: held.append(weakref.ref(model.rounds))
    )
    fit(model, others=[watch], epochs=3)
    gc.collect()
    assert [training() for training in held] == [None]


@pytest.mark.slow
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c)), lambda c: c]
)
def test_a_used_callback_and_its_copies_train_alike(copied):
    objective = MicroClusterObjective(temperature=0.3)
    callback = OverloadingCallback(
        k={0: 2, 2: 3},
        schedule=WarmupSchedule(1),
        neighbor_search=ExactSearch(),
        loss_form=objective,
    )
    first = compiled(network())
    fit(first, callback, epochs=3)
    second = compiled(network())
    fit(second, copied(callback), epochs=3)
    assert largest_difference(first.get_weights(), second.get_weights()) == 0


def test_a_custom_search_is_called_for_each_class():
    asked = []

    class Search:
        def search(self, vectors, k):
            asked.append((vectors.shape, k))
            distances = ((vectors[:, None] - vectors) ** 2).sum(-1)
            ids = distances.argsort(1)[:, :k]
            return ids, np.take_along_axis(distances, ids, 1)

    callback = OverloadingCallback(
        k=3, neighbor_search=Search(), warmup_epochs=0, embeddings="pass"
    )
    fit(compiled(network()), callback, epochs=1)
    assert asked == [((40, 5), 4), ((30, 5), 4), ((8, 5), 4)]


@pytest.mark.slow
def test_augmentation_layers_act_in_training_and_not_in_a_pass():
    """The documented place for augmentation: inside the model."""
    x, y = blobs()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    noisy = keras.layers.GaussianNoise(1.0, seed=1)(inputs)
    e = keras.layers.Activation("linear")(noisy)
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}))
    callback = OverloadingCallback(k=3, embeddings="pass")
    history = fit(model, callback, epochs=1).history
    members = x[y == 2]
    variance = np.mean(((members - members.mean(0)) ** 2).sum(1))
    np.testing.assert_allclose(history["minority_variance"], variance, rtol=1e-5)
    plain = fit(compiled(identity_network()), callback, epochs=1).history
    # Noise moves f(x) away from the neighbors, which are stored without it.
    assert history["embedding_loss"][0] > 1.5 * plain["embedding_loss"][0]


@pytest.mark.slow
def test_a_dataset_streamed_from_files_trains(tmp_path):
    x, y = blobs()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)

    def samples():
        yield from zip(
            np.load(tmp_path / "x.npy"), np.load(tmp_path / "y.npy"), strict=True
        )

    signature = (
        tf.TensorSpec((6,), tf.float32),
        tf.TensorSpec((), tf.int64),
    )
    dataset = tf.data.Dataset.from_generator(samples, output_signature=signature)
    model = compiled(network())
    model.fit(
        dataset.batch(16).cache(str(tmp_path / "cache")),
        epochs=3,
        verbose=0,
        callbacks=[OverloadingCallback(k=3)],
    )
    arrays = compiled(network())
    arrays.fit(
        x, y, batch_size=16, epochs=3, verbose=0, callbacks=[OverloadingCallback(k=3)]
    )
    assert largest_difference(model.get_weights(), arrays.get_weights()) == 0


@pytest.mark.slow
def test_a_fit_within_a_fit_leaves_the_outer_one_as_it_was():
    x, y = blobs()
    inner = []

    class Inner(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                callback = OverloadingCallback(k=2, warmup_epochs=0, embeddings="pass")
                fit = self.model.fit(x, y, verbose=0, callbacks=[callback])
                inner.append(fit.history["embedding_loss"])

    model = compiled(network())
    history = fit(model, OverloadingCallback(k=3), [Inner()], epochs=3).history
    assert len(inner) == 1
    assert history["embedding_loss"][-1] > 0
    assert model.rounds is None


def test_settings_have_the_defaults_of_the_callback():
    ours = inspect.signature(OverloadingCallback).parameters
    theirs = inspect.signature(Settings).parameters
    assert list(ours) == list(theirs)
    for name, parameter in ours.items():
        assert parameter.default == theirs[name].default, name
    with pytest.raises(AttributeError):
        OverloadingCallback().settings.k = 3


@pytest.mark.parametrize("epochs", ["2", None, 2.0])
def test_epochs_must_be_an_integer(epochs):
    with pytest.raises(TypeError, match="`epochs` must be an integer"):
        fit(compiled(network()), epochs=epochs)


@pytest.mark.parametrize(
    ("initial_epoch", "error", "message"),
    [(-1, ValueError, "at least 0"), ("1", TypeError, "an integer")],
)
def test_a_bad_initial_epoch_is_refused(initial_epoch, error, message):
    with pytest.raises(error, match=f"^`initial_epoch` must be {message}"):
        fit(compiled(network()), epochs=3, initial_epoch=initial_epoch)


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
def test_a_callback_list_of_keras_is_taken_apart(nested):
    x, y = blobs()
    expected = compiled(network())
    model = compiled(network())
    epochs = []
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epochs.append(logs["embedding_loss"])
    )
    fit(expected, OverloadingCallback(k=3), epochs=3)
    listed = keras.callbacks.CallbackList([count, OverloadingCallback(k=3)])
    callbacks = [listed] if nested else listed
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=callbacks).history
    assert history["embedding_loss"] == epochs
    assert largest_difference(expected.get_weights(), model.get_weights()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["train_on_batch", "fit"])
def test_other_steps_inside_a_callback_are_plain(way):
    """They are those of a plain classifier with the same weights."""
    x, y = blobs()
    model, plain = compiled(network()), compiled(network())

    def step(epoch, logs):
        if epoch == 2:  # After a round; the last epoch, so that nothing follows.
            plain.set_weights(model.get_weights())
            for each in (model, plain):
                if way == "fit":
                    each.fit(x, y, shuffle=False, batch_size=20, verbose=0)
                else:
                    each.train_on_batch(x[:8], y[:8])

    inside = keras.callbacks.LambdaCallback(on_epoch_end=step)
    fit(model, OverloadingCallback(k=3), others=[inside], epochs=3)
    assert largest_difference(model.get_weights(), network().get_weights()) > 1e-3
    values = [[v.numpy() for v in each.trainable_weights] for each in (model, plain)]
    assert largest_difference(*values) < 1e-6


DEBUGGED = """
import sys
from toy import blobs, compiled, network
from keras_dos import OverloadingCallback

def look(frame, event, argument):
    frame.f_locals  # As a debugger does; Python may write it back into the frame.
    return look if frame.f_code.co_name == "fit" else None

x, y = blobs()
model = compiled(network())
sys.settrace(look)
model.fit(x, y, verbose=0)
model.fit(x, y, verbose=0, callbacks=[OverloadingCallback(k=3)])
sys.settrace(None)
print("fitted")
"""


@pytest.mark.slow
def test_fit_works_under_a_debugger():
    done = subprocess.run(
        [sys.executable, "-c", DEBUGGED],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "fitted\n", done.stderr[-2000:]


# The length of an epoch.


@pytest.mark.slow
@pytest.mark.parametrize("r", ["moderate", "balance", 2.5, [1, 2, 3]])
def test_steps_per_epoch_are_those_of_fit(r):
    x, y = blobs()
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: steps.append(step)
    )
    callback = OverloadingCallback(k=3, r=r)
    compiled(network()).fit(
        x, y, batch_size=7, epochs=2, verbose=0, callbacks=[callback, count]
    )
    assert len(steps) == 2 * callback.steps_per_epoch(y, batch_size=7)
    one_hot = np.eye(3)[y]
    assert callback.steps_per_epoch(one_hot, 7) == callback.steps_per_epoch(y, 7)
    source = InMemory(x, y, batch_size=7)
    assert callback.steps_per_epoch(source) == callback.steps_per_epoch(y, 7)


@pytest.mark.parametrize(
    ("y", "batch_size", "error", "message"),
    [
        ([0, 1, -1], 32, ValueError, "-1"),
        ([0, 1, 1], 0, ValueError, "`batch_size` must be at least 1"),
        ([0, 1, 1], 1.5, TypeError, "`batch_size` must be an integer"),
        ("labels", 32, TypeError, "`labels`"),
    ],
)
def test_steps_per_epoch_refuses_bad_arguments(y, batch_size, error, message):
    with pytest.raises(error, match=message):
        OverloadingCallback(r=[1, 2]).steps_per_epoch(y, batch_size)


@pytest.mark.slow
def test_epochs_that_r_makes_very_long_are_warned_of():
    x, y = blobs((60, 50, 4))
    model = compiled(network())
    callback = OverloadingCallback(k=0, r={2: 300})
    message = r"1,310 quadruplets of 114 samples.*11 times as long"
    with pytest.warns(UserWarning, match=message):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
    callback = OverloadingCallback(k=0, r={2: 250})
    model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
