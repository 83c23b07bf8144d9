"""Max pooling: windows, both roundings of their number, padding, ties."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.max_pool2d import MAX_POOL2D
from kanji_np.types import ClampInts, Saved

POOLS = (
    Case(Pool2DAttrs((1, 1), (1, 1)), (1, 1, 1), batch=1),
    Case(Pool2DAttrs((3, 3), (2, 2)), (8, 8, 17), batch=5),
    Case(Pool2DAttrs((3, 3), (2, 2), "valid", False), (8, 9, 3), batch=17),
    Case(Pool2DAttrs((2, 2), (2, 2), "same"), (5, 7, 3)),
    Case(Pool2DAttrs((3, 2), (1, 3), "same", False), (6, 8, 2)),
    Case(Pool2DAttrs((3, 3), (1, 1), ((1, 2), (2, 0))), (4, 5, 3)),
    Case(Pool2DAttrs((2, 2), (3, 3), ((1, 0), (0, 1))), (8, 7, 1)),
    Case(Pool2DAttrs((4, 5), (1, 1)), (4, 5, 65)),
    Case(Pool2DAttrs((1, 7), (1, 2), "same"), (3, 9, 33), batch=1),
    Case(Pool2DAttrs((4, 4), (3, 3), ((2, 0), (2, 1))), (9, 9, 6), batch=3),
    Case(Pool2DAttrs((3, 3), (1, 1), "same"), (6, 6, 4)),
)
#: Windows of any shape, of which those that lie in the padding are left out.
DRAWN = random_cases(
    st.builds(Pool2DAttrs, draw.pairs, draw.pairs, draw.paddings, st.booleans()),
    draw.images,
)
SQUARE = [POOLS[i].attrs for i in (0, 1, 9, 10)]


def legacy_reason(case: Case) -> str | None:
    """Why the legacy API does not take a case of `POOLS`."""
    if not case.is_legacy:
        return None
    if case.attrs not in SQUARE:
        return "square images, windows, strides and padding only"
    if case.target.core == "dsp" and case.attrs.padding == "same":
        return r"padding \(1\) is not less than the stride \(1\)"
    return None


REFUSALS = (
    Refusal(Pool2DAttrs((2, 2), (2, 2)), (4,), r"\(H, W, C\)"),
    Refusal(Pool2DAttrs((5, 2), (1, 1)), (4, 4, 1), "window of 5 .* height 4"),
    Refusal(
        Pool2DAttrs((3, 2), (1, 1), ((0, 0), (2, 0))),
        (4, 4, 1),
        "padding 2 leaves a window of 2 without a cell along width",
    ),
    Refusal(
        Pool2DAttrs((2, 2), (1, 1), ((0, 3), (0, 0))),
        (4, 4, 1),
        "last window lies in the padding",
    ),
)


class TestMaxPool2D(Conformance):
    op = MAX_POOL2D
    drawn = DRAWN
    networks = (
        (
            (
                kj.MaxPool2D(3, 2),
                kj.MaxPool2D((3, 2), (1, 3), "same", ceil_mode=False),
                kj.MaxPool2D(3, 1, ((1, 2), (2, 0))),
                kj.MaxPool2D(2, 3, ((1, 0), (0, 1))),
            ),
            (17, 23, 5),
        ),
    )
    legacy_networks = (
        ((kj.MaxPool2D(3, 2), kj.MaxPool2D(3, 2, "same")), (17, 17, 5)),
        ((kj.Conv2D(4, 1), kj.MaxPool2D(4, 3, ((2, 0), (2, 1)))), (9, 9, 3)),
    )
    cases = POOLS
    refusals = REFUSALS

    def unsupported(self, case):
        return legacy_reason(case)

    def bound(self, case, x, y):
        return 0.0


def test_output_is_clamped_to_the_activation_range():
    attrs = Pool2DAttrs((2, 2), (2, 2))
    x = np.array([-128, -128, -128, -128, 5, 6, 7, 100], np.int8).reshape(2, 2, 2, 1)
    ints = ClampInts(-10, 90)
    for forward in (MAX_POOL2D.run_int, MAX_POOL2D.forward_int):
        assert forward(attrs, ints, (x,)).ravel().tolist() == [-10, 90]


def test_the_first_maximum_gets_the_gradient():
    attrs = Pool2DAttrs((2, 2), (2, 2))
    x = np.array([[3, 7], [7, 7]], np.int8).reshape(1, 2, 2, 1)
    y = MAX_POOL2D.run_int(attrs, ClampInts(), (x,))
    saved = Saved((x,), y, (1.0,), (0,), -np.inf, np.inf)
    gy = np.float32([[[[2.5]]]])
    (gx,), _ = MAX_POOL2D.run_vjp(attrs, None, saved, gy, (True,))
    assert gx.ravel().tolist() == [0, 2.5, 0, 0]


WIDE = (
    Case(Pool2DAttrs((16, 16), (1, 1)), (16, 17, 2), batch=1),  # 256 cells: one byte
    Case(Pool2DAttrs((257, 1), (1, 1)), (258, 2, 2), batch=1),
)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [(case, dtype) for case in POOLS for dtype in (np.int8, np.float32)]
    + [(case, np.int8) for case in WIDE],
    ids=str,
)
def test_gradients_are_those_of_the_definition_to_the_bit(case, dtype):
    rng = case.rng()
    # Few values, so that most windows hold their maximum more than once; the wide ones
    # hold it in their last cell.
    x = np.minimum(rng.integers(-3, 3, (case.batch, *case.shape)), 1)
    if case in WIDE:
        x[:, -1, -1] = 2
    x = x.astype(dtype)
    y, cells = MAX_POOL2D.fast.forward_train(case.attrs, ClampInts(), (x,))
    gy = rng.standard_normal(y.shape).astype(np.float32)
    gy[rng.random(y.shape) < 0.2] = -0.0
    saved = Saved((x,), y, (1.0,), (0,), -np.inf, np.inf, cells)
    (gx,), _ = MAX_POOL2D.run_vjp(case.attrs, None, saved, gy, (True,))
    (expected,), _ = MAX_POOL2D.vjp(case.attrs, None, saved, gy, (True,))
    assert (gx.dtype, gx.tobytes()) == (expected.dtype, expected.tobytes())
    assert cells.itemsize == (4 if case == WIDE[1] else 1)


def test_results_do_not_depend_on_what_memory_held():
    attrs, rng = Pool2DAttrs((2, 2), (3, 3)), np.random.default_rng(0)
    x = rng.integers(-128, 128, (4, 64, 64, 16)).astype(np.int8)
    y, cells = MAX_POOL2D.fast.forward_train(attrs, ClampInts(), (x,))
    saved = Saved((x,), y, (1.0,), (0,), -np.inf, np.inf, cells)
    gy = y.astype(np.float32)
    (gx,), _ = MAX_POOL2D.run_vjp(attrs, None, saved, gy, (True,))
    expected = gx.copy()
    gx[:] = np.nan
    del gx
    (gx,), _ = MAX_POOL2D.run_vjp(attrs, None, saved, gy, (True,))
    assert gx.tobytes() == expected.tobytes()
