"""What every method receives, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import Images, Labels
from keras_dos import DOSModel, class_counts
from keras_dos.parameters import resolve_class_parameters

Probabilities = NDArray[np.float32]
Readouts = dict[str, Probabilities]
"""Class probabilities of the images to classify, by the name of the readout."""

# So that Python takes little of the time of a step; it changes no weight.
STEPS_PER_EXECUTION = 10


@dataclass(frozen=True)
class Task:
    """A training set with a network and a budget of gradient steps.

    Attributes:
        x: Training images, shape (m, h, w, c), uint8.
        y: Labels, shape (m,).
        minority: The minority classes, as the paper groups them.
        x_eval: The images to classify.
        build: Makes the uncompiled network.
        new_optimizer: Makes the optimizer for a number of steps.
        batch_size: Samples per step.
        epochs: Epochs of `steps` steps each, which make the budget.
        seed: Seed of weights, order and all draws.
    """

    x: Images
    y: Labels
    minority: tuple[int, ...]
    x_eval: Images
    build: Callable[[tuple[int, ...]], DOSModel]
    new_optimizer: Callable[[int], keras.optimizers.Optimizer]
    batch_size: int
    epochs: int
    seed: int

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training samples per class."""
        return class_counts(self.y, 10)

    @property
    def steps(self) -> int:
        """Steps per epoch: one pass over the set over-sampled by r = "moderate"."""
        return self.steps_of("moderate")

    def steps_of(self, r: Any) -> int:
        """Return the steps of one pass over the set over-sampled by r."""
        parameters = resolve_class_parameters(
            self.counts, k=0, r=r, minority=self.minority or None
        )
        return -(-parameters.n_quadruplets // self.batch_size)

    def network(self) -> DOSModel:
        """Return the network; the same weights for every method of a seed."""
        keras.utils.set_random_seed(self.seed)
        return self.build(self.x.shape[1:])

    def compile(
        self,
        model: keras.Model,
        loss: Any,
        optimizer: keras.optimizers.Optimizer | None = None,
        steps: int | None = None,
    ) -> None:
        """Compile a model for this task.

        Without an optimizer it is a fresh one, for all steps if no number is given.
        """
        if optimizer is None:
            optimizer = self.new_optimizer(steps or self.epochs * self.steps)
        model.compile(optimizer, loss, steps_per_execution=STEPS_PER_EXECUTION)

    def predict(self, model: keras.Model, x: Images | None = None) -> NDArray[Any]:
        """Return the outputs of a model for the images to classify, or for `x`."""
        images = self.x_eval if x is None else x
        outputs: NDArray[Any] = model.predict(images, batch_size=500, verbose=0)
        return outputs


@dataclass(frozen=True)
class Trained:
    """What a method returns.

    Attributes:
        readouts: Class probabilities, shape (m, 10), by name of the readout; the
            first is the method's own.
        steps: Gradient steps taken.
        seconds: Wall time of the training, without the readouts.
        history: Values by epoch that a figure may need.
    """

    readouts: Readouts
    steps: int
    seconds: float
    history: Mapping[str, list[float]]


Method = Callable[..., Trained]
