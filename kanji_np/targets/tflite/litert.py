"""LiteRT's reference kernels, by the package `ai-edge-litert`.

They compute what TFLite Micro's do, but for

dense       q = round(v * f)        in float64, halves away from zero, f = sx sw / sy
sigmoid, tanh, relu, leaky_relu     see their pages
"""

from __future__ import annotations

from dataclasses import replace

from kanji_np.targets.tflite.runtime import runtime
from kanji_np.types import Numerics

_NUMERICS = Numerics(kernels="litert", scales="float32")

LITERT = runtime(
    "litert",
    "2.3.0",
    "ai-edge-litert 2.3.0",
    _NUMERICS,
    {"dense": replace(_NUMERICS, rounding="float64")},
)
