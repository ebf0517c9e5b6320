"""The embeddings v_i = f(x_i) that neighbors are searched among (lines 7-9)."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.collected import CollectedEmbeddings
from keras_dos.samples import SampleSource
from keras_dos.workers import PART, Workers


class Embeddings:
    """f(x) of the samples: from the training steps where they recorded it, or a pass.

    Args:
        source: The samples.
        embedder: f, a model from inputs to embeddings of shape (b, d).
        table: Where to keep the embeddings that are read, shape (rows, d), float32 or
            float16, with rows for the most that are read at once.
        from_training: Whether training steps record what they compute. Defaults to
            True; otherwise every `read` takes a pass.

    Example:
        >>> from keras_dos.samples import InMemory
        >>> embedder = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
        >>> source = InMemory(np.array([[5.0], [6.0]]), np.array([0, 0]))
        >>> table = np.zeros((2, 1), np.float32)
        >>> embeddings = Embeddings(source, embedder, table)
        >>> embeddings.begin_epoch(0)
        >>> embeddings.record([1], [[7.0]])
        >>> embeddings.read(np.array([0, 1]), epoch=1).tolist()
        [[5.0], [7.0]]
    """

    def __init__(
        self,
        source: SampleSource,
        embedder: keras.Model,
        table: NDArray[np.floating[Any]],
        from_training: bool = True,
    ) -> None:
        self._source = source
        self._embedder = embedder
        self._table = table
        self._strategy = tf.distribute.get_strategy()
        self._workers = Workers(self._strategy)
        self._embedded = tf.function(
            self._on_replicas, jit_compile=embedder.jit_compile
        )
        self._collected: CollectedEmbeddings | None = None
        if from_training:
            m, d = len(source.classes), table.shape[1]
            self._collected = CollectedEmbeddings(m, d, table.dtype)

    def available(self, epoch: int) -> bool:
        """Return whether there are embeddings to search at the start of an epoch.

        Before the first training step there are none to record, and those of an
        untrained network, which lie close together, would pull so hard that training
        collapses. Only a pass is told to give them.
        """
        return epoch > 0 or self._collected is None

    def begin_epoch(self, epoch: int) -> None:
        """Mark what is recorded from now on as that of an epoch, from 0."""
        if self._collected is not None:
            self._collected.begin_epoch(epoch)

    def record(self, rows: Any, embedding: Any) -> None:
        """Record f(x) of a batch; see `CollectedEmbeddings.record`."""
        if self._collected is not None:
            self._collected.record(rows, embedding)

    def state(self) -> dict[str, NDArray[np.floating[Any]]]:
        """Return what training steps recorded, by name."""
        return {} if self._collected is None else {"recorded": self._collected.rows()}

    def restore(self, state: Mapping[str, NDArray[np.floating[Any]]]) -> None:
        """Record what `state` returned in another training."""
        if self._collected is not None:
            self._collected.restore(state["recorded"])

    def read(self, ids: NDArray[np.int64], epoch: int) -> NDArray[np.floating[Any]]:
        """Write f(x) of some samples into the table, in place of what is there.

        Args:
            ids: Ascending sample ids, shape (z,).
            epoch: The epoch that begins, for errors.

        Returns:
            The first z rows of the table.

        Raises:
            ValueError: If an embedding is not finite, or the source breaks its
                contract.
        """
        embeddings, missing = self._table[: len(ids)], ids
        if self._collected is not None:
            missing = ids[~self._collected.read(ids, embeddings)]
        if len(missing):
            self._embed(missing, ids, embeddings)
        parts = (embeddings[start : start + PART] for start in range(0, len(ids), PART))
        bad = sum(int(np.sum(~np.isfinite(part).all(axis=1))) for part in parts)
        if bad and embeddings.dtype == np.float16 and not np.isnan(embeddings).any():
            raise ValueError(
                '`table_dtype` must be "float32" for embeddings beyond 65,504, the '
                "largest number of float16. Or the training has diverged: lower the "
                "learning rate, or clip gradients (clipnorm in the optimizer). "
                f"Received: {bad} of {len(ids)} embeddings beyond it at the start of "
                f"epoch {epoch + 1}."
            )
        if bad:
            raise ValueError(
                "Embeddings are not finite, so no neighbors can be found: the training "
                "has diverged, or inputs contain NaN. Lower the learning rate, clip "
                "gradients (clipnorm in the optimizer), or clean the inputs. "
                f"Received: {bad} of {len(ids)} embeddings not finite at the start of "
                f"epoch {epoch + 1}."
            )
        return embeddings

    def _embed(
        self,
        asked: NDArray[np.int64],
        ids: NDArray[np.int64],
        embeddings: NDArray[np.floating[Any]],
    ) -> None:
        """Write f(x) of some of the ids, from a pass in inference mode."""
        own = asked[self._workers.index :: self._workers.count]
        found = self._exchanged(ids, embeddings, self._embed_own(own, ids, embeddings))
        if not np.array_equal(np.sort(found), asked):
            raise ValueError(
                "`inputs` of the source must return one row for each id. "
                f"Received: {len(found)} rows for {len(asked)} ids, "
                f"{len(np.intersect1d(found, asked))} of them for one of these."
            )

    def _exchanged(
        self,
        ids: NDArray[np.int64],
        embeddings: NDArray[np.floating[Any]],
        found: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Write what the other workers embedded; return what all of them found."""
        if self._workers.count == 1:
            return found
        of_all = [found[:0]]
        for part in self._workers.parts(len(found)):
            own = embeddings[_places(ids, found[part])]
            of_all.append(self._workers.gathered(found[part]))
            embeddings[_places(ids, of_all[-1])] = self._workers.gathered(own)
        return np.concatenate(of_all)

    def _embed_own(
        self,
        own: NDArray[np.int64],
        ids: NDArray[np.int64],
        embeddings: NDArray[np.floating[Any]],
    ) -> NDArray[np.int64]:
        """Write this worker's part of f(x) of some samples; return which they are."""
        # No gradients are kept, so a larger batch fits where a training batch does.
        batches = self._source.inputs(own, 4 * self._source.batch_size)
        if self._workers.count == 1:
            batches = self._strategy.experimental_distribute_dataset(batches)
        found = [own[:0]]
        for batch in batches:
            replicas = map(
                self._strategy.experimental_local_results, self._embedded(batch)
            )
            for i, value in zip(*replicas, strict=True):
                found.append(i)
                with np.errstate(over="ignore"):  # `read` reports what overflows.
                    embeddings[_places(ids, i)] = value
        return np.concatenate(found)

    def _on_replicas(self, batch: Any) -> Any:
        """Return the ids of a batch and f(x), in inference mode, on each replica."""

        def embed(ids: tf.Tensor, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
            return ids, tf.cast(self._embedder(x, training=False), tf.float32)

        return self._strategy.run(embed, batch)


def embedding_size(embedder: Any) -> int:
    """Return d, the size of the embedding, of a model that may be f.

    Raises:
        TypeError: If it is not a model with one output of known size.

    Example:
        >>> embedding_size(keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)]))
        3
    """
    shape: Any = getattr(embedder, "output_shape", None)
    if (
        not isinstance(shape, tuple)
        or len(shape) != 2
        or not _checks.is_integer(shape[1])
    ):
        raise TypeError(
            "`embedder` must be a built Keras model with one output of shape (b, d), "
            "the embedding: of a DOSModel, `model.embedder`. "
            f"Received: {type(embedder).__name__} with output_shape={shape}."
        )
    return int(shape[1])


def _places(ids: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where in `ids` some ids are; any place for those that are not there."""
    places: NDArray[np.int64] = np.searchsorted(ids, found) % len(ids)
    return places
