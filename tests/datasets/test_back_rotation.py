"""Tests of keras_dos.datasets.back_rotation."""

import re
import time

import numpy as np
import pytest

from keras_dos.datasets import mnist_back_rotation

CENTER = 13.5


def noise(low, high, shape=(60, 70), seed=0):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def blobs(n, x=20, y=13):
    """Images with a bright disk about (x + .5, y + .5), away from the center."""
    columns, rows = np.meshgrid(np.arange(28), np.arange(28))
    disk = (columns - x - 0.5) ** 2 + (rows - y - 0.5) ** 2 < 9
    return np.repeat((disk * 255).astype(np.uint8)[np.newaxis], n, axis=0)


def centroids(made):
    """Center of the digit's pixels, which are brighter than the background."""
    masses = np.where(made[..., 0] > 100, made[..., 0].astype(float), 0)
    total = masses.sum(axis=(1, 2))
    x = (masses.sum(axis=1) * np.arange(28)).sum(axis=1) / total
    y = (masses.sum(axis=2) * np.arange(28)).sum(axis=1) / total
    return x, y


def patches_of(photograph):
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (28, 28))
    return {window.tobytes() for row in windows for window in row}


def test_same_seed_same_bytes():
    digits = blobs(40)
    first = mnist_back_rotation(digits, seed=1)
    assert first.dtype == np.uint8
    assert first.shape == (40, 28, 28, 1)
    assert first.tobytes() == mnist_back_rotation(digits, seed=1).tobytes()
    assert first.tobytes() != mnist_back_rotation(digits, seed=2).tobytes()
    assert first.tobytes() == mnist_back_rotation(digits[..., None], seed=1).tobytes()


def test_digits_turn_about_the_center_by_uniform_angles():
    dim = noise(0, 50)
    x, y = centroids(mnist_back_rotation(blobs(2000), backgrounds=[dim]))
    np.testing.assert_allclose(np.hypot(x - CENTER, y - CENTER), 7, atol=0.2)
    turns = np.arctan2(y - CENTER, x - CENTER) / (2 * np.pi) % 1
    counts, _ = np.histogram(turns, bins=8, range=(0, 1))
    # Binomial(2000, 1/8): a standard deviation of 14.8.
    np.testing.assert_allclose(counts, 250, atol=60)


