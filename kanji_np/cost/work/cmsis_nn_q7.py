"""The legacy library: CMSIS 5's CMSIS/NN.

On DSP cores convolutions copy windows to scratch memory as int16 numbers, two windows
at a time, and multiply them by two filters at a time, two products an instruction. The
other cores have plain loops that ask of every tap whether it lies on the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from kanji_np.cost.work.loops import Counts, Integers, Row, Work, memset, summed
from kanji_np.cost.work.windows import (
    Axis,
    Windows,
    nonsquare_windows,
    pool_windows,
    square_windows,
)

WORD = 4  # bytes that are loaded together


def _words(name: str, times: float, size: int) -> Counts:
    """Rows of so many numbers each, of which whole words are taken together."""
    return {
        name: times,
        f"{name}_words": times * (size // WORD),
        f"{name}_bytes": times * (size % WORD),
    }


# ------------------------------------------------- convolution


def _convolution(given: Integers, core_class: str, *, kind: str, square: bool) -> Work:
    w = square_windows(given) if square else nonsquare_windows(given)
    if core_class != "dsp":
        kernel = f"convolve_{kind}" if square else f"convolve_{kind}_nonsquare"
        return Work(kernel, _tap_by_tap(w, w.filters, w.channels))
    kernel = "convolve" if kind in ("rgb", "basic") else "convolve_fast"
    copies = COPIES[kind](w)
    return Work(kernel, {kind: 1, **_products(w), **copies})


def _tap_by_tap(w: Windows, filters: int, channels: int) -> Counts:
    """Whether a tap lies on the image is asked by row before 0, column before 0, row
    behind the last, column behind the last. The first yes ends it."""
    above, below = _beside(w.rows)
    left, right = _beside(w.columns)
    along_x = w.columns.output * w.columns.kernel
    along_y = w.rows.output * w.rows.kernel
    return {
        "start": 1,
        "filters": filters,
        "lines": filters * w.rows.output,
        "outputs": filters * w.count,
        "tap_rows": filters * w.count * w.rows.kernel,
        "above": filters * above * along_x,
        "left": filters * (along_y - above) * left,
        "below": filters * below * (along_x - left),
        "right": filters * w.rows.taps * right,
        "inside": filters * w.inside,
        "products": filters * w.inside * channels,
    }


def _beside(axis: Axis) -> tuple[int, int]:
    """Taps before the image and behind it, over all outputs."""
    starts = [output * axis.stride - axis.padding for output in range(axis.output)]
    before = sum(min(max(-start, 0), axis.kernel) for start in starts)
    return before, axis.padded - before


def _products(w: Windows) -> Counts:
    """Two windows times two filters, and what is left of each."""
    two, one = divmod(w.count, 2)
    depth = w.kernel_taps * w.depth
    return {
        "lines": w.rows.output,
        "windows": w.count,
        "twos": two,
        **_words("two_by_two", two * (w.filters // 2), depth),
        **_words("two_by_one", two * (w.filters % 2), depth),
        **_words("one", one * w.filters, depth),
    }


def _copied(w: Windows) -> Counts:
    """Windows copied tap by tap."""
    outside = w.taps - w.inside
    return {
        "window_rows": w.count * w.rows.kernel,
        **_words("copied", w.inside, w.channels),
        **memset("filled", outside, 2 * w.channels),
    }


def _copied_pixels(w: Windows) -> Counts:
    """The same of pixels of three channels, which are one load each."""
    return {
        "window_rows": w.count * w.rows.kernel,
        "pixels": w.inside,
        "filled_pixels": w.taps - w.inside,
    }


def _copied_at_once(w: Windows) -> Counts:
    return _words("copied", w.count, w.channels)


def _copied_in_regions(w: Windows) -> Counts:
    """Windows in the middle of the image are copied row by row, the others as above."""
    middle = _middle(w)
    rows = middle * w.rows.kernel
    inside = w.inside - middle * w.kernel_taps
    return {
        "window_rows": (w.count - middle) * w.rows.kernel,
        **_words("copied_rows", rows, w.channels * w.columns.kernel),
        **_words("copied", inside, w.channels),
        **memset("filled", w.taps - w.inside, 2 * w.channels),
    }


def _middle(w: Windows) -> int:
    """Windows beyond the first and before the last that may see padding."""
    rows, columns = (
        max(0, axis.output - 2 * axis.padding) for axis in (w.rows, w.columns)
    )
    return rows * columns


COPIES = {
    "rgb": _copied_pixels,
    "basic": _copied,
    "fast": _copied_in_regions,
    "1x1": _copied_at_once,
}


def _depthwise(given: Integers, core_class: str, *, square: bool) -> Work:
    w = square_windows(given) if square else nonsquare_windows(given)
    if core_class != "dsp":
        kernel = "depthwise" if square else "depthwise_nonsquare"
        counts = {**_tap_by_tap(w, w.channels, 1), "lines": w.rows.output}
        return Work(kernel, {**counts, "windows": w.count})
    four, one = divmod(w.channels, WORD)
    outside = w.taps - w.inside
    return Work(
        "depthwise",
        {
            "start": 1,
            "lines": w.rows.output,
            "windows": w.count,
            "window_rows": w.count * w.rows.kernel,
            **_memcpy("copied", w.inside, w.channels),
            **memset("filled", outside, w.channels),
            "fours": w.count * four,
            "four_pairs": w.count * four * (w.kernel_taps // 2),
            "four_odd": w.count * four * (w.kernel_taps % 2),
            "ones": w.count * one,
            "one_taps": w.count * one * w.kernel_taps,
        },
    )


def _memcpy(name: str, times: float, size: int) -> Counts:
    """Copies of so many bytes by newlib's `memcpy`.

    A few bytes that are not a whole word it copies one by one, longer rows by 64, by 16
    and by words.
    """
    if size < 2 * WORD and size % WORD:
        return {f"{name}_short": times, f"{name}_bytes": times * size}
    return {
        name: times,
        f"{name}_lines": times * (size // 64),
        f"{name}_blocks": times * (size % 64 // 16),
        f"{name}_words": times * (size % 16 // WORD),
        f"{name}_loose": times * (size % WORD > 0),
    }


def _memmove(name: str, moves: Sequence[tuple[int, int]], size: int) -> Counts:
    """Moves of so many bytes between offsets, by newlib's `memmove`.

    From 16 bytes on, and where both offsets are whole words, it moves 16 bytes in a
    round, then words; else single bytes.
    """
    whole = sum((to | source) % WORD == 0 for to, source in moves)
    whole = whole if size >= 16 else 0
    return {
        f"{name}_whole": whole,
        f"{name}_blocks": whole * (size // 16),
        f"{name}_words": whole * (size % 16 // WORD),
        f"{name}_bytes": whole * (size % WORD) + (len(moves) - whole) * size,
    }


# ------------------------------------------------- others


def _dense(given: Integers, core_class: str) -> Work:
    """DSP cores widen the input first. The others take outputs left over by values."""
    inputs, outputs = given["2"], given["3"]
    four, one = divmod(outputs, WORD)
    counts = {
        "start": 1,
        "any_fours": four > 0,
        **_words("fours", four, inputs),
        "any_ones": one > 0,
    }
    if core_class != "dsp":
        return Work("dense", {**counts, "ones": one, "ones_values": one * inputs})
    more = {**_words("ones", one, inputs), **_words("copied", 1, inputs)}
    return Work("dense", counts | more)


def _pool(given: Integers, core_class: str, *, kernel: str) -> Work:
    """On DSP cores along x in place, and then along y."""
    w = pool_windows(given)
    if core_class != "dsp":
        counts = _tap_by_tap(w, w.channels, 1)
        return Work(kernel, counts)
    across, width = w.rows.input * w.columns.output, w.columns.output * w.channels
    more_across = w.rows.input * w.columns.taps - across
    more_down = w.rows.taps - w.rows.output
    counts = {
        "start": 1,
        "lines": w.rows.input,
        "across": across,
        "down": w.rows.output,
        **summed(
            _words("more", more_across, w.channels), _words("more", more_down, width)
        ),
    }
    if kernel == "max_pool":
        first = summed(
            _memmove("moved", _moves_across(w), w.channels),
            _memmove("moved", _moves_down(w), width),
        )
    else:
        first = summed(
            _words("widened", across, w.channels),
            _words("widened", w.rows.output, width),
            {"scaled": across * w.channels + w.rows.output * width},
        )
        del first["widened"]
    return Work(kernel, counts | first)


def _moves_across(w: Windows) -> list[tuple[int, int]]:
    """Where the first cell of each window goes, and where from [bytes]."""
    line = w.columns.input * w.channels
    return [
        (y * line + x * w.channels, y * line + first * w.channels)
        for y in range(w.rows.input)
        for x, first in enumerate(_firsts(w.columns))
    ]


def _moves_down(w: Windows) -> list[tuple[int, int]]:
    """The same of the first row of each window."""
    width, line = w.columns.output * w.channels, w.columns.input * w.channels
    return [(y * width, first * line) for y, first in enumerate(_firsts(w.rows))]


def _firsts(axis: Axis) -> list[int]:
    """The first cell of the input that each window sees."""
    return [
        max(0, output * axis.stride - axis.padding) for output in range(axis.output)
    ]


def _relu(given: Integers, core_class: str) -> Work:
    size = given["1"]
    if core_class != "dsp":
        return Work("relu", {"start": 1, "values": size})
    return Work("relu", {"start": 1, "words": size // WORD, "bytes": size % WORD})


def _softmax(given: Integers, _: str) -> Work:
    return Work("softmax", {"start": 1, "rows": 1, "values": given["1"]})


def _softmax_rows(given: Integers, _: str) -> Work:
    rows, size = given["1"], given["2"]
    return Work("softmax", {"start": 1, "rows": rows, "values": rows * size})


CONVOLUTIONS = {
    "arm_convolve_HWC_q7_RGB": ("rgb", True),
    "arm_convolve_HWC_q7_fast": ("fast", True),
    "arm_convolve_HWC_q7_fast_nonsquare": ("fast", False),
    "arm_convolve_HWC_q7_basic": ("basic", True),
    "arm_convolve_HWC_q7_basic_nonsquare": ("basic", False),
    "arm_convolve_1x1_HWC_q7_fast_nonsquare": ("1x1", False),
}
ROWS: Mapping[str, Row] = {
    **{
        name: partial(_convolution, kind=kind, square=square)
        for name, (kind, square) in CONVOLUTIONS.items()
    },
    "arm_depthwise_separable_conv_HWC_q7": partial(_depthwise, square=True),
    "arm_depthwise_separable_conv_HWC_q7_nonsquare": partial(_depthwise, square=False),
    "arm_fully_connected_q7_opt": _dense,
    "arm_maxpool_q7_HWC": partial(_pool, kernel="max_pool"),
    "arm_avepool_q7_HWC": partial(_pool, kernel="avg_pool"),
    "arm_relu_q7": _relu,
    "arm_softmax_q7": _softmax,
    "arm_softmax_with_batch_q7": _softmax_rows,
}
