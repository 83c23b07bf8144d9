"""Normalization: shifts, means a channel and a pixel."""

import draw
import hypothesis.strategies as st
import numpy as np
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.normalize import NORMALIZE, NormalizeAttrs, NormalizeInts


def normalized(shape):
    """One mean a channel, or one a value."""
    per_channel = shape[-1:] if len(shape) > 1 else (1,)
    means = st.sampled_from((per_channel, shape))
    attrs = st.builds(NormalizeAttrs, st.integers(0, 7), means)
    return random_cases(attrs, st.just(shape))


class TestNormalize(Conformance):
    op = NORMALIZE
    drawn = (draw.images | draw.vectors).flatmap(normalized)
    networks = (
        ((kj.Normalize((0, 128, 255)),), (5, 4, 3)),
        ((kj.Normalize(np.arange(60).reshape(5, 4, 3) * 4, shift=0),), (5, 4, 3)),
        ((kj.Normalize(128, shift=7),), (3, 3, 1)),
        ((kj.Normalize(100),), (7,)),
        ((kj.Normalize(np.arange(7) * 30),), (7,)),
    )
    cases = (
        *(Case(NormalizeAttrs(shift, (3,)), (5, 4, 3)) for shift in range(8)),
        Case(NormalizeAttrs(1, (5, 4, 3)), (5, 4, 3), batch=17),
        Case(NormalizeAttrs(0, (1,)), (1, 1, 1), batch=1),
        Case(NormalizeAttrs(1, (33,)), (2, 3, 33), batch=5),
        Case(NormalizeAttrs(1, (1,)), (11,), batch=5),
        Case(NormalizeAttrs(2, (11,)), (11,), batch=5),
    )
    refusals = (
        Refusal(NormalizeAttrs(1, (1,)), (4, 4, 3), r"must be \(3,\) or \(4, 4, 3\)"),
        Refusal(NormalizeAttrs(1, (2,)), (4,), r"must be \(1,\) or \(4,\)"),
    )

    def ints(self, case):
        mean = case.rng().integers(0, 256, case.attrs.mean_shape)
        return NormalizeInts(mean.astype(np.uint8))

    params = ints

    def bound(self, case, x, y):
        """Half a step; none where nothing is shifted out."""
        return 0.5 * 2.0 ** (case.attrs.shift - 6) if case.attrs.shift else 0.0
