"""What training changes: float parameters and tracked ranges, around the operators.

`layer` says what a layer is, `tracked` adds the range of its output, `linear` weights,
and `batch_norm` what is folded into them. `keras` has the layers that users write.
"""

from kanji_np.layers import declared
from kanji_np.layers.batch_norm import EPSILON, BatchNorm, Statistics
from kanji_np.layers.declare import register_op
from kanji_np.layers.declared import *  # noqa: F403 - all that operators declare
from kanji_np.layers.dropout import Dropout
from kanji_np.layers.keras import (
    AvgPool2D,
    Conv1D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    MaxPool2D,
    Normalize,
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
    "EPSILON",
    "Activation",
    "AvgPool2D",
    "BatchNorm",
    "Conv1D",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Input",
    "Layer",
    "LinearLayer",
    "MaxPool2D",
    "Normalize",
    "Quantization",
    "Start",
    "Statistics",
    "Symbol",
    "TrackedLayer",
    "drawn",
    "make_layer",
    "naming",
    "register_op",
]
__all__ += declared.__all__
