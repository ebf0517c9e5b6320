"""Sources of samples with fixed ids, and batches of quadruplets made from them."""

from keras_dos.samples.base import SampleSource
from keras_dos.samples.memory import InMemory

__all__ = ["InMemory", "SampleSource"]
