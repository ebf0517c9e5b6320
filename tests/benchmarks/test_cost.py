"""The measurement of costs: what it runs and writes, not how fast it is."""

import csv
import io
import itertools

import numpy as np
import pytest

from benchmarks import cost, networks
from benchmarks.cost import (
    GROWTH,
    MAIN,
    PHASES,
    ROUND,
    STEP,
    WARMUP,
    WORKLOADS,
    Workload,
)


def test_phases_are_measured_once_traced():
    assert set(PHASES[WARMUP]) == {"warmup"}
    assert set(PHASES[STEP]) == {"keep"}
    assert set(PHASES[ROUND]) == {"overload"}
    for kind in (WARMUP, STEP, ROUND):
        assert len(PHASES[kind]) == 7
        first = PHASES.index("overload" if kind is STEP else PHASES[kind.start])
        assert first < kind.start


def test_seconds_are_medians_over_the_epochs_of_all_clocks():
    clocks = cost.Clock(), cost.Clock()
    clocks[0].marks = [(0.0, 0.0), (9.0, 9.0), (10.0, 11.0), (12.0, 12.0)]
    clocks[1].marks = [(0.0, 0.0), (9.0, 9.0), (14.0, 11.0), (15.0, 16.0)]
    # CPU 1, 2, 5, 1 and wall 2, 1, 2, 5 without the first epochs.
    seconds = cost.median(*clocks, epochs=slice(1, 3))
    np.testing.assert_array_equal(seconds, [1.5, 2.0])


def test_a_workload_is_measured_in_three_processes_of_which_the_median_counts(
    monkeypatch,
):
    answers = itertools.cycle([1.0, 2.0, 5.0])

    def answered(function, *arguments, initializer):
        return {"round, CPU": next(answers)} if function is cost.measure else 100.0

    monkeypatch.setattr(cost, "in_a_process", answered)
    monkeypatch.setattr(cost, "WORKLOADS", MAIN)
    measured = cost.records()
    assert [record["round, CPU"] for record in measured] == [2.0] * 3
    assert [record["network"] for record in measured] == [w.network for w in MAIN]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The embeddings in training lie far")
@pytest.mark.parametrize(
    "workload",
    [
        Workload("C6-C16-F400-F120", 200, shape=(28, 28, 1)),
        Workload("ResNet-8", 100, shape=(16, 16, 3)),
        Workload(cost.HEAD, 500, k=3, d=16, n=4, shape=(8,)),
        Workload(cost.HEAD, 500, k=3, d=16, n=4, shape=(8,), embeddings="pass"),
    ],
)
def test_a_workload_is_measured(workload):
    record = cost.measure(workload)
    assert all(np.isfinite(value) and value >= 0 for value in record.values())
    third = (2 * record["warm-up, CPU"] + record["round, CPU"]) / 3
    assert record["training, CPU"] == pytest.approx(third)


def test_the_documents_have_a_row_for_each_workload():
    names = [
        *("plain epoch, s", "warm-up, CPU", "step, CPU", "round, CPU", "round, wall"),
        *("training, CPU", "refresh, s", "search, s", "draw w, s", "peak, MiB", "peak"),
    ]
    measured = [
        cost.asdict(workload) | dict.fromkeys(names, 1.5 + place)
        for place, workload in enumerate(WORKLOADS)
    ]
    text = cost.document(measured)
    for workload in MAIN:
        row = f"| {workload.network}, {workload.m:,} samples, batches of "
        for embeddings in ("training", "pass"):
            assert f"{row}{workload.batch_size} | {embeddings} | " in text
    for name, group in GROWTH.items():
        values = " | ".join(f"{getattr(w, name):,}" for w in group)
        assert f"| {name} | {values} |" in text
    rows = list(csv.DictReader(io.StringIO(cost.csv_text(measured))))
    assert len(rows) == len(WORKLOADS)
    assert rows[1]["round, CPU"] == "2.5"


@pytest.mark.parametrize(("blocks", "layers"), [(1, 8), (5, 32)])
def test_a_residual_network(blocks, layers):
    model = networks.resnet((32, 32, 3), n_classes=7, blocks=blocks)
    assert model.output["embedding"].shape == (None, 64)
    assert model.output["probabilities"].shape == (None, 7)
    convolutions = [
        layer
        for layer in model.layers
        if "conv" in layer.name and layer.kernel_size == (3, 3)
    ]
    assert len(convolutions) + 1 == layers
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), "uint8")
    p = model.classifier.predict(x, verbose=0)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("cosine", [True, False])
def test_a_head_that_compares_directions_does_not_see_lengths(cosine):
    model = networks.resnet((8, 8, 1), n_classes=3, cosine=cosine)
    x = np.random.default_rng(0).normal(size=(4, 64)).astype("float32")
    p, of_longer = model.head.predict_on_batch(x), model.head.predict_on_batch(3 * x)
    assert np.allclose(p, of_longer, atol=1e-5) == cosine
