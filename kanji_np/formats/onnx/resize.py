"""Nearest-neighbour resizing: every output is the input at a rounded place.
`Expand` and `Gather`, too, whose outputs along an axis are inputs there.

ONNX has five ways to place the outputs and four to round. What counts is which input
each output is: where TFLite's operator, or a slice, gives the same, it is the layer.

References: ONNX `Resize`, opset 10 to 19; `Upsample`; `Expand`; `Gather`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import BATCH, Constant, whole_numbers
from kanji_np.formats.onnx.layout import IMAGE, OF_IMAGE, View, view_of
from kanji_np.formats.onnx.net import Net
from kanji_np.formats.onnx.parts import sliced
from kanji_np.formats.source import SourceOp
from kanji_np.ops import OPS
from kanji_np.types import Shape
from kanji_np.window import MOST_CELLS

Places = Callable[[np.ndarray, float, int, int], np.ndarray]

#: (number of the output, scale, input size, output size) -> place in the input
PLACES: dict[str, Places] = {
    "align_corners": lambda x, scale, size, out: x * (size - 1) / max(out - 1, 1),
    "asymmetric": lambda x, scale, size, out: x / scale,
    "half_pixel": lambda x, scale, size, out: (x + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda x, scale, size, out: (
        size / 2 * (1 - out / (scale * size)) + (x + 0.5) / scale - 0.5
    ),
    "pytorch_half_pixel": lambda x, scale, size, out: (
        (x + 0.5) / scale - 0.5 if out > 1 else x * 0
    ),
    "tf_half_pixel_for_nn": lambda x, scale, size, out: (x + 0.5) / scale,
}
ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
}


def resize(net: Net, op: SourceOp) -> None:
    """`Resize`, and `Upsample`, which is its predecessor."""
    attrs, view = given.given(given.Resize, op), net.view(op)
    is_old = op.kind == "Upsample" or net.source.opset < 11
    if attrs.mode != "nearest":
        raise net.refusal(op, f"mode {attrs.mode!r}; 'nearest' is supported")
    how = "asymmetric" if is_old else attrs.coordinate_transformation_mode
    rounding = "floor" if is_old else attrs.nearest_mode
    if how not in PLACES or rounding not in ROUNDED:
        raise net.refusal(
            op, f"{how!r} and {rounding!r}; {', '.join(PLACES)} and "
            f"{', '.join(ROUNDED)} are supported"
        )  # fmt: skip
    scales = _scales(net, op, attrs, view, is_old)
    indices = []
    for size, (scale, out) in zip(view.shape, scales, strict=True):
        if not 1 <= out <= MOST_CELLS:
            raise net.refusal(
                op, f"to a size of {out}; 1 .. {MOST_CELLS} are supported"
            )
        places = PLACES[how](np.arange(out, dtype=np.float64), scale, size, out)
        nearest = ROUNDED[rounding](places)
        indices.append(np.clip(nearest, 0, size - 1).astype(np.int64))
    if not _take(net, op, view, indices):
        raise net.refusal(
            op, "its outputs lie where no operator here puts them; height and width by "
            "whole scales, 'asymmetric' with 'floor', are supported"
        )  # fmt: skip


def gather(net: Net, op: SourceOp) -> None:
    """One index of an axis, neighbours, or what a resize takes.

    Rows and columns that are gathered one after the other are one resize. It may be
    that neither is one alone.
    """
    view = net.view(op)
    axis = _gathered_axis(net, op, view)
    taken = [np.arange(n) for n in view.shape]
    taken[axis] = _gathered(net, op, view.shape[axis])
    if _take_both(net, op, view, axis, taken):
        return
    if not _take(net, op, view, taken):
        raise net.refusal(
            op, "the indices must rise by the same step, or be those of a resize"
        )
    if _is_one_index(net, op):  # so that a slice took it
        made = net.values[op.outputs[0]]
        assert isinstance(made, View)
        kept = [k for k in range(len(view.axes)) if k != axis]
        net.values[op.outputs[0]] = made.transposed(kept)


def _gathered_axis(net: Net, op: SourceOp, view: View) -> int:
    return net.axis(op, given.given(given.Gather, op).axis, len(view.axes) + 1)


def _gathered(net: Net, op: SourceOp, size: int) -> np.ndarray:
    """The indices of an axis of some size, int64 (n,)."""
    indices = net.constant(op, 1).data
    flat = [i + size if i < 0 else i for i in whole_numbers(indices)]
    is_row = 0 < len(flat) <= MOST_CELLS and indices.ndim < 2
    if not is_row or not all(0 <= i < size for i in flat):
        raise net.refusal(op, f"the indices must be a row of some in 0 .. {size - 1}")
    return np.array(flat, np.int64)


def _is_one_index(net: Net, op: SourceOp) -> bool:
    return net.constant(op, 1).data.ndim == 0


def _take_both(
    net: Net, op: SourceOp, view: View, axis: int, taken: Sequence[np.ndarray]
) -> bool:
    """Whether a layer takes these and what a `Gather` takes of them next."""
    second = net.only_reader(op.outputs[0])
    if second is None or second.kind != "Gather" or len(second.inputs) != 2:
        return False
    is_known = isinstance(net.value(second, 1), Constant)
    if not is_known or _is_one_index(net, op) or _is_one_index(net, second):
        return False
    other = _gathered_axis(net, second, view)
    if other == axis:
        return False
    both = [*taken]
    both[other] = _gathered(net, second, view.shape[other])
    if not _take(net, second, view, both):
        return False
    net.done.add(second.outputs[0])
    return True


#: They repeat the smaller of two tensors themselves.
REPEATING = {"Add", "Max", "Min", "Mul", "Sub"}


def expand(net: Net, op: SourceOp) -> None:
    """A tensor repeated along axes of length 1."""
    given.given(given.Plain, op)
    view, sizes = net.view(op), net.constant(op, 1).data.reshape(-1).tolist()
    whole = (net.batch, *view.shape)
    sizes = [1] * (len(whole) - len(sizes)) + sizes
    stays = len(sizes) == len(whole) and sizes[0] in (1, net.batch)
    if not stays or BATCH in sizes[1:]:
        raise net.refusal(
            op, f"to {shown(tuple(sizes))}: the batch must stay the first axis"
        )
    shape = tuple(a if b == 1 else b for a, b in zip(whole[1:], sizes[1:], strict=True))
    if any(a not in (1, b) or b < 1 for a, b in zip(view.shape, shape, strict=True)):
        raise FileFormatError(f"{op}: {view.shape} cannot become {shown(shape)}")
    if shape == view.shape or _is_repeated_later(net, op, shape):
        net.passed(op)
        return
    # All new places together are one axis, and it lies before our last one.
    new = [k for k, size in enumerate(view.shape) if size != shape[k]]
    old = sorted(set(view.order) - {*new}, key=lambda k: -view.stride(k) or -math.inf)
    order = [*old[:-1], *new, *old[-1:]]
    groups = [tuple(old[:-1]), tuple(new), tuple(old[-1:])]
    x = net.arranger.arranged(view, groups, op.kind)
    cells = net.builder.shape(x)[0], math.prod(shape[k] for k in new)
    attrs = OPS["resize_nearest"].attrs(cells)
    made = view_of(x, tuple(shape[k] for k in order))
    like = made.transposed([order.index(k) for k in range(len(order))])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    net.values[tail.number] = like.of(net.layer("resize_nearest", attrs, [x], tail))


def _is_repeated_later(net: Net, op: SourceOp, shape: Shape) -> bool:
    """Whether all readers compute with a tensor of the whole shape, too."""
    (number, readers) = op.outputs[0], net.readers(op.outputs[0])
    if not readers or number in net.source.outputs:
        return False
    for reader in readers:
        others = [net.values.get(k) for k in reader.inputs if k != number]
        is_whole = any(isinstance(v, View) and v.shape == shape for v in others)
        if reader.kind not in REPEATING or not is_whole:
            return False
    return True


def _scales(
    net: Net, op: SourceOp, attrs: given.Resize, view: View, is_old: bool
) -> list[tuple[float, int]]:
    """Of each axis of a sample the scale and the size of the output."""
    rank = len(view.axes) + 1
    _, first, second, third = (*net.known(op, 1), None, None, None)[:4]
    rows = (first, None) if is_old else (second, third)
    scales, sizes = (
        None if row is None or not row.size else row.reshape(-1) for row in rows
    )
    if attrs.scales is not None:
        scales = np.array(attrs.scales, np.float64)
    given_axes = range(rank) if attrs.axes is None else attrs.axes
    axes = [axis + rank if axis < 0 else axis for axis in given_axes]
    row = sizes if scales is None else scales
    if row is None or len(row) != len(axes) or not set(axes) <= set(range(rank)):
        raise FileFormatError(f"{op}: scales or sizes of its {rank} axes are missing")
    whole = (1, *view.shape)
    found = [(1.0, size) for size in whole]
    for axis, value in zip(axes, row.tolist(), strict=True):
        if axis == 0:
            if value != (net.batch if scales is None else 1):
                raise net.refusal(op, "it works along the batch, not on every sample")
            continue
        if value is BATCH or not 0 < value <= MOST_CELLS:
            raise net.refusal(op, f"by {value}; up to {MOST_CELLS} is supported")
        scale = float(value) if scales is not None else value / whole[axis]
        found[axis] = scale, math.floor(whole[axis] * scale + (scales is None) * 0.5)
    if scales is None:
        _keep_ratio(net, op, attrs, whole, [axis for axis in axes if axis], found)
    return found[1:]


def _keep_ratio(
    net: Net,
    op: SourceOp,
    attrs: given.Resize,
    whole: Shape,
    axes: Sequence[int],
    found: list[tuple[float, int]],
) -> None:
    """One scale for all axes, where the sizes are only limits."""
    policy = attrs.keep_aspect_ratio_policy
    if policy == "stretch":
        return
    if policy not in ("not_larger", "not_smaller"):
        raise net.refusal(op, f"keep_aspect_ratio_policy {policy!r} is not known")
    least = min if policy == "not_larger" else max
    scale = least((found[axis][0] for axis in axes), default=1.0)
    for axis in axes:
        found[axis] = scale, math.floor(scale * whole[axis] + 0.5)


def _take(net: Net, op: SourceOp, view: View, indices: Sequence[np.ndarray]) -> bool:
    """The elements at these indices of each axis; whether a layer takes them."""
    ranges = [_range(row) for row in indices]
    if all(r is not None for r in ranges):
        made = sliced(net, op, view, [r for r in ranges if r is not None])
        net.values[op.outputs[0]] = made
        return True
    rank = len(view.axes) - 1
    if rank not in IMAGE or not np.array_equal(indices[0], range(view.shape[0])):
        return False
    cells = indices[1:] if rank == 2 else [np.zeros(1, np.int64), indices[1]]
    sizes = view.shape[1:] if rank == 2 else (1, view.shape[1])
    for corners, centers in itertools.product((False, True), repeat=2):
        attrs = OPS["resize_nearest"].attrs(
            (len(cells[0]), len(cells[1])), corners, centers
        )
        if all(map(np.array_equal, attrs.indices((*sizes, 1)), cells)):
            break
    else:
        return False
    image = net.arranger.arranged(view, IMAGE[rank], op.kind)
    shape = OPS["resize_nearest"].infer(attrs, (net.builder.shape(image),))
    like = view_of(image, shape, OF_IMAGE[rank])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    net.values[tail.number] = like.of(net.layer("resize_nearest", attrs, [image], tail))
    return True


def _range(row: np.ndarray) -> range | None:
    """Indices that rise by the same step."""
    step = int(row[1] - row[0]) if len(row) > 1 else 1
    if step < 1 or not np.array_equal(row, row[0] + step * np.arange(len(row))):
        return None
    return range(int(row[0]), int(row[-1]) + 1, step)
