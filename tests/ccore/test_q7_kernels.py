"""The legacy API's kernels against slow, obvious references, on random arguments."""

import functools
import itertools

import numpy as np
import pytest

from . import driver
from .driver import Q7_BUILDS, Q7_TRUNCATE, UNTOUCHED, build_runner
from .reference import clamp, expect, int8s, window

every_build = pytest.mark.parametrize("build", Q7_BUILDS, ids=str)
every_build_and_rounding = pytest.mark.parametrize(
    "build", (*Q7_BUILDS, Q7_TRUNCATE), ids=str
)


def output_stage(acc, out_shift, rounding):
    half = 0 if rounding == "truncate" else (1 << out_shift) >> 1
    return clamp((acc + half) >> out_shift, -128, 127)


def truncated(total, count):
    return abs(total) // count * (1 if total > 0 else -1)


# -------------------------------------------------------------- convolution and dense


#: Every convolution: channels in, channels out or None for as many.
CONVOLUTIONS = {
    "arm_convolve_HWC_q7_basic": (range(1, 20), range(1, 6)),
    "arm_convolve_HWC_q7_basic_nonsquare": (range(1, 20), range(1, 6)),
    "arm_convolve_HWC_q7_RGB": ((3,), range(1, 6)),
    "arm_convolve_HWC_q7_fast": ((4, 8, 20), (2, 4, 6)),
    "arm_convolve_HWC_q7_fast_nonsquare": ((4, 8, 20), (2, 4, 6)),
    "arm_convolve_1x1_HWC_q7_fast_nonsquare": ((4, 8, 20), (2, 4, 6)),
    "arm_depthwise_separable_conv_HWC_q7": (range(1, 20), None),
    "arm_depthwise_separable_conv_HWC_q7_nonsquare": (range(1, 20), None),
}


@functools.cache
def convolutions():
    rng = np.random.default_rng(2018)
    cases = []
    for name, (ins, outs) in CONVOLUTIONS.items():
        for _ in range(30):
            cin = int(rng.choice(ins))
            cout = cin if outs is None else int(rng.choice(outs))
            shape = draw_shape(rng, name)
            kernel, output = shape.pop("kernel"), shape.pop("output")
            w_shape = (*kernel, cin) if outs is None else (cout, *kernel, cin)
            cases.append(
                {
                    "function": name,
                    "x": int8s(rng, *shape.pop("size"), cin),
                    "weight": int8s(rng, *w_shape),
                    "bias": int8s(rng, cout),
                    "output_shape": (*output, cout),
                    **shape,
                    "bias_shift": int(rng.choice((0, 23, *rng.integers(0, 16, 2)))),
                    "out_shift": int(rng.choice((0, 1, 30, *rng.integers(2, 16, 5)))),
                }
            )
    return cases


def draw_shape(rng, name):
    """Pairs that the function takes; windows start and end anywhere if it lets them."""
    bounds = {
        "size": (1, 12),
        "kernel": (1, 2) if "1x1" in name else (1, 6),
        "stride": (1, 2) if "1x1" in name else (1, 4),
        "padding": (0, 1) if "1x1" in name else (0, 4),
        "output": (1, 7),
    }
    while True:
        shape = {
            key: tuple(rng.integers(*limits, 2).tolist())
            for key, limits in bounds.items()
        }
        if "nonsquare" not in name:
            shape = {key: (pair[0], pair[0]) for key, pair in shape.items()}
        if "fast" not in name or all(map(fits_fast, *shape.values())):
            return shape


def fits_fast(size, kernel, stride, padding, output):
    """Windows that the library takes to be inside are, on one axis."""
    inside = range(padding, output - padding)
    starts = [i * stride - padding for i in inside]
    return padding <= output and all(0 <= s <= size - kernel for s in starts)


def convolve(
    function,
    x,
    weight,
    bias,
    *,
    output_shape,
    stride,
    padding,
    bias_shift,
    out_shift,
    rounding,
):
    x, weight = x.astype(np.int64), weight.astype(np.int64)
    kernel = weight.shape[-3:-1]
    y = np.zeros(output_shape, np.int8)
    for i, j, o in np.ndindex(output_shape):
        rows, columns = (
            window(at, stride[d], padding[d], 1, kernel[d], x.shape[d])
            for d, at in enumerate((i, j))
        )
        acc = int(bias[o]) << bias_shift
        for (ky, yy), (kx, xx) in itertools.product(rows, columns):
            if "depthwise" in function:
                acc += int(x[yy, xx, o] * weight[ky, kx, o])
            else:
                acc += int(np.sum(x[yy, xx] * weight[o, ky, kx]))
        y[i, j, o] = output_stage(acc, out_shift, rounding)
    return y


