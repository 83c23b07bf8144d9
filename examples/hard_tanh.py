"""An operator of your own: Hardtanh, which neither library nor package has.

    Y = clamp(X, low, high)     any shape; input and output share one scale

The page of an operator has always the same sections, and `kanji_np.ops.op` explains
them. This one lowers to a function that CMSIS-NN has for another purpose: a max pool
whose windows hold one cell clamps its outputs to any range.

`register_op` makes a layer of it. Networks with the layer train, are saved and loaded,
exported and verified as any other. Try yours in the suite that the operators of this
package pass: `tests/ops/test_hard_tanh.py` puts this one through it.

Source: PyTorch `Hardtanh`; CMSIS-NN v7.0.0 `arm_max_pool_s8`.
"""

from dataclasses import dataclass

import numpy as np

import kanji_np as kj
from kanji_np import checks
from kanji_np.ops import Arrays, Attributes, Gradients, Op, Shapes, Specs, attribute
from kanji_np.targets.cmsis_nn import pooling
from kanji_np.types import KernelCall, Numerics, QParams, Saved, TensorSpec


def finite(name: str, value: float) -> float:
    """A check of an attribute gives the value as it is held, or raises OptionError."""
    return checks.number(name, value)


@dataclass(frozen=True)
class HardTanhAttrs(Attributes):
    """Values between two limits stay as they are; the others become the nearer limit.

    Parameters
    ----------
    low, high : float
        The real limits.
    """

    low: float = attribute(finite, -1.0)
    high: float = attribute(finite, 1.0)


@dataclass(frozen=True)
class HardTanhInts:
    """The integers that stand for the limits."""

    act_min: int
    act_max: int


def infer(attrs: HardTanhAttrs, shapes: Shapes) -> kj.Shape:
    (shape,) = shapes
    return shape


def ints_of(
    attrs: HardTanhAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> HardTanhInts:
    ends = (round(end / y.scale) + y.zero_point for end in (attrs.low, attrs.high))
    return HardTanhInts(*(min(max(end, -128), 127) for end in ends))


def forward_int(attrs: HardTanhAttrs, ints: HardTanhInts, xs: Arrays) -> np.ndarray:
    """int8 (N, ...) -> int8 (N, ...): what the chip computes."""
    (x,) = xs
    return np.clip(x, np.int8(ints.act_min), np.int8(ints.act_max))


def forward_float(attrs: HardTanhAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> the same: what `vjp` differentiates, and fp32 training."""
    (x,) = xs
    return np.clip(x, attrs.low, attrs.high)


def vjp(
    attrs: HardTanhAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY where X lies between the limits."""
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    real = scale * (x.astype(gy.dtype) + offset)
    inside = (attrs.low < real) & (real < attrs.high)
    return (np.where(inside, gy, gy.dtype.type(0)),), None


def lower(
    attrs: HardTanhAttrs,
    ints: HardTanhInts,
    xs: Specs,
    y: TensorSpec,
    target: kj.TargetSpec,
) -> tuple[KernelCall, ...]:
    """The call in the generated C."""
    (x,) = xs
    return (pooling.clamped(x.shape, (ints.act_min, ints.act_max)),)


HARD_TANH = Op(
    name="hard_tanh",
    attrs=HardTanhAttrs,
    layer="HardTanh",
    infer=infer,
    ints=ints_of,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
)

HardTanh = kj.register_op(HARD_TANH)


def main() -> None:
    train, test = kj.load_dataset("synthetic")
    net = kj.Sequential(
        [
            kj.Normalize(mean=(125, 123, 114)),
            kj.Conv2D(8, 3, strides=2, padding="same"),
            HardTanh(-2.0, 2.0),
            kj.Flatten(),
            kj.Dense(10),
        ],
        input_shape=train.input_shape,
        name="hard_tanh",
        scheme="asymmetric",
    )
    kj.fit(net, train, epochs=3, validation=test)
    kj.export(net, "runs/hard_tanh-firmware", force=True)
    proof = kj.verify("runs/hard_tanh-firmware", test)
    print(f"int8 accuracy {100 * net.evaluate(test):.2f} %")
    print(f"{proof.differing_bytes} differing bytes over {proof.images:,} images")


if __name__ == "__main__":
    main()
