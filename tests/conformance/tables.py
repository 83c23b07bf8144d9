"""What operators that are a table of 256 bytes are checked for besides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kanji_np.loops.requantize import empty_range
from kanji_np.quantize import activation_bounds, activation_range
from kanji_np.types import Saved

from .cases import Case
from .suite import Conformance, assert_near


class TableConformance(Conformance):
    """The same for functions of one int8; the output of some is tracked."""

    at_random = (*Conformance.at_random, "test_the_range_of_the_output_is_that_of_x")
    of_layers = (
        *Conformance.of_layers,
        "test_gradients_of_integers_go_straight_through",
    )

    def activation(self, case: Case) -> str:
        return self.op.activation(case.attrs)

    def output_range(self, case: Case) -> tuple[float, float]:
        return activation_bounds(self.activation(case))

    def limits(self, case: Case) -> tuple[float, float]:
        """What a layer gives the vjp of integers."""
        if not self.op.tracks_output:
            return -math.inf, math.inf
        return activation_range(self.activation(case), self.y_qparams(case))

    def test_the_table_is_the_whole_function(self, case):
        every = np.arange(-128, 128).astype(np.int8)[np.newaxis]
        ints = self.ints(case)
        np.testing.assert_array_equal(
            self.op.run_int(case.attrs, ints, (every,))[0], ints.values
        )

    def test_the_range_of_the_output_is_that_of_x(self, target_case):
        """Before it is clamped, to half a step."""
        case, (x,) = target_case, self.images(target_case)
        if not self.op.tracks_output:
            return
        ints, fast, slow = self.ints(case), empty_range(), empty_range()
        self.op.run_int(case.attrs, ints, (x,), y_range=fast)
        self.op.forward_int(case.attrs, ints, (x,), y_range=slow)
        assert fast.tolist() == slow.tolist()
        free = self.op.without_activation(case.attrs)
        y = self.op.run_float(free, None, self.real(case, (x,)))
        steps = np.array([y.min(), y.max()]) / self.y_qparams(case).scale
        np.testing.assert_allclose(fast, steps, rtol=1e-9, atol=0.5 + 1e-9)

    def test_gradients_of_integers_go_straight_through(self, layer_case):
        """int8 in, int8 out, float32 gradients: those of the real values, which stop
        where the output is at an end of its range."""
        case, x = layer_case, self.images(layer_case)
        y, limits = self.forward_int(case, x), self.limits(case)
        gy = case.rng().standard_normal(y.shape).astype(np.float32)
        (q,) = case.inputs
        saved = Saved(x, y, (q.scale,), (-q.zero_point,), *limits)
        ((gx,), _) = self.vjp(case, None, saved, gy)
        inside = (y > limits[0]) & (y < limits[1])
        free = self.saved(self.real(case, x), y * 0.0, (-math.inf, math.inf))
        ((expected,), _) = self.vjp(case, None, free, np.where(inside, gy, 0.0))
        assert gx.dtype == np.float32
        assert_near(gx, expected)

    @pytest.mark.parametrize("kernels", ["cmsis-nn", "tflm", "litert", "xnnpack"])
    def test_every_kernel_is_near_the_smooth_function(self, kernels):
        for case in self.cases:
            numerics = replace(case.target.numerics, kernels=kernels)
            target = replace(case.target, numerics=numerics)
            if self.computes(case, kernels):
                self.test_integers_are_near_the_smooth_function(
                    replace(case, target=target)
                )

    def computes(self, case: Case, kernels: str) -> bool:
        """Whether a runtime computes the function at all."""
        return True
