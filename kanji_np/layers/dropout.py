"""Dropout: there while a network is trained, and nothing afterwards.

    Y = X * mask / (1 - rate),   mask = 0 with the probability `rate`, else 1

It is no layer of the network, but something that happens on the way to one: no node of
the integer program, no operator, no byte. In int8 training the integers that are kept
stay what they are, and stand for 1 / (1 - rate) times as much; those that are dropped
are the zero point. So nothing is rounded, and nothing clamped.

Reference: Srivastava et al., "Dropout", 2014; scaled as in Keras and PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.arguments import known_arguments
from kanji_np.autograd import record
from kanji_np.checks import number
from kanji_np.errors import UnsupportedOp
from kanji_np.layers.layer import Activation, Layer
from kanji_np.ops.attributes import Attributes, attribute
from kanji_np.ops.op import Op
from kanji_np.targets import computes_pow2_alone
from kanji_np.types import Arrays, Gradients, Saved, Shape, Shapes, TargetSpec


def _rate(name: str, value: Any) -> float:
    return number(name, value, 0, below=1)


@dataclass(frozen=True)
class DropoutAttrs(Attributes):
    """The probability, 0..1, with which a value is dropped."""

    rate: float = attribute(_rate)


def _infer(attrs: DropoutAttrs, shapes: Shapes) -> Shape:
    return shapes[0]


def _forward(attrs: DropoutAttrs, ints: None, xs: Arrays) -> np.ndarray:
    return xs[0]


def _vjp(
    attrs: DropoutAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    return (gy,), None


#: What it does in inference. No table has it: no device runs it.
_DROPOUT = Op(
    name="dropout",
    attrs=DropoutAttrs,
    layer="Dropout",
    infer=_infer,
    forward_int=_forward,
    forward_float=_forward,
    vjp=_vjp,
)


@known_arguments
class Dropout(Layer):
    """Drop values at random while the network is trained; see `layers.dropout`.

    Any shape -> the same. It costs nothing on the device.

    Parameters
    ----------
    rate : float
        The probability with which a value becomes zero, 0..1, as in Keras. What is kept
        is multiplied by 1 / (1 - rate).
    name : str, optional
    """

    def __init__(self, rate: float, name: str | None = None) -> None:
        super().__init__(_DROPOUT, DropoutAttrs(rate), name)

    def __reduce__(self) -> tuple[Callable[..., Dropout], tuple[float, str | None]]:
        return Dropout, (self.rate, self.name or None)

    @property
    def rate(self) -> float:
        """The probability with which a value is dropped, 0..1."""
        rate: float = self.attrs.rate
        return rate

    def check_target(self, target: TargetSpec) -> None:
        """UnsupportedOp where kept values would have no scale that the target has.

        Parameters
        ----------
        target : TargetSpec
        """
        if computes_pow2_alone(target) and math.frexp(1 - self.rate)[0] != 0.5:
            raise UnsupportedOp(
                f"{target.library} has scales that are powers of two: rate must be "
                f"0.5, 0.75 or 0.875, got {self.rate}"
            )

    def dropped(self, x: Activation, rng: np.random.Generator) -> Activation:
        """A batch with values dropped, on the tape.

        Parameters
        ----------
        x : Activation (N, ...)
            int8 or floating.
        rng : Generator
        """
        data, keep = x.tensor.data, 1 - self.rate
        is_kept = rng.random(data.shape, np.float32) < keep
        factors = is_kept * np.float32(1 / keep)
        if x.qparams is None:
            y, qparams = data * factors, None
        else:
            zero = data.dtype.type(x.qparams.zero_point)
            y = np.where(is_kept, data, zero)
            qparams = replace(x.qparams, scale=x.qparams.scale / keep)
        tensor = record(y, (x.tensor,), lambda g: (g * factors,), self.name)
        return Activation(tensor, qparams)