def test_digits_are_not_mirrored():
    """The dark blob stays a quarter turn clockwise of the bright one."""
    digits = np.maximum(blobs(200), blobs(200, x=13, y=20) // 255 * 150)
    made = mnist_back_rotation(digits, backgrounds=[noise(0, 40)])
    bright_x, bright_y = centroids(np.where(made > 200, made, 0))
    dark_x, dark_y = centroids(np.where(made < 170, made, 0))
    turn = np.arctan2(dark_y - CENTER, dark_x - CENTER)
    turn -= np.arctan2(bright_y - CENTER, bright_x - CENTER)
    np.testing.assert_allclose(turn % (2 * np.pi), np.pi / 2, atol=0.6)


def test_oblong_images_turn_about_their_center():
    digits = np.zeros((200, 20, 30), dtype=np.uint8)
    digits[:, 9:11, 14:16] = 255
    made = mnist_back_rotation(digits, backgrounds=[noise(0, 50)])
    assert made.shape == (200, 20, 30, 1)
    rows, columns = np.nonzero((made[..., 0] > 100).sum(axis=0))
    assert rows.min() >= 8
    assert rows.max() <= 11
    assert columns.min() >= 13
    assert columns.max() <= 16


def test_rotation_preserves_mass_and_shape():
    digits = blobs(500)
    made = mnist_back_rotation(digits, backgrounds=[noise(0, 50)])
    area = (digits[0] > 127).sum()
    areas = (made[..., 0] > 127 + 25).sum(axis=(1, 2))
    np.testing.assert_allclose(areas, area, rtol=0.25)
    assert areas.mean() == pytest.approx(area, rel=0.05)
    # Bilinear: the edges of a black and white digit become gray.
    is_gray = (made > 100) & (made < 200)
    assert is_gray.any(axis=(1, 2)).mean() > 0.95


def test_digits_stay_bright_and_cover_the_background():
    white = np.full((50, 28, 28), 255, dtype=np.uint8)
    made = mnist_back_rotation(white)
    # A disk about the center is inside the image whatever the angle.
    assert (made[:, 4:24, 4:24] == 255).all()
    half = mnist_back_rotation(white // 2, backgrounds=[noise(0, 256)])
    assert half[:, 4:24, 4:24].min() == 127
    assert half[:, 4:24, 4:24].max() > 250


def test_blend_follows_the_equation():
    """Of a uniform disk, out = d + (1 - d/255) patch; outside it the patch itself."""
    photograph = noise(0, 256, (28, 28))  # A single patch: known at every pixel.
    columns, rows = np.meshgrid(np.arange(28), np.arange(28))
    radius = np.hypot(columns - CENTER, rows - CENTER)
    digits = np.where(radius < 9, 180, 0).astype(np.uint8)[np.newaxis].repeat(20, 0)
    made = mnist_back_rotation(digits, backgrounds=[photograph])[..., 0]
    expected = np.rint(180 + (1 - 180 / 255) * photograph.astype(float))
    for image in made:
        np.testing.assert_allclose(image[radius < 7], expected[radius < 7], atol=1)
        np.testing.assert_array_equal(image[radius > 11], photograph[radius > 11])


def test_backgrounds_are_patches_of_all_photographs():
    black = np.zeros((300, 28, 28), dtype=np.uint8)
    photographs = [noise(0, 100, (40, 50), seed=1), noise(100, 256, (33, 31), seed=2)]
    made = mnist_back_rotation(black, backgrounds=iter(photographs))
    known = [patches_of(photograph) for photograph in photographs]
    used = [[image.tobytes() in patches for image in made] for patches in known]
    n_used = np.sum(used, axis=1)
    assert n_used.sum() == 300
    # Binomial(300, 1/2): a standard deviation of 8.7.
    assert abs(n_used[0] - 150) < 40
    # Of the 299 patches of one photograph and the 24 of the other.
    assert len({image.tobytes() for image in made}) > 100 + 20


def test_color_photographs_become_gray():
    black = np.zeros((5, 28, 28), dtype=np.uint8)
    color = noise(0, 256, (28, 28, 3))
    gray = np.rint(color.astype(float) @ [0.299, 0.587, 0.114])
    for image in mnist_back_rotation(black, backgrounds=[color])[..., 0]:
        np.testing.assert_allclose(image, gray, atol=1)


def test_patches_of_low_variance_are_skipped():
    black = np.zeros((500, 28, 28), dtype=np.uint8)
    photograph = np.full((60, 300), 130, dtype=np.uint8)
    photograph[:, 200:] = noise(100, 160, (60, 100))  # Standard deviation 17.
    made = mnist_back_rotation(black, backgrounds=[photograph, photograph[:, :100]])
    stds = made.reshape(500, -1).std(axis=1)
    assert stds.min() >= 10
    assert stds.min() < 12, "patches above the threshold must be used"
    default = mnist_back_rotation(black)
    assert default.reshape(500, -1).std(axis=1).min() >= 9.9  # Rounding to uint8.


def test_flat_photographs_raise():
    flat = np.full((60, 60), 90, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"least 10\.0\. Received: 2 photographs with"):
        mnist_back_rotation(blobs(1), backgrounds=[flat, noise(90, 110)])
    with pytest.raises(ValueError, match="Received: 0 photographs"):
        mnist_back_rotation(blobs(1), backgrounds=[])


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_arrays_of_another_dtype_raise(dtype):
    with pytest.raises(TypeError, match=f"`images` must be uint8.*dtype={dtype}"):
        mnist_back_rotation(blobs(2).astype(dtype))
    backgrounds = [noise(0, 256), noise(0, 256).astype(dtype)]
    with pytest.raises(TypeError, match=f"`backgrounds` must be uint8.*dtype={dtype}"):
        mnist_back_rotation(blobs(2), backgrounds=backgrounds)


@pytest.mark.parametrize(
    "images", [blobs(2)[0], np.zeros((2, 28, 28, 3), dtype=np.uint8)]
)
def test_wrong_images_raise(images):
    shape = re.escape(str(images.shape))
    message = rf"`images` must have shape \(m, h, w\).*Received: shape={shape}"
    with pytest.raises(ValueError, match=message):
        mnist_back_rotation(images)


def test_no_images_raise():
    with pytest.raises(ValueError, match=r"at least one.*Received: shape=\(0, 28, 28"):
        mnist_back_rotation(blobs(0))
    with pytest.raises(ValueError, match=r"one pixel.*Received: shape=\(2, 0, 28"):
        mnist_back_rotation(blobs(2)[:, :0])


@pytest.mark.parametrize(
    "background",
    [
        noise(0, 256, (27, 60)),
        noise(0, 256, (60, 27)),
        noise(0, 256, (60, 60, 4)),
        noise(0, 256, (60,)),
    ],
)
def test_wrong_backgrounds_raise(background):
    with pytest.raises(ValueError, match="`backgrounds` must be photographs of shape"):
        mnist_back_rotation(blobs(2), backgrounds=[noise(0, 256), background])


@pytest.mark.parametrize(
    ("seed", "error"),
    [(-1, ValueError), (None, TypeError), (1.5, TypeError), (True, TypeError)],
)
def test_wrong_seeds_raise(seed, error):
    with pytest.raises(error, match=rf"`seed` must .*Received: seed={seed}\."):
        mnist_back_rotation(blobs(2), seed=seed)


def test_many_images_take_seconds():
    digits = blobs(10_000)
    started = time.perf_counter()
    made = mnist_back_rotation(digits)
    assert time.perf_counter() - started < 20
    # Every image is worked on, whatever the size of the chunks inside.
    assert len({image.tobytes() for image in made}) == 10_000
