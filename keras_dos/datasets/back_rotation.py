"""MNIST-back-rotation, re-created from MNIST and natural photographs.

This is not the original file: the digits are rotated and placed on photographs by the
same recipe, but with other draws and other photographs. State this with any result
measured on it.

Reference:
    Larochelle, H., Erhan, D., Courville, A., Bergstra, J., Bengio, Y.: An empirical
    evaluation of deep architectures on problems with many factors of variation.
    ICML 2007, pp. 473-480.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dos import _checks

MIN_PATCH_STD = 10.0
"""Smallest standard deviation, in gray levels (0 to 255), of a patch that is used."""

_CHUNK = 4096  # Images at a time: bounds the memory of the floating-point copies.


def mnist_back_rotation(
    images: ArrayLike,
    *,
    backgrounds: Iterable[ArrayLike] | None = None,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Rotate digits and place them on patches of natural photographs.

    Each image is rotated about its center by its own angle, uniform in [0, 2 pi)
    (bilinear, zeros outside), which gives z, then blended in white over a random gray
    patch of a photograph: `out = z + (1 - z / 255) * patch`. The photograph
    is drawn uniformly, then one of its patches uniformly among those whose gray
    levels have a standard deviation of at least 10 (of 255): patches of low variance
    are skipped, as in the original. This is a re-creation of the data of Larochelle
    et al. (2007), not the original file.

    Args:
        images: Digits, white on black, shape `(m, h, w)` or `(m, h, w, 1)`, uint8.
        backgrounds: Photographs, each of shape `(H, W)` (gray) or `(H, W, 3)` (RGB),
            uint8, at least as large as the images. Defaults to None: the two that
            come with scikit-learn.
        seed: Non-negative seed of all draws. The same arguments and seed give the
            same bytes. Use another seed for the test images. Defaults to 0.

    Returns:
        The new images, shape `(m, h, w, 1)`, uint8.

    Raises:
        TypeError: If an array is not uint8, `backgrounds` is not a list of arrays, or
            the seed is not an integer.
        ValueError: If an array has the wrong shape, if there are no images, if all
            patches of the photographs have a low variance, or if the seed is
            negative.

    Example:
        >>> digits = np.zeros((2, 28, 28), dtype="uint8")
        >>> digits[:, 4:24, 12:16] = 255
        >>> made = mnist_back_rotation(digits, seed=1)
        >>> made.shape, made.dtype
        ((2, 28, 28, 1), dtype('uint8'))
    """
    rng = np.random.default_rng(_checks.seed("seed", seed))
    digits = _as_digits(images)
    photographs = _sklearn_photographs() if backgrounds is None else _all(backgrounds)
    angles = rng.uniform(0, 2 * np.pi, size=len(digits))
    patches = _draw_patches(photographs, len(digits), digits.shape[1:3], rng)
    made = np.empty_like(digits)
    for start in range(0, len(digits), _CHUNK):
        part = slice(start, start + _CHUNK)
        rotated = _rotate(digits[part], angles[part])
        blended = rotated + (1 - rotated / 255) * patches[part]
        made[part] = np.round(blended).astype(np.uint8)
    return made


def _as_uint8(name: str, values: ArrayLike) -> NDArray[np.uint8]:
    array = _checks.array(name, values)
    if array.dtype != np.uint8:
        raise TypeError(
            f"`{name}` must be uint8, with gray levels of 0 to 255. "
            f"Received: dtype={array.dtype}."
        )
    return array


def _as_digits(images: ArrayLike) -> NDArray[np.uint8]:
    given = _as_uint8("images", images)
    digits = given[..., np.newaxis] if given.ndim == 3 else given
    if digits.ndim != 4 or digits.shape[3] != 1 or digits.size == 0:
        raise ValueError(
            "`images` must have shape (m, h, w) or (m, h, w, 1), at least one image "
            f"of at least one pixel. Received: shape={given.shape}."
        )
    return digits


