"""Keep a logit shift in a model, as its last layer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.logit_shift.probabilities import (
    read_tau,
    shift_probabilities,
    training_prior,
)
from keras_dos.losses import adjusted_logits
from keras_dos.model import DOSModel
from keras_dos.outputs import check_not_logits
from keras_dos.serving.inputs import read_inputs
from keras_dos.serving.outputs import (
    check_probabilities,
    named_outputs,
    read_n_classes,
)
from keras_dos.serving.samples import sample_inputs


@keras.saving.register_keras_serializable(package="keras_dos")
class LogitShift(keras.layers.Layer):
    """A layer that does what `shift_probabilities` does, in float32.

    It comes after a softmax; `with_logit_shift` puts it there. It has no weights, and
    is saved with a model. To load the model, import `keras_dos` first.

    Args:
        class_counts: Training samples of each class, shape `(n,)`, not all 0.
        tau: The exponent τ, any finite number.
        **kwargs: `name`, as in `keras.layers.Layer`.

    Raises:
        TypeError: If `tau` is not a number.
        ValueError: If `class_counts` are not counts, or not as many as the input has
            classes, or if `tau` is not finite.

    Example:
        >>> layer = LogitShift([30, 10], tau=1.0)
        >>> layer(np.array([[0.9, 0.1]])).numpy().round(2).tolist()
        [[0.75, 0.25]]
    """

    def __init__(
        self,
        class_counts: Sequence[int] | NDArray[np.integer],
        tau: float,
        **kwargs: Any,
    ) -> None:
        # In half precision the probabilities of rare classes would round to zero.
        super().__init__(**{"dtype": "float32", **kwargs})
        self._prior = training_prior(class_counts)
        self._tau = read_tau(tau)
        self._class_counts = np.array(class_counts)  # It may change.

    def build(self, input_shape: Any) -> None:
        """Raise unless there is a count for each class of the input."""
        _checks.class_counts("class_counts", self._class_counts, input_shape[-1])

    def call(self, probabilities: Any) -> Any:
        """Return the shifted probabilities, shape (b, n), float32."""
        # A floor far below any probability that counts: the loss of `evaluate` would be
        # infinite at a 0. No shift lifts it, as a 0 stays 0.
        tiny = np.finfo(np.float32).tiny
        p = ops.maximum(probabilities, tiny)
        logits = adjusted_logits(ops.log(p), self._prior, -self._tau)
        least = float(np.log(tiny) - (self._tau * np.log(self._prior)).max())
        return ops.softmax(ops.where(probabilities > 0, logits, least))

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        config: dict[str, Any] = super().get_config()
        return {
            **config,
            "class_counts": self._class_counts.tolist(),
            "tau": self._tau,
        }


def with_logit_shift(
    model: keras.Model,
    class_counts: Sequence[int] | NDArray[np.integer],
    tau: float,
) -> keras.Model:
    """Return a trained model with shifted class probabilities, to save and to serve.

    Args:
        model: A functional or sequential Keras model of class probabilities: a
            `DOSModel`, a model with one output of shape `(m, n)`, or one with a dict of
            outputs of which "probabilities" is one. It stays as it is; its layers and
            weights are shared, not copied.
        class_counts: Training samples of each class, shape `(n,)`, not all 0.
        tau: The exponent τ, any finite number, such as that of `choose_logit_shift`.

    Returns:
        A model with the same inputs and outputs, whose probabilities are those of
        `shift_probabilities`, in float32; a `DOSModel` if `model` is one, with its
        `training_prior` shifted too. It is not compiled: train first, then shift. A
        second shift adds to the first.

    Raises:
        TypeError: If `tau` is not a number.
        ValueError: If `model` is not such a model, ends in logits or, with inputs of
            fixed size, does not answer a random one with probabilities; if
            `class_counts` are not counts of n classes, or if `tau` is not finite.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
        >>> shifted = with_logit_shift(model, [30, 10], tau=1.0)
        >>> shifted.predict(np.log([[0.9, 0.1]]), verbose=0).round(2).tolist()
        [[0.75, 0.25]]
    """
    inputs = read_inputs(model).structure
    read_n_classes(model)
    outputs = named_outputs(model)
    check_not_logits(outputs["probabilities"])
    _check_answer(model)
    # In another process Keras numbers from 1 again: without a name of its own, the
    # layer would get that of a shift that was saved with the model.
    layer = LogitShift(class_counts, tau, name=f"logit_shift_{len(model.layers)}")
    shifted = {**outputs, "probabilities": layer(outputs["probabilities"])}
    if isinstance(model, DOSModel):
        again, prior = DOSModel(inputs, shifted, name=model.name), model.training_prior
        if prior is not None:
            again.training_prior = shift_probabilities([prior], class_counts, tau)[0]
        return again
    # A sequential model has no attribute `output`.
    named = not isinstance(model, keras.Sequential) and isinstance(model.output, dict)
    outputs = shifted if named else shifted["probabilities"]
    return keras.Model(inputs, outputs, name=model.name)


def _check_answer(model: keras.Model) -> None:
    """Raise unless a model answers with probabilities, where an input can be made up.

    The shift makes any rows sum to one: after it, nobody would notice.
    """
    inputs = read_inputs(model)
    if all(spec.shape[1:].is_fully_defined() for spec in inputs.specs):
        samples = sample_inputs(inputs, None)
        check_probabilities(model, inputs, samples, "a random input")
