"""Image files as inputs: their headers are checked before anything is decoded."""

from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from keras_dos import _checks
from keras_dos.serving.inputs import ModelInputs

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 24  # Signature, length and name of the first chunk, width and height.
_MOST_PIXELS = 2**29  # TensorFlow decodes no larger PNG.


def check_max_pixels(
    value: Any, inputs: ModelInputs, samples: list[NDArray[Any]]
) -> int:
    """Return `max_image_pixels`, which the warm-up requests must not exceed.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is out of range, or less than samples of the model have.

    Example:
        >>> import numpy as np
        >>> inputs = ModelInputs(None, (tf.TensorSpec((None, 20, 20, 3)),))
        >>> check_max_pixels(500, inputs, [np.zeros((8, 20, 20, 3))])
        500
    """
    limit = _checks.integer("max_image_pixels", value, minimum=1, maximum=_MOST_PIXELS)
    if inputs.image is not None:
        images, height, width = samples[0].shape[:3]
        if not inputs.image.shape[1:].is_fully_defined():
            height *= images
        if limit < height * width:
            raise ValueError(
                f"`max_image_pixels` must be at least {height * width}, or the server "
                "would refuse the warm-up requests and never load the version. "
                f"Received: max_image_pixels={value!r}."
            )
    return limit


def decode_images(encoded: Any, spec: tf.TensorSpec, max_pixels: int) -> Any:
    """Decode images, and resize those that the model cannot take, as Keras does.

    Args:
        encoded: PNG or JPEG files, a string tensor of shape (m,).
        spec: The input of the model.
        max_pixels: The most pixels of an image, or of all m together if the model has
            no fixed size: then all are held as large as they are.

    Returns:
        The input for the model, shape (m, ...).

    Raises:
        tf.errors.InvalidArgumentError: If an image is of another kind, broken or too
            large; which one is said unless only its pixels are broken.

    Example:
        >>> image = tf.io.encode_png(tf.fill((5, 4, 1), tf.constant(7, tf.uint8)))
        >>> spec = tf.TensorSpec((None, 2, 2, 1), tf.uint8)
        >>> decode_images(tf.stack([image]), spec, max_pixels=20).numpy().ravel()
        array([7, 7, 7, 7], dtype=uint8)
    """
    height, width, channels = spec.shape[1:]
    limit = tf.constant(max_pixels, tf.int64)
    if height is None or width is None:
        limit //= tf.maximum(tf.size(encoded, tf.int64), 1)

    def decode(indexed: Any) -> Any:
        index, image_bytes = indexed
        image_bytes = _checked(index, image_bytes, (height, width), limit)
        image = tf.io.decode_image(image_bytes, channels, expand_animations=False)
        image.set_shape((None, None, channels))
        shape = tf.shape(image)
        # Bilinear and without antialiasing, the default of Keras' Resizing layer and of
        # image_dataset_from_directory; at the same size it changes no value.
        image = tf.image.resize(image, (height or shape[0], width or shape[1]))
        if spec.dtype.is_integer:
            image = tf.round(image)
        return tf.saturate_cast(image, spec.dtype)

    one = tf.TensorSpec(spec.shape[1:], spec.dtype)
    indices = tf.range(tf.size(encoded))
    return tf.map_fn(decode, (indices, encoded), fn_output_signature=one)


def _checked(index: Any, image_bytes: Any, resized: Any, limit: Any) -> Any:
    """Return the bytes of an image once its header is known to be harmless."""
    known, (height, width) = _read_header(image_bytes)
    kind = tf.debugging.Assert(
        known,
        ["`images_bytes` must be PNG or JPEG files. Received: another as image", index],
    )
    rows, columns = (
        tf.minimum(side, 2**31) for side in (height, width)
    )  # No overflow.
    # Of an image that keeps one side, the other alone may be stretched.
    pixels = tf.maximum(rows * columns, (resized[0] or rows) * (resized[1] or columns))
    size = tf.debugging.Assert(
        pixels <= limit,
        [
            "`images_bytes` must be images of at most",
            limit,
            "pixels. Received: image",
            index,
            "of height and width",
            height,
            width,
        ],
    )
    with tf.control_dependencies([kind, size]):
        return tf.identity(image_bytes)


def _read_header(image_bytes: Any) -> tuple[Any, Any]:
    """Return whether a file is PNG or JPEG, and its height and width, 0 if neither."""
    head = tf.strings.substr(image_bytes, 0, _PNG_HEADER)
    head = tf.strings.join([head, bytes(_PNG_HEADER)])  # Files may be shorter.

    def part(start: int, length: int) -> Any:
        return tf.strings.substr(head, start, length)

    # Not `==`, which the NumPy behavior of TensorFlow has no strings for.
    is_jpeg = tf.equal(part(0, len(_JPEG)), _JPEG)
    is_png = tf.equal(part(0, len(_PNG)), _PNG) & tf.equal(part(12, 4), b"IHDR")

    def size_of_png() -> Any:
        size = tf.io.decode_raw(part(16, 8), tf.int32, little_endian=False)
        return tf.cast(tf.bitcast(size[::-1], tf.uint32), tf.int64)

    size = tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(image_bytes, tf.int64)[:2],
        lambda: tf.where(is_png, size_of_png(), 0),
    )
    return is_jpeg | is_png, tf.unstack(size, 2)
