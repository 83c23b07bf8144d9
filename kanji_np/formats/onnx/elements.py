"""Operators of elements: with a constant, of two tensors, functions; and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import Constant
from kanji_np.formats.onnx.layout import View, view_of
from kanji_np.formats.onnx.net import Net, Tail, plain
from kanji_np.formats.onnx.pointwise import (
    AFFINE,
    FUSED,
    LIMITS,
    NO_LIMITS,
    NOTHING,
    SIX,
    Affine,
    Clamped,
    clamped,
    clamped_by,
    of_sample,
)
from kanji_np.formats.source import SourceOp
from kanji_np.layers import Symbol
from kanji_np.ops import OPS
from kanji_np.ops.softmax import LARGEST_BETA


def pointwise(net: Net, op: SourceOp) -> None:
    """`Add`, `Sub`, `Mul`, `Div`: of a tensor and a constant, or of two tensors."""
    values = [net.value(op, place) for place in range(2)]
    views = [value for value in values if isinstance(value, View)]
    if len(views) == 2:
        given.given(given.Plain, op)
        pair(net, op, views[0], views[1])
        return
    place = 0 if isinstance(values[0], View) else 1
    view = net.view(op, place)
    affine = AFFINE[op.kind](net, op, place, view)
    if affine is None and op.kind == "Div" and place:
        raise net.refusal(op, "divides a constant by a tensor")
    if affine is None:
        raise _refused_constant(net, op, view)
    if _is_softmax_factor(net, op, affine):
        net.betas[op.outputs[0]] = affine.k.item()
        net.passed(op, "it is the beta of the softmax", place)
        return
    net.affine(op, view, affine)


def _is_softmax_factor(net: Net, op: SourceOp, affine: Affine) -> bool:
    """Whether a softmax alone reads the product, so that it can take the factor."""
    reader = net.only_reader(op.outputs[0])
    if reader is None or reader.kind != "Softmax" or affine.k.size != 1:
        return False
    beta = np.float32(affine.k.item())
    return bool(0 < beta <= LARGEST_BETA and not affine.b.any())


PAIRS = {"Add": "add", "Mul": "mul", "Sub": "sub", "Min": "minimum", "Max": "maximum"}


def pair(net: Net, op: SourceOp, first: View, *others: View) -> None:
    """An operator of two tensors, or of more one after the other, by element."""
    if PAIRS.get(op.kind) not in OPS:
        known = ", ".join(kind for kind, name in PAIRS.items() if name in OPS)
        raise net.refusal(op, f"of two tensors; {known} are supported")
    name, *between, last = PAIRS[op.kind], *others
    for second in between:
        xs, like = _side_by_side(net, op, first, second)
        first = like.of(net.layer(name, plain(name), xs, Tail([op], -1)))
    xs, like = _side_by_side(net, op, first, last)
    attrs = plain(name)
    fuses = hasattr(attrs, "activation")
    tail = net.tail(op, op.outputs[0], like, fuses=fuses)
    if fuses:
        attrs = replace(attrs, activation=tail.activation)
    net.values[tail.number] = like.of(net.layer(name, attrs, xs, tail))


def _side_by_side(
    net: Net, op: SourceOp, first: View, second: View
) -> tuple[list[Symbol], View]:
    """Two tensors with their elements in one order, and where those of the result lie.

    Along axes of length 1 a tensor is repeated.
    """
    if len(first.axes) != len(second.axes):
        raise net.refusal(
            op, f"of tensors of {len(first.axes) + 1} and {len(second.axes) + 1} axes"
        )
    shape = tuple(map(max, first.shape, second.shape))
    for view in (first, second):
        if any(
            size not in (1, whole)
            for size, whole in zip(view.shape, shape, strict=True)
        ):
            raise FileFormatError(f"{op}: {first.shape} and {second.shape} do not fit")
    if first.axes == second.axes:
        x = net.builder.shape(first.symbol)
        return [first.symbol, net.arranger.shaped(second.symbol, x, op.kind)], first
    sizes = [_sizes(axis, first, second) for axis in range(len(shape))]
    fine = [_split(net, op, view, sizes) for view in (first, second)]
    large, small = sorted(fine, key=lambda view: -view.size)
    order = sorted(
        range(len(large.axes)),
        key=lambda k: (-large.stride(k) if large.axes[k] else -math.inf,
                       -small.stride(k)),
    )  # fmt: skip
    order = [k for k in order if large.axes[k] or small.axes[k]]
    groups = [(k,) for k in order]
    xs = [net.arranger.arranged(view, groups, op.kind) for view in fine]
    whole = [size for row in sizes for size in row]
    like = view_of(xs[0], tuple(whole[k] for k in order))
    axes = dict(zip(order, like.axes, strict=True))
    places, joint = iter(range(len(whole))), []
    for row in sizes:
        joint.append(tuple(run for _ in row for run in axes.get(next(places), ())))
    return xs, View(xs[0], tuple(joint))


def _sizes(axis: int, first: View, second: View) -> list[int]:
    """The parts of an axis of two tensors, in which neither changes its order."""
    runs = [view.axes[axis] for view in (first, second) if view.axes[axis]]
    if len(runs) == 2 and [r.size for r in runs[0]] != [r.size for r in runs[1]]:
        return [math.prod(run.size for run in runs[0])]
    return [run.size for run in runs[0]] if runs else [1]


def _split(net: Net, op: SourceOp, view: View, sizes: list[list[int]]) -> View:
    """A tensor with an axis for every part; of length 1 where it is repeated."""
    own = tuple(
        1 if not view.axes[axis] else size
        for axis, row in enumerate(sizes)
        for size in row
    )
    made = view.reshaped(own)
    if made is None:
        made = net.arranger.in_order(view, op.kind).reshaped(own)
        assert made is not None  # in order, any shape is one
    return made


def extremes(net: Net, op: SourceOp) -> None:
    """`Min` and `Max` of any number of tensors and constants."""
    given.given(given.Plain, op)
    values = [net.value(op, place) for place in range(len(op.inputs))]
    if not any(isinstance(value, View) for value in values):
        raise net.refusal(op, "of constants alone")
    first, *others = [value for value in values if isinstance(value, View)]
    limit = _limit(net, op, first, values)
    if limit is not None:
        if others:
            raise net.refusal(op, "of several tensors and a constant")
        ends = (limit, None) if op.kind == "Max" else (None, limit)
        net.clamp(op, first, clamped(*ends))
    elif others:
        pair(net, op, first, *others)
    else:
        net.passed(op)


def _limit(
    net: Net, op: SourceOp, view: View, values: Sequence[Any]
) -> np.ndarray | None:
    """All constants as one; None where there is none."""
    limit = None
    for value in values:
        if not isinstance(value, Constant):
            continue
        other = of_sample(value, view)
        if other is None or not np.isfinite(other).all():
            raise _refused_constant(net, op, view)
        extreme = np.maximum if op.kind == "Max" else np.minimum
        limit = other if limit is None else extreme(limit, other)
    return limit


def _refused_constant(net: Net, op: SourceOp, view: View) -> Exception:
    return net.refusal(
        op,
        f"its constants must be numbers that fit {view.shape}, the same for every "
        "sample",
    )


def limited(net: Net, op: SourceOp) -> None:
    """`Relu` and `Clip` that no layer before has fused."""
    limits, view = LIMITS[op.kind](net, op), net.view(op)
    if limits in FUSED:
        net.unary(op, view, FUSED[limits])
    elif limits == NO_LIMITS:
        net.passed(op)
    else:
        net.clamp(op, view, clamped_by(limits, len(view.axes)))


def function(name: str) -> Callable[[Net, SourceOp], None]:
    """One of our operators of each element, without attributes."""

    def convert(net: Net, op: SourceOp) -> None:
        given.given(given.Plain, op)
        if name not in OPS:
            raise net.refusal(op, "is not supported")
        net.unary(op, net.view(op), name)

    return convert


def leaky_relu(net: Net, op: SourceOp) -> None:
    attrs = given.given(given.LeakyRelu, op)
    net.unary(op, net.view(op), "leaky_relu", OPS["leaky_relu"].attrs(attrs.alpha))


def hard_sigmoid(net: Net, op: SourceOp) -> None:
    """``min(max(alpha x + beta, 0), 1)``; times x it may be `HardSwish`."""
    attrs, view = given.given(given.HardSigmoid, op), net.view(op)
    product = net.only_reader(op.outputs[0])
    is_swish = (
        product is not None
        and product.kind == "Mul"
        and set(product.inputs) == {op.inputs[0], op.outputs[0]}
        and math.isclose(attrs.alpha, 1 / 6, rel_tol=1e-6)
        and attrs.beta == 0.5
    )
    if is_swish and product is not None:
        given.given(given.Plain, product)
        net.done.add(product.outputs[0])
        net.unary(replace(product, name=op.name), view, "hard_swish")
        return
    before = Affine.scalar(SIX * attrs.alpha, SIX * attrs.beta, view)
    net.clamp(op, view, Clamped(before, "relu6", Affine.scalar(1 / SIX, 0.0, view)))


def batch_norm(net: Net, op: SourceOp) -> None:
    """Of what is no layer with weights: a layer of its own."""
    view = net.view(op)
    affine = AFFINE[op.kind](net, op, 0, view)
    assert affine is not None  # its first input is no constant
    net.affine(op, view, affine)


def softmax(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Softmax, op), net.view(op)
    rank = len(view.axes) + 1
    is_old = net.source.opset < 13
    axis = net.axis(
        op, (1 if is_old else -1) if attrs.axis is None else attrs.axis, rank
    )
    # Before opset 13 all axes from this one on are one.
    axes = tuple(range(axis, rank - 1)) if is_old else (axis,)
    others = [k for k in range(rank - 1) if k not in axes]
    groups = [(k,) for k in others] + [axes]
    if all(view.shape[k] == 1 for k in others):
        groups = [axes]
    x = net.arranger.arranged(view, groups, op.kind)
    made = view_of(x, tuple(view.shape[k] for k in (*others, *axes)))
    order = [*others, *axes]
    like = made.transposed([order.index(k) for k in range(rank - 1)])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    if tail.output is not None and _ends(net, tail.number):
        # A softmax that is the last layer is left out of training.
        tail.notes.append(
            f"the output keeps softmax's scale; the file has {tail.output}"
        )
        net.rescaled.add(tail.number)
        tail.output = None
    beta = OPS["softmax"].attrs(net.betas.get(op.inputs[0], 1.0))
    net.values[tail.number] = like.of(net.layer("softmax", beta, [x], tail))


def _ends(net: Net, number: int) -> bool:
    """Whether a tensor is the network's output, perhaps made real again."""
    reader = net.only_reader(number)
    if reader is not None and reader.kind == "DequantizeLinear":
        number = reader.outputs[0]
    return number in net.source.outputs


def nothing(net: Net, op: SourceOp) -> None:
    """`Identity`, `Dropout` of inference, `Cast` to the type that there is."""
    NOTHING[op.kind](net, op)
    net.passed(op)
