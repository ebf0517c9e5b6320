"""Metrics for `compile` that count all classes equally, whatever their frequencies.

They work in any Keras classifier with one output per class. Each keeps three counts of
each class instead of a confusion matrix, so that thousands of classes cost little.
Samples whose predictions are NaN are missed: they are of no class.
"""

from keras_dos.metrics.measures import (
    BalancedAccuracy,
    GroupRecall,
    MacroF1,
    WorstClassRecall,
)

__all__ = ["BalancedAccuracy", "GroupRecall", "MacroF1", "WorstClassRecall"]
