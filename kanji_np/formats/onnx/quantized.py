"""Networks of integers as ONNX writes them: QuantizeLinear and DequantizeLinear.

A tensor is quantized and made real again around every operator ("QDQ"). The pair says
what the integers of the tensor mean, which our layers keep; nothing else is made of it.
uint8 is int8 with 128 less in every integer and zero point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import Constant
from kanji_np.formats.onnx.reader import ELEMENTS
from kanji_np.formats.source import Quantization, SourceOp
from kanji_np.types import QParams

if TYPE_CHECKING:
    from kanji_np.formats.onnx.net import Net

#: What is taken off integers of a type to make them int8.
SHIFT = {"int8": 0, "uint8": 128}
UINT8 = 2  # in `ELEMENTS`


def quantize(net: Net, op: SourceOp) -> None:
    value = net.value(op, 0)
    if isinstance(value, Constant):
        net.values[op.outputs[0]] = quantized(net, op, value)
        return
    view = net.view(op)
    symbol = net.requantized(view.symbol, qparams(net, op))
    net.values[op.outputs[0]] = view.of(symbol)


def dequantize(net: Net, op: SourceOp) -> None:
    value = net.value(op, 0)
    if isinstance(value, Constant):
        net.values[op.outputs[0]] = dequantized(net, op, value)
        return
    view = net.view(op)
    is_other = net.builder.qparams(view.symbol) != qparams(net, op)
    if is_other and op.inputs[0] not in net.rescaled:
        raise net.refusal(op, "its scale is not that of the integers it reads")
    net.values[op.outputs[0]] = view


def qparams(net: Net, op: SourceOp) -> QParams:
    """Scale and zero point that a node quantizes a tensor by, as int8 has them."""
    quantization, dtype = _quantization(net, op)
    if dtype not in SHIFT:
        raise net.refusal(op, f"activations are int8 or uint8, not {dtype}")
    if quantization.per_channel:
        raise net.refusal(op, "activations have one scale, not one for each channel")
    zero = int(quantization.zero_points[0]) - SHIFT[dtype]
    return QParams(float(quantization.scales[0]), zero)


def quantized(net: Net, op: SourceOp, constant: Constant) -> Constant:
    """The integers of a real constant, and what they mean."""
    q, dtype = _quantization(net, op, constant.data.ndim)
    if dtype not in ("int8", "uint8", "int32"):
        raise net.refusal(op, f"constants are int8, uint8 or int32, not {dtype}")
    limits = np.iinfo(dtype)
    shape = [1] * constant.data.ndim
    if q.per_channel:
        _check_axis(op, q, constant)
        shape[q.axis] = -1
    real = constant.numbers() / q.scales.reshape(shape)
    ints = np.rint(real) + q.zero_points.reshape(shape)
    return Constant(np.clip(ints, limits.min, limits.max).astype(dtype), q)


def dequantized(net: Net, op: SourceOp, constant: Constant) -> Constant:
    """Integers of the file with what they mean."""
    q, dtype = _quantization(net, op, constant.data.ndim)
    if net.has(op, 2) and dtype != constant.data.dtype.name:
        raise FileFormatError(
            f"{op}: integers of {constant.data.dtype} and a zero point of {dtype}"
        )
    if constant.data.dtype.kind not in "iu":
        raise FileFormatError(f"{op}: {constant.data.dtype} cannot be made real")
    if q.per_channel:
        _check_axis(op, q, constant)
    return Constant(constant.data, q)


def _check_axis(op: SourceOp, q: Quantization, constant: Constant) -> None:
    if constant.data.shape[q.axis] != len(q.scales):
        raise FileFormatError(
            f"{op}: {len(q.scales)} scales for {constant.data.shape} along axis "
            f"{q.axis}"
        )


def _quantization(
    net: Net, op: SourceOp, rank: int | None = None
) -> tuple[Quantization, str]:
    """What a node says, and the type of the integers: by default uint8."""
    attrs = given.given(given.QuantizeLinear, op)
    if attrs.block_size or attrs.precision:
        raise net.refusal(op, "scales of blocks are not supported")
    scales = net.constant(op, 1).data
    if scales.dtype != np.float32 or scales.ndim > 1 or scales.size == 0:
        raise net.refusal(op, f"scales must be float32 (C,), not {scales.dtype}")
    scales = scales.astype(np.float64).reshape(-1)
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise FileFormatError(f"{op}: a scale is not a positive number")
    constant = net.given(op, 2)
    plain = ELEMENTS.get(attrs.output_dtype, ELEMENTS[UINT8]).dtype
    zeros = np.zeros(1, plain) if constant is None else constant.data.reshape(-1)
    if zeros.dtype.kind not in "iu" or zeros.size not in (1, scales.size):
        raise FileFormatError(f"{op}: {zeros.size} zero points of {zeros.dtype}")
    axis = attrs.axis
    if rank is not None and scales.size > 1:
        if not -rank <= axis < rank:
            raise FileFormatError(f"{op}: a constant of {rank} axes has no axis {axis}")
        axis %= rank
    wide = np.broadcast_to(zeros.astype(np.int64), scales.shape)
    return Quantization(scales, wide, axis), zeros.dtype.name
