"""Class imbalance: count it, create it, select the samples that are left.

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
import operator
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import tensorflow as tf

Data = TypeVar("Data")

_PARAMETERS = {
    "random": {"reduction_rate", "minority"},
    "exp": {"ratio"},
    "step": {"ratio"},
    "gaussian": {"reduction_rate"},
    "counts": {"counts"},
}


def sparse_labels(labels: ArrayLike, n_classes: int | None = None) -> NDArray[np.int64]:
    """Converts the labels of single-label classification to sparse integers.

    Args:
        labels: Sparse class indices, shape `(n,)` or `(n, 1)`, or one-hot rows,
            shape `(n, C)` with C > 1. Integers, booleans, or floats with integer
            values.
        n_classes: Number of classes C; None (default) leaves the largest index
            unchecked.

    Returns:
        Class indices, shape `(n,)`, int64.

    Raises:
        ValueError: If there are no labels, if they are neither class indices nor
            one-hot, or if one lies outside `[0, n_classes)`.

    Example:
        >>> sparse_labels([[0, 0, 1], [1, 0, 0]])
        array([2, 0])
    """
    if n_classes is not None:
        n_classes = _integer("n_classes", n_classes, minimum=1)
    values = np.asarray(labels)
    if values.dtype.kind not in "iufb":
        raise ValueError(
            "labels must be numbers: class indices or one-hot rows. Map names to "
            "indices first, for example with `numpy.unique(names, "
            f"return_inverse=True)`. Received: dtype={values.dtype}."
        )
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            "labels must have the shape (n,) or (n, 1) for class indices, or (n, C) "
            "for one-hot rows, and hold at least one label. "
            f"Received: shape={values.shape}."
        )
    if _is_one_hot_shaped(values):
        return _from_one_hot(values, n_classes)
    return _from_indices(values.reshape(-1), n_classes)


def class_counts(labels: ArrayLike, n_classes: int | None = None) -> NDArray[np.int64]:
    """Counts the samples of each class.

    Args:
        labels: As for `sparse_labels`.
        n_classes: Number of classes C. None (default): the number of columns of
            one-hot labels, or the largest class index plus one.

    Returns:
        Number of samples of each class, shape `(C,)`, int64.

    Raises:
        ValueError: As `sparse_labels`.

    Example:
        >>> class_counts([0, 2, 2, 0, 2], n_classes=4)
        array([2, 0, 3, 0])
    """
    values = np.asarray(labels)
    indices = sparse_labels(values, n_classes)
    if n_classes is None and _is_one_hot_shaped(values):
        n_classes = values.shape[1]
    # bincount returns the platform's integer, which is not int64 everywhere.
    return np.bincount(indices, minlength=n_classes or 0).astype(np.int64)


def minority_classes(counts: ArrayLike) -> tuple[int, ...]:
    """Names the minority classes.

    A class is in the minority if it has at least one sample and fewer than half as
    many samples as the largest class.

    Args:
        counts: Number of samples of each class, shape `(C,)`, as `class_counts`
            returns it.

    Returns:
        The indices of the minority classes, ascending; empty if there are none.

    Raises:
        ValueError: If `counts` is not a vector of non-negative integers.

    Example:
        >>> minority_classes([600, 6000, 3000, 0])
        (0,)
    """
    values = np.asarray(counts)
    if (
        values.ndim != 1
        or values.size == 0
        or values.dtype.kind not in "iu"
        or values.min() < 0
    ):
        raise ValueError(
            "counts must be a non-empty vector of non-negative integers, one per "
            f"class. Received: counts={counts!r}."
        )
    is_minority = (values > 0) & (values < values.max() / 2)
    return tuple(np.flatnonzero(is_minority).tolist())


def make_imbalanced(
    labels: "ArrayLike | tf.data.Dataset",
    profile: str = "random",
    *,
    reduction_rate: float | None = None,
    minority: int | Sequence[int] | None = None,
    ratio: float | None = None,
    counts: Sequence[int] | Mapping[int, int] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Chooses the samples to keep so that the classes become imbalanced.

    Which samples of a class are kept is uniformly random, and every class keeps at
    least one sample. The profiles:

    - `"random"`: the second experiment of the paper [1, Section 4.2]. The minority
      classes lose a share p = `reduction_rate` of their samples: each keeps
      `round(n * (1 - p))`. The other classes are untouched.
    - `"exp"`: long-tailed [2]. Class i of C keeps
      `int(n_max / ratio ** (i / (C - 1)))`, where n_max is the size of the largest
      class; a class that has fewer samples keeps them all.
    - `"step"`: the last `C // 2` classes keep `int(n_max / ratio)` samples each, or
      all if they have fewer [3]. The other classes are untouched.
    - `"gaussian"`: the first experiment of the paper [1, Section 4.2], which leaves
      the details open. The reading here: the classes are put into a random order;
      until `round(n * p)` of all n samples are deleted, a position is drawn from
      N((C - 1) / 2, (C / 6)^2) and rounded, and a random remaining sample of the
      class at that position is deleted. Positions outside the order and classes
      with a single sample left are drawn again.
    - `"counts"`: each class keeps as many samples as `counts` says.

    Args:
        labels: As for `sparse_labels`; or a finite `tf.data.Dataset` of `(x, y)` or
            `(x, y, sample_weight)` elements, batched or not, which is read once.
            Indices into a dataset mean something only if each pass over it has the
            same order: shuffle after the selection, not before.
        profile: `"random"` (default), `"exp"`, `"step"`, `"gaussian"` or `"counts"`.
        reduction_rate: Share p of the samples to delete, `0 <= p < 1`; default 0.9.
            Of each minority class (`"random"`), or of the whole data
            (`"gaussian"`).
        minority: `"random"` only: how many classes to draw at random, or the
            indices of the classes themselves; default 4. At least one class must be
            left untouched.
        ratio: `"exp"` and `"step"` only: size of the largest class over that of the
            smallest, at least 1; default 100.
        counts: `"counts"` only, and needed there: the samples that each class keeps,
            one number per class, or a mapping (absent classes keep all). At least 1
            and at most what there is.
        seed: Non-negative seed of all draws. The same arguments and seed give the
            same indices.

    Returns:
        Positions of the samples kept, ascending, int64; for `x[indices]` or
        `select(data, indices)`.

    Raises:
        ValueError: If an argument is out of its range, or is given with a profile
            that does not use it; if the labels are none that `sparse_labels` takes
            or hold one class only.

    Example:
        >>> labels = np.repeat(np.arange(5), 1000)
        >>> kept = make_imbalanced(labels, reduction_rate=0.99, minority=[1, 3])
        >>> class_counts(labels[kept])
        array([1000,   10, 1000,   10, 1000])
        >>> class_counts(labels[make_imbalanced(labels, "exp", ratio=16)])
        array([1000,  500,  250,  125,   62])
    """
    if profile not in _PARAMETERS:
        raise ValueError(
            f"profile must be one of {sorted(_PARAMETERS)}. Received: {profile=}."
        )
    given = {
        "reduction_rate": reduction_rate,
        "minority": minority,
        "ratio": ratio,
        "counts": counts,
    }
    for name, value in given.items():
        if value is not None and name not in _PARAMETERS[profile]:
            raise ValueError(
                f"profile={profile!r} does not use {name}; leave it out. "
                f"Received: {name}={value!r}."
            )
    rate = _reduction_rate(0.9 if reduction_rate is None else reduction_rate)
    ratio = _ratio(100.0 if ratio is None else ratio)
    rng = np.random.default_rng(_integer("seed", seed, minimum=0))

    values = _read_labels(labels) if _is_dataset(labels) else np.asarray(labels)
    present = class_counts(values)
    if np.count_nonzero(present) < 2:
        raise ValueError(
            "labels must hold samples of at least two classes. "
            f"Received: samples of each class={present.tolist()}."
        )
    if profile == "random":
        chosen = _minority(4 if minority is None else minority, present, rng)
        keep = _keep_random(present, chosen, rate)
    elif profile == "exp":
        keep = _keep_exponential(present, ratio)
    elif profile == "step":
        keep = _keep_step(present, ratio)
    elif profile == "gaussian":
        keep = _keep_gaussian(present, rate, rng)
    else:
        keep = _keep_counts(present, counts)
    keep = np.minimum(np.maximum(keep, 1), present)
    return _draw_samples(sparse_labels(values), keep, rng)


