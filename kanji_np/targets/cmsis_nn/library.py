"""CMSIS-NN's current API: int8 activations and weights ("s8"), int32 sums.

Wrapper functions keep one signature from v4 to v7, and one arithmetic on all core
classes. The core class decides how much scratch memory a call is given, and whether a
fully connected layer is handed its weight sums: version 7 wants them on MVE cores.

Version "7.0.0" stands for the tag v7.0.0 and for commits after it, up to 99f736a6,
which is 43 commits later and gave the golden vectors. A network made for it runs on
either. In the functions that networks call the two differ twice:

- On MVE cores the tag's `arm_convolve_wrapper_s4_get_buffer_size` asks for the memory
  that the s8 kernel needs for one row of pixels. The s4 kernel does not use it, and
  c01c0a14 asks for none. The arena has it.
- In a library built to round once, the tag's `arm_nn_requantize` keeps twice the result
  in int32, which overflows for results from 2^30 on; ece5a38a keeps it in int64. No
  result is as large: `quantize` and the operators that join tensors refuse scales that
  would let one be.

Later commits mend recurrent layers and transposed convolution too, which no network
calls.

Rounding is the library's build: `arm_nn_requantize` rounds twice unless
`CMSIS_NN_USE_SINGLE_ROUNDING` is defined.
"""

from __future__ import annotations

from kanji_np.targets.library import Library
from kanji_np.types import Numerics

V7, V4 = "7.0.0", "4.0.0"


def _numerics(core: str, rounding: str) -> Numerics:
    return Numerics(rounding=rounding)


CMSIS_NN = Library(
    name="cmsis-nn",
    versions=(V7, V4),
    roundings=("double", "single"),
    numerics=_numerics,
    schemes=("pow2", "pow2-per-channel", "symmetric", "asymmetric"),
    channel_scales=True,
    since={
        "arm_convolve_wrapper_s4": "5.0.0",
        "arm_depthwise_conv_wrapper_s4": "5.0.0",
        "arm_fully_connected_s4": "5.0.0",
        "arm_vector_sum_s8": "5.0.0",
        "arm_fully_connected_per_channel_s8": V7,
        "arm_pad_s8": V7,
        "arm_minimum_s8": V7,
        "arm_maximum_s8": V7,
    },
    releases={
        V7: "CMSIS-NN v7.0.0, and commits after it up to v7.0.0+43 (99f736a6)",
        V4: "CMSIS-NN v4.0.0",
    },
)
