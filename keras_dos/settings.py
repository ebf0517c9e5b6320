"""The user's settings: the arguments of `OverloadingCallback`, checked once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.description import Description, described
from keras_dos.disk import check_folder
from keras_dos.draws import WeightSampler, draw_weights
from keras_dos.objective import LOSS_FORMS, MicroClusterObjective
from keras_dos.parameters import (
    ClassParameters,
    ClassWiseInt,
    ClassWiseRate,
    asks_for_neighbors,
    check_k,
    check_r,
    resolve_class_parameters,
)
from keras_dos.samples.shared import shared_zeros
from keras_dos.schedule import Schedule, WarmupSchedule
from keras_dos.search import NeighborSearch, check_identifier

__all__ = ["Settings"]

# Far beyond any use, and far below what makes a loss in float32 infinite.
MOST_WEIGHT, MOST_TAU = 1e12, 1e3


@dataclass(frozen=True, eq=False)  # Arrays among the settings do not compare.
class Settings:
    """The settings of one training.

    The arguments, their defaults and errors are those of
    `keras_dos.OverloadingCallback`, where they are described.

    Example:
        >>> settings = Settings(k=3, loss_form="paper")
        >>> settings.objective.scale_free
        False
        >>> Settings(refresh_freq=0)
        Traceback (most recent call last):
        ValueError: `refresh_freq` must be at least 1. Received: refresh_freq=0.
    """

    k: ClassWiseInt = 5
    r: ClassWiseRate = "moderate"
    minority: Sequence[int] | None = None
    k_majority: int | None = None
    warmup_epochs: int | None = None
    refresh_freq: int = 1
    schedule: Schedule | None = None
    neighbor_search: str | NeighborSearch = "auto"
    embeddings: Literal["pass", "training"] = "training"
    table_dtype: Literal["float32", "float16"] = "float32"
    table_dir: str | os.PathLike[str] | None = None
    weight_sampler: WeightSampler = draw_weights
    loss_form: Literal["scale_free", "paper"] | MicroClusterObjective = "scale_free"
    embedding_weight: float | None = None
    logit_adjustment: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_k(self.k, self.k_majority)
        check_r(self.r)
        default = WarmupSchedule(self.warmup_epochs, self.refresh_freq)
        if self.schedule is not None:
            _checks.function("schedule", self.schedule, "epoch", "epochs")
            if default != WarmupSchedule():
                raise ValueError(
                    "`schedule` decides what each epoch is: leave out `warmup_epochs` "
                    f"and `refresh_freq`. Received: schedule={self.schedule}, "
                    f"warmup_epochs={self.warmup_epochs}, "
                    f"refresh_freq={self.refresh_freq}."
                )
        check_identifier(self.neighbor_search)
        _checks.choice("embeddings", self.embeddings, ("pass", "training"))
        _checks.choice("table_dtype", self.table_dtype, ("float32", "float16"))
        if self.table_dir is not None:
            check_folder("table_dir", self.table_dir)
        _checks.function("weight_sampler", self.weight_sampler, "exists", "rng")
        if not isinstance(self.loss_form, MicroClusterObjective):
            _checks.choice("loss_form", self.loss_form, LOSS_FORMS)
        if self.embedding_weight is not None:
            _checks.number("embedding_weight", self.embedding_weight, below=MOST_WEIGHT)
        if self.logit_adjustment is not None:
            _checks.number("logit_adjustment", self.logit_adjustment, below=MOST_TAU)
        _checks.seed("seed", self.seed)
        without = not asks_for_neighbors(self.k, self.k_majority)
        for name in ("embedding_weight", "loss_form"):
            given, default = getattr(self, name), getattr(type(self), name)
            if without and given != default:
                raise ValueError(
                    f"`{name}` must be left out with k=0: without neighbors there is "
                    f"no embedding loss. Received: {name}={given!r}, k={self.k!r}."
                )

    def class_parameters(self, counts: NDArray[np.int64]) -> ClassParameters:
        """Return the class-wise k and r, and the size of Z'.

        Args:
            counts: Samples per class, shape (n,).

        Raises:
            ValueError: As `resolve_class_parameters`.
        """
        return resolve_class_parameters(
            counts,
            k=self.k,
            r=self.r,
            minority=self.minority,
            k_majority=self.k_majority,
        )

    def new_table(self, rows: int, d: int) -> NDArray[np.floating[Any]]:
        """Return the table of the embeddings that neighbors are read from, of zeros.

        Args:
            rows: Most embeddings that it holds.
            d: Size of the embedding.

        Raises:
            OSError: If `table_dir` cannot be written to, or has no room.
        """
        folder = None if self.table_dir is None else Path(self.table_dir)
        try:
            return shared_zeros((rows, d), self.table_dtype, folder)
        except OSError as error:
            size = rows * d * np.dtype(self.table_dtype).itemsize
            raise OSError(
                error.errno,
                f"`table_dir` must have room for a file of {size:,} bytes and let it "
                f"be written. Received: {error.strerror}",
                str(folder),
            ) from error

    @property
    def integers(self) -> NDArray[np.int64]:
        """What workers must have in common besides the class-wise parameters."""
        return np.array([self.seed % 2**63, np.dtype(self.table_dtype).itemsize])

    def described(self, k_max: int) -> Description:
        """Return what a training must have in common with one that it goes on from.

        The search is not part of it: all that are exact find the same neighbors.

        Args:
            k_max: The largest k of a class.
        """
        values = {
            "seed": self.seed,
            "embeddings": self.embeddings,
            "table_dtype": self.table_dtype,
            "weight_sampler": self.weight_sampler,
            "loss_form": self.objective,
            "embedding_weight": float(self.full_weight),
            "logit_adjustment": self.tau(k_max),
            "schedule": self.planned,
        }
        found: Description = {}
        for name, value in values.items():
            found |= described(name, value)
        return found

    @property
    def objective(self) -> MicroClusterObjective:
        """Eqs. (8)-(10) in the chosen form."""
        form = self.loss_form
        return LOSS_FORMS[form] if isinstance(form, str) else form

    @property
    def full_weight(self) -> float:
        """λ, the weight of ℓ'_f relative to ℓ'_g."""
        given = self.embedding_weight
        return self.objective.default_weight if given is None else given

    def tau(self, k_max: int) -> float:
        """Return τ of epochs that have a prior; `k_max` is the largest k of a class."""
        given = self.logit_adjustment
        return float(k_max > 0) if given is None else given

    @property
    def warmup_depends_on_epochs(self) -> bool:
        """Whether nobody said how long the warm-up is."""
        return self.schedule is None and self.warmup_epochs is None

    @property
    def planned(self) -> Schedule:
        """The schedule of the training."""
        if self.schedule is None:
            return WarmupSchedule(self.warmup_epochs, self.refresh_freq)
        return self.schedule
