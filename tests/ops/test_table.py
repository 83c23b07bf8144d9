"""Tables hold what the runtimes answered to each of the 256 inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from golden_vectors import OWN_FOLDER

from kanji_np.ops import OPS, table
from kanji_np.types import Numerics, QParams

RUNTIMES = ("tflm", "litert", "xnnpack")


@dataclass(frozen=True)
class Answered:
    """One operator of a `.tflite` file, and the table of each runtime, int8 (256,)."""

    operator: str
    x: QParams
    y: QParams
    negative_slope: float
    tables: dict[str, np.ndarray]


def answered() -> list[Answered]:
    with np.load(OWN_FOLDER / "runtimes" / "tables.npz", allow_pickle=False) as file:
        a = {name: file[name] for name in file.files}
    return [
        Answered(
            str(operator),
            QParams(float(a["x_scale"][i]), int(a["x_zero_point"][i])),
            QParams(float(a["y_scale"][i]), int(a["y_zero_point"][i])),
            float(a["negative_slope"][i]),
            {name: a[name][i] for name in RUNTIMES},
        )
        for i, operator in enumerate(a["operator"])
    ]


#: What each operator of the file is here.
OURS = {
    "sigmoid": lambda case: ("sigmoid", ()),
    "tanh": lambda case: ("tanh", ()),
    "hard_swish": lambda case: ("hard_swish", ()),
    "leaky_relu": lambda case: ("leaky_relu", (case.negative_slope,)),
    "quantize": lambda case: ("requantize", ("linear",)),
    "relu": lambda case: ("requantize", ("relu",)),
    "relu6": lambda case: ("requantize", ("relu6",)),
}


def values(case: Answered, kernels: str) -> np.ndarray:
    name, arguments = OURS[case.operator](case)
    op = OPS[name]
    attrs = op.attrs(*arguments)
    return op.ints(attrs, (case.x,), case.y, Numerics(kernels=kernels)).values


@pytest.mark.parametrize("operator", OURS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_table_is_what_the_runtime_answered(operator, runtime):
    cases = [case for case in answered() if case.operator == operator]
    assert len(cases) == 30
    for case in cases:
        found = values(case, runtime)
        np.testing.assert_array_equal(found, case.tables[runtime], str(case))


def test_cmsis_nn_computes_as_tflite_micro_but_rescales_in_relu6():
    for case in answered():
        runtime = "litert" if case.operator == "relu6" else "tflm"
        found = values(case, "cmsis-nn")
        np.testing.assert_array_equal(found, case.tables[runtime], str(case))


def test_a_range_without_numbers_in_int32_has_a_table():
    """Of a tensor that was all zeros, until others come."""
    ints = table.ints_of(range(256), np.full(256, 1e30), QParams(2.0**-60))
    assert ints.unclamped.tolist() == [2**31 - 1] * 256
    assert ints.values[-1] == 127
