"""Averages as the embeddings that neighbors are searched among, for a study."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos.collected import CollectedEmbeddings
from keras_dos.embeddings import Embeddings

# Neither was tuned. Of a sample, the steps of about two epochs count; of the weights,
# those of about a hundred steps, the default of the optimizers of Keras.
OF_EMBEDDINGS = 0.5
OF_WEIGHTS = 0.99


class AveragedRows(CollectedEmbeddings):
    """The exponential moving average of f(x) over the steps that recorded a sample."""

    def record(self, rows: Any, embedding: Any) -> None:
        """Move the average of each sample of a batch toward its f(x)."""
        embedding = tf.cast(embedding, self._stamp.dtype)
        before = tf.gather(self._table, rows)
        average = OF_EMBEDDINGS * before[:, :-1] + (1 - OF_EMBEDDINGS) * embedding
        super().record(rows, tf.where(before[:, -1:] > 0, average, embedding))


class _FromSteps(Embeddings):
    """`Embeddings` that averages what training steps compute.

    Raises:
        ValueError: If steps do not record it.
    """

    def __init__(self, source: Any, embedder: Any, table: Any, recorded: bool) -> None:
        if not recorded:
            raise ValueError(
                '`embeddings` must be "training" for averages, with neighbors: steps '
                f"then record what they compute. Received: recorded={recorded}."
            )
        super().__init__(source, embedder, table, from_training=False)


class AveragedEmbeddings(_FromSteps):
    """`Embeddings` whose table of training steps holds moving averages."""

    def __init__(self, source: Any, embedder: Any, table: Any, recorded: bool) -> None:
        super().__init__(source, embedder, table, recorded)
        m, d = len(source.classes), table.shape[1]
        self._collected = AveragedRows(m, d, table.dtype)


class AveragedEncoder(_FromSteps):
    """`Embeddings` from a pass of the network with averaged weights.

    The moving statistics of BatchNormalization are those of the network that trains.
    """

    def __init__(self, source: Any, embedder: Any, table: Any, recorded: bool) -> None:
        super().__init__(source, embedder, table, recorded)
        self._weights = embedder.trainable_variables
        self._averages = [tf.Variable(weight) for weight in self._weights]

    def available(self, epoch: int) -> bool:
        """Return whether there is an average of trained weights."""
        return epoch > 0

    def record(self, rows: Any, embedding: Any) -> None:
        """Move the averages toward the weights; each training step calls it."""
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign(OF_WEIGHTS * average + (1 - OF_WEIGHTS) * weight)

    def read(self, ids: NDArray[np.int64], epoch: int) -> NDArray[np.floating[Any]]:
        """Embed samples by the averaged weights; see `Embeddings.read`."""
        trained = [weight.numpy() for weight in self._weights]
        self._assign(self._averages)
        embeddings = super().read(ids, epoch)
        self._assign(trained)
        return embeddings

    def _assign(self, values: list[Any]) -> None:
        for weight, value in zip(self._weights, values, strict=True):
            weight.assign(value)


SOURCES = {
    "averaged embeddings": AveragedEmbeddings,
    "averaged encoder": AveragedEncoder,
}


@contextlib.contextmanager
def stored(source: str | None) -> Iterator[None]:
    """Let trainings take the embeddings of neighbors from a source of this study.

    Args:
        source: A key of `SOURCES`; None for those of the package.

    Raises:
        ValueError: In a training whose steps do not record what they compute.
    """
    embeddings = Embeddings if source is None else SOURCES[source]
    with mock.patch("keras_dos.rounds.Embeddings", embeddings):
        yield
