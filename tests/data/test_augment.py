"""The kernel equals a definition that pads, cuts, mirrors and paints with slices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanji_np.data import Augment
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
