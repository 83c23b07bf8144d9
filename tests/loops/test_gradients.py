"""Gradients of integers: zero points and clamped outputs, few gradients and many."""

from dataclasses import replace

import numpy as np
import pytest

from kanji_np.loops import conv, conv_gradients, depthwise
from kanji_np.types import LinearParams, Saved
from kanji_np.window import Window

#: Channels in and out, side, kernel, stride, dilation.
CASES = [
    (3, 5, 9, 5, 1, 1),  # small windows: weight gradients stay in registers
    (17, 40, 7, 3, 2, 1),
    (32, 32, 16, 5, 1, 1),
    (33, 19, 9, 3, 1, 2),
    (64, 17, 4, 1, 1, 1),
    (200, 40, 1, 1, 1, 1),
]


def case(channels, filters, side, kernel, stride, dilation, padding="same"):
    """Parameters, what forward left, geometry, and a gradient that is mostly zero."""
    rng = np.random.default_rng(channels)
    window = Window((kernel,) * 2, (stride,) * 2, (dilation,) * 2, padding)
    g = window.over((side, side, channels))
    x = rng.integers(-128, 128, (5, side, side, channels)).astype(np.int8)
    y = rng.integers(-20, 128, (5, *g.out, filters)).astype(np.int8)
    weight = rng.integers(-127, 128, (filters, kernel, kernel, channels))
    params = LinearParams(
        weight.astype(np.float32) * np.float32(2**-7), np.zeros(filters, np.float32)
    )
    gy = rng.standard_normal(y.shape).astype(np.float32)
    gy *= rng.random(y.shape) < 0.4
    return params, Saved((x,), y, (0.25,), (0,), 0, 127), g, gy


def real_gradients(backward, params, saved, g, gy):
    """Those of the real input in float64, where the output is not clamped."""
    params = LinearParams(*(a.astype(np.float64) for a in (params.weight, params.bias)))
    inside = (saved.low < saved.y) & (saved.y < saved.high)
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    x = scale * (x.astype(np.float64) + offset)
    real = Saved((x,), np.zeros(gy.shape), (1.0,), (0,), -np.inf, np.inf)
    gx, gparams = backward(params, real, g, np.where(inside, gy, 0.0), True)
    return gx, gparams.weight, gparams.bias


def check_zero_point(backward, params, saved, g, gy):
    """A zero point far from 0, beyond which padding must read as real 0, and outputs
    that are clamped at both ends."""
    saved = replace(saved, x_offset=(97,), low=-7, high=101)
    gx, found = backward(params, saved, g, gy, True)
    expected = real_gradients(backward, params, saved, g, gy)
    for a, b in zip((gx, found.weight, found.bias), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_zero_points_and_clamped_outputs(shape):
    check_zero_point(conv.backward, *case(*shape))


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_zero_points_of_depthwise_convolution(shape):
    params, saved, g, gy = case(*shape)
    channels = saved.x[0].shape[3]
    weight = np.tile(params.weight[:1, :, :, :1], (channels, 1, 1, 1))[..., 0]
    saved = replace(saved, y=np.resize(saved.y, (*gy.shape[:3], channels)))
    gy = np.resize(gy, saved.y.shape)
    params = LinearParams(weight, np.zeros(channels, np.float32))
    check_zero_point(depthwise.backward, params, saved, g, gy)


#: The same with a padding, of which the last three reach beyond the windows.
FULL_CASES = [
    (8, 5, 9, 5, 1, 1, "same"),
    (17, 40, 7, 3, 1, 1, "valid"),
    (33, 19, 9, 3, 1, 2, "same"),
    (64, 17, 4, 1, 1, 1, "same"),
    (200, 40, 1, 1, 1, 1, "same"),
    (9, 70, 5, 4, 1, 1, ((3, 0), (1, 2))),
    (16, 32, 32, 3, 2, 1, "same"),
    (33, 19, 9, 3, 2, 1, "valid"),
    (64, 17, 17, 1, 2, 1, "same"),
    (40, 33, 17, 5, 3, 1, "same"),
    (9, 40, 33, 2, 3, 1, ((1, 0), (1, 1))),
    (9, 20, 15, 7, 2, 1, ((4, 0), (3, 6))),
    (9, 20, 15, 3, 2, 2, "same"),
    (9, 3, 6, 2, 1, 1, ((0, 3), (0, 0))),
    (9, 3, 6, 2, 1, 1, ((0, 0), (2, 0))),
    (9, 3, 6, 3, 2, 1, ((4, 0), (0, 6))),
]


@pytest.mark.parametrize("shape", FULL_CASES, ids=str)
def test_gradients_that_all_count_have_the_same_bits(shape, monkeypatch):
    params, saved, g, gy = case(*shape)
    saved = replace(saved, x_offset=(30,), low=-7, high=101)
    monkeypatch.setattr(conv_gradients, "MOST", 0.0)
    expected_x, expected = conv.backward(params, saved, g, gy, True)
    for needs_gx in (True, False):
        gx, found = conv_gradients.backward(params, saved, g, gy, needs_gx)
        np.testing.assert_array_equal(found.weight, expected.weight)
        np.testing.assert_array_equal(found.bias, expected.bias)
        assert (gx is not None) == needs_gx
        if needs_gx:
            np.testing.assert_array_equal(gx, expected_x)


def test_the_way_depends_on_how_many_count():
    _, saved, _, gy = case(*FULL_CASES[1])
    full = np.ones_like(gy)
    assert not conv_gradients._most_count(saved, gy)
    assert conv_gradients._most_count(saved, full)
    clamped = replace(saved, y=np.full_like(saved.y, 127))
    assert not conv_gradients._most_count(clamped, full)
