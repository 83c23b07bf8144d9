"""The legacy library: CMSIS 5's CMSIS/NN.

On DSP cores convolutions copy windows to scratch memory as int16 numbers, two windows
at a time, and multiply them by two filters at a time, two products an instruction. The
other cores have plain loops that ask of every tap whether it lies on the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from kanji_np.cost.work.loops import Counts, Integers, Row, Work
from kanji_np.cost.work.windows import (
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
        return Work(f"convolve_{kind}", _tap_by_tap(w, w.filters, w.channels))
    kernel = "convolve" if kind in ("rgb", "basic") else "convolve_fast"
    copies = COPIES[kind](w)
    return Work(kernel, {kind: 1, **_products(w), **copies})


def _tap_by_tap(w: Windows, filters: int, channels: int) -> Counts:
    return {
        "start": 1,
        "filters": filters,
        "lines": filters * w.rows.output,
        "outputs": filters * w.count,
        "tap_rows": filters * w.count * w.rows.kernel,
        "taps": filters * w.taps,
        "inside": filters * w.inside,
        "products": filters * w.inside * channels,
    }


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
        **_words("filled", outside, 2 * w.channels),
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
        **_words("filled", w.taps - w.inside, 2 * w.channels),
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
        return Work("depthwise", _tap_by_tap(w, w.channels, 1))
    four, one = divmod(w.channels, WORD)
    outside = w.taps - w.inside
    return Work(
        "depthwise",
        {
            "start": 1,
            "lines": w.rows.output,
            "windows": w.count,
            "window_rows": w.count * w.rows.kernel,
            **_moved("copied", w.inside, w.channels),
            **_moved("filled", outside, w.channels),
            "fours": w.count * four,
            "four_pairs": w.count * four * (w.kernel_taps // 2),
            "four_odd": w.count * four * (w.kernel_taps % 2),
            "ones": w.count * one,
            "one_taps": w.count * one * w.kernel_taps,
        },
    )


def _moved(name: str, times: float, size: int) -> Counts:
    """`memcpy` and `memset` of so many bytes."""
    return {
        name: times,
        f"{name}_lines": times * (size // 64),
        f"{name}_blocks": times * (size % 64 // 16),
        f"{name}_words": times * (size % 16 // WORD),
        f"{name}_bytes": times * (size % WORD),
    }


# ------------------------------------------------- others


def _dense(given: Integers, _: str) -> Work:
    inputs, outputs = given["2"], given["3"]
    four, one = divmod(outputs, WORD)
    return Work(
        "dense",
        {
            "start": 1,
            **_words("copied", 1, inputs),
            **_words("fours", four, inputs),
            **_words("ones", one, inputs),
        },
    )


def _pool(given: Integers, core_class: str, *, kernel: str) -> Work:
    """On DSP cores along x in place, and then along y."""
    w = pool_windows(given)
    if core_class != "dsp":
        counts = _tap_by_tap(w, w.channels, 1)
        return Work(kernel, counts)
    across, width = w.rows.input * w.columns.output, w.columns.output * w.channels
    more_across = w.rows.input * w.columns.taps - across
    more_down = w.rows.taps - w.rows.output
    return Work(
        kernel,
        {
            "start": 1,
            "lines": w.rows.input,
            **_moved("across", across, w.channels),
            **_words("more_across", more_across, w.channels),
            **_moved("down", w.rows.output, width),
            **_words("more_down", more_down, width),
            "scaled": across * w.channels + w.rows.output * width,
        },
    )


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
