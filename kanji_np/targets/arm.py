"""What both of Arm's libraries have: one header, 16-bit extents, `arm_relu_q7`."""

from __future__ import annotations

from kanji_np.errors import UnsupportedOp
from kanji_np.types import InputPtr, KernelCall

HEADER = "arm_nnfunctions.h"
MOST_EXTENT = 2**16 - 1


def check_extents(function: str, *extents: int) -> None:
    """UnsupportedOp if one is more than the function's uint16_t parameters hold."""
    if max(extents) > MOST_EXTENT:
        raise UnsupportedOp(
            f"{function} takes {MOST_EXTENT} at most, got {max(extents)}"
        )


def relu(size: int) -> KernelCall:
    """`arm_relu_q7`, in place, over `size` integers of zero point 0.

    UnsupportedOp if there are more than it takes.
    """
    check_extents("arm_relu_q7", size)
    return KernelCall(
        function="arm_relu_q7",
        header=HEADER,
        arguments=(InputPtr(), size),
        in_place=True,
        status=None,
    )