def select(data: Data, indices: ArrayLike) -> Data:
    """Takes the samples at `indices`, in order.

    Args:
        data: A NumPy array or tensor, or a nested structure (tuple, list, dict) of
            them with a common first axis; or a `tf.data.Dataset` of *single*
            examples. Whether a dataset is batched cannot be told from its elements
            in general: `unbatch()` it first. Its order must be the one that the
            indices were made for, the same at each pass.
        indices: Positions of the samples, strictly ascending, as `make_imbalanced`
            returns them.

    Returns:
        The same structure with NumPy arrays of the rows taken; or a dataset of just
        those examples, whose cardinality is `len(indices)`.

    Raises:
        ValueError: If the indices are empty, not strictly ascending or out of
            range, or if the arrays differ in length.
        TypeError: If a leaf of the structure is not an array.

    Example:
        >>> x, y = select((np.arange(10.0), np.arange(10)), [2, 3, 5])
        >>> x, y
        (array([2., 3., 5.]), array([2, 3, 5]))
    """
    positions = np.asarray(indices)
    if (
        positions.ndim != 1
        or positions.size == 0
        or positions.dtype.kind not in "iu"
        or positions[0] < 0
        or (positions[1:] <= positions[:-1]).any()
    ):
        raise ValueError(
            "indices must be a non-empty vector of non-negative integers, strictly "
            f"ascending. Received: indices={positions!r}."
        )
    take = _select_from_dataset if _is_dataset(data) else _select_from_arrays
    return cast(Data, take(data, positions))


