"""CMSIS-NN on cores of the classes c and dsp: layers with weights, and the table of all
functions.

Products are sums over `depth` numbers. Kernels for DSP cores take four, or sixteen, in
one round; what is left is done one by one. Most compute two rows (output cells) of two
outputs (channels) at a time, and a row or output that is left over apart.

References
----------
CMSIS-NN 4.0.0 and 7.0.0, `Source/`: which loops there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from kanji_np.cost.work import cmsis_nn_elementwise as elementwise
from kanji_np.cost.work.loops import (
    Axis,
    Integers,
    Row,
    Work,
    axes,
    copied,
    loop,
    once,
)

Loop = Mapping[str, float]
#: Rows, outputs, depth, core class -> the loops of a product.
Product = Callable[[int, int, int, str], list[Loop]]


# ------------------------------------------------- sums of products


def products(depth: int, core_class: str) -> dict[str, float]:
    """Rounds of a sum of products."""
    if core_class == "c":
        return {"singles": depth}
    return {"quads": depth // 4, "singles": depth % 4}


def wide_products(depth: int, core_class: str) -> dict[str, float]:
    """The same where sixteen products are written out."""
    if core_class == "c":
        return {"singles": depth}
    return {
        "sixteens": depth // 16,
        "quads": depth % 16 // 4,
        "singles": depth % 4,
    }


def unrolled_products(depth: int, core_class: str) -> dict[str, float]:
    """The same where the compiler unrolls the loop eight times."""
    rounds = products(depth, core_class)
    if core_class != "c":
        rounds["eights"] = rounds["quads"] // 8
    return rounds


def nibble_products(depth: int, core_class: str) -> dict[str, float]:
    """With int4 weights, two in a byte."""
    if core_class == "c":
        return {"pairs": depth // 2, "odd": depth % 2}
    return {"quads": depth // 4, "pairs": depth % 4 // 2, "odd": depth % 2}


def wide_nibble_products(depth: int, core_class: str) -> dict[str, float]:
    """With int4 weights, where sixteen products are written out."""
    rounds = nibble_products(depth, core_class)
    if core_class != "c":
        rounds |= {"sixteens": depth // 16, "quads": depth % 16 // 4}
    return rounds


def matrix(rows: int, outputs: int, depth: int, core_class: str) -> list[Loop]:
    """Both operands int8: the sum of each weight row, then its products."""
    rounds = wide_products(depth, core_class)
    pairs = outputs // 2
    return [
        loop("output pairs", pairs, sums=depth),
        loop("2x2", pairs * (rows // 2), **rounds),
        loop("1x2", pairs * (rows % 2), **rounds),
        loop("odd output", outputs % 2),
        loop("1x1", (outputs % 2) * rows, singles=depth),
    ]


def nibble_matrix(rows: int, outputs: int, depth: int, core_class: str) -> list[Loop]:
    """The same with int4 weights: four outputs at a time, in two passes."""
    rounds = wide_nibble_products(depth, core_class)
    fours, rest = divmod(outputs, 4)
    return [
        loop("fours", fours),
        loop("2x4", fours * (rows // 2), **rounds),
        loop("1x4", fours * (rows % 2), **rounds),
        loop("rest", rest),
        loop("2x1", rest * (rows // 2), **rounds),
        loop("1x1", rest * (rows % 2), **rounds),
    ]


# ------------------------------------------------- convolution


def convolution(given: Integers, core_class: str) -> Work:
    if _is_pointwise(given):
        return _pointwise(given, core_class, "convolve 1x1", matrix)
    return general(given, core_class)


def nibble_convolution(given: Integers, core_class: str) -> Work:
    if _is_pointwise(given):
        return _pointwise(given, core_class, "convolve int4 1x1", nibble_matrix)
    cells = given["output_dims.h"] * given["output_dims.w"]
    outputs = given["output_dims.c"]
    depth = _depth(given)
    rounds = nibble_products(depth, core_class)
    fours, rest = divmod(outputs, 4)
    return once(
        "convolve int4",
        loop("cells", cells),
        *_widened(given, core_class),
        loop("2x4", cells // 2 * fours, **rounds),
        loop("2x1", cells // 2 * rest, **rounds),
        loop("1x1", cells % 2 * outputs, **rounds),
        loop("pairs of cells", cells // 2),
    )


def _is_pointwise(given: Integers) -> bool:
    names = ("padding.h", "padding.w", "dilation.h", "dilation.w")
    window = tuple(given[f"conv_params.{name}"] for name in names)
    kernel = given["filter_dims.h"], given["filter_dims.w"]
    return window == (0, 0, 1, 1) and kernel == (1, 1)


def _pointwise(given: Integers, core_class: str, kernel: str, product: Product) -> Work:
    """One product for all cells, or with a stride one for each row of them."""
    height, width = given["output_dims.h"], given["output_dims.w"]
    sizes = given["output_dims.c"], given["input_dims.c"], core_class
    if given["conv_params.stride.h"] == given["conv_params.stride.w"] == 1:
        return once(kernel, *product(height * width, *sizes))
    loops = product(width, *sizes)
    times = [{part: height * n for part, n in each.items()} for each in loops]
    return once(kernel, loop("rows", height), *times)


def _depth(given: Integers) -> int:
    """Numbers in a window."""
    return given["filter_dims.h"] * given["filter_dims.w"] * given["filter_dims.c"]


def general(given: Integers, core_class: str) -> Work:
    """Windows are copied and widened to int16, two at a time, and multiplied."""
    groups = given["input_dims.c"] // given["filter_dims.c"]
    outputs, depth = given["output_dims.c"] // groups, _depth(given)
    cells = given["output_dims.h"] * given["output_dims.w"]
    inside, outside = _cells_of_windows(given)
    rounds = products(depth, core_class)
    pairs = groups * (cells // 2)
    last = groups * (cells % 2)
    return once(
        "convolve" if groups == 1 else "convolve in groups",
        loop("groups", groups),
        loop("rows", groups * given["output_dims.h"]),
        loop("cells", groups * cells, **rounds),
        loop("taps", groups * cells * given["filter_dims.h"] * given["filter_dims.w"]),
        copied("copies", groups * inside, given["filter_dims.c"]),
        copied("fills", groups * outside, given["filter_dims.c"]),
        loop("pairs", pairs),
        loop("2x2", pairs * (outputs // 2), **rounds),
        loop("2x1", pairs * (outputs % 2), **rounds),
        loop("1x1", last * outputs, **rounds),
    )


def _cells_of_windows(given: Integers, params: str = "conv_params") -> tuple[int, int]:
    """Cells of all windows: those in the input, and those in the padding."""
    height, width = axes(given, params)
    inside = height.inside * width.inside
    every = height.windows * height.size * width.windows * width.size
    return inside, every - inside


def _widened(
    given: Integers, core_class: str, params: str = "conv_params"
) -> list[Loop]:
    """Windows widened to int16, without a copy before."""
    inside, outside = _cells_of_windows(given, params)
    channels = given["input_dims.c"]
    return [
        loop("widened", inside, **products(channels, core_class)),
        copied("fills", outside, 2 * channels),
    ]


# ------------------------------------------------- depthwise convolution


def depthwise(given: Integers, core_class: str) -> Work:
    if _has_one_filter(given):
        height, width = axes(given, "dw_conv_params")
        padding = given["dw_conv_params.padding.h"], given["dw_conv_params.padding.w"]
        if height.size == width.size == 3 and max(padding) <= 1:
            return _depthwise_3x3(given, height, width)
        if core_class == "dsp":
            return _depthwise_widened(given, height, width)
    return _depthwise_one_by_one(given, core_class)


def _has_one_filter(given: Integers) -> bool:
    """Whether each channel has one, and without dilation."""
    names = ("ch_mult", "dilation.h", "dilation.w")
    return all(given[f"dw_conv_params.{name}"] == 1 for name in names)


def _depthwise_3x3(given: Integers, height: Axis, width: Axis) -> Work:
    """Four channels at a time. The middle column of a window is always computed."""
    fours, rest = divmod(given["output_dims.c"], 4)
    cells = height.windows * width.windows
    rows = height.inside * width.windows
    sides = height.inside * (width.inside - width.windows)
    return once(
        "depthwise 3x3",
        loop("rows", height.windows),
        loop("cells", cells),
        loop("fours", fours * cells),
        loop("fours.rows", fours * rows),
        loop("fours.sides", fours * sides),
        loop("rest", rest * cells),
        loop("rest.rows", rest * rows),
        loop("rest.sides", rest * sides),
    )


def _depthwise_widened(given: Integers, height: Axis, width: Axis) -> Work:
    """DSP cores: a window of all channels is widened, then come four at a time."""
    channels, cells = given["output_dims.c"], height.windows * width.windows
    size = height.size * width.size
    return once(
        "depthwise",
        loop("cells", cells),
        *_depthwise_windows(given, height, width),
        loop("fours", cells * (channels // 4), pairs=size // 2, odd=size % 2),
        loop("rest", cells * (channels % 4), taps=size),
    )


def _depthwise_windows(given: Integers, height: Axis, width: Axis) -> list[Loop]:
    """Rows of a window that lie in the padding are cleared at once."""
    channels = given["input_dims.c"]
    cleared = height.outside * width.windows * width.size
    return [
        loop(
            "widened",
            height.inside * width.inside,
            **products(channels, "dsp"),
        ),
        copied("fills", height.inside * width.outside, 2 * channels),
        loop("rows of padding", height.outside * width.windows),
        loop("padding", cleared, bytes=2 * channels / 16),
        loop("windows in padding", (height.windows - height.full) * width.windows),
    ]


def _depthwise_one_by_one(given: Integers, core_class: str) -> Work:
    """A loop over each output's window; where a channel has 4, 8, .. filters four at a
    time."""
    height, width = axes(given, "dw_conv_params")
    channels, multiplier = given["input_dims.c"], given["dw_conv_params.ch_mult"]
    dilation = given["dw_conv_params.dilation.h"], given["dw_conv_params.dilation.w"]
    is_dilated = dilation != (1, 1)
    kernel, outputs = "depthwise generic", given["output_dims.c"]
    if multiplier % 4 == 0 and not is_dilated:
        kernel, outputs = "depthwise by fours", outputs // 4
    elif is_dilated:
        kernel = "depthwise dilated"
    cells = height.windows * width.windows
    return once(
        kernel,
        loop("rows", height.windows),
        loop("cells", cells, channels=channels),
        loop("outputs", outputs * cells),
        loop("outputs.rows", outputs * height.inside * width.windows),
        loop("outputs.taps", outputs * height.inside * width.inside),
    )


def nibble_depthwise(given: Integers, core_class: str) -> Work:
    height, width = axes(given, "dw_conv_params")
    channels, cells = given["output_dims.c"], height.windows * width.windows
    size = height.size * width.size
    if not _has_one_filter(given):
        return _nibble_depthwise_one_by_one(given, height, width)
    fours = (
        {"taps": size} if core_class == "c" else {"pairs": size // 2, "odd": size % 2}
    )
    even = channels % 2 == 0
    rest = channels % 4 // 2 if even else channels % 4
    return once(
        "depthwise int4, even channels" if even else "depthwise int4, odd channels",
        loop("cells", cells),
        *_depthwise_windows(given, height, width),
        loop("fours", cells * (channels // 4), **fours),
        loop("rest", cells * rest, taps=size),
    )


def _nibble_depthwise_one_by_one(given: Integers, height: Axis, width: Axis) -> Work:
    multiplier, outputs = given["dw_conv_params.ch_mult"], given["output_dims.c"]
    kernel = "depthwise int4, odd multiplier"
    if multiplier == 1 or multiplier % 2 == 0:
        kernel, outputs = "depthwise int4, two outputs", outputs // 2
        if multiplier == 1:
            kernel = "depthwise int4, two channels"
    cells = height.windows * width.windows
    return once(
        kernel,
        loop("cells", cells),
        loop("outputs", outputs * cells),
        loop("outputs.rows", outputs * height.inside * width.windows),
        loop("outputs.taps", outputs * height.inside * width.inside),
    )


# ------------------------------------------------- fully connected


def fully_connected(given: Integers, core_class: str, kernel: str) -> Work:
    """Two outputs at a time on DSP cores, three on plain C cores."""
    together = 3 if core_class == "c" else 2
    outputs, depth = given["output_dims.c"], given["filter_dims.n"]
    rounds = unrolled_products(depth, core_class)
    return once(
        kernel,
        loop("together", outputs // together, **rounds),
        loop("rest", outputs % together, **rounds),
    )


def nibble_fully_connected(given: Integers, core_class: str) -> Work:
    rounds = nibble_products(given["filter_dims.n"], core_class)
    fours, rest = divmod(given["output_dims.c"], 4)
    return once(
        "fully connected int4",
        loop("fours", fours, **rounds),
        loop("rest", rest, **rounds),
    )


ROWS: Mapping[str, Row] = {
    "arm_convolve_wrapper_s8": convolution,
    "arm_convolve_s8": general,
    "arm_convolve_wrapper_s4": nibble_convolution,
    "arm_depthwise_conv_wrapper_s8": depthwise,
    "arm_depthwise_conv_wrapper_s4": nibble_depthwise,
    "arm_fully_connected_s8": partial(fully_connected, kernel="fully connected"),
    "arm_fully_connected_per_channel_s8": partial(
        fully_connected, kernel="fully connected per channel"
    ),
    "arm_fully_connected_s4": nibble_fully_connected,
    **elementwise.ROWS,
}
