"""The README says what is true: its code runs, its commands are those of CI."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from code_blocks import blocks_in

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_python_code_runs():
    code = blocks_in("python", README)
    assert code
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_first_example_is_short():
    lines = [
        line for line in blocks_in("python", README)[0].splitlines() if line.strip()
    ]
    assert len(lines) <= 16


def test_the_code_is_on_the_first_screen():
    before = README[: README.index("```python")].splitlines()
    assert len(before) <= 10


def test_it_is_about_one_screen():
    assert len(README.splitlines()) <= 80


def test_ci_runs_the_test_command():
    commands = [
        line for block in blocks_in("bash", README) for line in block.splitlines()
    ]
    (test_command,) = [line for line in commands if line.endswith("-m pytest")]
    assert test_command in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("path", ["README.md", "benchmarks/REPORT.md"])
def test_the_table_says_what_was_measured(path):
    with (ROOT / "benchmarks" / "results" / "bars.csv").open() as file:
        records = list(csv.DictReader(file))
    text = (ROOT / path).read_text()
    table = text[text.index("| method |") :].split("\n\n")[0]
    header, _, *rows = table.splitlines()
    problems = ["mnist_back_rotation_p90", "mnist_p99", "svhn_subset_p90"]
    assert [name[:4] for name in header.split(" | ")[1:]] == ["MNIS", "MNIS", "SVHN"]
    listed = []
    for row in rows:
        method, *cells = row.replace("*", "").strip("| ").split(" | ")
        listed.append(method)
        for problem, cell in zip(problems, cells, strict=True):
            values = [
                float(record["balanced_accuracy"])
                for record in records
                if (record["method"], record["problem"]) == (method, problem)
            ]
            assert len(values) == 5
            assert cell == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    methods = {record["method"] for record in records}
    assert set(listed) == methods if "REPORT" in path else len(listed) >= 5
