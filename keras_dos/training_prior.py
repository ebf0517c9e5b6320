"""What a model knows of the class frequencies that its probabilities have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NAME = "training_prior"


class RemembersPrior:
    """Keeps `training_prior` with the weights, wherever they go.

    It is no weight itself, or the model would have more parameters than its layers. A
    mix-in for a `keras.Model`.

    Attributes:
        training_prior: Class frequencies that the probabilities have, shape (n,), or
            None. `fit` with an `OverloadingCallback` sets it: equal ones with its
            defaults, those of the copies with `logit_adjustment=0`. None if they are
            not known: after other training, with sample weights, with another loss
            than the cross-entropy, or if a class had no samples. Set it to None
            after training one of the parts, or the classifier that the model was made
            from: they do not know of it. `export_servable` takes it as the default of
            its argument.
    """

    rounds: Any
    training_prior: NDArray[np.float64] | None = None

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that trains, as Keras does before training of any kind."""
        if self.rounds is None:
            self.training_prior = None
        super().make_train_function(force)  # type: ignore[misc]

    def get_weights(self) -> list[NDArray[Any]]:
        """Return the weights, with which `set_weights` also restores the prior."""
        return _Weights(super().get_weights(), self.training_prior)  # type: ignore[misc]

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights, and the prior if they come from `get_weights`."""
        super().set_weights(weights)  # type: ignore[misc]
        self.training_prior = getattr(weights, _NAME, None)

    def save_own_variables(self, store: Any) -> None:
        """Write the prior into a file of weights."""
        super().save_own_variables(store)  # type: ignore[misc]
        if self.training_prior is not None:
            store[_NAME] = self.training_prior

    def load_own_variables(self, store: Any) -> None:
        """Read the prior from a file of weights; one of a plain model has none."""
        values = {name: np.array(store[name]) for name in list(store.keys())}
        self.training_prior = values.pop(_NAME, None)
        super().load_own_variables(values)  # type: ignore[misc]


class _Weights(list[NDArray[Any]]):
    """Weights, and the prior that belongs to them."""

    def __init__(
        self, weights: list[NDArray[Any]], prior: NDArray[np.float64] | None
    ) -> None:
        super().__init__(weights)
        self.training_prior = prior
