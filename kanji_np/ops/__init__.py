"""The operators: one file each, one row each in `OPS`. See `op` for the protocol."""

from __future__ import annotations

from kanji_np.ops.add import ADD
from kanji_np.ops.attributes import Attributes, attribute
from kanji_np.ops.avg_pool2d import AVG_POOL2D
from kanji_np.ops.concatenate import CONCATENATE
from kanji_np.ops.conv1d import CONV1D
from kanji_np.ops.conv2d import CONV2D
from kanji_np.ops.dense import DENSE
from kanji_np.ops.depthwise_conv2d import DEPTHWISE_CONV2D
from kanji_np.ops.flatten import FLATTEN
from kanji_np.ops.global_avg_pool2d import GLOBAL_AVG_POOL2D
from kanji_np.ops.hard_swish import HARD_SWISH
from kanji_np.ops.leaky_relu import LEAKY_RELU
from kanji_np.ops.max_pool2d import MAX_POOL2D
from kanji_np.ops.maximum import MAXIMUM
from kanji_np.ops.mean import MEAN
from kanji_np.ops.minimum import MINIMUM
from kanji_np.ops.mul import MUL
from kanji_np.ops.normalize import NORMALIZE
from kanji_np.ops.op import OPS, Constants, Fast, Op, Weights, register
from kanji_np.ops.pad import PAD
from kanji_np.ops.relu import RELU
from kanji_np.ops.relu6 import RELU6
from kanji_np.ops.requantize import REQUANTIZE
from kanji_np.ops.rescaling import RESCALING
from kanji_np.ops.reshape import RESHAPE
from kanji_np.ops.resize_nearest import RESIZE_NEAREST
from kanji_np.ops.sigmoid import SIGMOID
from kanji_np.ops.slice import SLICE
from kanji_np.ops.softmax import SOFTMAX
from kanji_np.ops.standardize import STANDARDIZE
from kanji_np.ops.sub import SUB
from kanji_np.ops.tanh import TANH
from kanji_np.ops.transpose import TRANSPOSE
from kanji_np.ops.transpose_conv2d import TRANSPOSE_CONV2D
from kanji_np.ops.with_constant import WITH_CONSTANT
from kanji_np.types import Arrays, Gradients, Shapes, Specs

#: The operators of this package.
BUILT_IN = (
    NORMALIZE,
    STANDARDIZE,
    RESCALING,
    CONV2D,
    DEPTHWISE_CONV2D,
    CONV1D,
    TRANSPOSE_CONV2D,
    DENSE,
    MAX_POOL2D,
    AVG_POOL2D,
    GLOBAL_AVG_POOL2D,
    MEAN,
    RELU,
    RELU6,
    LEAKY_RELU,
    HARD_SWISH,
    SIGMOID,
    TANH,
    REQUANTIZE,
    ADD,
    SUB,
    MUL,
    MINIMUM,
    MAXIMUM,
    WITH_CONSTANT,
    CONCATENATE,
    PAD,
    SLICE,
    TRANSPOSE,
    RESIZE_NEAREST,
    RESHAPE,
    FLATTEN,
    SOFTMAX,
)

for _op in BUILT_IN:
    register(_op)

__all__ = [
    "BUILT_IN",
    "OPS",
    "Arrays",
    "Attributes",
    "Constants",
    "Fast",
    "Gradients",
    "Op",
    "Shapes",
    "Specs",
    "Weights",
    "attribute",
    "register",
]
