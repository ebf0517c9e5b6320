"""The metrics of `compile`, which measure the class probabilities."""

import functools
import inspect
from typing import Any

import keras


class MetricsOfProbabilities:
    """Takes the metrics of a model of two outputs as those of its probabilities.

    A mix-in for a `keras.Model`.
    """

    def _compile(self, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(keras.Model.compile).bind(self, *args, **kwargs)
        for name in ("metrics", "weighted_metrics"):
            if isinstance(given.arguments.get(name), dict):
                given.arguments[name] = _of_probabilities(name, given.arguments[name])
        super().compile(*given.args[1:], **given.kwargs)  # type: ignore[misc]

    # With the signature and the docstring of Keras.
    compile: Any = functools.wraps(keras.Model.compile)(_compile)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update and return the metrics of `compile` on the class probabilities."""
        p = y_pred["probabilities"]
        metrics: dict[str, Any] = super().compute_metrics(  # type: ignore[misc]
            x, y, p, sample_weight
        )
        return metrics


def _of_probabilities(name: str, metrics: dict[str, Any]) -> Any:
    others = [key for key in metrics if key != "probabilities"]
    if others:
        raise ValueError(
            f"`{name}` of a DOSModel measure its class probabilities: pass a list, or "
            f'a dict with the one key "probabilities". Received: keys {list(metrics)}.'
        )
    return metrics.get("probabilities")
