"""An operator from outside the package passes the suite of those inside it."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, random_cases
from hard_tanh import HARD_TANH, HardTanh, HardTanhAttrs

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.types import QParams

UNIT, LOPSIDED = HardTanhAttrs(), HardTanhAttrs(-0.5, 3.0)
limits = st.floats(0.01, 4.0)


class TestHardTanh(Conformance):
    op = HARD_TANH
    drawn = random_cases(
        st.builds(HardTanhAttrs, limits.map(lambda x: -x), limits),
        draw.shapes,
        qparams=st.tuples(draw.qparams),
    )
    networks = (
        ((kj.Conv2D(3, 1), HardTanh(), kj.Conv2D(5, 1), HardTanh(-0.5, 3)), (4, 5, 3)),
        ((kj.Dense(7), HardTanh(-2, 2), kj.Dense(2)), (9,)),
    )
    cases = (
        Case(UNIT, (1,), batch=1),
        Case(UNIT, (5, 4, 3), qparams=(QParams(0.1),)),
        Case(LOPSIDED, (33,), 17, qparams=(QParams(0.05, -128),)),
        Case(LOPSIDED, (7, 4), qparams=(QParams(0.07, 20),)),
        Case(LOPSIDED, (8,), qparams=(QParams(20.0, 3),)),  # both are nearest to 0
    )

    def missing(self, target):
        legacy = target.library == "cmsis-nn-q7"
        return "cmsis-nn-q7 has no hard_tanh" if legacy else None

    def unsupported(self, case):
        return self.missing(case.target)

    def bound(self, case, xs, y):
        """Half a step, where a limit lies between two."""
        return 0.5 * case.x_qparams.scale

    def smooth_incoming(self, case, y):
        gy = super().smooth_incoming(case, y)
        for end in (case.attrs.low, case.attrs.high):
            gy[np.abs(y - end) < 1e-4] = 0
        return gy


def test_a_network_with_it_is_saved_and_loaded(tmp_path):
    net = kj.Sequential([kj.Dense(7), HardTanh(-2, 2, name="squash")], (9,))
    x = np.arange(-45, 45, dtype=np.int8).reshape(10, 9)
    net.calibrate(x)
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert again.layers[1].attrs == HardTanhAttrs(-2.0, 2.0)
    np.testing.assert_array_equal(again.predict(x), net.predict(x))


def test_a_name_is_taken_once():
    from dataclasses import replace

    assert kj.register_op(HARD_TANH).__name__ == "HardTanh"  # the same once more
    with pytest.raises(OptionError, match="another operator is called 'add'"):
        kj.register_op(replace(HARD_TANH, name="add"))
    with pytest.raises(OptionError, match="'hard_tanh' declares no layer"):
        kj.register_op(replace(HARD_TANH, layer=None))
