"""Cells, each one method on one draw of one problem, and the store of finished ones."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.calibration import (
    calibration_error,
    negative_log_likelihood,
    scaled_negative_log_likelihood,
)
from benchmarks.methods import METHODS, Readouts, Task, Trained
from benchmarks.problems import Part, Problem, Split, load
from keras_dos import class_counts, classwise_report

Record = dict[str, Any]
MEASURES = ("precision", "recall", "f1", "auprc")
PROBABILISTIC = (
    negative_log_likelihood,
    scaled_negative_log_likelihood,
    calibration_error,
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        problem: The data and the training setting.
        method: A key of `METHODS`.
        settings: Arguments of the method.
        seed: Seed of the draw, the weights and the training.
        part: The part that it is evaluated on; choices are made on "validation".
    """

    problem: Problem
    method: str
    settings: dict[str, Any]
    seed: int
    part: Part

    @property
    def key(self) -> str:
        """The string that tells this cell from all others."""
        described = [
            dataclasses.asdict(self.problem) | {"title": ""},
            self.method,
            self.settings,
            self.seed,
            self.part,
        ]
        return json.dumps(described, sort_keys=True)


class Store:
    """Records of finished cells, one JSON line each, one file per problem."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[str, Record] = {}
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue  # A line that a kill cut off; its cell runs again.
                self._records[record["key"]] = record

    def __contains__(self, cell: Cell) -> bool:
        return cell.key in self._records

    def __getitem__(self, cell: Cell) -> Record:
        return self._records[cell.key]

    def add(self, cell: Cell, record: Record) -> None:
        """Append a record at once, so that an interruption loses no finished cell."""
        record = {"key": cell.key, **record}
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{cell.problem.name}.jsonl"
        with path.open("a+", encoding="utf-8") as file:
            if _ends_within_a_line(path):
                file.write("\n")
            file.write(json.dumps(record) + "\n")
        self._records[cell.key] = record


def run(cell: Cell) -> Record:
    """Train and evaluate one cell."""
    keras.backend.clear_session()
    split = load(cell.problem, cell.part, cell.seed)
    task = task_of(cell.problem, split, cell.seed)
    return _record(split, METHODS[cell.method](task, **cell.settings))


def task_of(problem: Problem, split: Split, seed: int) -> Task:
    """Return the task of a method for a draw of a problem."""
    return Task(
        x=split.x,
        y=split.y,
        minority=split.minority,
        x_eval=split.x_eval,
        build=problem.build,
        new_optimizer=problem.new_optimizer,
        batch_size=problem.batch_size,
        epochs=problem.epochs,
        seed=seed,
    )


def _record(split: Split, trained: Trained) -> Record:
    return {
        "minority": list(split.minority),
        "counts": class_counts(split.y, 10).tolist(),
        "steps": trained.steps,
        "seconds": round(trained.seconds, 2),
        "measures": _measures(split, trained.readouts),
        "history": {
            name: [_rounded(value) for value in values]
            for name, values in trained.history.items()
        },
    }


def _measures(split: Split, readouts: Readouts) -> dict[str, Any]:
    measures: dict[str, Any] = {}
    for name, p in readouts.items():
        if not np.isfinite(p).all():
            continue  # The training diverged: the tables say so.
        report = classwise_report(split.y_eval, p, split.minority or None)
        measures[name] = {
            measure: [_rounded(value) for value in getattr(report, measure)]
            for measure in MEASURES
        }
        for value in PROBABILISTIC:
            measures[name][value.__name__] = _rounded(value(split.y_eval, p))
    return measures


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def _ends_within_a_line(path: Path) -> bool:
    data = path.read_bytes()
    return bool(data) and not data.endswith(b"\n")
