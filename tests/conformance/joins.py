"""What operators of several inputs are checked for besides."""

from __future__ import annotations

import math

import numpy as np

from kanji_np.loops.requantize import empty_range
from kanji_np.quantize import (
    activation_bounds,
    activation_range,
)
from kanji_np.types import (
    Saved,
    TargetSpec,
)

from .cases import Case
from .suite import Conformance, assert_near


class JoinConformance(Conformance):
    """The same for operators without weights whose output has a scale of its own.

    The legacy API has none of them.
    """

    at_random = (
        *Conformance.at_random,
        "test_the_range_of_the_output_is_exact",
        "test_only_gradients_that_are_needed_are_made",
    )
    of_layers = (
        *Conformance.of_layers,
        "test_gradients_of_integers_go_straight_through",
    )

    def target_cases(self) -> list[Case]:
        return [case for case in super().target_cases() if not case.is_legacy]

    def missing(self, target: TargetSpec) -> str | None:
        legacy = target.library == "cmsis-nn-q7"
        return f"cmsis-nn-q7 has no {self.op.name}" if legacy else None

    def output_range(self, case: Case) -> tuple[float, float]:
        return activation_bounds(self.op.activation(case.attrs))

    def test_the_range_of_the_output_is_exact(self, target_case):
        case, x = target_case, self.images(target_case)
        ints, fast, slow = self.ints(case), empty_range(), empty_range()
        self.op.run_int(case.attrs, ints, x, y_range=fast)
        self.op.forward_int(case.attrs, ints, x, y_range=slow)
        assert fast.tolist() == slow.tolist()

    def test_gradients_of_integers_go_straight_through(self, layer_case):
        """int8 in, int8 out, float32 gradients: those of the real values, which stop
        where the output is at an end of its range."""
        case, x = layer_case, self.images(layer_case)
        y, limits = self.forward_int(case, x), self.limits(case)
        gy = case.rng().standard_normal(y.shape).astype(np.float32)
        scales = tuple(q.scale for q in case.inputs)
        offsets = tuple(-q.zero_point for q in case.inputs)
        saved = Saved(x, y, scales, offsets, *limits)
        gx, _ = self.vjp(case, None, saved, gy)
        inside = (y > limits[0]) & (y < limits[1])
        free = self.saved(self.real(case, x), y * 0.0, (-math.inf, math.inf))
        expected, _ = self.vjp(case, None, free, np.where(inside, gy, 0.0))
        for single, double in zip(gx, expected, strict=True):
            assert single.dtype == np.float32
            assert_near(single, double)

    def limits(self, case: Case) -> tuple[int, int]:
        return activation_range(self.op.activation(case.attrs), case.y_qparams)

    def test_only_gradients_that_are_needed_are_made(self, case):
        x = self.real_input(case)
        y = self.forward_float(case, None, x)
        saved = self.saved(x, y, self.output_range(case))
        every, _ = self.vjp(case, None, saved, y)
        for wanted in range(len(case.shapes)):
            needs = tuple(i == wanted for i in range(len(case.shapes)))
            gx, _ = self.op.run_vjp(case.attrs, None, saved, y, needs)
            np.testing.assert_array_equal(gx[wanted], every[wanted])
            assert [g is not None for g in gx] == list(needs)
