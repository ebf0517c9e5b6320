"""The Markdown and CSV of an experiment."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from benchmarks import choice, paper
from benchmarks.cells import MEASURES, Record, Store
from benchmarks.entries import Entry, is_baseline
from benchmarks.experiments import ABLATIONS, AROUND, Experiment
from benchmarks.measures import (
    Values,
    balanced_accuracy,
    by_seed,
    class_wise,
    group_mean,
    mean_sd,
    shown_difference,
)
from benchmarks.methods.stored_embeddings import OF_EMBEDDINGS, OF_WEIGHTS
from benchmarks.problems import Problem

Row = Sequence[str]
GROUPS = ("minority", "majority")
ADJUSTMENTS = ("logit_adjustment", "deferred_logit_adjustment")


class Reader:
    """A reader of one experiment's values in the store."""

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.experiment, self.store = experiment, store
        self.entries = experiment.entries(store)

    def values(
        self,
        entry: Entry,
        problem: Problem,
        value: Callable[[Record, str], float] = balanced_accuracy,
    ) -> Values:
        """Return one value per seed."""
        return by_seed(
            self.store,
            entry,
            problem,
            self.experiment.seeds,
            value,
            self.experiment.part,
        )

    @property
    def draws(self) -> int:
        """The number of draws."""
        return len(self.experiment.seeds)

    def group(self, entry: Entry, problem: Problem, measure: str, group: str) -> Values:
        """Return the mean of a measure over a group of classes, for each seed."""
        return self.values(
            entry, problem, lambda r, name: group_mean(r, name, measure, group)
        )

    def entry(self, label: str) -> Entry:
        """Return the row of this label."""
        return next(entry for entry in self.entries if entry.label == label)

    def records(self, problem: Problem) -> Iterator[tuple[Entry, int, Record]]:
        """Yield row, seed and record."""
        for entry in self.entries:
            cells = entry.cells(problem, self.experiment.seeds, self.experiment.part)
            for seed, cell in zip(self.experiment.seeds, cells, strict=True):
                yield entry, seed, self.store[cell]


