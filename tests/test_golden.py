"""Every implementation of a library function against what the real library answered.

CCORE and PYTHON say how each function is run here; a row is all that a new one needs.
Functions of the golden files that have no row are not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from golden_vectors import OWN_FOLDER, Case, cases, folder

from ccore import driver
from kanji_np.ops import OPS
from kanji_np.ops.add import AddAttrs, AddInts
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.mul import MulAttrs, MulInts
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.softmax import Pow2SoftmaxInts, SoftmaxAttrs, SoftmaxInts
from kanji_np.quantize import POW2_MULTIPLIER
from kanji_np.targets import target_spec
from kanji_np.targets.cmsis_nn_q7.fully_connected import interleave
from kanji_np.types import AvgPoolInts, ClampInts, LinearInts, Numerics


def hw(case: Case, name: str) -> tuple[int, int]:
    """(height, width) of an argument; the legacy pools have one number for both."""
    p = case.params
    if name in p or f"{name}_wh" in p:
        return (p.get(name, p.get(f"{name}_wh")),) * 2
    return p[f"{name}_h"], p[f"{name}_w"]


def activation(case: Case) -> dict[str, int]:
    return {
        "act_min": case.params["activation_min"],
        "act_max": case.params["activation_max"],
    }


def offsets(case: Case) -> dict[str, int]:
    return {key: case.params[key] for key in ("input_offset", "output_offset")}


def convolve(call: Callable[..., driver.Call]) -> Callable[[Case], driver.Call]:
    def to_call(case: Case) -> driver.Call:
        a = case.arrays
        return call(
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

    return to_call


def int4(to_call: Callable[[Case], driver.Call]) -> Callable[[Case], driver.Call]:
    return lambda case: driver.int4(to_call(case))


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


def fully_connected_per_channel(case: Case) -> driver.Call:
    a = case.arrays
    return driver.fully_connected_per_channel_s8(
        a["input"][np.newaxis],
        a["weight"],
        a["bias"],
        a["multiplier"],
        a["shift"],
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


def factor(case: Case, name: str) -> tuple[int, int, int]:
    """Offset, multiplier and shift of an input or the output of `add` and `mul`."""
    p = case.params
    return p[f"{name}_offset"], p[f"{name}_mult"], p[f"{name}_shift"]


def add(case: Case) -> driver.Call:
    return driver.elementwise_add_s8(
        case.arrays["input_1"],
        case.arrays["input_2"],
        factor(case, "input_1"),
        factor(case, "input_2"),
        factor(case, "out"),
        left_shift=case.params["left_shift"],
        **activation(case),
    )


def mul(case: Case) -> driver.Call:
    p = case.params
    return driver.elementwise_mul_s8(
        case.arrays["input_1"],
        case.arrays["input_2"],
        input_offsets=(p["input_1_offset"], p["input_2_offset"]),
        output=factor(case, "out"),
        **activation(case),
    )


def shifts(case: Case) -> dict[str, int]:
    return {key: case.params[key] for key in ("bias_shift", "out_shift")}


def convolve_q7(case: Case) -> driver.Call:
    a = case.arrays
    return driver.convolve_q7(
        case.function,
        a["input_hwc"],
        a["weight"],
        a["bias"],
        output_shape=(*hw(case, "output"), case.params["output_ch"]),
        stride=hw(case, "stride"),
        padding=hw(case, "pad"),
        **shifts(case),
    )


def fully_connected_q7(case: Case) -> driver.Call:
    a = case.arrays
    return driver.fully_connected_q7(
        case.function, a["input"], a["weight"], a["bias"], **shifts(case)
    )


def pool_q7(case: Case) -> driver.Call:
    p = case.params
    return driver.pool_q7(
        case.function,
        case.arrays["input_hwc"],
        kernel=p["kernel"],
        output=p["output_wh"],
        stride=p["stride"],
        padding=p["pad"],
    )


def softmax_q7(case: Case) -> driver.Call:
    return driver.softmax_q7(case.arrays["input"])


#: The C kernels, by API: how a case becomes a call.
CCORE: dict[str, dict[str, Callable[[Case], driver.Call]]] = {
    "s8": {
        "arm_convolve_wrapper_s8": convolve(driver.convolve_wrapper_s8),
        "arm_convolve_wrapper_s4": int4(convolve(driver.convolve_wrapper_s8)),
        "arm_depthwise_conv_wrapper_s8": convolve(driver.depthwise_conv_wrapper_s8),
        "arm_depthwise_conv_wrapper_s4": int4(
            convolve(driver.depthwise_conv_wrapper_s8)
        ),
        "arm_fully_connected_s8": fully_connected,
        "arm_fully_connected_s4": int4(fully_connected),
        "arm_fully_connected_per_channel_s8": fully_connected_per_channel,
        "arm_max_pool_s8": pool(driver.max_pool_s8),
        "arm_avgpool_s8": pool(driver.avgpool_s8),
        "arm_softmax_s8": softmax,
        "arm_elementwise_add_s8": add,
        "arm_elementwise_mul_s8": mul,
        "arm_relu_q7": relu,
    },
    "q7": {
        "arm_convolve_HWC_q7_basic": convolve_q7,
        "arm_convolve_HWC_q7_fast": convolve_q7,
        "arm_convolve_HWC_q7_RGB": convolve_q7,
        "arm_convolve_HWC_q7_basic_nonsquare": convolve_q7,
        "arm_convolve_HWC_q7_fast_nonsquare": convolve_q7,
        "arm_convolve_1x1_HWC_q7_fast_nonsquare": convolve_q7,
        "arm_depthwise_separable_conv_HWC_q7": convolve_q7,
        "arm_depthwise_separable_conv_HWC_q7_nonsquare": convolve_q7,
        "arm_fully_connected_q7": fully_connected_q7,
        "arm_fully_connected_q7_opt": fully_connected_q7,
        "arm_maxpool_q7_HWC": pool_q7,
        "arm_avepool_q7_HWC": pool_q7,
        "arm_softmax_q7": softmax_q7,
        "arm_relu_q7": relu,
    },
}


POOLS_Q7 = ("arm_maxpool_q7_HWC", "arm_avepool_q7_HWC")


def refused(case: Case, core: str) -> bool:
    """Whether ccore refuses the case, as the library's own answer to it is wrong."""
    p = case.params
    return core == "dsp" and case.function in POOLS_Q7 and p["pad"] >= p["stride"]


