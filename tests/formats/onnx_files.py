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


def converted(made: onnx.ModelProto, folder: Any = ".") -> Converted:
    """A network of a model that no file holds."""
    builder = Builder(kj.target_spec("cmsis-nn"), "network")
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
