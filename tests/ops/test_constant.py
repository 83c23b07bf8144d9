"""Constants: any shape beside any input, and no gradient."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, random_cases
from conformance.suite import check_emitted_c

import kanji_np as kj
from kanji_np.errors import OptionError, ShapeError
from kanji_np.layers import make_layer
from kanji_np.ops.constant import CONSTANT, ConstantAttrs, ConstantInts
from kanji_np.targets import target_spec

SCALED = ConstantAttrs((4, 1), 0.25, -7)


def constant(attrs, x):
    numbers = np.arange(np.prod(attrs.shape), dtype=np.int8).reshape(attrs.shape)
    return make_layer(CONSTANT, attrs, None, ConstantInts(numbers))(x)


def read_alone(target, scheme):
    x = kj.Input((5,))
    y = kj.Dense(2)(constant(ConstantAttrs((7,), 0.25), x))
    return kj.Model(x, y, target, scheme=scheme)


def sum_with_constant(target, scheme):
    x = kj.Input((2, 3, 4))
    y = kj.Add()(x, constant(ConstantAttrs((2, 3, 4), 0.25), x))
    return kj.Model(x, y, target, scheme=scheme)


class TestConstant(Conformance):
    op = CONSTANT
    drawn = random_cases(
        st.builds(
            ConstantAttrs, draw.shapes, st.floats(1e-3, 1e3), st.integers(-128, 127)
        ),
        draw.shapes,
    )
    branches = (read_alone,)
    cases = (
        Case(ConstantAttrs((1,), 1.0), (1,), batch=1),
        Case(ConstantAttrs((3, 2, 5), 0.1, 127), (7,), batch=17),
        Case(SCALED, (5, 4, 3)),
        Case(ConstantAttrs((33,), 2.0**-7), (4, 1), batch=5),
    )

    def ints(self, case):
        numbers = case.rng().integers(-128, 128, case.attrs.shape)
        return ConstantInts(numbers.astype(np.int8))

    params = ints

    def bound(self, case, x, y):
        return 0.0


@pytest.mark.parametrize("core", ["dsp", "mve"])
def test_it_is_the_operand_of_a_sum(core, tmp_path):
    check_emitted_c(sum_with_constant(target_spec(core=core), "asymmetric"), tmp_path)


def test_a_network_with_one_is_saved(tmp_path):
    net = sum_with_constant("cmsis-nn", "symmetric")
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert again.freeze().digest() == net.freeze().digest()


def test_values_must_be_int8_of_the_shape():
    with pytest.raises(OptionError, match="values must be an int8 array, got"):
        ConstantInts(np.zeros(3))
    with pytest.raises(ShapeError, match=r"must have shape \(4, 1\), got \(4,\)"):
        make_layer(CONSTANT, SCALED, None, ConstantInts(np.zeros(4, np.int8)))
