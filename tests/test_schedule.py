"""What each epoch is: the schedule of the defaults, others, and what is refused."""

import keras
import numpy as np
import oracle
import pytest
from toy import blobs, compiled, identity_network, largest_difference, network

from keras_dos import OverloadingCallback
from keras_dos.schedule import (
    Epoch,
    WarmupSchedule,
    check_schedule,
    planned_epoch,
)


def planned(schedule, epochs):
    return [planned_epoch(schedule, epoch, epochs) for epoch in range(epochs)]


def phases(schedule, epochs):
    return "".join(epoch.phase[0] for epoch in planned(schedule, epochs))


@pytest.mark.parametrize(
    ("warmup", "freq", "epochs", "expected"),
    [
        (None, 1, 6, "wwwwoo"),
        (None, 1, 10, "wwwwwwoooo"),
        (None, 1, 1, "o"),
        (0, 1, 3, "ooo"),
        (1, 3, 8, "wokkokko"),
        (3, 100, 6, "wwwokk"),
    ],
)
def test_warm_up_and_rounds(warmup, freq, epochs, expected):
    schedule = WarmupSchedule(warmup, freq)
    assert phases(schedule, epochs) == expected
    for epoch in planned(schedule, epochs):
        assert epoch.embedding_scale == 1
        assert epoch.prior == (None if epoch.phase == "warmup" else "quadruplets")


@pytest.mark.slow
def test_the_default_is_the_schedule_of_the_callback():
    x, y = blobs()

    def weights(**arguments):
        model = compiled(network())
        callback = OverloadingCallback(k=3, **arguments)
        model.fit(x, y, epochs=6, verbose=0, callbacks=[callback])
        return model.get_weights()

    plain = weights(warmup_epochs=2, refresh_freq=2)
    assert largest_difference(plain, weights(schedule=WarmupSchedule(2, 2))) == 0
    assert largest_difference(plain, weights(schedule=WarmupSchedule(2, 1))) > 1e-6


def test_the_scale_multiplies_lambda():
    """With learning rate 0, losses of a round are those of its w and nothing else."""
    x, y = blobs((20, 15, 4))

    def schedule(epoch, epochs):
        return Epoch("keep", embedding_scale=epoch / 2)

    model = compiled(identity_network(), learning_rate=0.0)
    callback = OverloadingCallback(
        k=3, schedule=schedule, embedding_weight=0.4, embeddings="pass"
    )
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[callback]).history
    for epoch in range(4):
        parts = (history[n][epoch] for n in ("classification_loss", "embedding_loss"))
        class_loss, pull = parts
        expected = class_loss + 0.4 * epoch / 2 * pull
        np.testing.assert_allclose(history["loss"][epoch], expected, rtol=1e-5)
    assert history["embedding_loss"][0] > 0


@pytest.mark.filterwarnings("ignore:Many samples have a copy")
@pytest.mark.parametrize(
    ("phase", "prior", "expected"),
    [
        ("warmup", None, None),
        ("warmup", "samples", (24, 8)),
        ("overload", None, None),
        ("overload", "samples", (24, 8)),
        ("overload", "quadruplets", (24, 16)),
    ],
)
def test_the_prior_adjusts_h(phase, prior, expected):
    """On duplicates all slots are equal, and (9) is H of the sample itself."""
    rows, labels = blobs((3, 1))
    x, y = np.repeat(rows, 8, axis=0), np.repeat(labels, 8)

    def schedule(epoch, epochs):
        return Epoch(phase, prior=prior) if epoch == 0 else Epoch("overload")

    model = compiled(identity_network(n=2), learning_rate=0.0)
    callback = OverloadingCallback(k=3, r={1: 2}, schedule=schedule)
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback]).history
    kernel, bias = (w.astype("float64") for w in model.head.get_weights())
    z = x.astype("float64") @ kernel + bias
    if expected:
        z = z + np.log(np.divide(expected, sum(expected)))
    h = [
        oracle.cross_entropy(oracle.softmax(row), j)
        for row, j in zip(z, y, strict=True)
    ]
    # 40 places an epoch: a warm-up shows the 32 samples and then the first 8 of the
    # next pass, so its mean is told apart by H alone where all samples count.
    if phase == "overload":
        weights = np.where(y == 1, 2, 1)
        np.testing.assert_allclose(
            history["classification_loss"][0], np.average(h, weights=weights), rtol=1e-5
        )
    else:
        assert min(h) < history["classification_loss"][0] < max(h)


