"""Which kernel a wrapper of CMSIS-NN calls.

A wrapper picks one of several kernels by shape. What its firmware takes of the stack is
what that one takes.

References
----------
CMSIS-NN 4.0.0 and 7.0.0, `Source/ConvolutionFunctions/*_wrapper_*.c`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kanji_np.cost.work import integers
from kanji_np.cost.work.loops import Integers
from kanji_np.types import KernelCall

V4 = "cmsis-nn-4.0.0"


@dataclass(frozen=True)
class _Asked:
    """What a wrapper looks at."""

    given: Integers
    params: str
    provider: str
    core_class: str

    @property
    def kernel(self) -> tuple[int, int]:
        return self.given["filter_dims.h"], self.given["filter_dims.w"]

    @property
    def channels(self) -> int:
        return self.given["input_dims.c"]

    def pair(self, name: str) -> tuple[int, int]:
        """A parameter of both axes."""
        height, width = (self.given[f"{self.params}.{name}.{axis}"] for axis in "hw")
        return height, width


def picked(call: KernelCall, provider: str, core_class: str) -> str | None:
    """The kernel that a call of a wrapper ends in.

    Parameters
    ----------
    call : KernelCall
    provider : str
        Whose wrapper it is, such as "cmsis-nn-7.0.0".
    core_class : "c", "dsp" or "mve"

    Returns
    -------
    str or None
        The kernel's name; None if the function is no wrapper.
    """
    row = WRAPPERS.get(call.function)
    if row is None:
        return None
    params, pick = row
    return pick(_Asked(integers(call), params, provider, core_class))


def _convolution(asked: _Asked) -> str:
    return _of_convolutions(asked, "s8")


def _nibble_convolution(asked: _Asked) -> str:
    name = _of_convolutions(asked, "s4")
    depth = asked.kernel[0] * asked.kernel[1] * asked.channels
    if (name, asked.core_class, depth % 2) == ("arm_convolve_s4", "mve", 0):
        return "arm_convolve_even_s4"
    return name


def _of_convolutions(asked: _Asked, weights: str) -> str:
    stride, dilation = asked.pair("stride"), asked.pair("dilation")
    if (asked.kernel, asked.pair("padding"), dilation) == ((1, 1), (0, 0), (1, 1)):
        fast = "_fast" if stride == (1, 1) else ""
        return f"arm_convolve_1x1_{weights}{fast}"
    is_whole = (
        asked.given["output_dims.w"] % 4 == 0
        if asked.provider == V4
        else stride[1] * asked.channels % 4 == 0
    )
    if (asked.given["input_dims.h"], asked.kernel[0], dilation[1]) == (1, 1, 1):
        if is_whole:
            return f"arm_convolve_1_x_n_{weights}"
    return f"arm_convolve_{weights}"


def _depthwise(asked: _Asked) -> str:
    is_mve = asked.core_class == "mve"
    several = asked.given["output_dims.c"] > 1
    if is_mve and asked.channels == 1 and several and asked.provider != V4:
        return "arm_convolve_wrapper_s8"
    if not _is_plain(asked):
        return "arm_depthwise_conv_s8"
    if not is_mve and asked.kernel == (3, 3) and max(asked.pair("padding")) <= 1:
        return "arm_depthwise_conv_3x3_s8"
    return "arm_depthwise_conv_s8_opt"


def _nibble_depthwise(asked: _Asked) -> str:
    return f"arm_depthwise_conv_s4{'_opt' if _is_plain(asked) else ''}"


def _is_plain(asked: _Asked) -> bool:
    """Whether each channel has one filter, without dilation."""
    one_filter = asked.given[f"{asked.params}.ch_mult"] == 1
    return one_filter and asked.pair("dilation") == (1, 1)


#: The name of a wrapper's parameters, and how it picks.
WRAPPERS: Mapping[str, tuple[str, Callable[[_Asked], str]]] = {
    "arm_convolve_wrapper_s8": ("conv_params", _convolution),
    "arm_convolve_wrapper_s4": ("conv_params", _nibble_convolution),
    "arm_depthwise_conv_wrapper_s8": ("dw_conv_params", _depthwise),
    "arm_depthwise_conv_wrapper_s4": ("dw_conv_params", _nibble_depthwise),
}
