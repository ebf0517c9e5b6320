"""Sources of samples with fixed ids, and batches of quadruplets made from them."""

from keras_dos.samples.base import SampleSource
from keras_dos.samples.indexed import Indexed
from keras_dos.samples.memory import InMemory
from keras_dos.samples.stream import Stream

__all__ = ["InMemory", "Indexed", "SampleSource", "Stream"]
