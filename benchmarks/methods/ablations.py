"""Changes to single parts of the method, to see what each part brings."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from keras_dos import OverloadingCallback
from keras_dos.labels import class_prior as class_shares
from keras_dos.objective import MicroClusterObjective
from keras_dos.overloading import Round


class _EqualWeights(OverloadingCallback):
    """w = 1 / (k + 1) for every slot that exists, instead of a draw."""

    def _overload(self, epoch: int) -> Round:
        drawn = super()._overload(epoch)
        exists = drawn.quadruplets.weights > 0
        equal = (exists / exists.sum(axis=1, keepdims=True)).astype(np.float32)
        quadruplets = dataclasses.replace(drawn.quadruplets, weights=equal)
        return dataclasses.replace(drawn, quadruplets=quadruplets)


class _ObjectiveWithoutShares(MicroClusterObjective):
    def _shares(self, distances: Any, weights: Any, mask: Any) -> Any:
        return weights


class _WithoutShares(OverloadingCallback):
    """w itself weights the class loss of each slot, without distances."""

    _objective_class = _ObjectiveWithoutShares


class _ObjectiveOfLiveAlone(MicroClusterObjective):
    def _shares(self, distances: Any, weights: Any, mask: Any) -> Any:
        live, rest = weights[:, :1], weights[:, 1:]
        return ops.concatenate([ops.ones_like(live), ops.zeros_like(rest)], axis=1)


class _LiveAlone(OverloadingCallback):
    """The class loss sees f(x) alone; neighbors act through the embedding loss."""

    _objective_class = _ObjectiveOfLiveAlone


class _ObjectiveWithSoftShares(MicroClusterObjective):
    _share_temperature = 1.0


class _SoftShares(OverloadingCallback):
    """ρ' at temperature 1 in units of the mean distance, nearly uniform."""

    _objective_class = _ObjectiveWithSoftShares


class _ObjectiveWithSharpShares(MicroClusterObjective):
    _share_temperature = 0.03


class _SharpShares(OverloadingCallback):
    """ρ' at temperature .03, nearer to the closest slots."""

    _objective_class = _ObjectiveWithSharpShares


class _ObjectiveWithDifferentiatedShares(MicroClusterObjective):
    _differentiate_shares = True


class _DifferentiatedShares(OverloadingCallback):
    """The gradient flows through ρ' too."""

    _objective_class = _ObjectiveWithDifferentiatedShares


class _ObjectiveWithMixtures(MicroClusterObjective):
    def slots(self, embedding: Any, neighbors: Any, weights: Any) -> Any:
        slots = super().slots(embedding, neighbors, weights)
        live = ops.expand_dims(ops.cast(embedding, "float32"), 1)
        return ops.concatenate([live, (live + slots[:, 1:]) / 2], axis=1)


class _Mixtures(OverloadingCallback):
    """Neighbors are mixed half with the live f(x), so that gradients reach f."""

    _objective_class = _ObjectiveWithMixtures


class _RisingObjective(MicroClusterObjective):
    def __init__(self, loss: Any, **arguments: Any) -> None:
        super().__init__(loss, **arguments)
        self._full_weight = self._embedding_weight
        self._weight = tf.Variable(0.0, trainable=False)
        self._embedding_weight = self._weight

    def set_share(self, share: float) -> None:
        """Set λ to a share of its full value."""
        self._weight.assign(share * self._full_weight)


class _Rising(OverloadingCallback):
    """λ rises from round to round, to its full value in the last."""

    _objective_class = _RisingObjective

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        warmup = self._training.warmup
        share = max(0, epoch + 1 - warmup) / (self.params["epochs"] - warmup)
        self._training.objective.set_share(share)  # type: ignore[attr-defined]


class _AdjustedWarmup(OverloadingCallback):
    """H is adjusted in the warm-up too, by the frequencies of the samples."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        training = self._training
        training.objective.prior.assign(class_shares(training.parameters.counts))


class _PriorOfQuadruplets(OverloadingCallback):
    """H of the rounds is adjusted by the frequencies of Z', copies included."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        training = self._training
        if epoch >= training.warmup:
            training.objective.prior.assign(class_shares(training.parameters.sizes))


_VARIANTS = {
    "": OverloadingCallback,
    "equal_w": _EqualWeights,
    "no_shares": _WithoutShares,
    "live_alone": _LiveAlone,
    "soft_shares": _SoftShares,
    "sharp_shares": _SharpShares,
    "differentiated_shares": _DifferentiatedShares,
    "mixed": _Mixtures,
    "ramp": _Rising,
    "adjusted_warmup": _AdjustedWarmup,
    "prior_of_quadruplets": _PriorOfQuadruplets,
}


def variant(change: str) -> type[OverloadingCallback]:
    """Return the callback with one change, or with none.

    Raises:
        KeyError: If there is no such change.
    """
    return _VARIANTS[change]
