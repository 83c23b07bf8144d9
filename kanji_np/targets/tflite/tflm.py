"""TensorFlow Lite Micro: its reference kernels.

As the interpreter of the Python package `tflite-micro` runs them.
"""

from __future__ import annotations

from kanji_np.targets.tflite.runtime import runtime
from kanji_np.types import Numerics

TFLM = runtime(
    "tflm",
    "0.dev20261023",
    "tflite-micro 0.dev20261023",
    Numerics(kernels="tflm"),
    {},
)