@functools.cache
def convolution_answers(rounding):
    return [convolve(**case, rounding=rounding) for case in convolutions()]


@every_build_and_rounding
def test_convolve(build):
    calls = [driver.convolve_q7(**case) for case in convolutions()]
    expect(build, calls, convolution_answers(build.rounding))


def interleaved(weight):
    """The order of arm_fully_connected_q7_opt, spelled out."""
    rows, columns = weight.shape
    order = iter("00100212203022320111031321312333")
    places = [(int(r), int(c)) for r, c in zip(order, order, strict=True)]
    stored = []
    for top in range(0, rows - rows % 4, 4):
        for left in range(0, columns - columns % 4, 4):
            stored += [weight[top + r, left + c] for r, c in places]
        for column in range(columns - columns % 4, columns):
            stored += list(weight[top : top + 4, column])
    stored += list(weight[rows - rows % 4 :].ravel())
    return np.array(stored, np.int8).reshape(rows, columns)


@every_build_and_rounding
def test_fully_connected(build):
    rng = np.random.default_rng(1024)
    calls, answers = [], []
    for _ in range(80):
        columns, rows = (int(v) for v in rng.integers(1, (100, 15)))
        x, weight = int8s(rng, columns), int8s(rng, rows, columns)
        bias = int8s(rng, rows)
        bias_shift, out_shift = (int(v) for v in rng.integers(0, (24, 31)))
        shifts = {"bias_shift": bias_shift, "out_shift": out_shift}
        acc = weight.astype(int) @ x + (bias.astype(int) << bias_shift)
        answer = [output_stage(int(a), out_shift, build.rounding) for a in acc]
        for name, stored in (("", weight), ("_opt", interleaved(weight))):
            function = f"arm_fully_connected_q7{name}"
            calls.append(driver.fully_connected_q7(function, x, stored, bias, **shifts))
            answers.append(answer)
    expect(build, calls, answers)


@every_build_and_rounding
@pytest.mark.parametrize(("x", "bias"), ((-128, 127), (127, -128)))
def test_longest_sum_fits_int32(build, x, bias):
    columns, rows = 65_535, 5  # rows: one interleaved group and one left over
    acc = columns * x * -128 + (bias << 23)
    assert 0.99 * 2**31 < abs(acc) < 2**31
    weight, shifts = np.full((rows, columns), -128, np.int8), (24, 25, 30)
    xs, biases = np.full(columns, x, np.int8), np.full(rows, bias, np.int8)
    calls = [
        driver.fully_connected_q7(
            name, xs, weight, biases, bias_shift=23, out_shift=out_shift
        )
        for name in ("arm_fully_connected_q7", "arm_fully_connected_q7_opt")
        for out_shift in shifts
    ]
    answers = [[output_stage(acc, s, build.rounding)] * rows for s in shifts]
    expect(build, calls, answers * 2)


# ----------------------------------------------------------------------------- pooling


