"""Layers: float parameters and tracked ranges, where operators meet the tape.

A layer holds what training changes. Going forward in int8 it quantizes its parameters,
runs the operator's `forward_int`, the very integers of the device, and leaves the
operator's `vjp` on the tape. The gradient is taken as if rounding were not there
("straight through"), and stops at values that were clamped.

Names and arguments are Keras's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.errors import KanjiError, OptionError
from kanji_np.ops import OPS, Op
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
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
    LinearParams,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)

ACTIVATIONS = ("linear", "relu")


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
    """One operator with its attributes, and the state training gives it.

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

    def __init__(
        self, op: Op, attrs: Any, name: str | None = None, constants: Any = None
    ) -> None:
        is_word = isinstance(name, str) and name.isascii() and name.isidentifier()
        if name is not None and not is_word:
            raise OptionError(f"a layer's name must be a C identifier, got {name!r}")
        self.op = op
        self.attrs = attrs
        self.name = name
        self.constants = constants
        self.weight: Tensor | None = None
        self.bias: Tensor | None = None
        self.weight_range = RangeTracker()
        self.output_range = RangeTracker()

    @property
    def has_parameters(self) -> bool:
        return self.op.param_shapes is not None

    def build(
        self, shape: Shape, target: TargetSpec, rng: np.random.Generator
    ) -> Shape:
        """Make the parameters for an input shape; the output shape.

        Weights are drawn from He's uniform distribution, biases are zero.

        Raises
        ------
        ShapeError, AccumulatorOverflow, UnsupportedOp
            If the layer does not fit its input, int32 or the target.
        """
        output = self.op.infer(self.attrs, shape)
        ints = self.constants
        if self.op.param_shapes is not None:
            weight_shape, bias_shape = self.op.param_shapes(self.attrs, shape)
            fan_in = math.prod(weight_shape[1:])
            check_products(fan_in)
            limit = math.sqrt(6 / fan_in)
            weight = rng.uniform(-limit, limit, weight_shape).astype(np.float32)
            self.weight = Tensor(weight, requires_grad=True)
            self.bias = Tensor(np.zeros(bias_shape, np.float32), requires_grad=True)
            unit = LinearScales(QParams(1.0), QParams(1.0), QParams(1.0))
            zeros = LinearParams(np.zeros_like(weight), self.bias.data)
            ints = linear_ints(zeros, unit, self.attrs.activation)
        elif self.op.ints is not None:
            ints = self.op.ints(self.attrs, QParams(1.0))
        x_type = "uint8" if self.op.reads_image else "int8"
        x, y = TensorSpec(shape, x_type), TensorSpec(output)
        self.op.lower(self.attrs, ints, x, y, target)
        return output

    def parameters(self) -> list[Tensor]:
        """Weight and bias, or nothing."""
        return [self.weight, self.bias] if self.weight is not None else []

    @property
    def is_calibrated(self) -> bool:
        """Whether the layer has seen a range for everything it must quantize."""
        return not self.has_parameters or self.output_range.updates > 0

    def frozen(self, x: QParams | None) -> tuple[Any, QParams]:
        """The integers of the layer as it stands, and the QParams of its output."""
        if self.op.param_shapes is None:
            ints = self.op.ints(self.attrs, x) if self.op.ints else self.constants
            return ints, self.op.output_qparams(self.attrs, x)
        scales = self._scales(x)
        return linear_ints(self._params(), scales, self.attrs.activation), scales.y

    def forward_int(self, x: Activation, *, track: bool) -> Activation:
        """The device's integers forward, the straight-through gradient backward.

        Parameters
        ----------
        x : Activation
            int8 (or a uint8 image) (N, ...).
        track : bool
            Whether the ranges take in this batch, as they do in training.
        """
        if not self.has_parameters:
            ints, y_qparams = self.frozen(x.qparams)
            y = self.op.forward_int(self.attrs, ints, x.tensor.data)
            params = self.constants
            return self._record(x, y, y_qparams, params, None, (-math.inf, math.inf))
        if track or not self.weight_range.updates:
            weight = self.weight.data
            self.weight_range.update(weight.min(), weight.max())
        if not self.is_calibrated:
            self._observe(x)
        ints, y_qparams = self.frozen(x.qparams)
        acc_range = empty_range()
        y = self.op.forward_int(self.attrs, ints, x.tensor.data, acc_range)
        scales = self._scales(x.qparams)
        if track:
            self._track(acc_range, scales)
        w = scales.w.scale
        params = LinearParams(ints.weight.astype(np.float32) * np.float32(w), None)
        inside = np.abs(self.weight.data) <= np.float32((WEIGHT_MAX + 0.5) * w)
        bounds = (ints.act_min, ints.act_max)
        return self._record(x, y, y_qparams, params, inside, bounds)

    def forward_float(self, x: Activation) -> Activation:
        """The smooth function, in float32: fp32 training and its baseline."""
        params = self._params() if self.has_parameters else self.constants
        y = self.op.forward_float(self.attrs, params, x.tensor.data)
        relu = self.has_parameters and self.attrs.activation == "relu"
        bounds = (0.0 if relu else -math.inf, math.inf)
        return self._record(x, y, None, params, None, bounds)

    def _record(
        self,
        x: Activation,
        y: np.ndarray,
        y_qparams: QParams | None,
        params: Any,
        inside: np.ndarray | None,
        bounds: tuple[float, float],
    ) -> Activation:
        x_scale = x.qparams.scale if x.qparams else 1.0
        saved = Saved(x.tensor.data, y, x_scale, *bounds)
        needs_gx = x.tensor.requires_grad
        op, attrs, name = self.op, self.attrs, self.name or self.op.name

        if not self.has_parameters:

            def vjp(gy: np.ndarray) -> tuple[np.ndarray | None]:
                return (op.vjp(attrs, params, saved, gy, needs_gx)[0],)

            return Activation(record(y, (x.tensor,), vjp, name), y_qparams)

        def linear_vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            gx, gparams = op.vjp(attrs, params, saved, gy, needs_gx)
            if inside is not None:
                gparams = replace(gparams, weight=np.where(inside, gparams.weight, 0))
            return gx, gparams.weight, gparams.bias

        parents = (x.tensor, self.weight, self.bias)
        return Activation(record(y, parents, linear_vjp, name), y_qparams)

    def _params(self) -> LinearParams:
        return LinearParams(self.weight.data, self.bias.data)

    def _scales(self, x: QParams) -> LinearScales:
        w = self.weight_range.qparams()
        return LinearScales(x, w, legal_output(x, w, self.output_range.qparams()))

    def _observe(self, x: Activation) -> None:
        """Take the output's first range from the sums of this batch."""
        w = self.weight_range.qparams()
        scales = LinearScales(x.qparams, w, legal_output(x.qparams, w, QParams(1.0)))
        ints = linear_ints(self._params(), scales, self.attrs.activation)
        acc_range = empty_range()
        self.op.forward_int(self.attrs, ints, x.tensor.data, acc_range)
        self._track(acc_range, scales)

    def _track(self, acc_range: np.ndarray, scales: LinearScales) -> None:
        low, high = acc_range * (scales.x.scale * scales.w.scale)
        if self.attrs.activation == "relu":
            low, high = max(low, 0.0), max(high, 0.0)
        self.output_range.update(low, high)

    def __repr__(self) -> str:
        return f"{self.name or self.op.name}: {self.attrs}"


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


class Conv2D(Layer):
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


class Dense(Layer):
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
    """int8 softmax for deployment; see `ops.softmax`.

    As the last layer it is left out of training: the loss takes the logits before it.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(OPS["softmax"], SoftmaxAttrs(), name)
