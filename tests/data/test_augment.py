"""Images and signals are changed as slow definitions change them, and by a seed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanji_np.data import Augment, SignalAugment, parse_augment
from kanji_np.errors import OptionError, ShapeError


def augment_slowly(images, augment, rng):
    """What Augment.apply is defined to do; the draws are five a picture, in order."""
    n, height, width, channels = images.shape
    p = augment.crop_padding
    fill = np.broadcast_to(np.array(augment.fill, np.uint8), channels)
    limits = [2 * p + 1, 2 * p + 1, 1 + augment.flip, height, width]
    draws = rng.integers(0, limits, size=(n, 5))
    out = []
    for image, (top, left, mirror, row, column) in zip(images, draws, strict=True):
        padded = np.empty((height + 2 * p, width + 2 * p, channels), np.uint8)
        padded[:] = fill
        padded[p : p + height, p : p + width] = image
        crop = padded[top : top + height, left : left + width].copy()
        if mirror:
            crop = crop[:, ::-1].copy()
        first_row = row - augment.cutout // 2
        first_column = column - augment.cutout // 2
        crop[
            max(first_row, 0) : max(first_row + augment.cutout, 0),
            max(first_column, 0) : max(first_column + augment.cutout, 0),
        ] = fill
        out.append(crop)
    return np.array(out)


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(1, 255, shape, np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(
        st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)
    ),
    crop_padding=st.integers(0, 5),
    flip=st.booleans(),
    cutout=st.integers(0, 11),
    fill=st.integers(0, 255),
    seed=st.integers(0, 2**32),
)
def test_equals_the_definition(shape, crop_padding, flip, cutout, fill, seed):
    images = noise(shape, seed)
    before = images.copy()
    augment = Augment(crop_padding, flip, cutout, fill)
    fast = augment.apply(images, np.random.default_rng(seed))
    slow = augment_slowly(images, augment, np.random.default_rng(seed))
    assert fast.dtype == np.uint8
    assert np.array_equal(fast, slow)
    assert np.array_equal(images, before)
    assert not np.shares_memory(fast, images)


def test_fill_of_each_channel():
    images = noise((8, 6, 6, 3))
    augment = Augment(cutout=4, fill=(125, 123, 114))
    fast = augment.apply(images, np.random.default_rng(3))
    assert np.array_equal(
        fast, augment_slowly(images, augment, np.random.default_rng(3))
    )


def test_images_that_do_not_lie_together_in_memory():
    images = noise((10, 8, 8, 3))
    augment = Augment()
    for view in (images[::2], images[:, ::-1], images.transpose(0, 2, 1, 3)):
        fast = augment.apply(view, np.random.default_rng(3))
        again = augment.apply(view.copy(), np.random.default_rng(3))
        assert np.array_equal(fast, again)


def test_every_place_and_both_sides_are_drawn():
    # One lit pixel on black shows where each image went.
    images = np.zeros((2000, 9, 9, 1), np.uint8)
    images[:, 4, 3] = 255
    out = Augment(crop_padding=2).apply(images, np.random.default_rng(0))
    places = set(zip(*np.nonzero(out[..., 0])[1:], strict=True))
    # The column is 3 or, mirrored, 5, and both coordinates move by up to 2.
    assert places == {(y, x) for y in range(2, 7) for x in range(1, 8)}


def test_none_changes_nothing():
    images = noise((4, 5, 5, 3))
    out = Augment.none().apply(images, np.random.default_rng(0))
    assert np.array_equal(out, images)
    assert not np.shares_memory(out, images)


def test_empty_batch():
    out = Augment().apply(np.empty((0, 8, 8, 3), np.uint8), np.random.default_rng(0))
    assert out.shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"crop_padding": -1},
            "augment: crop_padding must be an int in 0 .. 9999, got -1",
        ),
        ({"cutout": -2}, "augment: cutout must be an int in 0 .. 9999, got -2"),
        ({"fill": 256}, "augment: fill must be an int in 0 .. 255, got 256"),
        ({"fill": (0, -1, 0)}, "augment: fill must be an int in 0 .. 255, got -1"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(OptionError) as error:
        Augment(**options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "images, message",
    [
        (
            np.zeros((2, 8, 8, 3)),
            "augment: expected uint8 images (B, H, W, C), got float64 of shape "
            "(2, 8, 8, 3)",
        ),
        (
            np.zeros((8, 8, 3), np.uint8),
            "augment: expected uint8 images (B, H, W, C), got uint8 of shape (8, 8, 3)",
        ),
        (
            np.zeros((2, 8, 8, 1), np.uint8),
            "augment: fill has 3 values, images have 1 channels",
        ),
    ],
)
def test_refuses_images(images, message):
    with pytest.raises(ShapeError) as error:
        Augment(fill=(1, 2, 3)).apply(images, np.random.default_rng(0))
    assert str(error.value) == message


def test_what_is_off_draws_nothing_more():
    """Recipes of before there were rotation, colours and erasing give the same."""
    images = noise((6, 8, 8, 3))
    told = Augment(crop_padding=2, cutout=3)
    rng, slow = np.random.default_rng(5), np.random.default_rng(5)
    assert np.array_equal(told.apply(images, rng), augment_slowly(images, told, slow))
    assert rng.random() == slow.random()


OFF = {"crop_padding": 0, "flip": False}


def rotate_slowly(image, degrees, fill):
    """Bilinear, in float64, about the middle."""
    height, width, channels = image.shape
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    padded = np.empty((height + 4, width + 4, channels))
    padded[:] = fill
    padded[2:-2, 2:-2] = image
    out = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            u, v = x - (width - 1) / 2, y - (height - 1) / 2
            at_x = cosine * u - sine * v + (width - 1) / 2
            at_y = sine * u + cosine * v + (height - 1) / 2
            at_x = min(max(at_x, -2), width + 0.999)
            at_y = min(max(at_y, -2), height + 0.999)
            left, top = int(np.floor(at_x)), int(np.floor(at_y))
            p, q = at_x - left, at_y - top
            corner = padded[top + 2 : top + 4, left + 2 : left + 4]
            rows = corner[0] * (1 - q) + corner[1] * q
            out[y, x] = rows[0] * (1 - p) + rows[1] * p
    return out


@pytest.mark.parametrize("shape", [(9, 9, 1), (8, 13, 3), (1, 5, 2), (6, 1, 1)])
@pytest.mark.parametrize("degrees", [5, 45, 180])
def test_rotation_is_bilinear_about_the_middle(shape, degrees):
    images = noise((5, *shape))
    told = Augment(**OFF, rotation=degrees, fill=99)
    out = told.apply(images, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rng.integers(0, (1, 1, 1, shape[0], shape[1]), size=(5, 5))
    parts = 2 * rng.random((5, 9))[:, 0] - 1
    angles = 4 * np.degrees(np.arctan(parts * np.tan(np.radians(degrees / 4))))
    assert abs(angles).max() <= degrees
    for image, angle, turned in zip(images, angles, out, strict=True):
        # Coordinates are exact to 1/512 of a pixel, and weights to 1/256.
        assert abs(rotate_slowly(image, angle, 99) - turned).max() <= 3


def test_angles_are_spread_evenly():
    image = np.zeros((2000, 1, 1, 1), np.uint8)
    rng = np.random.default_rng(0)
    Augment(**OFF, rotation=45).apply(image, rng)
    for degrees, most in ((45, 0.05), (180, 0.5)):
        parts = np.linspace(-1, 1, 1001)
        angles = 4 * np.degrees(np.arctan(parts * np.tan(np.radians(degrees / 4))))
        density = np.diff(angles) / np.diff(angles).max()
        assert density.min() >= 1 - most


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("option", ["brightness", "contrast", "saturation"])
def test_colours(channels, option):
    images = noise((9, 6, 5, channels))
    out = Augment(**OFF, **{option: 0.5}).apply(images, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rng.integers(0, (1, 1, 1, 6, 5), size=(9, 5))
    column = {"brightness": 1, "contrast": 2, "saturation": 3}[option]
    factors = 1 + (2 * rng.random((9, 9))[:, column] - 1) / 2
    weights = (0.299, 0.587, 0.114) if channels == 3 else (1 / channels,) * channels
    grey = (images * weights).sum(axis=-1, keepdims=True)
    if option == "brightness":
        centre = np.zeros_like(grey)
    elif option == "contrast":
        centre = np.broadcast_to(grey.mean(axis=(1, 2, 3), keepdims=True), grey.shape)
    elif channels == 3:
        centre = grey
    else:
        assert np.array_equal(out, images)
        return
    real = centre + factors[:, None, None, None] * (images - centre)
    assert abs(np.clip(real, 0, 255) - out).max() <= 1
    assert 0.5 < factors.min() < 0.8 and 1.2 < factors.max() < 1.5


def test_erasing_paints_rectangles_of_some_images():
    images = np.full((400, 32, 24, 3), 200, np.uint8)
    told = Augment(**OFF, erasing=0.25, fill=(1, 2, 3))
    out = told.apply(images, np.random.default_rng(0))
    painted = (out == (1, 2, 3)).all(axis=-1)
    assert ((out == 200).all(axis=-1) | painted).all()
    erased = painted.any(axis=(1, 2))
    assert 70 < erased.sum() < 130
    heights, widths = painted.any(axis=2).sum(axis=1), painted.any(axis=1).sum(axis=1)
    assert np.array_equal(painted.sum(axis=(1, 2)), heights * widths)
    assert set(heights[erased]) <= {*range(4, 17)} and heights.max() > 12
    assert set(widths[erased]) <= {*range(3, 13)} and widths.max() > 9


def test_all_at_once_is_the_same_for_a_seed():
    images = noise((16, 12, 10, 3))
    before = images.copy()
    told = Augment(2, True, 3, 7, 20, 0.3, 0.3, 0.3, 0.5)
    first, again = (told.apply(images, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, again) and np.array_equal(images, before)
    assert not np.array_equal(first, told.apply(images, np.random.default_rng(2)))
    assert first.dtype == np.uint8 and not np.shares_memory(first, images)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("none", Augment.none()),
        ("mirror", Augment(crop_padding=0)),
        ("mirror,crop", Augment()),
        ("crop=2, cutout=8", Augment(2, False, 8)),
        ("cutout", Augment(0, False, 8)),
        ("rotation,erasing", Augment(0, False, rotation=10, erasing=0.25)),
        (
            "colour=0.3",
            Augment(0, False, brightness=0.3, contrast=0.3, saturation=0.3),
        ),
        ("contrast,rotation=5", Augment(0, False, contrast=0.2, rotation=5)),
    ],
)
def test_a_list_of_words(text, told):
    assert Augment.parse(text) == told
    assert parse_augment(text, noise((1, 2, 2, 3))) == told


def test_a_list_of_words_for_signals():
    none = SignalAugment.none()
    assert SignalAugment.parse("none") == none
    assert SignalAugment.parse("shift,scale,noise") == SignalAugment()
    assert SignalAugment.parse("noise=0.2") == replace(none, noise=0.2)
    for dtype in (np.float32, np.int16):
        signals = np.zeros((1, 4, 2), dtype)
        assert parse_augment("shift=0.5", signals) == replace(none, shift=0.5)
    with pytest.raises(OptionError) as error:
        parse_augment("shift", np.zeros((1, 4, 2), np.int8))
    assert str(error.value) == (
        "augment: there are uint8 images (H, W, C) and float32 or int16 signals to "
        "augment, not int8 samples (4, 2)"
    )


WORDS = (
    "mirror, crop, cutout, rotation, colour, brightness, contrast, saturation, erasing"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip", f"augment: 'flip' is not one of {WORDS}, or none"),
        ("", f"augment: '' is not one of {WORDS}, or none"),
        ("mirror=1", f"augment: 'mirror=1' is not one of {WORDS}, or none"),
        ("crop=x", "augment: the strength of crop must be a number, got 'x'"),
        ("crop=1.5", "augment: crop_padding is a whole number of pixels, got 1.5"),
        ("crop=inf", "augment: crop_padding is a whole number of pixels, got inf"),
        ("colour,contrast", "augment: contrast sets contrast for the second time"),
        ("erasing=2", "erasing must be a finite number in 0 .. 1, got 2.0"),
        ("rotation=200", "rotation must be a finite number in 0 .. 180, got 200.0"),
    ],
)
def test_words_that_are_wrong(text, message):
    with pytest.raises(OptionError) as error:
        Augment.parse(text)
    assert str(error.value) == message


def signals(shape, dtype, seed=0):
    values = np.random.default_rng(seed).normal(0, 900, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("shape", [(6, 20, 3), (6, 20, 4, 1)])
def test_a_signal_is_moved_in_time(dtype, shape):
    x = signals(shape, dtype)
    told = replace(SignalAugment.none(), shift=0.25)
    out = told.apply(x, np.random.default_rng(1))
    assert out.dtype == dtype and not np.shares_memory(out, x)
    moves = set()
    for before, after in zip(x, out, strict=True):
        fits = [
            s
            for s in range(-5, 6)
            if np.array_equal(after, before[np.clip(np.arange(20) - s, 0, 19)])
        ]
        assert len(fits) == 1
        moves |= set(fits)
    assert len(moves) > 2


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_signal_is_scaled(dtype):
    x = signals((200, 20, 3), dtype)
    told = replace(SignalAugment.none(), scale=0.5)
    out = told.apply(x, np.random.default_rng(1)).astype(float)
    factors = 1 + 0.5 * (2 * np.random.default_rng(1).random((200, 2))[:, 1] - 1)
    assert 0.5 <= factors.min() < 0.55 and 1.45 < factors.max() <= 1.5
    rounding = 0.5 if dtype == np.int16 else 0
    assert abs(out - factors[:, None, None] * x).max() <= rounding + 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_noise_is_in_proportion_to_each_channel(dtype):
    x = signals((50, 400, 2), np.float32) * (1, 10) + (0, 5000)
    x = x.astype(dtype)
    told = replace(SignalAugment.none(), noise=0.1)
    off = told.apply(x, np.random.default_rng(1)).astype(float) - x
    assert np.allclose(off.std(axis=(0, 1)), (90, 900), rtol=0.05)
    assert (abs(off.mean(axis=(0, 1))) < (3, 30)).all()


def test_signals_are_clamped_to_int16_and_vectors_stay_in_place():
    x = np.full((50, 8), 32_000, np.int16)
    out = SignalAugment(shift=1, scale=0.5, noise=0).apply(x, np.random.default_rng(0))
    assert out.max() == 32_767 and out.min() < 20_000
    vectors = signals((9, 8), np.float32)
    moved = replace(SignalAugment.none(), shift=1).apply(
        vectors, np.random.default_rng(0)
    )
    assert np.array_equal(moved, vectors)


def test_none_leaves_signals_as_they_are():
    x = signals((3, 4, 2), np.float32)
    out = SignalAugment.none().apply(x, np.random.default_rng(0))
    assert np.array_equal(out, x) and not np.shares_memory(out, x)
    empty = SignalAugment().apply(x[:0], np.random.default_rng(0))
    assert empty.shape == (0, 4, 2)


def test_signals_that_are_none():
    with pytest.raises(ShapeError) as error:
        SignalAugment().apply(noise((2, 8, 3)), np.random.default_rng(0))
    assert str(error.value) == (
        "augment: expected float32 or int16 signals (B, T, C), (B, H, W, C) or (B, K), "
        "got uint8 of shape (2, 8, 3)"
    )
    with pytest.raises(
        OptionError, match="shift must be a finite number in 0 .. 1, got"
    ):
        SignalAugment(shift=2)
