"""A `.tflite` in the making: tensors and operators, added one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kanji_np.formats.source import Quantization, SourceNet, SourceOp, SourceTensor
from kanji_np.types import QParams, Shape


def quantization(
    scales: float | np.ndarray, zero_point: int = 0, axis: int = 0
) -> Quantization:
    """One scale or several, as float32 has them; the zero point is that of all."""
    each = np.atleast_1d(np.asarray(scales, np.float32)).astype(np.float64)
    return Quantization(each, np.full(len(each), zero_point, np.int64), axis)


class Draft:
    """The tensors and operators there are so far.

    Tensors are known by their numbers. Shapes have the batch, 1, in front.
    """

    def __init__(self) -> None:
        self._tensors: list[SourceTensor] = []
        self._ops: list[SourceOp] = []
        # Of what is the same bytes under several shapes: the first, and all by shape.
        self._first: dict[int, int] = {}
        self._shaped: dict[tuple[int, Shape], int] = {}

    def tensor(self, name: str, shape: Shape, meaning: QParams) -> int:
        """An int8 activation."""
        quantized = quantization(meaning.scale, meaning.zero_point)
        return self._add(SourceTensor(name, shape, "int8", None, quantized))

    def image(self, name: str, shape: Shape, scale: float, zero_point: int) -> int:
        """A uint8 activation."""
        quantized = quantization(scale, zero_point)
        return self._add(SourceTensor(name, shape, "uint8", None, quantized))

    def constant(
        self, name: str, data: np.ndarray, quantized: Quantization | None = None
    ) -> int:
        """An array in the file."""
        return self._add(
            SourceTensor(name, data.shape, str(data.dtype), data, quantized)
        )

    def _add(self, tensor: SourceTensor) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        output: int,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """An operator of one output, whose number is given back."""
        name = self._tensors[output].name
        self._ops.append(
            SourceOp(kind, name, tuple(inputs), (output,), dict(options or {}))
        )
        return output

    def like(self, tensor: int, name: str, shape: Shape) -> int:
        """Another activation of the same dtype and scale."""
        like = self._tensors[tensor]
        return self._add(SourceTensor(name, shape, like.dtype, None, like.quantization))

    def name(self, tensor: int) -> str:
        """What a tensor is called."""
        return self._tensors[tensor].name

    def shape(self, tensor: int) -> Shape:
        """A tensor's shape, with the batch."""
        return self._tensors[tensor].shape

    def meaning(self, tensor: int) -> Quantization:
        """How the integers of an activation stand for real values."""
        quantized = self._tensors[tensor].quantization
        assert quantized is not None  # every activation has one
        return quantized

    def means(self, tensor: int, meaning: QParams) -> bool:
        """Whether an activation has this scale and zero point."""
        own, asked = self.meaning(tensor), quantization(meaning.scale)
        return bool(
            own.scales == asked.scales and own.zero_points == meaning.zero_point
        )

    def shaped(self, tensor: int, shape: Shape, name: str) -> int:
        """The same bytes under another shape; what there is already is taken again.

        `name` is that of a new tensor. The batch of a RESHAPE is left open, so that
        runtimes that can may change it. A constant needs no RESHAPE.
        """
        first = self._first.get(tensor, tensor)
        if self.shape(first) == shape:
            return first
        data = self._tensors[first].data
        if data is not None:
            return self.constant(name, data.reshape(shape), self.meaning(first))
        if (first, shape) not in self._shaped:
            new_shape = (-1, *shape[1:])
            reshaped = self.like(first, name, shape)
            told = self.constant(f"{name}/shape", np.array(new_shape, np.int32))
            self.op("RESHAPE", (first, told), reshaped, {"new_shape": new_shape})
            self._first[reshaped] = first
            self._shaped[first, shape] = reshaped
        return self._shaped[first, shape]

    def finished(self, inputs: int, outputs: int) -> SourceNet:
        """The network, from one tensor to another, without what nothing reads."""
        used = {inputs, outputs}
        used |= {number for op in self._ops for number in (*op.inputs, *op.outputs)}
        number = {old: new for new, old in enumerate(sorted(used))}
        ops = (
            replace(
                op,
                inputs=tuple(number[i] for i in op.inputs),
                outputs=tuple(number[i] for i in op.outputs),
            )
            for op in self._ops
        )
        tensors = tuple(self._tensors[old] for old in number)
        ends = (number[inputs],), (number[outputs],)
        return SourceNet("tflite", tensors, tuple(ops), *ends)
