"""Every implementation of a library function against what the real library answered.

CCORE and PYTHON say how each function is run here; a row is all that a new one needs.
Functions of the golden files that have no row are not run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from golden_vectors import OWN_FOLDER, Case, cases, folder

from ccore import driver


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

#: The integer definitions in Python: from a case to the int8 answer.
PYTHON: dict[str, Callable[[Case], np.ndarray]] = {}

#: How many cases of each function golden/ holds.
OWN_COUNT = 40


@cache
def cases_by_function() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases():
        found.setdefault(case.function, []).append(case)
    return found


def cases_of(function: str) -> list[Case]:
    found = cases_by_function().get(function, [])
    if not found:
        pytest.skip(f"{folder()} holds no case of {function}")
    return found


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
@pytest.mark.parametrize("function", CCORE)
def test_ccore_equals_library(function, build):
    found = cases_of(function)
    results = driver.build_runner(build).run(map(CCORE[function], found))
    for case, result in zip(found, results, strict=True):
        assert result.status == case.params["status_c"], case.name
        assert_equals_library(case, result.output)


@pytest.mark.parametrize("function", PYTHON)
def test_python_equals_library(function):
    for case in cases_of(function):
        assert_equals_library(case, PYTHON[function](case))
