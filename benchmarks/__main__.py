"""Run named experiments: `python -m benchmarks bars`; `all` runs every one.

Finished cells are kept in `benchmarks/results/cells` and never run again; tables and
pictures are rewritten from them. Only cells with the part "test" see the test set.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks import choice, cost, figures, scale, tables
from benchmarks.cells import Store
from benchmarks.experiments import EXPERIMENTS
from benchmarks.runner import run_missing

RESULTS = Path(__file__).parent / "results"
COST, SCALE = "cost", "scale"
"""Measured by the clock, so on a quiet machine and again each time."""


def main() -> None:
    arguments = parse_arguments()
    results = Path(arguments.results)
    store = Store(results / "cells")
    wanted = (
        [*EXPERIMENTS, COST, SCALE] if "all" in arguments.names else arguments.names
    )
    for name in wanted:
        if name == COST:
            measured = cost.records()
            _write(results / "cost.csv", cost.csv_text(measured))
            _write(results / "cost.md", cost.document(measured))
            continue
        if name == SCALE:
            _write(results / "scale.md", scale.document())
            continue
        experiment = EXPERIMENTS[name]
        if experiment.tuned_on:
            print("Choice of settings, on validation data", flush=True)
            candidates = choice.cells(experiment.tuned_on, experiment.labels)
            run_missing(candidates, store, arguments.jobs)
        print(f"{name}: {experiment.title}", flush=True)
        run_missing(experiment.cells(store), store, arguments.jobs)
        reader = tables.Reader(experiment, store)
        _write(results / f"{name}.md", tables.document(name, reader))
        _write(results / f"{name}.csv", tables.csv_text(reader))
        pictures = figures.write(name, reader, results)
        names = ", ".join([f"{name}.md", f"{name}.csv", *(p.name for p in pictures)])
        print(f"Written to {results}: {names}", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("names", nargs="+", choices=[*EXPERIMENTS, COST, SCALE, "all"])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--results", default=str(RESULTS), help="folder to write into")
    return parser.parse_args()


def _write(path: Path, text: str) -> None:
    """Replace a file in one step: an interruption leaves the old or the new one."""
    unfinished = path.with_suffix(f"{path.suffix}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    main()
