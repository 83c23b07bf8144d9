"""CMSIS-NN on cores of the classes c and dsp: pools, and what has no weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from kanji_np.cost.work.loops import Integers, Row, Work, axes, copied, loop, once

POOL = "pool_params"


def average_pool(given: Integers, core_class: str) -> Work:
    """DSP cores add up a cell's channels together; others go through the whole window,
    padding included, for each channel."""
    height, width = axes(given, POOL, dilated=False)
    channels, cells = given["input_dims.c"], height.windows * width.windows
    inside = height.inside * width.inside
    if core_class == "dsp":
        return once(
            "average pool",
            loop("cells", cells, channels=channels),
            loop("rows", height.inside * width.windows),
            loop("taps", inside),
            loop("added", (inside - cells) * channels),
        )
    return once(
        "average pool",
        loop("cells", cells),
        loop("outputs", cells * channels, rows=height.size),
        loop("taps", inside * channels),
        loop("taps above", height.outside * width.windows * width.size * channels),
        loop("taps beside", height.inside * width.outside * channels),
    )


def max_pool(given: Integers, core_class: str) -> Work:
    """The first cell of a window is copied, the others are compared with it."""
    height, width = axes(given, POOL, dilated=False)
    channels, cells = given["input_dims.c"], height.windows * width.windows
    inside = height.inside * width.inside
    compared = inside - cells
    size = cells * channels
    return once(
        "max pool",
        loop("cells", cells),
        loop("rows", height.inside * width.windows),
        loop("taps", inside),
        copied("copies", cells, channels),
        loop("compared", compared, fours=channels // 4, singles=channels % 4),
        loop("clamped", size // 4),
        loop("clamped singles", size % 4),
    )


def elements(given: Integers, core_class: str, kernel: str, size: str) -> Work:
    """Four elements at a time on DSP cores; `size` names their number."""
    count = given[size]
    if core_class == "c":
        return once(kernel, loop("singles", count))
    return once(kernel, loop("fours", count // 4), loop("singles", count % 4))


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
    rows = given["2"] * given["3"] * given["4"]
    return once("concatenation", copied("copies", rows, given["1"]))


def pad(given: Integers, core_class: str) -> Work:
    """Rows are copied as they are, unless there are channels to add."""
    before = {axis: given[f"pre_pad.{axis}"] for axis in "hwc"}
    after = {axis: given[f"post_pad.{axis}"] for axis in "hwc"}
    height, width, channels = (given[f"input_size.{axis}"] for axis in "hwc")
    wide = channels + before["c"] + after["c"]
    row = wide * (width + before["w"] + after["w"])
    if wide == channels:
        copies = copied("copies", height, width * channels)
    else:
        copies = copied("copies", height * width, channels) | loop(
            "fills of channels", height * width, bytes=wide - channels
        )
    sides = (before["w"] + after["w"]) * wide
    ends = (before["h"] + after["h"]) * row
    return once(
        "pad",
        loop("rows", height),
        copies,
        loop("sides", height, blocks=sides // 16, bytes=sides % 16),
        loop("ends", ends // 16),
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
