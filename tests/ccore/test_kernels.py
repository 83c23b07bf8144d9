"""The C kernels against slow, obvious references, on random and on extreme arguments.

Every reference works in Python's unlimited integers and saturates where int32 ends.
"""

import functools
import itertools
import math

import numpy as np
import pytest

from . import driver
from .driver import BUILDS, SINGLE_ROUNDING, build_runner
from .reference import clamp, expect, int8s, window

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
every_build = pytest.mark.parametrize("build", BUILDS, ids=str)
every_build_and_rounding = pytest.mark.parametrize(
    "build", (*BUILDS, SINGLE_ROUNDING), ids=str
)


def saturate(value):
    return clamp(value, INT32_MIN, INT32_MAX)


def requantize(value, multiplier, shift, *, rounding):
    if rounding == "single":
        return saturate(((value * multiplier >> (30 - shift)) + 1) >> 1)
    left, right = max(shift, 0), max(-shift, 0)
    high = (saturate(value << left) * multiplier + 2**30) >> 31
    magnitude = (abs(high) + (2**right >> 1)) >> right  # halves away from zero
    return magnitude if high >= 0 else -magnitude


# -------------------------------------------------------------- convolution and dense


def random_scales(rng, count):
    multiplier = rng.integers(2**30, 2**31, count).astype(np.int32)
    shift = rng.integers(-14, 2, count).astype(np.int32)
    multiplier[rng.random(count) < 0.1] = rng.choice((0, 1, 2**30, INT32_MAX))
    shift[rng.random(count) < 0.1] = rng.choice((-31, -30, 0, 1, 30))
    return multiplier, shift


def random_output_stage(rng):
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    return {
        "input_offset": int(rng.choice((-127, 0, 128, rng.integers(-127, 129)))),
        "output_offset": int(rng.choice((128, -999, *rng.integers(-128, 128, 6)))),
        **rng.choice(({}, {"act_min": low, "act_max": high})),
    }


def random_bias(rng, count):
    limit = rng.choice((2**10, 2**20, 2**31))
    bias = rng.integers(-limit, limit, count).astype(np.int32)
    return None if rng.random() < 0.1 else bias


@functools.cache
def convolutions():
    rng = np.random.default_rng(2018)
    cases = []
    for i in range(150):
        n, c, out_c = (int(v) for v in rng.integers(1, (3, 20, 10)))
        h, w = (int(v) for v in rng.integers(1, 10, 2))
        kh, kw = (1, 1) if i % 7 == 0 else (int(v) for v in rng.integers(1, 5, 2))
        multiplier, shift = random_scales(rng, out_c)
        cases.append(
            {
                "x": int8s(rng, n, h, w, c),
                "weight": int8s(rng, out_c, kh, kw, c),
                "bias": random_bias(rng, out_c),
                "multiplier": multiplier,
                "shift": shift,
                # Any output size: windows may start or end far beyond the input.
                "output_shape": (n, *rng.integers(1, 6, 2).tolist(), out_c),
                "stride": tuple(rng.integers(1, 6, 2).tolist()),
                "padding": tuple(rng.integers(0, 4, 2).tolist()),
                "dilation": tuple(rng.choice((1, 1, 2, 3), 2).tolist()),
                **random_output_stage(rng),
            }
        )
    return cases


def convolve(
    x,
    weight,
    bias,
    multiplier,
    shift,
    *,
    output_shape,
    stride=(1, 1),
    padding=(0, 0),
    dilation=(1, 1),
    input_offset=0,
    output_offset=0,
    act_min=-128,
    act_max=127,
    rounding,
):
    x = x.astype(np.int64) + input_offset
    y = np.zeros(output_shape, np.int8)
    for n, i, j in np.ndindex(output_shape[:3]):
        rows, columns = (
            window(at, stride[d], padding[d], dilation[d], weight.shape[d + 1], size)
            for d, (at, size) in enumerate(((i, x.shape[1]), (j, x.shape[2])))
        )
        sums = np.zeros(len(weight), np.int64) if bias is None else bias + np.int64(0)
        for (ky, yy), (kx, xx) in itertools.product(rows, columns):
            sums += weight[:, ky, kx] @ x[n, yy, xx]
        for o, acc in enumerate(sums.tolist()):
            scaled = requantize(
                saturate(acc), int(multiplier[o]), int(shift[o]), rounding=rounding
            )
            y[n, i, j, o] = clamp(scaled + output_offset, act_min, act_max)
    return y


@functools.cache
def convolution_answers(rounding):
    return [convolve(**c, rounding=rounding) for c in convolutions()]


@every_build_and_rounding
def test_convolve(build):
    calls = [driver.convolve_wrapper_s8(**case) for case in convolutions()]
    expect(build, calls, convolution_answers(build.rounding))


