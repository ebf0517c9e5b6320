"""Schedules, which decide what each epoch is: lines 5 and 6 of Algorithm 1."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from keras_dos import _checks

__all__ = ["Epoch", "Schedule", "WarmupSchedule"]

# Far beyond any use, and far below what makes a loss in float32 infinite.
MOST_SCALE = 1e12

Phase = Literal["warmup", "overload", "keep"]
Prior = Literal["samples", "quadruplets"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch trains on, and how.

    Args:
        phase: "warmup" for plain training on the original samples (line 5),
            "overload" for a round that searches neighbors and draws w (lines 7-22),
            "keep" for one more epoch on the quadruplets of the last round.
        embedding_scale: Factor that multiplies λ in this epoch. Defaults to 1.0.
        prior: The class frequencies π by which H of eq. (9) is adjusted: those of the
            training "samples" or those of the "quadruplets" Z', copies included.
            Defaults to None: H is that of `compile`.

    Raises:
        TypeError: If `embedding_scale` is not a number.
        ValueError: If an argument is out of range.

    Example:
        >>> Epoch("overload", prior="samples").embedding_scale
        1.0
    """

    phase: Phase
    embedding_scale: float = 1.0
    prior: Prior | None = None

    def __post_init__(self) -> None:
        _checks.choice("phase", self.phase, get_args(Phase))
        _checks.number("embedding_scale", self.embedding_scale, below=MOST_SCALE)
        if self.prior is not None:
            _checks.choice("prior", self.prior, get_args(Prior))


class Schedule(Protocol):
    """A function of (epoch, epochs) that decides what each epoch is.

    Example:
        >>> def ramp(epoch, epochs):
        ...     if epoch < 2:
        ...         return Epoch("warmup")
        ...     scale = (epoch - 1) / (epochs - 2)
        ...     return Epoch("overload", embedding_scale=scale, prior="quadruplets")
        >>> [ramp(epoch, 4).embedding_scale for epoch in (2, 3)]
        [0.5, 1.0]
    """

    def __call__(self, epoch: int, epochs: int) -> Epoch:
        """Return what an epoch is.

        Args:
            epoch: The epoch, from 0.
            epochs: Total number of epochs, warm-up included.

        Returns:
            The epoch. It must depend on the two arguments alone, because a resumed
            training asks again.
        """
        ...


@dataclass(frozen=True)
class WarmupSchedule:
    """Warm up on the original samples, then overload every few epochs.

    The warm-up keeps the plain H of eq. (2), since deferring its adjustment improves
    accuracy; the rounds adjust it by the class frequencies of the quadruplets that they
    train on, so that the probabilities are those of equally frequent classes.

    Args:
        warmup_epochs: Epochs before the first round. Defaults to None: two thirds of
            all epochs, rounded down.
        refresh_freq: Epochs per round. Defaults to 1, as the paper suggests.

    Raises:
        TypeError: If an argument is not an integer.
        ValueError: If an argument is out of range.

    Example:
        >>> schedule = WarmupSchedule(refresh_freq=2)
        >>> [schedule(epoch, 6).phase for epoch in (3, 4, 5)]
        ['warmup', 'overload', 'keep']
    """

    warmup_epochs: int | None = None
    refresh_freq: int = 1

    def __post_init__(self) -> None:
        if self.warmup_epochs is not None:
            _checks.integer("warmup_epochs", self.warmup_epochs, minimum=0)
        _checks.integer("refresh_freq", self.refresh_freq, minimum=1)

    def __call__(self, epoch: int, epochs: int) -> Epoch:
        """Return what an epoch is; see `Schedule`."""
        given = self.warmup_epochs
        warmup = 2 * epochs // 3 if given is None else given
        if epoch < warmup:
            return Epoch("warmup")
        due = (epoch - warmup) % self.refresh_freq == 0
        return Epoch("overload" if due else "keep", prior="quadruplets")


def planned_epoch(schedule: Schedule, epoch: int, epochs: int) -> Epoch:
    """Return what an epoch is, after checking what the schedule returns.

    Args:
        schedule: The schedule of the training.
        epoch: The epoch, from 0.
        epochs: Total number of epochs, warm-up included.

    Raises:
        TypeError: If the schedule does not return an `Epoch`.

    Example:
        >>> planned_epoch(WarmupSchedule(1), 1, epochs=2).phase
        'overload'
    """
    planned: Any = schedule(epoch, epochs)
    if not isinstance(planned, Epoch):
        raise TypeError(
            "`schedule` must return a keras_dos.schedule.Epoch for each epoch. "
            f"Received: {planned!r} of type {type(planned).__name__}."
        )
    return planned


def first_round(schedule: Schedule, epochs: int) -> int | None:
    """Return the first epoch that is not warm-up, or None.

    Example:
        >>> first_round(WarmupSchedule(1), epochs=2)
        1
    """
    planned = (planned_epoch(schedule, e, epochs) for e in range(epochs))
    return next((e for e, epoch in enumerate(planned) if epoch.phase != "warmup"), None)


def check_schedule(schedule: Schedule, epochs: int, adjusted: bool) -> None:
    """Raise unless a schedule comes to a round, and adjusts H if that is asked for.

    Args:
        schedule: The schedule of the training.
        epochs: Total number of epochs, warm-up included.
        adjusted: Whether the user asked for a logit adjustment.

    Raises:
        TypeError: If the schedule does not return an `Epoch`.
        ValueError: If it leaves no epoch for a round, or never names a prior.

    Example:
        >>> check_schedule(WarmupSchedule(1), epochs=2, adjusted=True)
    """
    # The last epoch tells at once; a training of a million epochs may be stopped early.
    last = planned_epoch(schedule, epochs - 1, epochs)
    if last.phase == "warmup" and first_round(schedule, epochs) is None:
        name = "warmup_epochs" if isinstance(schedule, WarmupSchedule) else "schedule"
        raise ValueError(
            f"`{name}` leaves no epoch for Deep Over-sampling: increase `epochs` of "
            "`fit`, or train without the callback until then. "
            f"Received: {schedule}, epochs={epochs}."
        )
    priors = (planned_epoch(schedule, e, epochs).prior for e in range(epochs))
    if adjusted and last.prior is None and not any(priors):
        raise ValueError(
            "`logit_adjustment` would have no effect: let `schedule` return epochs "
            f'with prior="samples" or "quadruplets". Received: {schedule}.'
        )
