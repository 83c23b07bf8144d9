"""Samples as people have them: converted, noted, or refused with what to do."""

import numpy as np
import pytest

from kanji_np.data.samples import samples_of
from kanji_np.errors import DataError, DataWarning

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (9, 8, 8, 3), np.uint8)
GREY = IMAGES[..., 0]


def said(x):
    """What is made of samples, and the one line that says so."""
    with pytest.warns(DataWarning) as caught:
        found = samples_of(x, "f: x")
    (line,) = (str(warning.message) for warning in caught)
    assert line.startswith("f: x ")
    return found, line.removeprefix("f: x ")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("images", [IMAGES, GREY])
def test_pixels_divided_by_255_are_images(images, dtype):
    found, line = said((images / 255).astype(dtype))
    assert found.dtype == np.uint8
    assert np.array_equal(found, images if images.ndim == 4 else images[..., None])
    assert line == "holds k / 255, 0 to 1: taken as images, uint8 0 to 255"


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint16])
def test_pixels_of_a_wider_type_are_images(dtype):
    found, line = said(IMAGES.astype(dtype))
    assert found.dtype == np.uint8 and np.array_equal(found, IMAGES)
    assert "0 to 255" in line and line.endswith("taken as images, uint8")


@pytest.mark.parametrize(
    "x",
    [
        RNG.random((9, 8, 8, 1)),  # 0 to 1, but anything in between
        RNG.integers(0, 2, (9, 20, 3)) / 1.0,  # two levels tell nothing
        RNG.integers(0, 6, (9, 20, 3)) / 5,  # these are k / 255, too
        RNG.standard_normal((9, 20, 3)),
        RNG.standard_normal((9, 8, 8, 3)),
        RNG.integers(0, 256, (9, 40)) / 255,  # vectors
    ],
)
def test_real_values_stay_real(x):
    found = samples_of(x, "f: x")
    assert found.dtype == np.float32
    assert np.array_equal(found, x.astype(np.float32))


def test_real_values_that_look_like_images_are_noted():
    found, line = said(IMAGES / 127.5 - 1)
    assert found.dtype == np.float32
    assert line == (
        "is float64 (9, 8, 8, 3): taken as real values, not as images, which are uint8"
    )


def test_integers_of_other_widths():
    x = RNG.integers(-999, 999, (9, 5))
    found = samples_of(x, "f: x")
    assert found.dtype == np.int16 and np.array_equal(found, x)
    wide = RNG.integers(0, 65536, (9, 5)).astype(np.uint16)
    found = samples_of(wide, "f: x")
    assert found.dtype == np.float32 and np.array_equal(found, wide)
    with pytest.raises(
        DataError, match="is int64 and holds 0 to 33554432; samples are"
    ):
        samples_of(np.array([[0, 2**25]]), "f: x")


def test_grey_images_of_a_wide_type_are_noted():
    found, line = said(GREY.astype(np.int32))
    assert found.dtype == np.int16 and found.shape == GREY.shape
    assert line == (
        "is int32 (9, 8, 8): taken as signals (N, T, C); grey images are uint8"
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int16])
def test_images_with_channels_first(channels, dtype):
    with pytest.raises(DataError) as error:
        samples_of(np.zeros((9, channels, 8, 6), dtype), "f: x")
    assert str(error.value) == (
        f"f: x is (9, {channels}, 8, 6), with channels first: they come last, which is "
        "x.transpose(0, 2, 3, 1)"
    )


def test_signals_with_time_last_are_noted():
    found, line = said(RNG.standard_normal((9, 3, 128)))
    assert found.shape == (9, 3, 128)
    assert line == (
        "is (9, 3, 128): taken as 3 steps in time of 128 channels; if time comes last, "
        "give x.transpose(0, 2, 1)"
    )
