"""Concatenation: parts copied and rescaled, any number of them, of any rank."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, JoinConformance, Refusal, random_joins

import kanji_np as kj
from kanji_np.deploy.cwriter import program
from kanji_np.errors import RangeError, UnsupportedOp
from kanji_np.ops.concatenate import (
    CONCATENATE,
    ConcatenateAttrs,
    ConcatenateInts,
    ints_of,
)
from kanji_np.targets import target_spec
from kanji_np.types import Numerics, QParams, TensorSpec

ATTRS, TARGET = ConcatenateAttrs(), target_spec()


def joined(outer, channels, scales, y, batch=2):
    shapes = [(*outer, c) for c in channels]
    return Case(
        ATTRS,
        shapes[0],
        batch,
        others=tuple(shapes[1:]),
        qparams=tuple(QParams(*scale) for scale in scales),
        y_qparams=QParams(*y),
    )


def dense_block(target, scheme):
    """Parts of which some are in two concatenations, and one twice in the last."""
    x = kj.Input((6, 7, 3))
    y = kj.Conv2D(5, 3, padding="same", activation="relu")(x)
    first = kj.Concatenate()(x, y)
    z = kj.Conv2D(4, 1)(first)
    last = kj.Concatenate()([first, z, z, x])
    return kj.Model(x, kj.Conv2D(3, 1)(last), target, scheme=scheme)


def flat(target, scheme):
    """Parts of rank 1, of the caller's memory and into it."""
    x = kj.Input((9,))
    return kj.Model(x, kj.Concatenate()(x, kj.ReLU()(x), x), target, scheme=scheme)


#: Two parts or more, of one shape but for their channels.
PARTS = st.tuples(
    st.sampled_from(((), (1,), (5,), (1, 1), (3, 1), (1, 4), (5, 4))),
    st.lists(draw.channels, min_size=2, max_size=4),
).map(lambda drawn: tuple((*drawn[0], channels) for channels in drawn[1]))


class TestConcatenate(JoinConformance):
    op = CONCATENATE
    drawn = random_joins(st.just(ATTRS), PARTS)
    branches = (dense_block, flat)
    cases = (
        joined((), (1, 1), ((2**-5,), (2**-5,)), (2**-5,), batch=1),
        joined((5, 4), (3, 2), ((2**-5,), (2**-6,)), (2**-5,)),
        joined((3, 3), (17, 1, 4), ((2**-5, 3),) * 3, (2**-4, -5), batch=5),
        joined((7,), (2, 6), ((0.03, -20), (0.01, 33)), (0.03, -20), batch=17),
        joined((), (65, 33), ((0.03, 127), (0.2, -128)), (0.07, -128)),
        joined((2, 2), (2, 2), ((0.03, 0), (2**-40, 9)), (0.9, 7)),  # a factor of 0
    )
    refusals = (
        Refusal(ATTRS, (4, 4, 2), r"but for their channels, got \(4", ((4, 3, 2),)),
        Refusal(ATTRS, (4, 4, 2), "one shape but", ((4, 4, 2), (32,))),
    )

    def bound(self, case, x, y):
        return 0.5001 * case.y_qparams.scale

    def limits(self, case):
        return -128, 127

    def output_range(self, case):
        return -np.inf, np.inf


def test_a_part_of_the_outputs_scale_is_copied_and_any_other_rescaled():
    y = QParams(0.5, 3)
    x = (y, QParams(0.5, 2), QParams(0.25, 3))
    ints = ints_of(ATTRS, x, y, Numerics())
    assert [part is None for part in ints.parts] == [True, False, False]
    every = np.arange(-128, 128).astype(np.int8)[None]
    out = CONCATENATE.run_int(ATTRS, ints, (every,) * 3).reshape(3, 256)
    np.testing.assert_array_equal(out[0], every[0])
    np.testing.assert_array_equal(out[1], np.minimum(every[0], 126).astype(int) + 1)
    halves = np.floor((every[0] - 3.0) / 2 + 0.5) + 3  # halves up
    np.testing.assert_array_equal(out[2], halves)


def test_networks_call_both_kernels():
    functions = program(flat(TARGET, "pow2").freeze()).functions
    assert functions == ["arm_concatenation_s8_x", "arm_relu_q7"]
    functions = program(dense_block(TARGET, "asymmetric").freeze()).functions
    assert "kanji_requantize_s8" in functions


def test_an_output_far_too_fine_is_refused():
    with pytest.raises(RangeError, match="1e-12 is too fine for an input of scale 10"):
        ints_of(ATTRS, (QParams(10.0),) * 2, QParams(1e-12), Numerics())


def test_extents_beyond_16_bits_are_refused():
    x, y = TensorSpec((2**15,)), TensorSpec((2**16,))
    with pytest.raises(UnsupportedOp, match="takes 65535 at most, got 65536"):
        CONCATENATE.lower(ATTRS, ConcatenateInts((None,) * 2, 0), (x, x), y, TARGET)
