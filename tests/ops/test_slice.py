"""Slices: every axis, strides, and where they cost nothing."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases
from conformance.suite import check_emitted_c

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.ops.slice import SLICE, SliceAttrs
from kanji_np.targets import target_spec
from kanji_np.types import QParams, TensorSpec

TARGET = target_spec()


def split(target, scheme):
    x = kj.Input((6, 5, 8))
    first = kj.Slice((0, 0, 0), (6, 5, 4))(x)
    second = kj.Slice((0, 0, 4), (6, 5, 8))(x)
    y = kj.Add()(kj.Conv2D(4, 1)(first), second)
    y = kj.Slice((1, 0, 0), (6, 5, 4), (2, 3, 1))(y)
    return kj.Model(x, y, target, scheme=scheme)


def row_of_one(target, scheme):
    x = kj.Input((9,))
    y = kj.Slice((2,), (9,), (3,))(x)
    return kj.Model(x, kj.Dense(2)(y), target, scheme=scheme)


@st.composite
def part_of(draw_from, shape):
    """A slice of a tensor, of all its axes."""
    begin = [draw_from(st.integers(0, size - 1)) for size in shape]
    pairs = zip(begin, shape, strict=True)
    end = [draw_from(st.integers(first + 1, size)) for first, size in pairs]
    strides = [draw_from(st.integers(1, 3)) for _ in shape]
    return SliceAttrs(begin, end, draw_from(st.sampled_from((strides, []))))


def parts(shape):
    qparams = st.tuples(draw.qparams)
    return random_cases(part_of(shape), st.just(shape), qparams=qparams)


class TestSlice(Conformance):
    op = SLICE
    drawn = draw.shapes.flatmap(parts)
    branches = (row_of_one,)
    cases = (
        Case(SliceAttrs((0,), (1,)), (1,), batch=1),
        Case(SliceAttrs((3,), (33,), (4,)), (33,), 17),
        Case(SliceAttrs((1, 0, 2), (4, 5, 7)), (5, 5, 9), qparams=(QParams(0.1, 77),)),
        Case(SliceAttrs((0, 1, 0), (5, 5, 9), (2, 3, 4)), (5, 5, 9), 5),
        Case(SliceAttrs((0, 0, 8), (3, 3, 16)), (3, 3, 16)),
        Case(SliceAttrs((2, 0), (3, 4)), (3, 4)),
    )
    refusals = (
        Refusal(SliceAttrs((0, 0), (1, 1)), (4,), r"must have the 1 axes .* \(4,\)"),
        Refusal(SliceAttrs((0,), (1,), (1, 1)), (4,), "must have the 1 axes"),
        Refusal(SliceAttrs((0,), (5,)), (4,), r"\(0,\) to \(5,\) is no part of"),
        Refusal(SliceAttrs((2,), (2,)), (4,), "is no part of an input"),
    )

    def bound(self, case, x, y):
        return 0.0


@pytest.mark.parametrize("target", [TARGET, target_spec(core="mve")], ids=str)
def test_the_halves_of_a_split_go_different_ways(tmp_path, target):
    check_emitted_c(split(target, "asymmetric"), tmp_path)


def calls(attrs, shape):
    y = TensorSpec(SLICE.infer(attrs, (shape,)))
    return SLICE.lower(attrs, None, (TensorSpec(shape),), y, TARGET)


def test_all_of_a_tensor_needs_no_call():
    assert calls(SliceAttrs((0, 0, 0), (4, 5, 3)), (4, 5, 3)) == ()
    assert len(calls(SliceAttrs((0,), (1,)), (2,))) == 1


def test_rows_that_follow_each_other_are_one():
    (call,) = calls(SliceAttrs((1, 0, 0), (3, 5, 3)), (4, 5, 3))
    assert call.arguments[1:3] == (60, 15)
    assert dict(call.arguments[3].fields) == {"n": 1, "h": 1, "w": 1, "c": 30}


def test_the_indices_are_those_of_numpy():
    x = np.arange(60, dtype=np.int8).reshape(1, 4, 5, 3)
    y = SLICE.run_int(SliceAttrs((1, 0, 2), (4, 5, 3), (2, 3, 1)), None, (x,))
    np.testing.assert_array_equal(y, x[:, 1:4:2, 0:5:3, 2:3])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (((-1,), (1,)), "begin"),
        (((0,), 1), "end"),
        (((0,), (1,), (0,)), "strides"),
        (((0,), (1,), 2), "strides"),
    ],
)
def test_no_slice(arguments, named):
    with pytest.raises(OptionError, match=f"{named} must be"):
        kj.Slice(*arguments)
