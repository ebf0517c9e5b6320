"""The named experiments: which cells each needs, and what it writes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import choice
from benchmarks.cells import Cell, Store
from benchmarks.entries import ALL, DOS, PAPER_SETTING, Entry
from benchmarks.problems import DATA_DIR, Part, Problem
from keras_dos import MicroClusterObjective

SEEDS = range(5)


def _reduced(name: str, title: str, p: float) -> dict[str, Any]:
    """Return the arguments of a data set's problem that depend on p."""
    return {
        "name": f"{name}_p{round(100 * p)}",
        "title": f"{title}, p = {p}" if p else title,
        "imbalance": {"reduction_rate": p} if p else {},
    }


def mnist(p: float) -> Problem:
    """Return MNIST whose four minority classes lose the fraction p."""
    return Problem(
        **_reduced("mnist", "MNIST", p),
        data="mnist",
        batch_size=60,
        epochs=4,
    )


def back_rotation(p: float) -> Problem:
    """Return re-created MNIST-back-rotation; four classes lose the fraction p."""
    return Problem(
        **_reduced("mnist_back_rotation", "MNIST-back-rotation (re-created)", p),
        data="mnist_back_rotation",
        optimizer=0.01,
        batch_size=40,
        epochs=12,
    )


def svhn(p: float) -> Problem:
    """Return the SVHN subset whose four minority classes lose the fraction p."""
    return Problem(
        **_reduced("svhn_subset", "SVHN subset (5,136 / 2,000)", p),
        data="svhn_cropped",
        batch_size=32,
        epochs=9,
    )


def cifar10_lt(ratio: int) -> Problem:
    """Return CIFAR-10-LT, on which no choice was made."""
    return Problem(
        name=f"cifar10_lt_{ratio}",
        data="cifar10",
        title=f"CIFAR-10-LT, ratio {ratio}",
        imbalance={"profile": "exp", "ratio": ratio},
        batch_size=50,
        epochs=12 if ratio == 100 else 8,
    )


BARS = (back_rotation(0.9), mnist(0.99), svhn(0.9))
TUNED_ON = (back_rotation(0.9), svhn(0.9))
LONG_TAIL = (cifar10_lt(10), cifar10_lt(100))
LONG_TAIL_ROWS = (
    "plain CNN",
    "random over-sampling",
    "class-balanced loss",
    "balanced softmax",
    "logit adjustment, loss",
    "logit adjustment, post-hoc",
    "logit adjustment, deferred",
    "deferred re-weighting",
    "LDAM-DRW",
    "input mixup",
    "head retraining (cRT)",
    "DOS without neighbors (k = 0)",
    "DOS",
)
SVHN_RATES = (svhn(0.9), svhn(0.95), svhn(0.99))
TABLE_6 = tuple(
    make(p) for make in (mnist, back_rotation, svhn) for p in (0.9, 0.95, 0.99)
)
TABLE_7 = (mnist(0.99), back_rotation(0.99), svhn(0.99))
CIFAR10 = Problem(
    name="cifar10",
    data="cifar10",
    title="CIFAR-10",
    batch_size=50,
    epochs=4,
    network="C20-C50-F500-F120",
)
STL10 = replace(CIFAR10, name="stl10", data="stl10", title="STL-10", epochs=5)
# STL-10 runs where TensorFlow Datasets has prepared it.
TABLE_8 = (svhn(0), CIFAR10, *([STL10] if (DATA_DIR / "stl10").is_dir() else []))
LENGTHS = tuple(
    replace(CIFAR10, title=f"CIFAR-10, {epochs} epochs", epochs=epochs)
    for epochs in (4, 8, 12)
)
TENFOLD = tuple(
    Problem(
        name=f"mnist_back_rotation_x10_reduced_{rate}",
        data="mnist_back_rotation_x10",
        title=f"MNIST-back-rotation (re-created), ten-fold, {rate} % less",
        imbalance={"profile": "gaussian", "reduction_rate": rate / 100} if rate else {},
        optimizer=0.01,
        batch_size=40,
        epochs=3,
    )
    for rate in (0, 20, 40)
)
BALANCED_DOS = tuple(
    Entry(f"DOS, k = {k}", "dos", {"k": k, "r": 1}) for k in (3, 5, 10)
)


