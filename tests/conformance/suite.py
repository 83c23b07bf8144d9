"""What every operator is checked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from ccore.native import run_layer
from draw import EVERY_TARGET
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from kanji_np.autograd import Tensor, check_gradients, record
from kanji_np.deploy import export, verify
from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.layers import Layer, make_layer
from kanji_np.model import Model, Sequential
from kanji_np.ops.op import Op, attrs_from_json, attrs_to_json
from kanji_np.targets import LIBRARIES, check_calls, generates_c, target_spec
from kanji_np.types import (
    Arrays,
    Constant,
    ConstPtr,
    LinearParams,
    Numerics,
    QParams,
    Saved,
    Shape,
    Struct,
    TargetSpec,
    TensorSpec,
)

from .cases import TARGETS, Case, Refusal

#: Where networks are compiled, and under which scheme.
EMITTED = (
    (target_spec("cmsis-nn"), "pow2"),
    (target_spec("cmsis-nn", core="c"), "asymmetric"),
    (target_spec("cmsis-nn", core="mve", rounding="single"), "asymmetric"),
    (target_spec("cmsis-nn", core="mve", version="4.0.0"), "symmetric"),
    (target_spec("cmsis-nn-q7"), "pow2"),
    (target_spec("cmsis-nn-q7", core="c", rounding="truncate"), "pow2"),
)
#: Of every target and scheme, how many cases have their calls run.
CASES_RUN = 3
SAMPLES_RUN = 2
#: The check that a derived class gives a bound for.
NEAR = "test_integers_are_near_the_smooth_function"
#: Cases with at most so many numbers in them are differenced one by one.
SMALL = 250


class Conformance:
    """The checks; a derived class gives `op`, `cases`, `drawn`, `networks`, `bound`."""

    op: ClassVar[Op]
    cases: ClassVar[tuple[Case, ...]]
    #: How random cases are drawn, and how many; those that do not fit are left out.
    drawn: ClassVar[SearchStrategy[Case]]
    examples: ClassVar[int] = 25
    #: The checks of random cases, and those of them that are chosen as a layer's are.
    at_random: ClassVar[tuple[str, ...]] = (
        "test_inferred_shape_is_the_actual_one",
        "test_integers_equal_the_definition",
        "test_a_batch_is_its_images_one_by_one",
        "test_vjp_is_the_slope_in_every_direction",
        "test_fast_floats_equal_the_definition",
        "test_training_computes_the_same",
        "test_float32_agrees_with_float64",
        "test_attributes_survive_json",
        "check_calls",
    )
    of_layers: ClassVar[tuple[str, ...]] = (NEAR,)
    refusals: ClassVar[tuple[Refusal, ...]] = ()
    #: Layers and input shape of networks that are compiled: few, each takes a second.
    networks: ClassVar[tuple[tuple[tuple[Layer, ...], Shape], ...]] = ()
    #: Networks with branches: what makes one for a target and a scheme.
    branches: ClassVar[tuple[Callable[[TargetSpec, str], Model], ...]] = ()
    #: The same for the legacy API, where it cannot take those.
    legacy_networks: ClassVar[tuple[tuple[tuple[Layer, ...], Shape], ...] | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=str)
        if "target_case" in metafunc.fixturenames:
            metafunc.parametrize("target_case", self.target_cases(), ids=str)
        if "small_case" in metafunc.fixturenames:
            small = [case for case in self.cases if self.size(case) <= SMALL]
            assert small, "no case is small enough to be differenced one by one"
            metafunc.parametrize("small_case", small, ids=str)
        if "layer_case" in metafunc.fixturenames:
            layers = [c for c in self.target_cases() if c.scaling == "layer"]
            layers += [c for c in self.scheme_cases() if c.scaling == "layer"]
            metafunc.parametrize("layer_case", layers, ids=str)

    def target_cases(self) -> list[Case]:
        """Cases for every target; the legacy API has one scale a tensor."""
        cases = [replace(case, target=t) for t in TARGETS for case in self.cases]
        return [case for case in cases if case.suits_target]

    def scheme_cases(self) -> list[Case]:
        """Cases for every other scheme, where the scheme makes a difference."""
        return []

    # What a case stands for; `LinearConformance` has its own.

    def unsupported(self, case: Case) -> str | None:
        """A pattern of the reason why its target does not take a case."""
        return case.unsupported

    def missing(self, target: TargetSpec) -> str | None:
        """A pattern of the reason why a target takes no network with the operator."""
        return None

    # Inputs, here and below, are tuples with an element for each.

    def images(self, case: Case) -> Arrays:
        """Integers over their whole range, with both ends among them."""
        low, high = (0, 255) if self.op.reads_image else (-128, 127)
        rng, images = case.rng(), []
        for shape in case.shapes:
            x = rng.integers(low, high + 1, (case.batch, *shape))
            x.flat[0], x.flat[-1] = low, high
            images.append(x.astype(np.uint8 if self.op.reads_image else np.int8))
        return tuple(images)

    def real(self, case: Case, xs: Arrays) -> Arrays:
        """What integers stand for, float64."""
        if self.op.reads_image:
            return tuple(x.astype(np.float64) for x in xs)
        return tuple(
            q.scale * (x.astype(np.float64) - q.zero_point)
            for q, x in zip(case.inputs, xs, strict=True)
        )

    def saved(
        self, xs: Arrays, y: np.ndarray, limits: tuple[float, float], extra: Any = None
    ) -> Saved:
        """Of inputs that are as they are: of scale 1."""
        return Saved(xs, y, (1.0,) * len(xs), (0,) * len(xs), *limits, extra=extra)

    def vjp(self, case: Case, params: Any, saved: Saved, gy: np.ndarray) -> Any:
        """The gradients of all inputs, and of the parameters."""
        needs_gx = (True,) * len(case.shapes)
        return self.op.run_vjp(case.attrs, params, saved, gy, needs_gx)

    def ints(self, case: Case) -> Any:
        if self.op.ints is None:
            return None
        y = self.y_qparams(case)
        return self.op.ints(case.attrs, case.inputs, y, self.numerics(case))

    def numerics(self, case: Case) -> Numerics:
        """How the target computes the operator."""
        return case.target.numerics_of(self.op.name)

    def y_qparams(self, case: Case) -> QParams:
        if self.op.tracks_output:
            return case.y_qparams
        xs = (None,) if self.op.reads_image else case.inputs
        return self.op.output_qparams(case.attrs, xs, self.numerics(case))

    def params(self, case: Case) -> Any:
        """What `forward_float` and `vjp` take beside x."""
        return None

    def surrogate(self, case: Case) -> tuple[Any, Any, QParams]:
        """Integers, parameters and output scale of one and the same layer."""
        return self.ints(case), self.params(case), self.y_qparams(case)

    def bound(self, case: Case, xs: Arrays, y: np.ndarray) -> Any:
        """Largest |dequantized forward_int - forward_float| at real inputs and y."""
        raise NotImplementedError

    def size(self, case: Case) -> int:
        return case.batch * sum(map(math.prod, case.shapes))

    def output_range(self, case: Case) -> tuple[float, float]:
        """Values outside are clamped, and pass no gradient."""
        return -math.inf, math.inf

    # Checks

    def forward_int(self, case: Case, xs: Arrays | None = None) -> np.ndarray:
        xs = self.images(case) if xs is None else xs
        return self.op.run_int(case.attrs, self.ints(case), xs)

    def forward_float(self, case: Case, params: Any, xs: Arrays) -> np.ndarray:
        return self.op.run_float(case.attrs, params, xs)

    def real_input(self, case: Case) -> Arrays:
        """float64 (N, ...) of the size of real activations, or of grey levels."""
        rng = case.rng()
        low, high = (0, 255) if self.op.reads_image else (-4, 4)
        return tuple(
            rng.uniform(low, high, (case.batch, *shape)) for shape in case.shapes
        )

    def float_vjp(
        self, case: Case, xs: Arrays, params: Any, gy: np.ndarray
    ) -> tuple[Any, Any]:
        y = self.forward_float(case, params, xs)
        return self.vjp(case, params, self.saved(xs, y, self.output_range(case)), gy)

    def incoming(self, case: Case, y: np.ndarray) -> np.ndarray:
        """Gradients of an output, float64: all, or as few as a max pool leaves."""
        rng = case.rng()
        return rng.standard_normal(y.shape) * (rng.random(y.shape) < case.kept)

    def smooth_incoming(self, case: Case, y: np.ndarray) -> np.ndarray:
        """The same, but for outputs that a small step could take to a bend."""
        gy = self.incoming(case, y)
        for end in self.output_range(case):
            gy[np.abs(y - end) < 1e-4] = 0
        return gy

    def fits(self, case: Case) -> bool:
        """Whether there is an output, and the target has such scales."""
        try:
            self.op.infer(case.attrs, case.shapes)
        except ShapeError:
            return False
        schemes = LIBRARIES[case.target.library].schemes
        return case.suits_target and case.scheme in schemes

    def is_bounded(self, case: Case) -> bool:
        """Whether `bound` holds. Golden answers say what runtimes compute; their tables
        and factors of few bits are bounded nowhere."""
        return generates_c(case.target) or self.op.weights is not None

    def test_cases_drawn_at_random(self):
        @settings(max_examples=self.examples)
        @given(self.drawn.filter(self.fits))
        def check(case: Case) -> None:
            checks = self.at_random
            if case.scaling == "layer":
                checks += self.of_layers
            for name in checks:
                if self.is_bounded(case) or name != NEAR:
                    getattr(self, name)(case)

        check()

    @pytest.mark.parametrize("target", EVERY_TARGET, ids=str)
    def test_lowered_calls_give_the_bytes_of_forward_int(self, target):
        turn = EVERY_TARGET.index(target)
        for scheme in LIBRARIES[target.library].schemes:
            turn = (turn + CASES_RUN) % len(self.cases)
            cases = [
                replace(case, target=target, scheme=scheme)
                for case in (*self.cases[turn:], *self.cases[:turn])
            ]
            ran = (c for c in cases if c.suits_target and self.check_calls(c))
            assert list(islice(ran, CASES_RUN)) or self.missing(target)

    def check_calls(self, case: Case) -> bool:
        """Run the calls of a few samples; False if the target takes no such layer."""
        if not generates_c(case.target):
            return False
        try:
            calls = self.lowered(case)
            check_calls(case.target, calls)
        except UnsupportedOp:
            return False
        x = self.images(case)
        y = self.forward_int(case, x)
        for i in range(min(case.batch, SAMPLES_RUN)):
            sample = [each[i] for each in x]
            found = run_layer(calls, sample, y.shape[1:], case.target)
            np.testing.assert_array_equal(found, y[i])
        return True

    def test_inferred_shape_is_the_actual_one(self, case):
        y = self.forward_int(case)
        shape = (case.batch, *self.op.infer(case.attrs, case.shapes))
        assert (y.shape, y.dtype) == (shape, np.int8)
        y = self.forward_float(case, self.params(case), self.real_input(case))
        assert (y.shape, y.dtype) == (shape, np.float64)

    def test_integers_equal_the_definition(self, target_case):
        case = target_case
        x = self.images(case)
        kept = [each.copy() for each in x]
        y = self.forward_int(case, x)
        for each, before in zip(x, kept, strict=True):
            np.testing.assert_array_equal(each, before)
        expected = self.op.forward_int(case.attrs, self.ints(case), x)
        assert expected.dtype == np.int8
        np.testing.assert_array_equal(y, expected)

    def test_a_batch_is_its_images_one_by_one(self, case):
        x = self.images(case)
        single = [
            self.forward_int(case, tuple(each[i : i + 1] for each in x))
            for i in range(case.batch)
        ]
        np.testing.assert_array_equal(self.forward_int(case, x), np.concatenate(single))

    def test_integers_are_near_the_smooth_function(self, layer_case):
        case = layer_case
        ints, params, y_qparams = self.surrogate(case)
        x = self.images(case)
        y = self.op.run_int(case.attrs, ints, x).astype(np.float64)
        real_x = self.real(case, x)
        real_y = self.forward_float(case, params, real_x)
        low, high = (y_qparams.scale * (q - y_qparams.zero_point) for q in (-128, 127))
        error = np.abs(
            y_qparams.scale * (y - y_qparams.zero_point) - real_y.clip(low, high)
        )
        assert (error <= self.bound(case, real_x, real_y) + 1e-12).all()

    def test_vjp_is_the_slope_in_every_direction(self, case):
        rng, x = case.rng(), self.real_input(case)
        params = self.params(case)
        gy = self.smooth_incoming(case, self.forward_float(case, params, x))
        gx, gparams = self.float_vjp(case, x, params, gy)
        pairs = list(zip(x, gx, strict=True))
        for each, g in pairs:
            assert (g.shape, g.dtype) == (each.shape, np.float64)
        step = 1e-6 * (255 if self.op.reads_image else 1)
        for _ in range(3):
            dx = [rng.standard_normal(each.shape) for each in x]
            forward, backward = (
                self.forward_float(
                    case,
                    params,
                    tuple(
                        each + sign * step * d for each, d in zip(x, dx, strict=True)
                    ),
                )
                for sign in (1, -1)
            )
            slope = (gy * (forward - backward)).sum() / (2 * step)
            # Relative to the size of the terms, which may cancel or all be zero.
            size = sum(np.sqrt((g**2).sum()) for g in gx)
            size += 1e-2 * np.sqrt((gy**2).sum())
            along = sum((g * d).sum() for g, d in zip(gx, dx, strict=True))
            assert abs(along - slope) <= 1e-5 * size
        assert (gparams is not None) == (self.op.weights is not None)

    def test_vjp_is_the_slope_at_every_element(self, small_case):
        case, params = small_case, self.params(small_case)

        def function(*x: Tensor) -> Tensor:
            data = tuple(each.data for each in x)
            y = self.forward_float(case, params, data)
            saved = self.saved(data, y, self.output_range(case))
            return record(
                y,
                x,
                lambda g: self.vjp(case, params, saved, g)[0],
                self.op.name,
            )

        check_gradients(function, *self.real_input(case), rng=case.rng())

    def test_fast_floats_equal_the_definition(self, case):
        op = self.op
        for dtype in (np.float64, np.float32):
            params = cast_params(self.params(case), dtype)
            x = tuple(each.astype(dtype) for each in self.real_input(case))
            y = op.forward_float(case.attrs, params, x)
            assert y.dtype == dtype
            if op.fast.forward_float is not None:
                _assert_same_sums(op.run_float(case.attrs, params, x), y)
            saved = self.saved(x, y, self.output_range(case))
            self.check_fast_vjp(case, params, saved)
        self.check_fast_vjp(case, params, self.saved_integers(case))

    def saved_integers(self, case: Case) -> Saved:
        """int8 with zero points far from 0, and outputs that are clamped, if any are
        where there is a scale of the output's own."""
        x, limits = self.images(case), (-math.inf, math.inf)
        if self.op.tracks_output:
            limits = -101, 99
        saved = self.saved(x, self.forward_int(case, x), limits)
        if self.op.reads_image:
            return saved
        offsets = case.rng().integers(-127, 129, len(x)).tolist()
        return replace(saved, x_scale=(0.03,) * len(x), x_offset=tuple(offsets))

    def check_fast_vjp(self, case: Case, params: Any, saved: Saved) -> None:
        """Where most gradients count, and where few do: they may go different ways."""
        if self.op.fast.vjp is None:
            return
        dtype = np.float64 if saved.y.dtype == np.float64 else np.float32
        needs = (True,) * len(saved.x)
        for kept in (1.0, 0.1):
            gy = self.incoming(replace(case, kept=kept), saved.y).astype(dtype)
            gx, gparams = self.op.vjp(case.attrs, params, saved, gy, needs)
            found_gx, found = self.op.run_vjp(case.attrs, params, saved, gy, needs)
            pairs = list(zip(found_gx, gx, strict=True))
            if gparams is not None:
                pairs.append((found.weight, gparams.weight))
                pairs.append((found.bias, gparams.bias))
            for fast, slow in pairs:
                assert slow.dtype == dtype
                _assert_same_sums(fast, slow)
        if self.op.weights is None and self.op.inputs == 1:
            return  # it is not called where nothing needs a gradient
        needs = (False,) * len(saved.x)
        gx, _ = self.op.vjp(case.attrs, params, saved, gy, needs)
        assert set(gx) == {None}

    def test_training_computes_the_same(self, case):
        forward_train = self.op.fast.forward_train
        if forward_train is None:
            return
        params = self.params(case)
        real = tuple(x.astype(np.float32) for x in self.real_input(case))
        for x, ints, forward in (
            (self.images(case), self.ints(case), self.op.run_int),
            (real, params, self.op.run_float),
        ):
            y, extra = forward_train(case.attrs, ints, x)
            expected = forward(case.attrs, ints, x)
            assert y.dtype == expected.dtype
            np.testing.assert_array_equal(y, expected)
            gy = self.incoming(case, y).astype(np.float32)
            saved = self.saved(x, y, self.output_range(case))
            ((gx,), _), ((gx_without,), _) = (
                self.op.run_vjp(case.attrs, params, s, gy, (True,))
                for s in (replace(saved, extra=extra), saved)
            )
            assert gx.tobytes() == gx_without.tobytes()

    def test_float32_agrees_with_float64(self, case):
        rng = case.rng()
        x = tuple(each.astype(np.float32) for each in self.real_input(case))
        x64 = tuple(each.astype(np.float64) for each in x)
        params = self.params(case)
        single = cast_params(params, np.float32)
        double = cast_params(single, np.float64)
        y32 = self.forward_float(case, single, x)
        y64 = self.forward_float(case, double, x64)
        assert y32.dtype == np.float32
        assert_near(y32, y64)
        # Gradients are compared where no output is near a bend.
        gy = np.where(np.abs(y64) > 1e-3, rng.standard_normal(y64.shape), 0)
        gy = gy.astype(np.float32)
        gx32, gparams32 = self.float_vjp(case, x, single, gy)
        gx64, gparams64 = self.float_vjp(case, x64, double, gy.astype(np.float64))
        for g32, g64 in zip(gx32, gx64, strict=True):
            assert g32.dtype == np.float32
            assert_near(g32, g64)
        if gparams64 is not None:
            assert_near(gparams32.weight, gparams64.weight)
            assert_near(gparams32.bias, gparams64.bias)

    def test_attributes_survive_json(self, case):
        text = json.dumps(attrs_to_json(case.attrs))
        assert attrs_from_json(self.op.attrs, json.loads(text)) == case.attrs

    def test_lowers_or_says_why_not(self, target_case):
        case, reason = target_case, self.unsupported(target_case)
        if reason is not None:
            with pytest.raises(UnsupportedOp, match=reason):
                self.lowered(case)
            return
        for call in self.lowered(case):
            names = [constant.name for constant in call.constants]
            assert sorted(names) == sorted(_pointed_to(call.arguments))
            assert call.scratch_bytes >= 0
            for constant in call.constants:
                assert constant.ctype == f"{constant.values.dtype}_t"

    def lowered(self, case: Case) -> tuple[Any, ...]:
        dtype = "uint8" if self.op.reads_image else "int8"
        xs = tuple(TensorSpec(shape, dtype) for shape in case.shapes)
        y = TensorSpec(self.op.infer(case.attrs, case.shapes))
        ints = self.ints(case)
        return self.op.lower(case.attrs, ints, xs, y, case.target)

    def test_cost_is_what_can_be_counted(self, target_case):
        case = target_case
        cost = self.op.cost(case.attrs, case.shapes, case.target)
        assert cost.macs == self.counted_macs(case)
        if self.unsupported(case) is None:
            constants = [c for call in self.lowered(case) for c in call.constants]
            assert cost.flash_bytes == self.counted_flash(constants)

    def counted_flash(self, constants: list[Constant]) -> int:
        return sum(constant.values.nbytes for constant in constants)

    def counted_macs(self, case: Case) -> int:
        return 0

    def test_another_library_is_refused(self):
        case = self.cases[0]
        target = replace(target_spec("cmsis-nn"), library="nothing")
        with pytest.raises(UnsupportedOp, match=f"nothing has no {self.op.name}"):
            self.op.lower(case.attrs, None, (TensorSpec(()),), TensorSpec(()), target)

    @pytest.mark.parametrize(("target", "scheme"), EMITTED, ids=str)
    def test_emitted_c_gives_the_bytes_of_forward_int(self, tmp_path, target, scheme):
        legacy = target.library == "cmsis-nn-q7"
        networks = legacy and self.legacy_networks or self.networks
        nets = [*(self.row_of(*network) for network in networks), *self.branches]
        assert nets
        reason = self.missing(target)
        for i, make in enumerate(nets):
            if reason is not None:
                with pytest.raises(UnsupportedOp, match=reason):
                    make(target, "pow2")
                continue
            net = make(target, scheme)
            assert self.op.name in [layer.op.name for layer in net.layers]
            check_emitted_c(net, tmp_path / str(i))

    def row_of(
        self, layers: tuple[Layer, ...], shape: Shape
    ) -> Callable[[TargetSpec, str], Model]:
        """Makes a network of copies of the layers."""

        def make(target: TargetSpec, scheme: str) -> Model:
            fresh = [make_layer(x.op, x.attrs, constants=x.constants) for x in layers]
            return Sequential(fresh, shape, target, scheme=scheme)

        return make

    def test_shapes_that_do_not_fit_are_refused(self):
        for refusal in self.refusals:
            with pytest.raises(ShapeError, match=refusal.message):
                self.op.infer(refusal.attrs, (refusal.shape, *refusal.others))


