"""ReLU6 as a layer of its own: ``Y = clamp(X, low, high)``, any shape, same scale.

`low` and `high` stand for 0 and 6: the zero point, and what is 6 above it or the end of
int8. Fused into the layer before it, where that is a convolution, a dense layer or a
sum, it costs nothing: give that layer ``activation="relu6"``. No accumulator.

CMSIS-NN's `arm_relu6_s8` is of no use, because it clamps the integers themselves to 0
and 6, whatever they stand for; a max pool with a window of one cell clamps to any
range. The legacy API has no function that does.

Source: CMSIS-NN v7.0.0 `arm_max_pool_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.loops import elementwise as fast
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import RELU6_MAX, activation_range
from kanji_np.targets.cmsis_nn import pooling
from kanji_np.types import (
    Arrays,
    ClampInts,
    Gradients,
    KernelCall,
    Numerics,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)


@dataclass(frozen=True)
class Relu6Attrs(Attributes):
    """ReLU6 as a layer of its own; see `ops.relu6`.

    Any shape -> the same.
    """


def infer(attrs: Relu6Attrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return shape


def ints_of(
    attrs: Relu6Attrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ClampInts:
    (x,) = xs
    return ClampInts(*activation_range("relu6", x))


def forward_int(attrs: Relu6Attrs, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """int8 -> int8, same shape."""
    (x,) = xs
    return np.clip(x, ints.act_min, ints.act_max)


def forward_float(attrs: Relu6Attrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating -> same dtype and shape."""
    (x,) = xs
    return np.clip(x, 0, RELU6_MAX)


def vjp(
    attrs: Relu6Attrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY where X is between 0 and 6."""
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    most = RELU6_MAX / scale
    if x.dtype == np.int8:
        most = round(most)
    return (np.where((-offset < x) & (x < most - offset), gy, 0),), None


def lower_cmsis_nn(
    attrs: Relu6Attrs, ints: ClampInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    return (pooling.clamped(x.shape, (ints.act_min, ints.act_max)),)


def lower_cmsis_nn_q7(
    attrs: Relu6Attrs, ints: ClampInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    raise UnsupportedOp(
        f"{target.library} has no relu6: nothing in it clamps to a range; use relu"
    )


RELU6 = Op(
    name="relu6",
    attrs=Relu6Attrs,
    layer="ReLU6",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=ints_of,
    fast=Fast(fast.clip_int, fast.relu6_float),
)
