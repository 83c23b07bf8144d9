"""An ONNX graph in the making: nodes and constants, added one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kanji_np.formats.onnx.package import onnx
from kanji_np.types import QParams, Shape

IR_VERSION, OPSET = 9, 19
BATCH, MAKER = "N", "kanji_np"
#: How every file begins that this makes: IR version and maker.
START = b"\x08\x09\x12\x08kanji_np"


class Draft:
    """The nodes and constants there are so far; tensors are known by their names.

    `rounds_scales` says whether a scale so far is none of float32.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self.rounds_scales = False

    def constant(self, name: str, values: np.ndarray) -> str:
        """An array in the file."""
        self._constants.append(onnx.numpy_helper.from_array(values, name))
        return name

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> str:
        """An operator of one output, whose name is given back."""
        made = onnx.helper.make_node(
            kind, inputs, [output], name=output, **(attributes or {})
        )
        self._nodes.append(made)
        return output

    def quantized(self, x: str, owner: str, name: str, meaning: QParams) -> str:
        """Real values, called `name`, as they are once they have been int8."""
        scale = self._scale(f"{owner}/scale", np.array(meaning.scale))
        zero = self.constant(
            f"{owner}/zero_point", np.array(meaning.zero_point, np.int8)
        )
        y = self.node("QuantizeLinear", (x, scale, zero), f"{owner}/int8")
        return self.node("DequantizeLinear", (y, scale, zero), name)

    def integers(
        self, name: str, values: np.ndarray, scales: np.ndarray, axis: int = 0
    ) -> str:
        """Constant integers with a scale for each index along an axis, as real
        values."""
        inputs = (
            self.constant(f"{name}/{values.dtype}", values),
            self._scale(f"{name}/scale", scales, values.dtype == np.int8),
            self.constant(f"{name}/zero_point", np.zeros(len(scales), values.dtype)),
        )
        return self.node("DequantizeLinear", inputs, name, {"axis": axis})

    def _scale(self, name: str, scales: np.ndarray, matters: bool = True) -> str:
        """Scales as the file has them; those of biases follow from others."""
        rounded = scales.astype(np.float32)
        self.rounds_scales |= matters and bool((rounded != scales).any())
        return self.constant(name, rounded)

    def shaped(self, x: str, name: str, shape: Shape) -> str:
        """The same values under another shape."""
        told = self.constant(f"{name}/shape", np.array((-1, *shape), np.int64))
        return self.node("Reshape", (x, told), name)

    def packed(self, name: str, *ends: tuple[str, Shape]) -> bytes:
        """The file of the network from a tensor of some shape to another."""
        x, y = (
            onnx.helper.make_tensor_value_info(
                tensor, onnx.TensorProto.FLOAT, (BATCH, *shape)
            )
            for tensor, shape in ends
        )
        graph = onnx.helper.make_graph(self._nodes, name, [x], [y], self._constants)
        model = onnx.helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            producer_name=MAKER,
        )
        data: bytes = model.SerializeToString(deterministic=True)
        return data
