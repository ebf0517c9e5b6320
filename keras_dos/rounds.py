"""The rounds of one training: what each epoch trains on (Algorithm 1, line 6)."""

import time
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks, advice
from keras_dos.adjustment import ClassWeight, check_class_weight, planned_adjustment
from keras_dos.compiled_loss import is_crossentropy
from keras_dos.description import Description, described
from keras_dos.draws import table_rows
from keras_dos.embeddings import Embeddings, embedding_size
from keras_dos.labels import class_counts
from keras_dos.overloading import Round, overload, plain_epoch, without_neighbors
from keras_dos.samples import SampleSource
from keras_dos.samples.checked import checked
from keras_dos.samples.quadruplets import QuadrupletBatches, Quadruplets
from keras_dos.schedule import Epoch, check_schedule, first_round, planned_epoch
from keras_dos.search import get_search
from keras_dos.search.first import of_first
from keras_dos.settings import Settings
from keras_dos.training_loss import TrainingLoss
from keras_dos.workers import Workers

__all__ = ["Rounds"]

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
        class_weight: That of `fit`, for `training_prior`. Defaults to None.

    Attributes:
        loss: The `TrainingLoss` that a step minimizes.
        parameters: The class-wise k and r, and the size of Z'.
        slots: Neighbors in N(x) in the epoch that has begun, a number that each step
            is traced for: all, or 0 if none are stored. None before the first epoch
            and in plain epochs, those of the warm-up, whose loss is that of `compile`.
        training_prior: `DOSModel.training_prior` as the epoch that has begun trains it.

    Raises:
        ImportError: If `neighbor_search` names a package that cannot be imported.
        TypeError: If `minority`, `class_weight`, the embedder or the search is of the
            wrong type, or the schedule does not return an `Epoch`.
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
        class_weight: ClassWeight | None = None,
    ) -> None:
        self._source = source = checked(source)
        self._settings = settings
        counts = class_counts(source.classes, n_classes)
        self.parameters = settings.class_parameters(counts)
        z, m = self.parameters.n_quadruplets, len(source.classes)
        advice.of_long_epochs(z, m, settings.r)
        self.loss = TrainingLoss(settings.objective, loss, n_classes)
        self._epochs = _checks.integer("epochs", epochs, minimum=0)
        if epochs > 0:
            check_schedule(settings.planned, epochs, bool(settings.logit_adjustment))
        check_class_weight(class_weight, n_classes)
        self._shuffle, self._class_weight = shuffle, class_weight
        self._workers = Workers(tf.distribute.get_strategy())
        same = self.parameters.k, self.parameters.sizes, settings.integers
        self._workers.check_same_data(source.classes, *same)
        self._search = of_first(get_search(settings.neighbor_search), self._workers)
        k_max, rows = self.parameters.k_max, table_rows(self.parameters)
        recorded = settings.embeddings == "training" and k_max > 0
        self._table = settings.new_table(rows, embedding_size(embedder))
        self._embeddings = Embeddings(source, embedder, self._table, recorded)
        self._batches = QuadrupletBatches(source, z, k_max, self._table, recorded)
        self._prior_known = is_crossentropy(loss) and not self._batches.weighted
        self._round: Round | None = None
        self._refresh_time = 0.0
        self.slots: int | None = None
        self.training_prior: NDArray[np.float64] | None = None
        self._resumed: int | None = None
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
            TypeError: If the epoch is no integer, or the schedule breaks its contract.
            ValueError: If the epoch is negative, embeddings are not finite or too
                large, or the weight sampler or the source breaks its contract.
        """
        epoch = _checks.integer("epoch", epoch, minimum=0)
        self._workers.check_same("epoch", epoch)
        plan = planned_epoch(self._settings.planned, epoch, self._epochs)
        self._begun = True
        self._refresh_time = 0.0
        self.loss.reset_neighbor_distance()
        if plan.phase == "warmup":
            quadruplets = self._warm_up(epoch)  # Line 5: STL(X).
        else:
            resumed = self._round if epoch == self._resumed else None
            kept = self._kept_round() if plan.phase == "keep" else None
            # A resumed training may start between two refreshes.
            self._round = resumed or kept or self._overload(epoch)  # Lines 7-21.
            quadruplets = self._round.quadruplets
        plain = plan.phase == "warmup" and plan.prior is None
        self.slots = None if plain else quadruplets.k
        self._adjust_loss(plan)
        self._embeddings.begin_epoch(epoch)
        order = self._order(len(quadruplets), _EPOCH_ORDER, epoch)
        seeds = self._rng(_AUGMENTATION, epoch).integers(2**63, size=len(order))
        self._batches.assign(quadruplets.ordered(order), seeds)  # Line 22: MTL(Z).

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
            "minority_variance" and "majority_variance", if such classes exist. They,
            and "embedding_loss", are infinite before there are neighbors.
        """
        distance = self.loss.neighbor_distance()
        self._warned = self._warned or advice.of_far_embeddings(distance, epoch)
        logs = {"refresh_time": self._refresh_time}
        if self.parameters.k_max and not self.slots:
            logs["embedding_loss"] = np.inf
        for group in ("minority", "majority"):
            classes = self.parameters.group(group)
            if self.parameters.k_max and classes:
                variances = self._round.variances if self._round else {}
                values = [variances.get(j, np.inf) for j in classes]
                logs[f"{group}_variance"] = float(np.mean(values))
        return logs

    def described(self) -> Description:
        """Return what a training must have in common with one that it goes on from."""
        by_class = self._source.classes, self.parameters.k, self.parameters.sizes
        return {
            "samples": len(self._source.classes),
            "classes": zlib.crc32(np.concatenate(by_class).tobytes()),
            "quadruplets": self.parameters.n_quadruplets,
            "k": self.parameters.k_max,
            "shuffle": bool(self._shuffle),
            "d": self._table.shape[1],
            "batch_size": self._source.batch_size,
            **described("class_weight", self._class_weight),
            **self._settings.described(self.parameters.k_max),
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that a resumed training needs of this one, as arrays by name."""
        state = self._embeddings.state()
        if self._round is not None:
            state |= self._round.arrays()
        return state

    def restore(self, state: Mapping[str, Any], begun: int | None = None) -> None:
        """Go on from the `state` of another training with the same data and settings.

        Args:
            state: What `state` returned.
            begun: The epoch in which it did so, from 0, to train on the same round.
                Defaults to None: between two epochs.

        Raises:
            RuntimeError: If workers go on in different epochs.
        """
        self._workers.check_same("epoch", -1 if begun is None else begun)
        self._embeddings.restore(state)
        self._resumed = begun
        if "samples" in state:
            self._round = Round.from_arrays(state, self._table)
            self.loss.set_unit(self._round.unit)

    def end(self) -> None:
        """Warn if the training ended before the first round with neighbors."""
        if self._begun and self._kept_round() is None:
            first = first_round(self._settings.planned, self._epochs) or 0
            first += not self._embeddings.available(first)
            advice.of_no_round(first)

    def _adjust_loss(self, plan: Epoch) -> None:
        """Set λ, and τ and π of the adjusted H; note what the probabilities become."""
        settings, weight = self._settings, self._class_weight
        self.loss.set_embedding_weight(settings.full_weight * plan.embedding_scale)
        tau = settings.tau(self.parameters.k_max)
        adjusted = planned_adjustment(plan, self.parameters, tau, weight)
        self.loss.set_adjustment(adjusted.prior, adjusted.tau)
        self.training_prior = adjusted.training_prior if self._prior_known else None

    def _kept_round(self) -> Round | None:
        """Return the last round, if there was one and it could find neighbors."""
        searched = self._round and self._round.quadruplets.k == self.parameters.k_max
        return self._round if searched else None

    def _warm_up(self, epoch: int) -> Quadruplets:
        m = len(self._source.classes)
        samples = plain_epoch(
            m,
            self.parameters.n_quadruplets,
            epoch,
            lambda i: self._order(m, _PASS_ORDER, i),
        )
        return without_neighbors(samples, self._table.shape[1])

    def _overload(self, epoch: int) -> Round:
        started = time.perf_counter()
        self._round = None  # The next one takes its table.
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
            advice.of_equal_embeddings(epoch)
        self.loss.set_unit(overloaded.unit)
        self._refresh_time = time.perf_counter() - started
        return overloaded

    def _order(self, size: int, stream: int, index: int) -> NDArray[np.int64]:
        shuffled = self._rng(stream, index).permutation(size)
        return shuffled if self._shuffle else np.arange(size)

    def _rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, stream, index])
