"""The harness: cells, resuming, choices, tables."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import choice, entries, figures, problems, runner, tables
from benchmarks.cells import Cell, Store
from benchmarks.entries import DOS, WITHOUT_NEIGHBORS, Entry
from benchmarks.experiments import EXPERIMENTS, Experiment
from benchmarks.measures import class_wise, difference, mean_sd
from benchmarks.problems import Problem

PROBLEM = Problem("toy", "mnist", "Toy, p = 0.9", {"reduction_rate": 0.9})
CELL = Cell(PROBLEM, "plain", {}, 0, "test")


def record(recall, **measures):
    values = {m: [recall] * 10 for m in ("precision", "recall", "f1", "auprc")}
    return {
        "minority": [0, 1, 2, 3],
        "counts": [5] * 4 + [50] * 6,
        "steps": 7,
        "seconds": 2.0,
        "measures": {"softmax": values} | measures,
        "history": {"minority_variance": [None, 2.0], "majority_variance": [None, 1.0]},
        "command": "python -m benchmarks toy",
        "versions": {"keras": "3"},
    }


def test_what_is_done_is_found_again_and_a_torn_line_is_not(tmp_path):
    store = Store(tmp_path)
    assert CELL not in store
    store.add(CELL, record(0.5))
    path = tmp_path / "toy.jsonl"
    with path.open("a") as file:
        file.write('{"key": "half a li')
    again = Store(tmp_path)
    assert again[CELL]["steps"] == 7
    other = replace(CELL, seed=1)
    again.add(other, record(0.6))
    final = Store(tmp_path)
    assert CELL in final
    assert other in final


@pytest.mark.parametrize(
    "change",
    [
        {"problem": replace(PROBLEM, epochs=10)},
        {"problem": replace(PROBLEM, imbalance={"reduction_rate": 0.95})},
        {"method": "focal"},
        {"settings": {"tau": 2.0}},
        {"seed": 1},
        {"part": "validation"},
    ],
)
def test_another_training_is_another_cell(change):
    assert replace(CELL, **change).key != CELL.key


def test_another_title_is_the_same_cell():
    assert replace(CELL, problem=replace(PROBLEM, title="new")).key == CELL.key


@pytest.fixture
def ran(monkeypatch):
    """Run cells in threads, by a stand-in; collect what ran."""
    cells = []

    def run(cell):
        cells.append(cell)
        if cell.settings.get("broken"):
            raise ValueError("broken")
        return record(0.5)

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr(
        runner, "ProcessPoolExecutor", lambda jobs, *_, **__: ThreadPoolExecutor(jobs)
    )
    return cells


def test_a_cell_that_is_done_never_runs_again(tmp_path, ran, monkeypatch):
    monkeypatch.delenv(runner.ONEDNN, raising=False)
    store = Store(tmp_path)
    runner.run_missing([CELL, CELL], store, jobs=2)
    assert ran == [CELL]
    runner.run_missing([CELL], Store(tmp_path), jobs=2)
    assert ran == [CELL]
    stored = json.loads((tmp_path / "toy.jsonl").read_text())
    assert "keras-dos" in stored["versions"]
    assert stored["command"].startswith("python -m benchmarks")


def test_a_broken_cell_costs_no_other(tmp_path, ran):
    store = Store(tmp_path)
    broken = replace(CELL, settings={"broken": True})
    with pytest.raises(RuntimeError, match="1 of 2 cells failed"):
        runner.run_missing([broken, CELL], store, jobs=1)
    assert CELL in store
    assert broken not in store


@pytest.fixture
def small_data(monkeypatch):
    """Stand in for TFDS, and tell what was read."""
    read = []

    def load(name, split):
        read.append((name, split))
        n = 12_000 if split == "train" else 100
        y = np.arange(n) % 10
        return np.zeros((n, 4, 4, 1), np.uint8) + y[:, None, None, None], y

    monkeypatch.setattr(problems, "_tfds", load)
    problems._read.cache_clear()
    yield read
    problems._read.cache_clear()


def test_a_record_says_how_tensorflow_was_set(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks", "bars", "--jobs", "2"])
    monkeypatch.delenv(runner.ONEDNN, raising=False)
    assert runner.stamp()["command"] == "python -m benchmarks bars --jobs 2"
    monkeypatch.setenv(runner.ONEDNN, "1")
    command = "TF_ENABLE_ONEDNN_OPTS=1 python -m benchmarks bars --jobs 2"
    assert runner.stamp()["command"] == command


def test_validation_never_reads_the_test_set(small_data):
    split = problems.load(PROBLEM, "validation", seed=3)
    assert {part for _, part in small_data} == {"train"}
    assert len(split.y_eval) == 10_000
    assert len(split.minority) == 4
    counts = np.bincount(split.y)
    assert (counts[list(split.minority)] == 20).all()
    assert (split.x[:, 0, 0, 0] == split.y).all()


def test_test_cells_are_judged_on_the_test_set(small_data):
    split = problems.load(PROBLEM, "test", seed=3)
    assert len(split.y_eval) == 100
    assert sum(np.bincount(split.y) == 1200) == 6


def test_another_seed_draws_other_classes(small_data):
    drawn = {problems.load(PROBLEM, "test", seed).minority for seed in range(5)}
    assert len(drawn) > 1


def test_mean_sd_and_paired_difference():
    assert mean_sd([70.0, 72.0, 74.0]) == "72.0 ± 2.0"
    assert mean_sd([0.51, 0.53], digits=3) == ".520 ± .014"
    assert mean_sd([0.5, np.nan, 0.5]) == "diverged (1 of 3)"
    gain = difference(np.array([3.0, 5.0, 4.0]), np.array([2.0, 2.0, 2.0]))
    # Mean 2, sd 1, t(.975, 2) = 4.3027: 2 ± 4.3027 / √3.
    assert gain["mean"] == 2
    assert gain["low"] == pytest.approx(2 - 2.4841, abs=1e-3)
    assert gain["high"] == pytest.approx(2 + 2.4841, abs=1e-3)


def test_cnn_cl_is_knn_but_for_auprc():
    knn = {m: [0.1] * 10 for m in ("precision", "recall", "f1", "auprc")}
    lr = {m: [0.2] * 10 for m in ("precision", "recall", "f1", "auprc")}
    found = record(0.5, knn=knn, lr=lr)
    assert class_wise(found, "CNN-CL", "f1").tolist() == [0.1] * 10
    assert class_wise(found, "CNN-CL", "auprc").tolist() == [0.2] * 10


def test_the_best_candidate_on_validation_is_chosen(tmp_path):
    store = Store(tmp_path)
    group = tuple(Entry("m", "focal", {"gamma": g}) for g in (0.5, 1.0, 2.0))
    for entry, recall in zip(group, (0.6, 0.8, 0.7), strict=True):
        for cell in entry.cells(PROBLEM, choice.SEEDS, "validation"):
            store.add(cell, record(recall))
    assert choice.chosen(store, group, (PROBLEM,)) == group[1]
    assert choice.scores(store, group, (PROBLEM,))[2] == pytest.approx(70)


def test_no_method_has_more_candidates_than_four():
    assert max(len(group) for group in entries.ALL) <= 4
    labels = [group[0].label for group in entries.ALL]
    assert len(labels) == len(set(labels))


def test_a_comparison_shows_means_differences_and_how_it_was_made(tmp_path):
    rows = (Entry("plain CNN", "plain"), Entry("focal loss", "focal"), DOS)
    experiment = Experiment("Toys", (PROBLEM,), lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    for entry, recall in zip(rows, (0.5, None, 0.7), strict=True):
        for cell in entry.cells(PROBLEM, range(2), "test"):
            found = record(recall)
            if recall is None:
                found["measures"] = {}
            store.add(cell, found)
    reader = tables.Reader(experiment, store)
    text = tables.document("toys", reader)
    assert "| *plain CNN* | 50.0 ± 0.0 | .500 ± .000 |" in text
    assert "+20.0 [+20.0, +20.0]" in text
    assert "| focal loss | diverged (2 of 2) |" in text
    assert "| Toy, p = 0.9 | 0 | 0 1 2 3 | 5 5 5 5 50 50 50 50 50 50 | 7 |" in text
    assert "`python -m benchmarks toy`" in text
    lines = tables.csv_text(reader).splitlines()
    assert len(lines) == 1 + 3 * 2
    assert lines[-1].startswith("DOS,defaults,toy,1,0 1 2 3,5 5 5 5 50")
    figure = figures.methods(reader)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()][-1] == "plain CNN"
    drawn = figures.variance(reader).axes[0].lines[0]
    assert drawn.get_ydata().tolist() == [2.0]


@pytest.mark.parametrize(("recall", "answer"), [(0.9, "reached"), (0.6, "not reached")])
def test_bars_tell_what_was_not_reached(recall, answer, tmp_path):
    rows = (
        Entry("plain CNN", "plain"),
        Entry("random over-sampling", "over_sampling"),
        Entry("LDAM-DRW", "ldam_drw"),
        DOS,
    )
    experiment = Experiment("Bars", (PROBLEM,), lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    for entry, value in zip(rows, (0.5, 0.6, 0.7, recall), strict=True):
        for cell in entry.cells(PROBLEM, range(2), "test"):
            store.add(cell, record(value))
    text = tables.document("bars", tables.Reader(experiment, store))
    (line,) = [
        line for line in text.splitlines() if "best baseline" in line and "|" in line
    ]
    assert "LDAM-DRW" in line
    assert f"{100 * recall - 70:.1f}" in line
    assert line.replace("*", "").rstrip("| ").endswith(f"| {answer}")


@pytest.mark.parametrize(("recall", "answer"), [(0.9, "reached"), (0.6, "not reached")])
def test_the_long_tail_is_judged_by_logit_adjustment(recall, answer, tmp_path):
    rows = (
        Entry("plain CNN", "plain"),
        Entry("post-hoc", "plain", {}, "post-hoc 1.0"),
        Entry("balanced softmax", "logit_adjustment", {"tau": 1.0}),
        DOS,
    )
    experiment = Experiment("Tail", (PROBLEM,), lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    adjusted = {"post-hoc 1.0": record(0.7)["measures"]["softmax"]}
    for entry, value in zip(rows, (0.5, 0.5, 0.7, recall), strict=True):
        for cell in entry.cells(PROBLEM, range(2), "test"):
            store.add(cell, record(value, **adjusted))
    text = tables.document("cifar10_lt", tables.Reader(experiment, store))
    lines = [line for line in text.splitlines() if " less that of " in line]
    assert [line.split("less that of ")[1].split(" |")[0] for line in lines] == [
        "post-hoc",
        "balanced softmax",
    ]
    for line in lines:
        assert f"{100 * recall - 70:+.1f} [" in line
        assert line.replace("*", "").rstrip("| ").endswith(f"| {answer}")


def test_balanced_data_is_judged_by_the_cnn_and_missing_stl10_is_named(tmp_path):
    problems_ = (PROBLEM, replace(PROBLEM, name="other", title="Other"))
    rows = (Entry("CNN", "plain"), Entry("DOS, k = 3", "dos", {"k": 3, "r": 1}))
    experiment = Experiment("Even", problems_, lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    for problem, ours in zip(problems_, (0.55, 0.45), strict=True):
        for entry, value in zip(rows, (0.5, ours), strict=True):
            for cell in entry.cells(problem, range(2), "test"):
                store.add(cell, record(value))
    text = tables.document("table8", tables.Reader(experiment, store))
    judged = [line for line in text.splitlines() if "less that of the CNN" in line]
    assert "| +5.0 [+5.0, +5.0] | reached |" in judged[0]
    assert "| -5.0 [-5.0, -5.0] | **not reached** |" in judged[1]
    assert "not run (0.38)" in text
    assert "STL-10 was not run" in text


def test_ablations_are_shown_beside_the_defaults(tmp_path):
    experiment = replace(
        EXPERIMENTS["ablations"], problems=(PROBLEM,), seeds=range(100, 102)
    )
    store = Store(tmp_path)
    retrained = {"retrained head": record(0.6)["measures"]["softmax"]}
    for cell in experiment.cells(store):
        changed = cell.settings.get("k") == 0
        store.add(cell, record(0.65 if changed else 0.7, **retrained))
    reader = tables.Reader(experiment, store)
    text = tables.document("ablations", reader)
    assert "| **the former defaults, but λ = 0.3** |  | 70.0 ± 0.0 |  |" in text
    assert "| neighbors | 65.0 ± 0.0 | -5.0 [-5.0, -5.0] |" in text
    assert "| in the embedding space | 60.0 ± 0.0 | -10.0 [-10.0, -10.0] |" in text
    assert "λ = 1 | all at once | 70.0 ± 0.0 |" in text
    assert not [row for row in text.splitlines() if "[+" in row and "|  |" in row]
    panel = figures.ablations(reader).axes[0]
    assert len(panel.get_yticklabels()) == len(reader.entries) - 1


def test_lengths_of_balanced_training_are_shown_beside_the_cnn(tmp_path):
    experiment = EXPERIMENTS["balanced"]
    store = Store(tmp_path)
    for cell in experiment.cells(store):
        gain = 0.01 * cell.problem.epochs if cell.method == "dos" else 0
        store.add(cell, record(0.5 + gain))
    text = tables.document("balanced", tables.Reader(experiment, store))
    for epochs in (4, 8, 12):
        line = next(r for r in text.splitlines() if f"10, {epochs} epochs |" in r)
        assert f"| 50.0 ± 0.0 | {50 + epochs:.1f} ± 0.0 | +{epochs:.1f} [" in line


def test_recipes_are_shown_alone_and_with_dos(tmp_path):
    experiment = replace(EXPERIMENTS["recipes"], seeds=range(2))
    store = Store(tmp_path)
    gains = {"alone": 0.0, "no neighbors": 0.1, "DOS": 0.12}
    for cell in experiment.cells(store):
        gain = gains[cell.settings["form"]]
        made = record(0.5 + gain)
        made["measures"]["softmax"]["negative_log_likelihood"] = 1 - gain
        store.add(cell, made)
    text = tables.document("recipes", tables.Reader(experiment, store))
    assert "| recipe | alone | no neighbors | DOS |" in text
    row = "| mixup | 50.0 ± 0.0 | 60.0 ± 0.0 | 62.0 ± 0.0 | +12.0 [+12.0, +12.0] |"
    assert row in text
    assert text.count("| +2.0 [+2.0, +2.0] | -0.02 [-0.02, -0.02] |") == 7


def test_the_worst_case_chooses_and_is_checked_on_a_problem_left_out(tmp_path):
    problems_ = (PROBLEM, replace(PROBLEM, name="other", title="Other"))
    rows = (
        Entry("over-sampling", "over_sampling"),
        Entry("balanced softmax", "logit_adjustment", {"tau": 1.0}),
        Entry("DOS, bold", "dos", {"k": 9}),
        Entry("DOS, steady", "dos", {"k": 1}),
    )
    experiment = Experiment("Many", problems_, lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    recalls = ((0.5, 0.6, 0.9, 0.65), (0.7, 0.6, 0.5, 0.72))
    for problem, values in zip(problems_, recalls, strict=True):
        for entry, value in zip(rows, values, strict=True):
            for cell in entry.cells(problem, range(2), "test"):
                store.add(cell, record(value))
    text = tables.document("many", tables.Reader(experiment, store))
    # Without the first, "steady" leads on the second, so it counts on the first.
    assert "| 50.0 | 60.0 | +30.0 | +5.0 | +5.0 (DOS, steady) |" in text
    assert "| 70.0 | 60.0 | -20.0 | +2.0 | -20.0 (DOS, bold) |" in text
    assert "| **worst** |  |  | -20.0 | +2.0 |" in text
    assert "| **mean** |  |  | +5.0 | +3.5 |" in text
    assert "on all problems: DOS, steady." in text


def test_temperature_scaling_is_shown_beside_neighbors(tmp_path):
    experiment = EXPERIMENTS["temperature"]
    store = Store(tmp_path)
    for cell in experiment.cells(store):
        made = record(0.5)
        loss = {5: 1.0, 0: 1.5}[cell.settings.get("k", 5)]
        if cell.method == "logit_adjustment":
            loss = 2.0
        made["measures"]["softmax"]["negative_log_likelihood"] = loss
        made["measures"]["softmax"]["scaled_negative_log_likelihood"] = loss**0.5
        store.add(cell, made)
    text = tables.document("temperature", tables.Reader(experiment, store))
    row = "| 2.00 | 1.50 | 1.00 | 1.41 | 1.22 | 1.00 | -0.22 [-0.22, -0.22] |"
    assert text.count(row) == len(experiment.problems)
    assert "| **mean** |  |  |  |  |  |  | -0.22 [-0.22, -0.22] |" in text


def test_sources_of_embeddings_are_compared_with_the_first(tmp_path):
    experiment = EXPERIMENTS["sources"]
    store = Store(tmp_path)
    gains = {("training", None): 0.0, ("pass", None): -0.1}
    gains[("training", "averaged embeddings")] = 0.05
    for cell in experiment.cells(store):
        source = cell.settings["embeddings"], cell.settings.get("source")
        lower = 0.2 if cell.problem.data == "digits" and source[1] else 0
        store.add(cell, record(0.5 + gains.get(source, 0.02) - lower))
    text = tables.document("sources", tables.Reader(experiment, store))
    assert "| MNIST, p = 0.99 | 50.0 ± 0.0 | -10.0 | +5.0 | +2.0 |" in text
    assert "| **worst** |  | -10.0 | -15.0 | -18.0 |" in text
    # 18 draws at +5 and two at -15: mean 3, standard deviation 6.16, t(19) = 2.093.
    row = next(line for line in text.splitlines() if line.startswith("| **mean**"))
    assert "| -10.0 [-10.0, -10.0] | +3.0 [+0.1, +5.9] |" in row


def test_networks_of_today_are_judged_by_many_medium_and_few(tmp_path):
    rows = (Entry("plain CNN", "plain"), DOS)
    experiment = Experiment("Today", (PROBLEM,), lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    for entry, gain in zip(rows, (0.0, 0.1), strict=True):
        for cell in entry.cells(PROBLEM, range(2), "test"):
            made = record(0.5)
            made["counts"] = [9, 1, 8, 2, 7, 3, 6, 4, 5, 5]
            recalls = [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.5, 0.5]
            values = made["measures"]["softmax"]
            values["recall"] = [recall + gain for recall in recalls]
            values["negative_log_likelihood"] = 1.25
            values["calibration_error"] = 0.03
            store.add(cell, made)
    text = tables.document("resnet", tables.Reader(experiment, store))
    plain = next(row for row in text.splitlines() if row.startswith("| *plain CNN*"))
    groups = "90.0 ± 0.0 | 50.0 ± 0.0 | 10.0 ± 0.0"
    assert f"| 50.0 ± 0.0 | {groups} | 50.0 ± 0.0 | 1.25 ± .00 | .03 ± .00 |" in plain
    assert "| +10.0 [+10.0, +10.0] | +0.00 [+0.00, +0.00] |" in plain


def test_the_probabilities_with_neighbors_are_paired_with_those_without(tmp_path):
    rows = (WITHOUT_NEIGHBORS, DOS)
    experiment = Experiment("Both", (PROBLEM,), lambda store: rows, seeds=range(2))
    store = Store(tmp_path)
    for entry, nll, ece in zip(
        rows, ((1.5, 1.7), (0.5, 0.9)), (0.25, 0.125), strict=True
    ):
        for cell, value in zip(
            entry.cells(PROBLEM, range(2), "test"), nll, strict=True
        ):
            made = record(0.5)
            values = made["measures"]["softmax"]
            values["negative_log_likelihood"] = value
            values["calibration_error"] = ece
            store.add(cell, made)
    text = tables.document("probabilities", tables.Reader(experiment, store))
    # Differences of -1 and -.8, standard deviation .1414, t of one degree 12.706.
    nll = "1.60 ± .14 | .70 ± .28 | -0.90 [-2.17, +0.37]"
    ece = ".25 ± .00 | .12 ± .00 | -0.12 [-0.12, -0.12]"
    assert f"| {PROBLEM.title} | {nll} | {ece} |" in text


def test_half_images_are_means_of_four_pixels(monkeypatch):
    x = np.arange(2 * 4 * 4).reshape(2, 4, 4, 1).astype(np.uint8)
    y = np.arange(2)
    monkeypatch.setattr(problems, "_tfds", lambda name, split: (x, y))
    problems._read.cache_clear()
    half, labels, *_ = problems._read("cifar10_half", "test")
    problems._read.cache_clear()
    assert half.shape == (2, 2, 2, 1)
    # (0 + 1 + 4 + 5) / 4 = 2.5, to even.
    assert half[0, :, :, 0].tolist() == [[2, 4], [10, 12]]
    assert labels is y


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mnist_5000", "digits"])
def test_data_without_a_test_set_are_for_validation_alone(data):
    problem = replace(PROBLEM, data=data, imbalance={})
    split = problems.load(problem, "validation", 0)
    assert len(split.y_eval) == 1000
    with pytest.raises(ValueError, match=f'test set.*"{data}"'):
        problems.load(problem, "test", 0)


def test_the_cosine_falls_from_a_tenth_to_zero_over_the_steps():
    optimizer = replace(PROBLEM, optimizer="cosine").new_optimizer(10)
    rates = []
    for _ in range(11):
        rates.append(float(optimizer.learning_rate))
        optimizer.iterations.assign_add(1)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(11) / 10))
    np.testing.assert_allclose(rates, expected, atol=1e-7)


def test_every_experiment_names_cells_of_known_methods(tmp_path, monkeypatch):
    from benchmarks.methods import METHODS

    monkeypatch.setattr(choice, "chosen", lambda store, group, problems: group[0])
    store = Store(tmp_path)
    for experiment in EXPERIMENTS.values():
        cells = list(experiment.cells(store))
        assert cells
        assert {cell.method for cell in cells} <= METHODS.keys()
        assert {cell.part for cell in cells} == {experiment.part}


@pytest.mark.slow
def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    code = (
        "import time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "import multiprocessing, os, sys\n"
        "from benchmarks import runner\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    pool = ProcessPoolExecutor(1, context, runner.set_up)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 600)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    root = Path(runner.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    )
    worker = int(done.stdout)
    end = time.monotonic() + 30
    while _runs(worker):
        assert time.monotonic() < end, "the worker goes on without its parent"
        time.sleep(0.1)


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A process that has ended but that nobody waits for yet does not run either.
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rsplit(")")[1].split()[0] != "Z"
