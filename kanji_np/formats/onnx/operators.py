"""The table: operators of ONNX, and the functions that make layers of them.

Each function is given the `Net` and a node, makes layers, and tells the net what the
node's outputs are. In these functions axes are those of a sample, without the batch.
What no row has is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kanji_np.formats.onnx import (
    concat,
    elements,
    multiply,
    parts,
    pools,
    quantized,
    resize,
    shapes,
)
from kanji_np.formats.onnx.net import Net
from kanji_np.formats.source import SourceOp


@dataclass(frozen=True)
class Row:
    """How an operator is mapped, and how many inputs it has at most."""

    convert: Callable[[Net, SourceOp], None]
    most_inputs: int


#: By the names of ONNX.
OPERATORS: dict[str, Row] = {
    "Add": Row(elements.pointwise, 2),
    "AveragePool": Row(pools.average_pool, 1),
    "BatchNormalization": Row(elements.batch_norm, 5),
    "Cast": Row(elements.nothing, 1),
    "Clip": Row(elements.limited, 3),
    "Concat": Row(concat.concat, 2**16),
    "Conv": Row(multiply.conv, 3),
    "ConvTranspose": Row(multiply.conv_transpose, 3),
    "DequantizeLinear": Row(quantized.dequantize, 3),
    "Div": Row(elements.pointwise, 2),
    "Dropout": Row(elements.nothing, 3),
    "Expand": Row(resize.expand, 2),
    "Flatten": Row(shapes.flatten, 1),
    "Gather": Row(resize.gather, 2),
    "Gemm": Row(multiply.gemm, 3),
    "GlobalAveragePool": Row(pools.global_average_pool, 1),
    "GlobalMaxPool": Row(pools.global_max_pool, 1),
    "HardSigmoid": Row(elements.hard_sigmoid, 1),
    "HardSwish": Row(elements.function("hard_swish"), 1),
    "Identity": Row(elements.nothing, 1),
    "LeakyRelu": Row(elements.leaky_relu, 1),
    "MatMul": Row(multiply.matmul, 2),
    "Max": Row(elements.extremes, 2**16),
    "MaxPool": Row(pools.max_pool, 1),
    "Min": Row(elements.extremes, 2**16),
    "Mul": Row(elements.pointwise, 2),
    "Pad": Row(parts.pad, 4),
    "QuantizeLinear": Row(quantized.quantize, 3),
    "ReduceMean": Row(pools.reduce_mean, 2),
    "Relu": Row(elements.limited, 1),
    "Reshape": Row(shapes.reshape, 2),
    "Resize": Row(resize.resize, 4),
    "Shape": Row(shapes.shape_of, 1),
    "Sigmoid": Row(elements.function("sigmoid"), 1),
    "Slice": Row(parts.slice_, 5),
    "Softmax": Row(elements.softmax, 1),
    "Split": Row(parts.split, 2),
    "Squeeze": Row(shapes.squeeze, 2),
    "Sub": Row(elements.pointwise, 2),
    "Tanh": Row(elements.function("tanh"), 1),
    "Transpose": Row(shapes.transpose, 1),
    "Unsqueeze": Row(shapes.unsqueeze, 2),
    "Upsample": Row(resize.resize, 2),
}
