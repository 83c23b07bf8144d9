"""Transposes: every order of up to four axes, and where they cost nothing."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.ops.transpose import TRANSPOSE, TransposeAttrs
from kanji_np.targets import target_spec
from kanji_np.types import QParams, TensorSpec

TARGET = target_spec()


def order(*dims):
    return TransposeAttrs(dims)


def orders(shape):
    dims = st.permutations(range(1, len(shape) + 1))
    return random_cases(
        dims.map(TransposeAttrs), st.just(shape), qparams=st.tuples(draw.qparams)
    )


class TestTranspose(Conformance):
    op = TRANSPOSE
    drawn = draw.shapes.flatmap(orders)
    networks = (
        ((kj.Conv2D(5, 3), kj.Permute((3, 1, 2)), kj.Conv2D(2, 1)), (6, 5, 2)),
        ((kj.Permute((2, 1, 3)),), (3, 4, 2)),
    )
    cases = (
        Case(order(1), (7,), batch=1),
        Case(order(2, 1), (5, 17)),
        Case(order(3, 1, 2), (4, 5, 3), 5),
        Case(order(3, 2, 1), (4, 5, 33)),
        Case(order(2, 1, 3), (4, 5, 3), qparams=(QParams(0.1, 77),)),
        Case(order(2, 3, 1), (1, 5, 3)),
        Case(order(4, 2, 1, 3), (2, 3, 4, 5)),
    )
    refusals = (Refusal(order(2, 1), (4, 4, 2), r"has 2 axes, .* \(4, 4, 2\) has 3"),)

    def bound(self, case, x, y):
        return 0.0


def calls(dims, shape):
    y = TensorSpec(TRANSPOSE.infer(order(*dims), (shape,)))
    return TRANSPOSE.lower(order(*dims), None, (TensorSpec(shape),), y, TARGET)


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        ((1, 2, 3), (4, 5, 3)),
        ((2, 1, 3), (1, 5, 3)),
        ((1, 3, 2), (4, 5, 1)),
        ((3, 1, 2), (4, 5, 1)),
        ((3, 2, 1), (1, 1, 1)),
    ],
)
def test_axes_of_length_1_move_without_a_call(dims, shape):
    assert calls(dims, shape) == ()


def test_axes_that_stay_together_are_one():
    (call,) = calls((3, 1, 2), (4, 5, 3))
    extents, steps = (dict(a.fields) for a in call.arguments[3:5])
    assert extents == {"n": 1, "h": 1, "w": 3, "c": 20}
    assert steps == {"n": 0, "h": 0, "w": 1, "c": 3}


def test_more_axes_than_the_kernel_has():
    with pytest.raises(UnsupportedOp, match="takes 4 axes at most .*, got 6"):
        calls((6, 5, 4, 3, 2, 1), (2,) * 6)


@pytest.mark.parametrize("dims", [(0, 1), (1, 1), (1, 3), (), 2])
def test_no_order(dims):
    with pytest.raises(OptionError, match="dims must"):
        kj.Permute(dims)


def test_the_axes_are_those_of_numpy():
    x = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    y = TRANSPOSE.run_int(order(3, 1, 2), None, (x,))
    np.testing.assert_array_equal(y, np.moveaxis(x, 3, 1))
