"""Small ONNX files, written node by node for tests of what reads them.

    data = model([node("Relu", ["x"], ["y"])], {"x": ("n", 4)})

Nothing is checked: a test says what is wrong with a file by writing it so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import kanji_np as kj
from kanji_np.autograd import Tensor, no_grad
from kanji_np.formats.builder import Builder
from kanji_np.formats.onnx.convert import Converted, convert
from kanji_np.formats.onnx.reader import net_of
from kanji_np.layers import Activation

node = helper.make_node
FLOAT = TensorProto.FLOAT


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    constants: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
    *,
    opset: int = 17,
    dtype: int = FLOAT,
) -> onnx.ModelProto:
    """A model; by default its output is the last node's first.

    Sizes of inputs are numbers, or names where they are open.
    """
    names = outputs or [nodes[-1].output[0]]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(k, dtype, list(v)) for k, v in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in names],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in (constants or {}).items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def converted(
    made: onnx.ModelProto,
    folder: Any = ".",
    target: Any = "cmsis-nn",
    image_layer: Any = None,
) -> Converted:
    """A network of a model that no file holds."""
    spec = kj.target_spec(target)
    builder = Builder(spec, "network", image_layer=image_layer)
    return convert(net_of(made, folder), builder)


def answers(made: Converted, x: np.ndarray) -> np.ndarray:
    """What the float network answers, with the axes of the file.

    Parameters
    ----------
    made : Converted
    x : float32 (N, ...)
        With the axes of the file.
    """
    network = made.imported.network
    ours = x.transpose(0, *(axis + 1 for axis in made.inputs))
    ours = ours.reshape(len(x), *network.input.shape)  # a sample of no axes has one
    tensors = [Activation(Tensor(np.ascontiguousarray(ours)), None)]
    with no_grad():
        for layer, wires in zip(network.layers, network.wiring, strict=True):
            inputs = (tensors[k] for k in wires)
            tensors.append(layer.forward_float(*inputs, track=False))
    y = tensors[-1].tensor.data
    back = sorted(range(len(made.outputs)), key=made.outputs.__getitem__)
    return y.transpose(0, *(axis + 1 for axis in back)) if back else y[:, 0]


class Qdq:
    """Nodes and constants of a network in QDQ form."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(0)
        self.nodes, self.constants = [], {}

    def scale(self, name: str, scale, zero: int, dtype=None) -> list[str]:
        """Names of a scale and a zero point, int8's."""
        dtype = np.dtype(dtype or self.dtype)
        zero += 128 * (dtype == np.uint8)
        scales = np.asarray(scale, np.float32)
        self.constants[f"{name}_scale"] = scales
        self.constants[f"{name}_zero"] = np.full(scales.shape, zero, dtype)
        return [f"{name}_scale", f"{name}_zero"]

    def tensor(self, name: str, scale: float, zero: int) -> str:
        """A tensor that is quantized, and made real again."""
        names = self.scale(name, scale, zero)
        self.nodes += [
            node("QuantizeLinear", [name, *names], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", *names], [f"{name}_d"]),
        ]
        return f"{name}_d"

    def weight(self, name: str, shape, scale, axis: int = 0, dtype="int8") -> str:
        """Integers that are made real."""
        low, high = (-2000, 2000) if dtype == "int32" else (-127, 128)
        ints = self.rng.integers(low, high, shape)
        names = self.scale(name, scale, 0, dtype)
        ints = ints + 128 * (dtype == "uint8")
        self.constants[f"{name}_q"] = ints.astype(dtype)
        self.nodes.append(
            node("DequantizeLinear", [f"{name}_q", *names], [name], axis=axis)
        )
        return name

    def op(self, kind: str, inputs, output: str, **attributes) -> str:
        self.nodes.append(node(kind, inputs, [output], **attributes))
        return output


def quantized(dtype: str, weights: str = "int8", channels=None) -> Qdq:
    """A small network with most of what there is."""
    q = Qdq(dtype)
    s_x, s_c = 0.0117, 0.0213
    scale = np.linspace(0.004, 0.011, 5) if channels else 0.008
    sums = np.float32(s_x) * np.asarray(scale, np.float32)
    w = q.weight("w", (5, 3, 3, 3), scale, 0, weights)
    b = q.weight("b", 5, sums, 0, "int32")
    q.op("Conv", [q.tensor("x", s_x, -43), w, b], "c", pads=[1, 1, 0, 1])
    q.op("Relu", ["c"], "r")
    q.op(
        "MaxPool", [q.tensor("r", s_c, -128)], "p", kernel_shape=[2, 2], strides=[2, 2]
    )
    q.op("Flatten", [q.tensor("p", s_c, -128)], "f")
    g = q.weight("g", (30, 4), np.linspace(0.003, 0.005, 4) if channels else 0.004, 1,
                 weights)  # fmt: skip
    q.op("MatMul", [q.tensor("f", s_c, -128), g], "m")
    q.constants["bias"] = q.rng.normal(size=4).astype(np.float32)
    q.op("Add", ["m", "bias"], "a")
    q.tensor("a", 0.09, 11)
    return q
