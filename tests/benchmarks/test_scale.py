"""What large data cost, measured on small ones."""

import sys
import time

import numpy as np
import pytest

from benchmarks import scale

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


@LINUX
def test_the_peak_is_what_a_block_takes_beyond_its_start():
    before = np.ones(2**24)
    with scale.Peak() as peak:
        taken = np.ones(2**24)  # 128 MiB.
        time.sleep(0.2)
        del taken
        time.sleep(0.2)
    assert 120 < peak.mebibytes < 200
    assert before.all()


def test_rates_are_compared_with_the_same_dataset():
    of = {"memory, quadruplets": 9.0, "A": 8.0, "A, shuffled": 5.0}
    assert scale._ratios("A, quadruplets", 4.0, of) == ["0.50", "0.80"]
    assert scale._ratios("memory, quadruplets", 9.0, of) == ["", ""]
    assert scale._ratios("A", 8.0, of) == ["", ""]


@LINUX
@pytest.mark.slow
def test_each_part_measures(monkeypatch):
    monkeypatch.setattr(scale, "M", 20_000)
    record = scale.refresh("1 / rank")
    assert record["largest"] > record["smallest"] >= 0
    assert record["quadruplets"] > 20_000
    monkeypatch.setattr(scale, "READ", 600)
    monkeypatch.setattr(scale, "READ_LARGE", 100)
    monkeypatch.setattr(scale, "PASSES", 1)
    ways = {r["way"]: r["samples per second"] for r in scale.reading()}
    assert len(ways) == 12
    assert min(ways.values()) > 0
    for way in ("TFRecord", "memory map"):
        record = scale.bounded(way, 0.02)
        assert record["samples"] == 1310
        assert record["peak, MiB"] > 0
