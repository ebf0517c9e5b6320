"""All access to Keras' internals, each with a test that fails when Keras changes."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_dos.workers import Workers


def compiled(model: keras.Model, name: str) -> Any:
    """Return an argument of `compile` other than the optimizer and the loss, or None.

    The public `get_compile_config` also serializes the loss, and warns about lambdas.
    """
    return model._compile_config.config[name]


def operation_of(tensor: Any) -> Any:
    """Return the layer or operation that computed a symbolic tensor."""
    return tensor._keras_history.operation


def inputs_of(tensor: Any) -> list[Any]:
    """Return the symbolic tensors that a symbolic tensor was computed from."""
    operation, node_index, _ = tensor._keras_history
    return list(operation._inbound_nodes[node_index].input_tensors)


def logits_of(probabilities: Any) -> Any:
    """Return the logits that a Keras softmax was applied to, or None if not stored."""
    return getattr(probabilities, "_keras_logits", None)


def set_initial_epoch(model: keras.Model, epoch: int | None) -> None:
    """Set the epoch from which a `fit` that has begun goes on, or None.

    Keras reads it after `on_train_begin`, and does not reset it.
    """
    model._initial_epoch = epoch


def reshuffles(dataset: tf.data.Dataset) -> bool:
    """Return whether a dataset visibly has another order in each pass.

    A cache keeps the order of the first pass, whatever lies before it. In a function,
    as that of `interleave`, whatever has a seed begins anew in each pass.
    """
    return _reorders(dataset, dataset.options().deterministic is False)


def _reorders(dataset: tf.data.Dataset, unless_told: bool) -> bool:
    kind = type(dataset).__name__
    if kind == "CacheDataset":
        return False
    if getattr(dataset, "_reshuffle_each_iteration", False):
        return True
    if kind == "_RandomDataset":  # In `sample_from_datasets`.
        unseeded = not (dataset._seed or dataset._seed2)
        return unseeded or bool(dataset._rerandomize)
    parallel = "default" if kind == "_ParallelInterleaveDataset" else "true"
    in_order = getattr(dataset, "_deterministic", parallel)
    if in_order == "false" or (unless_told and in_order == "default"):
        return True
    return any(map(_makes_shuffled, dataset._functions())) or any(
        _reorders(part, unless_told) for part in dataset._inputs()
    )


# Operations of tf.data that draw at random, and where their seeds are.
_SEEDS = {
    "ShuffleDatasetV3": (2, 3),
    "RandomDatasetV2": (0, 1),
    "RandomDataset": (0, 1),
}


def _makes_shuffled(function: Any) -> bool:
    """Return whether a function makes datasets that draw at random without a seed."""
    if not isinstance(function.output_structure, tf.data.DatasetSpec):
        return False
    graph = function.function.graph.as_graph_def()
    return any(
        node.op in _SEEDS and all(_is_0(nodes, node.input[i]) for i in _SEEDS[node.op])
        for nodes in (graph.node, *(inner.node_def for inner in graph.library.function))
        for node in nodes
    )


def _is_0(nodes: Any, name: str) -> bool:
    node = next((node for node in nodes if node.name == name.split(":")[0]), None)
    if node is None or node.op != "Const":
        return False
    return not tf.make_ndarray(node.attr["value"].tensor).any()


class SeveralWorkers:
    """Lets `fit` and `evaluate` run under MultiWorkerMirroredStrategy (keras #20585).

    Keras 3.15 takes the mean of a distributed batch to build the metrics, and that of
    scalar logs over their first axis; both fail there. A mix-in for a `keras.Model`.
    """

    distribute_strategy: tf.distribute.Strategy
    steps_per_execution: int
    train_function: Any

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        if iterator is not None and Workers(self.distribute_strategy).count > 1:
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(self._local, next(batches))
            iterator = None
        super()._maybe_symbolic_build(  # type: ignore[misc]
            iterator=iterator, data_batch=data_batch
        )

    def _local(self, value: Any) -> tf.Tensor:
        return self.distribute_strategy.experimental_local_results(value)[0]

    def _make_function(self, step: Callable[[Any], dict[str, Any]]) -> Any:
        def with_axes(data: Any) -> dict[str, Any]:
            return {name: tf.reshape(value, [1]) for name, value in step(data).items()}

        several = Workers(self.distribute_strategy).count > 1
        if several and self.steps_per_execution != 1:
            raise ValueError(
                "`steps_per_execution` must be 1 on several machines: TensorFlow "
                "cannot reduce gradients inside the loop that it makes. "
                f"Received: steps_per_execution={self.steps_per_execution}."
            )
        return super()._make_function(with_axes if several else step)  # type: ignore[misc]


class MetricsOfReplicas:
    """Takes the metrics of an epoch from all replicas, whatever else steps return.

    Keras does so where a step returns the metrics alone. Else it takes the mean of what
    the last step of each replica knew, which is wrong for most metrics. A mix-in for a
    `keras.Model`.

    Attributes:
        step_logs: What a step may return besides the metrics.
    """

    step_logs = frozenset({"embedding_loss", "classification_loss"})

    def _get_metrics_result_or_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        beside = {name: v for name, v in logs.items() if name in self.step_logs}
        rest = {name: v for name, v in logs.items() if name not in beside}
        found = super()._get_metrics_result_or_logs(rest)  # type: ignore[misc]
        return {**found, **beside}


def mark_larger_as_better(metric: keras.metrics.Metric) -> None:
    """Let callbacks with `mode="auto"` know that a metric is to be maximized."""
    metric._direction = "up"
