"""The rounds of one training: what each epoch trains on (Algorithm 1, line 6)."""

import dataclasses
import time
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.embeddings import Embeddings
from keras_dos.labels import class_counts, class_prior
from keras_dos.overloading import Round, overload, plain_epoch, without_neighbors
from keras_dos.samples import SampleSource
from keras_dos.samples.checked import checked
from keras_dos.samples.quadruplets import QuadrupletBatches, Quadruplets
from keras_dos.schedule import Epoch, check_schedule, first_round, planned_epoch
from keras_dos.search import get_search
from keras_dos.search.first import SearchOfFirst
from keras_dos.settings import Settings
from keras_dos.training_loss import TrainingLoss
from keras_dos.workers import Workers

__all__ = ["Rounds"]

# Mean squared distance to the neighbors, in units of that at the refresh, above which
# embeddings are far from those stored. About 1 is usual, up to 4 with heavy Dropout.
FAR_OFF = 5.0
# Epochs of so many times the samples are hardly what r was meant to ask for.
LONG_EPOCH = 10

# Random streams that derive from one seed.
_ROUND, _EPOCH_ORDER, _PASS_ORDER, _AUGMENTATION = range(4)


class Rounds:
    """The state of one training with Deep Over-sampling.

    `DOSModel.fit` makes one for each training with an `OverloadingCallback`. Your own
    training loop makes one itself, and calls `begin_epoch` before and `end_epoch` after
    each pass over `dataset()`. All randomness derives from the seed and the epoch.

    Args:
        settings: The user's settings.
        source: The samples.
        embedder: f, a model from inputs to embeddings of shape (b, d).
        loss: H, the loss of `compile`.
        n_classes: Number of classes n of the head.
        epochs: Total number of epochs, warm-up included.
        shuffle: Whether each epoch has its own order. Defaults to True.

    Attributes:
        loss: The `TrainingLoss` that a step minimizes.
        parameters: The class-wise k and r, and the size of Z'.
        slots: Neighbors in N(x) in the epoch that has begun, a number that each step
            is traced for: all, or 0 if none are stored. None before the first epoch
            and in plain epochs, those of the warm-up, whose loss is that of `compile`.

    Raises:
        ImportError: If `neighbor_search` names a package that cannot be imported.
        TypeError: If `minority` or the search is of the wrong type, or the schedule
            does not return an `Epoch`.
        ValueError: If the settings do not fit the samples, the loss or the epochs.

    Example:
        >>> from keras_dos.samples import InMemory
        >>> embedder = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
        >>> source = InMemory(np.arange(6.0)[:, None], np.array([0, 0, 0, 0, 1, 1]))
        >>> rounds = Rounds(Settings(k=1, warmup_epochs=1), source, embedder,
        ...     "sparse_categorical_crossentropy", n_classes=2, epochs=2)
        >>> rounds.begin_epoch(1)
        >>> quadruplets, y = next(iter(rounds.dataset()))
        >>> quadruplets["neighbors"].shape, quadruplets["weights"].shape
        (TensorShape([8, 1, 2]), TensorShape([8, 2]))
    """

    def __init__(
        self,
        settings: Settings,
        source: SampleSource,
        embedder: keras.Model,
        loss: Any,
        *,
        n_classes: int,
        epochs: int,
        shuffle: bool = True,
    ) -> None:
        source = checked(source)
        self._settings = settings
        self._source = source
        counts = class_counts(source.classes, n_classes)
        self.parameters = settings.class_parameters(counts)
        self._warn_of_long_epochs()
        self.loss = TrainingLoss(settings.objective, loss, n_classes)
        self._d = embedder.output_shape[-1]
        self._epochs = _checks.integer("epochs", epochs, minimum=0)
        if epochs > 0:
            adjusted = bool(settings.logit_adjustment)
            check_schedule(settings.planned, epochs, adjusted)
        self._shuffle = shuffle
        self._workers = Workers(tf.distribute.get_strategy())
        k_and_r = self.parameters.k, self.parameters.sizes
        self._workers.check_same_data(source.classes, *k_and_r, settings.seed % 2**63)
        self._search = get_search(settings.neighbor_search)
        if self._workers.count > 1:
            self._search = SearchOfFirst(self._search, self._workers)
        recorded = settings.embeddings == "training" and self.parameters.k_max > 0
        self._embeddings = Embeddings(source, embedder, recorded)
        sizes = self.parameters.n_quadruplets, self.parameters.k_max, self._d
        self._batches = QuadrupletBatches(source, *sizes, recorded=recorded)
        self._round: Round | None = None
        self._refresh_time = 0.0
        self.slots: int | None = None
        self._begun = self._warned = False

    def dataset(self) -> tf.data.Dataset:
        """Return batches of ({"x", "neighbors", "weights"}, y[, sample_weight]).

        A new iterator yields what the last `begin_epoch` prepared.
        """
        return self._batches.dataset()

    def distributed(self) -> Any:
        """Return the dataset as `fit` takes it: on several machines, distributed."""
        return self._workers.distributed(self.dataset())

    def begin_epoch(self, epoch: int) -> None:
        """Prepare what an epoch trains on.

        Args:
            epoch: The epoch, from 0. A resumed training may begin with any.

        Raises:
            RuntimeError: If the search breaks its contract, or workers begin different
                epochs.
            TypeError: If the schedule breaks its contract.
            ValueError: If embeddings are not finite or too large, or the weight
                sampler or the source breaks its contract.
        """
        self._workers.check_same("epoch", epoch)
        plan = planned_epoch(self._settings.planned, epoch, self._epochs)
        self._begun = True
        self._refresh_time = 0.0
        self.loss.reset_neighbor_distance()
        if plan.phase == "warmup":
            quadruplets = self._warm_up(epoch)  # Line 5: STL(X).
        else:
            kept = self._kept_round() if plan.phase == "keep" else None
            # A resumed training may start between two refreshes.
            self._round = kept or self._overload(epoch)  # Lines 7-21.
            quadruplets = self._round.quadruplets
        plain = plan.phase == "warmup" and plan.prior is None
        self.slots = None if plain else quadruplets.neighbors.shape[1]
        self._adjust_loss(plan)
        self._embeddings.begin_epoch(epoch)
        z = len(quadruplets)
        order = self._order(z, _EPOCH_ORDER, epoch)
        seeds = self._rng(_AUGMENTATION, epoch).integers(2**63, size=z)
        self._batches.assign(quadruplets.ordered(order), seeds)  # Line 22: MTL(Z).
        if self._round is not None:  # The batches have the table now.
            ids = self._round.quadruplets.without_table()
            self._round = dataclasses.replace(self._round, quadruplets=ids)

    def record(self, quadruplets: dict[str, Any], embedding: Any) -> None:
        """Keep f(x) of a batch for the next search; part of the training step.

        It does nothing unless `embeddings="training"`. What is not recorded by then is
        embedded in a pass.

        Args:
            quadruplets: A batch from `dataset`.
            embedding: f(x), shape (b, d).
        """
        if "rows" in quadruplets:
            self._embeddings.record(quadruplets["rows"], embedding)

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Return the measures of the last overloading, for the logs.

        Args:
            epoch: The epoch, from 0.

        Returns:
            "refresh_time", the seconds spent on overloading before this epoch, and
            "minority_variance" and "majority_variance", if such classes exist.
        """
        distance = self.loss.neighbor_distance()
        if distance > FAR_OFF and not self._warned:
            self._warned = True
            warnings.warn(
                "The embeddings in training lie far from those stored at the refresh, "
                "so neighbors are of little use. The rounds may have begun too early, "
                "the learning rate may be too high, or BatchNormalization or Dropout "
                "before the embedding may act very differently in training: use more "
                '`warmup_epochs`, embeddings="training" if they come from a pass, or a '
                "lower learning rate or momentum. Received: "
                f"{distance:.3g} times the squared distance of neighbors in epoch "
                f"{epoch + 1}, where about 1 is usual.",
                stacklevel=2,
            )
        logs = {"refresh_time": self._refresh_time}
        for group in ("minority", "majority"):
            classes = self.parameters.group(group)
            if self.parameters.k_max and classes:
                variances = self._round.variances if self._round else {}
                values = [variances.get(j, float("nan")) for j in classes]
                logs[f"{group}_variance"] = float(np.mean(values))
        return logs

    def end(self) -> None:
        """Warn if the training ended before the first round with neighbors."""
        if self._begun and self._kept_round() is None:
            first = first_round(self._settings.planned, self._epochs) or 0
            if not self._embeddings.available(first):
                first += 1
            warnings.warn(
                "The training ended before the first round, so no Deep Over-sampling "
                f"took place: rounds start at epoch {first + 1}. Train for more "
                "epochs, lower `warmup_epochs`, or let EarlyStopping wait with "
                f"start_from_epoch={first}.",
                stacklevel=2,
            )

    def _warn_of_long_epochs(self) -> None:
        z, m = self.parameters.n_quadruplets, len(self._source.classes)
        if z > LONG_EPOCH * m:
            warnings.warn(
                f"An epoch has {z:,} quadruplets of {m:,} samples, as `r` asks, and "
                f"takes {z / m:.0f} times as long as a pass over the samples. Use "
                'r="moderate", or fewer epochs. Received: '
                f"r={self._settings.r!r}.",
                stacklevel=2,
            )

    def _adjust_loss(self, plan: Epoch) -> None:
        """Set λ, and τ and π of the adjusted H."""
        full_weight = self._settings.full_weight
        self.loss.set_embedding_weight(full_weight * plan.embedding_scale)
        tau = self._settings.logit_adjustment
        if plan.prior is None:
            tau = 0.0
        elif tau is None:
            tau = 1.0 if self.parameters.k_max else 0.0
        copies = plan.prior == "quadruplets"
        counts = self.parameters.sizes if copies else self.parameters.counts
        self.loss.set_adjustment(class_prior(counts), tau)

    def _kept_round(self) -> Round | None:
        """Return the last round, if there was one and it could find neighbors."""
        if self._round is None:
            return None
        found = self._round.quadruplets.neighbors.shape[1]
        return self._round if found == self.parameters.k_max else None

    def _warm_up(self, epoch: int) -> Quadruplets:
        m = len(self._source.classes)
        samples = plain_epoch(
            m,
            self.parameters.n_quadruplets,
            epoch,
            lambda i: self._order(m, _PASS_ORDER, i),
        )
        return without_neighbors(samples, self._d)

    def _overload(self, epoch: int) -> Round:
        started = time.perf_counter()
        self._round = None  # Its table may be large.
        parameters = self.parameters
        if not self._embeddings.available(epoch):
            parameters = parameters.without_neighbors()
        overloaded = overload(
            lambda ids: self._embeddings.read(ids, epoch),
            self._source.classes,
            parameters,
            self._search,
            self._rng(_ROUND, epoch),
            self._settings.weight_sampler,
        )
        if parameters.k_max and not overloaded.unit:
            warnings.warn(
                "All embeddings are equal, so their neighbors are of no use: the "
                "network is dead or has collapsed. Lower the learning rate or "
                f"`embedding_weight`. Received: spread 0 at epoch {epoch + 1}.",
                stacklevel=2,
            )
        self.loss.set_unit(overloaded.unit)
        self._refresh_time = time.perf_counter() - started
        return overloaded

    def _order(self, size: int, stream: int, index: int) -> NDArray[np.int64]:
        if not self._shuffle:
            return np.arange(size)
        return self._rng(stream, index).permutation(size)

    def _rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, stream, index])
