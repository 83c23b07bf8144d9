"""CMSIS-NN's current API: int8 activations and weights ("s8"), int32 sums.

Wrapper functions keep one signature from v4 to v7, and one arithmetic on all core
classes. The core class decides how much scratch memory a call is given, and whether a
fully connected layer is handed its weight sums: version 7 wants them on MVE cores.

Version "7.0.0" stands for the tag v7.0.0 and for commits after it, up to 99f736a6,
which is 43 commits later and gave the golden vectors. A network made for it runs on
either. In the functions that networks call the two differ twice:

- On MVE cores the tag's `arm_convolve_wrapper_s4_get_buffer_size` asks the s8 function,
  which wants memory for one row of pixels; mended later (c01c0a14). The arena has it.
- Rounding once, the tag's `arm_nn_requantize` cuts twice the result to int32, so that
  it is wrong from 2^30 on; mended later (ece5a38a). No result is as large: `quantize`
  and the operators that join tensors refuse scales that would let one be.

Recurrent layers and transposed convolution were mended too; no network calls them.

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
    releases={
        "7.0.0": "CMSIS-NN v7.0.0, and commits after it up to v7.0.0+43 (99f736a6)",
        "4.0.0": "CMSIS-NN v4.0.0",
    },
)
