"""What training changes: float parameters and tracked ranges, around the operators.

`layer` says what a layer is, `tracked` adds the range of its output, `linear` weights,
and `batch_norm` what is folded into them. `keras` has the layers that users write.
"""

from kanji_np.layers.batch_norm import BatchNorm, Statistics
from kanji_np.layers.keras import (
    Add,
    AvgPool2D,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Multiply,
    Normalize,
    ReLU,
    ReLU6,
    Reshape,
    Softmax,
    Standardize,
    ZeroPadding2D,
)
from kanji_np.layers.layer import (
    Activation,
    Input,
    Layer,
    Quantization,
    Start,
    Symbol,
    drawn,
    naming,
)
from kanji_np.layers.linear import LinearLayer
from kanji_np.layers.make import make_layer
from kanji_np.layers.tracked import TrackedLayer

__all__ = [
    "Activation",
    "Add",
    "AvgPool2D",
    "BatchNorm",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Flatten",
    "GlobalAvgPool2D",
    "Input",
    "Layer",
    "LinearLayer",
    "MaxPool2D",
    "Multiply",
    "Normalize",
    "Quantization",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Softmax",
    "Standardize",
    "Start",
    "Statistics",
    "Symbol",
    "TrackedLayer",
    "ZeroPadding2D",
    "drawn",
    "make_layer",
    "naming",
]
