"""CMSIS-NN's current API: int8 activations and weights ("s8"), int32 sums.

Wrapper functions keep one signature from v4 to v7, and one arithmetic on all core
classes. The core class decides how much scratch memory a call is given, and whether a
fully connected layer is handed its weight sums: version 7 wants them on MVE cores.

Rounding is the library's build: `arm_nn_requantize` rounds twice unless
`CMSIS_NN_USE_SINGLE_ROUNDING` is defined.
"""

from __future__ import annotations

from kanji_np.targets.library import Library
from kanji_np.types import Numerics


def _numerics(core: str, rounding: str) -> Numerics:
    return Numerics(requantize=rounding)


CMSIS_NN = Library(
    name="cmsis-nn",
    versions=("7.0.0", "4.0.0"),
    roundings=("double", "single"),
    numerics=_numerics,
    schemes=("pow2", "pow2-per-channel", "symmetric", "asymmetric"),
    since={
        "arm_convolve_wrapper_s4": "5.0.0",
        "arm_depthwise_conv_wrapper_s4": "5.0.0",
        "arm_fully_connected_s4": "5.0.0",
        "arm_vector_sum_s8": "5.0.0",
        "arm_fully_connected_per_channel_s8": "7.0.0",
        "arm_pad_s8": "7.0.0",
    },
)
