"""Which axis of the input holds the channels.

ONNX does not say it. The first operator that does has them in the axis after the batch,
if it is a convolution, a pool or a batch normalization, and in the last, if it is a
product with a matrix. Between it and the input there may be transposes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kanji_np.formats.onnx.folding import Constant
from kanji_np.formats.source import SourceOp
from kanji_np.types import Shape

if TYPE_CHECKING:
    from kanji_np.formats.onnx.net import Net

#: Their channels are axis 1.
SAY_IT = {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "Resize",
    "Upsample",
}
#: They leave every axis where it is.
PASS_ON = {
    "Add",
    "Cast",
    "Clip",
    "Concat",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Expand",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Max",
    "Min",
    "Mul",
    "Pad",
    "QuantizeLinear",
    "Relu",
    "Sigmoid",
    "Slice",
    "Sub",
    "Tanh",
}

#: For each axis of a tensor, the one of the input that it is; None of a new one.
Axes = tuple[int | None, ...]


def channels_last(net: Net, number: int, sample: Shape) -> tuple[int, ...]:
    """For each axis of ours, the axis of the file's input, both without the batch.

    Where no operator says where the channels are, an input (C, H, W) has them first, as
    ONNX does, unless its last axis is shorter; any other stays as it is.
    """
    rank = len(sample)
    start: Axes = tuple(range(rank + 1))
    waiting, seen = deque([(number, start)]), {number}
    while waiting:
        at, axes = waiting.popleft()
        for op in net.readers(at):
            if op.kind in SAY_IT and len(axes) > 2:
                return _order((*axes[2:], axes[1]), rank)
            if op.kind == "MatMul" and op.inputs[0] == at:
                return _order(axes[1:], rank)
            onward = _through(net, op, axes)
            if onward is not None and op.outputs and op.outputs[0] not in seen:
                seen.add(op.outputs[0])
                waiting.append((op.outputs[0], onward))
    is_image = rank == 3 and sample[0] <= sample[2]
    return (1, 2, 0) if is_image else tuple(range(rank))


def _order(axes: Axes, rank: int) -> tuple[int, ...]:
    """These axes of the input; what is none of them before."""
    named = [axis for axis in axes if axis]
    others = [axis for axis in range(1, rank + 1) if axis not in named]
    return tuple(axis - 1 for axis in (*others, *named))


def _through(net: Net, op: SourceOp, axes: Axes) -> Axes | None:
    """The axes of an operator's output; None where that is not known."""
    if op.kind in PASS_ON:
        return axes
    if op.kind == "Transpose":
        perm = op.options.get("perm", tuple(reversed(range(len(axes)))))
        is_order = isinstance(perm, tuple) and sorted(perm) == list(range(len(axes)))
        return tuple(axes[k] for k in perm) if is_order else None
    if op.kind not in ("Squeeze", "Unsqueeze"):
        return None
    given = net.values.get(op.inputs[1]) if len(op.inputs) > 1 else None
    moved = op.options.get("axes")
    if isinstance(given, Constant) and given.data.dtype.kind == "i":
        moved = given.data.reshape(-1).tolist()
    if not moved or not all(isinstance(axis, int) for axis in moved):
        return None
    if op.kind == "Squeeze":
        gone = {axis % len(axes) for axis in moved}
        return tuple(axis for k, axis in enumerate(axes) if k not in gone)
    rank = len(axes) + len(moved)
    new, old = {axis % rank for axis in moved}, iter(axes)
    return tuple(None if k in new else next(old, None) for k in range(rank))