def test_the_prior_of_the_warm_up_adjusts_h():
    """With r = 1 a warm-up epoch is one pass: its mean is that of all samples."""
    x, y = blobs((24, 8))
    losses = {}
    for prior in (None, "samples"):
        model = compiled(identity_network(n=2), learning_rate=0.0)
        callback = OverloadingCallback(
            k=3,
            r=1,
            schedule=lambda e, n, p=prior: (
                Epoch("overload") if e else Epoch("warmup", prior=p)
            ),
        )
        fit = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
        losses[prior] = fit.history["classification_loss"][0]
    kernel, bias = (w.astype("float64") for w in model.head.get_weights())
    for prior, shift in ((None, 0), ("samples", np.log([0.75, 0.25]))):
        z = x.astype("float64") @ kernel + bias + shift
        h = [
            oracle.cross_entropy(oracle.softmax(row), j)
            for row, j in zip(z, y, strict=True)
        ]
        np.testing.assert_allclose(losses[prior], np.mean(h), rtol=1e-5)


def test_a_training_that_begins_with_keep_overloads():
    x, y = blobs()
    model = compiled(network())
    callback = OverloadingCallback(
        schedule=lambda epoch, epochs: Epoch("keep"), embeddings="pass"
    )
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[callback]).history
    refreshed = np.array(history["refresh_time"]) > 0
    assert refreshed.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"phase": "round"}, ValueError, "`phase` must be one of .*phase='round'"),
        ({"phase": None}, ValueError, "phase=None"),
        ({"embedding_scale": -1}, ValueError, "embedding_scale=-1"),
        ({"embedding_scale": "1"}, TypeError, "embedding_scale='1'"),
        ({"prior": "classes"}, ValueError, "`prior` must be one of .*prior='classes'"),
    ],
)
def test_an_epoch_that_cannot_be_is_refused(arguments, error, message):
    with pytest.raises(error, match=f"Received: .*{message}|{message}"):
        Epoch(**({"phase": "overload"} | arguments))


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (lambda epoch, epochs: "overload", TypeError, r"schedule\.Epoch.*'overload'"),
        (lambda epoch, epochs: None, TypeError, "None of type NoneType"),
        (lambda epoch, epochs: Epoch("warmup"), ValueError, "leaves no epoch"),
    ],
)
def test_an_invalid_schedule_is_refused_before_training(schedule, error, message):
    x, y = blobs()
    model = compiled(network())
    with pytest.raises(error, match=message):
        model.fit(x, y, verbose=0, callbacks=[OverloadingCallback(schedule=schedule)])
    assert model.optimizer.iterations == 0
    assert isinstance(model.fit(x, y, verbose=0), keras.callbacks.History)


@pytest.mark.parametrize("beside", [{"warmup_epochs": 1}, {"refresh_freq": 2}])
def test_there_is_one_place_for_the_schedule(beside):
    with pytest.raises(ValueError, match=r"^`schedule` decides.*Received: "):
        OverloadingCallback(schedule=WarmupSchedule(3), **beside)


def test_what_is_not_a_schedule_is_refused():
    with pytest.raises(TypeError, match=r"^`schedule` must be a function.*'ramp'"):
        OverloadingCallback(schedule="ramp")


def test_an_adjustment_that_no_epoch_takes_is_refused():
    x, y = blobs()
    model = compiled(network())

    def plain(epoch, epochs):
        return Epoch("overload")

    for tau in (None, 0):
        callback = OverloadingCallback(
            schedule=plain, logit_adjustment=tau, embeddings="pass"
        )
        model.fit(x, y, verbose=0, callbacks=[callback])
    callback = OverloadingCallback(schedule=plain, logit_adjustment=0.5)
    with pytest.raises(ValueError, match=r"^`logit_adjustment` would have no effect"):
        model.fit(x, y, verbose=0, callbacks=[callback])


def test_an_adjustment_in_any_epoch_is_enough():
    def first(epoch, epochs):
        return Epoch("overload", prior=None if epoch else "samples")

    check_schedule(first, 9, adjusted=True)


def test_a_training_of_many_epochs_begins_at_once():
    asked = []

    def counted(epoch, epochs):
        asked.append(epoch)
        return Epoch("overload", prior="samples")

    check_schedule(counted, 10**9, adjusted=True)
    assert asked == [10**9 - 1]
