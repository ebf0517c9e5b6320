"""The named experiments: which cells each needs, and what it writes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import choice
from benchmarks.cells import Cell, Store
from benchmarks.entries import DOS, PAPER_SETTING, WITHOUT_NEIGHBORS, Entry
from benchmarks.methods import stored_embeddings
from benchmarks.methods.deep_over_sampling import NO_NEIGHBORS
from benchmarks.methods.recipes import FORMS, RECIPES
from benchmarks.problems import Part, Problem
from benchmarks.suites import (
    BARS,
    HALF_SIZE_LONGER,
    LENGTHS,
    LONG_TAIL,
    MANY,
    SVHN_RATES,
    TABLE_6,
    TABLE_7,
    TABLE_8,
    TENFOLD,
    THREE_TIMES_AS_LONG,
    TODAY,
    TODAY_AT_HALF_SIZE,
    TUNED_ON,
    WITH_COSINE_HEAD,
    back_rotation,
    svhn,
)

SEEDS = range(5)


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
    "DOS, tuned",
    "DOS",
)
TODAY_ROWS = (
    "plain CNN",
    "random over-sampling",
    "balanced softmax",
    "logit adjustment, loss",
    "logit adjustment, post-hoc",
    "logit adjustment, deferred",
    "LDAM-DRW",
    "input mixup",
    "mixup + logit adjustment",
    "head retraining (cRT)",
    "DOS without neighbors (k = 0)",
    "DOS, tuned",
    "DOS",
)
BEST_ROWS = (
    "logit adjustment, loss",
    "logit adjustment, deferred",
    "LDAM-DRW",
    "DOS without neighbors (k = 0)",
    "DOS",
)
BALANCED_DOS = tuple(
    Entry(f"DOS, k = {k}", "dos", {"k": k, "r": 1}) for k in (3, 5, 10)
)


def _dos(label: str, **settings: Any) -> Entry:
    return Entry(label, "dos", settings)


def _former(label: str, change: str = "", **settings: Any) -> Entry:
    """Return a row of a study around the former defaults."""
    changes = f"former_defaults+{change}" if change else "former_defaults"
    return _dos(label, **settings, change=changes)


def _changed(label: str, **settings: Any) -> Entry:
    return _former(label, **{"embedding_weight": 0.3} | settings)


def _at_default(label: str, **settings: Any) -> Entry:
    # The weight is named so that these cells are found beside those of other weights.
    return _former(label, embedding_weight=0.1, **settings)


# They were run when λ = .3 was the default; λ = .1 was chosen after them.
UNCHANGED = _changed("the former defaults, but λ = 0.3", embedding_readouts=True)
ABLATIONS: dict[str, tuple[Entry, ...]] = {
    "neighbors": (
        _former("k = 0: the same r and H, no neighbors", **NO_NEIGHBORS),
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

# In full, so that a row stays what it is when a default changes.
FIELD = (
    Entry("random over-sampling", "over_sampling"),
    Entry("logit adjustment, τ = 1", "logit_adjustment", {"tau": 1.0}),
    Entry(
        "logit adjustment, deferred",
        "deferred_logit_adjustment",
        {"tau": 1.0, "fraction": 1 / 3},
    ),
)


def _candidate(label: str, change: str, **settings: Any) -> Entry:
    usual = {"embedding_weight": 0.1, "embeddings": "pass", "change": change}
    return _dos(f"DOS, {label}", **usual | settings)


CANDIDATES = (
    _candidate("prior of the samples, T = .1", "prior_of_samples+shares_at_.1"),
    _candidate("prior of Z', T = .1", "prior_of_quadruplets+shares_at_.1"),
    *(
        _candidate(
            f"prior of Z', {label}, embeddings of training",
            f"prior_of_quadruplets+{change}",
            embeddings="training",
        )
        for label, change in (
            ("T = .1", "shares_at_.1"),
            ("T = .03", "sharp_shares"),
        )
    ),
    _candidate("prior of Z', no neighbors", "prior_of_quadruplets", **NO_NEIGHBORS),
)


def _at_a_tenth(label: str, **settings: Any) -> Entry:
    return replace(
        _candidate("", "prior_of_quadruplets+shares_at_.1", **settings), label=label
    )


# Those of training first: the others are compared with it.
OF_EACH_SOURCE = (
    _at_a_tenth("embeddings of training", embeddings="training"),
    _at_a_tenth("a pass"),
    *(
        _at_a_tenth(source, embeddings="training", source=source)
        for source in stored_embeddings.SOURCES
    ),
)


RECIPE_ROWS = tuple(
    Entry(name if form == "alone" else f"{name} + {form}", "recipe", settings)
    for name in RECIPES
    for form in FORMS
    for settings in [{"name": name, "form": form}]
)


@dataclass(frozen=True)
class Experiment:
    """A named experiment.

    Attributes:
        title: The heading of what it writes.
        problems: The problems of its cells.
        entries: Its rows, once the choices are made.
        tuned_on: The problems whose validation parts choose settings first, if any.
        labels: The rows that have settings to choose; without labels, those of all.
        seeds: Draws.
        part: The part that the cells are evaluated on.
    """

    title: str
    problems: tuple[Problem, ...]
    entries: Callable[[Store], tuple[Entry, ...]]
    tuned_on: tuple[Problem, ...] = ()
    labels: tuple[str, ...] = ()
    seeds: range = SEEDS
    part: Part = "test"

    def cells(self, store: Store) -> Iterator[Cell]:
        """Yield the trainings, draw by draw."""
        for seed in self.seeds:
            for problem in self.problems:
                for entry in self.entries(store):
                    yield from entry.cells(problem, range(seed, seed + 1), self.part)


def _comparison(
    title: str,
    problems: tuple[Problem, ...],
    labels: tuple[str, ...] = (),
    tuned_on: tuple[Problem, ...] = TUNED_ON,
    **more: Any,
) -> Experiment:
    """Return an experiment whose rows have settings that validation chose."""

    def entries(store: Store) -> tuple[Entry, ...]:
        return tuple(
            choice.chosen(store, group, tuned_on) for group in choice.groups(labels)
        )

    return Experiment(title, problems, entries, tuned_on, labels, **more)


def _on_residual_networks(
    title: str, problems: tuple[Problem, ...], labels: tuple[str, ...] = TODAY_ROWS
) -> Experiment:
    return _comparison(title, problems, labels, tuned_on=TODAY[:1], seeds=range(3))


def _fixed(*entries: Entry) -> Callable[[Store], tuple[Entry, ...]]:
    return lambda store: entries


EXPERIMENTS: dict[str, Experiment] = {
    "ablations": Experiment(
        "Ablations: one change at a time to the former defaults with λ = .3, on "
        "validation data",
        (back_rotation(0.9),),
        _fixed(UNCHANGED, *sum(ABLATIONS.values(), ())),
        seeds=range(100, 105),
        part="validation",
    ),
    "defaults": Experiment(
        "Earlier choices: one change to the former defaults at a time, on validation "
        "data",
        BARS,
        _fixed(_at_default("the former defaults"), *sum(AROUND.values(), ())),
        seeds=range(100, 105),
        part="validation",
    ),
    "many": Experiment(
        "The defaults on problems of many kinds, on validation data",
        MANY,
        _fixed(*FIELD, *CANDIDATES),
        seeds=choice.SEEDS,
        part="validation",
    ),
    "sources": Experiment(
        "Where stored embeddings come from, on validation data",
        MANY,
        _fixed(*OF_EACH_SOURCE),
        seeds=choice.SEEDS,
        part="validation",
    ),
    "bars": _comparison("DOS beside the field", BARS),
    "cifar10_lt": _comparison(
        "CIFAR-10-LT, with settings chosen on other problems", LONG_TAIL, LONG_TAIL_ROWS
    ),
    "resnet": _on_residual_networks(
        "DOS beside the field on a residual network", TODAY
    ),
    "resnet_half": _on_residual_networks(
        "DOS beside the field on a residual network, images of half the size",
        TODAY_AT_HALF_SIZE,
    ),
    "resnet_half_long": _on_residual_networks(
        "DOS beside the best of the field on a residual network, 30 epochs",
        (HALF_SIZE_LONGER,),
        BEST_ROWS,
    ),
    "resnet_half_cosine": _on_residual_networks(
        "DOS beside the best of the field on a residual network with a cosine head",
        WITH_COSINE_HEAD,
        BEST_ROWS,
    ),
    "recipes": Experiment(
        "DOS on top of what people train with",
        (svhn(0.9),),
        _fixed(*RECIPE_ROWS),
    ),
    "recipes_long": Experiment(
        "DOS on top of augmentation, over a training three times as long",
        (THREE_TIMES_AS_LONG,),
        _fixed(*(row for row in RECIPE_ROWS if row.settings["name"] == "augmentation")),
    ),
    "table6": _comparison(
        "Table 6: the paper's comparison over reduction rates",
        TABLE_6,
        ("plain CNN", "CNN-CL", "DOS, the paper's", "DOS"),
    ),
    "probabilities": Experiment(
        "What neighbors do to the probabilities",
        (*BARS, *SVHN_RATES[1:], *LONG_TAIL),
        _fixed(WITHOUT_NEIGHBORS, DOS),
    ),
    "reduction": _comparison(
        "Balanced accuracy over reduction rates, all methods, SVHN subset", SVHN_RATES
    ),
    "temperature": Experiment(
        "Neighbors beside temperature scaling, on validation data",
        MANY,
        _fixed(FIELD[1], WITHOUT_NEIGHBORS, DOS),
        seeds=range(200, 203),
        part="validation",
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
    "table5": _comparison(
        "Table 5: mean recall over overall reduction rates",
        TENFOLD,
        ("TL-RS-CSL", "LMLE", "DOS", "DOS-LR", "DOS-kNN", "plain CNN"),
        seeds=range(3),
    ),
}
