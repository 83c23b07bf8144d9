"""Operators of a `.tflite` file whose output is known before the network runs.

Weights that are stored as float16 or int8 and made float32 first, and the sizes that
converters compute of the shape of a tensor. For one sample these sizes are constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.source import SourceOp, SourceTensor
from kanji_np.ops.attributes import MOST_AXES
from kanji_np.types import MOST_BYTES

Fold = Callable[[SourceOp, Sequence[SourceTensor]], np.ndarray]

#: What STRIDED_SLICE may not ask for, of constants.
MASKS = ("ellipsis_mask", "new_axis_mask", "offset")


def fold(
    op: SourceOp, inputs: Sequence[SourceTensor], output: SourceTensor
) -> SourceTensor:
    """The output as a constant.

    Raises
    ------
    FileFormatError, UnsupportedOp
        It cannot be computed, or has another shape in the file.
    """
    values = FOLDS[op.kind](op, inputs)
    fits = len(values.shape) == len(output.shape) and all(
        theirs in (-1, own)
        for theirs, own in zip(output.shape, values.shape, strict=True)
    )
    if not fits:
        raise FileFormatError(
            f"its output has the shape {output.shape} in the file, and {values.shape} "
            "follows from its inputs"
        )
    values = values.astype(output.dtype)
    return replace(output, shape=values.shape, data=values, quantization=None)


def data(inputs: Sequence[SourceTensor], index: int) -> np.ndarray:
    if index >= len(inputs):
        raise FileFormatError(f"its input {index} is missing")
    found = inputs[index].data
    assert found is not None  # only constants are folded
    return found


def dequantize(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """float16 or integers as float32."""
    values = data(inputs, 0)
    if inputs[0].dtype != "float16":
        return dequantized(inputs[0])
    with np.errstate(invalid="ignore"):  # of what is no number
        return values.astype(np.float32)


def dequantized(tensor: SourceTensor) -> np.ndarray:
    """The real values of integers, float32; UnsupportedOp without scales."""
    found, values = tensor.quantization, tensor.data
    assert values is not None  # only constants are asked for
    if found is None:
        raise UnsupportedOp(
            f"tensor {shown(tensor.name)} is {tensor.dtype} without a scale; with one "
            "it is supported"
        )
    shape = [1] * values.ndim
    if found.per_channel:
        shape[found.axis] = -1
    scale, zero = found.scales.reshape(shape), found.zero_points.reshape(shape)
    steps = (values.astype(np.int64) - zero).astype(np.float32)
    return scale.astype(np.float32) * steps


def shape_of(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """The sizes of a tensor, for one sample where the batch is open."""
    first, *others = inputs[0].shape or (1,)
    if -1 in others:
        raise UnsupportedOp(f"of a tensor of shape {inputs[0].shape} is not supported")
    return np.array([max(first, 1), *others][: len(inputs[0].shape)], np.int64)


def strided_slice(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """Of one axis: a range of elements, or one of them."""
    x = data(inputs, 0)
    (begin,), (end,), (step,) = (_one(data(inputs, i)) for i in (1, 2, 3))
    if x.ndim != 1 or step < 1 or any(op.options.get(name) for name in MASKS):
        raise UnsupportedOp(
            "of constants is supported along one axis, with masks of begin, end and "
            "shrinking"
        )
    if op.options["shrink_axis_mask"]:
        if not -len(x) <= begin < len(x):
            raise FileFormatError(f"takes element {begin} of {len(x)}")
        return np.asarray(x[begin])
    first = None if op.options["begin_mask"] else begin
    last = None if op.options["end_mask"] else end
    return x[first:last:step]


def _one(values: np.ndarray) -> list[int]:
    if values.size != 1 or values.dtype.kind != "i":
        raise UnsupportedOp("of constants is supported along one axis")
    return [int(values.item())]


def pack(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """Numbers in a row."""
    arrays = [data(inputs, i) for i in range(len(inputs))]
    if any(array.ndim for array in arrays) or op.options["axis"] not in (0, -1):
        raise UnsupportedOp("is supported of constants that are single numbers")
    return np.stack(arrays)


def concatenation(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """Sizes in a row."""
    arrays = [data(inputs, i) for i in range(len(inputs))]
    if any(array.ndim != 1 for array in arrays) or sum(map(len, arrays)) > MOST_AXES:
        raise UnsupportedOp(f"is supported of constants of {MOST_AXES} sizes or fewer")
    return np.concatenate(arrays)


def gather(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """Some of several sizes."""
    sizes, places = data(inputs, 0), data(inputs, 1)
    if sizes.ndim != 1 or places.dtype.kind != "i" or places.size > MOST_AXES:
        raise UnsupportedOp(f"is supported of {MOST_AXES} sizes of a tensor or fewer")
    if op.options["axis"] not in (0, -1) or op.options["batch_dims"]:
        raise UnsupportedOp("of constants is supported along one axis")
    if ((places < 0) | (places >= len(sizes))).any():
        raise FileFormatError(f"takes elements {places.tolist()} of {len(sizes)}")
    return sizes[places]


def reduce_prod(op: SourceOp, inputs: Sequence[SourceTensor]) -> np.ndarray:
    """How many elements a tensor of these sizes has."""
    sizes, axes = data(inputs, 0), data(inputs, 1)
    if axes.ravel().tolist() not in ([0], [-1]):
        raise UnsupportedOp("of constants is supported along one axis")
    if sizes.ndim != 1 or sizes.dtype.kind != "i" or sizes.size > MOST_AXES:
        raise UnsupportedOp(f"is supported of {MOST_AXES} sizes of a tensor or fewer")
    count = math.prod(sizes.tolist())
    if abs(count) > MOST_BYTES:
        raise FileFormatError(f"the product of {sizes.tolist()} is no tensor's size")
    return np.full((1,) if op.options["keep_dims"] else (), count, np.int64)


#: How each is computed.
FOLDS: Mapping[str, Fold] = {
    "CONCATENATION": concatenation,
    "DEQUANTIZE": dequantize,
    "GATHER": gather,
    "PACK": pack,
    "REDUCE_PROD": reduce_prod,
    "SHAPE": shape_of,
    "STRIDED_SLICE": strided_slice,
}
