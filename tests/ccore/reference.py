"""What the tests of both APIs share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .driver import Build, Call, build_runner


def clamp(value, low, high):
    return max(low, min(value, high))


def window(out, stride, padding, dilation, kernel, extent):
    """(kernel index, input index) of the taps that lie on the input."""
    taps = ((k, out * stride - padding + k * dilation) for k in range(kernel))
    return [(k, i) for k, i in taps if 0 <= i < extent]


def int8s(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def expect(build: Build, calls, answers, inputs=None):
    """Each call succeeds, its output equals its answer, its input is as it should be.

    `inputs` are what the first arrays hold afterwards, if they change.
    """
    inputs = inputs or [call.arrays[0] for call in calls]
    results = build_runner(build).run(calls)
    for call, result, *wanted in zip(calls, results, answers, inputs, strict=True):
        about = f"{call.function}{call.ints}"
        assert result.status == 0, about
        for found, array in zip((result.output, result.x), wanted, strict=True):
            np.testing.assert_array_equal(found, array, err_msg=about)


def with_argument(
    names: dict[str, list[str]], call: Call, name: str, value: int
) -> Call:
    """`call` with one integer changed; `names` are its integers', by function."""
    ints = list(call.ints)
    ints[names[call.function].index(name)] = value
    return replace(call, ints=tuple(ints))
