"""A killed training that goes on from its backup equals one that was not killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from killed import BATCH, X, Y, everything, model_with_random_layers, train

from keras_dos import BackupAndRestore, MicroClusterObjective, OverloadingCallback
from keras_dos.description import described, differences

TESTS = Path(__file__).parent

# With so few samples BatchNormalization differs between training and a pass.
pytestmark = pytest.mark.filterwarnings("ignore:The embeddings in training lie far")


class Stop(keras.callbacks.Callback):
    """Raises after a step of an epoch; notes what it sees of each step."""

    def __init__(self, epoch=None, step=None):
        super().__init__()
        self.at, self.epoch, self.seen = (epoch, step), None, []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((self.epoch, batch, bool(logs)))
        if (self.epoch, batch) == self.at:
            raise InterruptedError


def interrupted(folder, epoch, step, **settings):
    with pytest.raises(InterruptedError):
        train(folder, [Stop(epoch, step)], **settings)


def equal(values, others):
    return all(np.array_equal(a, b) for a, b in zip(values, others, strict=True))


@pytest.mark.slow
def test_it_goes_on_within_an_epoch(tmp_path):
    whole, history = train(None)
    interrupted(tmp_path, 3, 9, save_freq=4)
    watch = Stop()
    resumed, rest = train(tmp_path, [watch], save_freq=4)
    assert equal(everything(whole), everything(resumed))
    assert rest.epoch == [3, 4, 5]
    # The first eight steps of epoch 4 were taken before.
    assert watch.seen[:10] == [(3, i, i >= 8) for i in range(10)]
    for name in ("loss", "accuracy", "embedding_loss", "minority_variance"):
        assert rest.history[name][1:] == history.history[name][4:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epoch", "step", "settings"),
    [
        (0, 5, {"save_freq": 2}),
        (0, 5, {"save_freq": "epoch"}),  # Before any backup.
        (2, 0, {"save_freq": 1}),
        (4, 12, {"save_freq": 13}),  # The last step of an epoch.
        (3, 7, {"save_freq": 5, "embeddings": "pass"}),
        (3, 7, {"save_freq": "epoch", "embeddings": "pass"}),
        (3, 7, {"save_freq": 5, "table_dtype": "float16"}),
        (4, 0, {"save_freq": "epoch", "refresh_freq": 2, "table_dir": "."}),
        (3, 7, {"save_freq": 5, "refresh_freq": 2}),
        (3, 7, {"save_freq": "epoch", "refresh_freq": 2}),
        (5, 7, {"save_freq": "epoch", "refresh_freq": 3}),
        (4, 11, {"save_freq": 5, "steps": 3}),
        (4, 11, {"save_freq": 5, "steps": 4}),
        (3, 7, {"save_freq": 5, "r": "balance"}),
        (3, 7, {"save_freq": 5, "loss_form": "paper"}),
    ],
)
def test_it_goes_on_wherever_it_was_interrupted(tmp_path, epoch, step, settings):
    others = {name: value for name, value in settings.items() if name != "save_freq"}
    whole, _ = train(None, **others)
    interrupted(tmp_path, epoch, step, **settings)
    resumed, _ = train(tmp_path, **settings)
    assert equal(everything(whole), everything(resumed))


def killed(folder, settings, *moment):
    """Run killed.py; return whether it was killed."""
    arguments = [sys.executable, TESTS / "killed.py", folder, json.dumps(settings)]
    done = subprocess.run(
        [*arguments, *map(str, moment)], capture_output=True, text=True, timeout=600
    )
    signals = (-signal.SIGKILL, -signal.SIGXFSZ)
    assert done.returncode in (0, *signals), done.stderr
    return done.returncode in signals


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "settings"),
    [
        ("write", {"save_freq": 4}),
        ("refresh", {"save_freq": "epoch", "refresh_freq": 2}),
        ("step", {"save_freq": 7, "embeddings": "pass"}),
    ],
)
def test_it_goes_on_after_a_kill(tmp_path, moment, settings):
    assert killed(tmp_path, settings, moment, 1)
    killed(tmp_path, settings)
    others = {name: value for name, value in settings.items() if name != "save_freq"}
    whole, _ = train(None, **others)
    with np.load(tmp_path / "end.npz") as resumed:
        assert equal(everything(whole), [resumed[name] for name in resumed.files])


@pytest.mark.slow
def test_a_finished_training_leaves_no_backup(tmp_path):
    model, _ = train(tmp_path)
    assert not list(tmp_path.iterdir())
    # Nor is the next training one that goes on.
    assert len(model.fit(X, Y, epochs=1, verbose=0).epoch) == 1


def test_a_backup_and_its_name_are_on_the_disk(tmp_path, disk_events):
    """The file before it has its name, the name before training goes on."""
    interrupted(tmp_path, 1, 0)  # With the backup of one epoch.
    (backup,) = tmp_path.iterdir()
    assert disk_events == [backup.stat().st_ino, "replace", tmp_path.stat().st_ino]


@pytest.mark.slow
def test_a_training_that_goes_on_does_not_move_the_next(tmp_path):
    interrupted(tmp_path, 3, 2)
    model, _ = train(tmp_path)
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


@pytest.mark.slow
def test_the_backup_of_another_training_is_refused(tmp_path):
    interrupted(tmp_path, 1, 2)
    model = model_with_random_layers()
    backup = BackupAndRestore(tmp_path)
    for settings in ({"k": 2, "seed": 5}, {"k": 3, "seed": 6}):
        own = OverloadingCallback(warmup_epochs=2, **settings)
        with pytest.raises(ValueError, match=r"backup of this training.*Received"):
            model.fit(X, Y, BATCH, epochs=6, callbacks=[own, backup], verbose=0)
    own = OverloadingCallback(k=3, warmup_epochs=2, seed=5, table_dtype="float16")
    with pytest.raises(ValueError, match=r"backup of this training.*float16"):
        model.fit(X, Y, BATCH, epochs=6, callbacks=[own, backup], verbose=0)
    own = OverloadingCallback(k=3, warmup_epochs=2, seed=5)
    swapped = Y.copy()
    swapped[[Y.argmin(), Y.argmax()]] = Y.max(), Y.min()
    with pytest.raises(ValueError, match=r"backup of this training.*Received"):
        model.fit(X, swapped, BATCH, epochs=6, callbacks=[own, backup], verbose=0)
    other = model_with_random_layers()
    other.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"backup of this training.*'Adam' there"):
        other.fit(X, Y, BATCH, epochs=6, callbacks=[own, backup], verbose=0)
    wider = model_with_random_layers(width=17)
    with pytest.raises(ValueError, match=r"backup of this training.*other shapes"):
        wider.fit(X, Y, BATCH, epochs=6, callbacks=[own, backup], verbose=0)


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory):
    """A folder with a backup of the first epoch."""
    folder = tmp_path_factory.mktemp("backup")
    interrupted(folder, 1, 2)
    return folder


def go_on(folder, model=None, **changed):
    """Fit with the settings of `train`, but for what has changed."""
    model = model or model_with_random_layers()
    of_fit = {name: changed.pop(name) for name in ("class_weight",) if name in changed}
    own = OverloadingCallback(**{"k": 3, "warmup_epochs": 2, "seed": 5, **changed})
    callbacks = [own, BackupAndRestore(folder)]
    model.fit(X, Y, BATCH, epochs=6, callbacks=callbacks, verbose=0, **of_fit)


def uniform(exists, rng):
    return exists / exists.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"k_majority": 0}, "classes="),
        ({"r": [1.6, 1, 1.25]}, "classes="),
        ({"embeddings": "pass"}, "embeddings='training' there and embeddings='pass'"),
        ({"embedding_weight": 0.5}, "embedding_weight=0.1 there .*=0.5 here"),
        ({"logit_adjustment": 0.5}, "logit_adjustment=1.0 there .*=0.5 here"),
        ({"loss_form": "paper"}, r"loss_form.cap=10.0 there .*=None here"),
        ({"loss_form": MicroClusterObjective(temperature=0.1)}, "loss_form.temperatur"),
        ({"warmup_epochs": 1}, "schedule.warmup_epochs=2 there"),
        ({"refresh_freq": 2}, "schedule.refresh_freq=1 there"),
        ({"weight_sampler": uniform}, "weight_sampler='draw_weights' there"),
        ({"class_weight": {0: 2.0}}, "class_weight.0=None there .*=2.0 here"),
    ],
)
def test_the_backup_of_other_settings_is_refused(backed_up, changed, named):
    with pytest.raises(ValueError, match=rf"backup of this training.*{named}"):
        go_on(backed_up, **changed)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"optimizer": keras.optimizers.Adam(0.01, beta_1=0.8)}, "optimizer.beta_1"),
        ({"optimizer": keras.optimizers.AdamW(0.01)}, "optimizer='Adam' there"),
        ({"loss": keras.losses.Poisson()}, "loss='sparse_categorical_crossentropy'"),
    ],
    ids=["beta", "class", "loss"],
)
def test_the_backup_of_a_model_compiled_otherwise_is_refused(backed_up, changed, named):
    model = model_with_random_layers()
    rest = {"optimizer": model.optimizer, "loss": model.loss}
    model.compile(**{**rest, **changed})
    y = np.eye(3)[Y] if "loss" in changed else Y
    own = OverloadingCallback(k=3, warmup_epochs=2, seed=5)
    callbacks = [own, BackupAndRestore(backed_up)]
    with pytest.raises(ValueError, match=rf"backup of this training.*{named}"):
        model.fit(X, y, BATCH, epochs=6, callbacks=callbacks, verbose=0)


@pytest.mark.slow
def test_a_learning_rate_that_has_changed_goes_on(tmp_path):
    def halve(epoch, rate):
        return rate / 2

    schedule = keras.callbacks.LearningRateScheduler(halve)
    with pytest.raises(InterruptedError):
        train(tmp_path, [schedule, Stop(3, 2)])
    model, _ = train(tmp_path, [schedule])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01 / 2**6)


def test_settings_are_known_by_what_they_hold():
    class Silent:
        def get_config(self):
            raise NotImplementedError

    class Odd:
        def get_config(self):
            return {"prior": np.array([0.5, 0.25]), "by": {1: np.float32(2)}, "f": len}

    assert described("a", Silent()) == {"a": Silent.__qualname__}
    assert described("a", Odd()) == {
        "a": Odd.__qualname__,
        "a.prior": [0.5, 0.25],
        "a.by.1": 2.0,
        "a.f": "len",
    }
    assert described("a", Silent) == {"a": Silent.__qualname__}
    assert described("a", {"b": [{(1, 2): 3, "c": 4}]}) == {"a.b": [{"c": 4}]}
    assert described("a", None) == {"a": None}


def test_what_differs_from_run_to_run_is_no_setting():
    class Addressed:
        def get_config(self):
            return {"f": repr(self), "lowest": np.array([np.nan, -np.inf]), "a": "at 0"}

    here, there = (described("loss", Addressed()) for _ in range(2))
    assert differences(here, there) == ""
    assert here == {
        "loss": Addressed.__qualname__,
        "loss.lowest": ["NaN", "-Infinity"],
        "loss.a": "at 0",
    }
    # Keras writes down the code of a lambda, with its lines, and warns.
    rate = keras.optimizers.SGD(lambda: 0.1)
    assert described("optimizer", rate)["optimizer.learning_rate"] == "<lambda>"


def test_a_backup_between_two_executions_is_refused(tmp_path):
    """Or the steps up to the end of an execution would be left out."""
    interrupted(tmp_path, 1, 3, save_freq=3)
    own = OverloadingCallback(k=3, warmup_epochs=2, seed=5)
    model, backup = model_with_random_layers(), BackupAndRestore(tmp_path)
    model.steps_per_execution = 2
    with pytest.raises(ValueError, match=r"`steps_per_execution` must divide.*3 steps"):
        model.fit(X, Y, BATCH, epochs=6, callbacks=[own, backup], verbose=0)


def test_a_file_that_is_no_backup_is_refused(tmp_path):
    (tmp_path / "backup.npz").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"`backup_dir`.*cannot be read"):
        train(tmp_path)
    np.savez(tmp_path / "backup.npz", weights=np.ones(3))
    with pytest.raises(ValueError, match=r"`backup_dir`.*cannot be read"):
        train(tmp_path)


def test_it_needs_the_overloading_callback(tmp_path):
    model = model_with_random_layers()
    with pytest.raises(TypeError, match=r"keras\.callbacks\.BackupAndRestore"):
        model.fit(X, Y, callbacks=[BackupAndRestore(tmp_path)], verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((None,), TypeError),
        (("",), ValueError),
        (("gs://bucket/backup",), ValueError),
        (("folder", 0), ValueError),
        (("folder", "batch"), TypeError),
        (("folder", 1.5), TypeError),
        (("folder", "epoch", "no"), TypeError),
    ],
)
def test_bad_arguments_are_refused(arguments, error):
    with pytest.raises(error, match=r"`(backup_dir|save_freq|delete_\w+)`.*Received"):
        BackupAndRestore(*arguments)