def _dos(label: str, **settings: Any) -> Entry:
    return Entry(label, "dos", settings)


def _changed(label: str, **settings: Any) -> Entry:
    return _dos(label, **{"embedding_weight": 0.3} | settings)


def _at_default(label: str, **settings: Any) -> Entry:
    # The weight is named so that these cells are found beside those of other weights.
    return _dos(
        label, embedding_weight=MicroClusterObjective().default_weight, **settings
    )


# They were run when λ = .3 was the default; λ = .1 was chosen after them.
UNCHANGED = _changed("the defaults, but λ = 0.3", embedding_readouts=True)
ABLATIONS: dict[str, tuple[Entry, ...]] = {
    "neighbors": (
        _dos("k = 0: the same r and H, no neighbors", k=0, logit_adjustment=1.0),
        _changed("k = 3", k=3),
        _changed("k = 10", k=10),
        _changed("k of the majority 0, as the paper has it", k_majority=0),
    ),
    "w and ρ'": (
        _changed("w fixed at 1/(k + 1)", change="equal_w"),
        _changed("ρ' off: w in its place", change="no_shares"),
        _changed("ρ' at temperature 1 instead of .1", change="soft_shares"),
        _changed("ρ' differentiated", change="differentiated_shares"),
        _changed("class loss on f(x) alone", change="live_alone"),
    ),
    "embedding loss": (
        _changed("ℓ_f off", embedding_weight=0.0),
        *(_changed(f"λ = {w}", embedding_weight=w) for w in (0.03, 0.1, 1.0, 3.0)),
        *(
            _changed(f"literal ℓ_f, λ = {w}", loss_form="paper", embedding_weight=w)
            for w in (0.001, 0.01, 0.1, 1.0)
        ),
        _changed("λ rising over the rounds", change="ramp"),
    ),
    "schedule": (
        *(
            _changed(f"warm-up {name} of the epochs", warmup_fraction=fraction)
            for name, fraction in (
                ("0", 0.0),
                ("1/3", 1 / 3),
                ("1/2", 0.5),
                ("5/6", 5 / 6),
            )
        ),
        _changed("refresh every third epoch", refresh_freq=3),
        _changed("refresh never again", refresh_freq=1000),
    ),
    "re-sampling and H": (
        _changed("r = 1", r=1),
        _changed('r = "balance"', r="balance"),
        _changed("H not adjusted", logit_adjustment=0.0),
        _changed("H not adjusted, r = balance", logit_adjustment=0.0, r="balance"),
        _changed("H adjusted in the warm-up too", change="adjusted_warmup"),
        _changed("H adjusted by the prior of Z'", change="prior_of_quadruplets"),
    ),
    "in the embedding space": (
        replace(
            UNCHANGED,
            label="head retrained after the last round",
            readout="retrained head",
        ),
        _changed("neighbors mixed half with f(x)", change="mixed"),
    ),
    "all at once": (
        Entry(
            "the paper's own: k_mjr = 0, r = balance, plain H, λ = 1",
            "dos",
            PAPER_SETTING,
        ),
    ),
}
AROUND: dict[str, tuple[Entry, ...]] = {
    "embedding loss": (
        replace(UNCHANGED, label="λ = 0.3"),
        _at_default("λ rising over the rounds", change="ramp"),
    ),
    "w and ρ'": (
        _at_default("class loss on f(x) alone", change="live_alone"),
        _at_default("ρ' at temperature .03 instead of .1", change="sharp_shares"),
        _at_default("w fixed at 1/(k + 1)", change="equal_w"),
    ),
    "schedule": (
        _at_default("warm-up 0 of the epochs", warmup_fraction=0.0),
        _at_default("warm-up 5/6 of the epochs", warmup_fraction=5 / 6),
    ),
    "re-sampling and H": (
        _at_default('r = "balance"', r="balance"),
        _at_default("H adjusted by the prior of Z'", change="prior_of_quadruplets"),
    ),
}


