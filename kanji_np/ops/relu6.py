"""ReLU6 as a layer of its own: ``Y = clamp(X, low, high)``, any shape, same scale.

`low` and `high` stand for 0 and 6: the zero point, and what is 6 above it or the end of
int8. Everything else is as in `relu`. CMSIS-NN's `arm_relu6_s8` is of no use, because
it clamps the integers themselves to 0 and 6, whatever they stand for. The legacy API
has no function that clamps to a range.

Source: CMSIS-NN v7.0.0 `arm_max_pool_s8`, with a window of one cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kanji_np.errors import UnsupportedOp
from kanji_np.ops import relu
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import (
    Op,
    Specs,
)
from kanji_np.ops.pooling import ClampInts
from kanji_np.types import KernelCall, TargetSpec, TensorSpec


@dataclass(frozen=True)
class Relu6Attrs(Attributes):
    """ReLU6 as a layer of its own; see `ops.relu6`.

    Any shape -> the same.
    """

    activation: ClassVar[str] = "relu6"


def lower_cmsis_nn_q7(
    attrs: Relu6Attrs,
    ints: ClampInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    raise UnsupportedOp(
        f"{target.library} has no relu6: nothing in it clamps to a range; use relu"
    )


RELU6 = Op(
    name="relu6",
    attrs=Relu6Attrs,
    layer="ReLU6",
    infer=relu.infer,
    forward_int=relu.forward_int,
    forward_float=relu.forward_float,
    vjp=relu.vjp,
    lowerings={"cmsis-nn": relu.lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=relu.ints_of,
    fast=relu.RELU.fast,
)
