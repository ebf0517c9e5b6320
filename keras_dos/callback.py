"""The callback that turns a `fit` into Deep Over-sampling."""

import os
from collections.abc import Sequence
from typing import Any, Literal

import keras

from keras_dos import _checks
from keras_dos.draws import WeightSampler, draw_weights
from keras_dos.labels import class_counts, labels_of
from keras_dos.objective import MicroClusterObjective
from keras_dos.parameters import ClassWiseInt, ClassWiseRate
from keras_dos.rounds import Rounds
from keras_dos.samples import SampleSource
from keras_dos.schedule import Schedule
from keras_dos.search import NeighborSearch
from keras_dos.settings import Settings


class OverloadingCallback(keras.callbacks.Callback):
    """A callback that turns `DOSModel.fit` into Deep Over-sampling (Algorithm 1).

    The first epochs warm up on the original samples with the class loss alone, eq. (2).
    Each epoch after them is a round: the in-class neighbors N(x) of every sample are
    found among the stored embeddings, new weights w are drawn, and `fit` trains on the
    over-sampled quadruplets (x, y, N(x), w) with eqs. (8)-(10).

    It adds to the logs: `embedding_loss` (ℓ'_f), `classification_loss` (ℓ'_g),
    `refresh_time` (seconds spent on overloading before this epoch), `minority_variance`
    and `majority_variance` (in-class variance of the embeddings at that time, averaged
    over the classes of each group). Before the first round `embedding_loss` and the
    variances are infinite, so that a callback that monitors one prefers any round.

    All randomness derives from the seed and the epoch. One training is one `fit`; a
    loop of fits must pass `initial_epoch` and `warmup_epochs`. After a kill, a training
    with `keras_dos.BackupAndRestore` goes on as if there had been none.

    `val_loss` is the plain loss of `compile`, which jumps when the rounds adjust the
    class loss, up on data as imbalanced as the training set. A callback that keeps the
    best weights by it may discard the rounds: let it monitor a measure that counts all
    classes equally, such as `keras_dos.metrics.BalancedAccuracy`.

    The callback holds only its settings, no training state, so that it can be copied,
    reused and, unless they hold lambdas, pickled.

    Args:
        k: Overloading parameter k, the number of in-class neighbors: an int, one int
            per class, or a mapping from class to int (missing classes get 0). k=0 is
            plain over-sampling. A class with m_j <= k samples uses the m_j − 1
            neighbors that it has. Defaults to 5.
        r: Over-sampling size r, quadruplets per sample: "balance" for 1/R of each
            class, the largest class count over its own (eq. 11); "moderate" for the
            same, but at most 3, which leaves the rest to `logit_adjustment`; a number
            for the minority classes, with 1 for the others; one number per class; or a
            mapping (missing classes get 1). Fractional parts are filled with samples
            drawn in each round. Defaults to "moderate".
        minority: The minority classes. Defaults to None: those with fewer than half as
            many samples as the largest class.
        k_majority: k of the other classes, if `k` is one int; 0 is the paper's k_mjr.
            Defaults to None: the same k for every class.
        warmup_epochs: Plain epochs before the first round. Defaults to None: two
            thirds of the epochs of `fit`, rounded down.
        refresh_freq: Epochs per round. Defaults to 1, as the paper suggests.
        schedule: Replaces the two above: a function of (epoch, epochs) that returns a
            `keras_dos.schedule.Epoch`, which also says whether H is adjusted. Defaults
            to None.
        neighbor_search: "auto" (ScaNN if it can be imported, else pynndescent if that
            can, otherwise exact), "scann", "nndescent", "exact", or an object with
            `search(vectors, k)`; see `keras_dos.search`. Defaults to "auto".
        embeddings: Where the stored embeddings come from. "training" takes what the
            steps of the epochs before computed: from the same network in the same mode
            and on the same random augmentation as the live f(x), at no cost but a
            table of shape (m, d + 1) on the device that trains. A round in the first
            epoch of all has no neighbors then; what no step has seen later, as after a
            resume, a pass embeds. "pass" embeds the training set before each
            round, in inference mode, as Algorithm 1 has it, which costs a forward
            pass. Defaults to "training".
        table_dtype: Type of the stored embeddings: "float32", or "float16" for half the
            memory and a relative error of at most 2^-11 (.05 %) in each number; numbers
            beyond 65,504 are refused, those below 6e-5 are less exact. Distances and
            losses are computed in float32 in any case. Defaults to "float32".
        table_dir: A folder in which to keep the embeddings that neighbors are read
            from, as a memory-mapped file without a name, which is gone when the
            training is, however it ends. Results are the same. What "training" records
            stays on the device. Defaults to None: they are kept in memory.
        weight_sampler: A function of (exists, rng) that draws w; see
            `keras_dos.draws.WeightSampler`. Defaults to uniform on the simplex.
        loss_form: "scale_free" measures squared distances in a unit taken at each
            refresh, their mean over in-class neighbors, so that one weight works for
            embeddings of any scale; "paper" is the paper's form, under which embeddings
            of a large scale collapse; or a `keras_dos.MicroClusterObjective`.
            Defaults to "scale_free".
        embedding_weight: λ, the weight of ℓ'_f relative to ℓ'_g. Defaults to None: 0.1
            for a scale-free form, 1 for the paper's.
        logit_adjustment: Exponent τ of the class frequencies of the quadruplets, by
            which H of eq. (9) is adjusted in the rounds (logit adjustment, Menon et
            al., ICLR 2021), so that with τ = 1 the probabilities are those of equally
            frequent classes; the warm-up keeps the plain H of eq. (2), since deferring
            the adjustment improves accuracy. 0 is the paper's H. Defaults to None: 1,
            or 0 if no class has neighbors (k = 0), which stays plain cross-entropy.
        seed: Seed for shuffling, w and fractional r. Defaults to 0.

    Attributes:
        settings: The arguments, a `keras_dos.settings.Settings` that cannot be changed.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range.

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

    def __init__(
        self,
        k: ClassWiseInt = 5,
        r: ClassWiseRate = "moderate",
        *,
        minority: Sequence[int] | None = None,
        k_majority: int | None = None,
        warmup_epochs: int | None = None,
        refresh_freq: int = 1,
        schedule: Schedule | None = None,
        neighbor_search: str | NeighborSearch = "auto",
        embeddings: Literal["pass", "training"] = "training",
        table_dtype: Literal["float32", "float16"] = "float32",
        table_dir: str | os.PathLike[str] | None = None,
        weight_sampler: WeightSampler = draw_weights,
        loss_form: Literal["scale_free", "paper"]
        | MicroClusterObjective = "scale_free",
        embedding_weight: float | None = None,
        logit_adjustment: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings = Settings(
            k=k,
            r=r,
            minority=minority,
            k_majority=k_majority,
            warmup_epochs=warmup_epochs,
            refresh_freq=refresh_freq,
            schedule=schedule,
            neighbor_search=neighbor_search,
            embeddings=embeddings,
            table_dtype=table_dtype,
            table_dir=table_dir,
            weight_sampler=weight_sampler,
            loss_form=loss_form,
            embedding_weight=embedding_weight,
            logit_adjustment=logit_adjustment,
            seed=seed,
        )

    def steps_per_epoch(self, y: Any, batch_size: int = 32) -> int:
        """Return the steps of each epoch of `fit`, such as for a learning rate.

        Args:
            y: The training labels: integers (m,) or (m, 1), or one-hot (m, n); or a
                `keras_dos.samples.SampleSource`, whose batch size counts.
            batch_size: Samples per step. Defaults to 32, as in `fit`.

        Returns:
            ceil(Σ_j r_j m_j / batch size).

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If a label or the batch size is out of range, or the settings
                do not fit the labels.

        Example:
            >>> y = [0] * 900 + [1] * 100
            >>> OverloadingCallback(r=3).steps_per_epoch(y, batch_size=100)
            12
        """
        if isinstance(y, SampleSource):
            y, batch_size = y.classes, y.batch_size
        batch_size = _checks.integer("batch_size", batch_size, minimum=1)
        with labels_of("y"):
            counts = class_counts(y)
        z = self.settings.class_parameters(counts).n_quadruplets
        return -(-z // batch_size)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Raise TypeError unless `DOSModel.fit` runs this training."""
        if getattr(self.model, "rounds", None) is None:
            raise TypeError(
                "`callbacks` may include an OverloadingCallback only in the `fit` of a "
                "DOSModel: convert a classifier with "
                'DOSModel.from_classifier(model, embedding="layer name"). '
                f"Received: a model of type {type(self.model).__name__}."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the measures of the last overloading to the logs."""
        if logs is not None:
            if self._rounds.slots is None:
                loss = logs.get("loss", float("nan"))
                logs |= {"embedding_loss": 0.0, "classification_loss": loss}
            logs |= self._rounds.end_epoch(epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Warn if the training ended before the first round."""
        self._rounds.end()

    @property
    def _rounds(self) -> Rounds:
        rounds: Rounds = self.model.rounds
        return rounds

    def __getstate__(self) -> dict[str, Any]:
        # Without what Keras sets for a training: its model and parameters.
        return {**self.__dict__, **vars(keras.callbacks.Callback())}


class BeginEpoch(keras.callbacks.Callback):
    """Prepares what an epoch trains on, when all other callbacks have begun it.

    Some of them change the weights that the embeddings are computed with, such as
    `keras.callbacks.SwapEMAWeights`. `DOSModel.fit` adds it.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prepare the epoch."""
        rounds: Rounds = self.model.rounds
        rounds.begin_epoch(epoch)
        self.model.training_prior = rounds.training_prior
        self.model.choose_train_function(rounds.slots)
