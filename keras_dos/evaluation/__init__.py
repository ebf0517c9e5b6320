"""Measure a classifier class by class, and choose where it decides for a class.

Precision, recall, F1 and AUPRC are those that the DOS paper reports; of probabilities,
the log-loss, the Brier score and the expected calibration error.

Reference:
    Ando, S., Huang, C. Y.: Deep over-sampling framework for classifying imbalanced
    data. ECML-PKDD 2017, Section 4.2. https://arxiv.org/abs/1704.07515
"""

from keras_dos.evaluation.comparison import comparison_table
from keras_dos.evaluation.measuring import classwise_report
from keras_dos.evaluation.report import ClasswiseReport
from keras_dos.evaluation.threshold import ThresholdChoice, choose_threshold

__all__ = [
    "ClasswiseReport",
    "ThresholdChoice",
    "choose_threshold",
    "classwise_report",
    "comparison_table",
]
