"""LiteRT as it runs by default: XNNPACK's kernels, and its own where XNNPACK has none.

By the package `ai-edge-litert`, on x86-64.
"""

from __future__ import annotations

from kanji_np.targets.tflite.runtime import runtime
from kanji_np.types import Numerics

XNNPACK = runtime(
    "xnnpack",
    "2.3.0",
    "ai-edge-litert 2.3.0",
    Numerics(kernels="xnnpack"),
    {},
)
