"""Tensors side by side, and constants beside them.

No layer makes a constant. A tensor is given zeros in the place of the constants beside
it, and these are added at the end:

    concat(x, c) = concat(x, 0) + concat(0, c)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import MOST_ELEMENTS, Constant
from kanji_np.formats.onnx.layout import View, view_of
from kanji_np.formats.onnx.net import Net, plain
from kanji_np.formats.onnx.parts import padded
from kanji_np.formats.source import SourceOp
from kanji_np.ops import OPS
from kanji_np.ops.with_constant import OperandConstants

#: A tensor, or a constant as one sample has it.
Part = View | np.ndarray


def concat(net: Net, op: SourceOp) -> None:
    attrs = given.given(given.Axis, op)
    values = [net.value(op, place) for place in range(len(op.inputs))]
    rank = next(len(value.axes) for value in values if isinstance(value, View))
    axis = net.axis(op, attrs.axis, rank + 1)
    parts = [
        value if isinstance(value, View) else _sample(net, op, value, rank)
        for value in values
    ]
    _check_shapes(op, parts, rank, axis)
    if len(parts) == 1:
        net.passed(op)
        return
    constant = _constants(net, op, parts, axis)
    views = _zeroed(net, op, parts, axis)
    if len(views) == 1 and constant is None:
        net.values[op.outputs[0]] = views[0]
    else:
        _joined(net, op, views, axis, constant)


def _sample(net: Net, op: SourceOp, value: Constant | None, rank: int) -> np.ndarray:
    """A constant without the batch."""
    assert value is not None  # operators come after those that they read from
    array = value.real()
    if array.ndim != rank + 1:
        raise FileFormatError(f"{op}: its inputs have different numbers of axes")
    is_number = array.dtype.kind in "fiu" and len(array) > 0
    if not is_number or (array != array[:1]).any():
        raise net.refusal(op, "its constants must be numbers, the same for each sample")
    sample: np.ndarray = array[0]
    return sample


def _check_shapes(op: SourceOp, parts: Sequence[Part], rank: int, axis: int) -> None:
    shapes = [part.shape for part in parts]
    if any(len(shape) != rank for shape in shapes):
        raise FileFormatError(f"{op}: its inputs have different numbers of axes")
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
        raise FileFormatError(f"{op}: its inputs have different shapes")


def _zeroed(net: Net, op: SourceOp, parts: Sequence[Part], axis: int) -> list[View]:
    """The tensors, with zeros in place of the constants beside them."""
    views, before, sides = [], 0, []
    for part in parts:
        if isinstance(part, View):
            views.append(part)
            sides.append((before, 0))
            before = 0
        elif views:
            sides[-1] = sides[-1][0], sides[-1][1] + part.shape[axis]
        else:
            before += part.shape[axis]
    return [
        padded(net, op, view, [own if k == axis else (0, 0) for k in range(rank)])
        for view, own in zip(views, sides, strict=True)
        for rank in [len(view.axes)]
    ]


def _constants(
    net: Net, op: SourceOp, parts: Sequence[Part], axis: int
) -> np.ndarray | None:
    """The constants, and zeros in place of the tensors; None if all are zeros."""
    if not any(isinstance(part, np.ndarray) and part.any() for part in parts):
        return None
    if sum(math.prod(part.shape) for part in parts) > MOST_ELEMENTS:
        raise net.refusal(
            op, f"constants beside a tensor of more than {MOST_ELEMENTS:,}"
        )
    return np.concatenate(
        [np.zeros(p.shape) if isinstance(p, View) else p for p in parts], axis
    )


def _joined(
    net: Net,
    op: SourceOp,
    views: Sequence[View],
    axis: int,
    constant: np.ndarray | None,
) -> None:
    """Ours lie side by side along the last axis, which may be all from this one on."""
    order, shape = views[0].order, list(views[0].shape)
    at = order.index(axis)
    groups = [*((k,) for k in order[:at]), tuple(order[at:])]
    xs = [net.arranger.arranged(view, groups, op.kind) for view in views]
    shape[axis] = sum(view.shape[axis] for view in views)
    made = view_of(xs[0], tuple(shape[k] for k in order))
    like = made.transposed([order.index(k) for k in range(len(order))])
    tail = net.tail(op, op.outputs[0], like, fuses=constant is not None)
    if constant is None:
        symbol = net.layer("concatenate", plain("concatenate"), xs, tail)
        net.values[tail.number] = like.of(symbol)
        return
    symbol = xs[0]
    if len(xs) > 1:
        symbol = net.builder.layer(
            "concatenate",
            plain("concatenate"),
            xs,
            source=op.kind,
            output=tail.output,
            name=op.name,
        )
    ours = net.builder.shape(symbol)
    laid = np.ascontiguousarray(constant.transpose(order).reshape(ours), np.float32)
    q = tail.output
    sum_of = OPS["with_constant"].attrs(
        "add",
        ours,
        tail.activation,
        None if q is None else q.scale,
        0 if q is None else q.zero_point,
    )
    symbol = net.layer(
        "with_constant", sum_of, [symbol], tail, constants=OperandConstants(laid)
    )
    net.values[tail.number] = like.of(symbol)