def grouped(x, weight, bias, multiplier, shift, *, output_shape, **rest):
    """One convolution for each part of the channels that the weights see."""
    y, seen = np.zeros(output_shape, np.int8), weight.shape[3]
    groups = x.shape[3] // seen
    for group, o in enumerate(np.split(np.arange(len(weight)), groups)):
        y[..., o] = convolve(
            x[..., group * seen : (group + 1) * seen],
            weight[o],
            None if bias is None else bias[o],
            multiplier[o],
            shift[o],
            output_shape=(*output_shape[:3], len(o)),
            **rest,
        )
    return y


@functools.cache
def grouped_convolutions():
    rng, cases = np.random.default_rng(2012), []
    for i, case in enumerate(convolutions()[:80]):
        n, h, w, _ = case["x"].shape
        kh, kw = case["weight"].shape[1:3]
        # Groups of one filter and of more than are multiplied at a time.
        groups, seen, each = (2, 3, 1, 5)[i % 4], (1, 2, 5, 18)[i // 4 % 4], 1 + i % 6
        out_c = groups * each
        multiplier, shift = random_scales(rng, out_c)
        cases.append(
            {
                **case,
                "x": int8s(rng, n, h, w, groups * seen),
                "weight": int8s(rng, out_c, kh, kw, seen),
                "bias": random_bias(rng, out_c),
                "multiplier": multiplier,
                "shift": shift,
                "output_shape": (*case["output_shape"][:3], out_c),
            }
        )
    return cases


@functools.cache
def grouped_answers(rounding):
    return [grouped(**case, rounding=rounding) for case in grouped_convolutions()]


@every_build_and_rounding
@pytest.mark.parametrize("kernel", ("arm_convolve_wrapper_s8", "arm_convolve_s8"))
def test_grouped_convolution(build, kernel):
    cases = grouped_convolutions()
    calls = [driver.named(driver.convolve_wrapper_s8(**case), kernel) for case in cases]
    expect(build, calls, grouped_answers(build.rounding))


def pointwise(case):
    """What 1x1 kernels are for."""
    return {**case, "weight": case["weight"][:, :1, :1], "padding": (0, 0)}


def at_every_pixel(case):
    """What the fast ones are for."""
    n, h, w, _ = case["x"].shape
    shape = n, h, w, len(case["weight"])
    return {**pointwise(case), "stride": (1, 1), "output_shape": shape}


def in_a_row(case):
    """What 1xN kernels are for: a row, and steps of a multiple of four bytes."""
    x, weight = (np.repeat(case[name], 4, axis=3) for name in ("x", "weight"))
    dilation = case["dilation"][0], 1
    return {**case, "x": x[:, :1], "weight": weight, "dilation": dilation}


#: Kernels that programs call by name, and of what cases.
CONVOLUTION_KERNELS = {
    "arm_convolve_s8": dict,
    "arm_convolve_1x1_s8": pointwise,
    "arm_convolve_1x1_s8_fast": at_every_pixel,
    "arm_convolve_1_x_n_s8": in_a_row,
}


@functools.cache
def kernel_answers(kernel, bits, rounding):
    suited = CONVOLUTION_KERNELS[kernel]
    cases = [suited(case) for case in convolutions()[::2]]
    calls = [driver.named(driver.convolve_wrapper_s8(**c), kernel) for c in cases]
    if bits == 4:
        cases = [in_int4(case) for case in cases]
        calls = [driver.convolve_wrapper_s8(**case) for case in cases]
        calls = [driver.int4(driver.named(call, kernel)) for call in calls]
    return calls, [convolve(**case, rounding=rounding) for case in cases]


@pytest.mark.parametrize("build", (BUILDS[1], SINGLE_ROUNDING), ids=str)
@pytest.mark.parametrize("kernel", CONVOLUTION_KERNELS)
@pytest.mark.parametrize("bits", (8, 4))
def test_convolution_by_name(build, kernel, bits):
    expect(build, *kernel_answers(kernel, bits, build.rounding))


def in_int4(case):
    """The same case with weights of 4 bits."""
    return {**case, "weight": case["weight"] >> 4}


@functools.cache
def int4_answers(function, cases, rounding):
    return [function(**in_int4(case), rounding=rounding) for case in cases()]


@every_build_and_rounding
def test_convolve_int4(build):
    cases = map(in_int4, convolutions())
    calls = [driver.int4(driver.convolve_wrapper_s8(**case)) for case in cases]
    expect(build, calls, int4_answers(convolve, convolutions, build.rounding))


@functools.cache
def depthwise_convolutions():
    rng = np.random.default_rng(2017)
    cases = []
    for i, case in enumerate(convolutions()):
        channels, times = case["x"].shape[3], (1, 1, 2, 3, 4)[i % 5]
        out_c, shape = channels * times, case["output_shape"]
        multiplier, shift = random_scales(rng, out_c)
        cases.append(
            {
                **case,
                "weight": int8s(rng, *case["weight"].shape[1:3], out_c),
                "bias": random_bias(rng, out_c),
                "multiplier": multiplier,
                "shift": shift,
                "output_shape": (*shape[:3], out_c),
            }
        )
    return cases


def depthwise_convolve(x, weight, bias, multiplier, shift, *, output_shape, **rest):
    """One convolution for each channel of the output."""
    y = np.zeros(output_shape, np.int8)
    times = output_shape[3] // x.shape[3]
    for o in range(output_shape[3]):
        channel = slice(o, o + 1)
        y[..., channel] = convolve(
            x[..., o // times, np.newaxis],
            weight[..., channel][np.newaxis],
            None if bias is None else bias[channel],
            multiplier[channel],
            shift[channel],
            output_shape=(*output_shape[:3], 1),
            **rest,
        )
    return y


@functools.cache
def depthwise_answers(rounding):
    cases = depthwise_convolutions()
    return [depthwise_convolve(**case, rounding=rounding) for case in cases]


@every_build_and_rounding
def test_depthwise_convolve(build):
    cases = depthwise_convolutions()
    calls = [driver.depthwise_conv_wrapper_s8(**case) for case in cases]
    expect(build, calls, depthwise_answers(build.rounding))


@every_build_and_rounding
def test_depthwise_convolve_int4(build):
    cases = map(in_int4, depthwise_convolutions())
    calls = [driver.int4(driver.depthwise_conv_wrapper_s8(**case)) for case in cases]
    answers = int4_answers(depthwise_convolve, depthwise_convolutions, build.rounding)
    expect(build, calls, answers)


def one_each(case):
    """One output channel for each of the input's."""
    channels = case["x"].shape[3]
    arrays = {
        name: case[name][..., :channels] for name in ("weight", "multiplier", "shift")
    }
    bias = None if case["bias"] is None else case["bias"][:channels]
    shape = (*case["output_shape"][:3], channels)
    return {**case, **arrays, "bias": bias, "output_shape": shape}


def three_by_three(case):
    """The same of one image, with padding of a column at most."""
    case = one_each(case)
    h, w = case["padding"]
    return {
        **case,
        "x": case["x"][:1],
        "weight": np.resize(case["weight"], (3, 3, case["x"].shape[3])),
        "padding": (h, min(w, 1)),
        "dilation": (1, 1),
        "output_shape": (1, *case["output_shape"][1:]),
    }


#: Kernels that programs call by name, of what cases, and bits of their weights.
DEPTHWISE_KERNELS = (
    ("arm_depthwise_conv_s8", dict, 8),
    ("arm_depthwise_conv_s8_opt", one_each, 8),
    ("arm_depthwise_conv_3x3_s8", three_by_three, 8),
    ("arm_depthwise_conv_s8", dict, 4),
    ("arm_depthwise_conv_s8_opt", three_by_three, 4),
)


@pytest.mark.parametrize("build", (BUILDS[1], SINGLE_ROUNDING), ids=str)
@pytest.mark.parametrize(("kernel", "suited", "bits"), DEPTHWISE_KERNELS)
def test_depthwise_convolution_by_name(build, kernel, suited, bits):
    cases = [suited(case) for case in depthwise_convolutions()[::5]]
    if bits == 4:
        cases = [in_int4(case) for case in cases]
    calls = [driver.depthwise_conv_wrapper_s8(**case) for case in cases]
    calls = [driver.named(call, kernel) for call in calls]
    if bits == 4:
        calls = [driver.int4(call) for call in calls]
    answers = [depthwise_convolve(**case, rounding=build.rounding) for case in cases]
    expect(build, calls, answers)


def fully_connected(x, weight, bias, multiplier, shift, *, filter_offset=0, **rest):
    weight = weight.astype(int) + filter_offset
    rows = len(weight)
    as_convolution = convolve(
        x[:, None, None],
        weight[:, None, None],
        bias,
        np.broadcast_to(multiplier, rows),
        np.broadcast_to(shift, rows),
        output_shape=(len(x), 1, 1, rows),
        **rest,
    )
    return as_convolution[:, 0, 0]


def in_wrapper(call):
    return lambda *args, **kw: driver.fully_connected_wrapper_s8(call(*args, **kw))


def fully_connected_int4(x, weight, *arguments, **stage):
    call = driver.fully_connected_s8(x, weight >> 4, *arguments, **stage)
    return driver.int4(call)


#: How a kernel is called, how many scales it has, and bits of its weights.
FULLY_CONNECTED = {
    "s8": (driver.fully_connected_s8, 1, 8),
    "s4": (fully_connected_int4, 1, 4),
    "per_channel_s8": (driver.fully_connected_per_channel_s8, None, 8),
    "wrapper_s8": (in_wrapper(driver.fully_connected_s8), 1, 8),
    "wrapper_per_channel_s8": (
        in_wrapper(driver.fully_connected_per_channel_s8),
        None,
        8,
    ),
}


@every_build_and_rounding
@pytest.mark.parametrize("kernel", FULLY_CONNECTED)
def test_fully_connected(build, kernel):
    call, scales, bits = FULLY_CONNECTED[kernel]
    rng = np.random.default_rng(1024)
    calls, answers = [], []
    for _ in range(80):
        n, columns, rows = (int(v) for v in rng.integers(1, (4, 100, 9)))
        multiplier, shift = random_scales(rng, scales or rows)
        if scales == 1:
            multiplier, shift = int(multiplier[0]), int(shift[0])
        x, weight = int8s(rng, n, columns), int8s(rng, rows, columns)
        bias, stage = random_bias(rng, rows), random_output_stage(rng)
        if bits == 8:  # with int4 weights the library does not read it
            stage["filter_offset"] = int(rng.choice((0, -127, 128, -15)))
        calls.append(call(x, weight, bias, multiplier, shift, **stage))
        weight >>= 8 - bits
        answers.append(
            fully_connected(
                x, weight, bias, multiplier, shift, **stage, rounding=build.rounding
            )
        )
    expect(build, calls, answers)


@every_build
def test_vector_sum(build):
    rng, calls, answers = np.random.default_rng(5), [], []
    for i in range(40):
        rows, columns = rng.integers(1, (9, 100)).tolist()
        weight, bias = int8s(rng, rows, columns), random_bias(rng, rows)
        x_offset, w_offset = rng.choice((-127, 0, 128, 3), 2).tolist()
        calls.append(
            driver.vector_sum_s8(
                weight, bias, input_offset=x_offset, filter_offset=w_offset
            )
        )
        sums = (weight.astype(int) + w_offset).sum(axis=1) * x_offset
        sums += np.zeros(rows, int) if bias is None else bias
        answers.append(np.clip(sums, INT32_MIN, INT32_MAX).astype(np.int32).view("i1"))
    expect(build, calls, answers)


@every_build
@pytest.mark.parametrize(
    ("x", "input_offset", "columns", "filter_offset"),
    (
        (127, 128, 65_535, 0),
        (-128, -127, 65_535, 0),
        (127, 128, 32_767, -127),
        (-128, -127, 32_767, -127),
    ),
)
def test_longest_sum_fits_int32(build, x, input_offset, columns, filter_offset):
    acc = (x + input_offset) * (filter_offset - 128) * columns
    assert 0.99 * INT32_MAX < abs(acc) < INT32_MAX
    call = driver.fully_connected_s8(
        np.full((1, columns), x, np.int8),
        np.full((1, columns), -128, np.int8),
        bias=None,
        multiplier=2**30,
        shift=-23,  # with the multiplier, 2^-24
        input_offset=input_offset,
        filter_offset=filter_offset,
    )
    expect(build, [call], [np.full((1, 1), round(acc / 2**24))])


# ----------------------------------------------------------------------------- pooling


def average(values):
    total, half = sum(values), len(values) // 2
    rounded = (abs(total) + half) // len(values)
    return rounded if total > 0 else -rounded


def pool(x, reduce, kernel, output_shape, stride, padding, act_min, act_max):
    y = np.zeros(output_shape, np.int8)
    for n, i, j, c in np.ndindex(output_shape):
        rows, columns = (
            window(at, stride[d], padding[d], 1, kernel[d], x.shape[d + 1])
            for d, at in enumerate((i, j))
        )
        values = [int(x[n, r, s, c]) for _, r in rows for _, s in columns]
        y[n, i, j, c] = clamp(reduce(values), act_min, act_max)
    return y


@functools.cache
def pools():
    rng = np.random.default_rng(2)
    cases = []
    while len(cases) < 100:
        n, c = (int(v) for v in rng.integers(1, (3, 20)))
        h, w, kh, kw, sh, sw = (int(v) for v in rng.integers(1, (9, 9, 5, 5, 6, 6)))
        ph, pw = int(rng.integers(0, kh)), int(rng.integers(0, kw))
        # As many windows as meet the input: more padding after it than before.
        out_h, out_w = -(-(h + ph) // sh), -(-(w + pw) // sw)
        low, high = sorted(rng.integers(-128, 128, 2).tolist())
        cases.append(
            {
                "x": int8s(rng, n, h, w, c),
                "kernel": (kh, kw),
                "output_shape": (n, out_h, out_w, c),
                "stride": (sh, sw),
                "padding": (ph, pw),
                "act_min": low,
                "act_max": high,
            }
        )
    return cases


@functools.cache
def pool_answers(reduce):
    return [pool(reduce=reduce, **case) for case in pools()]


@every_build
@pytest.mark.parametrize(
    ("call", "reduce"), ((driver.max_pool_s8, max), (driver.avgpool_s8, average))
)
def test_pool(build, call, reduce):
    expect(build, [call(**case) for case in pools()], pool_answers(reduce))


# ----------------------------------------------------------------------------- softmax


def softmax_arguments(input_scale):
    """mult, shift and diff_min as TFLite derives them from the scale of the input."""
    mantissa, shift = math.frexp(min(input_scale * 2**26, 2**31 - 1.0))
    diff_min = -((31 << 26) >> shift)
    return round(mantissa * 2**31), shift, diff_min


@every_build
def test_softmax_is_within_one_step_of_the_real_one(build):
    rng = np.random.default_rng(10)
    calls, answers = [], []
    for size in (1, 2, 3, 10, 100, 511, 512, 600, 3000, 5000):
        for scale in (1 / 256, 0.02, 0.1, 0.5):
            for spread in (0, 3, 255):
                x = rng.integers(127 - spread, 128, (2, size)).astype(np.int8)
                calls.append(driver.softmax_s8(x, *softmax_arguments(scale)))
                e = np.exp((x - x.max(axis=1, keepdims=True).astype(float)) * scale)
                p = e / e.sum(axis=1, keepdims=True)
                answers.append(np.clip(np.round(p * 256) - 128, -128, 127))
    results = build_runner(build).run(calls)
    for result, answer in zip(results, answers, strict=True):
        assert np.max(np.abs(result.output - answer)) <= 1


def test_softmax_of_no_element_is_the_lowest():
    """A diff_min above 0 leaves out the largest element itself."""
    x = np.arange(-128, 128, dtype=np.int8).reshape(2, 128)
    calls = [driver.softmax_s8(x, 2**30, 20, diff_min) for diff_min in (1, INT32_MAX)]
    for build in BUILDS:
        expect(build, calls, [np.full(x.shape, -128)] * 2)


def test_softmax_survives_any_allowed_scale():
    x = np.arange(-128, 128, dtype=np.int8)[None]
    calls = [
        driver.softmax_s8(x, mult, shift, diff_min)
        for mult in (0, 1, 2**30, INT32_MAX)
        for shift in (0, 1, 23, 30, 31)
        for diff_min in (0, -1, -255, INT32_MIN)
    ]
    for build in BUILDS:
        if build.sanitized:
            for result in build_runner(build).run(calls):
                assert np.all(np.diff(result.output.astype(int)) >= 0)


# ------------------------------------------------------------------------------- joins


def random_factor(rng):
    """Multiplier and shift, now and then extreme ones."""
    (multiplier,), (shift,) = (a.tolist() for a in random_scales(rng, 1))
    return multiplier, shift


def two_inputs(rng):
    """Every pair of ends among them."""
    x = int8s(rng, 2, int(rng.integers(4, 300)))
    x[:, :4] = [[-128, -128, 127, 127], [-128, 127, -128, 127]]
    return x


def random_join(rng):
    """Input offsets; offset, multiplier and shift of y; its range."""
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    inputs = rng.choice((-127, 0, 128, int(rng.integers(-127, 129))), 2).tolist()
    output = (int(rng.integers(-128, 128)), *random_factor(rng))
    return inputs, output, rng.choice(({}, {"act_min": low, "act_max": high}))


def output_bytes(sums, output, rounding, act_min=-128, act_max=127):
    offset, multiplier, shift = output
    scaled = (requantize(v, multiplier, shift, rounding=rounding) for v in sums)
    return [clamp(q + offset, act_min, act_max) for q in scaled]


@every_build_and_rounding
def test_add(build):
    rng, calls, answers = np.random.default_rng(20), [], []
    for _ in range(150):
        x, (inputs, output, limits) = two_inputs(rng), random_join(rng)
        left = int(rng.choice((16, 20, 20, 23)))
        stages = [(offset, *random_factor(rng)) for offset in inputs]
        calls.append(
            driver.elementwise_add_s8(*x, *stages, output, left_shift=left, **limits)
        )
        parts = [
            [
                requantize((v + offset) << left, m, s, rounding=build.rounding)
                for v in row
            ]
            for row, (offset, m, s) in zip(x.tolist(), stages, strict=True)
        ]
        sums = [saturate(a + b) for a, b in zip(*parts, strict=True)]
        answers.append(output_bytes(sums, output, build.rounding, **limits))
    expect(build, calls, answers)


@every_build_and_rounding
def test_mul(build):
    rng, calls, answers = np.random.default_rng(21), [], []
    for _ in range(150):
        x, (inputs, output, limits) = two_inputs(rng), random_join(rng)
        calls.append(
            driver.elementwise_mul_s8(*x, input_offsets=inputs, output=output, **limits)
        )
        x_1, x_2 = x.astype(int) + np.array(inputs)[:, None]
        products = (x_1 * x_2).tolist()
        answers.append(output_bytes(products, output, build.rounding, **limits))
    expect(build, calls, answers)


def broadcasts(rng):
    """A whole operand and a part of it, and how that is read."""
    outer, size, inner = rng.integers(1, (5, 9, 4)).tolist()
    whole, part = int8s(rng, outer, size, inner), int8s(rng, size)
    whole.flat[:1], part[:1] = -128, rng.choice((-128, 127))
    return whole, part, (outer, size, inner)


@every_build
@pytest.mark.parametrize("rounding", ["default", "single"])
def test_broadcast_sums_and_differences(build, rounding):
    """They round as their arguments say, in every build."""
    rng, calls, answers = np.random.default_rng(22), [], []
    for _ in range(60):
        (whole, part, blocks), (inputs, output, limits) = (
            broadcasts(rng),
            random_join(rng),
        )
        stages = [
            (int(rng.choice((-1, 1))), offset, m, min(s, 0))
            for offset, (m, s) in zip(
                inputs, (random_factor(rng), random_factor(rng)), strict=True
            )
        ]
        output = (*output[:2], min(output[2], 0))
        once = rounding == "single"
        calls.append(
            driver.add_s8(
                whole, part, blocks, *stages, output, rounds_once=once, **limits
            )
        )
        both = whole, np.broadcast_to(part[:, None], whole.shape)
        parts = [
            [
                sign * requantize((v + offset) << 20, m, s, rounding=rounding)
                for v in x.ravel().tolist()
            ]
            for x, (sign, offset, m, s) in zip(both, stages, strict=True)
        ]
        sums = [saturate(a + b) for a, b in zip(*parts, strict=True)]
        y = output_bytes(sums, output, rounding, **limits)
        answers.append(np.reshape(y, whole.shape))
    expect(build, calls, answers)


@every_build
@pytest.mark.parametrize("rounding", ["default", "single"])
def test_broadcast_products(build, rounding):
    rng, calls, answers = np.random.default_rng(23), [], []
    for _ in range(60):
        (whole, part, blocks), (inputs, output, limits) = (
            broadcasts(rng),
            random_join(rng),
        )
        output = (*output[:2], min(output[2], 14))
        once = rounding == "single"
        calls.append(
            driver.mul_s8(
                whole,
                part,
                blocks,
                input_offsets=inputs,
                output=output,
                rounds_once=once,
                **limits,
            )
        )
        x_1, x_2 = whole.astype(int) + inputs[0], part.astype(int) + inputs[1]
        products = (x_1 * x_2[:, None]).ravel().tolist()
        y = output_bytes(products, output, rounding, **limits)
        answers.append(np.reshape(y, whole.shape))
    expect(build, calls, answers)


@every_build
@pytest.mark.parametrize(
    ("name", "pick"), [("minimum", np.minimum), ("maximum", np.maximum)]
)
def test_extrema(build, name, pick):
    rng, calls, answers = np.random.default_rng(24), [], []
    for i in range(40):
        whole, part, blocks = broadcasts(rng)
        tables = int8s(rng, 2, 256) if i % 2 else None
        calls.append(
            driver.extremum_s8(f"kanji_{name}_s8", whole, part, blocks, tables)
        )
        if tables is not None:
            places = whole.astype(int) + 128, part.astype(int) + 128
            whole, part = (t[p] for t, p in zip(tables, places, strict=True))
        answers.append(pick(whole, part[:, None]))
    expect(build, calls, answers)


@every_build
@pytest.mark.parametrize(
    ("name", "pick"), [("minimum", np.minimum), ("maximum", np.maximum)]
)
def test_extrema_of_one_shape(build, name, pick):
    if build.api != "s8":
        return
    rng = np.random.default_rng(25)
    pairs = [int8s(rng, 2, *rng.integers(1, 6, 4).tolist()) for _ in range(20)]
    calls = [driver.arm_extremum_s8(f"arm_{name}_s8", *pair) for pair in pairs]
    expect(build, calls, [pick(*pair) for pair in pairs])


@functools.cache
def slices():
    """Rows, width of the result, where they go."""
    rng, cases = np.random.default_rng(22), []
    for _ in range(60):
        shape = rng.integers(1, (3, 5, 5, 40)).tolist()
        before, after = rng.integers(0, 30, 2).tolist()
        cases.append((int8s(rng, *shape), before + shape[3] + after, before))
    return cases


def in_slice(part, channels, first):
    y = np.full((*part.shape[:-1], channels), driver.UNTOUCHED)
    y[..., first : first + part.shape[-1]] = part
    return y


@every_build
def test_concatenation(build):
    calls = [
        driver.concatenation_s8_x(x, channels=channels, first=first)
        for x, channels, first in slices()
    ]
    expect(build, calls, [in_slice(*case) for case in slices()])


@pytest.mark.parametrize(
    "build", (*BUILDS, SINGLE_ROUNDING, driver.Q7_TRUNCATE), ids=str
)
def test_requantize_rounds_once_in_every_build(build):
    rng, calls, answers = np.random.default_rng(23), [], []
    for x, channels, first in slices():
        x = x.reshape(-1, x.shape[3])
        x.flat[0], x.flat[-1] = -128, 127
        offset, y_offset = int(rng.integers(-127, 129)), int(rng.integers(-128, 128))
        multiplier, shift = random_factor(rng)
        calls.append(
            driver.requantize_s8(
                x,
                input_offset=offset,
                multiplier=multiplier,
                shift=shift,
                output_offset=y_offset,
                channels=channels,
                first=first,
            )
        )
        values = [(v + offset) * multiplier for v in x.ravel().tolist()]
        scaled = [((v >> (30 - shift)) + 1 >> 1) + y_offset for v in values]
        part = np.reshape([clamp(v, -128, 127) for v in scaled], x.shape)
        answers.append(in_slice(part, channels, first))
    expect(build, calls, answers)


@pytest.mark.parametrize(
    "build", (*BUILDS, SINGLE_ROUNDING, driver.Q7_TRUNCATE), ids=str
)
def test_mean_rounds_twice_in_every_build(build):
    rng, calls, answers = np.random.default_rng(25), [], []
    for _ in range(60):
        x = int8s(rng, *rng.integers(1, (4, 60, 40)).tolist())
        x[0, :, 0], x[-1, :, -1] = -128, 127
        offset, y_offset = int(rng.integers(-127, 129)), int(rng.integers(-128, 128))
        multiplier, shift = random_factor(rng)
        shift = min(shift, 10)  # 60 values times 255, and 2^10
        calls.append(
            driver.mean_s8(
                x,
                input_offset=offset,
                multiplier=multiplier,
                shift=shift,
                output_offset=y_offset,
            )
        )
        sums = (x.astype(int) + offset).sum(axis=1)
        means = [
            clamp(
                requantize(v, multiplier, shift, rounding="double") + y_offset,
                -128,
                127,
            )
            for v in sums.ravel().tolist()
        ]
        answers.append(np.reshape(means, sums.shape))
    expect(build, calls, answers)


@pytest.mark.parametrize("build", (*BUILDS, driver.Q7_TRUNCATE), ids=str)
def test_copy(build):
    rng, calls, answers = np.random.default_rng(26), [], []
    for i in range(60):
        shape = rng.integers(1, (3, 5, 6, 20))
        x = int8s(rng, *shape.tolist())
        steps = np.array(x.strides)
        if i % 2:  # a part, every other row or column
            begin = rng.integers(0, shape)
            strides = rng.integers(1, 3, 4)
            y = x[tuple(slice(b, None, s) for b, s in zip(begin, strides, strict=True))]
            first, steps = int(begin @ steps), steps * strides
        else:  # the axes in another order, and each row twice
            order = rng.permutation(4)
            y, steps, first = x.transpose(order), steps[order], 0
            y, steps[0] = np.broadcast_to(y[:1], (2, *y.shape[1:])), 0
        calls.append(driver.copy_s8(x, first, y.shape, steps.tolist()))
        answers.append(y)
    expect(build, calls, answers)


@pytest.mark.parametrize("build", (*BUILDS, driver.Q7_TRUNCATE), ids=str)
def test_resize_nearest(build):
    rng, calls, answers = np.random.default_rng(27), [], []
    for _ in range(40):
        x = int8s(rng, *rng.integers(1, (9, 9, 20)).tolist())
        rows, columns = (
            rng.integers(0, size, rng.integers(1, 12)).astype(np.int16)
            for size in x.shape[:2]
        )
        calls.append(driver.resize_nearest_s8(x, rows, columns))
        answers.append(x[rows][:, columns])
    expect(build, calls, answers)


def transposed(x, weight, bias, multiplier, shift, **options):
    """Every input adds its kernel, wherever there is an output."""
    (height, width), stride = options["output"], options["stride"]
    sums = np.tile(bias.astype(np.int64), (height, width, 1))
    for iy, ix in np.ndindex(x.shape[:2]):
        values = x[iy, ix].astype(np.int64) + options["input_offset"]
        for k, m in np.ndindex(weight.shape[1:3]):
            oy = iy * stride[0] + k - options["padding"][0]
            ox = ix * stride[1] + m - options["padding"][1]
            if 0 <= oy < height and 0 <= ox < width:
                sums[oy, ox] += weight[:, k, m] @ values
    rounding = {1: "single", 2: "double"}[options["roundings"]]
    y = np.empty(sums.shape, np.int8)
    for at, value in np.ndenumerate(sums):
        m, e = int(multiplier[at[2]]), int(shift[at[2]])
        q = requantize(int(value), m, e, rounding=rounding) + options["output_offset"]
        y[at] = clamp(q, options.get("act_min", -128), options.get("act_max", 127))
    return y


@pytest.mark.parametrize("build", (*BUILDS, SINGLE_ROUNDING), ids=str)
def test_transpose_conv(build):
    rng, calls, answers = np.random.default_rng(28), [], []
    for i in range(60):
        x = int8s(rng, *rng.integers(1, (7, 7, 12)).tolist())
        kernel = rng.integers(1, 5, 2)
        weight = int8s(rng, int(rng.integers(1, 10)), *kernel.tolist(), x.shape[2])
        multiplier, shift = random_scales(rng, len(weight))
        shift = np.minimum(shift, 2)  # sums of 24 bits
        bias = rng.integers(-(2**20), 2**20, len(weight)).astype(np.int32)
        options = {
            "output": tuple(rng.integers(1, 14, 2).tolist()),
            "stride": tuple(rng.integers(1, 4, 2).tolist()),
            "padding": tuple(rng.integers(0, kernel).tolist()),
            "roundings": 1 + i % 2,
            **random_output_stage(rng),
        }
        options["output_offset"] = clamp(options["output_offset"], -128, 127)
        case = (x, weight, bias, multiplier, shift)
        calls.append(driver.transpose_conv_s8(*case, **options))
        answers.append(transposed(*case, **options))
    expect(build, calls, answers)


@every_build
def test_pad(build):
    rng, calls, answers = np.random.default_rng(24), [], []
    for i in range(60):
        x = int8s(rng, *rng.integers(1, (3, 5, 6, 20)).tolist())
        padding = rng.integers(0, 4, (4, 2))
        if i % 2:
            padding[[0, 3]] = 0  # as networks pad
        value = int(rng.integers(-128, 128))
        calls.append(driver.pad_s8(x, *padding.T.tolist(), value))
        answers.append(np.pad(x, padding, constant_values=value))
    expect(build, calls, answers)


# ---------------------------------------------------------------------------- the rest


@every_build
def test_relu(build):
    every = np.arange(-128, 128).astype(np.int8)
    expect(
        build,
        [driver.relu_q7(every), driver.relu_q7(every[:0])],
        [np.maximum(every, 0), every[:0]],
    )


def normalize(x, mean, shift):
    channels = np.resize(mean, x.size).astype(int)
    y = (x.ravel().astype(int) - channels + ((1 << shift) >> 1)) >> shift
    return np.clip(y, -128, 127).reshape(x.shape)


@every_build
@pytest.mark.parametrize("in_place", (False, True))
def test_normalize(build, in_place):
    rng = np.random.default_rng(125)
    cases = [
        (np.repeat(np.arange(256, dtype=np.uint8), c), mean, shift)
        for c in (1, 3)
        for shift in range(8)
        for mean in rng.integers(0, 256, (4, c)).astype(np.uint8)
    ]
    calls = [driver.normalize_u8_s8(*case, in_place=in_place) for case in cases]
    expect(build, calls, [normalize(*case) for case in cases])


@every_build
@pytest.mark.parametrize("in_place", (False, True))
def test_lookups(build, in_place):
    rng = np.random.default_rng(256)
    every, table = np.arange(-128, 128).astype(np.int8), int8s(rng, 256)
    grey, tables = np.arange(256, dtype=np.uint8), int8s(rng, 3, 256)
    pixels = np.stack([grey, grey[::-1], np.roll(grey, 7)], axis=1)  # (256, 3)
    expect(
        build,
        [
            driver.lookup_s8(every, table, in_place=in_place),
            driver.lookup_s8(every[:1], table, in_place=in_place),
            driver.lookup_u8_s8(grey, tables[:1], in_place=in_place),
            driver.lookup_u8_s8(pixels, tables, in_place=in_place),
        ],
        [
            table,
            table[:1],
            tables[0],
            np.stack([tables[c][pixels[:, c]] for c in range(3)], axis=1),
        ],
    )


def standardize(x, frac_bits):
    n, values = x.size, x.ravel().tolist()
    s, q = sum(values), sum(v * v for v in values)
    d = max(math.isqrt(n * q - s * s), math.isqrt(n), 1)
    y = []
    for v in values:
        a = (n * v - s) * 2**frac_bits
        rounded = (abs(a) + d // 2) // d
        y.append(clamp(rounded if a > 0 else -rounded, -128, 127))
    return np.reshape(y, x.shape)


@functools.cache
def samples():
    rng = np.random.default_rng(32)
    flat = [np.full(n, v, np.uint8) for n in (1, 7) for v in (0, 255)]
    one_apart = [
        np.where(np.arange(n) == 0, 254, 255).astype(np.uint8) for n in (2, 999)
    ]
    drawn = [
        rng.integers(low, high, rng.integers(1, 400)).astype(np.uint8)
        for low, high in ((0, 256), (100, 104), (0, 2), (250, 256))
        for _ in range(4)
    ]
    half = np.repeat(np.array([0, 255], np.uint8), 2**19)  # the largest variance
    most = np.full(2**20, 255, np.uint8)  # the largest sum
    return [*flat, *one_apart, *drawn], [half, most]


@every_build
@pytest.mark.parametrize("in_place", (False, True))
def test_standardize(build, in_place):
    small, large = samples()
    cases = [(x, bits) for x in small for bits in range(8)] + [(x, 7) for x in large]
    calls = [driver.standardize_u8_s8(*case, in_place=in_place) for case in cases]
    expect(build, calls, standardize_answers())


@functools.cache
def standardize_answers():
    small, large = samples()
    return [standardize(x, b) for x in small for b in range(8)] + [
        standardize(x, 7) for x in large
    ]
