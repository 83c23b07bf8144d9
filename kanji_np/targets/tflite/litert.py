"""LiteRT's reference kernels, by the package `ai-edge-litert`."""

from __future__ import annotations

from kanji_np.targets.tflite.runtime import runtime
from kanji_np.types import Numerics

LITERT = runtime(
    "litert",
    "2.3.0",
    "ai-edge-litert 2.3.0",
    Numerics(kernels="litert"),
    {},
)
