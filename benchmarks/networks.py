"""Networks of today, to compare on beside those of the paper."""

from typing import Any

import keras
from keras import Input, layers, ops

from keras_dos import DOSModel

COSINE_SCALE = 10.0  # As validation chose it for LDAM-DRW.


def resnet(
    input_shape: tuple[int, int, int],
    n_classes: int,
    blocks: int = 1,
    flip: bool = True,
    cosine: bool = False,
) -> DOSModel:
    """Build a narrow residual network for small images (He et al., CVPR 2016).

    A convolution, three stages of 16, 32 and 64 filters with basic blocks, and global
    average pooling, whose output is the embedding; BatchNormalization after each
    convolution; random flips and shifts as layers. It has 6 · blocks + 2 layers with
    weights: ResNet-8 with one block a stage, ResNet-32 with five.

    Args:
        input_shape: Height, width and channels of an image.
        n_classes: Number of classes, at least 2.
        blocks: Basic blocks per stage. Defaults to 1.
        flip: Whether images are flipped at random, which digits do not survive.
            Defaults to True.
        cosine: Whether the head is a `CosineHead`. Defaults to False.

    Returns:
        An uncompiled model on images with values 0 to 255.
    """
    inputs = Input(input_shape, name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    if flip:
        x = layers.RandomFlip("horizontal", seed=1)(x)
    x = _random_shift(seed=2)(x)
    x = _convolution(x, 16)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(blocks):
            x = _block(x, filters, strides=2 if stage and not block else 1)
    embedding = layers.GlobalAveragePooling2D(name="embedding")(x)
    probabilities = layers.Dense(
        n_classes, activation="softmax", dtype="float32", name="probabilities"
    )(embedding)
    model = DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})
    return with_cosine_head(model) if cosine else model


def shifted(network: DOSModel) -> DOSModel:
    """Return a network, with the same weights, that shifts its images at random.

    Args:
        network: A network on images, shape (b, h, w, c).
    """
    inputs = Input(network.input_shape[1:], name="images_to_shift")
    embedding = network.embedder(_random_shift(seed=1)(inputs))
    outputs = {"embedding": embedding, "probabilities": network.head(embedding)}
    return DOSModel(inputs, outputs)


@keras.saving.register_keras_serializable(package="benchmarks")
class CosineHead(keras.layers.Layer):
    """softmax(scale · cos(embedding, class weight)), the head that LDAM needs."""

    def __init__(self, n_classes: int, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_classes = n_classes
        self.scale = scale

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.n_classes))

    def call(self, embedding: Any) -> Any:
        directions = ops.normalize(embedding, axis=-1)
        cosine = ops.matmul(directions, ops.normalize(self.kernel, axis=0))
        return ops.softmax(self.scale * cosine)


def with_cosine_head(network: DOSModel, scale: float = COSINE_SCALE) -> DOSModel:
    """Return a network whose head is replaced by a fresh `CosineHead`.

    Args:
        network: A network, whose other layers are shared.
        scale: The scale of its logits. Defaults to `COSINE_SCALE`.
    """
    embedding = network.output["embedding"]
    p = CosineHead(network.output["probabilities"].shape[-1], scale)(embedding)
    return DOSModel(network.input, {"embedding": embedding, "probabilities": p})


def dense_head(
    input_shape: tuple[int], n_classes: int, embedding_size: int = 128
) -> DOSModel:
    """Build a head of one hidden layer on features that are given.

    Args:
        input_shape: The size of the features, a tuple of one.
        n_classes: Number of classes, at least 2.
        embedding_size: Units of the hidden layer, d. Defaults to 128.

    Returns:
        An uncompiled model.
    """
    inputs = Input(input_shape, name="features")
    embedding = layers.Dense(embedding_size, activation="relu", name="embedding")(
        inputs
    )
    probabilities = layers.Dense(n_classes, activation="softmax")(embedding)
    return DOSModel(inputs, {"embedding": embedding, "probabilities": probabilities})


def _random_shift(seed: int) -> layers.Layer:
    return layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", seed=seed)


def _convolution(x: Any, filters: int, strides: int = 1, relu: bool = True) -> Any:
    x = layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def _block(x: Any, filters: int, strides: int) -> Any:
    y = _convolution(x, filters, strides)
    y = _convolution(y, filters, relu=False)
    if strides != 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
    return layers.ReLU()(layers.Add()([x, y]))
