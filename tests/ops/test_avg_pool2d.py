"""Average pooling: the windows of max pooling, and how halves are rounded."""

import numpy as np
import pytest
from conformance import Conformance
from test_max_pool2d import DRAWN, POOLS, REFUSALS, legacy_reason

import kanji_np as kj
from kanji_np.errors import UnsupportedOp
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.avg_pool2d import AVG_POOL2D
from kanji_np.types import AvgPoolInts


class TestAvgPool2D(Conformance):
    op = AVG_POOL2D
    drawn = DRAWN
    networks = (
        (
            (
                kj.AvgPool2D(3, 2),
                kj.AvgPool2D((3, 2), (1, 3), "same", ceil_mode=False),
                kj.AvgPool2D(3, 1, ((1, 2), (2, 0))),
                kj.AvgPool2D(2, 3, ((1, 0), (0, 1))),
            ),
            (17, 23, 5),
        ),
    )
    cases = POOLS
    refusals = REFUSALS

    legacy_networks = (
        ((kj.AvgPool2D(3, 2), kj.AvgPool2D(3, 2, "same")), (17, 17, 5)),
        ((kj.Conv2D(4, 1), kj.AvgPool2D(4, 3, ((2, 0), (2, 1)))), (9, 9, 3)),
    )

    def unsupported(self, case):
        return legacy_reason(case)

    def bound(self, case, x, y):
        """Half a step of the scale that input and output share, or a step a cut."""
        steps = {"half_away": 0.5, "toward_zero": 1.0, "toward_zero_twice": 2.0}
        return steps[case.target.numerics.average] * 2.0**-5


@pytest.mark.parametrize(
    ("cells", "mean"),
    [
        ([1, 2], 2),
        ([-1, -2], -2),
        ([0, 1], 1),
        ([0, -1], -1),
        ([1, 1, 0], 1),
        ([-1, 0, 0], 0),
        ([127] * 4, 90),
        ([-128] * 4, -77),
    ],
)
def test_halves_go_away_from_zero_and_the_rest_is_clamped(cells, mean):
    attrs = Pool2DAttrs((1, len(cells)), (1, 1))
    x = np.array(cells, np.int8).reshape(1, 1, -1, 1)
    for forward in (AVG_POOL2D.run_int, AVG_POOL2D.forward_int):
        assert forward(attrs, AvgPoolInts(-77, 90), (x,)).item() == mean


@pytest.mark.parametrize(
    ("rows", "once", "twice"),
    [
        ([[1, 2], [1, 2]], 1, 1),
        ([[3, 4], [4, 4]], 3, 3),
        ([[1, 1], [1, 0]], 0, 0),
        ([[5, 6], [1, 2]], 3, 3),
        ([[-5, -6], [-1, -1]], -3, -3),
        ([[-1, -2], [-3, -3]], -2, -2),
        ([[1, 2], [2, 3]], 2, 1),
        ([[-1, -2], [-2, -3]], -2, -1),
    ],
)
def test_the_legacy_api_cuts_toward_zero_once_or_twice(rows, once, twice):
    attrs = Pool2DAttrs((2, 2), (1, 1))
    x = np.array(rows, np.int8).reshape(1, 2, 2, 1)
    for divide, mean in (("toward_zero", once), ("toward_zero_twice", twice)):
        for forward in (AVG_POOL2D.run_int, AVG_POOL2D.forward_int):
            assert forward(attrs, AvgPoolInts(divide=divide), (x,)).item() == mean


def test_a_window_too_large_for_the_legacy_api_is_refused():
    layers = [kj.AvgPool2D(257)]
    with pytest.raises(UnsupportedOp, match="256 cells a side at most, got 257"):
        kj.Sequential(layers, (257, 257, 1), "cmsis-nn-q7")
