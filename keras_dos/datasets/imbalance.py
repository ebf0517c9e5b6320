"""Make classes imbalanced: choose the samples to keep.

References:
    [1] Ando, S., Huang, C. Y.: Deep over-sampling framework for classifying
        imbalanced data. ECML-PKDD 2017. https://arxiv.org/abs/1704.07515
    [2] Cui, Y., Jia, M., Lin, T.-Y., Song, Y., Belongie, S.: Class-balanced loss
        based on effective number of samples. CVPR 2019. (the long-tailed CIFAR)
    [3] Buda, M., Maki, A., Mazurowski, M. A.: A systematic study of the class
        imbalance problem in convolutional neural networks. Neural Networks 106,
        2018. (step imbalance)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks
from keras_dos.datasets.selection import read_labels
from keras_dos.labels import class_counts, sparse_labels


def make_imbalanced(
    labels: ArrayLike | tf.data.Dataset,
    profile: str = "random",
    *,
    reduction_rate: float | None = None,
    minority: int | Sequence[int] | None = None,
    ratio: float | None = None,
    counts: Sequence[int] | Mapping[int, int] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Choose the samples to keep so that the classes become imbalanced.

    Which samples of a class are kept is uniformly random, and every class keeps at
    least one sample. The profiles, for m samples of n classes:

    - `"random"`: the second experiment of the paper [1, Section 4.2]. Each minority
      class loses the fraction p = `reduction_rate` of its m_j samples and keeps
      `round(m_j * (1 - p))`. The other classes are untouched.
    - `"exp"`: long-tailed [2]. Class j keeps `int(m_max / ratio ** (j / (n - 1)))`,
      where m_max is the size of the largest class; a class that has fewer samples
      keeps them all.
    - `"step"`: the last `n // 2` classes keep `int(m_max / ratio)` samples each, or
      all if they have fewer [3]. The other classes are untouched.
    - `"gaussian"`: the first experiment of the paper [1, Section 4.2], which leaves
      the details open. Here the classes are put in a random order; until
      `round(m * p)` samples are deleted, a position is drawn from
      N((n - 1) / 2, (n / 6)^2) and rounded, and a random remaining sample of the
      class at that position is deleted. Positions outside the order and classes
      with a single sample left are drawn again.
    - `"counts"`: each class keeps as many samples as `counts` says.

    Args:
        labels: As for `sparse_labels`; or a finite `tf.data.Dataset` of `(x, y)` or
            `(x, y, sample_weight)` elements, batched or not, which is read once.
            Indices into a dataset are meaningful only if each pass over it has the
            same order: shuffle after the selection, not before.
        profile: `"random"`, `"exp"`, `"step"`, `"gaussian"` or `"counts"`. Defaults
            to `"random"`.
        reduction_rate: `"random"` and `"gaussian"` only: fraction p of the samples to
            delete, `0 <= p < 1`, from each minority class (`"random"`) or from the
            whole data (`"gaussian"`). Defaults to None, which is 0.9.
        minority: `"random"` only: how many classes to draw at random, or the
            indices of the classes themselves. At least one class must be left
            untouched. Defaults to None, which is 4.
        ratio: `"exp"` and `"step"` only: size of the largest class over that of the
            smallest, at least 1. Defaults to None, which is 100.
        counts: `"counts"` only, and required there: the samples that each class
            keeps, one number per class, or a mapping (missing classes keep all). At
            least 1 and at most what the class has.
        seed: Non-negative seed of all draws. The same arguments and seed give the
            same indices. Defaults to 0.

    Returns:
        Positions of the kept samples, shape `(m',)`, ascending, int64; for
        `x[indices]` or `select(data, indices)`.

    Raises:
        TypeError: If an argument is of the wrong type, or the labels are not numbers.
        ValueError: If an argument is out of range, or is given with a profile that
            does not use it; if `sparse_labels` rejects the labels or they contain only
            one class; if a dataset reshuffles, or has other elements, none, infinitely
            many or labels beyond half of the free memory, or it is ambiguous whether it
            is batched.

    Example:
        >>> labels = np.repeat(np.arange(5), 1000)
        >>> kept = make_imbalanced(labels, reduction_rate=0.99, minority=[1, 3])
        >>> class_counts(labels[kept])
        array([1000,   10, 1000,   10, 1000])
        >>> class_counts(labels[make_imbalanced(labels, "exp", ratio=16)])
        array([1000,  500,  250,  125,   62])
    """
    _checks.choice("profile", profile, _PROFILES)
    keep_samples, defaults = _PROFILES[profile]
    arguments = _resolve(
        profile,
        defaults,
        reduction_rate=reduction_rate,
        minority=minority,
        ratio=ratio,
        counts=counts,
    )
    rng = np.random.default_rng(_checks.seed("seed", seed))
    values = read_labels(labels)
    present = class_counts(values)
    if np.count_nonzero(present) < 2:
        raise ValueError(
            "`labels` must hold samples of at least two classes. "
            f"Received: samples of each class={present.tolist()}."
        )
    keep = keep_samples(present, rng, **arguments)
    keep = np.minimum(np.maximum(keep, 1), present)
    return _draw_samples(sparse_labels(values), keep, rng)


