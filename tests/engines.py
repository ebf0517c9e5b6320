"""Our search engines, in every way of searching that they have."""

import functools

import pytest

from keras_dos.search import ExactSearch, NNDescentSearch, ScannSearch

# How to make each, and the fraction of the nearest rows that it must find.
ENGINES = {
    "exact": (ExactSearch, 1.0),
    "exact_tiny_blocks": (functools.partial(ExactSearch, block_size=7), 1.0),
    "scann_brute_force": (ScannSearch, 1.0),
    "scann_hashed": (functools.partial(ScannSearch, brute_force_below=16), 0.9),
    "scann_tree": (
        functools.partial(ScannSearch, brute_force_below=16, partition_above=16),
        0.25,
    ),
    "nndescent_brute_force": (NNDescentSearch, 1.0),
}
# Apart, because pynndescent first compiles for half a minute: for slow tests only.
GRAPH = functools.partial(NNDescentSearch, brute_force_below=1)
EXACT = [name for name, (_, recall) in ENGINES.items() if recall == 1]


def make(name):
    """Return the engine, or skip the test where its package cannot be imported."""
    engine, _ = ENGINES[name]
    try:
        return engine()
    except ImportError as error:
        pytest.skip(str(error))
