"""The convolutional networks of the DOS paper.

References:
    [1] Ando, S., Huang, C. Y.: Deep over-sampling framework for classifying
        imbalanced data. ECML-PKDD 2017, Section 4.1 and Table 4.
        https://arxiv.org/abs/1704.07515
    [2] LeCun, Y., Bottou, L., Bengio, Y., Haffner, P.: Gradient-based learning
        applied to document recognition. Proceedings of the IEEE 86(11), 1998.
"""

from collections.abc import Sequence

from keras import Input, layers

from keras_dos import _checks
from keras_dos.model import DOSModel

__all__ = ["c6_c16_f400_f120", "c20_c50_f500_f120"]

_FORMAT = "channels_last"  # Whatever `keras.config.image_data_format()` is.
_MIN_SIDE = 16  # 16 -> conv 12 -> pool 6 -> conv 2 -> pool 1.


def c6_c16_f400_f120(input_shape: tuple[int, int, int], n_classes: int) -> DOSModel:
    """Build the network of the paper for MNIST, MNIST-back-rotation and SVHN.

    Two convolutions of 6 and 16 filters, two fully-connected layers of 400 and 120
    units, ReLU after each, and a softmax (Section 4.1 and Table 4 of [1]). The second
    fully-connected layer is the embedding f(x), the softmax layer the classifier g.
    The paper does not specify kernels and pooling: 5x5 without padding and 2x2
    max-pooling after each convolution follow LeNet [2].

    Args:
        input_shape: Height, width and channels of an image, at least (16, 16, 1).
        n_classes: Number of classes n, at least 2.

    Returns:
        An uncompiled model. Its inputs are images with values 0 to 255, shape
        `(m, height, width, channels)`, of any real dtype; the network divides them
        by 255 itself. Its outputs are a dict: `"embedding"`, shape `(m, 120)`, and
        `"probabilities"`, shape `(m, n)`, float32.

    Raises:
        TypeError: If `input_shape` is not a tuple of integers, or `n_classes` is not
            an integer.
        ValueError: If an argument is out of range.

    Example:
        >>> model = c6_c16_f400_f120((28, 28, 1), n_classes=10)
        >>> model.output["embedding"].shape, model.output["probabilities"].shape
        ((None, 120), (None, 10))
    """
    return _build(input_shape, n_classes, filters=(6, 16), units=(400, 120))


def c20_c50_f500_f120(input_shape: tuple[int, int, int], n_classes: int) -> DOSModel:
    """Build the network of the paper for CIFAR-10 and STL-10.

    Like `c6_c16_f400_f120`, with convolutions of 20 and 50 filters and
    fully-connected layers of 500 and 120 units (Section 4.1 and Table 4 of [1]).
    Kernels (5x5, no padding) and pooling (2x2) again follow LeNet [2].

    Args:
        input_shape: Height, width and channels of an image, at least (16, 16, 1).
        n_classes: Number of classes n, at least 2.

    Returns:
        An uncompiled model with the inputs and outputs of `c6_c16_f400_f120`.

    Raises:
        TypeError: If `input_shape` is not a tuple of integers, or `n_classes` is not
            an integer.
        ValueError: If an argument is out of range.

    Example:
        >>> c20_c50_f500_f120((32, 32, 3), n_classes=10).count_params()
        713400
    """
    return _build(input_shape, n_classes, filters=(20, 50), units=(500, 120))


def _build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    filters: tuple[int, int],
    units: tuple[int, int],
) -> DOSModel:
    input_shape = _image_shape(input_shape)
    n_classes = _checks.integer("n_classes", n_classes, minimum=2)
    inputs = Input(input_shape, name="images")
    x = layers.Rescaling(1 / 255)(inputs)
    for n_filters in filters:
        x = layers.Conv2D(n_filters, 5, activation="relu", data_format=_FORMAT)(x)
        x = layers.MaxPooling2D(2, data_format=_FORMAT)(x)
    x = layers.Flatten(data_format=_FORMAT)(x)
    x = layers.Dense(units[0], activation="relu")(x)
    embedding = layers.Dense(units[1], activation="relu", name="embedding")(x)
    # In half precision the probabilities of rare classes would round to zero.
    probabilities = layers.Dense(
        n_classes, activation="softmax", dtype="float32", name="probabilities"
    )(embedding)
    return DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})


def _image_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    is_sequence = isinstance(input_shape, tuple | list)
    if not is_sequence or len(input_shape) != 3:
        error = ValueError if is_sequence else TypeError
        raise error(
            "`input_shape` must be three integers, (height, width, channels). "
            f"Received: input_shape={input_shape!r}."
        )
    minima = (_MIN_SIDE, _MIN_SIDE, 1)
    height, width, channels = (
        _checks.integer(f"input_shape[{i}]", value, minimum)
        for i, (value, minimum) in enumerate(zip(input_shape, minima, strict=True))
    )
    return height, width, channels