def _resolve(profile: str, defaults: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Return the arguments of a profile: what was given, or else the default."""
    for name, value in given.items():
        if value is not None and name not in defaults:
            raise ValueError(
                f"`{name}` must be left out: profile={profile!r} does not use it. "
                f"Received: {name}={value!r}."
            )
    arguments = {
        name: default if given[name] is None else given[name]
        for name, default in defaults.items()
    }
    # What does not depend on the labels is checked before a dataset is read.
    if "reduction_rate" in arguments:
        rate = _checks.number("reduction_rate", arguments["reduction_rate"], below=1)
        arguments["reduction_rate"] = rate
    if "ratio" in arguments:
        arguments["ratio"] = _checks.number("ratio", arguments["ratio"], minimum=1)
    return arguments


def _keep_random(
    present: NDArray[np.int64],
    rng: np.random.Generator,
    reduction_rate: float,
    minority: int | Sequence[int],
) -> NDArray[np.int64]:
    if _checks.is_number(minority):
        classes = np.flatnonzero(present)
        n = _checks.integer("minority", minority, minimum=1, maximum=len(classes) - 1)
        chosen = rng.choice(classes, size=n, replace=False).tolist()
    else:
        chosen = list(_checks.class_ids("minority", minority, present, minimum=1))
    keep = present.copy()
    keep[chosen] = np.round(present[chosen] * (1 - reduction_rate)).astype(np.int64)
    return keep


def _keep_exponential(
    present: NDArray[np.int64], rng: np.random.Generator, ratio: float
) -> NDArray[np.int64]:
    exponents = np.arange(present.size) / (present.size - 1)
    kept = present.max() / ratio**exponents
    # A power that rounds up must not turn a whole number into one less.
    keep: NDArray[np.int64] = (kept * (1 + 1e-12)).astype(np.int64)
    return keep


def _keep_step(
    present: NDArray[np.int64], rng: np.random.Generator, ratio: float
) -> NDArray[np.int64]:
    keep = present.copy()
    keep[present.size - present.size // 2 :] = int(present.max() / ratio)
    return keep


def _keep_gaussian(
    present: NDArray[np.int64], rng: np.random.Generator, reduction_rate: float
) -> NDArray[np.int64]:
    order = rng.permutation(np.flatnonzero(present))
    deletable = present[order] - 1
    to_delete = round(int(present.sum()) * reduction_rate)
    if to_delete > deletable.sum():
        raise ValueError(
            "`reduction_rate` must leave every class a sample; at most "
            f"{deletable.sum()} of {present.sum()} samples can be deleted. "
            f"Received: reduction_rate={reduction_rate}."
        )
    position_weights = _rounded_gaussian(order.size)
    while to_delete:
        # Drawing again whenever a class is used up means drawing from the others.
        weights = position_weights * (deletable > 0)
        drawn = rng.multinomial(to_delete, weights / weights.sum())
        deleted = np.minimum(drawn, deletable)
        deletable -= deleted
        to_delete -= int(deleted.sum())
    keep = np.zeros_like(present)
    keep[order] = deletable + 1
    return keep


def _keep_counts(
    present: NDArray[np.int64],
    rng: np.random.Generator,
    counts: Sequence[int] | Mapping[int, int],
) -> NDArray[np.int64]:
    if isinstance(counts, Mapping):
        named = dict(counts)
    else:
        _checks.class_counts("counts", counts, n_classes=present.size)
        # Classes without samples keep 0, which a mapping does not name.
        named = {j: c for j, c in enumerate(counts) if c or present[j]}
    keep = present.copy()
    for key, value in named.items():
        j = _checks.class_id("counts", key, present)
        most = int(present[j])
        keep[j] = _checks.integer(f"counts[{j}]", value, minimum=1, maximum=most)
    return keep


def _rounded_gaussian(n_positions: int) -> NDArray[np.float64]:
    """Return the weights of 0, ..., n - 1 under a rounded N((n - 1) / 2, (n / 6)^2)."""
    edges = np.arange(n_positions + 1) - n_positions / 2
    scale = math.sqrt(2) * n_positions / 6
    cumulative = np.array([math.erf(edge / scale) for edge in edges])
    weights: NDArray[np.float64] = np.diff(cumulative)
    return weights


def _draw_samples(
    labels: NDArray[np.int64], keep: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `keep[j]` samples of each class j; return positions, ascending."""
    shuffled = rng.permutation(labels.size)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels, minlength=keep.size)
    rank_in_class = np.arange(labels.size) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    return np.sort(by_class[rank_in_class < np.repeat(keep, counts)]).astype(np.int64)


# How each profile counts the samples to keep, and the defaults of its arguments.
_PROFILES: dict[str, tuple[Any, dict[str, Any]]] = {
    "random": (_keep_random, {"reduction_rate": 0.9, "minority": 4}),
    "exp": (_keep_exponential, {"ratio": 100.0}),
    "step": (_keep_step, {"ratio": 100.0}),
    "gaussian": (_keep_gaussian, {"reduction_rate": 0.9}),
    "counts": (_keep_counts, {"counts": None}),
}
