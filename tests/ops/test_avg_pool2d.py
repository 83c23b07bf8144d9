"""Average pooling: the windows of max pooling, and how halves are rounded."""

import numpy as np
import pytest
from conformance import Conformance
from test_max_pool2d import POOLS, REFUSALS

import kanji_np as kj
from kanji_np.ops.avg_pool2d import AVG_POOL2D
from kanji_np.ops.pooling import ClampInts, Pool2DAttrs


class TestAvgPool2D(Conformance):
    op = AVG_POOL2D
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

    def bound(self, case, x, y):
        """Half a step of the scale that input and output share."""
        return 0.5 * 2.0**-5


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
    for forward in (AVG_POOL2D.forward_int, AVG_POOL2D.definition):
        assert forward(attrs, ClampInts(-77, 90), x).item() == mean
