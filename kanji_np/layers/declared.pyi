"""The layers that operators declare, for type checkers.

Made by `python -m tests.layers.stub`; a test says when it is not what operators say.
"""

from collections.abc import Sequence

from kanji_np.layers.layer import Layer
from kanji_np.layers.linear import LinearLayer
from kanji_np.layers.tracked import TrackedLayer
from kanji_np.window import Padding, Pair

__all__ = [
    "Add",
    "Concatenate",
    "Conv2DTranspose",
    "Flatten",
    "GlobalAvgPool2D",
    "HardSwish",
    "LeakyReLU",
    "Maximum",
    "Mean",
    "Minimum",
    "Multiply",
    "Permute",
    "ReLU",
    "ReLU6",
    "Requantize",
    "Rescaling",
    "Reshape",
    "ResizeNearest",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Standardize",
    "Subtract",
    "Tanh",
    "ZeroPadding2D",
]

class Add(TrackedLayer):
    """Sum of two tensors; see `ops.add`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    name : str, optional
    """

    def __init__(
        self,
        activation: str | None = ...,
        name: str | None = None,
    ) -> None: ...

class Concatenate(TrackedLayer):
    """Tensors side by side along their channels; see `ops.concatenate`.

    (H,W,C1), (H,W,C2), ... -> (H,W,C1+C2+...); the other lengths must be equal.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class Conv2DTranspose(LinearLayer):
    """Transposed 2-D convolution with bias; see `ops.transpose_conv2d`.

    (H,W,C) -> (OH,OW,filters); weight float32 (filters,KH,KW,C), bias (filters,).

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides : int or (height, width)
    padding : "valid", "same" or ((top, bottom), (left, right))
        What is cut off the output. "valid": nothing, and the output is filled up to the
        stride's multiple of the input; "same": the output is this multiple.
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    output_padding : int or (height, width)
        So many cells more at the bottom and on the right.
    name : str, optional
    batch_norm : bool
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = ...,
        padding: Padding = ...,
        activation: str | None = ...,
        output_padding: int | Pair = ...,
        name: str | None = None,
        *,
        batch_norm: bool = False,
    ) -> None: ...

class Flatten(Layer):
    """(H,W,C) -> (H*W*C,); see `ops.flatten`.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class GlobalAvgPool2D(Layer):
    """(H,W,C) -> (C,), the average of every channel; see `ops.global_avg_pool2d`.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class HardSwish(TrackedLayer):
    """``x * clamp(x + 3, 0, 6) / 6`` of every element; see `ops.hard_swish`.

    Any shape -> the same.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class LeakyReLU(TrackedLayer):
    """``x`` above 0, ``negative_slope * x`` below; see `ops.leaky_relu`.

    Any shape -> the same.

    Parameters
    ----------
    negative_slope : float
        0..1.
    name : str, optional
    """

    def __init__(
        self,
        negative_slope: float = ...,
        name: str | None = None,
    ) -> None: ...

class Maximum(TrackedLayer):
    """The larger of two tensors, element by element; see `ops.maximum`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class Mean(TrackedLayer):
    """The mean over neighbouring axes, with a scale of its own; see `ops.mean`.

    ``Mean((1, 2))`` takes (H,W,C) to (C,). `GlobalAvgPool2D` does so without a new
    scale.

    Parameters
    ----------
    axis : int or tuple of int
        Which axes, from 1: 0 would be the batch. They follow each other.
    keepdims : bool
        The axes stay, with length 1.
    name : str, optional
    """

    def __init__(
        self,
        axis: int | Sequence[int] = ...,
        keepdims: bool = ...,
        name: str | None = None,
    ) -> None: ...

