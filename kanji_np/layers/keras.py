"""Layers with the names and arguments of Keras: what a user writes.

Each is an operator and its attributes; the operator's page says what it computes.
Layers whose arguments are the fields of the attributes are not here: their operators
declare them (`declared`).

Shapes here are of one sample. Tensors are int8 on the device and in int8 training,
float32 in fp32 training; images are uint8 in both. `name` is a C identifier; without
one the model numbers the layer after its operator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kanji_np.arguments import known_arguments
from kanji_np.checks import shown
from kanji_np.errors import OptionError
from kanji_np.layers.layer import Layer
from kanji_np.layers.linear import LinearLayer
from kanji_np.ops import OPS
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.conv1d import Conv1DAttrs
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.normalize import NormalizeAttrs, NormalizeInts
from kanji_np.window import Padding, Pair


@known_arguments
class Normalize(Layer):
    """uint8 image -> int8: ``(x - mean) >> shift``, rounded; see `ops.normalize`.

    uint8 (H,W,C) or (K,) -> int8 of the same shape.

    Parameters
    ----------
    mean : int, sequence of ints, or uint8 array (H,W,C)
        One mean for each channel, or a mean image. For vectors: one mean for all
        elements, or one for each.
    shift : int
        Right shift 0..7; 1 keeps the whole range of a uint8 image.
    name : str, optional
    """

    def __init__(
        self, mean: ArrayLike, shift: int = 1, name: str | None = None
    ) -> None:
        ints = NormalizeInts(_bytes(mean))
        attrs = NormalizeAttrs(shift, ints.mean.shape)
        super().__init__(OPS["normalize"], attrs, name, ints)


def _bytes(mean: ArrayLike) -> np.ndarray:
    """Integers in 0..255 of any type as a uint8 array of one dimension or more."""
    try:
        values = np.atleast_1d(np.asarray(mean))
    except ValueError:  # rows of different lengths
        values = np.zeros(0)
    is_integer = values.dtype.kind in "iu" and values.size
    if not is_integer or values.min() < 0 or values.max() > 255:
        raise OptionError(f"mean must be integers in 0..255, got {shown(mean)}")
    return values.astype(np.uint8)


@known_arguments
class Conv2D(LinearLayer):
    """2-D convolution with bias; see `ops.conv2d`.

    (H,W,C) -> (OH,OW,filters); weight float32 (filters,KH,KW,C/groups), bias
    (filters,).

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, dilation_rate : int or (height, width)
    padding : "valid", "same" or ((top, bottom), (left, right))
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    batch_norm : bool
        Normalize before the activation while training; see `layers.batch_norm`. It is
        folded into the weights, and takes the bias's place.
    weight_bits : 8 or 4
        int4 weights take half the flash; not every target has kernels for them.
    groups : int
        Input channels and filters are split into so many groups, in order, and the
        filters of a group see its channels alone. It divides C and `filters`. CMSIS-NN
        has groups from 7.0.0 on, for weights of 8 bits. For groups of one channel
        `DepthwiseConv2D` computes the same, faster on the device.
    name : str, optional
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Padding = "valid",
        dilation_rate: int | Pair = 1,
        activation: str | None = None,
        name: str | None = None,
        *,
        batch_norm: bool = False,
        weight_bits: int = 8,
        groups: int = 1,
    ) -> None:
        attrs = Conv2DAttrs.given(
            filters,
            kernel_size,
            strides,
            dilation_rate,
            padding,
            activation,
            weight_bits,
            groups,
        )
        super().__init__(OPS["conv2d"], attrs, name, batch_norm=batch_norm)