def _is_one_hot_shaped(values: NDArray[Any]) -> bool:
    return values.ndim == 2 and values.shape[1] > 1


def _are_one_hot(rows: NDArray[Any]) -> bool:
    return bool(np.isin(rows, (0, 1)).all() and (rows.sum(axis=1) == 1).all())


def _from_one_hot(rows: NDArray[Any], n_classes: int | None) -> NDArray[np.int64]:
    if not _are_one_hot(rows):
        raise ValueError(
            "labels of two dimensions must be one-hot: a single 1 in each row and 0 "
            "elsewhere. Label smoothing belongs into the loss: "
            "`keras.losses.CategoricalCrossentropy(label_smoothing=...)`. Each "
            f"sample must have exactly one class. Received: shape={rows.shape}, "
            f"first row={rows[0]}."
        )
    if n_classes is not None and rows.shape[1] != n_classes:
        raise ValueError(
            f"one-hot labels must have n_classes={n_classes} columns. "
            f"Received: shape={rows.shape}."
        )
    indices: NDArray[np.int64] = rows.argmax(axis=1).astype(np.int64)
    return indices


def _from_indices(values: NDArray[Any], n_classes: int | None) -> NDArray[np.int64]:
    # NaN, infinity and values beyond int64 do not survive the way there and back.
    with np.errstate(invalid="ignore"):
        indices = values.astype(np.int64)
    wrong = values[indices != values]
    if wrong.size:
        raise ValueError(
            "labels of one dimension must be whole numbers, the class indices. Label "
            "smoothing belongs into the loss, mixed labels into the model. "
            f"Received: {wrong[0]}."
        )
    if indices.min() < 0:
        raise ValueError(
            "labels must be class indices from 0; drop samples without a label "
            f"first. Received: {indices.min()}."
        )
    if n_classes is not None and indices.max() >= n_classes:
        raise ValueError(
            f"labels must be smaller than n_classes={n_classes}. "
            f"Received: {indices.max()}."
        )
    return indices


