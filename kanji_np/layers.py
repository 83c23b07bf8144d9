"""Layers: float parameters and tracked ranges, where operators meet the tape.

A layer holds what training changes. Going forward in int8 it quantizes its parameters,
runs the operator's `forward_int`, the very integers of the device, and leaves the
operator's `vjp` on the tape. The gradient is taken as if rounding were not there
("straight through"), and stops at values that were clamped.

Names and arguments are Keras's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.errors import KanjiError, OptionError
from kanji_np.ops import OPS, Op
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.flatten import FlattenAttrs
from kanji_np.ops.normalize import NormalizeAttrs, NormalizeInts
from kanji_np.ops.pooling import Pool2DAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.requantize import empty_range
from kanji_np.ops.softmax import SoftmaxAttrs
from kanji_np.ops.standardize import StandardizeAttrs
from kanji_np.ops.window import Padding, Pair, padding_option, pair
from kanji_np.quantize import (
    WEIGHT_MAX,
    LinearScales,
    RangeTracker,
    check_products,
    legal_output,
    linear_ints,
)
from kanji_np.types import (
    KernelCall,
    LinearInts,
    LinearParams,
    Numerics,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)

ACTIVATIONS = ("linear", "relu")

Forward = Callable[[Any, Any, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Activation:
    """A tensor between layers: int8 with QParams, or real (qparams None).

    Gradients are float32 with respect to the real value in both cases.
    """

    tensor: Tensor
    qparams: QParams | None

    def real(self) -> Tensor:
        """The real values as a floating Tensor (N, ...) on the same tape."""
        if self.qparams is None:
            return self.tensor
        q = self.tensor.data.astype(np.float32)
        values = (q - self.qparams.zero_point) * np.float32(self.qparams.scale)
        return record(values, (self.tensor,), lambda g: (g,), "dequantize")


class Layer:
    """One operator with its attributes.

    Parameters
    ----------
    op : Op
    attrs : dataclass
        Of the type `op.attrs`.
    name : str or None
        None: the model names it after its operator.
    constants : dataclass or None
        Integers fixed when the layer is made (the mean of `Normalize`).
    """

    has_parameters = False
    numerics: Numerics  # the target's, once the layer is built

    def __init__(
        self, op: Op, attrs: Any, name: str | None = None, constants: Any = None
    ) -> None:
        is_word = isinstance(name, str) and name.isascii() and name.isidentifier()
        if name is not None and not is_word:
            raise OptionError(f"a layer's name must be a C identifier, got {name!r}")
        self.op = op
        self.attrs = attrs
        self.name = name or ""
        self.constants = constants
        self.is_built = False

    def build(
        self, shape: Shape, target: TargetSpec, rng: np.random.Generator
    ) -> tuple[Shape, tuple[KernelCall, ...]]:
        """Take an input shape, make the parameters.

        Returns
        -------
        The output shape, and the calls the layer becomes (with integers that only
        have the right shapes).

        Raises
        ------
        ShapeError, AccumulatorOverflow, UnsupportedOp
            If the layer does not fit its input, int32 or the target.
        OptionError
            If the layer is part of a network already.
        """
        if self.is_built:
            raise OptionError("is part of a network already: make another layer")
        output = self.op.infer(self.attrs, shape)
        self.numerics = target.numerics
        ints = self._make(shape, rng)
        x = TensorSpec(shape, "uint8" if self.op.reads_image else "int8")
        calls = self.op.lower(self.attrs, ints, x, TensorSpec(output), target)
        self.is_built = True
        return output, calls

    def _make(self, shape: Shape, rng: np.random.Generator) -> Any:
        """Make the parameters; integers of the right shapes to try the target with."""
        return self._ints(QParams(1.0), QParams(1.0))

    def parameters(self) -> list[Tensor]:
        """Weight and bias, or nothing."""
        return []

    @property
    def is_calibrated(self) -> bool:
        """Whether everything the layer quantizes has a range."""
        return True

    def frozen(self, x: QParams | None) -> tuple[Any, QParams]:
        """The integers of the layer as it stands, and the QParams of its output."""
        y = self.op.output_qparams(self.attrs, x, self.numerics)
        return self._ints(x, y), y

    def _ints(self, x: QParams | None, y: QParams) -> Any:
        if self.op.ints is None:
            return self.constants
        return self.op.ints(self.attrs, x, y, self.numerics)

    def forward_int(
        self, x: Activation, *, track: bool, gradients: str = "float32"
    ) -> Activation:
        """The device's integers forward, the straight-through gradient backward.

        Parameters
        ----------
        x : Activation
            int8 (or a uint8 image) (N, ...).
        track : bool
            Whether the ranges take in this batch, as they do in training.
        gradients : "float32" or "bfloat16"
            What gradients may be rounded to before they are multiplied.
        """
        ints, y_qparams = self.frozen(x.qparams)
        return self._recorded(x, self.op.forward_int, ints, y_qparams)

    def forward_float(self, x: Activation) -> Activation:
        """The smooth function, in float32: fp32 training and its baseline."""
        return self._recorded(x, self.op.forward_float, self.constants, None)

    def _recorded(
        self, x: Activation, forward: Forward, ints: Any, y_qparams: QParams | None
    ) -> Activation:
        """The output on the tape; what the vjp needs is kept, and no tensor."""
        op, attrs, constants = self.op, self.attrs, self.constants
        needs_gx, extra = x.tensor.requires_grad, None
        if needs_gx and op.forward_train is not None:
            y, extra = op.forward_train(attrs, ints, x.tensor.data)
        else:
            y = forward(attrs, ints, x.tensor.data)
        saved = _saved(x, y, (-math.inf, math.inf), extra)

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None]:
            return (op.vjp(attrs, constants, saved, gy, needs_gx)[0],)

        return Activation(record(y, (x.tensor,), vjp, self.name), y_qparams)

    def __repr__(self) -> str:
        return f"{self.name or self.op.name}: {self.attrs}"


class LinearLayer(Layer):
    """A layer that multiplies by weights, with the ranges training tracks.

    Attributes
    ----------
    weight, bias : Tensor, float32
        In the shapes of `LinearParams`; there once the layer is built. Weights are
        drawn from He's uniform distribution, biases are zero.
    weight_range, output_range : RangeTracker
    """

    has_parameters = True
    weight: Tensor
    bias: Tensor

    def __init__(
        self, op: Op, attrs: Any, name: str | None = None, constants: Any = None
    ) -> None:
        super().__init__(op, attrs, name, constants)
        self.weight_range = RangeTracker()
        self.output_range = RangeTracker()

    def _make(self, shape: Shape, rng: np.random.Generator) -> LinearInts:
        weight_shape, bias_shape = self.op.param_shapes(self.attrs, shape)
        fan_in = math.prod(weight_shape[1:])
        check_products(fan_in)
        limit = math.sqrt(6 / fan_in)
        weight = rng.uniform(-limit, limit, weight_shape).astype(np.float32)
        bias = np.zeros(bias_shape, np.float32)
        self.weight = Tensor(weight, requires_grad=True)
        self.bias = Tensor(bias, requires_grad=True)
        unit = LinearScales(QParams(1.0), QParams(1.0), QParams(1.0))
        return self._quantized(LinearParams(np.zeros_like(weight), bias), unit)

    def parameters(self) -> list[Tensor]:
        return [self.weight, self.bias]

    @property
    def is_calibrated(self) -> bool:
        return self.output_range.updates > 0

    def frozen(self, x: QParams | None) -> tuple[LinearInts, QParams]:
        scales = self._scales(x)
        return self._quantized(self._params(), scales), scales.y

    def forward_int(
        self, x: Activation, *, track: bool, gradients: str = "float32"
    ) -> Activation:
        if track or not self.weight_range.updates:
            self.weight_range.update(self.weight.data.min(), self.weight.data.max())
        if not self.is_calibrated:
            self._observe(x)
            track = False
        scales = self._scales(x.qparams)
        ints = self._quantized(self._params(), scales)
        acc_range = empty_range()
        y = self.op.forward_int(self.attrs, ints, x.tensor.data, acc_range)
        if track:
            self._track(acc_range, scales)
        w = np.float32(scales.w.scale)
        params = LinearParams(ints.weight.astype(np.float32) * w, self.bias.data)
        inside = np.abs(self.weight.data) <= np.float32(WEIGHT_MAX + 0.5) * w
        bounds = (ints.act_min, ints.act_max)
        saved = replace(_saved(x, y, bounds), gradients=gradients)
        return self._recorded_with(x, saved, params, inside, scales.y)

    def forward_float(self, x: Activation) -> Activation:
        params = self._params()
        y = self.op.forward_float(self.attrs, params, x.tensor.data)
        low = 0.0 if self.attrs.activation == "relu" else -math.inf
        saved = _saved(x, y, (low, math.inf))
        return self._recorded_with(x, saved, params, None, None)

    def _recorded_with(
        self,
        x: Activation,
        saved: Saved,
        params: LinearParams,
        inside: np.ndarray | None,
        y_qparams: QParams | None,
    ) -> Activation:
        """`saved.y` on the tape; weights outside their range get no gradient."""
        op, attrs, needs_gx = self.op, self.attrs, x.tensor.requires_grad

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            gx, gradients = op.vjp(attrs, params, saved, gy, needs_gx)
            gweight = gradients.weight
            if inside is not None:
                gweight = np.where(inside, gweight, 0)
            return gx, gweight, gradients.bias

        parents = (x.tensor, self.weight, self.bias)
        return Activation(record(saved.y, parents, vjp, self.name), y_qparams)

    def _quantized(self, params: LinearParams, scales: LinearScales) -> LinearInts:
        return linear_ints(params, scales, self.attrs.activation, self.numerics)

    def _params(self) -> LinearParams:
        return LinearParams(self.weight.data, self.bias.data)

    def _scales(self, x: QParams | None) -> LinearScales:
        w = self.weight_range.qparams()
        return LinearScales(x, w, legal_output(x, w, self.output_range.qparams()))

    def _observe(self, x: Activation) -> None:
        """Take the output's first range from the sums of this batch."""
        w = self.weight_range.qparams()
        scales = LinearScales(x.qparams, w, legal_output(x.qparams, w, QParams(1.0)))
        ints = self._quantized(self._params(), scales)
        acc_range = empty_range()
        self.op.forward_int(self.attrs, ints, x.tensor.data, acc_range)
        self._track(acc_range, scales)

    def _track(self, acc_range: np.ndarray, scales: LinearScales) -> None:
        low, high = acc_range * (scales.x.scale * scales.w.scale)
        if self.attrs.activation == "relu":
            low, high = max(low, 0.0), max(high, 0.0)
        self.output_range.update(low, high)


