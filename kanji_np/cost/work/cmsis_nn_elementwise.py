"""CMSIS-NN on cores of the classes c and dsp: pools, and what has no weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from kanji_np.cost.work.loops import Integers, Row, Work, entered, loop, once
from kanji_np.cost.work.runtime import WORD, Copy, Fill, copied, filled
from kanji_np.cost.work.windows import windows

POOL = "pool_params"


def average_pool(given: Integers, core_class: str) -> Work:
    """DSP cores add up a cell's channels together; others go through the whole window,
    padding included, for each channel."""
    w = windows(given, POOL)
    if core_class == "dsp":
        return once(
            "average pool",
            loop("lines", w.rows.output),
            loop("cells", w.count, channels=w.channels),
            loop("rows", w.inside_rows),
            loop("taps", w.inside),
            loop("added", (w.inside - w.count) * w.channels),
        )
    above = w.rows.padded * w.columns.output * w.columns.kernel
    beside = w.rows.taps * w.columns.padded
    return once(
        "average pool",
        loop("lines", w.rows.output),
        loop("cells", w.count),
        loop("outputs", w.count * w.channels, rows=w.rows.kernel),
        loop("taps", w.inside * w.channels),
        loop("taps above", above * w.channels),
        loop("taps beside", beside * w.channels),
    )


def max_pool(given: Integers, core_class: str) -> Work:
    """The first cell of a window is copied, the others are compared with it."""
    w = windows(given, POOL)
    size = w.count * w.channels
    copies = Counter(
        Copy(w.channels, to * w.channels % WORD, source * w.channels % WORD)
        for to, source in enumerate(w.first_pixels)
    )
    return once(
        "max pool",
        loop("lines", w.rows.output),
        loop("cells", w.count),
        loop("rows", w.inside_rows),
        copied("copies", copies.items(), core_class),
        loop(
            "compared",
            w.inside - w.count,
            **entered(fours=w.channels // 4, singles=w.channels % 4),
        ),
        loop("clamped", 1, **entered(fours=size // 4, singles=size % 4)),
    )


def elements(given: Integers, core_class: str, kernel: str, size: str) -> Work:
    """Four elements at a time on DSP cores; `size` names their number."""
    count = given[size]
    if core_class == "c":
        return once(kernel, loop("singles", count))
    return once(kernel, entered(fours=count // 4, singles=count % 4))


def larger_or_smaller(given: Integers, core_class: str) -> Work:
    """In parts as large as both inputs have them alike."""
    size, part = _size(given, "output_dims"), 1
    for axis in "cwh":
        if given[f"input_1_dims.{axis}"] != given[f"input_2_dims.{axis}"]:
            break
        part *= given[f"output_dims.{axis}"]
    scalar = 1 in (_size(given, "input_1_dims"), _size(given, "input_2_dims"))
    parts = 1 if scalar else size // part
    return once("maximum or minimum", loop("parts", parts), loop("singles", size))


def _size(given: Integers, dims: str) -> int:
    n, h, w, c = (given[f"{dims}.{axis}"] for axis in "nhwc")
    return n * h * w * c


def softmax(given: Integers, core_class: str) -> Work:
    rows, size = given["1"], given["2"]
    return once("softmax", loop("rows", rows), loop("numbers", rows * size))


def concatenation(given: Integers, core_class: str) -> Work:
    size, row, offset = given["1"], given["6"], given["7"]
    copies = Counter(
        Copy(size, (offset + n * row) % WORD, n * size % WORD)
        for n in range(given["2"] * given["3"] * given["4"])
    )
    return once("concatenation", copied("copies", copies.items(), core_class))


def pad(given: Integers, core_class: str) -> Work:
    """Rows are copied as they are, unless there are channels to add."""
    height, width, channels = (given[f"input_size.{axis}"] for axis in "hwc")
    before = {axis: given[f"pre_pad.{axis}"] for axis in "nhwc"}
    after = {axis: given[f"post_pad.{axis}"] for axis in "nhwc"}
    wide = channels + before["c"] + after["c"]
    row = wide * (width + before["w"] + after["w"])
    copies, fills = Counter[Copy](), Counter[Fill]()
    fills[Fill(0)] += 2  # of no batches
    fills[Fill(before["h"] * row)] += 1
    fills[Fill(after["h"] * row, (before["h"] + height) * row % WORD)] += 1
    for y in range(height):
        to, source = (before["h"] + y) * row, y * width * channels
        fills[Fill(before["w"] * wide, to % WORD)] += 1
        to += before["w"] * wide
        if wide == channels:
            copies[Copy(width * channels, to % WORD, source % WORD)] += 1
            to += width * channels
        else:
            for x in range(width):
                fills[Fill(before["c"], to % WORD)] += 1
                to += before["c"]
                at = (source + x * channels) % WORD
                copies[Copy(channels, to % WORD, at)] += 1
                to += channels
                fills[Fill(after["c"], to % WORD)] += 1
                to += after["c"]
        fills[Fill(after["w"] * wide, to % WORD)] += 1
    return once(
        "pad",
        copied("copies", copies.items(), core_class),
        filled("fills", fills.items(), core_class),
    )


ROWS: Mapping[str, Row] = {
    "arm_avgpool_s8": average_pool,
    "arm_max_pool_s8": max_pool,
    "arm_relu_q7": partial(elements, kernel="relu", size="1"),
    "arm_elementwise_add_s8": partial(elements, kernel="add", size="15"),
    "arm_elementwise_mul_s8": partial(elements, kernel="mul", size="10"),
    "arm_maximum_s8": larger_or_smaller,
    "arm_minimum_s8": larger_or_smaller,
    "arm_softmax_s8": softmax,
    "arm_concatenation_s8_x": concatenation,
    "arm_pad_s8": pad,
}
