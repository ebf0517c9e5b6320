"""Data for experiments: imbalance profiles, selection, and MNIST-back-rotation."""

from keras_dos.datasets.back_rotation import mnist_back_rotation
from keras_dos.datasets.imbalance import make_imbalanced
from keras_dos.datasets.selection import select

__all__ = ["make_imbalanced", "mnist_back_rotation", "select"]
