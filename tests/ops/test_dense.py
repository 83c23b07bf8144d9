"""Dense layers: outputs around the vector width, batches, and long sums."""

import draw
import hypothesis.strategies as st
from conformance import Case, LinearConformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.dense import DENSE, DenseAttrs

ONE_SCALE = "takes one scale for all outputs"


class TestDense(LinearConformance):
    op = DENSE
    drawn = random_cases(
        st.builds(
            DenseAttrs,
            draw.channels,
            activation=draw.activations,
            weight_bits=draw.weight_bits,
        ),
        draw.vectors,
        scaling=draw.scalings,
    )
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
        Case(DenseAttrs(18, "relu6"), (5,), batch=7),
        Case(DenseAttrs(33), (65,), 5, "channels"),
        Case(DenseAttrs(64), (64,), 7, "channels"),
        Case(DenseAttrs(65), (16,), 19, "channels"),
        Case(DenseAttrs(10), (1024,), 3),
        Case(DenseAttrs(10), (1025,), 3, "extreme"),
        Case(DenseAttrs(5), (3000,), 5, "extreme"),
        Case(DenseAttrs(1), (3000,), 2, "extreme"),
        Case(DenseAttrs(34), (514,), 2, "extreme"),
        Case(DenseAttrs(34), (1030,), 2, "extreme"),
        Case(DenseAttrs(4), (2,), 3, "extreme"),
        # int4: rows that begin in the middle of a byte, an odd number of weights
        Case(DenseAttrs(1, weight_bits=4), (1,), batch=1),
        Case(DenseAttrs(4, "relu", 4), (32,), batch=5),
        Case(DenseAttrs(7, weight_bits=4), (33,), batch=3),
        Case(DenseAttrs(1, weight_bits=4), (3001,), 2, "extreme"),
        Case(DenseAttrs(5, weight_bits=4), (9,), 2, "channels"),
    )
    int4_networks = (
        (
            (
                kj.Dense(33, activation="relu", weight_bits=4),
                kj.Dense(301, weight_bits=4),
                kj.Dense(64, activation="relu", weight_bits=4),
                kj.Dense(1, weight_bits=4),
            ),
            (17,),
        ),
    )
    refusals = (Refusal(DenseAttrs(2), (4, 4, 1), r"flat input .* put Flatten\(\)"),)

    def check_calls(self, case):
        """ccore adds up rows by itself, so what MVE cores are handed is checked here:
        the sums of an input of zeros."""
        if not super().check_calls(case):
            return False
        (call, *_), ints = self.lowered(case), self.ints(case)
        given = [c.values.tolist() for c in call.constants if c.name == "kernel_sums"]
        rows = zip(ints.weight.tolist(), ints.bias.tolist(), strict=True)
        sums = [sum(w * ints.input_offset for w in row) + bias for row, bias in rows]
        wants = case.target.core == "mve" and case.target.version == "7.0.0"
        assert given == [sums] * (wants and case.attrs.weight_bits == 8)
        return True

    def unsupported(self, case):
        version, bits = case.target.version, case.attrs.weight_bits
        if case.scaling != "layer" and case.attrs.units > 1:
            if version == "4.0.0" or bits == 4:
                return f"{ONE_SCALE}, and cmsis-nn {version} has no .* int{bits}"
        return super().unsupported(case)

    def counted_flash(self, constants):
        """The scales of `arm_fully_connected_per_channel_s8` come on top."""
        scales = ("multiplier", "shift")
        return super().counted_flash([c for c in constants if c.name not in scales])

    def counted_macs(self, case):
        return sum(1 for _ in self.ints(case).weight.flat)