def _integer(name: str, value: Any, minimum: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if number < minimum or isinstance(value, bool):
        raise ValueError(
            f"{name} must be an integer, at least {minimum}. "
            f"Received: {name}={value!r}."
        )
    return number


def _reduction_rate(value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(
            "reduction_rate must be at least 0 and less than 1, the share of the "
            f"samples to delete. Received: reduction_rate={value!r}."
        )
    return float(value)


def _ratio(value: float) -> float:
    if not 1 <= value < math.inf:
        raise ValueError(
            "ratio must be finite and at least 1, the size of the largest class over "
            f"that of the smallest. Received: ratio={value!r}."
        )
    return float(value)


def _minority(
    minority: int | Sequence[int], counts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    present = np.flatnonzero(counts)
    if np.ndim(minority) > 0:
        chosen = np.asarray(minority)
        if (
            chosen.ndim != 1
            or chosen.dtype.kind not in "iu"
            or np.unique(chosen).size != chosen.size
            or not np.isin(chosen, present).all()
            or not 1 <= chosen.size < present.size
        ):
            raise ValueError(
                "minority must name different classes that have samples, at least "
                "one and not all of them. "
                f"Received: minority={minority!r}, classes={present.tolist()}."
            )
        return chosen
    if _integer("minority", minority, minimum=1) >= present.size:
        raise ValueError(
            "minority must be less than the number of classes (the default is 4). "
            f"Received: minority={minority!r} of {present.size} classes."
        )
    return rng.choice(present, size=minority, replace=False)


def _keep_random(
    counts: NDArray[np.int64], minority: NDArray[np.int64], rate: float
) -> NDArray[np.int64]:
    keep = counts.copy()
    keep[minority] = np.round(counts[minority] * (1 - rate)).astype(np.int64)
    return keep


def _keep_exponential(counts: NDArray[np.int64], ratio: float) -> NDArray[np.int64]:
    exponents = np.arange(counts.size) / (counts.size - 1)
    # Divided, not multiplied by a power of 1 / ratio: the last class then has
    # exactly n_max / ratio, which the truncation must not turn into one less.
    keep: NDArray[np.int64] = (counts.max() / ratio**exponents).astype(np.int64)
    return keep


def _keep_step(counts: NDArray[np.int64], ratio: float) -> NDArray[np.int64]:
    keep = counts.copy()
    keep[counts.size - counts.size // 2 :] = int(counts.max() / ratio)
    return keep


def _keep_gaussian(
    counts: NDArray[np.int64], rate: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    order = rng.permutation(np.flatnonzero(counts))
    deletable = counts[order] - 1
    to_delete = round(int(counts.sum()) * rate)
    if to_delete > deletable.sum():
        raise ValueError(
            "reduction_rate is too high for every class to keep a sample; at most "
            f"{deletable.sum()} of {counts.sum()} samples can be deleted. "
            f"Received: reduction_rate={rate}."
        )
    position_weights = _rounded_gaussian(order.size)
    while to_delete:
        # Drawing again whenever a class is used up is drawing from the others.
        weights = position_weights * (deletable > 0)
        drawn = rng.multinomial(to_delete, weights / weights.sum())
        deleted = np.minimum(drawn, deletable)
        deletable -= deleted
        to_delete -= int(deleted.sum())
    keep = np.zeros_like(counts)
    keep[order] = deletable + 1
    return keep


def _keep_counts(
    present: NDArray[np.int64], counts: Sequence[int] | Mapping[int, int] | None
) -> NDArray[np.int64]:
    if isinstance(counts, Mapping):
        named = dict(counts)
    elif counts is not None and len(counts) == present.size:
        named = {j: n for j, n in enumerate(counts) if n or present[j]}
    else:
        raise ValueError(
            "counts must have one number for each class, or be a mapping from class to "
            f"number. Received: counts={counts!r} for {present.size} classes."
        )
    keep = present.copy()
    for j, n in named.items():
        known = isinstance(j, int | np.integer) and 0 <= j < present.size
        if not known or not 1 <= _integer("counts", n, minimum=0) <= present[j]:
            raise ValueError(
                "counts must be between 1 and the number of samples that a class has, "
                f"{present.tolist()}. Received: {n!r} for class {j!r}."
            )
        keep[j] = n
    return keep


def _rounded_gaussian(n_positions: int) -> NDArray[np.float64]:
    """Weights of 0, ..., n - 1 under a rounded N((n - 1) / 2, (n / 6)^2)."""
    edges = np.arange(n_positions + 1) - n_positions / 2
    scale = math.sqrt(2) * n_positions / 6
    cumulative = np.array([math.erf(edge / scale) for edge in edges])
    weights: NDArray[np.float64] = np.diff(cumulative)
    return weights


def _draw_samples(
    labels: NDArray[np.int64], keep: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws `keep[c]` samples of each class c; positions, ascending."""
    shuffled = rng.permutation(labels.size)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels, minlength=keep.size)
    rank_in_class = np.arange(labels.size) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    return np.sort(by_class[rank_in_class < np.repeat(keep, counts)]).astype(np.int64)


def _is_dataset(data: Any) -> bool:
    # Who holds a dataset has imported TensorFlow; nobody else needs to wait for it.
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(data, tensorflow.data.Dataset)


def _read_labels(dataset: "tf.data.Dataset") -> NDArray[Any]:
    import tensorflow as tf

    spec = dataset.element_spec
    if not (
        isinstance(spec, tuple)
        and len(spec) in (2, 3)
        and isinstance(spec[1], tf.TensorSpec)
        and spec[1].shape.rank is not None
    ):
        raise ValueError(
            "the dataset must have (x, y) or (x, y, sample_weight) elements with one "
            f"dense tensor of labels y of known rank. Received: element_spec={spec}."
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "the dataset must be finite; call `repeat()` after the selection. "
            "Received: a dataset of infinite cardinality."
        )
    elements = list(dataset.map(lambda *element: element[1]).as_numpy_iterator())
    if not elements:
        raise ValueError(
            "the dataset must hold at least one element. Received: an empty dataset."
        )
    batched = _is_batched(spec)
    if batched and spec[1].shape.rank == 1 and _may_be_one_hot_vectors(elements):
        raise ValueError(
            "the labels of this dataset could be batches of class indices as well as "
            "single one-hot vectors; map them to class indices, or pass the labels "
            f"as an array. Received: element_spec={spec}."
        )
    return np.concatenate(elements) if batched else np.stack(elements)


def _is_batched(spec: tuple[Any, ...]) -> bool:
    """Whether all components share a first axis (of unknown size counts, too)."""
    import tensorflow as tf

    shapes = [leaf.shape for leaf in tf.nest.flatten(spec)]
    if any(shape.rank == 0 for shape in shapes):
        return False
    return len({shape[0] for shape in shapes if shape.rank is not None}) == 1


def _may_be_one_hot_vectors(elements: list[NDArray[Any]]) -> bool:
    if elements[0].size < 2 or len({element.size for element in elements}) > 1:
        return False
    return _are_one_hot(np.stack(elements))


def _select_from_dataset(
    dataset: "tf.data.Dataset", positions: NDArray[Any]
) -> "tf.data.Dataset":
    import tensorflow as tf

    n_needed = int(positions[-1]) + 1
    n_examples = int(dataset.cardinality())
    # Negative cardinalities stand for infinite and unknown.
    if 0 <= n_examples < n_needed:
        raise ValueError(
            f"indices must be smaller than the {n_examples} examples of the dataset; "
            f"is it batched? Received: {positions[-1]}."
        )
    wanted = np.zeros(n_needed, dtype=bool)
    wanted[positions] = True
    return (
        dataset.take(n_needed)
        .enumerate()
        .filter(lambda position, _: tf.gather(wanted, position))
        .map(lambda _, example: example)
        .apply(tf.data.experimental.assert_cardinality(positions.size))
    )


def _select_from_arrays(data: Any, positions: NDArray[Any]) -> Any:
    import keras

    leaves = keras.tree.flatten(data)
    for leaf in leaves:
        if not hasattr(leaf, "__array__") or len(leaf.shape) == 0:
            raise TypeError(
                "data must be a tf.data.Dataset, an array, or a nested structure of "
                "arrays with a common first axis; convert lists of numbers with "
                f"`numpy.asarray`. Received: {leaf!r}."
            )
    lengths = sorted({leaf.shape[0] for leaf in leaves})
    if len(lengths) != 1:
        raise ValueError(
            "data must have arrays of the same length, the number of samples. "
            f"Received: lengths={lengths}."
        )
    if positions[-1] >= lengths[0]:
        raise ValueError(
            f"indices must be smaller than the {lengths[0]} samples of data. "
            f"Received: {positions[-1]}."
        )
    return keras.tree.map_structure(lambda leaf: np.asarray(leaf)[positions], data)
