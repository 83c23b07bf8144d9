"""Kernels of this project's own: every target's firmware has them, from ccore."""

from __future__ import annotations

from kanji_np.types import Argument, Constant, KernelCall

HEADER = "kanji_nn.h"


def call(
    function: str,
    *arguments: Argument,
    constants: tuple[Constant, ...] = (),
    in_place: bool = False,
) -> KernelCall:
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=arguments,
        constants=constants,
        in_place=in_place,
        status="int32_t",
    )
