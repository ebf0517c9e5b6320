"""Each method's setting, chosen on validation data with the same budget for all."""

from collections.abc import Iterator

import numpy as np

from benchmarks.cells import Cell, Store
from benchmarks.entries import ALL, MORE, Entry
from benchmarks.measures import by_seed
from benchmarks.problems import Problem

SEEDS = range(100, 102)
"""Separate draws: those of the tests have other minority classes and weights."""


def groups(labels: tuple[str, ...]) -> tuple[tuple[Entry, ...], ...]:
    """Return the candidates of the rows with these labels; without labels, of `ALL`."""
    if not labels:
        return ALL
    return tuple(group for group in (*ALL, *MORE) if group[0].label in labels)


def cells(
    problems: tuple[Problem, ...], labels: tuple[str, ...] = ()
) -> Iterator[Cell]:
    """Yield the trainings that the choice needs."""
    for seed in SEEDS:
        for group in groups(labels):
            for entry in group if len(group) > 1 else ():
                for problem in problems:
                    yield from entry.cells(problem, range(seed, seed + 1), "validation")


def scores(
    store: Store, group: tuple[Entry, ...], problems: tuple[Problem, ...]
) -> dict[int, float]:
    """Return the mean balanced accuracy of each candidate over problems and draws."""
    means = {}
    for place, entry in enumerate(group):
        values = [
            by_seed(store, entry, problem, SEEDS, part="validation")
            for problem in problems
        ]
        means[place] = float(np.nan_to_num(np.concatenate(values)).mean())
    return means


def chosen(
    store: Store, group: tuple[Entry, ...], problems: tuple[Problem, ...]
) -> Entry:
    """Return the best candidate; one setting for all data, as DOS has its defaults."""
    if len(group) == 1:
        return group[0]
    means = scores(store, group, problems)
    return group[max(means, key=means.__getitem__)]
