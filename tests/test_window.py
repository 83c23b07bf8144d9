"""Where windows fall, against TensorFlow's formula and against counting them."""

import itertools
import math

import numpy as np
import pytest

from kanji_np.errors import ShapeError
from kanji_np.window import Window

SIZES = list(itertools.product(range(1, 12), range(1, 6), range(1, 5), range(1, 4)))


def axis(size, kernel, stride, dilation, padding, ceil_mode=False):
    """(number of windows, padding before) along the height."""
    window = Window((kernel, 1), (stride, 1), (dilation, 1), padding, ceil_mode)
    g = window.over((size, 1, 1))
    assert (g.out_w, g.pad_left) == (1, 0)
    return g.out_h, g.pad_top


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_same_is_tensorflows(ceil_mode):
    """ceil(n / s) windows; what they overhang is split, the odd cell after."""
    for size, kernel, stride, dilation in SIZES:
        count = math.ceil(size / stride)
        over = (count - 1) * stride + dilation * (kernel - 1) + 1 - size
        expected = count, math.floor(max(over, 0) / 2)
        assert axis(size, kernel, stride, dilation, "same", ceil_mode) == expected


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 2), (2, 3)])
def test_explicit_windows_are_as_many_as_can_be_counted(before, after):
    padding = ((before, after), (0, 0))
    for size, kernel, stride, dilation in SIZES:
        end, extent = size + before + after, dilation * (kernel - 1) + 1
        starts = range(0, end, stride)
        inside = sum(start + extent <= end for start in starts)
        if not inside:
            with pytest.raises(ShapeError, match=f"{size} with padding {before}"):
                axis(size, kernel, stride, dilation, padding)
            continue
        assert axis(size, kernel, stride, dilation, padding) == (inside, before)
        # Rounded up: one more if cells are left over; the last starts before they end.
        most = inside + ((inside - 1) * stride + extent < end)
        most -= (most - 1) * stride >= size + before
        count = axis(size, kernel, stride, dilation, padding, ceil_mode=True)
        assert count == (most, before)


def test_valid_is_no_padding():
    for size, kernel, stride, dilation in SIZES:
        if dilation * (kernel - 1) < size:
            assert axis(size, kernel, stride, dilation, "valid") == axis(
                size, kernel, stride, dilation, ((0, 0), (0, 0))
            )


WINDOWS = [
    (Window((3, 2), padding="same"), (5, 4)),
    (Window((1, 1), (3, 2)), (7, 4)),
    (Window((2, 3), (1, 2), (3, 1), ((2, 0), (1, 4))), (6, 5)),
    (Window((2, 2), (3, 3), padding=((0, 5), (1, 0)), ceil_mode=True), (4, 6)),
]


@pytest.mark.parametrize(("window", "size"), WINDOWS, ids=str)
def test_a_tap_is_what_lies_under_a_cell_of_the_kernel(window, size):
    x = 1 + np.arange(2 * math.prod(size) * 3).reshape(2, *size, 3)
    g = window.over(x.shape[1:])
    taps = dict(g.taps(g.padded(x, value=-7)))
    assert list(taps) == list(np.ndindex(*window.kernel))
    for (i, j), cells in taps.items():
        assert cells.shape == (2, *g.out, 3)
        for oy, ox in np.ndindex(*g.out):
            iy = oy * g.stride_h + i * g.dilation_h - g.pad_top
            ix = ox * g.stride_w + j * g.dilation_w - g.pad_left
            is_inside = 0 <= iy < size[0] and 0 <= ix < size[1]
            expected = x[:, iy, ix] if is_inside else np.full((2, 3), -7)
            np.testing.assert_array_equal(cells[:, oy, ox], expected)


@pytest.mark.parametrize(("window", "size"), WINDOWS, ids=str)
def test_what_was_padded_is_inside(window, size):
    x = np.arange(2 * math.prod(size) * 3).reshape(2, *size, 3)
    g = window.over(x.shape[1:])
    padded = g.padded(x)
    np.testing.assert_array_equal(g.inside(padded, x.shape), x)
    assert padded.sum() == x.sum()
    g.inside(padded, x.shape)[:] = 0  # a view
    assert not padded.any()


@pytest.mark.parametrize(("window", "size"), WINDOWS, ids=str)
def test_a_place_is_what_lies_in_one_window(window, size):
    x = 1 + np.arange(2 * math.prod(size) * 3).reshape(2, *size, 3)
    g = window.over(x.shape[1:])
    places = dict(g.places())
    assert list(places) == list(np.ndindex(*g.out))
    taps = dict(g.taps(g.padded(x)))
    for (oy, ox), place in places.items():
        under = np.array([cells[:, oy, ox] for cells in taps.values()])
        inside = under[under[:, 0, 0] > 0]  # (cells, N, C)
        found = x[place].reshape(2, -1, 3).swapaxes(0, 1)
        np.testing.assert_array_equal(found, inside)
