"""The suite every operator passes, over its own list of cases and over random ones.

A file in `ops/` makes a class for its operator, derived from `Conformance` (or
`LinearConformance` where there are weights), lists cases, and says how others are drawn
at random. What is checked:

- the inferred shape is the actual one, of both forwards;
- the fast integer path equals `forward_int`, byte for byte, and does not mix images of
  a batch;
- `forward_int` is as near to `forward_float` as quantization allows (`bound`);
- `vjp` is the derivative of `forward_float` by central differences in float64: along
  random directions for every case, element by element for the small ones;
- what the forward pass of training leaves for `vjp` changes no bit of the results;
- float32 agrees with float64, and the gradients of int8 values with those of the same
  values in float64, stopped where the output is clamped;
- multiply-accumulates and flash bytes are what can be counted;
- attributes survive JSON;
- the operator lowers for every target, or says why not, and only where it should;
- the lowered calls give the bytes of `forward_int` on every library, version, core
  class and rounding under every scheme, and write nowhere else;
- the emitted C compiles and gives the bytes of `forward_int` (`networks`, `branches`).

What depends on the target is checked for each of `TARGETS`, the rest for the first. The
same random cases are drawn in every run, so many that an operator takes a second or
two; `examples` says how many.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import draw
import hypothesis.strategies as st
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
from kanji_np.loops import products
from kanji_np.loops.requantize import empty_range
from kanji_np.model import Model, Sequential
from kanji_np.ops.op import Arrays, Op, attrs_from_json, attrs_to_json
from kanji_np.quantize import (
    SCHEMES,
    LinearScales,
    Scheme,
    activation_bounds,
    activation_range,
    by_output,
    legal_scales,
    linear_ints,
)
from kanji_np.targets import LIBRARIES, check_calls, target_spec
from kanji_np.types import (
    Constant,
    ConstPtr,
    LinearInts,
    LinearParams,
    QParams,
    Saved,
    Shape,
    Struct,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import Window

#: Between them every library, rounding and core class.
TARGETS = (
    target_spec("cmsis-nn"),
    target_spec("cmsis-nn", core="mve", rounding="single"),
    target_spec("cmsis-nn", core="mve", version="4.0.0"),
    target_spec("cmsis-nn-q7"),
    target_spec("cmsis-nn-q7", core="c", rounding="truncate"),
)
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
#: Scale of every int8 input here.
X_QPARAMS = QParams(2.0**-5)
#: Cases with at most so many numbers in them are differenced one by one.
SMALL = 250


@dataclass(frozen=True)
class Case:
    """One configuration of an operator.

    Parameters
    ----------
    attrs : dataclass
    shape : tuple of int
        Of one input, the first of several.
    batch : int
    scaling : str
        How the integers of an operator with weights are chosen: "layer", as a layer
        makes them; "channels", a multiplier and shift a channel, offsets and a narrow
        activation range; "extreme", all factors at the ends of int8 with alternating
        signs from channel to channel, and shifts to the left.
    unsupported : str or None
        A pattern of the reason why no target takes it.
    target : TargetSpec
    scheme : str
        Of a "layer".
    others : tuple of tuple of int
        Shapes of the inputs after the first.
    qparams : tuple of QParams
        Of the inputs; the scheme's if empty.
    y_qparams : QParams or None
        Of the output, where its range is tracked and there are no weights.
    kept : float
        The part of the gradients of an output that are not zero.
    """

    attrs: Any
    shape: Shape
    batch: int = 2
    scaling: str = "layer"
    unsupported: str | None = None
    target: TargetSpec = TARGETS[0]
    scheme: str = "pow2"
    others: tuple[Shape, ...] = ()
    qparams: tuple[QParams, ...] = ()
    y_qparams: QParams | None = None
    kept: float = 1.0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.shape, *self.others

    @property
    def inputs(self) -> tuple[QParams, ...]:
        """QParams of every input."""
        return self.qparams or (self.x_qparams,) * len(self.shapes)

    @property
    def x_qparams(self) -> QParams:
        if self.qparams:
            return self.qparams[0]
        return replace(X_QPARAMS, zero_point=-20 * SCHEMES[self.scheme].asymmetric)

    @property
    def name(self) -> str:
        values = ",".join(map(str, attrs_to_json(self.attrs).values()))
        parts = (values, "x".join(map(str, self.shape)), str(self.batch), self.scaling)
        return "-".join(parts).replace(" ", "")

    def __str__(self) -> str:
        target = f"-{self.target}" if self.target != TARGETS[0] else ""
        scheme = f"-{self.scheme}" if self.scheme != "pow2" else ""
        scales = (*self.qparams, self.y_qparams) if self.qparams else ()
        return f"{self.name}{target}{scheme}{''.join(f'-{q}' for q in scales)}"

    def rng(self) -> np.random.Generator:
        return np.random.default_rng([len(self.name), self.batch, *self.shape])

    @property
    def is_legacy(self) -> bool:
        return self.target.library == "cmsis-nn-q7"

    @property
    def suits_target(self) -> bool:
        """The legacy API has one scale a tensor, and no zero points."""
        plain = self.scaling == "layer" and not any(q.zero_point for q in self.qparams)
        return plain or not self.is_legacy


def random_cases(
    attrs: SearchStrategy[Any], shape: SearchStrategy[Shape], **more: Any
) -> SearchStrategy[Case]:
    """Cases of any batch, target and scheme, and more that is drawn of them."""
    return st.builds(
        Case,
        attrs,
        shape,
        batch=draw.batches,
        target=st.sampled_from(EVERY_TARGET),
        scheme=st.sampled_from(tuple(SCHEMES)),
        kept=draw.kept,
        **more,
    )


def random_joins(
    attrs: SearchStrategy[Any], shapes: SearchStrategy[tuple[Shape, ...]]
) -> SearchStrategy[Case]:
    """The same of an operator of several inputs, each with a scale of its own."""

    def of(every: tuple[Shape, ...]) -> SearchStrategy[Case]:
        return random_cases(
            attrs,
            st.just(every[0]),
            others=st.just(every[1:]),
            qparams=st.tuples(*[draw.qparams] * len(every)),
            y_qparams=draw.qparams,
        )

    return shapes.flatmap(of)


@dataclass(frozen=True)
class Refusal:
    """Attributes and an input shape that `infer` must refuse, and a pattern of why.

    `others` are the shapes of the inputs after the first.
    """

    attrs: Any
    shape: Shape
    message: str
    others: tuple[Shape, ...] = ()


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
        "test_training_computes_the_same",
        "test_float32_agrees_with_float64",
        "test_attributes_survive_json",
        "check_calls",
    )
    of_layers: ClassVar[tuple[str, ...]] = (
        "test_integers_are_near_the_smooth_function",
    )
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
        return self.op.ints(case.attrs, case.inputs, y, case.target.numerics)

    def y_qparams(self, case: Case) -> QParams:
        if self.op.tracks_output:
            return case.y_qparams
        xs = (None,) if self.op.reads_image else case.inputs
        return self.op.output_qparams(case.attrs, xs, case.target.numerics)

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

    def test_cases_drawn_at_random(self):
        @settings(max_examples=self.examples)
        @given(self.drawn.filter(self.fits))
        def check(case: Case) -> None:
            checks = self.at_random
            if case.scaling == "layer":
                checks += self.of_layers
            for name in checks:
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
        single = _cast(params, np.float32)
        double = _cast(single, np.float64)
        y32 = self.forward_float(case, single, x)
        y64 = self.forward_float(case, double, x64)
        assert y32.dtype == np.float32
        _assert_near(y32, y64)
        # Gradients are compared where no output is near a bend.
        gy = np.where(np.abs(y64) > 1e-3, rng.standard_normal(y64.shape), 0)
        gy = gy.astype(np.float32)
        gx32, gparams32 = self.float_vjp(case, x, single, gy)
        gx64, gparams64 = self.float_vjp(case, x64, double, gy.astype(np.float64))
        for g32, g64 in zip(gx32, gx64, strict=True):
            assert g32.dtype == np.float32
            _assert_near(g32, g64)
        if gparams64 is not None:
            _assert_near(gparams32.weight, gparams64.weight)
            _assert_near(gparams32.bias, gparams64.bias)

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
        if case.attrs.weight_bits == 4 and case.is_legacy:
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
        w = scheme.weight_scales(max_abs, case.attrs.weight_bits)
        (x,) = self.images(case)
        x = X_QPARAMS.scale * (x * 1.0 - case.x_qparams.zero_point)
        y = self.op.run_float(case.attrs, params, (x,))
        # Half of the range: some values are clamped, as in a trained layer.
        y_qparams = scheme.activation_qparams(y.min() / 2, y.max() / 2 + 1e-3)
        scales = LinearScales(
            case.x_qparams, np.broadcast_to(w, len(params.bias)), y_qparams
        )
        return legal_scales(scales, params.bias, scheme, case.target.numerics)

    def ints(self, case: Case) -> LinearInts:
        if case.scaling == "layer":
            numerics, activation = case.target.numerics, case.attrs.activation
            bits = case.attrs.weight_bits
            return linear_ints(
                self.params(case), self.scales(case), activation, numerics, bits
            )
        rng, shape = case.rng(), self.weight_shape(case)
        channels, depth = shape[0], math.prod(shape[1:])
        least, most = (-8, 7) if case.attrs.weight_bits == 4 else (-128, 127)
        multiplier = rng.integers(2**30, 2**31, channels).astype(np.int32)
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
                rounding=case.target.numerics.requantize,
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
            rounding=case.target.numerics.requantize,
        )

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
        steps = {"double": twice, "single": 0.5, "truncate": 1.0}
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
        params = _cast(self.params(case), np.float32)
        scale, zero_point = case.x_qparams.scale, case.x_qparams.zero_point
        saved = Saved(x, y, (scale,), (-zero_point,), *bounds)
        (gx,), gparams = self.op.run_vjp(case.attrs, params, saved, gy, (True,))
        clamped = (y <= ints.act_min) | (y >= ints.act_max)
        real_x = tuple(scale * (each * 1.0 - zero_point) for each in x)
        free = self.saved(real_x, y * 0.0, (-math.inf, math.inf))
        (expected_gx,), expected = self.op.run_vjp(
            case.attrs,
            _cast(params, np.float64),
            free,
            np.where(clamped, 0.0, gy),
            (True,),
        )
        assert {g.dtype for g in (gx, gparams.weight, gparams.bias)} == {
            np.dtype(np.float32)
        }
        _assert_near(gx, expected_gx)
        _assert_near(gparams.weight, expected.weight)
        _assert_near(gparams.bias, expected.bias)

    def test_weights_of_another_shape_are_refused(self):
        case = self.cases[0]
        ints = self.ints(case)
        wrong = replace(ints, weight=ints.weight[..., :-1])
        with pytest.raises(ShapeError, match="weights"):
            self.op.run_int(case.attrs, wrong, self.images(case))


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
        return activation_bounds(case.attrs.activation)

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
            _assert_near(single, double)

    def limits(self, case: Case) -> tuple[int, int]:
        return activation_range(case.attrs.activation, case.y_qparams)

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


def _cast(params: Any, dtype: type) -> Any:
    if isinstance(params, LinearParams):
        return LinearParams(params.weight.astype(dtype), params.bias.astype(dtype))
    return params


def _assert_near(single: np.ndarray, double: np.ndarray) -> None:
    """float32 and float64 answers agree to what a float32 sum may lose."""
    scale = np.abs(double).max(initial=0.0)
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=2e-5 * scale + 1e-7)


def _pointed_to(arguments: Any) -> list[str]:
    """Names of the constants that arguments, and structs in them, point to."""
    names = []
    for argument in arguments:
        if isinstance(argument, Struct):
            names += _pointed_to(value for _, value in argument.fields)
        elif isinstance(argument, ConstPtr):
            names.append(argument.name)
    return names


def unpadded_shape(window: Window, shape: Shape) -> Shape:
    """The input that as many windows cover without padding."""
    g = window.over(shape)
    return (
        (g.out_h - 1) * g.stride_h + g.dilation_h * (g.kernel_h - 1) + 1,
        (g.out_w - 1) * g.stride_w + g.dilation_w * (g.kernel_w - 1) + 1,
        shape[2],
    )
