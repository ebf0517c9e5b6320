"""Changes to single parts of the method, to see what each part contributes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_dos import MicroClusterObjective
from keras_dos.draws import draw_weights
from keras_dos.schedule import (
    Epoch,
    Prior,
    Schedule,
    WarmupSchedule,
    first_round,
)
from keras_dos.slots import fill_slots

Settings = dict[str, Any]


def equal_weights(
    exists: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return w = 1 / (k + 1) for every slot that exists, instead of a draw."""
    # Drawn anyway, so that a fractional r copies the same samples as in other rows.
    slots = draw_weights(exists, rng) > 0
    equal: NDArray[np.float64] = slots / slots.sum(axis=1, keepdims=True)
    return equal


def no_shares(distances: Any, weights: Any, *, mask: Any) -> Any:
    """Return w itself as the weight of each slot, without distances."""
    return weights


def live_alone(distances: Any, weights: Any, *, mask: Any) -> Any:
    """Return shares that give f(x) the whole class loss."""
    live, rest = weights[:, :1], weights[:, 1:]
    return ops.concatenate([ops.ones_like(live), ops.zeros_like(rest)], axis=1)


def mixed_slots(embedding: Any, neighbors: Any, weights: Any) -> Any:
    """Return N(x), each neighbor mixed half with f(x), so that gradients reach f."""
    slots = fill_slots(embedding, neighbors, weights)
    live = ops.expand_dims(ops.cast(embedding, "float32"), 1)
    return ops.concatenate([live, (live + slots[:, 1:]) / 2], axis=1)


def ramp(schedule: Schedule) -> Schedule:
    """Return a schedule whose λ rises from round to round, to its full value."""

    def rising(epoch: int, epochs: int) -> Epoch:
        warmup = first_round(schedule, epochs) or 0
        fraction = max(0, epoch + 1 - warmup) / (epochs - warmup)
        return dataclasses.replace(schedule(epoch, epochs), embedding_scale=fraction)

    return rising


def adjusted_warmup(schedule: Schedule) -> Schedule:
    """Return a schedule that adjusts H in the warm-up too."""
    return lambda epoch, epochs: dataclasses.replace(
        schedule(epoch, epochs), prior="samples"
    )


def prior_of_samples(schedule: Schedule) -> Schedule:
    """Return a schedule that adjusts H by the frequencies of the training samples."""
    return _adjusted_rounds(schedule, "samples")


def prior_of_quadruplets(schedule: Schedule) -> Schedule:
    """Return a schedule that adjusts H by the frequencies of Z', copies included."""
    return _adjusted_rounds(schedule, "quadruplets")


def _adjusted_rounds(schedule: Schedule, prior: Prior) -> Schedule:
    def rounds(epoch: int, epochs: int) -> Epoch:
        planned = schedule(epoch, epochs)
        if planned.phase == "warmup":
            return planned
        return dataclasses.replace(planned, prior=prior)

    return rounds


_OBJECTIVES: dict[str, Settings] = {
    "no_shares": {"shares": no_shares},
    "live_alone": {"shares": live_alone},
    "soft_shares": {"temperature": 1.0},
    "shares_at_.1": {"temperature": 0.1},
    "sharp_shares": {"temperature": 0.03},
    "differentiated_shares": {"differentiate_shares": True},
    "mixed": {"slots": mixed_slots},
}
_SCHEDULES: dict[str, Callable[[Schedule], Schedule]] = {
    "ramp": ramp,
    "adjusted_warmup": adjusted_warmup,
    "prior_of_samples": prior_of_samples,
    "prior_of_quadruplets": prior_of_quadruplets,
}


def changed(changes: str, settings: Settings) -> Settings:
    """Return arguments of `OverloadingCallback` with the named changes.

    Args:
        changes: Names joined by "+"; empty for none. "former_defaults" stands for the
            defaults until embeddings came from training, H was adjusted by the prior of
            Z' and T was .03.
        settings: Other arguments.

    Raises:
        KeyError: If there is no such change.
    """
    settings = dict(settings)
    names = [name for name in changes.split("+") if name]
    if "former_defaults" in names:
        names.remove("former_defaults")
        settings.setdefault("embeddings", "pass")
        of_the_form = [] if "loss_form" in settings else ["shares_at_.1"]
        names = [*of_the_form, "prior_of_samples", *names]
    for name in names:
        if name == "equal_w":
            settings["weight_sampler"] = equal_weights
        elif name in _OBJECTIVES:
            objective = settings.get("loss_form", MicroClusterObjective())
            settings["loss_form"] = dataclasses.replace(objective, **_OBJECTIVES[name])
        else:
            usual = settings.get("schedule") or WarmupSchedule(
                settings.pop("warmup_epochs", None), settings.pop("refresh_freq", 1)
            )
            settings["schedule"] = _SCHEDULES[name](usual)
    return settings
