"""Operators that give a tensor other axes; mostly no layer becomes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import BATCH, Constant, axes_of, whole_numbers
from kanji_np.formats.onnx.layout import View
from kanji_np.formats.onnx.net import Net
from kanji_np.formats.source import SourceOp
from kanji_np.types import Shape


def transpose(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Transpose, op), net.view(op)
    rank = len(view.axes) + 1
    perm = attrs.perm or tuple(reversed(range(rank)))
    if sorted(perm) != list(range(rank)):
        raise FileFormatError(f"{op}: {perm} is no order of {rank} axes")
    if perm[0] != 0:
        raise net.refusal(op, f"perm {perm} moves the batch, which must stay first")
    net.values[op.outputs[0]] = view.transposed([axis - 1 for axis in perm[1:]])
    net.builder.drop(str(op), "our axes stay where they are")


def reshape(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Reshape, op), net.view(op)
    data, batch = net.constant(op, 1).data, net.batch
    has_batch = data.dtype == object
    sizes = data.reshape(-1).tolist() if has_batch else list(whole_numbers(data))
    if not attrs.allowzero:
        whole = (batch, *view.shape)
        sizes = [
            whole[k] if size == 0 and k < len(whole) else size
            for k, size in enumerate(sizes)
        ]
    rest = [size for size in sizes[1:] if size is not BATCH]
    if len(rest) != len(sizes) - 1 or not sizes:
        raise _moves_batch(net, op, sizes)
    known = math.prod(size for size in rest if size != -1)
    if -1 in rest and known > 0 and view.size % known == 0:
        rest[rest.index(-1)] = view.size // known
    is_batch = sizes[0] is BATCH or sizes[0] == batch
    fits = all(size > 0 for size in rest) and math.prod(rest) == view.size
    if not fits or not (is_batch or (sizes[0] == -1 and -1 not in sizes[1:])):
        raise _moves_batch(net, op, sizes)
    _reshaped(net, op, view, tuple(rest))


def _moves_batch(net: Net, op: SourceOp, sizes: Sequence[Any]) -> Exception:
    return net.refusal(
        op,
        f"to {shown(tuple(sizes))}: the batch must stay the first axis, and a sample "
        "keep its elements",
    )


def _reshaped(net: Net, op: SourceOp, view: View, shape: Shape) -> None:
    made = view.reshaped(shape)
    if made is None:
        made = net.arranger.in_order(view, op.kind).reshaped(shape)
        assert made is not None  # in order, any shape is one
    else:
        net.builder.drop(str(op), "our elements stay where they are")
    net.values[op.outputs[0]] = made


def flatten(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Flatten, op), net.view(op)
    rank = len(view.axes) + 1
    axis = attrs.axis + rank if attrs.axis < 0 else attrs.axis
    if not 0 <= axis <= rank:
        raise FileFormatError(f"{op}: a tensor of {rank} axes has no axis {attrs.axis}")
    stays = math.prod(view.shape[: axis - 1]) == 1 if axis else net.batch == 1
    if not stays:
        raise net.refusal(op, f"axis {attrs.axis}; 1 is supported, the batch stays")
    _reshaped(net, op, view, (view.size,))


def squeeze(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Axes, op), net.view(op)
    axes, rank = axes_of(attrs, net.known(op, 1), 1), len(view.axes) + 1
    if axes is None and net.batch == 1:
        raise net.refusal(op, "axes are missing, and the batch is of length 1")
    if axes is None:
        gone = {k for k, size in enumerate(view.shape) if size == 1}
    else:
        gone = {net.axis(op, axis, rank) for axis in axes}
    if any(view.shape[axis] != 1 for axis in gone):
        raise FileFormatError(f"{op}: an axis of {view.shape} is longer than 1")
    shape = tuple(size for k, size in enumerate(view.shape) if k not in gone)
    _reshaped(net, op, view, shape)


def unsqueeze(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Axes, op), net.view(op)
    axes = axes_of(attrs, net.known(op, 1), 1) or ()
    rank = len(view.axes) + 1 + len(axes)
    new = {net.axis(op, axis, rank) for axis in axes}
    if len(new) != len(axes):
        raise FileFormatError(f"{op}: an axis is named twice")
    old = iter(view.shape)
    shape = tuple(1 if k in new else next(old) for k in range(rank - 1))
    _reshaped(net, op, view, shape)


def shape_of(net: Net, op: SourceOp) -> None:
    attrs, value = given.given(given.Shape, op), net.value(op, 0)
    if isinstance(value, Constant):
        whole: tuple[Any, ...] = value.data.shape
    else:
        whole = (net.batch, *net.view(op).shape)
    part = whole[attrs.start : attrs.end]
    dtype = object if BATCH in part else np.int64
    made = np.empty(len(part), dtype)
    made[:] = part
    net.values[op.outputs[0]] = Constant(made)
