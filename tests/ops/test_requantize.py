"""The same values at another scale: fine to coarse and back, with each activation."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, TableConformance, random_cases

import kanji_np as kj
from kanji_np.errors import RangeError
from kanji_np.ops.requantize import REQUANTIZE, RequantizeAttrs
from kanji_np.types import Numerics, QParams

LINEAR, RELU, RELU6 = (RequantizeAttrs(a) for a in ("linear", "relu", "relu6"))


def case(attrs, shape, batch, x, y):
    return Case(attrs, shape, batch, qparams=(QParams(*x),), y_qparams=QParams(*y))


class TestRequantize(TableConformance):
    op = REQUANTIZE
    drawn = random_cases(
        st.builds(RequantizeAttrs, draw.activations),
        draw.shapes,
        qparams=st.tuples(draw.qparams),
        y_qparams=draw.qparams,
    )
    networks = (
        (
            (kj.Conv2D(3, 3), kj.Requantize("relu"), kj.MaxPool2D(2), kj.Requantize()),
            (6, 6, 3),
        ),
        ((kj.Dense(7), kj.Requantize("relu6"), kj.Dense(2)), (9,)),
    )
    cases = (
        case(LINEAR, (1,), 1, (2**-5,), (2**-5,)),
        case(LINEAR, (5, 4, 3), 2, (2**-5,), (2**-7,)),
        case(RELU, (33,), 17, (0.05, -20), (0.03, -100)),
        case(RELU6, (300,), 2, (0.07, 5), (0.0235, -128)),
        case(RELU, (300,), 2, (0.07, 5), (0.07, 5)),
        case(LINEAR, (7, 4), 2, (0.01, 127), (1.0, 127)),
        case(LINEAR, (64,), 2, (1e-6, -128), (1.0, 3)),
        case(LINEAR, (64,), 2, (1.0, 3), (2.0**-21, 3)),  # the finest output there is
    )

    def computes(self, case, kernels):
        """TFLite Micro's RELU6 does not rescale."""
        return (kernels, case.attrs.activation) != ("tflm", "relu6")

    def bound(self, case, xs, y):
        """Half a step, and before it half a step of 2^shift of its size where there are
        two. XNNPACK's factor has 8 bits behind the point."""
        (x,), y_scale = case.inputs, case.y_qparams.scale
        shift = min(np.frexp(x.scale / y_scale)[1], 0)
        step = (0.5 + 2.0 ** (shift - 1) + 1e-4) * y_scale
        if case.target.numerics.kernels == "xnnpack":
            step += np.abs(xs[0] / x.scale) * y_scale / 512
        return step


@pytest.mark.parametrize("kernels", ["cmsis-nn", "litert", "xnnpack"])
def test_at_the_same_scale_nothing_changes(kernels):
    x = QParams(0.037, -11)
    ints = REQUANTIZE.ints(LINEAR, (x,), x, Numerics(kernels=kernels))
    assert ints.values.tolist() == list(range(-128, 128))


def test_relu6_of_tflite_micro_leaves_the_scale_as_it_is():
    x, y = QParams(0.1, 3), QParams(0.05, -128)
    ints = REQUANTIZE.ints(RELU6, (x,), y, Numerics(kernels="tflm"))
    assert ints.values.tolist() == np.clip(range(-128, 128), 3, 63).tolist()


def test_an_output_that_is_too_fine_is_refused():
    with pytest.raises(RangeError, match="is too fine for this input"):
        REQUANTIZE.ints(LINEAR, (QParams(1.0),), QParams(2.0**-23), Numerics())
