"""The callback that overloads the training set before each round."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.class_parameters import (
    ClassParameters,
    ClassWiseInt,
    ClassWiseRate,
    check_k,
    check_r,
    resolve_class_parameters,
)
from keras_dos.labels import class_counts
from keras_dos.labels import class_prior as class_shares
from keras_dos.objective import MicroClusterObjective
from keras_dos.overloading import (
    Quadruplets,
    Round,
    overload,
    plain_epoch,
    without_neighbors,
)
from keras_dos.pipeline import QuadrupletPipeline
from keras_dos.search import NeighborSearch, get_search
from keras_dos.training_data import TrainingData

if TYPE_CHECKING:
    from keras_dos.model import DOSModel

# λ of each form: measured for the scale-free one, the paper's implicit 1 for its own.
EMBEDDING_WEIGHTS = {"scale_free": 0.1, "literal": 1.0}

# A mean squared distance to the neighbors, in units of that at the refresh, that tells
# of embeddings far from those stored; about 1 is usual, with much Dropout up to 4.
FAR_OFF = 5.0


class OverloadingCallback(keras.callbacks.Callback):
    """Turns `DOSModel.fit` into Deep Over-sampling (Algorithm 1).

    The first epochs warm up on the original samples with the class loss alone, eq. (2).
    Each epoch after them is a round: the callback embeds the training set, finds the
    in-class neighbors N(x) of every sample, draws new weights w, and `fit` trains on
    the over-sampled quadruplets (x, y, N(x), w) with eqs. (8)-(10).

    The logs get `embedding_loss` (ℓ'_f), `classification_loss` (ℓ'_g), `refresh_time`
    (seconds that the overloading before this epoch took), `minority_variance` and
    `majority_variance` (in-class variance of the embeddings at that time, mean over the
    classes of each group; NaN before the first round).

    All randomness derives from the seed and the epoch, so one training is one `fit`; a
    loop of fits passes `initial_epoch` and `warmup_epochs`. With `BackupAndRestore` and
    `refresh_every=1` a resumed training equals an uninterrupted one.

    `val_loss` is the plain loss of `compile`, which rises when the rounds adjust the
    class loss. A callback that keeps the best weights by it may throw the rounds away:
    let it monitor a measure that counts classes equally.

    Args:
        k: Overloading parameter k, the number of in-class neighbors: an int, one int
            per class, or a mapping from class to int (absent classes have 0). With
            k=0 it is plain over-sampling. A class with n_c <= k samples uses the
            n_c − 1 neighbors that it has. Defaults to 5.
        r: Over-sampling size r, quadruplets per sample: "balance" for 1/R of each
            class, the largest class count over its own (eq. 11); "moderate" for the
            same, but 3 at most, which leaves the rest to `prior_adjustment`; a number
            for the minority classes, the others keeping 1; one number per class; or a
            mapping (absent classes have 1). A fraction is filled with samples drawn
            anew each round. Defaults to "moderate".
        minority: The minority classes. Defaults to None: those with fewer than half as
            many samples as the largest class.
        k_majority: k of the other classes, if `k` is one int; 0 is the paper's k_mjr.
            Defaults to None: the same k for every class.
        warmup_epochs: Plain epochs before the first round. Defaults to None: two
            thirds of the epochs of `fit`, rounded down.
        refresh_every: Epochs per round. Defaults to 1, as the paper suggests.
        neighbor_search: "auto" (ScaNN where it imports, else exact), "scann", "exact",
            or an object with `search(vectors, k)`; see `keras_dos.search`.
        loss_form: "scale_free" measures squared distances in a unit taken at each
            refresh, their mean over in-class neighbors, so that one weight serves
            embeddings of any scale; "literal" is the paper's form, which collapses
            embeddings of a large scale. Defaults to "scale_free".
        embedding_weight: λ, the weight of ℓ'_f beside ℓ'_g. Defaults to None: 0.1 for
            the scale-free form, 1 for the literal one.
        prior_adjustment: Exponent τ of the class frequencies of the training set, by
            which H of eq. (9) is adjusted in the rounds (logit adjustment, Menon et
            al., ICLR 2021); the warm-up keeps the plain H of eq. (2), since deferring
            it gains accuracy. 0 is the paper's H. Defaults to None: 1, but 0 where no
            class has neighbors (k = 0), which stays plain cross-entropy.
        seed: Seed of shuffling, of w and of fractional r. Defaults to 0.

    Raises:
        ValueError: If an argument is out of range.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> import keras, numpy as np
        >>> from keras_dos import DOSModel
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1], [90, 10])
        >>> x = rng.normal(size=(100, 4)).astype("float32") + y[:, None]
        >>> inputs = keras.Input((4,))
        >>> e = keras.layers.Dense(8, activation="relu")(inputs)
        >>> p = keras.layers.Dense(2, activation="softmax")(e)
        >>> model = DOSModel(inputs, {"embedding": e, "probabilities": p})
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> history = model.fit(
        ...     x, y, epochs=3, verbose=0, callbacks=[OverloadingCallback(k=5)])
        >>> len(history.history["embedding_loss"])
        3
    """

    _objective_class = MicroClusterObjective

    def __init__(
        self,
        k: ClassWiseInt = 5,
        r: ClassWiseRate = "moderate",
        *,
        minority: Sequence[int] | None = None,
        k_majority: int | None = None,
        warmup_epochs: int | None = None,
        refresh_every: int = 1,
        neighbor_search: str | NeighborSearch = "auto",
        loss_form: Literal["scale_free", "literal"] = "scale_free",
        embedding_weight: float | None = None,
        prior_adjustment: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_k(k, k_majority)
        check_r(r)
        _check_int("refresh_every", refresh_every, 1)
        _check_int("seed", seed, 0)
        if warmup_epochs is not None:
            _check_int("warmup_epochs", warmup_epochs, 0)
        if loss_form not in EMBEDDING_WEIGHTS:
            raise ValueError(
                '`loss_form` must be "scale_free" or "literal". '
                f"Received: loss_form={loss_form!r}."
            )
        if embedding_weight is None:
            embedding_weight = EMBEDDING_WEIGHTS[loss_form]
        _check_non_negative("embedding_weight", embedding_weight)
        if prior_adjustment is not None:
            _check_non_negative("prior_adjustment", prior_adjustment)
        self.k = k
        self.r = r
        self.minority = minority
        self.k_majority = k_majority
        self.warmup_epochs = warmup_epochs
        self.refresh_every = refresh_every
        self.neighbor_search = neighbor_search
        self.loss_form = loss_form
        self.embedding_weight = embedding_weight
        self.prior_adjustment = prior_adjustment
        self.seed = seed
        self._state: _Training | None = None

    def prepare(
        self, model: "DOSModel", data: TrainingData, shuffle: bool
    ) -> tuple[tf.data.Dataset, MicroClusterObjective]:
        """Meet the training set: called by `DOSModel.fit`, in its strategy's scope.

        Args:
            model: The compiled model.
            data: The training set.
            shuffle: Whether each epoch gets an order of its own.

        Returns:
            The dataset of quadruplets that `fit` trains on, and its objective.

        Raises:
            ValueError: If the arguments of the callback do not fit the data.
        """
        n_classes = model.head.output_shape[-1]
        parameters = resolve_class_parameters(
            class_counts(data.classes, n_classes),
            k=self.k,
            r=self.r,
            minority=self.minority,
            k_majority=self.k_majority,
        )
        objective = self._objective_class(
            model.loss,
            embedding_weight=self.embedding_weight,
            scale_free=self.loss_form == "scale_free",
            n_classes=n_classes,
            tau=self._tau(parameters),
        )
        pipeline = QuadrupletPipeline(
            data,
            parameters.n_quadruplets,
            model.embedder.output_shape[-1],
        )
        search = get_search(self.neighbor_search)
        self._state = _Training(
            model, data, shuffle, parameters, search, pipeline, objective
        )
        return pipeline.dataset(), objective

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that this training is one of `DOSModel.fit`, and fix the warm-up."""
        if self._state is None or self._state.model is not self.model:
            raise TypeError(
                "OverloadingCallback works in the list of callbacks given to the `fit` "
                "of a DOSModel; any classifier becomes one by "
                'DOSModel.from_classifier(model, embedding="layer name"). '
                f"Received: a model of type {type(self.model).__name__}."
            )
        epochs = self.params["epochs"]
        warmup = self.warmup_epochs
        if warmup is None:
            warmup = 2 * epochs // 3
        elif warmup >= epochs:
            raise ValueError(
                "`warmup_epochs` leaves no epoch for Deep Over-sampling: give `fit` "
                "more epochs, or train without the callback until then. "
                f"Received: warmup_epochs={warmup}, epochs={epochs}."
            )
        self._training.warmup = warmup

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the pipeline what this epoch trains on."""
        training = self._training
        training.begun = True
        training.refresh_time = 0.0
        training.objective.reset_distance()
        counts = training.parameters.counts
        if epoch < training.warmup:
            quadruplets = self._warm_up(epoch)  # Line 5: STL(X).
            training.objective.prior.assign(np.ones(len(counts)))
        else:
            due = (epoch - training.warmup) % self.refresh_every == 0
            if due or training.round is None:  # A resumed training may start between.
                training.round = self._overload(epoch)  # Lines 7-21.
            quadruplets = training.round.quadruplets
            training.objective.prior.assign(class_shares(counts))
        order = self._order(len(quadruplets), _EPOCH_ORDER, epoch)
        training.pipeline.assign(quadruplets.ordered(order))  # Line 22: MTL(Z).

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the measures of the last overloading to the logs."""
        if logs is None:
            return
        logs.update(self._training.logs())
        distance = self._training.objective.mean_distance()
        if distance > FAR_OFF and not self._training.far_told:
            self._training.far_told = True
            warnings.warn(
                "The embeddings in training lie far from those stored at the refresh, "
                "so neighbors teach little. The rounds may have begun too early, or "
                "the learning rate is too high, or BatchNormalization or Dropout in "
                "front of the embedding acts very differently in training: give it "
                "more `warmup_epochs`, or a lower learning rate or momentum. Received: "
                f"{distance:.3g} times the squared distance of neighbors in epoch "
                f"{epoch + 1}, where about 1 is usual.",
                stacklevel=2,
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Say so if the training never came to a round."""
        training = self._training
        if training.begun and training.round is None:
            warnings.warn(
                "The training ended before the first round, so no Deep Over-sampling "
                f"took place: rounds start at epoch {training.warmup + 1}. Lower "
                "`warmup_epochs`, or let EarlyStopping wait with "
                f"start_from_epoch={training.warmup}.",
                stacklevel=2,
            )

    def release(self) -> None:
        """Let go of the model and the training set: called when `fit` is over."""
        self._state = None

    @property
    def _training(self) -> "_Training":
        assert self._state is not None, "on_train_begin has checked this"
        return self._state

    def _tau(self, parameters: ClassParameters) -> float:
        if self.prior_adjustment is not None:
            return self.prior_adjustment
        return 1.0 if parameters.slots else 0.0

    def _warm_up(self, epoch: int) -> Quadruplets:
        training = self._training
        m = len(training.data)
        samples = plain_epoch(
            m,
            training.parameters.n_quadruplets,
            epoch,
            lambda i: self._order(m, _PASS_ORDER, i),
        )
        return without_neighbors(samples, training.model.embedder.output_shape[-1])

    def _overload(self, epoch: int) -> Round:
        training = self._training
        started = time.perf_counter()
        overloaded = overload(
            lambda ids: self._embed(ids, epoch),
            training.data.classes,
            training.parameters,
            training.search,
            self._rng(_ROUND, epoch),
        )
        if training.parameters.slots and not overloaded.unit:
            warnings.warn(
                "All embeddings are equal, so their neighbors teach nothing: the "
                "network is dead or has collapsed. Lower the learning rate or "
                f"`embedding_weight`. Received: spread 0 at epoch {epoch + 1}.",
                stacklevel=2,
            )
        training.objective.unit.assign(overloaded.unit)
        training.refresh_time = time.perf_counter() - started
        return overloaded

    def _embed(self, ids: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """Return f(x) of the given samples, as the network infers it."""
        training = self._training
        embedder = training.model.embedder
        embedder.jit_compile = training.model.jit_compile
        if not len(ids):
            return np.zeros((0, embedder.output_shape[-1]), np.float32)
        # No gradients are kept, so a larger batch fits where a training batch does.
        inputs = training.data.inputs(ids, 4 * training.data.batch_size)
        embeddings: NDArray[np.float32] = embedder.predict(inputs, verbose=0).astype(
            np.float32
        )
        finite = np.isfinite(embeddings).all(axis=1)
        if not finite.all():
            raise ValueError(
                "Embeddings are not finite, so no neighbors can be found: the training "
                "has diverged, or inputs hold NaN. Lower the learning rate, clip "
                "gradients (clipnorm in the optimizer), or clean the inputs. "
                f"Received: {np.sum(~finite)} of {len(ids)} embeddings not finite at "
                f"the start of epoch {epoch + 1}."
            )
        return embeddings

    def _order(self, size: int, stream: int, index: int) -> NDArray[np.int64]:
        if not self._training.shuffle:
            return np.arange(size)
        return self._rng(stream, index).permutation(size)

    def _rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, index])


# Streams of randomness under one seed.
_ROUND, _EPOCH_ORDER, _PASS_ORDER = range(3)


@dataclass
class _Training:
    """What the callback knows during one `fit`."""

    model: "DOSModel"
    data: TrainingData
    shuffle: bool
    parameters: ClassParameters
    search: NeighborSearch
    pipeline: QuadrupletPipeline
    objective: MicroClusterObjective
    warmup: int = 0
    begun: bool = False
    round: Round | None = None
    refresh_time: float = 0.0
    far_told: bool = False

    def logs(self) -> dict[str, float]:
        """Return the measures of the last overloading."""
        logs = {"refresh_time": self.refresh_time}
        for group in ("minority", "majority"):
            classes = self.parameters.group(group)
            if self.parameters.slots and classes:
                variances = self.round.variances if self.round else {}
                values = [variances.get(j, float("nan")) for j in classes]
                logs[f"{group}_variance"] = float(np.mean(values))
        return logs


def split_callbacks(callbacks: Any) -> tuple[OverloadingCallback | None, list[Any]]:
    """Split what `fit` was given into its OverloadingCallback and all others.

    Raises:
        ValueError: If there are several.
    """
    listed = [c for c in keras.tree.flatten(callbacks) if c is not None]
    found = [c for c in listed if isinstance(c, OverloadingCallback)]
    if len(found) > 1:
        raise ValueError(
            "One training has one OverloadingCallback; give k and r per class instead. "
            f"Received: {len(found)} of them."
        )
    others = [c for c in listed if c not in found]
    return (found[0] if found else None), others


def _check_int(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"`{name}` must be an int. Received: {name}={value!r}.")
    if value < least:
        raise ValueError(
            f"`{name}` must be at least {least}. Received: {name}={value!r}."
        )


def _check_non_negative(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}.")
    if not 0 <= value < float("inf"):
        raise ValueError(
            f"`{name}` must be finite and not negative. Received: {name}={value!r}."
        )
