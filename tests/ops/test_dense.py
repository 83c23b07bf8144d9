"""Dense layers: outputs around the vector width, batches, and long sums."""

from conformance import Case, LinearConformance, Refusal

import kanji_np as kj
from kanji_np.ops.dense import DENSE, DenseAttrs

ONE_SCALE = "one scale for all outputs"


class TestDense(LinearConformance):
    op = DENSE
    networks = (
        (
            (
                kj.Dense(33, activation="relu"),
                kj.Dense(3000),
                kj.Dense(65, activation="relu"),
                kj.Dense(1),
            ),
            (17,),
        ),
    )
    cases = (
        Case(DenseAttrs(1), (1,), batch=1),
        Case(DenseAttrs(3, "relu"), (17,), batch=5),
        Case(DenseAttrs(10), (33,), batch=17),
        Case(DenseAttrs(17, "relu"), (3,), batch=32),
        Case(DenseAttrs(33), (65,), 5, "channels", ONE_SCALE),
        Case(DenseAttrs(64), (64,), 7, "channels", ONE_SCALE),
        Case(DenseAttrs(65), (16,), 19, "channels", ONE_SCALE),
        Case(DenseAttrs(10), (1024,), 3),
        Case(DenseAttrs(10), (1025,), 3, "extreme", ONE_SCALE),
        Case(DenseAttrs(5), (3000,), 5, "extreme", ONE_SCALE),
        Case(DenseAttrs(1), (3000,), 2, "extreme"),
        Case(DenseAttrs(34), (514,), 2, "extreme", ONE_SCALE),
        Case(DenseAttrs(34), (1030,), 2, "extreme", ONE_SCALE),
        Case(DenseAttrs(4), (2,), 3, "extreme", ONE_SCALE),
    )
    refusals = (Refusal(DenseAttrs(2), (4, 4, 1), r"flat input .* put Flatten\(\)"),)

    def counted_macs(self, case):
        return sum(1 for _ in self.ints(case).weight.flat)
