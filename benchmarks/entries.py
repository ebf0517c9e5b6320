"""The methods compared, with the settings that validation may choose from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from benchmarks.cells import Cell
from benchmarks.methods.deep_over_sampling import NO_NEIGHBORS
from benchmarks.methods.readouts import TAUS
from benchmarks.problems import Part, Problem


@dataclass(frozen=True)
class Entry:
    """A row of a table: a method, its settings, and how its network classifies.

    Attributes:
        label: What the tables call it.
        method: A key of `METHODS`.
        settings: Arguments of the method.
        readout: Whose class probabilities count; "CNN-CL" is the paper's mixture,
            k-NN for all measures except AUPRC, which is that of logistic regression.
    """

    label: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    readout: str = "softmax"

    def cells(self, problem: Problem, seeds: range, part: Part) -> Iterator[Cell]:
        """Yield the trainings that this row needs."""
        for seed in seeds:
            yield Cell(problem, self.method, self.settings, seed, part)


def _each(label: str, method: str, **values: tuple[Any, ...]) -> tuple[Entry, ...]:
    names = list(values)
    return tuple(
        Entry(label, method, dict(zip(names, chosen, strict=True)))
        for chosen in product(*values.values())
    )


DOS = Entry("DOS", "dos", {"embedding_readouts": True})
WITHOUT_NEIGHBORS = Entry("DOS without neighbors (k = 0)", "dos", NO_NEIGHBORS)
PAPER_SETTING: dict[str, Any] = {
    "k": 5,
    "k_majority": 0,
    "r": "balance",
    "loss_form": "paper",
    "logit_adjustment": 0,
    "embeddings": "pass",
}

BASELINES: tuple[tuple[Entry, ...], ...] = (
    (Entry("plain CNN", "plain"),),
    _each("class weights", "class_weights", power=(0.5, 1.0)),
    (Entry("random over-sampling", "over_sampling"),),
    (Entry("SMOTE on pixels", "smote"),),
    _each("focal loss", "focal", gamma=(0.5, 1.0, 2.0)),
    _each("class-balanced loss", "class_balanced_loss", beta=(0.99, 0.999, 0.9999)),
    (Entry("balanced softmax", "logit_adjustment", {"tau": 1.0}),),
    _each("logit adjustment, loss", "logit_adjustment", tau=(1.0, 1.5, 2.0, 3.0)),
    tuple(
        Entry("logit adjustment, post-hoc", "plain", {}, f"post-hoc {tau}")
        for tau in TAUS
    ),
    _each(
        "logit adjustment, deferred",
        "deferred_logit_adjustment",
        tau=(1.0, 2.0),
        fraction=(0.2, 0.4),
    ),
    _each("deferred re-weighting", "deferred_reweighting", fraction=(0.2, 0.4)),
    _each("LDAM-DRW", "ldam_drw", scale=(10.0, 30.0), fraction=(0.2, 0.4)),
    _each("input mixup", "mixup", alpha=(0.1, 0.2, 0.5)),
    _each("head retraining (cRT)", "head_retraining", fraction=(0.2, 0.4)),
    (Entry("CNN-CL", "plain", {}, "CNN-CL"),),
    _each("TL-RS-CSL", "triplet", weight=(0.1, 1.0), cost_power=(0.0, 0.5)),
    _each("LMLE", "lmle", margin=(0.1, 0.3), warmup_fraction=(0.5, 0.75)),
)
"""The methods of the field, each with at most four settings to choose from."""

OURS: tuple[tuple[Entry, ...], ...] = (
    tuple(
        Entry("DOS, the paper's", "dos", PAPER_SETTING | {"embedding_weight": weight})
        for weight in (0.01, 0.03, 0.1, 0.3)
    ),
    (WITHOUT_NEIGHBORS,),
    (Entry("DOS-kNN", "dos", DOS.settings, "knn"),),
    (Entry("DOS-LR", "dos", DOS.settings, "lr"),),
    (
        Entry("DOS, tuned", "dos", DOS.settings),
        *_each("DOS, tuned", "dos", logit_adjustment=(1.25, 1.5, 2.0)),
    ),
    (DOS,),
)
"""The forms of DOS; the recommended one, "DOS", has its defaults, with no choice."""

ALL = BASELINES + OURS


MORE: tuple[tuple[Entry, ...], ...] = (
    _each("mixup + logit adjustment", "mixup", alpha=(0.2,), tau=(1.0, 1.5)),
)
"""Methods that only the comparison on networks of today has."""


def is_baseline(entry: Entry) -> bool:
    """Return whether an entry is a method of the field, not a form of DOS."""
    return "DOS" not in entry.label