@known_arguments
class DepthwiseConv2D(LinearLayer):
    """Depthwise 2-D convolution with bias; see `ops.depthwise_conv2d`.

    (H,W,C) -> (OH,OW,F), F = C * depth_multiplier; weight float32 (F,KH,KW), bias (F,).

    Parameters
    ----------
    kernel_size, strides, dilation_rate : int or (height, width)
    padding : "valid", "same" or ((top, bottom), (left, right))
    depth_multiplier : int
        Outputs of each input channel.
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    batch_norm : bool
        Normalize before the activation while training; see `layers.batch_norm`. It is
        folded into the weights, and takes the bias's place.
    weight_bits : 8 or 4
        int4 weights take half the flash; not every target has kernels for them.
    name : str, optional
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Padding = "valid",
        depth_multiplier: int = 1,
        dilation_rate: int | Pair = 1,
        activation: str | None = None,
        name: str | None = None,
        *,
        batch_norm: bool = False,
        weight_bits: int = 8,
    ) -> None:
        attrs = DepthwiseConv2DAttrs.given(
            kernel_size,
            strides,
            dilation_rate,
            padding,
            depth_multiplier,
            activation,
            weight_bits,
        )
        super().__init__(OPS["depthwise_conv2d"], attrs, name, batch_norm=batch_norm)


@known_arguments
class Dense(LinearLayer):
    """Fully connected layer with bias; see `ops.dense`.

    (K,) -> (units,); weight float32 (units,K), bias (units,).

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : None, "linear", "relu" or "relu6"
    batch_norm : bool
    weight_bits : 8 or 4
        Both as in `Conv2D`; int4 weights have one scale for all outputs.
    name : str, optional
    """

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        name: str | None = None,
        *,
        batch_norm: bool = False,
        weight_bits: int = 8,
    ) -> None:
        attrs = DenseAttrs.given(
            units,
            activation,
            weight_bits,
        )
        super().__init__(OPS["dense"], attrs, name, batch_norm=batch_norm)


def _pool_attrs(
    pool_size: int | Pair,
    strides: int | Pair | None,
    padding: Padding,
    ceil_mode: bool,
) -> Pool2DAttrs:
    strides = pool_size if strides is None else strides
    return Pool2DAttrs.given(pool_size, strides, padding, ceil_mode)


@known_arguments
class MaxPool2D(Layer):
    """2-D max pooling; see `ops.max_pool2d`.

    (H,W,C) -> (OH,OW,C).

    Parameters
    ----------
    pool_size : int or (height, width)
    strides : int or (height, width) or None
        None: the pool size.
    padding : "valid", "same" or ((top, bottom), (left, right))
    ceil_mode : bool
        Round the number of windows up, so that every cell is seen: 32 cells give 16
        with pool 3 and stride 2, as in the paper's network. False is Keras's floor.
    name : str, optional
    """

    def __init__(
        self,
        pool_size: int | Pair,
        strides: int | Pair | None = None,
        padding: Padding = "valid",
        *,
        ceil_mode: bool = True,
        name: str | None = None,
    ) -> None:
        attrs = _pool_attrs(pool_size, strides, padding, ceil_mode)
        super().__init__(OPS["max_pool2d"], attrs, name)


@known_arguments
class AvgPool2D(Layer):
    """2-D average pooling over the cells inside the image; see `ops.avg_pool2d`.

    (H,W,C) -> (OH,OW,C).

    Parameters
    ----------
    pool_size, strides, padding, ceil_mode
        As in `MaxPool2D`.
    name : str, optional
    """

    def __init__(
        self,
        pool_size: int | Pair,
        strides: int | Pair | None = None,
        padding: Padding = "valid",
        *,
        ceil_mode: bool = True,
        name: str | None = None,
    ) -> None:
        attrs = _pool_attrs(pool_size, strides, padding, ceil_mode)
        super().__init__(OPS["avg_pool2d"], attrs, name)


@known_arguments
class Conv1D(LinearLayer):
    """1-D convolution with bias over (T, C); see `ops.conv1d`.

    (T,C) -> (OT,filters); weight float32 (filters,KT,C/groups), bias (filters,).

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, dilation_rate : int
    padding : "valid", "same" or (before, after)
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    batch_norm, weight_bits, groups
        As in `Conv2D`.
    name : str, optional
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str | Pair = "valid",
        dilation_rate: int = 1,
        activation: str | None = None,
        name: str | None = None,
        *,
        batch_norm: bool = False,
        weight_bits: int = 8,
        groups: int = 1,
    ) -> None:
        attrs = Conv1DAttrs.given(
            filters,
            kernel_size,
            strides,
            dilation_rate,
            padding,
            activation,
            weight_bits,
            groups,
        )
        super().__init__(OPS["conv1d"], attrs, name, batch_norm=batch_norm)