class Minimum(TrackedLayer):
    """The smaller of two tensors, element by element; see `ops.minimum`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class Multiply(TrackedLayer):
    """Product of two tensors, element by element; see `ops.mul`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    name : str, optional
    """

    def __init__(
        self,
        activation: str | None = ...,
        name: str | None = None,
    ) -> None: ...

class Permute(Layer):
    """The axes of a tensor in another order; see `ops.transpose`.

    ``Permute((3, 1, 2))`` takes (H,W,C) to (C,H,W). It costs nothing where only axes of
    length 1 change their places.

    Parameters
    ----------
    dims : tuple of int
        For each axis of the output which one of the input it is, from 1: 0 would be the
        batch.
    name : str, optional
    """

    def __init__(
        self,
        dims: Sequence[int],
        name: str | None = None,
    ) -> None: ...

class ReLU(Layer):
    """ReLU as a layer of its own; see `ops.relu`.

    Any shape -> the same.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class ReLU6(Layer):
    """ReLU6 as a layer of its own; see `ops.relu6`.

    Any shape -> the same.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class Requantize(TrackedLayer):
    """The same values at a scale of their own; see `ops.requantize`.

    Any shape -> the same.

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
    name : str, optional
    """

    def __init__(
        self,
        activation: str | None = ...,
        name: str | None = None,
    ) -> None: ...

class Rescaling(Layer):
    """uint8 image -> int8 of ``pixel * scale + offset``; see `ops.rescaling`.

    uint8 (H,W,C) or (K,) -> int8 of the same shape.

    Parameters
    ----------
    scale, offset : float, or one for each channel
    output_scale : float or None
        Of the int8 output. None: the finest power of two that holds all values.
    output_zero_point : int
        -128..127; used where `output_scale` is given.
    name : str, optional
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        offset: float | Sequence[float] = ...,
        output_scale: float | None = ...,
        output_zero_point: int = ...,
        name: str | None = None,
    ) -> None: ...

class Reshape(Layer):
    """The same values under another shape; see `ops.reshape`.

    Parameters
    ----------
    target_shape : tuple of int
        Of one sample, with as many elements as the input has.
    name : str, optional
    """

    def __init__(
        self,
        target_shape: Sequence[int],
        name: str | None = None,
    ) -> None: ...

class ResizeNearest(Layer):
    """Resizes an image by its nearest pixels; see `ops.resize_nearest`.

    (H,W,C) -> (height, width, C).

    Parameters
    ----------
    size : (height, width), or one int for both
        Of the output.
    align_corners : bool
        The outer pixels of input and output lie on each other.
    half_pixel_centers : bool
        A pixel's place is that of its centre.
    name : str, optional
    """

    def __init__(
        self,
        size: int | Pair,
        align_corners: bool = ...,
        half_pixel_centers: bool = ...,
        name: str | None = None,
    ) -> None: ...

class Sigmoid(Layer):
    """``1 / (1 + exp(-x))`` of every element; see `ops.sigmoid`.

    Any shape -> the same, of scale 1/256 and zero point -128.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class Slice(Layer):
    """A part of a tensor: a range of indices of each axis; see `ops.slice`.

    ``Slice((0, 4, 0), (8, 8, 3))`` takes rows 0 to 7 and columns 4 to 7 of an input of
    3 channels.

    Parameters
    ----------
    begin, end : tuple of int
        For each axis but the batch the first index, and the one after the last.
    strides : tuple of int
        From one index to the next; empty: 1 for all axes.
    name : str, optional
    """

    def __init__(
        self,
        begin: Sequence[int],
        end: Sequence[int],
        strides: Sequence[int] = ...,
        name: str | None = None,
    ) -> None: ...

class Softmax(Layer):
    """Softmax over the last axis; see `ops.softmax`.

    Any shape -> the same, of scale 1/256 and zero point -128. As the last layer it is
    left out of training: the loss takes the logits before it.

    Parameters
    ----------
    beta : float
        What the logits are multiplied by, above 0.
    name : str, optional
    """

    def __init__(
        self,
        beta: float = ...,
        name: str | None = None,
    ) -> None: ...

class Standardize(Layer):
    """uint8 image -> int8 with mean 0 and deviation 1; see `ops.standardize`.

    uint8 (H,W,C) -> int8 (H,W,C).

    Parameters
    ----------
    frac_bits : int
        0..7, of the output, whose scale is ``2**-frac_bits``; 5 holds 4 deviations.
    name : str, optional
    """

    def __init__(
        self,
        frac_bits: int = ...,
        name: str | None = None,
    ) -> None: ...

class Subtract(TrackedLayer):
    """The first tensor less the second; see `ops.sub`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    name : str, optional
    """

    def __init__(
        self,
        activation: str | None = ...,
        name: str | None = None,
    ) -> None: ...

class Tanh(Layer):
    """``tanh(x)`` of every element; see `ops.tanh`.

    Any shape -> the same, of scale 1/128 and zero point 0.

    Parameters
    ----------
    name : str, optional
    """

    def __init__(
        self,
        name: str | None = None,
    ) -> None: ...

class ZeroPadding2D(Layer):
    """Zeros around an image; see `ops.pad`.

    (H,W,C) -> (top+H+bottom, left+W+right, C).

    Parameters
    ----------
    padding : int or ((top, bottom), (left, right))
    name : str, optional
    """

    def __init__(
        self,
        padding: int | tuple[Pair, Pair] = ...,
        name: str | None = None,
    ) -> None: ...
