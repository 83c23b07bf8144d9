"""CMSIS-NN's current API: int8 activations and weights ("s8"), int32 sums.

Wrapper functions keep one signature from v5 to v7, and one arithmetic on all core
classes; the core class decides only how much scratch memory a call is given. "dsp" is
Cortex-M4, M7 and M33, whose scratch also covers M0 and M3.

Rounding is the library's default build: `arm_nn_requantize` rounds twice.
"""

from __future__ import annotations

from kanji_np.types import TargetSpec

CMSIS_NN = TargetSpec(
    library="cmsis-nn", version="7.0.0", core="dsp", rounding="double"
)
