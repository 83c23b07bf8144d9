"""CMSIS-NN on cores with Helium (class mve).

Registers hold 16 int8 numbers, so loops over neighbours run once for 16 of them; the
last pass is predicated. Convolutions copy windows to scratch memory and multiply four
of them at a time, which share the loads of the weights; windows left over are
multiplied one by one. Sums are rescaled four at a time where four are neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from kanji_np.cost.work.loops import (
    Counts,
    Integers,
    Row,
    Work,
    memset,
    multiplied,
    summed,
)
from kanji_np.cost.work.windows import Axis, Windows, windows
from kanji_np.errors import UnsupportedOp

LANES, WORDS = 16, 4  # int8 and int32 numbers in a register
WINDOWS = 4  # that are multiplied together
DEPTHWISE_BLOCK = 124  # channels at a time


def _over(count: float, size: int) -> int:
    """How often a loop runs that takes so many at a time."""
    return int(-(-count // size))


# ------------------------------------------------- products


def _product(rows: int, filters: int, depth: int) -> Counts:
    """Rows of int8 numbers times filters: four rows together, the rest one by one."""
    four, one = divmod(rows, WINDOWS)
    vectors = _over(depth, LANES)
    return {
        "products": 1,
        "any_fours": four > 0,
        "any_ones": one > 0,
        "fours": four,
        "four_outputs": four * filters,
        "four_vectors": four * filters * vectors,
        "ones": one,
        "one_outputs": one * filters,
        "one_vectors": one * filters * vectors,
        "one_words": one * (filters // WORDS),
        "one_tails": one * (filters % WORDS),
    }


def _product_s4(rows: int, filters: int, depth: int, *, even: bool = False) -> Counts:
    """The same with int4 weights; even: where filters are whole bytes.

    Up to two rows, and where filters are whole bytes, a register is filled with 32
    weights; else it holds 16.
    """
    four, rest = divmod(rows, WINDOWS)
    counts = {
        "products": 1,
        "any_fours": four > 0,
        "fours": four,
        **_sums_s4("even_four" if even else "four", four, filters, depth, fills=even),
    }
    if rest:
        alone, fills = ("one", "two", "three")[rest - 1], even or rest < 3
        counts |= {alone: 1, **_sums_s4(alone, 1, filters, depth, fills=fills)}
    if rest == 1:
        counts |= _scaled("one", filters)
    return counts


def _sums_s4(name: str, times: int, filters: int, depth: int, *, fills: bool) -> Counts:
    """Products with each of the filters.

    Filters of an odd length begin inside a byte every second time. Then the first
    product is made alone.
    """
    outputs, vectors, rest = times * filters, depth // LANES, depth % LANES
    pairs = vectors // 2 if fills else 0
    shared = times * (filters // 2) * (depth % 2)
    return {
        f"{name}_outputs": outputs,
        f"{name}_entered": outputs * (vectors > fills),
        f"{name}_pairs": outputs * pairs,
        f"{name}_vectors": outputs * (vectors - 2 * pairs),
        f"{name}_tails": outputs * (rest > 0) - shared * (rest == 1),
        f"{name}_shared": shared,
    }


def _scaled(name: str, filters: int) -> Counts:
    """Sums of one row that are rescaled four at a time, and those left over."""
    words, tails = divmod(filters, WORDS)
    return {f"{name}_words": words, f"{name}_scaled": tails}


Product = Callable[[int, int, int], Counts]


# ------------------------------------------------- convolution


def _convolution(given: Integers, _: str) -> Work:
    return Work("convolve", _convolution_counts(given, "conv_params"))


def _convolution_counts(given: Integers, params: str) -> Counts:
    w, dilated = windows(given, params), _dilated(given, params)
    if _is_pointwise(w, dilated):
        return _pointwise(w, _product)
    ends = _row_ends(w) if _is_row(w, dilated) else None
    return _row(w, ends) if ends else {"wrapped": 1, **_general(w, _product)}


def _convolution_s4(given: Integers, _: str) -> Work:
    """Whole bytes of weights have a kernel that takes windows in another order."""
    w, dilated = windows(given, "conv_params"), _dilated(given, "conv_params")
    if _is_pointwise(w, dilated):
        counts = _pointwise(w, _product_s4)
    elif _is_row(w, dilated):
        counts = _row_s4(w)
    elif w.kernel_taps * w.depth % 2:
        counts = _general(w, _product_s4)
    else:
        pairs = w.count * (w.kernel_taps * w.depth // (2 * LANES))
        counts = {
            **_general(w, partial(_product_s4, even=True)),
            "reordered": w.count * (pairs > 0),
            "reordered_pairs": pairs,
        }
    return Work("convolve_s4", counts)


def _row_s4(w: Windows) -> Counts:
    """Windows that reach into the padding are multiplied one by one, without it."""
    ends = _row_ends(w)
    if ends is None:
        raise UnsupportedOp("the library refuses a row of so few windows")
    left, between, right = ends
    reaches = w.columns.reaches
    lengths = [
        reach.count * w.depth for reach in reaches[:left] + reaches[left + between :]
    ]
    made = _product_s4(between, w.filters, w.columns.kernel * w.depth)
    ends_made = [_end(w.filters, length) for length in lengths]
    return summed({"row": 1}, made, *ends_made)


def _end(filters: int, depth: int) -> Counts:
    """One window without what lies in the padding."""
    return {
        "ends": 1,
        "end_outputs": filters,
        "end_vectors": filters * _over(depth, LANES),
        **_scaled("end", filters),
    }


def _grouped(given: Integers, _: str) -> Work:
    """A call of the general kernel, not of the wrapper that chooses it."""
    return Work("convolve", _general(windows(given, "conv_params"), _product))


def _dilated(given: Integers, params: str) -> tuple[bool, bool]:
    """Whether a call has dilation along y and x, even where the kernel is one tap."""
    return given[f"{params}.dilation.h"] > 1, given[f"{params}.dilation.w"] > 1


def _is_pointwise(w: Windows, dilated: tuple[bool, bool]) -> bool:
    has_one_tap = all(a.kernel == 1 and a.padding == 0 for a in (w.rows, w.columns))
    return has_one_tap and not any(dilated)


def _pointwise(w: Windows, multiply: Product) -> Counts:
    """With strides row by row, else all at once."""
    lines = w.rows.output
    if w.rows.stride == w.columns.stride == 1:
        return summed({"pointwise": 1}, multiply(w.count, w.filters, w.depth))
    made = multiplied(lines, multiply(w.columns.output, w.filters, w.depth))
    return summed({"strided": 1, "strided_lines": lines}, made)


def _is_row(w: Windows, dilated: tuple[bool, bool]) -> bool:
    has_one_row = w.rows.input == w.rows.kernel == 1 and not dilated[1]
    return has_one_row and w.columns.stride * w.channels % WORDS == 0


def _row_ends(w: Windows) -> tuple[int, int, int] | None:
    """Windows that reach into the padding before the row, none, and after it.

    None if they are more than the row has: then the general kernel computes it.
    """
    c = w.columns
    odd = ((c.output - 1) * c.stride + c.kernel - c.input) % 2
    left = _over(c.padding, c.stride)
    right = _over(c.padding + odd, c.stride)
    between = c.output - left - right
    return None if between < 0 else (left, between, right)


def _row(w: Windows, ends: tuple[int, int, int]) -> Counts:
    """The ends of the row are copied, the rest is multiplied where it lies."""
    c = w.columns
    made = [_product(rows, w.filters, c.kernel * w.depth) for rows in ends]
    copies = {
        "row": 1,
        "row_copied": _over(c.kernel * w.depth, LANES)
        + _over((c.kernel - 1) * w.depth, LANES),
        "row_filled": 2 * _over(c.padding * w.depth, LANES),
    }
    return summed(*made, copies)


def _general(w: Windows, multiply: Product) -> Counts:
    """Every window is copied; groups of channels are convolved one after the other."""
    filters, depth = w.filters // w.groups, w.kernel_taps * w.depth
    four, rest = divmod(w.count, WINDOWS)
    made = summed(
        multiplied(four, multiply(WINDOWS, filters, depth)),
        multiplied(rest > 0, multiply(rest, filters, depth)),
        _copies(w, w.depth),
    )
    return summed({"general": 1, "groups": w.groups - 1}, multiplied(w.groups, made))


def _copies(w: Windows, channels: int) -> Counts:
    """All windows to scratch memory, tap by tap, and what lies beside the image."""
    vectors, outside = _over(channels, LANES), w.taps - w.inside
    return {
        "lines": w.rows.output,
        "windows": w.count,
        "window_rows": w.count * w.rows.kernel,
        "copied": w.inside,
        "copied_vectors": w.inside * vectors,
        "filled": outside,
        "filled_vectors": outside * vectors,
    }


# ------------------------------------------------- depthwise convolution


def _depthwise(given: Integers, _: str) -> Work:
    w, multiplier = windows(given, "dw_conv_params"), given["dw_conv_params.ch_mult"]
    dilated = _dilated(given, "dw_conv_params")
    if multiplier == 1 and not any(dilated):
        return Work("depthwise", _by_blocks(w))
    if multiplier % WORDS == 0 and not any(dilated):
        return Work("depthwise_by_fours", _by_tap(w, WORDS))
    more = {"dilated_outputs": w.count * w.filters * sum(dilated)}
    return Work("depthwise_by_tap", {**_by_tap(w, 1), **more})


def _depthwise_of_7(given: Integers, core_class: str) -> Work:
    """Several filters of one channel are a convolution, once weights are transposed."""
    w = windows(given, "dw_conv_params")
    if w.channels > 1 or w.filters == 1:
        return _depthwise(given, core_class)
    transposed = {
        "transposed": 1,
        "transposed_taps": w.kernel_taps,
        "transposed_weights": w.kernel_taps * w.filters,
    }
    return Work(
        "convolve", {**_convolution_counts(given, "dw_conv_params"), **transposed}
    )


def _by_blocks(w: Windows) -> Counts:
    """Four channels in a register, for four windows together or one."""
    rest, blocks = w.channels, []
    while rest > 0:
        blocks.append(_block(w, min(rest, DEPTHWISE_BLOCK)))
        rest -= DEPTHWISE_BLOCK
    return summed({"start": 1}, *blocks)


def _block(w: Windows, channels: int) -> Counts:
    four, one = divmod(w.count, WINDOWS)
    words = _over(channels, WORDS)
    return {
        **_copies(w, channels),
        "fours": four,
        "four_words": four * words,
        "four_taps": four * words * w.kernel_taps,
        "ones": one,
        "one_words": one * words,
        "one_taps": one * words * w.kernel_taps,
    }


def _by_tap(w: Windows, channels: int) -> Counts:
    """No vectors: taps that lie on the image, one after the other."""
    parts = w.filters // channels
    return {
        "start": 1,
        "lines": w.rows.output,
        "windows": w.count,
        "inputs": w.count * w.channels,
        "outputs": w.count * parts,
        "output_rows": w.inside_rows * parts,
        "taps": w.inside * parts,
    }


# ------------------------------------------------- fully connected


def _dense(given: Integers, _: str, *, scales: int, together: int = 4) -> Work:
    """Four outputs share the loads of the input; those left over are alone.

    `scales` is 1 where every output has its own.
    """
    outputs, depth = given["output_dims.c"], given["filter_dims.n"]
    four, one = divmod(outputs, together)
    vectors = _over(depth, LANES)
    return Work(
        "dense",
        {
            "start": 1,
            "scaled": scales,
            "scales": scales * outputs,
            "any_fours": four > 0,
            "fours": four,
            "four_vectors": four * vectors,
            "any_ones": one > 0,
            "ones": one,
            "one_vectors": one * vectors,
        },
    )


def _dense_s4(given: Integers, _: str) -> Work:
    """Four outputs are two and two. Those left over take single weights, too."""
    outputs, depth = given["output_dims.c"], given["filter_dims.n"]
    four, one = divmod(outputs, WORDS)
    pairs, half = divmod(depth // LANES, 2)
    rest, odd = depth % LANES, depth % 2
    halves = 2 * four
    return Work(
        "dense_s4",
        {
            "start": 1,
            "any_fours": four > 0,
            "fours": four,
            "two_entered": halves * (pairs > 0),
            "two_pairs": halves * pairs,
            "two_halves": halves * half,
            "two_tails": four * (2 * (rest > 0) - (rest == 1)),
            "two_shared": four * odd,
            "any_ones": one > 0,
            "ones": one,
            "one_entered": one * (pairs > 0),
            "one_pairs": one * pairs,
            "one_halves": one * half,
            "one_quads_entered": one * (rest >= WORDS),
            "one_quads": one * (rest // WORDS),
            "one_twos": one * (rest % WORDS >= 2),
            "one_shared": _over(one, 2) * odd,
        },
    )


# ------------------------------------------------- pools


def _max_pool(given: Integers, _: str) -> Work:
    """The first tap is copied, the others are compared with what is there."""
    w = windows(given, "pool_params")
    vectors, more = _over(w.channels, LANES), w.inside - w.count
    return Work(
        "max_pool",
        {
            **_pool(w),
            "copied_vectors": w.count * vectors,
            "compared": more,
            "compared_vectors": more * vectors,
            "clamped_vectors": _over(w.count * w.channels, LANES),
        },
    )


def _avg_pool(given: Integers, _: str) -> Work:
    w = windows(given, "pool_params")
    vectors = _over(w.channels, LANES)
    return Work(
        "avg_pool",
        {
            **_pool(w),
            "output_vectors": w.count * vectors,
            "row_vectors": w.inside_rows * vectors,
            "added_vectors": w.inside * vectors,
        },
    )


def _pool(w: Windows) -> Counts:
    return {
        "start": 1,
        "lines": w.rows.output,
        "windows": w.count,
        "window_rows": w.inside_rows,
    }


# ------------------------------------------------- memory, and value after value


def _concatenation(given: Integers, _: str) -> Work:
    rows = given["2"] * given["3"] * given["4"]
    vectors = rows * _over(given["1"], LANES)
    return Work("concatenate", {"start": 1, "rows": rows, "vectors": vectors})


def _pad(given: Integers, _: str) -> Work:
    n, h, w, c = (given[f"input_size.{axis}"] for axis in "nhwc")
    before = [given[f"pre_pad.{axis}"] for axis in "nhwc"]
    after = [given[f"post_pad.{axis}"] for axis in "nhwc"]
    width, depth = before[2] + w + after[2], before[3] + c + after[3]
    sides = sum(_over(depth * cells, LANES) for cells in (before[2], after[2]))
    ends = sum(_over(width * depth * cells, LANES) for cells in (before[1], after[1]))
    image = {
        "start": 1,
        "rows": n * h,
        "filled_vectors": n * (ends + h * sides),
    }
    if depth == c:
        return Work("pad", {**image, "copied_vectors": n * h * _over(w * c, LANES)})
    pixels = n * h * w
    return Work(
        "pad_channels",
        {**image, "pixels": pixels, "copied_vectors": pixels * _over(c, LANES)},
    )


def _each(
    given: Integers, _: str, *, kernel: str, size: str, lanes: int = WORDS
) -> Work:
    return Work(kernel, {"start": 1, "vectors": _over(given[size], lanes)})


def _extremum(given: Integers, _: str) -> Work:
    values = 1
    for axis in "nhwc":
        values *= given[f"output_dims.{axis}"]
    return Work("same_extremum", {"start": 1, "vectors": _over(values, LANES)})


def _relu(given: Integers, _: str) -> Work:
    values = given["1"]
    return Work("relu", {"start": 1, "words": values // 4, "tails": values % 4})


def _softmax(given: Integers, _: str) -> Work:
    rows, size = given["1"], given["2"]
    return Work("softmax", {"start": 1, "rows": rows, "values": rows * size})


ROWS: Mapping[str, Row] = {
    "arm_convolve_wrapper_s8": _convolution,
    "arm_convolve_s8": _grouped,
    "arm_convolve_wrapper_s4": _convolution_s4,
    "arm_depthwise_conv_wrapper_s8": _depthwise_of_7,
    "arm_fully_connected_s8": partial(_dense, scales=0),
    "arm_fully_connected_per_channel_s8": partial(_dense, scales=1),
    "arm_fully_connected_s4": _dense_s4,
    "arm_max_pool_s8": _max_pool,
    "arm_avgpool_s8": _avg_pool,
    "arm_concatenation_s8_x": _concatenation,
    "arm_pad_s8": _pad,
    "arm_relu_q7": _relu,
    "arm_elementwise_add_s8": partial(_each, kernel="same_add", size="15"),
    "arm_elementwise_mul_s8": partial(_each, kernel="same_mul", size="10"),
    "arm_maximum_s8": _extremum,
    "arm_minimum_s8": _extremum,
    "arm_softmax_s8": _softmax,
}


# ------------------------------------------------- version 4.0.0


def _convolution_of_4(given: Integers, _: str) -> Work:
    """Four windows that reach into the padding have a kernel of int16 products."""
    w, dilated = windows(given, "conv_params"), _dilated(given, "conv_params")
    if _is_pointwise(w, dilated):
        return Work("convolve", _pointwise(w, _product))
    has_one_row = w.rows.input == w.rows.kernel == 1 and not dilated[1]
    if has_one_row and w.columns.output % WINDOWS == 0:
        return Work("convolve", _row_of_4(w))
    four, padded, rest = _fours(w)
    depth = w.kernel_taps * w.depth
    counts = {
        "general": 1,
        **_copies(w, w.depth),
        **_four_windows(four, w.filters, depth),
        **_halves("padded", padded, w.filters, depth),
        "any_rest": rest > 0,
        **_halves("rest", rest, w.filters, depth),
    }
    del counts["filled_vectors"]
    return Work("convolve", {**counts, **memset("filled", w.taps - w.inside, w.depth)})


def _four_windows(times: int, filters: int, depth: int) -> Counts:
    """Four windows on the image alone."""
    outputs = times * filters
    return {
        "whole": times,
        "whole_outputs": outputs,
        "whole_vectors": outputs * _over(depth, LANES),
    }


def _halves(name: str, times: int, filters: int, depth: int) -> Counts:
    """Products of int16 numbers, which are half as many in a register."""
    outputs = times * filters
    return {
        name: times,
        f"{name}_outputs": outputs,
        f"{name}_vectors": outputs * _over(depth, LANES // 2),
    }


def _fours(w: Windows) -> tuple[int, int, int]:
    """Fours of windows on the image alone, fours with padding, and windows left."""
    whole = [r and c for r, c in product(_are_whole(w.rows), _are_whole(w.columns))]
    count = len(whole) // WINDOWS
    four = sum(all(whole[WINDOWS * i : WINDOWS * (i + 1)]) for i in range(count))
    return four, count - four, len(whole) % WINDOWS


def _are_whole(axis: Axis) -> list[bool]:
    return [reach.count == axis.kernel for reach in axis.reaches]


def _row_of_4(w: Windows) -> Counts:
    """Windows that reach into the padding are multiplied one by one, without it."""
    reaches, kernel = w.columns.reaches, w.columns.kernel
    counts: list[Mapping[str, float]] = [{"row": 1, "row_fours": len(reaches) // 4}]
    for first in range(0, len(reaches), WINDOWS):
        four = reaches[first : first + WINDOWS]
        if four[0].count == four[-1].count == kernel:
            counts.append(_four_windows(1, w.filters, kernel * w.depth))
        else:
            counts += [_end(w.filters, reach.count * w.depth) for reach in four]
    return summed(*counts)


def _depthwise_of_4(given: Integers, core_class: str) -> Work:
    made = _depthwise(given, core_class)
    if made.kernel != "depthwise":
        return made
    w = windows(given, "dw_conv_params")
    _, padded, _ = _fours(w)
    words = sum(
        _over(min(DEPTHWISE_BLOCK, w.channels - first), WORDS)
        for first in range(0, w.channels, DEPTHWISE_BLOCK)
    )
    more = {
        "padded_words": padded * words,
        "padded_taps": padded * words * w.kernel_taps,
    }
    return Work(made.kernel, summed(made.counts, more))


def _relu_of_4(given: Integers, _: str) -> Work:
    return Work("relu", {"start": 1, "values": given["1"]})


ROWS_OF_4: Mapping[str, Row] = {
    **ROWS,
    "arm_relu_q7": _relu_of_4,
    "arm_convolve_wrapper_s8": _convolution_of_4,
    "arm_depthwise_conv_wrapper_s8": _depthwise_of_4,
    "arm_fully_connected_s8": partial(_dense, scales=0, together=3),
}