def _sklearn_photographs() -> list[NDArray[np.uint8]]:
    # Imported here: only this default needs scikit-learn's images and pillow.
    from sklearn.datasets import load_sample_images

    return list(load_sample_images().images)


def _all(backgrounds: Iterable[ArrayLike]) -> list[ArrayLike]:
    try:
        return list(backgrounds)
    except TypeError as error:
        raise TypeError(
            "`backgrounds` must be several photographs, such as a list of arrays. "
            f"Received: {type(backgrounds).__name__}."
        ) from error


def _rotate(images: NDArray[np.uint8], angles: NDArray[Any]) -> NDArray[np.float32]:
    """Rotate images `(m, h, w, 1)` about their centers by `angles` `(m,)`, radians."""
    center_y, center_x = (np.array(images.shape[1:3]) - 1) / 2
    cos, sin = np.cos(angles), np.sin(angles)
    zero = np.zeros_like(angles)
    # The transform maps an output point (x, y) to the input point to read.
    transforms = np.stack(
        [
            *(cos, -sin, center_x - cos * center_x + sin * center_y),
            *(sin, cos, center_y - sin * center_x - cos * center_y),
            *(zero, zero),
        ],
        axis=1,
    )
    # On the CPU even if there is a GPU, which would round differently.
    with keras.device("cpu"):
        rotated = keras.ops.image.affine_transform(
            images.astype(np.float32),
            transforms.astype(np.float32),
            interpolation="bilinear",
            fill_mode="constant",
            fill_value=0,
            data_format="channels_last",
        )
    rotated_array: NDArray[np.float32] = keras.ops.convert_to_numpy(rotated)
    return rotated_array


def _draw_patches(
    photographs: Iterable[ArrayLike],
    n_patches: int,
    size: tuple[int, ...],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw gray patches `(n_patches, h, w, 1)` that do not have a low variance."""
    grays = [_gray(photograph, size) for photograph in photographs]
    textured = [
        (gray, corners)
        for gray in grays
        if (corners := np.argwhere(_patch_std(gray, size) >= MIN_PATCH_STD)).size
    ]
    if not textured:
        raise ValueError(
            "`backgrounds` must hold at least one photograph with a patch of the "
            f"images' size {size} whose standard deviation is at least "
            f"{MIN_PATCH_STD}. Received: {len(grays)} photographs without one."
        )
    patches = np.empty((n_patches, *size, 1), dtype=np.float32)
    photograph_of_patch = rng.integers(len(textured), size=n_patches)
    for number, (gray, corners) in enumerate(textured):
        (members,) = np.nonzero(photograph_of_patch == number)
        rows, columns = corners[rng.integers(len(corners), size=members.size)].T
        windows = np.lib.stride_tricks.sliding_window_view(gray, size)
        patches[members, ..., 0] = windows[rows, columns]
    return patches


def _gray(photograph: ArrayLike, size: tuple[int, ...]) -> NDArray[np.float32]:
    pixels: NDArray[Any] = _as_uint8("backgrounds", photograph)
    if (
        not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3))
        or pixels.shape[0] < size[0]
        or pixels.shape[1] < size[1]
    ):
        raise ValueError(
            "`backgrounds` must be photographs of shape (H, W) or (H, W, 3), at least "
            f"as large as the images, {size}. Received: shape={pixels.shape}."
        )
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    # The luma of ITU-R BT.601, as in most image libraries.
    gray: NDArray[np.float32] = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    return gray


def _patch_std(gray: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the patches' standard deviations by corner, `(H - h + 1, W - w + 1)`."""
    mean = _patch_mean(gray.astype(np.float64), size)
    mean_of_squares = _patch_mean(gray.astype(np.float64) ** 2, size)
    std: NDArray[np.float64] = np.sqrt(np.maximum(mean_of_squares - mean**2, 0))
    return std


def _patch_mean(
    values: NDArray[np.float64], size: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the means of all patches, from running sums instead of copies."""
    height, width = size
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    means: NDArray[np.float64] = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    ) / (height * width)
    return means
