"""Gradients of integers: zero points, clamped outputs, and rounding to bfloat16."""

from dataclasses import replace

import numpy as np
import pytest
from numba import njit

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.loops import conv, conv_gradients, depthwise, products
from kanji_np.loops.simd import address, put
from kanji_np.train import Recipe
from kanji_np.types import LinearParams, Saved
from kanji_np.window import Window

HAS_BFLOATS = "avx512bf16" in products.cpu_features()
KINDS = products.GRADIENTS if HAS_BFLOATS else products.GRADIENTS[:1]

#: Channels in and out, side, kernel, stride, dilation.
CASES = [
    (3, 5, 9, 5, 1, 1),  # small windows: weight gradients stay in registers
    (17, 40, 7, 3, 2, 1),
    (32, 32, 16, 5, 1, 1),
    (33, 19, 9, 3, 1, 2),
    (64, 17, 4, 1, 1, 1),
    (200, 40, 1, 1, 1, 1),
]


def nearest(x: np.ndarray) -> np.ndarray:
    """float32 rounded to 8 bits of mantissa, halves to even."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.rint(np.ldexp(mantissa, 8)), exponent - 8).astype(np.float32)


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
    return params, Saved(x, y, 0.25, 0, 127), g, gy


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", CASES, ids=str)
def test_products_of_rounded_gradients_are_exact(shape, kind):
    params, saved, g, gy = case(*shape)
    gy = nearest(gy)
    expected_x, expected = conv.backward(params, saved, g, gy, True)
    saved = replace(saved, gradients=kind)
    gx, found = conv.backward(params, saved, g, gy, True)
    for a, b in (
        (gx, expected_x),
        (found.weight, expected.weight),
        (found.bias, expected.bias),
    ):
        # The order of the sums may differ.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6 * np.abs(b).max())


def real_gradients(backward, params, saved, g, gy):
    """Those of the real input in float64, where the output is not clamped."""
    params = LinearParams(*(a.astype(np.float64) for a in (params.weight, params.bias)))
    inside = (saved.low < saved.y) & (saved.y < saved.high)
    x = saved.x_scale * (saved.x.astype(np.float64) + saved.x_offset)
    real = Saved(x, np.zeros(gy.shape), 1.0, -np.inf, np.inf)
    gx, gparams = backward(params, real, g, np.where(inside, gy, 0.0), True)
    return gx, gparams.weight, gparams.bias


def check_zero_point(backward, params, saved, g, gy):
    """A zero point far from 0, beyond which padding must read as real 0, and outputs
    that are clamped at both ends."""
    saved = replace(saved, x_offset=97, low=-7, high=101)
    gx, found = backward(params, saved, g, gy, True)
    expected = real_gradients(backward, params, saved, g, gy)
    for a, b in zip((gx, found.weight, found.bias), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", CASES, ids=str)
def test_zero_points_and_clamped_outputs(shape, kind):
    params, saved, g, gy = case(*shape)
    saved = replace(saved, gradients=kind)
    check_zero_point(conv.backward, params, saved, g, nearest(gy))


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_zero_points_of_depthwise_convolution(shape):
    params, saved, g, gy = case(*shape)
    channels = saved.x.shape[3]
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
    saved = replace(saved, x_offset=30, low=-7, high=101)
    monkeypatch.setitem(conv_gradients.MOST, "float32", 0.0)
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


@pytest.mark.parametrize("kind", KINDS)
def test_other_gradients_are_near(kind):
    params, saved, g, gy = case(*CASES[2])
    expected_x, expected = conv.backward(params, saved, g, gy, True)
    saved = replace(saved, gradients=kind)
    gx, found = conv.backward(params, saved, g, gy, True)
    assert np.abs(gx - expected_x).max() < 2**-8 * np.abs(expected_x).max()
    error = np.abs(found.weight - expected.weight).max()
    assert error < 2**-8 * np.abs(expected.weight).max()


@njit
def _put(values, out):
    for k in range(len(values)):
        put(address(out, k), values[k])


def test_bfloats_are_the_nearest():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(1000).astype(np.float32)
    ties = (np.arange(512) * 2 + 1).astype(np.float32)  # between two bfloats from 256
    values = np.concatenate([values, ties, -ties, [0.0, -0.0, 1e30, np.inf]])
    values = values.astype(np.float32)
    expected = nearest(values)
    out = np.empty(len(values), np.uint16)
    _put(values, out)
    np.testing.assert_array_equal(out, conv._bfloats(values))
    found = (out.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_training_takes_them(kind):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
    data = kj.Dataset(images, np.arange(24) % 2, ("a", "b"), "noise")
    ends = []
    for _ in range(2):
        layers = [
            kj.Normalize([120] * 3),
            kj.Conv2D(20, 3, activation="relu"),
            kj.Conv2D(8, 3),
            kj.Flatten(),
            kj.Dense(2),
        ]
        net = kj.Sequential(layers, (8, 8, 3))
        kj.fit(net, data, epochs=2, batch_size=8, gradients=kind, show=False)
        ends.append(np.concatenate([p.data.ravel() for p in net.parameters()]))
    assert np.isfinite(ends[0]).all()
    np.testing.assert_array_equal(*ends)


def test_what_cannot_be_is_refused(monkeypatch):
    with pytest.raises(OptionError, match="gradients must be one of .* got 'fp8'"):
        Recipe(1, gradients="fp8")
    monkeypatch.setattr(products, "cpu_features", lambda: frozenset({"avx512bf16"}))
    with pytest.raises(OptionError, match="go with precision 'int8'"):
        Recipe(1, gradients="bfloat16", precision="fp32")
    monkeypatch.setattr(products, "cpu_features", frozenset)
    with pytest.raises(OptionError, match="need a CPU with AVX-512 BF16"):
        Recipe(1, gradients="bfloat16")