@functools.cache
def pools():
    """Square pools with and without windows that the DSP path gets wrong."""
    rng = np.random.default_rng(2)
    cases = []
    while len(cases) < 100:
        size, kernel, stride = (int(v) for v in rng.integers(1, (12, 6, 5)))
        padding, channels = (int(v) for v in rng.integers((0, 1), (kernel, 20)))
        # Up to as many windows as meet the input: more padding after it than before.
        output = int(rng.integers(1, -(-(size + padding) // stride) + 1))
        cases.append(
            {
                "x": int8s(rng, size, size, channels),
                "kernel": kernel,
                "output": output,
                "stride": stride,
                "padding": padding,
            }
        )
    return cases


def mean(values):
    return truncated(sum(values), len(values))


def pool_axis(x, reduce, *, kernel, output, stride, padding):
    """Along axis 0."""
    y = np.zeros((output, *x.shape[1:]), np.int8)
    for i, *rest in np.ndindex(y.shape):
        taps = window(i, stride, padding, 1, kernel, len(x))
        y[(i, *rest)] = reduce([int(x[(tap, *rest)]) for _, tap in taps])
    return y


def pool(x, reduce, *, kernel, output, stride, padding):
    """On the plain C path: over both axes at once."""
    y = np.zeros((output, output, x.shape[2]), np.int8)
    for i, j, c in np.ndindex(y.shape):
        rows, columns = (
            window(at, stride, padding, 1, kernel, len(x)) for at in (i, j)
        )
        y[i, j, c] = reduce([int(x[r, s, c]) for _, r in rows for _, s in columns])
    return y


def pool_dsp(x, reduce, **geometry):
    """On the DSP path: the answer, and what becomes of the input."""
    along_x = pool_axis(x.swapaxes(0, 1), reduce, **geometry).swapaxes(0, 1)
    after = x.copy()
    after[:, : along_x.shape[1]] = along_x
    return pool_axis(along_x, reduce, **geometry), after


POOLS = (("arm_maxpool_q7_HWC", max), ("arm_avepool_q7_HWC", mean))


@pytest.mark.parametrize(("function", "reduce"), POOLS)
def test_pool(function, reduce):
    answers = [pool(reduce=reduce, **case) for case in pools()]
    calls = [driver.pool_q7(function, **case) for case in pools()]
    for build in of_core("c"):
        expect(build, calls, answers)


@pytest.mark.parametrize(("function", "reduce"), POOLS)
def test_pool_on_dsp_cores_destroys_its_input(function, reduce):
    cases = [case for case in pools() if case["padding"] < case["stride"]]
    answers, inputs = zip(
        *(pool_dsp(reduce=reduce, **case) for case in cases), strict=True
    )
    calls = [driver.pool_q7(function, **case) for case in cases]
    pairs = zip(inputs, cases, strict=True)
    assert any(np.any(after != case["x"]) for after, case in pairs)
    for build in of_core("dsp"):
        expect(build, calls, answers, inputs)


@pytest.mark.parametrize(("function", "reduce"), POOLS)
def test_pool_on_dsp_cores_refuses_padding_from_stride_on(function, reduce):
    cases = [case for case in pools() if case["padding"] >= case["stride"]]
    assert len(cases) > 10
    calls = [driver.pool_q7(function, **case) for case in cases]
    for build in of_core("dsp"):
        for call, result in zip(calls, build_runner(build).run(calls), strict=True):
            assert np.all(result.output == UNTOUCHED)
            np.testing.assert_array_equal(result.x, call.arrays[0])


def of_core(core):
    return [build for build in Q7_BUILDS if build.core == core]


def test_averages_of_the_core_classes_differ():
    x = np.array([[3, 0], [3, 2]], np.int8)[..., np.newaxis]
    call = driver.pool_q7(
        "arm_avepool_q7_HWC", x, kernel=2, output=1, stride=2, padding=0
    )
    for core, answer in (("c", 2), ("dsp", 1)):  # 8 / 4; (3 / 2 + 5 / 2) / 2
        for build in of_core(core):
            (result,) = build_runner(build).run([call])
            assert result.output.item() == answer


# ---------------------------------------------------------------------------- the rest


def softmax(x):
    values = x.tolist()
    base = max(values) - 8
    one = 2**20 // sum(2 ** clamp(v - base, 0, 7) for v in values)
    return [min(one >> min(13 + base - v, 31), 127) for v in values]


@every_build
def test_softmax(build):
    rng = np.random.default_rng(10)
    xs = [
        rng.integers(high - spread, high + 1, size).astype(np.int8)
        for size in (1, 2, 3, 10, 100, 32_767)
        for high, spread in ((127, 255), (127, 3), (0, 12), (-128, 0), (-120, 8))
    ]
    xs.append(np.full(32_767, 127, np.int8))  # the largest sum
    expect(build, [driver.softmax_q7(x) for x in xs], [softmax(x) for x in xs])
    rows = [x for x in xs if x.size == 10]
    batches = [np.stack(rows), *(x[None] for x in rows)]
    answers = [np.stack([softmax(row) for row in x]) for x in batches]
    expect(build, [driver.softmax_with_batch_q7(x) for x in batches], answers)


@every_build
def test_relu_goes_with_this_api_too(build):
    every = np.arange(-128, 128).astype(np.int8)
    expect(build, [driver.relu_q7(every)], [np.maximum(every, 0)])