def check_emitted_c(net: Model, directory: Path) -> None:
    """Export, compile, and run images over the whole range: no byte may differ."""
    rng = np.random.default_rng(0)
    for parameter in net.parameters():
        spread = 0.5 * parameter.data.std() + 0.01
        parameter.data += rng.normal(0, spread, parameter.shape).astype(np.float32)
    x = rng.integers(0, 256, (20, *net.input.shape)).astype(np.uint8)
    x[0], x[1], x[2] = 0, 127, 255
    x[3:6] = rng.choice((127, 128), x[3:6].shape)
    export(net, directory)
    result = verify(directory, x.view(net.input.dtype))
    assert result.differing_bytes == 0, result.first
    assert result.bytes == len(x) * net.freeze().output.size


def cast_params(params: Any, dtype: type) -> Any:
    if isinstance(params, LinearParams):
        return LinearParams(params.weight.astype(dtype), params.bias.astype(dtype))
    return params


def assert_near(single: np.ndarray, double: np.ndarray) -> None:
    """float32 and float64 answers agree to what a float32 sum may lose."""
    scale = np.abs(double).max(initial=0.0)
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=2e-5 * scale + 1e-7)


def _assert_same_sums(fast: np.ndarray, slow: np.ndarray) -> None:
    """Of the same terms, added up in another order."""
    assert (fast.shape, fast.dtype) == (slow.shape, slow.dtype)
    lost = {np.float32: 2e-5, np.float64: 1e-12}[slow.dtype.type]
    size = 1 + np.abs(slow).max(initial=0.0)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=lost * size)


def _pointed_to(arguments: Any) -> list[str]:
    """Names of the constants that arguments, and structs in them, point to."""
    names = []
    for argument in arguments:
        if isinstance(argument, Struct):
            names += _pointed_to(value for _, value in argument.fields)
        elif isinstance(argument, ConstPtr):
            names.append(argument.name)
    return names