@dataclass(frozen=True)
class Experiment:
    """A named experiment.

    Attributes:
        title: The heading of what it writes.
        problems: The problems of its cells.
        entries: Its rows, once the choices are made.
        needs_choice: Whether settings are chosen on validation data first.
        seeds: Draws.
        part: The part that the cells are evaluated on.
    """

    title: str
    problems: tuple[Problem, ...]
    entries: Callable[[Store], tuple[Entry, ...]]
    needs_choice: bool = False
    seeds: range = SEEDS
    part: Part = "test"

    def cells(self, store: Store) -> Iterator[Cell]:
        """Yield the trainings, draw by draw."""
        for seed in self.seeds:
            for problem in self.problems:
                for entry in self.entries(store):
                    yield from entry.cells(problem, range(seed, seed + 1), self.part)


def chosen_entries(
    labels: tuple[str, ...] = (),
) -> Callable[[Store], tuple[Entry, ...]]:
    """Return a function that returns the chosen rows of these labels, or of all."""

    def entries(store: Store) -> tuple[Entry, ...]:
        return tuple(
            choice.chosen(store, group, TUNED_ON)
            for group in ALL
            if not labels or group[0].label in labels
        )

    return entries


def _fixed(*entries: Entry) -> Callable[[Store], tuple[Entry, ...]]:
    return lambda store: entries


EXPERIMENTS: dict[str, Experiment] = {
    "ablations": Experiment(
        "Ablations: one change at a time to DOS with λ = .3, on validation data",
        (back_rotation(0.9),),
        _fixed(UNCHANGED, *sum(ABLATIONS.values(), ())),
        seeds=range(100, 105),
        part="validation",
    ),
    "defaults": Experiment(
        "The last choices: one change to the defaults at a time, on validation data",
        BARS,
        _fixed(_at_default("the defaults"), *sum(AROUND.values(), ())),
        seeds=range(100, 105),
        part="validation",
    ),
    "bars": Experiment(
        "DOS beside the field", BARS, chosen_entries(), needs_choice=True
    ),
    "cifar10_lt": Experiment(
        "CIFAR-10-LT, on which no choice was made",
        LONG_TAIL,
        chosen_entries(LONG_TAIL_ROWS),
        needs_choice=True,
    ),
    "table6": Experiment(
        "Table 6: the paper's comparison over reduction rates",
        TABLE_6,
        chosen_entries(("plain CNN", "CNN-CL", "DOS, the paper's", "DOS")),
        needs_choice=True,
    ),
    "reduction": Experiment(
        "Balanced accuracy over reduction rates, all methods, SVHN subset",
        SVHN_RATES,
        chosen_entries(),
        needs_choice=True,
    ),
    "tables1to3": Experiment(
        "Tables 1-3: what imbalance does to a CNN and to its embedding",
        (back_rotation(0), back_rotation(0.9)),
        _fixed(Entry("CNN", "plain"), Entry("k-NN", "plain", {}, "knn")),
    ),
    "table7": Experiment(
        "Table 7: k at p = .99",
        TABLE_7,
        _fixed(DOS, _dos("DOS, k = 3", k=3), _dos("DOS, k = 10", k=10)),
    ),
    "table8": Experiment(
        "Table 8: balanced data",
        TABLE_8,
        _fixed(
            Entry("CNN", "plain"), Entry("CNN-CL", "plain", {}, "CNN-CL"), *BALANCED_DOS
        ),
    ),
    "balanced": Experiment(
        "Balanced CIFAR-10 over the length of the training, on validation data",
        LENGTHS,
        _fixed(Entry("CNN", "plain"), BALANCED_DOS[1]),
        seeds=range(100, 102),
        part="validation",
    ),
    "table5": Experiment(
        "Table 5: mean recall over overall reduction rates",
        TENFOLD,
        chosen_entries(("TL-RS-CSL", "LMLE", "DOS", "DOS-LR", "DOS-kNN", "plain CNN")),
        needs_choice=True,
        seeds=range(3),
    ),
}
