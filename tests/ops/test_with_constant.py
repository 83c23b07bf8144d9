"""Constants as operands: a number, one of each channel or element, on either side."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.errors import OptionError, RangeError, ShapeError
from kanji_np.layers import make_layer
from kanji_np.loops.requantize import empty_range
from kanji_np.ops.with_constant import (
    ACTIVATED,
    FUNCTIONS,
    WITH_CONSTANT,
    OperandConstants,
    WithConstantAttrs,
    quantized,
)
from kanji_np.quantize import activation_bounds
from kanji_np.types import Numerics, QParams


def values(shape, seed=0):
    rng = np.random.default_rng(seed)
    return OperandConstants(rng.uniform(-2, 2, shape).astype(np.float32))


def case(function, shape, constant, batch=2, activation=None, **more):
    attrs = WithConstantAttrs(function, constant, activation, **more)
    x, y = QParams(0.031, -20), QParams(0.07, 5)
    return Case(attrs, shape, batch, qparams=(x,), y_qparams=y)


def drawn(shapes):
    """Of any function; a constant of the shape, or broadcast beside it."""
    shape, part = shapes if np.prod(shapes[0]) >= np.prod(shapes[1]) else shapes[::-1]
    functions = st.sampled_from(tuple(FUNCTIONS)).flatmap(
        lambda name: st.builds(
            WithConstantAttrs,
            st.just(name),
            st.just(part),
            draw.activations if name in ACTIVATED else st.just("linear"),
            st.none() | draw.scales,
            draw.zero_points,
            st.booleans(),
        )
    )
    return random_cases(
        functions,
        st.just(shape),
        qparams=st.tuples(draw.qparams),
        y_qparams=draw.qparams,
    )


def layer(function, shape, activation=None, **more):
    attrs = WithConstantAttrs(function, shape, activation, **more)
    return make_layer(WITH_CONSTANT, attrs, constants=values(shape))


class TestWithConstant(Conformance):
    op = WITH_CONSTANT
    drawn = draw.pairs_of_shapes.flatmap(drawn)
    networks = (
        (
            (
                kj.Conv2D(3, 3),
                layer("add", (3,), "relu"),
                layer("mul", (1,)),
                layer("sub", (4, 4, 3), constant_first=True),
            ),
            (6, 6, 2),
        ),
        (
            (
                kj.Dense(7),
                layer("minimum", (7,), constant_scale=0.5, constant_zero_point=3),
                layer("maximum", (1,)),
                layer("mul", (7,), "relu6", constant_first=True),
            ),
            (9,),
        ),
    )
    cases = (
        case("add", (1,), (1,), batch=1),
        case("add", (3, 4, 5), (5,), activation="relu"),
        case("sub", (3, 4, 5), (3, 4, 5), constant_first=True),
        case("sub", (3, 4, 5), (1, 1, 1), constant_first=True),
        case("mul", (3, 4, 5), (3, 4, 1), activation="relu6"),
        case("mul", (33,), (33,), batch=17),
        case("minimum", (3, 4, 5), (1, 1, 5), constant_scale=0.02),
        case("maximum", (7, 4), (1,), constant_scale=0.3, constant_zero_point=-5),
    )
    refusals = (
        Refusal(WithConstantAttrs("add", (2, 1, 2)), (4, 4, 2), "shape of the input"),
        Refusal(WithConstantAttrs("add", (4, 4, 2)), (2,), "shape of the input"),
    )

    def params(self, case):
        return values(case.attrs.constant_shape)

    def ints(self, case):
        y, numerics = case.y_qparams, case.target.numerics
        return self.op.ints(case.attrs, case.inputs, y, numerics, self.params(case))

    def surrogate(self, case):
        """The constant as its integers say it."""
        constant, q = quantized(case.attrs, self.params(case), Numerics())
        real = q.scale * (constant.astype(np.float64) - q.zero_point)
        params = OperandConstants(real.astype(np.float32))
        return self.ints(case), params, case.y_qparams

    def target_cases(self):
        return [case for case in super().target_cases() if not case.is_legacy]

    def missing(self, target):
        legacy = target.library == "cmsis-nn-q7"
        return "cmsis-nn-q7 has no with_constant" if legacy else None

    def output_range(self, case):
        return activation_bounds(case.attrs.activation)

    def bound(self, case, xs, y):
        """Half a step, before it half a step of 2^shift of its size, and what float32
        takes off the constant."""
        x, y_scale = case.inputs[0].scale, case.y_qparams.scale
        _, q = quantized(case.attrs, self.params(case), Numerics())
        both = x * q.scale if case.attrs.function == "mul" else max(x, q.scale)
        shift = min(np.frexp(both / y_scale)[1], 0)
        return (0.5 + 2.0 ** (shift - 1) + 1e-3) * y_scale

    def counted_flash(self, constants):
        """The cost knows no scales, and a minimum has tables where these differ."""
        return sum(c.values.nbytes for c in constants if not c.name[-1].isdigit())

    def test_the_range_of_the_output_is_exact(self, target_case):
        case, x = target_case, self.images(target_case)
        ints, fast, slow = self.ints(case), empty_range(), empty_range()
        self.op.run_int(case.attrs, ints, x, y_range=fast)
        self.op.forward_int(case.attrs, ints, x, y_range=slow)
        assert fast.tolist() == slow.tolist()

    def test_a_number_is_a_table_of_what_two_tensors_give(self, case):
        attrs, ints = case.attrs, self.ints(case)
        assert (ints.table is not None) == (np.prod(attrs.constant_shape) == 1)
        constant, q = quantized(attrs, self.params(case), Numerics())
        (x,) = self.images(case)
        both = attrs.ordered(case.inputs[0], q)
        pair = attrs.op.ints(attrs.pair, both, case.y_qparams, Numerics())
        xs = attrs.ordered(x, np.repeat(constant[np.newaxis], len(x), axis=0))
        np.testing.assert_array_equal(
            self.forward_int(case), attrs.op.run_int(attrs.pair, pair, xs)
        )


def test_the_constant_keeps_what_a_file_says():
    attrs = WithConstantAttrs("add", (256,), None, 0.037, -11)
    every = np.arange(-128, 128)
    real = OperandConstants((0.037 * (every + 11)).astype(np.float32))
    constant, q = quantized(attrs, real, Numerics())
    assert (constant.tolist(), q) == (every.tolist(), QParams(0.037, -11))


@pytest.mark.parametrize("scale", [None, 0.037])
def test_the_scale_of_a_constant_is_a_float32_for_a_runtime(scale):
    attrs = WithConstantAttrs("add", (3,), None, scale, -11)
    made = make_layer(WITH_CONSTANT, attrs, None, values((3,)))
    net = kj.Sequential([made], (3,), "tflm", scheme="asymmetric")
    found = net.freeze().nodes[0].ints.qparams.scale
    assert found == float(np.float32(found))


def test_a_network_with_constants_is_saved_and_loaded(tmp_path):
    layers = [kj.Dense(5), layer("add", (5,)), layer("maximum", (1,))]
    net = kj.Sequential(layers, (4,), scheme="asymmetric")
    x = np.random.default_rng(0).integers(-128, 128, (9, 4)).astype(np.int8)
    net.calibrate(x)
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(net.predict(x), again.predict(x))
    assert net.freeze().digest() == again.freeze().digest()


def test_what_a_constant_must_be():
    with pytest.raises(OptionError, match="float32 array, got float64"):
        OperandConstants(np.zeros(3))
    with pytest.raises(RangeError, match="a constant of inf"):
        OperandConstants(np.float32([np.inf]))
    with pytest.raises(ShapeError, match=r"must have shape \(3,\), got \(4,\)"):
        values((4,)).check(WithConstantAttrs("add", (3,)))
    with pytest.raises(OptionError, match="activation must be None for minimum"):
        WithConstantAttrs("minimum", (3,), "relu")
