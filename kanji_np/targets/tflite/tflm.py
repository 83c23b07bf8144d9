"""TensorFlow Lite Micro: its reference kernels.

As the interpreter of the Python package `tflite-micro` runs them. All of them rescale
as CMSIS-NN does, in two roundings:

    q = requantize(v, m, s)        m * 2^(s - 31) nearest to the factor in float64

The factor is ``sx sw / sy`` of a convolution or fully connected layer, in float64 from
scales in float32, and so on; each operator's page says.
"""

from __future__ import annotations

from kanji_np.targets.tflite.runtime import runtime
from kanji_np.types import Numerics

TFLM = runtime(
    "tflm",
    "0.dev20261023",
    "tflite-micro 0.dev20261023",
    Numerics(kernels="tflm", scales="float32"),
    {},
)