def make_layer(
    op: Op, attrs: Any, name: str | None = None, constants: Any = None
) -> Layer:
    """A layer of any operator, as model files name them."""
    kind = LinearLayer if op.param_shapes else Layer
    return kind(op, attrs, name, constants)


def _saved(
    x: Activation, y: np.ndarray, bounds: tuple[float, float], extra: Any = None
) -> Saved:
    x_scale = x.qparams.scale if x.qparams else 1.0
    return Saved(x.tensor.data, y, x_scale, *bounds, extra=extra)


@contextmanager
def naming(layer: Layer) -> Iterator[None]:
    """Errors of this package that leave this context name the layer."""
    try:
        yield
    except KanjiError as error:
        raise type(error)(f"layer {layer.name!r}: {error}") from error


def _activation(value: str | None) -> str:
    value = value or "linear"
    if value not in ACTIVATIONS:
        raise OptionError(
            f"activation must be None or one of {ACTIVATIONS}, got {value!r}"
        )
    return value


def _positive(value: int, name: str) -> int:
    if not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a positive int, got {value!r}")
    return value


class Normalize(Layer):
    """uint8 image -> int8: ``(x - mean) >> shift``, rounded; see `ops.normalize`.

    Parameters
    ----------
    mean : int, sequence of ints, or uint8 array (H,W,C)
        One mean a channel, or a mean image.
    shift : int
        Right shift 0..7; 1 keeps the whole range of a uint8 image.
    """

    def __init__(self, mean: Any, shift: int = 1, name: str | None = None) -> None:
        mean = np.atleast_1d(np.asarray(mean))
        if mean.dtype.kind not in "iu" or mean.min() < 0 or mean.max() > 255:
            raise OptionError("mean must be integers in 0..255")
        if mean.ndim not in (1, 3):
            raise OptionError(f"mean must be (C,) or (H,W,C), got shape {mean.shape}")
        if not isinstance(shift, int) or not 0 <= shift <= 7:
            raise OptionError(f"shift must be in 0..7, got {shift!r}")
        attrs = NormalizeAttrs(shift, mean.shape)
        super().__init__(
            OPS["normalize"], attrs, name, NormalizeInts(mean.astype(np.uint8))
        )


