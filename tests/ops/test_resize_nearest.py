"""Resizing: larger and smaller, TFLite's indices in each of its modes."""

import draw
import hypothesis.strategies as st
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.resize_nearest import RESIZE_NEAREST, ResizeNearestAttrs
from kanji_np.types import QParams


def to(size, align_corners=False, half_pixel_centers=False):
    return ResizeNearestAttrs(size, align_corners, half_pixel_centers)


class TestResizeNearest(Conformance):
    op = RESIZE_NEAREST
    drawn = random_cases(
        st.builds(to, st.tuples(draw.sides, draw.sides), st.booleans(), st.booleans()),
        draw.images,
        qparams=st.tuples(draw.qparams),
    )
    networks = (
        ((kj.Conv2D(5, 3), kj.ResizeNearest((8, 7)), kj.Conv2D(2, 1)), (6, 5, 2)),
        ((kj.ResizeNearest(2),), (3, 4, 2)),
    )
    cases = (
        Case(to(1), (1, 1, 1), batch=1),
        Case(to((10, 8)), (5, 4, 3)),
        Case(to((3, 7), True), (5, 4, 17), 5),
        Case(to((7, 2), False, True), (5, 4, 3), qparams=(QParams(0.1, 77),)),
        Case(to((1, 9), True, True), (3, 3, 4)),
    )
    refusals = (Refusal(to(3), (4, 4), r"input \(H, W, C\), got \(4, 4\)"),)

    def bound(self, case, x, y):
        return 0.0

    def counted_flash(self, constants):
        assert [c.ctype for c in constants] == ["int16_t"] * 2
        return super().counted_flash(constants)


@pytest.mark.parametrize(
    ("attrs", "size", "expected"),
    [
        (to(6), 3, [0, 0, 1, 1, 2, 2]),
        (to(4), 3, [0, 0, 1, 2]),
        (to(2), 5, [0, 2]),
        (to(2, False, True), 5, [1, 3]),
        (to(5, True), 3, [0, 1, 1, 2, 2]),  # halves up
        (to(1, True), 3, [0]),
        (to(4, True, True), 2, [0, 1, 1, 1]),  # 1/6 is lost to the nearest
    ],
)
def test_the_indices_are_those_of_tflite(attrs, size, expected):
    rows, _ = attrs.indices((size, 1, 1))
    assert rows.tolist() == expected


def test_the_scale_is_float32():
    """41 times float32's 2/82 is a little less than 1."""
    rows, _ = to((82, 1)).indices((2, 1, 1))
    assert rows.tolist() == [0] * 42 + [1] * 40
