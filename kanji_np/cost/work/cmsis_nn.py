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
from kanji_np.cost.work.loops import Integers, Row, Work, copied, loop, once, summed
from kanji_np.cost.work.windows import Windows, windows

Loop = Mapping[str, float]
#: Rows, outputs, depth, core class -> the loops of a product.
Product = Callable[[int, int, int, str], list[Loop]]


# ------------------------------------------------- sums of products


def products(depth: int, core_class: str) -> dict[str, float]:
    """Rounds of a sum of products, and whether the loop over the rest is entered."""
    if core_class == "c":
        return {"singles": depth}
    return {"quads": depth // 4, "singles": depth % 4, "rest": depth % 4 > 0}


def wide_products(depth: int, core_class: str) -> dict[str, float]:
    """The same where sixteen products are written out."""
    if core_class == "c":
        return {"singles": depth}
    return {
        "sixteens": depth // 16,
        "quads": depth % 16 // 4,
        "rest of quads": depth % 16 >= 4,
        "singles": depth % 4,
        "rest": depth % 4 > 0,
    }


def unrolled_products(depth: int, core_class: str) -> dict[str, float]:
    """The same where the compiler unrolls the loop eight times, which takes a detour
    to enter it."""
    rounds = products(depth, core_class)
    if core_class != "c":
        rounds |= {"eights": depth // 32, "entered": depth >= 4}
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
    w = windows(given, "conv_params")
    rounds = nibble_products(w.kernel_taps * w.depth, core_class)
    pairs, last = divmod(w.count, 2)
    fours, rest = divmod(w.filters, 4)
    return once(
        "convolve int4",
        loop("cells", w.count),
        *_widened(w, core_class),
        loop("pairs", pairs),
        loop("2x4", pairs * fours, **rounds),
        loop("2x1", pairs * rest, **rounds),
        loop("1x1", last * w.filters, **rounds),
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


def general(given: Integers, core_class: str) -> Work:
    """Windows are copied and widened to int16, two at a time, and multiplied."""
    w = windows(given, "conv_params")
    rounds = products(w.kernel_taps * w.depth, core_class)
    pairs, last = divmod(w.count, 2)
    outputs = w.filters // w.groups
    return once(
        "convolve" if w.groups == 1 else "convolve in groups",
        loop("groups", w.groups),
        loop("rows", w.groups * w.rows.output),
        loop("cells", w.groups * w.count, **rounds),
        copied("copies", w.groups * w.inside, w.depth),
        copied("fills", w.groups * (w.taps - w.inside), w.depth),
        loop("pairs", w.groups * pairs),
        loop("2x2", w.groups * pairs * (outputs // 2), **rounds),
        loop("2x1", w.groups * pairs * (outputs % 2), **rounds),
        loop("1x1", last * w.filters, **rounds),
    )


def _widened(w: Windows, core_class: str) -> list[Loop]:
    """Windows widened to int16, without a copy before."""
    return [
        _widened_cells(w, core_class),
        copied("fills", w.taps - w.inside, 2 * w.channels),
    ]


def _widened_cells(w: Windows, core_class: str) -> Loop:
    rounds = products(w.channels, core_class)
    rounds.pop("rest", None)
    return loop("widened", w.inside, **rounds)


# ------------------------------------------------- depthwise convolution


def depthwise(given: Integers, core_class: str) -> Work:
    w = windows(given, "dw_conv_params")
    if _has_one_filter(given):
        padding = max(w.rows.padding, w.columns.padding)
        if w.rows.kernel == w.columns.kernel == 3 and padding <= 1:
            return _depthwise_3x3(w)
        if core_class == "dsp":
            return _depthwise_widened(w)
    return _depthwise_one_by_one(given, w)


def _has_one_filter(given: Integers) -> bool:
    """Whether each channel has one, and without dilation."""
    names = ("ch_mult", "dilation.h", "dilation.w")
    return all(given[f"dw_conv_params.{name}"] == 1 for name in names)


def _depthwise_3x3(w: Windows) -> Work:
    """Four channels at a time. The middle column of a window is always computed."""
    rows = w.inside_rows
    sides = w.inside - rows
    full = w.rows.taps * w.columns.full
    fours, rest = divmod(w.filters, 4)
    return once(
        "depthwise 3x3",
        loop("rows", w.rows.output),
        loop("cells", w.count),
        loop("fours", fours * w.count),
        loop("fours.rows", fours * rows),
        loop("fours.sides", fours * sides),
        loop("fours.full rows", fours * full),
        loop("rest", rest * w.count),
        loop("rest.rows", rest * rows),
        loop("rest.sides", rest * sides),
        loop("rest.full rows", rest * full),
    )


def _depthwise_widened(w: Windows) -> Work:
    """DSP cores: a window of all channels is widened, then come four at a time."""
    return once(
        "depthwise",
        loop("cells", w.count),
        *_depthwise_windows(w, "dsp"),
        loop(
            "fours",
            w.count * (w.filters // 4),
            pairs=w.kernel_taps // 2,
            odd=w.kernel_taps % 2,
        ),
        loop("rest", w.count * (w.filters % 4), taps=w.kernel_taps),
    )


def _depthwise_windows(w: Windows, core_class: str) -> list[Loop]:
    """Rows of a window that lie in the padding are cleared at once."""
    beside = w.rows.taps * w.columns.padded
    rows = w.rows.padded * w.columns.output
    return [
        _widened_cells(w, core_class),
        summed(
            copied("fills", beside, 2 * w.channels),
            copied("fills", rows, 2 * w.channels * w.columns.kernel),
        ),
    ]


def _depthwise_one_by_one(given: Integers, w: Windows) -> Work:
    """A loop over each output's window; where a channel has 4, 8, .. filters four at a
    time."""
    kernel, outputs = "depthwise generic", w.filters
    if max(w.rows.dilation, w.columns.dilation) > 1:
        kernel = "depthwise dilated"
    elif given["dw_conv_params.ch_mult"] % 4 == 0:
        kernel, outputs = "depthwise by fours", outputs // 4
    return _outputs(kernel, outputs, w)


def _outputs(kernel: str, outputs: int, w: Windows) -> Work:
    """A loop over the window of each output, or of some together."""
    return once(
        kernel,
        loop("rows", w.rows.output),
        loop("cells", w.count, channels=w.channels),
        loop("outputs", outputs * w.count),
        loop("outputs.rows", outputs * w.inside_rows),
        loop("outputs.taps", outputs * w.inside),
    )


def nibble_depthwise(given: Integers, core_class: str) -> Work:
    w = windows(given, "dw_conv_params")
    if not _has_one_filter(given):
        return _nibble_depthwise_one_by_one(given, w)
    taps = {"taps": w.kernel_taps}
    if core_class != "c":
        taps = {"pairs": w.kernel_taps // 2, "odd": w.kernel_taps % 2}
    parity, rest = "odd", w.filters % 4
    if w.filters % 2 == 0:
        parity, rest = "even", rest // 2  # two together
    return once(
        f"depthwise int4, {parity} channels",
        loop("cells", w.count),
        *_depthwise_windows(w, core_class),
        loop("fours", w.count * (w.filters // 4), **taps),
        loop("rest", w.count * rest, taps=w.kernel_taps),
    )


def _nibble_depthwise_one_by_one(given: Integers, w: Windows) -> Work:
    multiplier = given["dw_conv_params.ch_mult"]
    if multiplier == 1:
        return _outputs("depthwise int4, two channels", w.filters // 2, w)
    if multiplier % 2 == 0:
        return _outputs("depthwise int4, two filters", w.filters // 2, w)
    return _outputs("depthwise int4, one filter", w.filters, w)


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