class Standardize(Layer):
    """uint8 image -> int8 with mean 0 and deviation 1; see `ops.standardize`."""

    def __init__(self, frac_bits: int = 5, name: str | None = None) -> None:
        if not isinstance(frac_bits, int) or not 0 <= frac_bits <= 7:
            raise OptionError(f"frac_bits must be in 0..7, got {frac_bits!r}")
        super().__init__(OPS["standardize"], StandardizeAttrs(frac_bits), name)


class Conv2D(LinearLayer):
    """2-D convolution with bias; see `ops.conv2d`.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides, dilation_rate : int or (height, width)
    padding : "valid", "same" or ((top, bottom), (left, right))
    activation : None, "linear" or "relu"
        ReLU is fused: it costs nothing on the device.
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
    ) -> None:
        attrs = Conv2DAttrs(
            _positive(filters, "filters"),
            pair(kernel_size, "kernel_size"),
            pair(strides, "strides"),
            pair(dilation_rate, "dilation_rate"),
            padding_option(padding),
            _activation(activation),
        )
        super().__init__(OPS["conv2d"], attrs, name)


class DepthwiseConv2D(LinearLayer):
    """Depthwise 2-D convolution with bias; see `ops.depthwise_conv2d`.

    Parameters
    ----------
    kernel_size, strides, dilation_rate : int or (height, width)
    padding : "valid", "same" or ((top, bottom), (left, right))
    depth_multiplier : int
        Outputs of each input channel.
    activation : None, "linear" or "relu"
        ReLU is fused: it costs nothing on the device.
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
    ) -> None:
        attrs = DepthwiseConv2DAttrs(
            pair(kernel_size, "kernel_size"),
            pair(strides, "strides"),
            pair(dilation_rate, "dilation_rate"),
            padding_option(padding),
            _positive(depth_multiplier, "depth_multiplier"),
            _activation(activation),
        )
        super().__init__(OPS["depthwise_conv2d"], attrs, name)


