"""What runtimes answered to single operators of `.tflite` files, byte for byte."""

import json

import numpy as np
import pytest
from golden_vectors import OWN_FOLDER

from kanji_np.ops.op import OPS, attrs_from_json
from kanji_np.quantize import KeptInts, LinearScales, linear_ints
from kanji_np.targets import target_spec
from kanji_np.types import LinearParams, QParams

RUNTIMES = ("tflm", "litert", "xnnpack")

with np.load(OWN_FOLDER / "runtimes" / "operators.npz", allow_pickle=False) as file:
    ARRAYS = dict(file)
INDEX = json.loads(str(ARRAYS["index"]))
OPERATORS = sorted({case["operator"] for case in INDEX})


def linear(number, attrs, x, y, numerics):
    """The integers of an operator with weights that a file holds."""
    weight, bias, scales = (
        ARRAYS[f"{number}.{name}"] for name in ("weight", "bias", "weight_scale")
    )
    each = scales[:, None, None, None]
    params = LinearParams(weight * each, bias * (x.scale * scales))
    kept = KeptInts(-128, np.zeros(len(bias), np.int32))
    made = linear_ints(
        params, LinearScales(x, scales, y), attrs.activation, numerics, kept=kept
    )
    np.testing.assert_array_equal(made.weight, weight)
    np.testing.assert_array_equal(made.bias, bias)
    return made


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_answer_as_the_runtimes_do(name, runtime):
    op, target = OPS[name], target_spec(runtime)
    cases = [number for number, case in enumerate(INDEX) if case["operator"] == name]
    assert len(cases) >= 16
    for number in cases:
        case = INDEX[number]
        attrs = attrs_from_json(op.attrs, case["attrs"])
        x, y = QParams(*case["x"]), QParams(*case["y"])
        numerics = op.numerics(attrs, target.numerics_of(name))
        if op.weights is not None:
            ints = linear(number, attrs, x, y, numerics)
        else:
            ints = op.ints and op.ints(attrs, (x,), y, numerics)
        inputs = (ARRAYS[f"{number}.input"][None],)
        for forward in (op.run_int, op.forward_int):
            found = forward(attrs, ints, inputs).ravel()
            np.testing.assert_array_equal(found, ARRAYS[f"{number}.{runtime}"], case)