def misread(case: Case) -> bool:
    """Whether the library confuses the halves of a byte of weights: calls that no
    network is lowered to. Where all windows lie inside it may be right by chance."""
    if case.function != "arm_depthwise_conv_wrapper_s4":
        return False
    p = case.params
    special = p["input_ch"] == p["output_ch"] and hw(case, "dilation") == (1, 1)
    return not special and p["input_ch"] % 2 == 1


@dataclass(frozen=True)
class OpCall:
    """An operator of this package with the arguments of one case."""

    op: str
    attrs: Any
    ints: Any
    x: np.ndarray | tuple[np.ndarray, ...]

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        return self.x if isinstance(self.x, tuple) else (self.x,)


def linear_ints(case: Case, numerics: Numerics) -> LinearInts:
    a, p = case.arrays, case.params
    if case.api == "s8":
        multiplier, shift, bias = a["multiplier"], a["shift"], a["bias"]
        options = {**offsets(case), **activation(case)}
    else:
        multiplier, shift = POW2_MULTIPLIER, 1 - p["out_shift"]
        bias = a["bias"].astype(np.int32) << p["bias_shift"]
        options = {"bias_shift": p["bias_shift"]}
    weight = a["weight"]
    if case.function == "arm_fully_connected_q7_opt":
        weight = deinterleave(weight)
    if "depthwise" in case.function:
        weight = weight.transpose(2, 0, 1)  # (KH,KW,Cout) -> (Cout,KH,KW)
    return LinearInts(
        weight,
        bias,
        np.broadcast_to(multiplier, len(bias)).astype(np.int32),
        np.broadcast_to(shift, len(bias)).astype(np.int32),
        rounding=numerics.rounding,
        **options,
    )


def deinterleave(weight: np.ndarray) -> np.ndarray:
    """The plain matrix of an interleaved one."""
    order = interleave(np.arange(weight.size).reshape(weight.shape))
    plain = np.empty_like(weight)
    plain.flat[order.ravel()] = weight.ravel()
    return plain


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


