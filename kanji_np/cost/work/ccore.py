"""ccore, our portable C, and its kernels that no library has.

One source serves all cores. Kernels that multiply by weights go over the image window
by window, and sum products for four filters at a time, which share the loads of the
input; filters beyond the last four are summed one by one. Products are summed in blocks
of 16 and then one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from kanji_np.cost.work.cmsis_nn_q7 import CONVOLUTIONS
from kanji_np.cost.work.loops import Counts, Integers, Row, Work, multiplied, summed
from kanji_np.cost.work.windows import (
    Axis,
    Reach,
    Windows,
    nonsquare_windows,
    pool_windows,
    square_windows,
    windows,
)

FILTERS, BLOCK = 4, 16
WORD = 4  # bytes
MEAN_BLOCK = 16  # sums of `kanji_mean_s8` at a time


# ------------------------------------------------- products


def _run(rows: float, length: int) -> Counts:
    """Products over so many rows of neighbours, of one filter or of four together."""
    blocks, rest = divmod(length, BLOCK)
    return {
        "products": 1,
        "rows": rows,
        "blocked_rows": rows * (blocks > 0),
        "blocks": rows * blocks,
        "rest_rows": rows * (rest > 0),
        "rest": rows * rest,
    }


def _pairs(rows: float, length: int) -> Counts:
    """The same of int4 weights, which are unpacked two by two."""
    return {
        "products": 1,
        "rows": rows,
        "pairs": rows * (length // 2),
        "halves": rows * (length % 2),
    }


def _by_filters(
    filters: int, run: Mapping[str, float], fours: bool = True, prefix: str = ""
) -> Counts:
    """A run for each filter: by fours where they can be, and one by one."""
    four, one = divmod(filters, FILTERS)
    if not fours:
        four, one = 0, filters
    calls = -(-filters // FILTERS)
    return summed(
        {"calls": calls},
        multiplied(four, run, f"{prefix}four_"),
        multiplied(one, run, f"{prefix}one_"),
    )


# ------------------------------------------------- convolution


def _convolution(given: Integers, _: str) -> Work:
    return Work("convolve", _convolve(windows(given, "conv_params"), 8))


def _convolution_s4(given: Integers, _: str) -> Work:
    return Work("convolve", _convolve(windows(given, "conv_params"), 4))


def _convolve(w: Windows, bits: int) -> Counts:
    neighbours = w.columns.dilation == 1 and w.groups == 1
    runs = [
        multiplied(w.groups, _column(w, reach, neighbours, bits))
        for reach in w.columns.reaches
    ]
    return summed(*runs, _over_image(w), {"groups": w.count * w.groups})


def _over_image(w: Windows) -> Counts:
    """What windows take beside their products."""
    return {
        "start": 1,
        "lines": w.rows.output,
        "windows": w.count,
        "padded": w.rows.output * _padded(w.columns),
        "outputs": w.count * w.filters,
        "scales": w.filters,
    }


def _padded(axis: Axis) -> int:
    """Windows that begin before the input."""
    return sum(reach.first > 0 for reach in axis.reaches)


def _column(w: Windows, reach: Reach, neighbours: bool, bits: int) -> Counts:
    """Products of the windows of one column, for the filters of one group.

    Neighbouring taps of a row that see all channels are one run.
    """
    lines = w.rows.output
    filters = w.filters // w.groups
    calls, taps = (1, reach.count) if neighbours else (reach.count, 1)
    length = taps * w.depth
    if bits == 8:
        run = _run(w.rows.taps / lines, length)
        made = _by_filters(filters, run)
    else:
        run = _pairs(w.rows.taps / lines, length)
        made = _by_filters(filters, run, _are_bytes(w, reach, length), "s4_")
    return multiplied(lines * calls, made)


def _are_bytes(w: Windows, reach: Reach, length: int) -> bool:
    """Whether all rows of int4 weights begin and end between bytes."""
    numbers = (reach.first * w.depth, w.columns.kernel * w.depth, length)
    return all(number % 2 == 0 for number in numbers)


def _transposed(given: Integers, _: str) -> Work:
    """Of each output, the inputs whose kernel reaches it."""
    w = Windows(
        rows=_reached(given, "h"),
        columns=_reached(given, "w"),
        channels=given["input_dims.c"],
        filters=given["output_dims.c"],
        depth=given["input_dims.c"],
    )
    rows, columns = (_taps_of(axis) for axis in (w.rows, w.columns))
    run = _run(sum(rows) / max(1, sum(count > 0 for count in rows)), w.depth)
    made = _by_filters(w.filters, run)
    calls = sum(count > 0 for count in rows) * sum(columns)
    image = {
        "start": 1,
        "lines": w.rows.output,
        "windows": w.count,
        "groups": w.count * -(-w.filters // FILTERS),
        "outputs": w.count * w.filters,
    }
    return Work("transpose_conv", summed(multiplied(calls, made), image))


def _reached(given: Integers, name: str) -> Axis:
    return Axis(
        input=given[f"input_dims.{name}"],
        kernel=given[f"filter_dims.{name}"],
        output=given[f"output_dims.{name}"],
        stride=given[f"params.stride_{name}"],
        padding=given[f"params.pad_{name}"],
    )


def _taps_of(axis: Axis) -> list[int]:
    """Inputs that reach each output of a transposed convolution."""
    return [
        sum(
            (place - tap) % axis.stride == 0
            and 0 <= (place - tap) // axis.stride < axis.input
            for tap in range(axis.kernel)
        )
        for place in range(axis.padding, axis.padding + axis.output)
    ]


def _depthwise(given: Integers, _: str, *, bits: int = 8) -> Work:
    w = windows(given, "dw_conv_params")
    multiplier = given["dw_conv_params.ch_mult"]
    together = multiplier == 1 or multiplier % FILTERS == 0
    # Four int4 weights fill two bytes if every tap has an even number of them.
    fours = together and (bits == 8 or w.filters % 2 == 0)
    prefix = "" if bits == 8 else "s4_"
    group = FILTERS if together else 1
    return Work("depthwise", _depthwise_counts(w, group, fours, prefix))


def _depthwise_counts(w: Windows, group: int, fours: bool, prefix: str = "") -> Counts:
    """Channels by groups, which are one call each, and four or one in each sum."""
    four, one = divmod(w.filters, FILTERS) if fours else (0, w.filters)
    part = {"products": w.count, "rows": w.inside_rows, "taps": w.inside}
    return summed(
        {"calls": w.count * -(-w.filters // group)},
        multiplied(four, part, f"{prefix}four_"),
        multiplied(one, part, f"{prefix}one_"),
        _over_image(w),
    )


# ------------------------------------------------- fully connected


def _dense(given: Integers, _: str, *, scales: int, bits: int = 8) -> Work:
    """`scales` is 1 where every output has its own."""
    outputs, depth = given["output_dims.c"], given["filter_dims.n"]
    if bits == 8:
        made = _by_filters(outputs, _run(1, depth))
    else:
        made = _by_filters(outputs, _pairs(1, depth), depth % 2 == 0, "s4_")
    image = {"start": 1, "outputs": outputs, "scales": scales * outputs}
    return Work("dense", summed(made, image))


def _vector_sums(given: Integers, _: str) -> Work:
    columns, rows = given["1"], given["2"]
    return Work("vector_sum", {"start": 1, "rows": rows, "values": rows * columns})


# ------------------------------------------------- pools


def _max_pool(given: Integers, _: str) -> Work:
    w = windows(given, "pool_params")
    return Work(
        "max_pool",
        {
            **_pool(w),
            "taps": w.inside,
            "compared": w.inside * w.channels,
            **_fills(w.channels, np.arange(w.count) * w.channels),
        },
    )


def _avg_pool(given: Integers, _: str) -> Work:
    w = windows(given, "pool_params")
    return Work(
        "avg_pool",
        {
            **_pool(w),
            "output_rows": w.inside_rows * w.channels,
            "added": w.inside * w.channels,
        },
    )


def _pool(w: Windows) -> Counts:
    return {
        "start": 1,
        "lines": w.rows.output,
        "windows": w.count,
        "window_rows": w.inside_rows,
        "outputs": w.count * w.channels,
    }


# ------------------------------------------------- memory


def _copies(size: int, source: np.ndarray, target: np.ndarray) -> Counts:
    """Calls of `memcpy` with so many bytes each, between these offsets.

    It moves 64 bytes at a time, 16, 4, 1. A Cortex-M0+ does so only from 16 bytes on,
    and only where both ends begin on a word; otherwise it moves bytes. Other cores
    first bring the target to a word where neither end begins on one.
    """
    is_loose = (source | target) % WORD > 0
    is_off = (source % WORD > 0) & (target % WORD > 0) & (size >= 2 * WORD)
    heads = np.where(is_off, -target % WORD, 0)
    rests = size - heads
    is_slow = is_loose | (size < 16)
    parts = {
        "moves": np.ones_like(source),
        "moved_lines": rests // 64,
        "moved_blocks": rests % 64 // 16,
        "moved_words": rests % 16 // WORD,
        "moved_bytes": heads + rests % WORD,
        "tails": rests % WORD > 0,
        "aligned": ~is_slow,
        "slow_blocks": is_slow * (rests // 16),
        "slow_words": is_slow * (rests % 16 // WORD),
        "loose": is_loose & (size >= WORD),
        "off": is_off,
    }
    return {name: int(np.sum(times)) for name, times in parts.items()}


def _fills(size: int, target: np.ndarray) -> Counts:
    """Calls of `memset`: bytes up to a word, then 16 at a time, 4, 1."""
    heads = np.minimum(-target % WORD, size)
    rests = size - heads
    return {
        "filled_blocks": int((rests // 16).sum()),
        "filled_words": int((rests % 16 // WORD).sum()),
        "filled_bytes": int((heads + rests % WORD).sum()),
    }


def _concatenation(given: Integers, _: str) -> Work:
    rows = given["2"] * given["3"] * given["4"]
    row = np.arange(rows)
    moved = _copies(given["1"], row * given["1"], row * given["6"] + given["7"])
    return Work("move", {"concatenate": 1, "concatenated": rows, **moved})


def _pad(given: Integers, _: str) -> Work:
    size, before, after = (
        [given[f"{part}.{axis}"] for axis in "nhwc"]
        for part in ("input_size", "pre_pad", "post_pad")
    )
    padded = [sum(axis) for axis in zip(size, before, after, strict=True)]
    pitches = [math.prod(padded[axis + 1 :]) for axis in range(4)]
    first = sum(n * pitch for n, pitch in zip(before, pitches, strict=True))
    target = first + _offsets(size[:3], pitches[:3])
    source = np.arange(target.size) * size[3]
    return Work(
        "move",
        {
            "pad": 1,
            "padded_rows": size[0] * size[1],
            "filled_blocks": math.prod(padded) / 16,
            "padded": target.size,
            **_copies(size[3], source, target),
        },
    )


def _copy(given: Integers, _: str) -> Work:
    n, h, w, length = (given[f"extents.{axis}"] for axis in "nhwc")
    image = {"copy": 1, "copied_planes": n * h, "copied": n * h * w}
    if given["steps.c"] != 1:
        gathered = {"gathered_rows": n * h * w, "gathered": n * h * w * length}
        return Work("move", {**image, **gathered})
    pitches = (given["steps.n"], given["steps.h"], given["steps.w"])
    source = given["2"] + _offsets((n, h, w), pitches)
    target = np.arange(source.size) * length
    return Work("move", {**image, **_copies(length, source, target)})


def _offsets(extents: Sequence[int], pitches: Sequence[int]) -> np.ndarray:
    """Where the cells of a tensor lie that follow each other in these pitches."""
    offsets = np.zeros(1, np.int64)
    for extent, pitch in zip(extents, pitches, strict=True):
        offsets = np.add.outer(offsets, np.arange(extent) * pitch).ravel()
    return offsets


def _resize(given: Integers, _: str) -> Work:
    rows, columns, channels = given["1"], given["2"], given["3"]
    height, width = given["5"], given["7"]
    row, column = (
        np.arange(n) * size // n for n, size in ((height, rows), (width, columns))
    )
    source = np.add.outer(row * columns, column).ravel() * channels
    target = np.arange(source.size) * channels
    image = {
        "resize": 1,
        "resized_lines": height,
        "resized_columns": width,
        "resized": height * width,
    }
    return Work("move", {**image, **_copies(channels, source, target)})


# ------------------------------------------------- one value after the other


def _each(given: Integers, _: str, *, kernel: str, size: str) -> Work:
    return Work(kernel, {"start": 1, "values": given[size]})


def _by_rows(given: Integers, _: str, *, kernel: str, size: str, row: str) -> Work:
    values = given[size]
    return Work(kernel, {"start": 1, "rows": values // given[row], "values": values})


def _parts(given: Integers, _: str) -> Work:
    rows = given["1"]
    return Work("requantize", {"start": 1, "rows": rows, "values": rows * given["2"]})


def _softmax(given: Integers, _: str) -> Work:
    """As if all differences from the row's maximum were equally likely.

    An exponential has a product for each bit of the difference in quarters. Those of
    differences below the least are left out, which is not known here.
    """
    rows, values = given["1"], given["1"] * given["2"]
    differences = np.arange(min(256, 1 - given["5"]))
    quarters = differences * given["3"] * 2.0 ** (given["4"] - 55)
    bits = np.unpackbits(np.ceil(quarters).astype(np.uint8)).sum()
    factors = values * int(bits) / differences.size
    return Work(
        "softmax", {"start": 1, "rows": rows, "values": values, "factors": factors}
    )


def _broadcast(given: Integers, _: str, *, kernel: str) -> Work:
    second = given["blocks.outer"] * given["blocks.size"]
    values = second * given["blocks.inner"]
    return Work(
        kernel,
        {
            "start": 1,
            "outer": given["blocks.outer"],
            "second": second,
            "values": values,
        },
    )


def _extremum(given: Integers, _: str) -> Work:
    """Each operand may have a table that brings it to the scale of the output.

    That of the second takes no time that is seen.
    """
    second = given["blocks.outer"] * given["blocks.size"]
    first_table = given["2"]
    return Work(
        "extremum",
        {
            "start": 1,
            "outer": given["blocks.outer"],
            "second": second,
            "values": second * given["blocks.inner"],
            "values_looked_up": second * given["blocks.inner"] * first_table,
        },
    )


def _same_extremum(given: Integers, _: str) -> Work:
    values = 1
    for axis in "nhwc":
        values *= given[f"output_dims.{axis}"]
    return Work("same_extremum", {"start": 1, "values": values})


def _mean(given: Integers, _: str) -> Work:
    outer, count, inner = given["1"], given["2"], given["3"]
    blocks = outer * -(-inner // MEAN_BLOCK)
    return Work(
        "mean",
        {
            "start": 1,
            "outer": outer,
            "blocks": blocks,
            "block_rows": blocks * count,
            "outputs": outer * inner,
            "added": outer * count * inner,
        },
    )


# ------------------------------------------------- the legacy library's functions


def _legacy_convolution(given: Integers, _: str, *, square: bool) -> Work:
    w = square_windows(given) if square else nonsquare_windows(given)
    return Work("legacy_convolve", _convolve(w, 8))


def _legacy_depthwise(given: Integers, _: str, *, square: bool) -> Work:
    w = square_windows(given) if square else nonsquare_windows(given)
    return Work("legacy_depthwise", _depthwise_counts(w, FILTERS, True))


def _legacy_dense(given: Integers, _: str) -> Work:
    """Fours read their columns by fours, those left over as other kernels do.

    A loop that does not run takes nothing, not even its start.
    """
    inputs, outputs = given["2"], given["3"]
    four, one = divmod(outputs, FILTERS)
    made = {
        "start": 1,
        "ones": one > 0,
        "fours": four,
        "fours_with_words": four * (inputs >= WORD),
        "four_words": four * (inputs // WORD),
        "fours_with_bytes": four * (inputs % WORD > 0),
        "four_bytes": four * (inputs % WORD),
    }
    alone = multiplied(one, _run(1, inputs), "one_")
    return Work("legacy_dense", summed(made, alone))


def _legacy_pool(given: Integers, core_class: str, *, kernel: str) -> Work:
    """On DSP cores along x in place, and then along y."""
    w = pool_windows(given)
    if core_class != "dsp":
        counts = {**_pool(w), "added": w.inside * w.channels}
        return Work(kernel, {**counts, "output_rows": w.inside_rows * w.channels})
    across = w.rows.input * w.columns.output
    width = w.columns.output * w.channels
    down_rows = w.rows.taps * width
    return Work(
        kernel,
        {
            "start": 1,
            "lines": w.rows.input,
            "windows": across,
            "output_lines": w.rows.output,
            "outputs": across * w.channels + w.rows.output * width,
            "output_rows": across * w.channels + down_rows,
            "added": w.rows.input * w.columns.taps * w.channels + down_rows,
        },
    )


LEGACY: Mapping[str, Row] = {
    **{
        name: partial(_legacy_convolution, square=square)
        for name, (_, square) in CONVOLUTIONS.items()
    },
    "arm_depthwise_separable_conv_HWC_q7": partial(_legacy_depthwise, square=True),
    "arm_depthwise_separable_conv_HWC_q7_nonsquare": partial(
        _legacy_depthwise, square=False
    ),
    "arm_fully_connected_q7_opt": _legacy_dense,
    "arm_maxpool_q7_HWC": partial(_legacy_pool, kernel="legacy_max_pool"),
    "arm_avepool_q7_HWC": partial(_legacy_pool, kernel="legacy_avg_pool"),
    "arm_softmax_q7": partial(_each, kernel="legacy_softmax", size="1"),
}
ROWS: Mapping[str, Row] = {
    **LEGACY,
    "arm_convolve_wrapper_s8": _convolution,
    "arm_convolve_s8": _convolution,
    "arm_convolve_wrapper_s4": _convolution_s4,
    "arm_depthwise_conv_wrapper_s8": _depthwise,
    "arm_depthwise_conv_wrapper_s4": partial(_depthwise, bits=4),
    "arm_fully_connected_s8": partial(_dense, scales=0),
    "arm_fully_connected_per_channel_s8": partial(_dense, scales=1),
    "arm_fully_connected_s4": partial(_dense, scales=0, bits=4),
    "arm_vector_sum_s8": _vector_sums,
    "arm_max_pool_s8": _max_pool,
    "arm_avgpool_s8": _avg_pool,
    "arm_concatenation_s8_x": _concatenation,
    "arm_pad_s8": _pad,
    "arm_relu_q7": partial(_each, kernel="relu", size="1"),
    "arm_elementwise_add_s8": partial(_each, kernel="same_add", size="15"),
    "arm_elementwise_mul_s8": partial(_each, kernel="same_mul", size="10"),
    "arm_maximum_s8": _same_extremum,
    "arm_minimum_s8": _same_extremum,
    "arm_softmax_s8": _softmax,
    "kanji_softmax_s8": _softmax,
    "kanji_transpose_conv_s8": _transposed,
    "kanji_normalize_u8_s8": partial(_by_rows, kernel="normalize", size="1", row="3"),
    "kanji_lookup_u8_s8": partial(_by_rows, kernel="lookup_u8", size="1", row="3"),
    "kanji_lookup_s8": partial(_each, kernel="lookup", size="1"),
    "kanji_standardize_u8_s8": partial(_each, kernel="standardize", size="1"),
    "kanji_requantize_s8": _parts,
    "kanji_add_s8": partial(_broadcast, kernel="add"),
    "kanji_mul_s8": partial(_broadcast, kernel="mul"),
    "kanji_minimum_s8": _extremum,
    "kanji_maximum_s8": _extremum,
    "kanji_mean_s8": _mean,
    "kanji_copy_s8": _copy,
    "kanji_resize_nearest_s8": _resize,
}