def markdown(header: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def settings_of(entry: Entry) -> str:
    """Return the settings as a reader would write them."""
    shown = [
        f"{name} = {value}"
        for name, value in entry.settings.items()
        if name != "embedding_readouts"
    ]
    if entry.readout.startswith("post-hoc"):
        shown.append(f"tau = {entry.readout.split()[1]}")
    return ", ".join(shown) or "defaults"


def comparison(reader: Reader) -> str:
    """Return one table per problem: every method, and DOS minus that method."""
    parts = []
    ours = reader.entry("DOS")
    for problem in reader.experiment.problems:
        best = best_baseline(reader, problem)
        rows = []
        plain = reader.values(reader.entry("plain CNN"), problem, _seconds)
        plain_steps = reader.values(reader.entry("plain CNN"), problem, _steps)
        for entry in reader.entries:
            accuracy = reader.values(entry, problem)
            f1 = [
                mean_sd(reader.group(entry, problem, "f1", group), 3)
                for group in GROUPS
            ]
            gain = (
                ""
                if entry == ours
                else shown_difference(reader.values(ours, problem), accuracy)
            )
            # A readout of another network's embedding has that network's time.
            time = reader.values(entry, problem, _seconds).mean() / plain.mean()
            steps = reader.values(entry, problem, _steps).mean() / plain_steps.mean()
            name = _emphasized(entry, ours, best)
            cost = [f"{steps:.2f}", f"{time:.2f}"]
            rows.append([name, mean_sd(accuracy), *f1, gain, *cost])
        header = [
            "method",
            "balanced accuracy, %",
            "minority F1",
            "majority F1",
            "DOS less it [95 % CI]",
            "steps",
            "time",
        ]
        parts.append(f"### {problem.title}\n\n{markdown(header, rows)}")
    ratios = ", ".join(f"{ratio} ({name})" for name, ratio in paper.RUN_TIME.items())
    parts.append(
        "The best baseline is in italics. Steps and time of the training: plain CNN "
        "= 1; whole epochs of a larger r cannot always meet the steps of the others. "
        "Cells ran two at a time on a machine that was used otherwise too, so the time "
        "is rough. "
        f"The paper's DOS took {ratios} times as long as its CNN, in more steps.\n"
    )
    return "\n".join(parts)


def residual(reader: Reader) -> str:
    """Return a table per problem with what papers of today report."""
    ours = reader.entry("DOS")
    parts = []
    for problem in reader.experiment.problems:
        best = best_baseline(reader, problem)
        own_accuracy = reader.values(ours, problem)
        own_nll = reader.values(ours, problem, NLL)
        rows = []
        for entry in reader.entries:
            accuracy = reader.values(entry, problem)
            figures = [
                mean_sd(100 * reader.group(entry, problem, "recall", group))
                for group in ("many", "medium", "few")
            ]
            f1 = 100 * reader.group(entry, problem, "f1", "all")
            nll, ece = (reader.values(entry, problem, of) for of in PROBABILITIES)
            less = ["", ""]
            if entry != ours:
                less = [
                    shown_difference(own_accuracy, accuracy),
                    shown_difference(own_nll, nll, 2),
                ]
            name = _emphasized(entry, ours, best)
            measured = [mean_sd(f1), mean_sd(nll, 2), mean_sd(ece, 2)]
            rows.append([name, mean_sd(accuracy), *figures, *measured, *less])
        header = ["method", "balanced accuracy, %", "many", "medium", "few"]
        header += ["macro F1, %", "NLL", "ECE", "DOS less it [95 % CI]", "of NLL"]
        parts.append(f"### {problem.title}\n\n{markdown(header, rows)}")
    parts.append(
        "Recall of the three largest, the four middle and the three smallest classes "
        "of the training set; negative log-likelihood and expected calibration error "
        "with each class of equal weight. The last epoch counts; the same augmentation "
        "and steps for all. The best baseline is in italics. The last two columns are "
        "paired by draw; the second is of the negative log-likelihood, of which less "
        "is better.\n"
    )
    return "\n".join(parts)


def _scalar(name: str) -> Callable[[Record, str], float]:
    def value(record: Record, readout: str) -> float:
        found = record["measures"].get(readout, {}).get(name)
        return float("nan") if found is None else float(found)

    return value


NLL = _scalar("negative_log_likelihood")
SCALED_NLL = _scalar("scaled_negative_log_likelihood")
PROBABILITIES = (NLL, _scalar("calibration_error"))


def probabilities(reader: Reader) -> str:
    """Return how good probabilities are, with neighbors and without, by problem."""
    without, ours = reader.entries
    rows = []
    for problem in reader.experiment.problems:
        row = [problem.title]
        for of in PROBABILITIES:
            theirs, own = (reader.values(e, problem, of) for e in (without, ours))
            row += [mean_sd(theirs, 2), mean_sd(own, 2)]
            row.append(shown_difference(own, theirs, 2))
        rows.append(row)
    names = "without neighbors", f"**{ours.label}**", "difference [95 % CI]"
    header = ["data", *(f"{of}: {name}" for of in ("NLL", "ECE") for name in names)]
    return markdown(header, rows) + (
        "\nNegative log-likelihood (NLL) and expected calibration error (ECE) on the "
        "test sets, each class of equal weight, less is better; "
        f"{reader.draws} draws, paired.\n"
    )


def temperature(reader: Reader) -> str:
    """Return negative log-likelihoods before and after temperature scaling."""
    *_, without, ours = reader.entries
    rows: list[Row] = []
    gains: list[Values] = []
    for problem in reader.experiment.problems:
        before, after = (
            {e.label: reader.values(e, problem, of) for e in reader.entries}
            for of in (NLL, SCALED_NLL)
        )
        means = [f"{v.mean():.2f}" for v in (*before.values(), *after.values())]
        pair = after[ours.label], after[without.label]
        rows.append([problem.title, *means, shown_difference(*pair, 2)])
        gains.append(pair[0] - pair[1])
    rows.append(["**mean**", *[""] * 2 * len(reader.entries), _of_all(gains, 2)])
    names = [entry.label for entry in reader.entries]
    header = ["problem", *names, *(f"{name}, scaled" for name in names)]
    header.append("DOS less no neighbors, both scaled [95 % CI]")
    return markdown(header, rows) + (
        "\nNegative log-likelihood, each class of equal weight, less is better; parts "
        "held out of the training sets, on which the defaults were chosen, "
        f"{reader.draws} new draws of the imbalance, paired. "
        "Scaled: each half of the part by the temperature that fits the other half "
        "best. The last interval takes the draws of all problems as one sample.\n"
    )


def _of_all(gains: Sequence[Values], digits: int = 1) -> str:
    """Return the mean of the differences on all problems, taken as one sample."""
    of_all = np.concatenate(gains)
    return shown_difference(of_all, np.zeros_like(of_all), digits)


def _emphasized(entry: Entry, ours: Entry, best: Entry) -> str:
    if entry == ours:
        return f"**{entry.label}**"
    return f"*{entry.label}*" if entry == best else entry.label


def best_baseline(reader: Reader, problem: Problem) -> Entry:
    """Return the method of the field with the highest mean balanced accuracy."""
    baselines = [entry for entry in reader.entries if is_baseline(entry)]
    return max(baselines, key=lambda entry: _score(reader, entry, problem))


def _score(reader: Reader, entry: Entry, problem: Problem) -> float:
    """Return the mean balanced accuracy, in which a diverged training counts 0."""
    return float(np.nan_to_num(reader.values(entry, problem)).mean())


def _seconds(record: Record, readout: str) -> float:
    return float(record["seconds"])


def _steps(record: Record, readout: str) -> float:
    return float(record["steps"])


BAR_HEADER = ("data", "DOS with its defaults", "bar", "mean [95 % CI]", "")


def _bar(problem: Problem, text: str, values: Values, bar: float) -> Row:
    """Return a row with the bar, and whether the mean reaches it."""
    answer = "reached" if values.mean() >= bar else "**not reached**"
    digits = 1 if abs(bar) >= 1 or not bar else 3
    return [
        problem.title,
        text,
        f"{bar:.{digits}f}",
        shown_difference(values, np.zeros_like(values), digits),
        answer,
    ]


def bars(reader: Reader) -> str:
    """Return the comparison, headed by the bars for DOS and whether it reached them."""
    ours = reader.entry("DOS")
    over_sampling = reader.entry("random over-sampling")
    plain = reader.entry("plain CNN")
    rows = []
    for problem in reader.experiment.problems:
        rotated = problem.data == "mnist_back_rotation"
        accuracy = reader.values(ours, problem)
        gain = accuracy - reader.values(over_sampling, problem)
        text = "balanced accuracy less that of random over-sampling"
        rows.append(_bar(problem, text, gain, 3.0 if rotated else 1.5))
        best = best_baseline(reader, problem)
        gain = accuracy - reader.values(best, problem)
        text = f"balanced accuracy less that of the best baseline, {best.label}"
        rows.append(_bar(problem, text, gain, 2.0 if rotated else 0.0))
        f1 = reader.group(ours, problem, "f1", "majority")
        gain = 100 * (f1 - reader.group(plain, problem, "f1", "majority"))
        text = "points of majority F1 less that of plain CNN"
        rows.append(_bar(problem, text, gain, -2.0))
        if problem.data == "mnist":
            rare = reader.group(ours, problem, "f1", "minority")
            rows.append(_bar(problem, "minority F1, the paper's", rare, 0.95))
            rows.append(_bar(problem, "majority F1, the paper's", f1, 0.96))
    return f"{markdown(BAR_HEADER, rows)}\n{comparison(reader)}"


def long_tail(reader: Reader) -> str:
    """Return the comparison, headed by the bar for data on which nothing was chosen."""
    ours = reader.entry("DOS")
    rows = []
    for problem in reader.experiment.problems:
        accuracy = reader.values(ours, problem)
        for entry in reader.entries:
            if entry.method in ADJUSTMENTS or entry.readout.startswith("post-hoc"):
                gain = accuracy - reader.values(entry, problem)
                text = f"balanced accuracy less that of {entry.label}"
                rows.append(_bar(problem, text, gain, 0.0))
    return f"{markdown(BAR_HEADER, rows)}\n{comparison(reader)}"


def chosen_settings(reader: Reader) -> str:
    """Return what validation chose, with the score of every candidate."""
    experiment, rows = reader.experiment, []
    for group in choice.groups(experiment.labels):
        if len(group) == 1:
            continue
        scores = choice.scores(reader.store, group, experiment.tuned_on)
        winner = choice.chosen(reader.store, group, experiment.tuned_on)
        tried = "; ".join(
            f"{settings_of(entry)}: {scores[place]:.1f}"
            for place, entry in enumerate(group)
        )
        rows.append([winner.label, settings_of(winner), tried])
    header = ["method", "chosen", "validation, balanced accuracy in %, by candidate"]
    return markdown(header, rows)


def table_6(reader: Reader) -> str:
    """Return Table 6 with the paper's F1 and AUPRC beside ours."""
    parts = []
    paper_names = {"plain CNN": "CNN", "CNN-CL": "CNN-CL"}
    for place, name in enumerate(("MNIST", "MNIST-back-rotation", "SVHN subset")):
        rows = []
        for problem in reader.experiment.problems[3 * place : 3 * place + 3]:
            p = problem.imbalance["reduction_rate"]
            for entry in reader.entries:
                for group in GROUPS:
                    figures = [
                        mean_sd(reader.group(entry, problem, measure, group), 2)
                        for measure in MEASURES
                    ]
                    key = (paper_names.get(entry.label, "DOS"), p, group)
                    four = paper.TABLE_6[key][4 * place : 4 * place + 4]
                    papers = " ".join(f"{value:.2f}" for value in four)
                    rows.append([f"{p}", entry.label, group, *figures, papers])
        header = [
            "p",
            "method",
            "classes",
            "P",
            "R",
            "F1",
            "AUPRC",
            "paper: P R F1 AUPRC",
        ]
        parts.append(f"### {name}\n\n{markdown(header, rows)}")
    parts.append(
        "What differs: the SVHN is a subset of 5,136 training images, "
        "MNIST-back-rotation is a re-creation and is tested on 10,000 images, "
        f"{reader.draws} draws instead of one, Adam (MNIST, SVHN) and SGD .01 with "
        "momentum .9, the CNN takes as many steps as DOS. The paper's P and R look "
        "swapped: a class that lacks samples is predicted too rarely, so its recall "
        "falls.\n"
    )
    return "\n".join(parts)


def table_7(reader: Reader) -> str:
    """Return F1 by k, with the paper's."""
    rows = []
    order = [
        reader.entry(f"DOS, k = {k}") if k != 5 else reader.entry("DOS")
        for k in (3, 5, 10)
    ]
    for k, entry in zip((3, 5, 10), order, strict=True):
        for group in GROUPS:
            cells = []
            for place, problem in enumerate(reader.experiment.problems):
                figure = mean_sd(reader.group(entry, problem, "f1", group), 3)
                cells.append(f"{figure} ({paper.TABLE_7[k, group][place]:.2f})")
            rows.append([f"{k}", group, *cells])
    titles = [problem.title for problem in reader.experiment.problems]
    return markdown(["k", "classes", *titles], rows) + (
        "\nF1, in brackets the paper's, whose rows repeat cells of its Table 6 from "
        "other reduction rates. What differs: as under Table 6; DOS has its defaults, "
        "with k for every class.\n"
    )


def table_8(reader: Reader) -> str:
    """Return F1 and AUPRC on balanced data, with the paper's."""
    problems = reader.experiment.problems
    cnn = reader.entry("CNN")
    bar_rows = [
        _bar(
            problem,
            f"points of F1 less that of the CNN, k = {entry.settings['k']}",
            100
            * (
                reader.group(entry, problem, "f1", "all")
                - reader.group(cnn, problem, "f1", "all")
            ),
            0.0,
        )
        for problem in problems
        for entry in reader.entries
        if entry.label.startswith("DOS")
    ]
    titles = [problem.title for problem in problems]
    if len(problems) == 2:
        titles.append("STL-10")
    rows = []
    for entry in reader.entries:
        papers = paper.TABLE_8[entry.label]
        cells = []
        for place in range(len(titles)):
            for offset, measure in enumerate(("f1", "auprc")):
                figure = "not run"
                if place < len(problems):
                    values = reader.group(entry, problems[place], measure, "all")
                    figure = mean_sd(values, 3)
                cells.append(f"{figure} ({papers[2 * place + offset]:.2f})")
        rows.append([entry.label, *cells])
    header = ["method", *(h for title in titles for h in (f"{title}: F1", "AUPRC"))]
    absent = "" if len(problems) > 2 else "; STL-10 was not run"
    return (
        f"{markdown(BAR_HEADER, bar_rows)}\n{markdown(header, rows)}\n"
        "In brackets the paper's. What differs: the SVHN is a subset, as skewed as "
        "SVHN is (3 : 1), so that the adjusted H acts there too; CIFAR-10 has four "
        "epochs; Adam; r = 1, k for every class, the rest the defaults, "
        f"{reader.draws} draws of weights{absent}.\n"
    )


def table_5(reader: Reader) -> str:
    """Return mean recall over overall reduction rates, with the paper's."""
    rows = []
    for entry in reader.entries:
        papers = paper.TABLE_5.get(entry.label, {})
        cells = []
        for rate, problem in zip((0, 20, 40), reader.experiment.problems, strict=True):
            text = mean_sd(reader.values(entry, problem))
            cells.append(f"{text} ({papers[rate]:.1f})" if papers else text)
        rows.append([entry.label, *cells])
    return markdown(["method", "0 %", "20 %", "40 %"], rows) + (
        "\nMean recall in %, in brackets the paper's. What differs: the images were "
        "re-created; the ten versions of each are five rotations and backgrounds of "
        "it and five of its mirror image; three passes over them, SGD .01 with "
        f"momentum .9; {reader.draws} draws; TL-RS-CSL and LMLE are our readings on "
        "this network.\n"
    )


def tables_1_to_3(reader: Reader) -> str:
    """Return F1 class by class of the first draw, and the means of all."""
    balanced, imbalanced = reader.experiment.problems
    first = next(iter(reader.records(imbalanced)))[2]
    rows = []
    for digit in range(10):
        cells = []
        for entry in reader.entries:
            for name, problem in (("balanced", balanced), ("imbalanced", imbalanced)):
                record = next(r for e, _, r in reader.records(problem) if e == entry)
                ours = class_wise(record, entry.readout, "f1")[digit]
                theirs = paper.TABLES_1_2[entry.label, name][digit]
                cells.append(f"{ours:.2f} ({theirs:.2f})")
        mark = "*" if digit in first["minority"] else ""
        rows.append([f"{digit}{mark}", *cells])
    header = ["digit", "CNN, balanced", "CNN, p = .9", "k-NN, balanced", "k-NN, p = .9"]
    one = markdown(header, rows)
    rows = []
    for entry in reader.entries:
        for setting in ("balanced", *GROUPS):
            problem = balanced if setting == "balanced" else imbalanced
            group = "all" if setting == "balanced" else setting
            figures = [
                mean_sd(reader.group(entry, problem, m, group), 2) for m in MEASURES[:3]
            ]
            papers = " ".join(f"{v:.2f}" for v in paper.TABLE_3[entry.label, setting])
            rows.append([entry.label, setting, *figures, papers])
    header = ["classifier", "classes", "P", "R", "F1", "paper: P R F1"]
    return (
        f"F1 of one draw (Tables 1 and 2; * lost 90 %; in brackets the paper's, whose "
        f"minority was 0, 4, 5 and 6):\n\n{one}\nMeans (Table 3):\n\n"
        f"{markdown(header, rows)}\nWhat differs: the images are re-created, "
        f"{reader.draws} draws instead of ten, SGD .01 with momentum .9. A class that "
        "lacks samples loses recall here, where the paper's tables show a loss of "
        "precision.\n"
    )


def ablations(reader: Reader) -> str:
    """Return the effect of each single change to the first row."""
    first, *_ = reader.entries
    problems = reader.experiment.problems
    bases = [reader.values(first, problem) for problem in problems]
    part_of = {
        entry.label: part
        for groups in (ABLATIONS, AROUND)
        for part, entries in groups.items()
        for entry in entries
    }
    rows: list[Row] = []
    for entry in reader.entries:
        cells = []
        for problem, base in zip(problems, bases, strict=True):
            values = reader.values(entry, problem)
            gain = "" if entry == first else shown_difference(values, base)
            cells += [mean_sd(values), gain]
        label = f"**{entry.label}**" if entry == first else entry.label
        rows.append([label, part_of.get(entry.label, ""), *cells])
    header = ["change", "part"]
    for problem in problems:
        header += [f"{problem.title}: balanced accuracy, %", "less the first row"]
    return markdown(header, rows) + (
        f"\nParts held out of the training sets; {reader.draws} draws of their own, "
        "which no test figure uses. Differences are paired by draw, with a 95 % "
        "interval.\n"
    )


def worst_cases(reader: Reader) -> str:
    """Return each candidate's lead over the field, its worst case, and a check.

    The check leaves one problem out: the candidate with the best worst case on the
    others, which is how the defaults are chosen, on that problem.
    """
    problems = reader.experiment.problems
    ours = [entry for entry in reader.entries if not is_baseline(entry)]
    field = [entry for entry in reader.entries if is_baseline(entry)]
    mean = {
        (entry.label, problem.name): _score(reader, entry, problem)
        for entry in reader.entries
        for problem in problems
    }

    def lead(label: str, problem: Problem) -> float:
        best = best_baseline(reader, problem)
        return mean[label, problem.name] - mean[best.label, problem.name]

    def chosen(among: Sequence[Problem]) -> str:
        return max(
            (entry.label for entry in ours),
            key=lambda label: min(lead(label, problem) for problem in among),
        )

    rows = []
    for problem in problems:
        left_out = chosen([other for other in problems if other != problem])
        rows.append(
            [
                problem.title,
                *(f"{mean[entry.label, problem.name]:.1f}" for entry in field),
                *(f"{lead(entry.label, problem):+.1f}" for entry in ours),
                f"{lead(left_out, problem):+.1f} ({left_out})",
            ]
        )
    leads = {e.label: [lead(e.label, problem) for problem in problems] for e in ours}
    blank = [""] * len(field)
    for name, of in (("**worst**", min), ("**mean**", np.mean)):
        values = [f"{of(leads[entry.label]):+.1f}" for entry in ours]
        rows.append([name, *blank, *values, ""])
    header = ["problem", *(entry.label for entry in reader.entries), "left out"]
    return markdown(header, rows) + (
        "\nBalanced accuracy in % of the field, then the lead of each form of DOS over "
        "the best of them in points; the same steps, "
        f'{reader.draws} draws of their own, which no test figure uses. "Left out": '
        "the lead there of the form whose worst case on all other problems is best. "
        f"That form, on all problems: {chosen(problems)}.\n"
    )


def sources(reader: Reader) -> str:
    """Return what each other source of stored embeddings gains over the first."""
    first, *others = reader.entries
    problems = reader.experiment.problems
    bases = [reader.values(first, problem) for problem in problems]
    gains = [
        [reader.values(e, p) - base for p, base in zip(problems, bases, strict=True)]
        for e in others
    ]
    rows: list[Row] = [
        [problem.title, mean_sd(base), *(f"{gain.mean():+.1f}" for gain in row)]
        for problem, base, *row in zip(problems, bases, *gains, strict=True)
    ]
    worst = (min(gain.mean() for gain in of) for of in gains)
    rows.append(["**worst**", "", *(f"{gain:+.1f}" for gain in worst)])
    rows.append(["**mean** [95 % CI]", "", *map(_of_all, gains)])
    return markdown(["problem", *(entry.label for entry in reader.entries)], rows) + (
        "\nBalanced accuracy of the first in %, then the difference of the others from "
        "it in points; DOS with T = .1; parts held out of the training sets, "
        f"{reader.draws} draws of their own, which no test figure uses. The averages "
        "are exponential: of a sample's embeddings with a decay of "
        f"{OF_EMBEDDINGS} an epoch, of the weights with "
        f"{OF_WEIGHTS} in each step, before a pass. "
        "The interval takes the draws of all problems as one sample.\n"
    )


def recipes(reader: Reader) -> str:
    """Return each recipe alone, with rounds without neighbors, and with DOS."""
    (problem,) = reader.experiment.problems
    values: dict[str, dict[str, Values]] = {}
    nll: dict[str, dict[str, Values]] = {}
    for entry in reader.entries:
        name, form = entry.settings["name"], entry.settings["form"]
        values.setdefault(name, {})[form] = reader.values(entry, problem)
        nll.setdefault(name, {})[form] = reader.values(entry, problem, NLL)
    rows = []
    for name, of in values.items():
        gains = [shown_difference(of["DOS"], of[f]) for f in ("alone", "no neighbors")]
        gains.append(shown_difference(nll[name]["DOS"], nll[name]["no neighbors"], 2))
        rows.append([name, *map(mean_sd, of.values()), *gains])
    header = ["recipe", *next(iter(values.values()))]
    header += ["DOS less alone [95 % CI]", "DOS less no neighbors [95 % CI]"]
    header += ["the latter of NLL"]
    return (
        f"### {problem.title}, {problem.network}\n\n{markdown(header, rows)}\n"
        f"Balanced accuracy in %, {reader.draws} draws, paired; the same steps for "
        'all; all but "no augmentation" with random shifts of up to an eighth of the '
        'image. "No neighbors" has the over-sampling and the adjusted H of the rounds, '
        "k = 0. Mixup with rounds mixes in the warm-up alone. The last column is of "
        "the negative log-likelihood, of which less is better.\n"
    )


def lengths(reader: Reader) -> str:
    """Return F1 of the CNN and of DOS over the length of the training."""
    rows = []
    for problem in reader.experiment.problems:
        cnn, ours = (
            100 * reader.group(entry, problem, "f1", "all") for entry in reader.entries
        )
        gain = shown_difference(ours, cnn)
        rows.append([problem.title, mean_sd(cnn), mean_sd(ours), gain])
    header = ["data", *(entry.label for entry in reader.entries), "DOS less CNN"]
    return markdown(header, rows) + (
        f"\nF1 in points, of 10,000 held-out training images; {reader.draws} draws of "
        "weights, which no test figure uses.\n"
    )


BODIES: dict[str, Callable[[Reader], str]] = {
    "ablations": ablations,
    "balanced": lengths,
    "bars": bars,
    "cifar10_lt": long_tail,
    "defaults": ablations,
    "many": worst_cases,
    "probabilities": probabilities,
    "recipes": recipes,
    "recipes_long": recipes,
    "resnet": residual,
    "resnet_half": residual,
    "resnet_half_cosine": residual,
    "resnet_half_long": residual,
    "sources": sources,
    "table5": table_5,
    "table6": table_6,
    "table7": table_7,
    "table8": table_8,
    "tables1to3": tables_1_to_3,
    "temperature": temperature,
}


def document(name: str, reader: Reader) -> str:
    """Return the whole Markdown file of an experiment."""
    experiment = reader.experiment
    body = BODIES.get(name, comparison)(reader)
    parts = [f"# {experiment.title}", body]
    if experiment.tuned_on:
        data = " and ".join(problem.title for problem in experiment.tuned_on)
        parts.append(
            f"## Settings\n\nChosen on parts held out of the training sets of {data}, "
            f"draws {choice.SEEDS.start} to {choice.SEEDS.stop - 1}, one setting for "
            f"all data; DOS has its defaults.\n\n{chosen_settings(reader)}"
        )
    parts.append(provenance(reader))
    return "\n".join(parts)


def provenance(reader: Reader) -> str:
    """Return draws, counts, steps, time, versions and commands."""
    draws, commands, versions = [], set(), set()
    seconds = 0.0
    for problem in reader.experiment.problems:
        seen = set()
        for _, seed, record in reader.records(problem):
            seconds += record["seconds"]
            commands.add(record["command"])
            versions.add(", ".join(f"{k} {v}" for k, v in record["versions"].items()))
            if seed not in seen:
                seen.add(seed)
                minority = " ".join(map(str, record["minority"])) or "none"
                counts = " ".join(map(str, record["counts"]))
                steps = f"{record['steps']:,}"
                draws.append([problem.title, f"{seed}", minority, counts, steps])
    header = ["data", "seed", "minority", "training samples by class", "steps"]
    listed = "".join(f"- `{command}`\n" for command in sorted(commands))
    return (
        "## How it was made\n\n"
        f"{listed}- {'; '.join(sorted(versions))}; CPU, one thread a training\n"
        f"- {seconds / 60:.0f} minutes of training in all\n\n{markdown(header, draws)}"
    )


def csv_text(reader: Reader) -> str:
    """Return one line per row, problem and seed."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [f"{g}_{m}" for g in (*GROUPS, "all") for m in MEASURES]
    writer.writerow(
        [
            "method",
            "settings",
            "problem",
            "seed",
            "minority",
            "counts",
            "steps",
            "seconds",
            "balanced_accuracy",
            *names,
        ]
    )
    for problem in reader.experiment.problems:
        for entry, seed, record in reader.records(problem):
            figures = [
                f"{group_mean(record, entry.readout, m, g):.5f}"
                if g == "all" or record["minority"]
                else ""
                for g in (*GROUPS, "all")
                for m in MEASURES
            ]
            writer.writerow(
                [
                    entry.label,
                    settings_of(entry),
                    problem.name,
                    seed,
                    " ".join(map(str, record["minority"])),
                    " ".join(map(str, record["counts"])),
                    record["steps"],
                    record["seconds"],
                    f"{balanced_accuracy(record, entry.readout):.3f}",
                    *figures,
                ]
            )
    return file.getvalue()
