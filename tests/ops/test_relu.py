"""ReLU as a layer of its own."""

from conformance import Case, Conformance

import kanji_np as kj
from kanji_np.ops.relu import RELU, ReluAttrs


class TestRelu(Conformance):
    op = RELU
    networks = (((kj.ReLU(), kj.Conv2D(3, 1), kj.ReLU()), (4, 5, 3)),)
    cases = (
        Case(ReluAttrs(), (1,), batch=1),
        Case(ReluAttrs(), (5, 4, 3)),
        Case(ReluAttrs(), (33,), batch=17),
        Case(ReluAttrs(), (65535,), batch=1),
        Case(ReluAttrs(), (65536,), 1, unsupported="takes 65535 at most, got 65536"),
    )

    def bound(self, case, x, y):
        return 0.0
