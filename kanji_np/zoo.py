"""Networks by name: the paper's, and those of the MLPerf Tiny benchmark.

Parameters below are weights and biases of what is deployed: batch normalization is
folded into them. All are functions that return an untrained network; layers, sizes and
strides are those of the references, whose counts a test repeats.

References
----------
Lai and Suda, "Rethinking Machine Learning Development and Deployment for Edge Devices",
2018. Banbury et al., "MLPerf Tiny Benchmark", 2021, and its reference models
(github.com/mlcommons/tiny, benchmark/training).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from kanji_np.checks import one_of
from kanji_np.errors import OptionError, ShapeError
from kanji_np.layers import (
    Add,
    AvgPool2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Input,
    Layer,
    MaxPool2D,
    Normalize,
)
from kanji_np.model import Model, Sequential
from kanji_np.types import Shape, TargetSpec, shape_text

CIFAR10_MEAN = (125, 123, 114)
CIFAR100_MEAN = (129, 124, 112)
MIDDLE = 128  # of a uint8's range
POOLS = {"max": MaxPool2D, "average": AvgPool2D}

# Output channels of the convolutions of `paper_cnn`: Lai and Suda, table 1.
PAPER_SIZES = ((16, 16, 32), (32, 32, 64), (48, 48, 96), (64, 64, 128))

# Filters and stride of the thirteen blocks of `mobilenet_v1_025`.
MOBILENET_BLOCKS = (
    (16, 1),
    (32, 2),
    (32, 1),
    (64, 2),
    (64, 1),
    (128, 2),
    *((128, 1),) * 5,
    (256, 2),
    (256, 1),
)


def paper_cnn(
    channels: Sequence[int] = (32, 32, 64),
    *,
    pool: str = "max",
    batch_norm: bool = False,
    input_shape: Shape = (32, 32, 3),
    classes: int = 10,
    mean: ArrayLike | None = CIFAR10_MEAN,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "pow2",
    ranges: str = "minmax",
    weight_bits: int = 8,
    seed: int = 0,
    name: str = "cifar10",
) -> Sequential:
    """The paper's network: 5x5 convolutions with ReLU, each with a 3x3 pool.

    Parameters
    ----------
    channels : sequence of int
        Output channels of each convolution; the paper's are `PAPER_SIZES`.
    pool : "max" or "average"
    batch_norm : bool
        Whether convolutions are normalized while they are trained.
    input_shape : (H, W, C)
    classes : int
        Number of outputs.
    mean : int, sequence of ints, or None
        What `Normalize` takes off images. None: inputs are real values.
    weight_bits : 8 or 4
        Of all weights.
    target, scheme, ranges, seed, name
        As `Model` has them.

    Returns
    -------
    Sequential
        Untrained.

    References
    ----------
    Lai and Suda, 2018, table 1; the network of Arm's CIFAR-10 example for CMSIS-NN.
    """
    if not channels:
        raise OptionError("channels must name at least one convolution")
    one_of("pool", pool, POOLS)
    layers = _front(mean)
    for filters in channels:
        layers += [
            _conv(filters, 5, bits=weight_bits, batch_norm=batch_norm),
            POOLS[pool](3, 2),
        ]
    layers += [Flatten(), Dense(classes, weight_bits=weight_bits)]
    return Sequential(
        layers, input_shape, target, scheme=scheme, ranges=ranges, seed=seed, name=name,
        input_range=_input_range(mean),
    )  # fmt: skip


def paper_vgg(
    channels: Sequence[int] = (32, 64, 128),
    *,
    input_shape: Shape = (32, 32, 3),
    classes: int = 100,
    mean: ArrayLike | None = CIFAR100_MEAN,
    batch_norm: bool = True,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "pow2",
    ranges: str = "minmax",
    weight_bits: int = 8,
    seed: int = 0,
    name: str = "cifar100",
) -> Sequential:
    """A VGG for CIFAR-100: pairs of 3x3 convolutions, each pair with a 2x2 pool.

    491,908 parameters, 38,838,272 MAC. The paper trains a VGG but does not
    list its layers: these widths are ours, chosen to fit a microcontroller.

    Parameters
    ----------
    channels : sequence of int
        Output channels of the two convolutions of each pair.
    input_shape : (H, W, C)
    classes : int
        Number of outputs.
    mean : int, sequence of ints, or None
        What `Normalize` takes off images. None: inputs are real values.
    batch_norm : bool
        Normalize while training.
    weight_bits : 8 or 4
        Of all weights.
    target, scheme, ranges, seed, name
        As `Model` has them.

    Returns
    -------
    Sequential
        Untrained.

    References
    ----------
    Lai and Suda, 2018; Simonyan and Zisserman, "Very Deep Convolutional Networks for
    Large-Scale Image Recognition", 2015.
    """
    if not channels:
        raise OptionError("channels must name at least one pair of convolutions")
    layers = _front(mean)
    for filters in channels:
        layers += [
            _conv(filters, 3, bits=weight_bits, batch_norm=batch_norm),
            _conv(filters, 3, bits=weight_bits, batch_norm=batch_norm),
            MaxPool2D(2),
        ]
    layers += [Flatten(), Dense(classes, weight_bits=weight_bits)]
    return Sequential(
        layers, input_shape, target, scheme=scheme, ranges=ranges, seed=seed, name=name,
        input_range=_input_range(mean),
    )  # fmt: skip


def resnet8(
    *,
    classes: int = 10,
    mean: ArrayLike | None = CIFAR10_MEAN,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "symmetric",
    ranges: str = "minmax",
    weight_bits: int = 8,
    seed: int = 0,
    name: str = "resnet8",
) -> Model:
    """ResNet-8 for 32x32 colour images: three residual stacks of 16, 32 and 64 filters.

    77,706 parameters, 12,501,632 MAC.

    Parameters
    ----------
    classes : int
        Number of outputs.
    mean : int, sequence of ints, or None
        What `Normalize` takes off images. None: inputs are real values.
    weight_bits : 8 or 4
        Of all weights.
    target, scheme, ranges, seed, name
        As `Model` has them.

    Returns
    -------
    Model
        Untrained.
    """
    images = x = Input((32, 32, 3))
    for layer in (*_front(mean), _conv(16, 3, bits=weight_bits)):
        x = layer(x)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(filters, 3, stride, bits=weight_bits)(x)
        y = _conv(filters, 3, bits=weight_bits, activation=None)(y)
        if stride > 1:  # x in the shape of y; the reference does not normalize here
            x = _conv(
                filters, 1, stride, bits=weight_bits, activation=None, batch_norm=False
            )(x)
        x = Add(activation="relu")(x, y)
    y = Dense(classes, weight_bits=weight_bits)(Flatten()(AvgPool2D(8)(x)))
    return Model(
        images, y, target, scheme=scheme, ranges=ranges, seed=seed, name=name,
        input_range=_input_range(mean),
    )  # fmt: skip


def ds_cnn(
    *,
    input_shape: Shape = (49, 10, 1),
    classes: int = 12,
    mean: ArrayLike | None = MIDDLE,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "symmetric",
    ranges: str = "minmax",
    weight_bits: int = 8,
    seed: int = 0,
    name: str = "ds_cnn",
) -> Sequential:
    """DS-CNN for keywords: a convolution and four depthwise-separable blocks of 64.

    22,604 parameters, 2,656,768 MAC.

    Parameters
    ----------
    input_shape : (time, frequency, 1)
    classes : int
        Number of outputs.
    mean : int, sequence of ints, or None
        What `Normalize` takes off images. None: inputs are real values.
    weight_bits : 8 or 4
        Of all weights but those of depthwise convolutions, which are few.
    target, scheme, ranges, seed, name
        As `Model` has them.

    Returns
    -------
    Sequential
        Untrained.

    References
    ----------
    Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017.
    """
    layers = [*_front(mean), _conv(64, (10, 4), 2, bits=weight_bits)]
    for _ in range(4):
        layers += _separable(64, bits=weight_bits)
    height, width = _shrunk(input_shape, 2, name)
    layers += [
        AvgPool2D((height, width)),
        Flatten(),
        Dense(classes, weight_bits=weight_bits),
    ]
    return Sequential(
        layers, input_shape, target, scheme=scheme, ranges=ranges, seed=seed, name=name,
        input_range=_input_range(mean),
    )  # fmt: skip


def mobilenet_v1_025(
    *,
    input_shape: Shape = (96, 96, 3),
    classes: int = 2,
    mean: ArrayLike | None = (MIDDLE,) * 3,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "symmetric",
    ranges: str = "minmax",
    weight_bits: int = 8,
    seed: int = 0,
    name: str = "mobilenet",
) -> Sequential:
    """MobileNetV1 of a quarter of the width: thirteen depthwise-separable blocks.

    210,850 parameters, 7,489,664 MAC.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
        Number of outputs.
    mean : int, sequence of ints, or None
        What `Normalize` takes off images. None: inputs are real values.
    weight_bits : 8 or 4
        Of all weights but those of depthwise convolutions, which are few.
    target, scheme, ranges, seed, name
        As `Model` has them.

    Returns
    -------
    Sequential
        Untrained.

    References
    ----------
    Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile
    Vision Applications", 2017.
    """
    layers = [*_front(mean), _conv(8, 3, 2, bits=weight_bits)]
    for filters, stride in MOBILENET_BLOCKS:
        layers += _separable(filters, stride, bits=weight_bits)
    height, width = _shrunk(input_shape, 32, name)
    layers += [
        AvgPool2D((height, width)),
        Flatten(),
        Dense(classes, weight_bits=weight_bits),
    ]
    return Sequential(
        layers, input_shape, target, scheme=scheme, ranges=ranges, seed=seed, name=name,
        input_range=_input_range(mean),
    )  # fmt: skip


def autoencoder(
    *,
    inputs: int = 640,
    mean: ArrayLike | None = MIDDLE,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "pow2",
    ranges: str = "minmax",
    weight_bits: int = 8,
    seed: int = 0,
    name: str = "autoencoder",
) -> Sequential:
    """An autoencoder for sounds: four layers of 128, one of 8, four of 128.

    265,864 parameters, 264,192 MAC. Train it with
    ``fit(..., reproduce_inputs=True)`` and score it with `anomaly_scores`.

    Parameters
    ----------
    inputs : int
        Length of the vectors.
    mean : int, sequence of ints, or None
        What `Normalize` takes off images. None: inputs are real values.
    weight_bits : 8 or 4
        Of all weights.
    target, scheme, ranges, seed, name
        As `Model` has them.

    Returns
    -------
    Sequential
        Untrained.

    References
    ----------
    Koizumi et al., "Description and Discussion on DCASE2020 Challenge Task 2", 2020.
    """
    layers = _front(mean)
    for units in (*(128,) * 4, 8, *(128,) * 4):
        layers.append(
            Dense(units, activation="relu", batch_norm=True, weight_bits=weight_bits)
        )
    layers.append(Dense(inputs, weight_bits=weight_bits))
    return Sequential(
        layers, (inputs,), target, scheme=scheme, ranges=ranges, seed=seed, name=name,
        input_range=_input_range(mean),
    )  # fmt: skip


#: Every network here by the name the command line has for it.
NETWORKS: dict[str, Callable[..., Model]] = {
    "paper-cnn": paper_cnn,
    "paper-vgg": paper_vgg,
    "resnet8": resnet8,
    "ds-cnn": ds_cnn,
    "mobilenet-v1-025": mobilenet_v1_025,
    "autoencoder": autoencoder,
}


def _front(mean: ArrayLike | None) -> list[Layer]:
    """What reads images, if the inputs are images."""
    return [] if mean is None else [Normalize(mean)]


def _input_range(mean: ArrayLike | None) -> str | None:
    """Data say what range real inputs have."""
    return "data" if mean is None else None


def _conv(
    filters: int,
    kernel_size: int | tuple[int, int],
    strides: int = 1,
    *,
    bits: int,
    activation: str | None = "relu",
    batch_norm: bool = True,
) -> Conv2D:
    """As these networks have them."""
    return Conv2D(
        filters, kernel_size, strides, padding="same", activation=activation,
        batch_norm=batch_norm, weight_bits=bits,
    )  # fmt: skip


def _separable(filters: int, strides: int = 1, *, bits: int) -> list[Layer]:
    """A 3x3 convolution channel by channel, then one across channels."""
    return [
        DepthwiseConv2D(3, strides, padding="same", activation="relu", batch_norm=True),
        _conv(filters, 1, bits=bits),
    ]


def _shrunk(shape: Shape, factor: int, name: str) -> tuple[int, int]:
    """Height and width of an image after strides of so much in all, rounded up."""
    if len(shape) != 3:
        raise ShapeError(f"{name} takes images (H, W, C), not {shape_text(shape)}")
    height, width, _ = shape
    return -(-height // factor), -(-width // factor)
