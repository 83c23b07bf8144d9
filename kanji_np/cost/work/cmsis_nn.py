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

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from kanji_np.cost.work import cmsis_nn_elementwise as elementwise
from kanji_np.cost.work.loops import (
    Integers,
    Row,
    Work,
    entered,
    loop,
    multiplied,
    once,
)
from kanji_np.cost.work.places import window_copies
from kanji_np.cost.work.runtime import WORD, Fill, copied, division_on_v6m, filled
from kanji_np.cost.work.windows import Axis, Windows, windows

Loop = Mapping[str, float]
#: Depth, core class -> rounds of a sum of products.
Rounds = Callable[[int, str], Loop]
#: Rows, outputs, depth, core class -> the loops of a product.
Product = Callable[[int, int, int, str], list[Loop]]


# ------------------------------------------------- sums of products


def products(depth: int, core_class: str) -> dict[str, float]:
    """Rounds of a sum of products, and which of its loops are entered."""
    if core_class == "c":
        return {"singles": depth}
    return entered(quads=depth // 4, singles=depth % 4)


def wide_products(depth: int, core_class: str) -> dict[str, float]:
    """The same where sixteen products are written out, by hand or by the compiler."""
    if core_class == "c":
        return {"singles": depth}
    sixteens, rest = divmod(depth, 16)
    return entered(sixteens=sixteens, quads=rest // 4, singles=rest % 4)


def nibble_products(depth: int, core_class: str) -> dict[str, float]:
    """With int4 weights, two in a byte; the last one of an odd depth is apart."""
    if core_class == "c":
        return entered(pairs=depth // 2)
    return entered(quads=depth // 4) | {"pairs": depth % 4 // 2}


def wide_nibble_products(depth: int, core_class: str) -> dict[str, float]:
    """With int4 weights, where sixteen products are written out."""
    if core_class == "c":
        return nibble_products(depth, core_class)
    sixteens, rest = divmod(depth, 16)
    return entered(sixteens=sixteens, quads=rest // 4) | {"pairs": rest % 4 // 2}


def half_bytes(name: str, outputs: int, times: float, depth: int) -> Loop:
    """With int4 weights of an odd depth every second output begins within a byte."""
    is_odd = depth % 2
    return {
        f"{name}.ends in a byte": is_odd * times * (outputs - outputs // 2),
        f"{name}.begins in a byte": is_odd * times * (outputs // 2),
    }


def matrix(rows: int, outputs: int, depth: int, core_class: str) -> list[Loop]:
    """Both operands int8: the sum of each weight row, then its products."""
    rounds = wide_products(depth, core_class)
    pairs = outputs // 2
    return [
        loop("some output pairs", pairs > 0),
        loop("output pairs", pairs, sums=depth),
        loop("output pairs with 2x2", pairs * (rows > 1)),
        loop("2x2", pairs * (rows // 2), **rounds),
        loop("1x2", pairs * (rows % 2), **rounds),
        loop("odd output", outputs % 2),
        loop("1x1", (outputs % 2) * rows, singles=depth),
    ]


def nibble_matrix(rows: int, outputs: int, depth: int, core_class: str) -> list[Loop]:
    """The same with int4 weights: four outputs at a time, in two passes."""
    rounds = wide_nibble_products(depth, core_class)
    fours, rest = divmod(outputs, 4)
    twos, last = divmod(rows, 2)
    return [
        loop("some fours", fours > 0),
        loop("fours", fours),
        loop("fours with 2x4", fours * (twos > 0)),
        loop("2x4", fours * twos, odd=depth % 2, **rounds),
        loop("1x4", fours * last, odd=depth % 2, **rounds),
        loop("some rest", rest > 0),
        loop("rest", rest),
        loop("rest with 2x1", rest * (twos > 0)),
        loop("2x1", rest * twos, **rounds),
        half_bytes("2x1", rest, twos, depth),
        loop("1x1", rest * last, **rounds),
        half_bytes("1x1", rest, last, depth),
    ]


# ------------------------------------------------- convolution


def convolution(given: Integers, core_class: str, otherwise: Row) -> Work:
    if _is_pointwise(given):
        return _pointwise(given, core_class, "convolve 1x1", matrix)
    return otherwise(given, core_class)


def nibble_convolution(given: Integers, core_class: str) -> Work:
    if _is_pointwise(given):
        return _pointwise(given, core_class, "convolve int4 1x1", nibble_matrix)
    w = windows(given, "conv_params")
    depth = w.kernel_taps * w.depth
    rounds = nibble_products(depth, core_class)
    pairs, last = divmod(w.count, 2)
    fours, rest = divmod(w.filters, 4)
    return once(
        "convolve int4",
        *_cells(w),
        *_widened(w, core_class),
        loop("pairs", pairs),
        loop("pairs with 2x4", pairs * (fours > 0)),
        loop("pairs with 2x1", pairs * (rest > 0)),
        loop("2x4", pairs * fours, odd=depth % 2, **rounds),
        loop("2x1", pairs * rest, **rounds),
        half_bytes("2x1", rest, pairs, depth),
        loop("last", last),
        loop("1x1", last * w.filters, **rounds),
        half_bytes("1x1", w.filters, last, depth),
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
    return once(
        kernel, loop("rows", height), *(multiplied(height, each) for each in loops)
    )


def general(given: Integers, core_class: str) -> Work:
    """Windows are copied, then widened to int16, two at a time, and multiplied."""
    w = windows(given, "conv_params")
    copies, fills = window_copies(w)
    rounds = products(w.kernel_taps * w.depth, core_class)
    return _convolved(
        w,
        core_class,
        loop("columns", w.groups * w.count, **rounds),
        copied("copies", copies.items(), core_class),
        filled("fills", fills.items(), core_class),
    )


def general_of_4(given: Integers, core_class: str) -> Work:
    """The same in 4.0.0, where windows are widened as they are copied."""
    w = windows(given, "conv_params")
    return _convolved(w, core_class, *_widened(w, core_class))


def _convolved(w: Windows, core_class: str, *columns: Loop) -> Work:
    """Products of two windows with two outputs; `columns` makes the windows."""
    rounds = products(w.kernel_taps * w.depth, core_class)
    pairs, last = divmod(w.count, 2)
    outputs = w.filters // w.groups
    return once(
        "convolve" if w.groups == 1 else "convolve in groups",
        loop("groups", w.groups),
        *_cells(w),
        *columns,
        loop("pairs", w.groups * pairs),
        loop("pairs with 2x2", w.groups * pairs * (outputs > 1)),
        loop("2x2", w.groups * pairs * (outputs // 2), **rounds),
        loop("2x1", w.groups * pairs * (outputs % 2), **rounds),
        loop("last", w.groups * last),
        loop("1x1", last * w.filters, **rounds),
    )


def _cells(w: Windows) -> list[Loop]:
    """Loops over the windows and their rows."""
    return [
        loop("rows", w.groups * w.rows.output),
        loop("cells", w.groups * w.count, rows=w.rows.kernel),
    ]


def _widened(w: Windows, core_class: str) -> list[Loop]:
    """Windows widened to int16, without a copy before."""
    _, fills = window_copies(w, item_bytes=2)
    return [
        _widened_cells(w, core_class),
        filled("fills", fills.items(), core_class),
    ]


def _widened_cells(w: Windows, core_class: str) -> Loop:
    return loop("widened", w.inside, **products(w.channels, core_class))


# ------------------------------------------------- depthwise convolution


def depthwise(given: Integers, core_class: str) -> Work:
    w = windows(given, "dw_conv_params")
    if _has_one_filter(given):
        padding = max(w.rows.padding, w.columns.padding)
        if w.rows.kernel == w.columns.kernel == 3 and padding <= 1:
            return _depthwise_3x3(w)
        if core_class == "dsp":
            return _depthwise_widened(w)
    return _depthwise_one_by_one(given, w, core_class)


def _has_one_filter(given: Integers) -> bool:
    """Whether each channel has one, and without dilation."""
    names = ("ch_mult", "dilation.h", "dilation.w")
    return all(given[f"dw_conv_params.{name}"] == 1 for name in names)


def _depthwise_3x3(w: Windows) -> Work:
    """Four channels at a time. The middle column of a window is always computed."""
    columns = [
        x * w.columns.stride - w.columns.padding for x in range(w.columns.output)
    ]
    left = w.rows.taps * sum(x >= 0 for x in columns)
    right = w.rows.taps * sum(w.columns.input - x >= 3 for x in columns)
    fours, rest = divmod(w.filters, 4)
    return once(
        "depthwise 3x3",
        loop("rows", w.rows.output),
        loop("cells", w.count, fours=fours > 0, rest=rest > 0),
        *(
            loop(name, n * w.count)
            | {
                f"{name}.rows": n * w.inside_rows,
                f"{name}.left": n * left,
                f"{name}.right": n * right,
            }
            for name, n in (("fours", fours), ("rest", rest))
        ),
    )


def _depthwise_widened(w: Windows) -> Work:
    """DSP cores: a window of all channels is widened, then come four at a time."""
    fours, rest = divmod(w.filters, 4)
    taps = entered(pairs=w.kernel_taps // 2, odd=w.kernel_taps % 2)
    return once(
        "depthwise",
        loop("rows", w.rows.output),
        loop("cells", w.count, fours=fours > 0, rest=rest > 0),
        *_depthwise_windows(w, "dsp"),
        loop("fours", w.count * fours, **taps),
        loop("rest", w.count * rest, taps=w.kernel_taps),
    )


def _depthwise_windows(w: Windows, core_class: str) -> list[Loop]:
    """Rows of a window that lie in the padding are cleared at once."""
    fills = Counter[Fill]()
    pixel, row = 2 * w.channels, 2 * w.channels * w.columns.kernel
    for y in w.rows.reaches:
        after = w.rows.kernel - y.first - y.count
        fills[Fill(y.first * row)] += (y.first > 0) * w.columns.output
        fills[Fill(after * row, (y.first + y.count) * row % WORD)] += (
            after > 0
        ) * w.columns.output
        for x in w.columns.reaches:
            for tap in range(w.columns.kernel):
                if not x.first <= tap < x.first + x.count:
                    fills[Fill(pixel, tap * pixel % WORD)] += y.count
    return [
        loop("window rows", w.inside_rows),
        _widened_cells(w, core_class),
        filled("fills", fills.items(), core_class),
    ]


def _depthwise_one_by_one(given: Integers, w: Windows, core_class: str) -> Work:
    """A loop over each output's window; where a channel has 4, 8, .. filters four at a
    time."""
    kernel, outputs = "depthwise generic", w.filters
    if max(given["dw_conv_params.dilation.h"], given["dw_conv_params.dilation.w"]) > 1:
        kernel = "depthwise dilated"
    elif given["dw_conv_params.ch_mult"] % 4 == 0:
        kernel, outputs = "depthwise by fours", outputs // 4
    return _outputs(kernel, outputs, w, given, core_class)


def _outputs(
    kernel: str, outputs: int, w: Windows, given: Integers, core_class: str
) -> Work:
    """A loop over the window of each output, or of some together.

    With dilation each of them divides to find where its window begins and ends.
    """
    dilated = [
        (axis, given[f"dw_conv_params.dilation.{name}"], w.count // axis.output)
        for name, axis in (("h", w.rows), ("w", w.columns))
    ]
    dilated = [each for each in dilated if each[1] > 1]
    divisions = sum(n * _divisions(axis, dilation) for axis, dilation, n in dilated)
    return once(
        kernel,
        loop("rows", w.rows.output),
        loop("cells", w.count, channels=w.channels),
        loop("outputs", outputs * w.count),
        loop("outputs dilated", outputs * w.count * len(dilated)),
        loop("divisions on v6-M", outputs * divisions) if core_class == "c" else {},
        loop("outputs.rows", outputs * w.inside_rows),
        loop("outputs.taps", outputs * w.inside),
    )


def _divisions(axis: Axis, dilation: int) -> int:
    """Instructions of the divisions over an axis, on cores that have none."""
    starts = (output * axis.stride - axis.padding for output in range(axis.output))
    return sum(
        division_on_v6m(end - start + dilation - 1, dilation)
        for start in starts
        for end in (0, axis.input)
    )


def nibble_depthwise(given: Integers, core_class: str) -> Work:
    w = windows(given, "dw_conv_params")
    if not _has_one_filter(given):
        return _nibble_depthwise_one_by_one(given, w, core_class)
    parity, rest = "odd", w.filters % 4
    if w.filters % 2 == 0:
        parity, rest = "even", rest // 2  # two together
    if core_class == "c" and parity == "even":
        taps = entered(singles=w.kernel_taps)
    else:
        taps = entered(pairs=w.kernel_taps // 2, singles=w.kernel_taps % 2)
    fours = w.filters // 4
    return once(
        f"depthwise int4, {parity} channels",
        loop("rows", w.rows.output),
        loop("cells", w.count, fours=fours > 0, rest=rest > 0),
        *_depthwise_windows(w, core_class),
        loop("fours", w.count * fours, **taps),
        loop("rest", w.count * rest, taps=w.kernel_taps),
    )


def _nibble_depthwise_one_by_one(given: Integers, w: Windows, core_class: str) -> Work:
    multiplier = given["dw_conv_params.ch_mult"]
    kernel, outputs = "one filter", w.filters
    if w.channels % 2:
        kernel = "one filter of odd channels"
    elif multiplier == 1:
        kernel, outputs = "two channels", w.filters // 2
    elif multiplier % 2 == 0:
        kernel, outputs = "two filters", w.filters // 2
    return _outputs(f"depthwise int4, {kernel}", outputs, w, given, core_class)


# ------------------------------------------------- fully connected


def fully_connected(
    given: Integers, core_class: str, kernel: str, rounds_of: Rounds
) -> Work:
    """Two outputs at a time on DSP cores, three on plain C cores."""
    together = 3 if core_class == "c" else 2
    outputs = given["output_dims.c"]
    rounds = rounds_of(given["filter_dims.n"], core_class)
    return once(
        kernel,
        loop("some together", outputs >= together),
        loop("together", outputs // together, **rounds),
        loop("some rest", outputs % together > 0),
        loop("rest", outputs % together, **rounds),
    )


def nibble_fully_connected(given: Integers, core_class: str) -> Work:
    depth = given["filter_dims.n"]
    rounds = nibble_products(depth, core_class)
    fours, rest = divmod(given["output_dims.c"], 4)
    return once(
        "fully connected int4",
        loop("some fours", fours > 0),
        loop("fours", fours, odd=depth % 2, **rounds),
        loop("some rest", rest > 0),
        loop("rest", rest, **rounds),
        half_bytes("rest", rest, 1, depth),
    )


ROWS: Mapping[str, Row] = {
    "arm_convolve_wrapper_s8": partial(convolution, otherwise=general),
    "arm_convolve_s8": general,
    "arm_convolve_wrapper_s4": nibble_convolution,
    "arm_depthwise_conv_wrapper_s8": depthwise,
    "arm_depthwise_conv_wrapper_s4": nibble_depthwise,
    "arm_fully_connected_s8": partial(
        fully_connected, kernel="fully connected", rounds_of=wide_products
    ),
    "arm_fully_connected_per_channel_s8": partial(
        fully_connected,
        kernel="fully connected per channel",
        rounds_of=wide_products,
    ),
    "arm_fully_connected_s4": nibble_fully_connected,
    **elementwise.ROWS,
}
ROWS_OF_4: Mapping[str, Row] = {
    **ROWS,
    "arm_convolve_wrapper_s8": partial(convolution, otherwise=general_of_4),
    "arm_fully_connected_s8": partial(
        fully_connected, kernel="fully connected", rounds_of=products
    ),
}
