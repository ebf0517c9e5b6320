"""By what H is adjusted in an epoch, and what the probabilities become."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.labels import class_prior
from keras_dos.parameters import ClassParameters
from keras_dos.schedule import Epoch

ClassWeight = Mapping[int, float]


@dataclass(frozen=True)
class Adjustment:
    """The logit adjustment of H in an epoch.

    Attributes:
        prior: π, shape (n,), float32.
        tau: The exponent τ of π; 0 leaves H as it is.
        training_prior: The class frequencies that the probabilities of a network have
            after such epochs, shape (n,), float64; None if a class has no
            samples.
    """

    prior: NDArray[np.float32]
    tau: float
    training_prior: NDArray[np.float64] | None


def planned_adjustment(
    plan: Epoch,
    parameters: ClassParameters,
    tau: float,
    class_weight: ClassWeight | None = None,
) -> Adjustment:
    """Return the adjustment of an epoch.

    A cross-entropy learns the frequencies with which classes weigh in its training set,
    and one of logits shifted by τ log π_j learns them divided by π_j^τ.

    Args:
        plan: The epoch.
        parameters: k_j, and the numbers of samples and of quadruplets of each class.
        tau: τ of epochs that have a prior.
        class_weight: That of `fit`. Defaults to None: all 1.

    Example:
        >>> from keras_dos.parameters import resolve_class_parameters
        >>> parameters = resolve_class_parameters(np.array([80, 20]), k=5, r=[1, 3])
        >>> warm_up, round = Epoch("warmup"), Epoch("overload", prior="quadruplets")
        >>> planned_adjustment(warm_up, parameters, tau=1.0).training_prior.round(3)
        array([0.8, 0.2])
        >>> planned_adjustment(round, parameters, tau=1.0).training_prior.round(3)
        array([0.5, 0.5])
        >>> planned_adjustment(round, parameters, tau=0.0).training_prior.round(3)
        array([0.571, 0.429])
    """
    if plan.prior is None:
        tau = 0.0
    copies = plan.prior == "quadruplets"
    prior = class_prior(parameters.sizes if copies else parameters.counts)
    warm_up = plan.phase == "warmup"
    learned = (parameters.counts if warm_up else parameters.sizes).astype(np.float64)
    for j, weight in (class_weight or {}).items():
        learned[j] *= weight
    if not learned.all():
        return Adjustment(prior, tau, None)
    logs = np.log(learned) - tau * np.log(prior)  # π^τ may be too small for a number.
    learned = np.exp(logs - logs.max())
    return Adjustment(prior, tau, learned / learned.sum())


def check_class_weight(value: Any, n_classes: int) -> None:
    """Raise unless `class_weight` is None or maps classes to what a loss may have.

    Raises:
        TypeError: If it is not a mapping to numbers.
        ValueError: If a key is not a class, or a number negative or not finite.

    Example:
        >>> check_class_weight({0: 1.0, 2: 5.0}, n_classes=3)
    """
    if value is None:
        return
    if not isinstance(value, Mapping) or not value:
        error = ValueError if isinstance(value, Mapping) else TypeError
        raise error(
            "`class_weight` must map classes to numbers, such as {0: 1.0, 1: 5.0}. "
            f"Received: class_weight={value!r}."
        )
    for j, weight in value.items():
        _checks.class_id("class_weight", j, np.ones(n_classes, np.int64))
        if _checks.finite("class_weight", weight) < 0:
            raise ValueError(
                f"`class_weight` must not be negative. Received: {weight} for class "
                f"{j}."
            )
