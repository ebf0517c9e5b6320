"""What a model knows of the class frequencies that its probabilities have."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class RemembersPrior:
    """Keeps `training_prior` among the weights, so that it goes where they go.

    `EarlyStopping` restores it with the weights of its epoch, files and backups have
    it. A mix-in for a `keras.Model`, which calls `add_training_prior` when it is made.
    """

    rounds: Any
    _training_prior: keras.Variable

    def add_training_prior(self, n: int) -> None:
        """Add the weight, for n classes."""
        self._training_prior = self.add_weight(  # type: ignore[attr-defined]
            name="training_prior",
            shape=(n,),
            initializer="zeros",
            trainable=False,
            dtype="float32",
        )

    @property
    def training_prior(self) -> NDArray[np.float64] | None:
        """Class frequencies that the probabilities have, shape (n,), or None.

        `fit` with an `OverloadingCallback` sets it: equal ones with its defaults, those
        of the copies with `logit_adjustment=0`. None if they are not known: after other
        training, with sample weights, with another loss than the cross-entropy, or if a
        class had no samples. `export_servable` takes it as the default of its argument.
        """
        prior = keras.ops.convert_to_numpy(self._training_prior).astype(np.float64)
        return prior / prior.sum() if (prior > 0).all() else None

    def set_training_prior(self, prior: NDArray[np.float64] | None) -> None:
        """Set the class frequencies that the probabilities have, if they are known.

        Args:
            prior: Shape (n,), positive; or None.
        """
        known = prior is not None and (prior > 0).all()
        self._training_prior.assign(
            prior if known else np.zeros(self._training_prior.shape)
        )

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that trains, as Keras does before training of any kind."""
        if self.rounds is None:
            self.set_training_prior(None)
        super().make_train_function(force)  # type: ignore[misc]

    def load_own_variables(self, store: Any) -> None:
        """Load the prior, which a file of a plain Keras model does not have."""
        if len(store.keys()):
            super().load_own_variables(store)  # type: ignore[misc]
        else:
            self.set_training_prior(None)