def convolve_op(case: Case, numerics: Numerics) -> OpCall:
    ints = linear_ints(case, numerics)
    filters, kernel = len(ints.weight), ints.weight.shape[1:3]
    dilation = hw(case, "dilation") if case.api == "s8" else (1, 1)
    x, padding = window_input(case, kernel, dilation)
    window = {
        "kernel": kernel,
        "stride": hw(case, "stride"),
        "dilation": dilation,
        "padding": padding,
    }
    if "depthwise" in case.function:
        times = filters // x.shape[3]
        attrs = DepthwiseConv2DAttrs(**window, depth_multiplier=times)
        return OpCall("depthwise_conv2d", attrs, ints, x)
    return OpCall("conv2d", Conv2DAttrs(filters, **window), ints, x)


def fully_connected_op(case: Case, numerics: Numerics) -> OpCall:
    assert case.params.get("filter_offset", 0) == 0
    x = case.arrays["input"][np.newaxis]
    attrs = DenseAttrs(len(case.arrays["weight"]))
    return OpCall("dense", attrs, linear_ints(case, numerics), x)


def pool_op(op: str) -> Callable[[Case, Numerics], OpCall]:
    def to_call(case: Case, numerics: Numerics) -> OpCall:
        kernel = hw(case, "kernel")
        x, padding = window_input(case, kernel, (1, 1))
        attrs = Pool2DAttrs(kernel, hw(case, "stride"), padding, ceil_mode=False)
        limits = activation(case) if case.api == "s8" else {}
        return OpCall(op, attrs, POOL_INTS[op](numerics, limits), x)

    return to_call


POOL_INTS: dict[str, Callable[[Numerics, dict[str, int]], ClampInts]] = {
    "max_pool2d": lambda numerics, limits: ClampInts(**limits),
    "avg_pool2d": lambda numerics, limits: AvgPoolInts(
        divide=numerics.average, **limits
    ),
}


def softmax_op(case: Case, numerics: Numerics) -> OpCall:
    p, x = case.params, np.atleast_2d(case.arrays["input"])
    if numerics.softmax == "pow2":
        ints = Pow2SoftmaxInts()
    else:
        ints = SoftmaxInts(p["mult"], p["shift"], p["diff_min"])
    return OpCall("softmax", SoftmaxAttrs(), ints, x)


def relu_op(case: Case, numerics: Numerics) -> OpCall:
    return OpCall(
        "relu", ReluAttrs(), ClampInts(act_min=0), case.arrays["input"][np.newaxis]
    )


def two_inputs(case: Case) -> tuple[np.ndarray, ...]:
    return tuple(case.arrays[f"input_{i}"][np.newaxis] for i in (1, 2))


def add_op(case: Case, numerics: Numerics) -> OpCall:
    ints = AddInts(
        *factor(case, "input_1"),
        *factor(case, "input_2"),
        *factor(case, "out"),
        left_shift=case.params["left_shift"],
        rounding=numerics.rounding,
        **activation(case),
    )
    return OpCall("add", AddAttrs(), ints, two_inputs(case))


def mul_op(case: Case, numerics: Numerics) -> OpCall:
    p = case.params
    ints = MulInts(
        p["input_1_offset"],
        p["input_2_offset"],
        *factor(case, "out"),
        rounding=numerics.rounding,
        **activation(case),
    )
    return OpCall("mul", MulAttrs(), ints, two_inputs(case))


#: The operators in Python, by API: from a case to a call of both their forms.
PYTHON: dict[str, dict[str, Callable[[Case, Numerics], OpCall]]] = {
    "s8": {
        "arm_convolve_wrapper_s8": convolve_op,
        "arm_convolve_wrapper_s4": convolve_op,
        "arm_depthwise_conv_wrapper_s8": convolve_op,
        "arm_depthwise_conv_wrapper_s4": convolve_op,
        "arm_fully_connected_s8": fully_connected_op,
        "arm_fully_connected_s4": fully_connected_op,
        "arm_fully_connected_per_channel_s8": fully_connected_op,
        "arm_max_pool_s8": pool_op("max_pool2d"),
        "arm_avgpool_s8": pool_op("avg_pool2d"),
        "arm_softmax_s8": softmax_op,
        "arm_elementwise_add_s8": add_op,
        "arm_elementwise_mul_s8": mul_op,
        "arm_relu_q7": relu_op,
    },
    "q7": {
        "arm_convolve_HWC_q7_basic": convolve_op,
        "arm_convolve_HWC_q7_fast": convolve_op,
        "arm_convolve_HWC_q7_RGB": convolve_op,
        "arm_convolve_HWC_q7_basic_nonsquare": convolve_op,
        "arm_convolve_HWC_q7_fast_nonsquare": convolve_op,
        "arm_convolve_1x1_HWC_q7_fast_nonsquare": convolve_op,
        "arm_depthwise_separable_conv_HWC_q7": convolve_op,
        "arm_depthwise_separable_conv_HWC_q7_nonsquare": convolve_op,
        "arm_fully_connected_q7": fully_connected_op,
        "arm_fully_connected_q7_opt": fully_connected_op,
        "arm_maxpool_q7_HWC": pool_op("max_pool2d"),
        "arm_avepool_q7_HWC": pool_op("avg_pool2d"),
        "arm_softmax_q7": softmax_op,
        "arm_relu_q7": relu_op,
    },
}
#: The library that each API belongs to.
LIBRARY = {"s8": "cmsis-nn", "q7": "cmsis-nn-q7"}

