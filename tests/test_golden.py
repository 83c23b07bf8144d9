"""Every implementation of a library function against what the real library answered.

CCORE and PYTHON say how each function is run here; a row is all that a new one needs.
Functions of the golden files that have no row are not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from golden_vectors import OWN_FOLDER, Case, cases, folder

from ccore import driver
from kanji_np.ops import OPS
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.pooling import ClampInts, Pool2DAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.softmax import SoftmaxAttrs, SoftmaxInts
from kanji_np.types import LinearInts


def hw(case: Case, name: str) -> tuple[int, int]:
    return case.params[f"{name}_h"], case.params[f"{name}_w"]


def activation(case: Case) -> dict[str, int]:
    return {
        "act_min": case.params["activation_min"],
        "act_max": case.params["activation_max"],
    }


def offsets(case: Case) -> dict[str, int]:
    return {key: case.params[key] for key in ("input_offset", "output_offset")}


def convolve(case: Case) -> driver.Call:
    a = case.arrays
    return driver.convolve_wrapper_s8(
        a["input_hwc"][np.newaxis],
        a["weight"],
        a["bias"],
        a["multiplier"],
        a["shift"],
        output_shape=(1, *hw(case, "output"), case.params["output_ch"]),
        stride=hw(case, "stride"),
        padding=hw(case, "pad"),
        dilation=hw(case, "dilation"),
        **offsets(case),
        **activation(case),
    )


def fully_connected(case: Case) -> driver.Call:
    a = case.arrays
    return driver.fully_connected_s8(
        a["input"][np.newaxis],
        a["weight"],
        a["bias"],
        int(a["multiplier"][0]),
        int(a["shift"][0]),
        filter_offset=case.params["filter_offset"],
        **offsets(case),
        **activation(case),
    )


def pool(call: Callable[..., driver.Call]) -> Callable[[Case], driver.Call]:
    def to_call(case: Case) -> driver.Call:
        return call(
            case.arrays["input_hwc"][np.newaxis],
            kernel=hw(case, "kernel"),
            output_shape=(1, *hw(case, "output"), case.params["ch"]),
            stride=hw(case, "stride"),
            padding=hw(case, "pad"),
            **activation(case),
        )

    return to_call


def softmax(case: Case) -> driver.Call:
    p = case.params
    return driver.softmax_s8(case.arrays["input"], p["mult"], p["shift"], p["diff_min"])


def relu(case: Case) -> driver.Call:
    return driver.relu_q7(case.arrays["input"])


#: The C kernels: how a case becomes a call.
CCORE: dict[str, Callable[[Case], driver.Call]] = {
    "arm_convolve_wrapper_s8": convolve,
    "arm_fully_connected_s8": fully_connected,
    "arm_max_pool_s8": pool(driver.max_pool_s8),
    "arm_avgpool_s8": pool(driver.avgpool_s8),
    "arm_softmax_s8": softmax,
    "arm_relu_q7": relu,
}


@dataclass(frozen=True)
class OpCall:
    """An operator of this package with the arguments of one case."""

    op: str
    attrs: Any
    ints: Any
    x: np.ndarray


def linear_ints(case: Case) -> LinearInts:
    a = case.arrays
    channels = len(a["bias"])
    return LinearInts(
        a["weight"],
        a["bias"],
        np.broadcast_to(a["multiplier"], channels).astype(np.int32),
        np.broadcast_to(a["shift"], channels).astype(np.int32),
        **offsets(case),
        **activation(case),
    )


def window_input(
    case: Case, kernel: tuple[int, int], dilation: tuple[int, int]
) -> tuple[np.ndarray, tuple[tuple[int, int], tuple[int, int]]]:
    """The input and explicit padding that give the case's number of windows.

    The library is told padding before and output size. What lies after follows; where
    that is negative, the last cells are never read, and are left out here.
    """
    x = case.arrays["input_hwc"][np.newaxis]
    padding = []
    for axis in (0, 1):
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        out, stride = hw(case, "output")[axis], hw(case, "stride")[axis]
        before = hw(case, "pad")[axis]
        after = (out - 1) * stride + extent - x.shape[1 + axis] - before
        if after < 0:
            x = np.take(x, range(x.shape[1 + axis] + after), axis=1 + axis)
        padding.append((before, max(after, 0)))
    return np.ascontiguousarray(x), (padding[0], padding[1])


def convolve_op(case: Case) -> OpCall:
    weight, dilation = case.arrays["weight"], hw(case, "dilation")
    x, padding = window_input(case, weight.shape[1:3], dilation)
    attrs = Conv2DAttrs(
        len(weight), weight.shape[1:3], hw(case, "stride"), dilation, padding
    )
    return OpCall("conv2d", attrs, linear_ints(case), x)


def fully_connected_op(case: Case) -> OpCall:
    assert case.params["filter_offset"] == 0
    x = case.arrays["input"][np.newaxis]
    attrs = DenseAttrs(len(case.arrays["weight"]))
    return OpCall("dense", attrs, linear_ints(case), x)


def pool_op(op: str) -> Callable[[Case], OpCall]:
    def to_call(case: Case) -> OpCall:
        kernel = hw(case, "kernel")
        x, padding = window_input(case, kernel, (1, 1))
        attrs = Pool2DAttrs(kernel, hw(case, "stride"), padding, ceil_mode=False)
        return OpCall(op, attrs, ClampInts(**activation(case)), x)

    return to_call


def softmax_op(case: Case) -> OpCall:
    p = case.params
    ints = SoftmaxInts(p["mult"], p["shift"], p["diff_min"])
    return OpCall("softmax", SoftmaxAttrs(), ints, np.atleast_2d(case.arrays["input"]))


def relu_op(case: Case) -> OpCall:
    return OpCall("relu", ReluAttrs(), None, case.arrays["input"][np.newaxis])


#: The operators in Python: from a case to a call of both their forms.
PYTHON: dict[str, Callable[[Case], OpCall]] = {
    "arm_convolve_wrapper_s8": convolve_op,
    "arm_fully_connected_s8": fully_connected_op,
    "arm_max_pool_s8": pool_op("max_pool2d"),
    "arm_avgpool_s8": pool_op("avg_pool2d"),
    "arm_softmax_s8": softmax_op,
    "arm_relu_q7": relu_op,
}

#: How many cases of each function golden/ holds.
OWN_COUNT = 40


@cache
def cases_by_function() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases():
        found.setdefault(case.function, []).append(case)
    return found


def present(functions: Iterable[str]) -> list[str]:
    """Those that the folder has cases of; a folder of the user's may lack some."""
    return [function for function in functions if function in cases_by_function()]


