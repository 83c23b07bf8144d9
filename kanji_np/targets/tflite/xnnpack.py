"""LiteRT as it runs by default: XNNPACK's kernels, and its own where XNNPACK has none.

By the package `ai-edge-litert`, on x86-64. Convolutions, fully connected layers and
products are rescaled in float32:

    q = round(v * f)        halves to even, f = (sx * sw) / sy, all in float32

Sums have a fixed-point arithmetic of their own (`ops.add`), means one in float32.
Average pooling and softmax are LiteRT's optimized kernels, not XNNPACK's.
"""

from __future__ import annotations

from dataclasses import replace

from kanji_np.targets.tflite.runtime import runtime
from kanji_np.types import Numerics

_XNNPACK = Numerics(
    kernels="xnnpack",
    rounding="float32",
    factors="float32",
    scales="float32",
    softmax="table",
)
#: Where XNNPACK has no kernel, or refuses the scales.
_LITERT = replace(_XNNPACK, rounding="double", factors="float64")

XNNPACK = runtime(
    "xnnpack",
    "2.3.0",
    "ai-edge-litert 2.3.0",
    _XNNPACK,
    dict.fromkeys(("add", "sub", "mul", "with_constant"), _LITERT),
)