class Dense(LinearLayer):
    """Fully connected layer with bias; see `ops.dense`.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : None, "linear" or "relu"
    """

    def __init__(
        self, units: int, activation: str | None = None, name: str | None = None
    ) -> None:
        attrs = DenseAttrs(_positive(units, "units"), _activation(activation))
        super().__init__(OPS["dense"], attrs, name)


def _pool_attrs(
    pool_size: int | Pair,
    strides: int | Pair | None,
    padding: Padding,
    ceil_mode: bool,
) -> Pool2DAttrs:
    size = pair(pool_size, "pool_size")
    return Pool2DAttrs(
        size,
        size if strides is None else pair(strides, "strides"),
        padding_option(padding),
        bool(ceil_mode),
    )


class MaxPool2D(Layer):
    """2-D max pooling; see `ops.max_pool2d`.

    Parameters
    ----------
    pool_size : int or (height, width)
    strides : int or (height, width) or None
        None: the pool size.
    padding : "valid", "same" or ((top, bottom), (left, right))
    ceil_mode : bool
        Round the number of windows up, so that every cell is seen: 32 cells give 16
        with pool 3 and stride 2, as in the paper's network. False is Keras's floor.
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


class AvgPool2D(Layer):
    """2-D average pooling over the cells inside the image; see `ops.avg_pool2d`.

    Parameters are those of `MaxPool2D`.
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


class ReLU(Layer):
    """ReLU as a layer of its own; see `ops.relu`."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(OPS["relu"], ReluAttrs(), name)


class Flatten(Layer):
    """(H,W,C) -> (H*W*C,); see `ops.flatten`."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(OPS["flatten"], FlattenAttrs(), name)


class Softmax(Layer):
    """Softmax for deployment; see `ops.softmax`.

    As the last layer it is left out of training: the loss takes the logits before it.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(OPS["softmax"], SoftmaxAttrs(), name)