#: How many cases of each function golden/ holds.
OWN_COUNT = 40


#: The core classes that share an arithmetic, by API: cores with Helium run the legacy
#: API's plain C.
CORES: dict[str, dict[str, tuple[str, ...]]] = {
    "s8": {"c": ("c", "dsp", "mve")},
    "q7": {"c": ("c", "mve"), "dsp": ("dsp",)},
}
BUILDS = {"s8": driver.BUILDS, "q7": driver.Q7_BUILDS}


@cache
def cases_by_function() -> dict[tuple[str, str], list[Case]]:
    """Cases by API and function."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in cases():
        found.setdefault((case.api, case.function), []).append(case)
    return found


def functions(table: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """API and function of every row."""
    return [(api, function) for api in table for function in table[api]]


def answers(case: Case, core: str) -> dict[str, np.ndarray]:
    """What the core classes wrote whose arithmetic is `core`, a key of CORES."""
    return {c: case.answers[c] for c in CORES[case.api][core] if c in case.answers}


def present(table: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Rows and arithmetics that the folder answers; one of the user's may lack some."""
    return [
        (*row, core)
        for row in functions(table)
        for core in CORES[row[0]]
        if any(answers(case, core) for case in cases_by_function().get(row, []))
    ]


def assert_equals_library(case: Case, core: str, y: np.ndarray) -> None:
    """`core`: the arithmetic that made `y`."""
    assert answers(case, core), f"{case.name} has no answer of {core}"
    for answered, expected in answers(case, core).items():
        np.testing.assert_array_equal(
            np.ravel(y), expected, err_msg=f"{case.function} {case.name} {answered}"
        )


def test_golden_cases_are_there():
    rows = {*functions(CCORE), *functions(PYTHON)}
    counts = {row: len(cases_by_function().get(row, [])) for row in rows}
    if folder() == OWN_FOLDER:
        assert counts == dict.fromkeys(rows, OWN_COUNT)
    assert sum(counts.values()) > 0, f"nothing here runs any case of {folder()}"


@pytest.mark.parametrize(
    ("api", "function", "build"),
    [
        (api, function, build)
        for api, function, core in present(CCORE)
        for build in BUILDS[api]
        if build.core == core
    ],
    ids=str,
)
def test_ccore_equals_library(api, function, build):
    found = cases_by_function()[api, function]
    results = driver.build_runner(build).run(map(CCORE[api][function], found))
    for case, result in zip(found, results, strict=True):
        if refused(case, build.core):
            assert np.all(result.output == driver.UNTOUCHED), case.name
        else:
            assert result.status == case.params["status_c"], case.name
            if not misread(case):
                assert_equals_library(case, build.core, result.output)


def test_few_cases_are_refused():
    every = [case for found in cases_by_function().values() for case in found]
    counts = Counter(case.function for case in every if refused(case, "dsp"))
    if folder() == OWN_FOLDER:
        assert counts == dict.fromkeys(POOLS_Q7, 6)
        counts = Counter(case.function for case in every if misread(case))
        assert counts == {"arm_depthwise_conv_wrapper_s4": 5}


@pytest.mark.parametrize("form", ["run_int", "forward_int"])
@pytest.mark.parametrize(("api", "function", "core"), present(PYTHON))
def test_python_equals_library(api, function, core, form):
    numerics = target_spec(LIBRARY[api], core=core).numerics
    for case in cases_by_function()[api, function]:
        # refused by the lowering, as the tests of the operators show
        if refused(case, core) or misread(case):
            continue
        call = PYTHON[api][function](case, numerics)
        y = getattr(OPS[call.op], form)(call.attrs, call.ints, call.inputs)
        assert_equals_library(case, core, y)
