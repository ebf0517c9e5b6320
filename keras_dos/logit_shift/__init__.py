"""Shift the logits of a classifier by the class frequencies of its training.

A network that was trained on imbalanced classes predicts the rare ones too rarely.
Post-hoc logit adjustment divides the probability of class j by π_j^τ, where π are the
class frequencies of the training set; that shifts its logit by −τ log π_j. With τ = 1,
probabilities under the frequencies π become those under equal frequencies, whose most
probable class is best for balanced accuracy. But networks are not calibrated, and a
loss may be adjusted already, so τ is chosen on validation data; it may be negative.
`LogitAdjustedCrossentropy` is such a loss, which adjusts in training instead.

Reference:
    Menon, A. K., Jayasumana, S., Rawat, A. S., Jain, H., Veit, A., Kumar, S.: Long-tail
    learning via logit adjustment. ICLR 2021, Sections 4 and 5.
    https://arxiv.org/abs/2007.07314
"""

from keras_dos.logit_shift.choice import LogitShiftChoice, choose_logit_shift
from keras_dos.logit_shift.loss import LogitAdjustedCrossentropy
from keras_dos.logit_shift.model import LogitShift, with_logit_shift
from keras_dos.logit_shift.probabilities import shift_probabilities

__all__ = [
    "LogitAdjustedCrossentropy",
    "LogitShift",
    "LogitShiftChoice",
    "choose_logit_shift",
    "shift_probabilities",
    "with_logit_shift",
]