def assert_equals_library(case: Case, y: np.ndarray) -> None:
    assert case.answers, f"{case.name} has no answer"
    for core, expected in case.answers.items():
        np.testing.assert_array_equal(
            np.ravel(y), expected, err_msg=f"{case.function} {case.name} {core}"
        )


def test_golden_cases_are_there():
    counts = {name: len(found) for name, found in cases_by_function().items()}
    run_here = {name: counts.get(name, 0) for name in {*CCORE, *PYTHON}}
    if folder() == OWN_FOLDER:
        assert run_here == dict.fromkeys(run_here, OWN_COUNT)
    assert sum(run_here.values()) > 0, f"nothing here runs any case of {folder()}"


@pytest.mark.parametrize("build", driver.BUILDS, ids=str)
@pytest.mark.parametrize("function", present(CCORE))
def test_ccore_equals_library(function, build):
    found = cases_by_function()[function]
    results = driver.build_runner(build).run(map(CCORE[function], found))
    for case, result in zip(found, results, strict=True):
        assert result.status == case.params["status_c"], case.name
        assert_equals_library(case, result.output)


@pytest.mark.parametrize("form", ["forward_int", "definition"])
@pytest.mark.parametrize("function", present(PYTHON))
def test_python_equals_library(function, form):
    for case in cases_by_function()[function]:
        call = PYTHON[function](case)
        y = getattr(OPS[call.op], form)(call.attrs, call.ints, call.x)
        assert_equals_library(case, y)
