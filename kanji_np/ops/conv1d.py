"""1-D convolution with bias and an optional fused activation, over (N,T,Cin).

    acc[n,t,o] = bias[o] + sum over i,c of
                 (X[n, t*s + i*d - before, f + c] + input_offset) * W[o,i,c]

Layouts: X (N,T,Cin), W (Cout,K,Cin/G), Y (N,OT,Cout) of G groups; f is the first
channel of the group. It is `conv2d` over an image of one row, X (N,1,T,Cin), W
(Cout,1,K,Cin/G) and Y (N,1,OT,Cout). How sums become outputs, the gradients and the
bound of the accumulator are those of `conv2d`.

Source: CMSIS-NN v7.0.0 `arm_convolve_wrapper_s8`, which has a kernel of its own for one
row; Keras `Conv1D`. Legacy: CMSIS 5.9.0 `arm_convolve_HWC_q7_*_nonsquare`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.loops import conv1d as fast
from kanji_np.ops import conv2d
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    cell_number,
    channel_number,
    check_groups,
    fused_activation,
    row_padding,
    weight_width,
)
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.op import Fast, Lowering, Op, Weights
from kanji_np.targets import takes_channel_scales
from kanji_np.types import (
    Arrays,
    Cost,
    Gradients,
    KernelCall,
    LinearInts,
    LinearParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import Padding, Pair


@dataclass(frozen=True)
class Conv1DAttrs(Attributes):
    """Output channels; kernel, stride and dilation in steps; padding "same", "valid" or
    (before, after); activation "linear", "relu" or "relu6"; `weight_bits` and `groups`
    as in `Conv2DAttrs`."""

    filters: int = attribute(channel_number)
    kernel: int = attribute(cell_number, called="kernel_size")
    stride: int = attribute(cell_number, 1, "strides")
    dilation: int = attribute(cell_number, 1, "dilation_rate")
    padding: str | Pair = attribute(row_padding, "valid")
    activation: str = attribute(fused_activation, "linear")
    weight_bits: int = attribute(weight_width, 8)
    groups: int = attribute(channel_number, 1, later=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_groups(self.groups, self.filters)

    @property
    def over_row(self) -> Conv2DAttrs:
        """The same over an image of one row."""
        along = self.padding
        padding: Padding = ((0, 0), along) if isinstance(along, tuple) else along
        return Conv2DAttrs(
            self.filters,
            (1, self.kernel),
            (1, self.stride),
            (1, self.dilation),
            padding,
            self.activation,
            self.weight_bits,
            self.groups,
        )


def infer(attrs: Conv1DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 2:
        raise ShapeError(f"conv1d: expected an input (T, C), got {shape}")
    return conv2d.infer(attrs.over_row, ((1, *shape),))[1:]


def weight_shapes(attrs: Conv1DAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    seen = attrs.over_row.seen(shape[1])
    return (attrs.filters, attrs.kernel, seen), (attrs.filters,)


def forward_int(
    attrs: Conv1DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,T,Cin) -> int8 (N,OT,Cout)."""
    (x,) = xs
    return conv2d.forward_int(attrs.over_row, _ints(ints), (_row(x),), y_range)[:, 0]


def forward_float(attrs: Conv1DAttrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    """Floating (N,T,Cin) -> same dtype (N,OT,Cout)."""
    (x,) = xs
    return conv2d.forward_float(attrs.over_row, _params(params), (_row(x),))[:, 0]


def vjp(
    attrs: Conv1DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,) = saved.x
    row = replace(saved, x=(_row(x),), y=_row(saved.y))
    (gx,), g = conv2d.vjp(attrs.over_row, _params(params), row, _row(gy), needs_gx)
    gx = None if gx is None else gx[:, 0]
    return (gx,), replace(g, weight=g.weight[:, 0])


def _row(x: np.ndarray) -> np.ndarray:
    return x[:, None]  # (N,T,C) -> (N,1,T,C), and weights (Cout,K,C) -> (Cout,1,K,C)


def _ints(ints: LinearInts) -> LinearInts:
    return replace(ints, weight=_row(ints.weight))


def _params(params: LinearParams) -> LinearParams:
    return replace(params, weight=_row(params.weight))


def cost(attrs: Conv1DAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    (shape,) = shapes
    return conv2d.cost(attrs.over_row, ((1, *shape),), target)


def _over_row(lower: Lowering) -> Lowering:
    """A lowering of conv2d, for tensors without a height."""

    def lower_row(
        attrs: Conv1DAttrs,
        ints: LinearInts,
        xs: Specs,
        y: TensorSpec,
        target: TargetSpec,
    ) -> tuple[KernelCall, ...]:
        x, row = (replace(t, shape=(1, *t.shape)) for t in (*xs, y))
        return lower(attrs.over_row, _ints(ints), (x,), row, target)

    return lower_row


CONV1D = Op(
    name="conv1d",
    short_name="conv",
    attrs=Conv1DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={
        "cmsis-nn": _over_row(conv2d.lower_cmsis_nn),
        "cmsis-nn-q7": _over_row(conv2d.lower_cmsis_nn_q7),
    },
    weights=Weights(weight_shapes, lambda attrs, target: takes_channel_scales(target)),
    tracks_output=True,
    fast=Fast(fast.forward_int, fast.forward_float, fast.vjp),
)
