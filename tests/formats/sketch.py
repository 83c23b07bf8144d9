"""One network twice: as a `.tflite` file of float32, and as one of int8.

    s = Sketch((5, 4, 3))
    w, b = s.weight((2, 3, 3, 3)), s.bias(2)
    s.op("CONV_2D", [s.x, w, b], (5, 4, 2), {"padding": "SAME", ...})

The weights of both are the same real numbers, multiples of their scales. So one answer,
computed in float32, is that of the first, and that of the second but for its rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from formats.tflite_files import Op, Tensor, file

X_SCALE, X_ZERO = np.float32(0.03), -9


class Sketch:
    """A network for one sample, operator by operator.

    Parameters
    ----------
    shape : tuple of int
        Of a sample.
    """

    def __init__(self, shape: Sequence[int], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[tuple[Tensor, Tensor]] = []  # float32, int8
        self.ops: list[Op] = []
        self.x = self.tensor(shape, X_SCALE, X_ZERO)
        integers = self.rng.integers(-128, 128, (7, *shape))
        self.integers = integers.astype(np.int8)
        self.reals = X_SCALE * (integers - X_ZERO).astype(np.float32)

    def _add(self, real: Tensor, integer: Tensor) -> int:
        self.tensors.append((real, integer))
        return len(self.tensors) - 1

    def tensor(self, shape: Sequence[int], scale: Any, zero_point: int = 0) -> int:
        """A tensor that is computed."""
        full = (1, *shape)
        integer = Tensor(full, "INT8", scale=scale, zero_point=zero_point)
        return self._add(Tensor(full, "FLOAT32"), integer)

    def weight(self, shape: Sequence[int], axis: int = 0, channels: bool = True) -> int:
        """Weights of random integers, with a scale for each output or one for all."""
        count = shape[axis] if channels else 1
        scale = self.rng.uniform(0.004, 0.02, count).astype(np.float32)
        integers = self.rng.integers(-127, 128, shape)
        around = [1] * len(shape)
        around[axis] = -1
        self.scale = np.broadcast_to(scale, shape[axis])
        real = integers.astype(np.float32) * self.scale.reshape(around)
        return self._add(
            Tensor(shape, "FLOAT32", real),
            Tensor(shape, "INT8", integers, scale=scale, axis=axis),
        )

    def bias(self, count: int) -> int:
        """Of the weights made last."""
        integers = self.rng.integers(-500, 500, count)
        scale = X_SCALE * self.scale
        return self._add(
            Tensor((count,), "FLOAT32", integers * scale),
            Tensor((count,), "INT32", integers, scale=scale),
        )

    def integer(self, values: Any, dtype: str = "INT32") -> int:
        """Constants that are integers in both: axes, shapes."""
        tensor = Tensor(np.shape(values), dtype, values)
        return self._add(tensor, tensor)

    def lowest(self) -> int:
        """A constant below all values of the input."""
        return self._add(
            Tensor((), "FLOAT32", np.finfo(np.float32).min),
            Tensor((), "INT8", -128, scale=X_SCALE, zero_point=X_ZERO),
        )

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: Mapping[str, Any] | None = None,
        scale: Any = X_SCALE,
        zero_point: int = X_ZERO,
    ) -> int:
        """An operator, whose output may have a scale of its own."""
        y = self.tensor(shape, scale, zero_point)
        self.ops.append(Op(kind, inputs, [y], options or {}))
        return y

    def file(self, kind: str) -> bytes:
        """The bytes of the one of "float32" or "int8"."""
        which = ("float32", "int8").index(kind)
        return file([pair[which] for pair in self.tensors], self.ops)

    def real(self, number: int) -> np.ndarray:
        """The values of a constant."""
        return np.asarray(self.tensors[number][0].data, np.float32)
