"""What operators with weights are checked for besides."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest

from kanji_np.autograd import Tensor, check_gradients, record
from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.layers import Layer, make_layer
from kanji_np.loops import products
from kanji_np.loops.requantize import empty_range
from kanji_np.model import Sequential
from kanji_np.quantize import (
    SCHEMES,
    LinearScales,
    Scheme,
    activation_bounds,
    by_output,
    legal_scales,
    linear_ints,
)
from kanji_np.targets import target_spec
from kanji_np.types import (
    Arrays,
    LinearInts,
    LinearParams,
    QParams,
    Saved,
    Shape,
    TargetSpec,
)
from kanji_np.window import Window

from .cases import TARGETS, X_QPARAMS, Case
from .suite import Conformance, assert_near, cast_params, check_emitted_c


class LinearConformance(Conformance):
    """The same for operators with weights."""

    at_random = (
        *Conformance.at_random,
        "test_the_range_of_the_output_is_exact",
        "check_every_way_to_multiply",
        "test_parameter_slopes_in_every_direction",
    )
    of_layers = (
        *Conformance.of_layers,
        "test_gradients_of_integers_go_straight_through",
    )
    #: As `networks`, of layers with int4 weights.
    int4_networks: ClassVar[tuple[tuple[tuple[Layer, ...], Shape], ...]]

    def unsupported(self, case: Case) -> str | None:
        if self.op.weight_bits(case.attrs) == 4 and case.is_legacy:
            return "cmsis-nn-q7 has no int4 weights"
        if case.attrs.activation == "relu6" and case.is_legacy:
            return "cmsis-nn-q7 has no ReLU6: its outputs end at 127"
        return case.unsupported

    def without_int4(self, target: TargetSpec) -> str | None:
        """A pattern of the reason why a target takes none of `int4_networks`."""
        if target.library == "cmsis-nn-q7":
            return "cmsis-nn-q7 has no int4 weights"
        if target.version == "4.0.0":
            return r"4\.0\.0 has no arm_\w+_s4; it came with 5\.0\.0"
        return None

    @pytest.mark.parametrize("target", (*TARGETS, target_spec(core="mve")), ids=str)
    def test_emitted_c_with_int4_weights(self, tmp_path, target):
        reason = self.without_int4(target)
        for i, (layers, shape) in enumerate(self.int4_networks):
            assert {layer.attrs.weight_bits for layer in layers} == {4}
            fresh = [make_layer(x.op, x.attrs) for x in layers]
            if reason is None:
                net = Sequential(fresh, shape, target, scheme="asymmetric")
                check_emitted_c(net, tmp_path / str(i))
                continue
            with pytest.raises(UnsupportedOp, match=reason):
                Sequential(fresh, shape, target)

    def scheme_cases(self) -> list[Case]:
        others = [scheme for scheme in SCHEMES if scheme != "pow2"]
        return [replace(c, scheme=scheme) for scheme in others for c in self.cases]

    def scheme(self, case: Case) -> Scheme:
        """The scheme as far as operator and target allow."""
        scheme = SCHEMES[case.scheme]
        per_channel = self.op.weights.channel_scales(case.attrs, case.target)
        return replace(scheme, per_channel=scheme.per_channel and per_channel)

    def images(self, case: Case) -> Arrays:
        if case.scaling == "extreme":
            rng = case.rng()
            x = rng.choice((-128, 127), (case.batch, *case.shape)).astype(np.int8)
            # With equal weights the largest sums there are; odd ones, of which float32
            # loses the last bits beyond 2^24.
            x[0], x[-1] = -128, 127
            return (x,)
        return super().images(case)

    def weight_shape(self, case: Case) -> Shape:
        return self.op.weights.shapes(case.attrs, case.shapes)[0]

    def params(self, case: Case) -> LinearParams:
        rng, shape = case.rng(), self.weight_shape(case)
        limit = 2 / math.sqrt(math.prod(shape[1:]))
        return LinearParams(
            rng.uniform(-limit, limit, shape), rng.uniform(-1, 1, shape[0])
        )

    @lru_cache(maxsize=4)  # noqa: B019 - many checks of one case ask for them
    def scales(self, case: Case) -> LinearScales:
        params, scheme = self.params(case), self.scheme(case)
        rows = np.abs(params.weight).reshape(len(params.weight), -1)
        max_abs = rows.max(axis=1) if scheme.per_channel else rows.max()
        w = scheme.weight_scales(max_abs, self.op.weight_bits(case.attrs))
        (x,) = self.images(case)
        x = X_QPARAMS.scale * (x * 1.0 - case.x_qparams.zero_point)
        y = self.op.run_float(case.attrs, params, (x,))
        # Half of the range: some values are clamped, as in a trained layer.
        y_qparams = scheme.activation_qparams(y.min() / 2, y.max() / 2 + 1e-3)
        scales = LinearScales(
            case.x_qparams, np.broadcast_to(w, len(params.bias)), y_qparams
        )
        return legal_scales(scales, params.bias, scheme, self.numerics(case))

    def ints(self, case: Case) -> LinearInts:
        if case.scaling == "layer":
            numerics, activation = self.numerics(case), case.attrs.activation
            bits = self.op.weight_bits(case.attrs)
            return linear_ints(
                self.params(case), self.scales(case), activation, numerics, bits
            )
        rng, shape = case.rng(), self.weight_shape(case)
        channels, depth = shape[0], math.prod(shape[1:])
        least, most = (-8, 7) if self.op.weight_bits(case.attrs) == 4 else (-128, 127)
        multiplier = self.multipliers(case, rng.integers(2**30, 2**31, channels))
        if case.scaling == "channels":
            right = int(math.log2(54 * math.sqrt(depth)))
            return LinearInts(
                weight=rng.integers(least, most + 1, shape).astype(np.int8),
                bias=rng.integers(-(2**14), 2**14, channels).astype(np.int32),
                multiplier=multiplier,
                shift=rng.integers(-right - 1, -right + 2, channels).astype(np.int32),
                input_offset=int(rng.integers(-127, 129)),
                output_offset=int(rng.integers(-60, 61)),
                act_min=-101,
                act_max=99,
                rounding=self.numerics(case).rounding,
            )
        weight = np.empty(shape, np.int8)
        weight[:] = rng.choice((least, most), shape)
        weight[0::3], weight[1::3] = -most, most  # sums at both ends, and in between
        left = int(math.log2((2**31 - 1) / (256 * 128 * (depth + 1))))
        shift = rng.integers(-31, left + 1, channels).astype(np.int32)
        shift[0] = left
        return LinearInts(
            weight=weight,
            bias=rng.integers(-(2**14), 2**14, channels).astype(np.int32),
            multiplier=multiplier,
            shift=shift,
            input_offset=(-127, 0, 128)[depth % 3],
            output_offset=0,
            rounding=self.numerics(case).rounding,
        )

    def multipliers(self, case: Case, drawn: np.ndarray) -> np.ndarray:
        """Those of a rounding: integers, or floating factors."""
        numerics = self.numerics(case)
        if not numerics.is_floating:
            return drawn.astype(np.int32)
        factors = (drawn + 0.4).astype(numerics.rounding).astype(np.float64)
        return np.minimum(factors, 2**31 - 2**7)

    def surrogate(self, case: Case) -> tuple[LinearInts, LinearParams, QParams]:
        return self.ints(case), self.params(case), self.scales(case).y

    def bound(self, case: Case, xs: Arrays, y: np.ndarray) -> np.ndarray:
        """What rounding the weights does to each sum, what rounding the bias does, and
        the rounding to the output scale: half a step, before it half a step of 2^(1-n)
        of its size where there are two, a whole step where it truncates."""
        ints, params, scales = self.ints(case), self.params(case), self.scales(case)
        each = by_output(scales.w, params.weight)
        off_weight = np.abs(params.weight - ints.weight * each)
        off_bias = np.abs(params.bias - ints.bias * scales.sums)
        linear = replace(case.attrs, activation="linear")
        off_sum = self.op.run_float(
            linear, LinearParams(off_weight, off_bias), (np.abs(xs[0]),)
        )
        twice = 0.5 + 2.0 ** (ints.shift - 1)
        steps = {
            "double": twice, "single": 0.5, "truncate": 1.0, "float64": 0.5,
            "float32": 0.5 + 2.0**-16,
        }  # fmt: skip
        rounding = np.where(ints.shift < 1, steps[ints.rounding], 0.0)
        multipliers = 1e-6  # of 31 bits, times outputs of 8
        return off_sum + (rounding + multipliers) * scales.y.scale

    def size(self, case: Case) -> int:
        return super().size(case) + math.prod(self.weight_shape(case))

    def output_range(self, case: Case) -> tuple[float, float]:
        return activation_bounds(case.attrs.activation)

    def counted_macs(self, case: Case) -> int:
        """Every factor is 1, padding too: an output is the number of its products."""
        weight = np.ones(self.weight_shape(case))
        params = LinearParams(weight, np.zeros(len(weight)))
        attrs, shape = self.unpadded(case)
        attrs = replace(attrs, activation="linear")
        return int(self.op.run_float(attrs, params, (np.ones((1, *shape)),)).sum())

    def unpadded(self, case: Case) -> tuple[Any, Shape]:
        """Attributes and input shape of as many windows that need no padding."""
        return case.attrs, case.shape

    def test_the_range_of_the_output_is_exact(self, target_case):
        case = target_case
        x, ints = self.images(case), self.ints(case)
        fast, slow = empty_range(), empty_range()
        self.op.run_int(case.attrs, ints, x, y_range=fast)
        self.op.forward_int(case.attrs, ints, x, y_range=slow)
        assert fast.tolist() == slow.tolist()

    @pytest.mark.parametrize("way", products.available_products())
    def test_every_way_to_multiply_gives_the_same(self, case, way):
        self.check_every_way_to_multiply(case, [way])

    def check_every_way_to_multiply(
        self, case: Case, ways: Iterable[str] = products.available_products()
    ) -> None:
        x, ints = self.images(case), self.ints(case)
        slow = empty_range()
        expected = self.op.forward_int(case.attrs, ints, x, y_range=slow)
        for way in ways:
            fast = empty_range()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(products.VARIABLE, way)
                y = self.op.run_int(case.attrs, ints, x, y_range=fast)
            np.testing.assert_array_equal(y, expected)
            assert fast.tolist() == slow.tolist()

    def test_extreme_sums_stay_in_int32_on_the_way(self):
        for case in self.cases:
            ints, sums = self.ints(case), empty_range()
            one = np.ones_like(ints.shift)  # 2^30 * 2^(1 - 31): outputs are the sums
            as_they_are = replace(ints, multiplier=one << 30, shift=one)
            self.op.forward_int(
                case.attrs, as_they_are, self.images(case), y_range=sums
            )
            left = max(int(ints.shift.max()), 0)
            assert np.abs(sums).max() << left < 2**31

    def test_parameter_slopes_in_every_direction(self, case):
        rng, x, params = case.rng(), self.real_input(case), self.params(case)
        gy = self.smooth_incoming(case, self.forward_float(case, params, x))
        _, gparams = self.float_vjp(case, x, params, gy)
        step = 1e-6
        for _ in range(3):
            dw = rng.standard_normal(params.weight.shape)
            db = rng.standard_normal(params.bias.shape)
            forward, backward = (
                self.op.run_float(
                    case.attrs,
                    LinearParams(params.weight + s * dw, params.bias + s * db),
                    x,
                )
                for s in (step, -step)
            )
            slope = (gy * (forward - backward)).sum() / (2 * step)
            terms = (*(gparams.weight * dw).flat, *(gparams.bias * db).flat)
            size = math.sqrt(sum(t * t for t in terms)) + 1e-9
            assert abs(math.fsum(terms) - slope) < 1e-5 * size

    def test_parameter_slopes_at_every_element(self, small_case):
        case, x = small_case, self.real_input(small_case)

        def function(weight: Tensor, bias: Tensor) -> Tensor:
            params = LinearParams(weight.data, bias.data)
            y = self.op.run_float(case.attrs, params, x)
            saved = self.saved(x, y, self.output_range(case))

            def vjp(g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                (gx,), gparams = self.op.run_vjp(case.attrs, params, saved, g, (False,))
                assert gx is None
                return gparams.weight, gparams.bias

            return record(y, (weight, bias), vjp, self.op.name)

        params = self.params(case)
        check_gradients(function, params.weight, params.bias, rng=case.rng())

    def test_gradients_of_integers_go_straight_through(self, layer_case):
        """int8 in, int8 out, float32 gradients: those of the real values, which stop
        where the output is at an end of its range."""
        case, ints = layer_case, self.ints(layer_case)
        x = self.images(case)
        y = self.op.run_int(case.attrs, ints, x)
        bounds = ints.act_min, ints.act_max
        gy = self.incoming(case, y).astype(np.float32)
        params = cast_params(self.params(case), np.float32)
        scale, zero_point = case.x_qparams.scale, case.x_qparams.zero_point
        saved = Saved(x, y, (scale,), (-zero_point,), *bounds)
        (gx,), gparams = self.op.run_vjp(case.attrs, params, saved, gy, (True,))
        clamped = (y <= ints.act_min) | (y >= ints.act_max)
        real_x = tuple(scale * (each * 1.0 - zero_point) for each in x)
        free = self.saved(real_x, y * 0.0, (-math.inf, math.inf))
        (expected_gx,), expected = self.op.run_vjp(
            case.attrs,
            cast_params(params, np.float64),
            free,
            np.where(clamped, 0.0, gy),
            (True,),
        )
        assert {g.dtype for g in (gx, gparams.weight, gparams.bias)} == {
            np.dtype(np.float32)
        }
        assert_near(gx, expected_gx)
        assert_near(gparams.weight, expected.weight)
        assert_near(gparams.bias, expected.bias)

    def test_weights_of_another_shape_are_refused(self):
        case = self.cases[0]
        ints = self.ints(case)
        wrong = replace(ints, weight=ints.weight[..., :-1])
        with pytest.raises(ShapeError, match="weights"):
            self.op.run_int(case.attrs, wrong, self.images(case))


def unpadded_shape(window: Window, shape: Shape) -> Shape:
    """The input that as many windows cover without padding."""
    g = window.over(shape)
    return (
        (g.out_h - 1) * g.stride_h + g.dilation_h * (g.kernel_h - 1) + 1,
        (g.out_w - 1) * g.stride_w + g.dilation_w * (g.kernel_w - 1) + 1,
        shape[2],
    )
