"""Where samples come from, by ids that stay; batches of quadruplets made of them."""

from keras_dos.samples.base import SampleSource
from keras_dos.samples.memory import InMemory

__all__ = ["InMemory", "SampleSource"]
