"""Images at another resolution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np.data import Dataset, fitted, resized, resizing_text
from kanji_np.errors import DataError, OptionError


def images(array):
    return Dataset(array, np.zeros(len(array), np.int64), ("a",), "drawn")


def mean_of(image, y, x, size):
    """The mean of the area that one pixel covers, part by part, rounded half up."""
    (h, w), (height, width) = image.shape[:2], size
    parts = [
        image[(y * h + i) // height, (x * w + j) // width].astype(int)
        for i in range(h)
        for j in range(w)
    ]
    return (sum(parts) + h * w // 2) // (h * w)


@given(
    old=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    new=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_a_pixel_is_the_mean_of_what_it_covers(old, new, seed):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 256, (2, *old, 3)).astype(np.uint8)
    made = resized(images(drawn), new)
    assert made.images.dtype == np.uint8 and made.images.shape == (2, *new, 3)
    for n, y, x in np.ndindex(2, *new):
        assert (made.images[n, y, x] == mean_of(drawn[n], y, x, new)).all()


def test_labels_stay_and_the_same_size_is_the_same_set():
    data = images(np.zeros((700, 4, 4, 1), np.uint8))
    assert resized(data, (4, 4)) is data
    assert resized(data, (2, 3)).labels is data.labels


def test_what_has_no_resolution_is_refused():
    features = images(np.zeros((2, 8), np.uint8))
    with pytest.raises(DataError, match="drawn: only uint8 images"):
        resized(features, (2, 2))
    with pytest.raises(OptionError, match="size must be"):
        resized(images(np.zeros((2, 4, 4, 1), np.uint8)), (0, 2))


def test_images_are_fitted_to_a_network_where_only_the_resolution_differs():
    data = images(np.zeros((2, 4, 6, 3), np.uint8))
    made = fitted(data, (2, 3, 3))
    assert made.input_shape == (2, 3, 3)
    assert resizing_text(data, made) == "images 4x6 resized to 2x3"
    for shape in ((4, 6, 3), (2, 3, 1), (24, 3), (2,)):
        assert fitted(data, shape) is data
    reals = images(np.zeros((2, 4, 6, 3), np.float32))
    assert fitted(reals, (2, 3, 3)) is reals
    assert resizing_text(reals, reals) == ""
