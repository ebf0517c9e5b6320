"""What a training warns of, and what to do about it."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Mean squared distance to the neighbors, in units of that at the refresh, above which
# embeddings are far from those stored. About 1 is usual, up to 4 with heavy Dropout.
FAR_OFF = 5.0
# Epochs of so many times the samples are hardly what r was meant to ask for.
LONG_EPOCH = 10
# The fraction of samples that occur again above which data were repeated.
MANY_COPIES = 0.5


def of_long_epochs(z: int, m: int, r: Any) -> None:
    """Warn if an epoch has many times as many quadruplets as there are samples.

    Args:
        z: The size of Z'.
        m: Number of samples.
        r: The argument that asked for it.
    """
    if z > LONG_EPOCH * m:
        warnings.warn(
            f"An epoch has {z:,} quadruplets of {m:,} samples, as `r` asks, and "
            f"takes {z / m:.0f} times as long as a pass over the samples. Use "
            f'r="moderate", or fewer epochs. Received: r={r!r}.',
            stacklevel=3,
        )


def of_far_embeddings(distance: float, epoch: int) -> bool:
    """Warn if the live embeddings lie far from those stored; return whether they do.

    Args:
        distance: Mean squared distance to neighbors, in units of that at the refresh.
        epoch: The epoch, from 0.
    """
    far = distance > FAR_OFF
    if far:
        warnings.warn(
            "The embeddings in training lie far from those stored at the refresh, "
            "so neighbors are of little use. The rounds may have begun too early, "
            "the learning rate may be too high, or BatchNormalization or Dropout "
            "before the embedding may act very differently in training: use more "
            '`warmup_epochs`, embeddings="training" if they come from a pass, or a '
            "lower learning rate or momentum. Received: "
            f"{distance:.3g} times the squared distance of neighbors in epoch "
            f"{epoch + 1}, where about 1 is usual.",
            stacklevel=3,
        )
    return far


def of_equal_embeddings(epoch: int) -> None:
    """Warn that all embeddings are equal at the start of an epoch, from 0."""
    warnings.warn(
        "All embeddings are equal, so their neighbors are of no use: the "
        "network is dead or has collapsed. Lower the learning rate or "
        f"`embedding_weight`. Received: spread 0 at epoch {epoch + 1}.",
        stacklevel=3,
    )


def of_no_round(first: int) -> None:
    """Warn that no round took place in a training whose first is in an epoch, from 0.

    Args:
        first: The first epoch that can be a round.
    """
    warnings.warn(
        "The training ended before the first round, so no Deep Over-sampling "
        f"took place: rounds start at epoch {first + 1}. Train for more "
        "epochs, lower `warmup_epochs`, or let EarlyStopping wait with "
        f"start_from_epoch={first}.",
        stacklevel=3,
    )


def of_a_moving_warm_up(initial_epoch: int, epochs: int) -> None:
    """Warn that a `fit` that goes on has a warm-up of its own length.

    Args:
        initial_epoch: The first epoch, from 0.
        epochs: The number of the last epoch.
    """
    warnings.warn(
        "`warmup_epochs` defaults to two thirds of `epochs`, so it may differ from "
        "that of the training that this one goes on with: pass `warmup_epochs`. "
        f"Received: initial_epoch={initial_epoch}, epochs={epochs}.",
        stacklevel=4,
    )


def of_copies(share: float) -> None:
    """Warn if many samples occur more than once.

    Args:
        share: The fraction of samples that do.
    """
    if share > MANY_COPIES:
        warnings.warn(
            "Many samples have a copy in the data, which is their nearest neighbor and "
            "teaches nothing: use `epochs` instead of .repeat(), `r` instead of "
            "copies, and remove duplicates. Received: another sample like it for "
            f"{share:.0%} of them.",
            stacklevel=4,
        )


def of_weights_of_zero(ids: NDArray[np.int64]) -> None:
    """Warn of samples that a weight of 0 does not leave out.

    Args:
        ids: Those with a weight of 0.
    """
    if len(ids):
        warnings.warn(
            "Samples of weight 0 add nothing to the loss, but still are neighbors of "
            "others and count in the class sizes: remove them from the data. Received: "
            f"{len(ids):,} of them, such as {ids[:5].tolist()}.",
            stacklevel=4,
        )
