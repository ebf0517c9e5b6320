"""`images_bytes` and files that are no images, broken, or larger than they look."""

import io
import struct
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from servable import of_input

from keras_dos import export_servable


def encoded(height, width, file_format="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, file_format)
    return file.getvalue()


def claimed(height, width, file_format="PNG"):
    """A file that claims a size, with nothing behind its header."""
    if file_format == "PNG":
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        checksum = struct.pack(">I", zlib.crc32(header))
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum
    file = encoded(8, 8, "JPEG")
    start = file.index(b"\xff\xc0") + 5  # Behind the marker, a length and the depth.
    return file[:start] + struct.pack(">HH", height, width) + file[start + 4 :]


def model_of(shape):
    pooled = [keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()]
    return of_input(shape, *pooled)


def exported(folder, shape, **arguments):
    """The signature `images_bytes` of a model, as a function of a list of files."""
    version = export_servable(model_of(shape), folder, **arguments)
    function = tf.saved_model.load(str(version)).signatures["images_bytes"]
    return lambda files: function(images_bytes=tf.constant(files, tf.string))


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("fixed"), (8, 8, 3), max_image_pixels=200)


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    return exported(
        tmp_path_factory.mktemp("free"),
        (None, None, 3),
        warmup_inputs=np.zeros((2, 10, 10, 3)),
        max_image_pixels=200,
    )


def refused(function, files, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        function(files)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_an_image_has_at_most_so_many_pixels(fixed, file_format):
    assert len(fixed([encoded(10, 20, file_format)] * 5)["scores"]) == 5
    files = [encoded(10, 20), encoded(10, 20), encoded(3, 67, file_format)]
    refused(
        fixed,
        files,
        r"at most\] \[200\] .*image\] \[2\] .*height and width\] \[3\] \[67",
    )


@pytest.mark.parametrize(
    ("height", "width", "file_format"),
    [
        (23_000, 23_000, "PNG"),
        (2**31 - 1, 2**31 - 1, "PNG"),
        (2**32 - 1, 2**32 - 1, "PNG"),
        (65_500, 65_500, "JPEG"),
    ],
)
def test_the_header_is_enough_to_refuse_an_image(
    fixed, free, height, width, file_format
):
    message = rf"image\] \[1\] .*height and width\] \[{height}\] \[{width}\]"
    for function in (fixed, free):
        refused(
            function,
            [encoded(8, 8), claimed(height, width, file_format)],
            message,
        )


def test_by_default_an_image_has_at_most_33_megapixels(tmp_path):
    function = exported(tmp_path, (8, 8, 3))
    side = 2**12
    refused(function, [claimed(2 * side + 1, side)], r"at most\] \[33554432\]")
    # What follows the header of this one is missing, which its decoder says.
    refused(function, [claimed(2 * side, side)], "Invalid PNG")


def test_of_free_size_all_images_of_a_batch_count_together(free):
    assert len(free([encoded(10, 10)] * 2)["scores"]) == 2
    refused(free, [encoded(10, 10)] * 3, r"at most\] \[66\]")
    assert len(free([encoded(6, 11)] * 3)["scores"]) == 3


def test_an_image_counts_as_large_as_it_is_resized(tmp_path):
    function = exported(
        tmp_path,
        (None, 8, 3),
        warmup_inputs=np.zeros((1, 8, 8, 3)),
        max_image_pixels=200,
    )
    assert len(function([encoded(25, 1)])["scores"]) == 1
    refused(function, [encoded(26, 1)], r"height and width\] \[26\] \[1\]")


def test_files_that_are_neither_png_nor_jpeg_are_named(fixed):
    png = encoded(8, 8)
    for file in (
        b"",
        b"no image",
        png[:15],
        b"\x89PNG\r\n\x1a\n" + png[33:],  # Without its header.
        encoded(8, 8, "GIF"),
        encoded(8, 8, "BMP"),
    ):
        refused(fixed, [png, png, file, png], r"PNG or JPEG files.* as image\] \[2\]")
    assert len(fixed([png])["scores"]) == 1


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_half_a_file_is_an_error(fixed, file_format):
    file = encoded(8, 8, file_format)
    refused(fixed, [file[: len(file) // 2]], file_format)


@pytest.mark.parametrize(
    ("shape", "images", "needed"),
    [((8, 8, 3), None, 64), ((None, None, 3), np.zeros((5, 10, 10, 3)), 500)],
)
def test_warm_up_requests_must_not_be_refused(shape, images, needed, tmp_path):
    message = rf"`max_image_pixels` must be at least {needed}, .*={needed - 1}\."
    with pytest.raises(ValueError, match=message):
        exported(tmp_path, shape, warmup_inputs=images, max_image_pixels=needed - 1)
    exported(tmp_path, shape, warmup_inputs=images, max_image_pixels=needed)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "`max_image_pixels` must be at least 1 and at most 536870912"),
        (2**29 + 1, ValueError, "Received: max_image_pixels=536870913"),
        (2.5, TypeError, "`max_image_pixels` must be an integer"),
    ],
)
def test_a_limit_that_is_none_is_refused(value, error, message, tmp_path):
    with pytest.raises(error, match=message):
        export_servable(model_of((8, 8, 3)), tmp_path, max_image_pixels=value)


WITH_NUMPY_BEHAVIOR = """
import sys
import keras
import tensorflow as tf
from keras_dos import export_servable

tf.experimental.numpy.experimental_enable_numpy_behavior()
layers = [keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()]
model = keras.Sequential([*layers, keras.layers.Softmax()])
print(export_servable(model, sys.argv[1], training_prior=[1, 1, 1],
                      deployment_prior=[2, 1, 1]))
"""


@pytest.mark.slow
def test_tensors_may_behave_as_those_of_numpy(tmp_path):
    """A process cannot go back from it."""
    done = subprocess.run(
        [sys.executable, "-c", WITH_NUMPY_BEHAVIOR, tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    served = tf.saved_model.load(done.stdout.split()[-1]).signatures["images_bytes"]
    answer = served(images_bytes=tf.constant([encoded(4, 4)]))["probabilities"]
    np.testing.assert_allclose(answer, [[1, 0, 0]], atol=1e-6)
