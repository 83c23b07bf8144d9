"""The legacy q7 API of CMSIS 5 (CMSIS/NN up to 5.9.0): powers of two, int8 biases.

    y = clamp((sum(x * w) + (bias << bias_shift) + half) >> out_shift, -128, 127)

with half = 2^(out_shift - 1), or 0 where the library is built with `ARM_NN_TRUNCATE`.
Both shifts are at least 0: `quantize` widens ranges that would ask for less.

Core classes differ in average pooling: DSP cores divide along x and then along y, both
times toward zero; plain C and MVE cores divide once. On DSP cores a pool destroys its
input, and computes wrong values where padding is not less than the stride, which is
refused.

There is no kernel for tensors of two scales, and pools are square.
"""

from __future__ import annotations

from kanji_np.targets.library import Library
from kanji_np.types import Numerics

ROUNDING = {"half_up": "single", "truncate": "truncate"}


def _numerics(core: str, rounding: str) -> Numerics:
    return Numerics(
        kernels="cmsis-nn-q7",
        rounding=ROUNDING[rounding],
        bias_bits=8,
        average="toward_zero_twice" if core == "dsp" else "toward_zero",
        softmax="pow2",
    )


CMSIS_NN_Q7 = Library(
    name="cmsis-nn-q7",
    versions=("5.9.0",),
    roundings=("half_up", "truncate"),
    numerics=_numerics,
    schemes=("pow2",),
    channel_scales=False,
    since={},
    releases={"5.9.0": "CMSIS 5.9.0"},
)
