"""The convolutional networks of the DOS paper.

References:
    [1] Ando, S., Huang, C. Y.: Deep over-sampling framework for classifying
        imbalanced data. ECML-PKDD 2017, Section 4.1 and Table 4.
        https://arxiv.org/abs/1704.07515
    [2] LeCun, Y., Bottou, L., Bengio, Y., Haffner, P.: Gradient-based learning
        applied to document recognition. Proceedings of the IEEE 86(11), 1998.
"""

import operator
from typing import Any

from keras import Input, layers

from keras_dos.model import DOSModel

_MIN_SIDE = 16  # 16 -> conv 12 -> pool 6 -> conv 2 -> pool 1.


def c6_c16_f400_f120(input_shape: tuple[int, int, int], n_classes: int) -> DOSModel:
    """Builds the network of the paper for MNIST, MNIST-back-rotation and SVHN.

    Two convolutions of 6 and 16 filters, two fully-connected layers of 400 and 120
    units, ReLU after each, and a softmax (Section 4.1 and Table 4 of [1]). The second
    fully-connected layer is the embedding f(x), the softmax layer the classifier g.
    On kernels and pooling the paper is silent: 5x5 without padding and 2x2
    max-pooling after each convolution follow LeNet [2].

    Args:
        input_shape: Height, width and channels of an image, at least 16 x 16.
        n_classes: Number of classes, at least 2.

    Returns:
        An uncompiled model. Its inputs are images with values 0 to 255, shape
        `(batch, *input_shape)`, of any real dtype; the network divides them by 255
        itself. Its outputs are a dict: `"embedding"`, shape `(batch, 120)`, and
        `"probabilities"`, shape `(batch, n_classes)`, float32.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> model = c6_c16_f400_f120((28, 28, 1), n_classes=10)
        >>> model.output["embedding"].shape, model.output["probabilities"].shape
        ((None, 120), (None, 10))
    """
    return _build(input_shape, n_classes, filters=(6, 16), units=(400, 120))


def c20_c50_f500_f120(input_shape: tuple[int, int, int], n_classes: int) -> DOSModel:
    """Builds the network of the paper for CIFAR-10 and STL-10.

    Like `c6_c16_f400_f120`, with convolutions of 20 and 50 filters and
    fully-connected layers of 500 and 120 units (Section 4.1 and Table 4 of [1]).
    Kernels (5x5, no padding) and pooling (2x2) follow LeNet [2] here, too.

    Args:
        input_shape: Height, width and channels of an image, at least 16 x 16.
        n_classes: Number of classes, at least 2.

    Returns:
        An uncompiled model with the inputs and outputs of `c6_c16_f400_f120`.

    Raises:
        ValueError: If an argument is out of its range.

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
    _check(input_shape, n_classes)
    inputs = Input(input_shape, name="images")
    x = layers.Rescaling(1 / 255)(inputs)
    for n_filters in filters:
        x = layers.Conv2D(n_filters, 5, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(units[0], activation="relu")(x)
    embedding = layers.Dense(units[1], activation="relu", name="embedding")(x)
    # In half precision the probabilities of rare classes would round to zero.
    probabilities = layers.Dense(
        n_classes, activation="softmax", dtype="float32", name="probabilities"
    )(embedding)
    return DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})


def _check(input_shape: Any, n_classes: Any) -> None:
    if (
        not isinstance(input_shape, tuple | list)
        or len(input_shape) != 3
        or not all(map(_is_integer, input_shape))
        or min(input_shape[:2]) < _MIN_SIDE
        or input_shape[2] < 1
    ):
        raise ValueError(
            "input_shape must be three integers, (height, width, channels), with "
            f"height and width at least {_MIN_SIDE}. Received: {input_shape=}."
        )
    if not _is_integer(n_classes) or n_classes < 2:
        raise ValueError(
            f"n_classes must be an integer, at least 2. Received: {n_classes=}."
        )


def _is_integer(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)
