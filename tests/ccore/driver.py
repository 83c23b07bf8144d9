"""Runs the C kernels of ccore from Python: builds `runner.c` and makes it calls.

A kernel's name without its prefix is a function here that returns a `Call`;
`Runner.run` takes any number of them through one process::

    runner = build_runner(Build("gcc"))
    (result,) = runner.run([relu_q7(x)])

A build has the functions of one API, "s8" (CMSIS-NN v7) or "q7" (the legacy one of
CMSIS 5), and those that go with both.

`int4` makes of a call the one of the function for int4 weights.

Pairs such as `stride` are (h, w); tensors are NHWC, weights (Cout, KH, KW, Cin), those
of depthwise convolutions (KH, KW, Cout). Tensors of the legacy API have no N.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kanji_np.targets.cmsis_nn.calls import pack_s4

CCORE = Path(__file__).resolve().parents[2] / "ccore"
#: Where an API's headers are, in the order of the compiler's search.
INCLUDES = {
    "s8": (CCORE / "Include",),
    "q7": (CCORE / "legacy" / "Include", CCORE / "Include"),
}
_SOURCES = tuple(sorted((CCORE / "Source").glob("*.c")))
#: What is compiled into a program, by API.
SOURCES = {
    "s8": _SOURCES,
    "q7": (
        *sorted((CCORE / "legacy" / "Source").glob("*.c")),
        *(p for p in _SOURCES if p.stem.startswith("kanji_")),
        CCORE / "Source" / "arm_relu_q7.c",
    ),
}
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
STRICT = ("-std=c99", *WARNINGS, "-Wconversion", "-Wcast-qual")
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

#: What the runner puts into an output before the call.
UNTOUCHED = 0x55

Pair = tuple[int, int]


@dataclass(frozen=True)
class Build:
    """How ccore is compiled.

    Parameters
    ----------
    compiler : str
        "gcc" or "clang".
    sanitized : bool
        With ASan and UBSan.
    api : str
        "s8" or "q7".
    core : str
        Core class whose arithmetic the legacy API has, "c" or "dsp"; the other API has
        one arithmetic.
    rounding : str
        "default", "single" (s8) or "truncate" (q7).
    """

    compiler: str
    sanitized: bool = False
    api: str = "s8"
    core: str = "c"
    rounding: str = "default"

    def __str__(self) -> str:
        core = [self.core] if self.api == "q7" else []
        rounding = [self.rounding] if self.rounding != "default" else []
        sanitized = "sanitized" if self.sanitized else "plain"
        return "-".join([self.api, *core, self.compiler, sanitized, *rounding])

    @property
    def flags(self) -> list[str]:
        return [
            *STRICT,
            *(["-O1", *SANITIZE] if self.sanitized else ["-O2"]),
            *ROUNDINGS[self.api][self.rounding],
            *CORES[self.api][self.core],
            *(f"-I{folder}" for folder in INCLUDES[self.api]),
        ]


#: Compiler flags, by API and rounding.
ROUNDINGS: dict[str, dict[str, list[str]]] = {
    "s8": {"default": [], "single": ["-DCMSIS_NN_USE_SINGLE_ROUNDING"]},
    "q7": {"default": [], "truncate": ["-DARM_NN_TRUNCATE"]},
}
#: Compiler flags, by API and core class; explicit, as a host may be an Arm with DSP.
CORES: dict[str, dict[str, list[str]]] = {
    "s8": {"c": []},
    "q7": {"c": ["-DKANJI_NN_PLAIN_C"], "dsp": ["-DARM_MATH_DSP"]},
}
BUILDS = tuple(Build(c, sanitized=s) for c in ("gcc", "clang") for s in (False, True))
SINGLE_ROUNDING = Build("gcc", sanitized=True, rounding="single")
Q7_BUILDS = tuple(replace(b, api="q7", core=c) for c in ("c", "dsp") for b in BUILDS)
Q7_TRUNCATE = Build("gcc", sanitized=True, api="q7", rounding="truncate")


@dataclass(frozen=True)
class Call:
    """One call of a C function, as `runner.c` reads it.

    Parameters
    ----------
    function : str
        Name of the C function.
    ints : tuple of int
        Integer arguments and struct fields, in the order `runner.c` takes them.
    arrays : tuple of ndarray
        Pointer arguments that are read.
    output_shape : tuple of int
        Shape of the int8 array that is written.
    null_mask : int
        Bit i replaces the i-th pointer argument by NULL.
    """

    function: str
    ints: tuple[int, ...]
    arrays: tuple[np.ndarray, ...] = ()
    output_shape: tuple[int, ...] = (0,)
    null_mask: int = 0

    @property
    def output_size(self) -> int:
        return int(np.prod(self.output_shape))

    def encode(self) -> bytes:
        """The call as `runner.c` reads it."""
        name = self.function.encode()
        blobs = [array.tobytes() for array in self.arrays]
        parts = [
            _int32(len(name)),
            name,
            _int32(self.null_mask, len(self.ints), *self.ints, len(blobs)),
            *(_int32(len(blob)) + blob for blob in blobs),
            _int32(self.output_size),
        ]
        return b"".join(parts)


@dataclass(frozen=True)
class Result:
    """What the function returned, the output, and the first array after the call."""

    status: int
    output: np.ndarray
    x: np.ndarray


class RunnerError(Exception):
    """The runner stopped: a sanitizer's report, or a call it cannot read."""


@dataclass(frozen=True)
class Runner:
    """A compiled `runner.c`."""

    executable: Path

    def run(self, calls: Iterable[Call]) -> list[Result]:
        """Answers of `calls`, in order, from one process."""
        calls = list(calls)
        done = subprocess.run(
            [self.executable],
            input=b"".join(call.encode() for call in calls),
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RunnerError(done.stderr.decode(errors="replace"))
        return decode(calls, done.stdout)


def decode(calls: Sequence[Call], answers: bytes) -> list[Result]:
    """What a runner answered to `calls`."""
    results, at = [], 0
    for call in calls:
        status = int(np.frombuffer(answers, np.int32, 1, at)[0])
        y = np.frombuffer(answers, np.int8, call.output_size, at + 4)
        at += 4 + call.output_size
        x = call.arrays[0] if call.arrays else np.zeros(0, np.int8)
        x_after = np.frombuffer(answers, x.dtype, x.size, at).reshape(x.shape)
        at += x.nbytes
        results.append(Result(status, y.reshape(call.output_shape), x_after))
    if at != len(answers):
        raise RunnerError(f"{len(answers)} bytes answered, {at} expected")
    return results


def compile_c(compiler: str, arguments: Sequence[str | Path]) -> None:
    """Runs a compiler; AssertionError with its messages if it fails or is missing."""
    if shutil.which(compiler) is None:
        raise AssertionError(f"{compiler} is not installed: these tests need it")
    done = subprocess.run(
        [compiler, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"{compiler} failed:\n{done.stderr}")


@functools.cache
def build_runner(build: Build) -> Runner:
    """The runner compiled as `build` says; compiled once in a process."""
    executable = build_folder() / str(build)
    here = Path(__file__).parent
    names = ("runner", f"runner_{build.api}", "runner_host")
    runner = [here / f"{name}.c" for name in names]
    sources = SOURCES[build.api]
    compile_c(build.compiler, [*build.flags, *runner, *sources, "-o", executable])
    return Runner(executable)


@functools.cache
def build_folder() -> Path:
    """Where programs are compiled to; it goes when Python ends."""
    folder = tempfile.mkdtemp(prefix="kanji-ccore-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _int32(*numbers: int) -> bytes:
    return np.array(numbers, np.int32).tobytes()


def _pair(pair: Pair) -> Pair:
    """(h, w) as the C structs have it: w first."""
    return pair[1], pair[0]


def _conv_ints(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    input_offset: int = 0,
    output_offset: int = 0,
    ch_mult: int | None = None,
    act_min: int = -128,
    act_max: int = 127,
) -> tuple[int, ...]:
    return (
        *x_shape,
        *w_shape,
        *y_shape,
        input_offset,
        output_offset,
        *([] if ch_mult is None else [ch_mult]),
        *_pair(stride),
        *_pair(padding),
        *_pair(dilation),
        act_min,
        act_max,
    )


def convolve_wrapper_s8(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    output_shape: tuple[int, int, int, int],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    input_offset: int = 0,
    output_offset: int = 0,
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """x int8 (N,H,W,Cin), weight int8 (Cout,KH,KW,Cin), the others int32 (Cout,)."""
    no_bias = np.zeros(0, np.int32)
    return Call(
        "arm_convolve_wrapper_s8",
        _conv_ints(
            x.shape,
            weight.shape,
            output_shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            input_offset=input_offset,
            output_offset=output_offset,
            act_min=act_min,
            act_max=act_max,
        ),
        (x, weight, no_bias if bias is None else bias, multiplier, shift),
        output_shape,
        null_mask=1 << 10 if bias is None else 0,
    )


def convolve_wrapper_s8_get_buffer_size(
    x_shape: tuple[int, int, int, int],
    w_shape: tuple[int, int, int, int],
    y_shape: tuple[int, int, int, int],
    *,
    core: str,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Call:
    """`core` is "c", "dsp" or "mve"; the size comes back as the status."""
    ints = _conv_ints(
        x_shape, w_shape, y_shape, stride=stride, padding=padding, dilation=dilation
    )
    return Call(_sized("arm_convolve_wrapper_s8", core), ints)


def depthwise_conv_wrapper_s8(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    output_shape: tuple[int, int, int, int],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    input_offset: int = 0,
    output_offset: int = 0,
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """x int8 (N,H,W,Cin), weight int8 (KH,KW,Cout), the others int32 (Cout,)."""
    no_bias = np.zeros(0, np.int32)
    return Call(
        "arm_depthwise_conv_wrapper_s8",
        _conv_ints(
            x.shape,
            (1, *weight.shape),
            output_shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            input_offset=input_offset,
            output_offset=output_offset,
            ch_mult=output_shape[3] // x.shape[3],
            act_min=act_min,
            act_max=act_max,
        ),
        (x, weight, no_bias if bias is None else bias, multiplier, shift),
        output_shape,
        null_mask=1 << 10 if bias is None else 0,
    )


def depthwise_conv_wrapper_s8_get_buffer_size(
    x_shape: tuple[int, int, int, int],
    w_shape: tuple[int, int, int, int],
    y_shape: tuple[int, int, int, int],
    *,
    core: str,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Call:
    """`core` is "c", "dsp" or "mve"; the size comes back as the status."""
    ints = _conv_ints(
        x_shape,
        w_shape,
        y_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ch_mult=y_shape[3] // x_shape[3],
    )
    return Call(_sized("arm_depthwise_conv_wrapper_s8", core), ints)


def fully_connected_s8(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    multiplier: int,
    shift: int,
    *,
    input_offset: int = 0,
    filter_offset: int = 0,
    output_offset: int = 0,
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """x int8 (N, columns), weight int8 (rows, columns), bias int32 (rows,)."""
    (n, columns), (rows, w_columns) = x.shape, weight.shape
    dims = ((n, 1, 1, columns), (w_columns, 1, 1, rows), (n, 1, 1, rows))
    offsets = (input_offset, filter_offset, output_offset)
    return Call(
        "arm_fully_connected_s8",
        (*sum(dims, ()), *offsets, act_min, act_max, multiplier, shift),
        (x, weight, np.zeros(0, np.int32) if bias is None else bias),
        (n, rows),
        null_mask=1 << 8 if bias is None else 0,
    )


def fully_connected_per_channel_s8(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    input_offset: int = 0,
    filter_offset: int = 0,
    output_offset: int = 0,
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """`fully_connected_s8` with multiplier and shift int32 (rows,)."""
    call = fully_connected_s8(
        x,
        weight,
        bias,
        0,
        0,
        input_offset=input_offset,
        filter_offset=filter_offset,
        output_offset=output_offset,
        act_min=act_min,
        act_max=act_max,
    )
    return replace(
        call,
        function="arm_fully_connected_per_channel_s8",
        ints=call.ints[:-2],
        arrays=(*call.arrays, multiplier, shift),
    )


def int4(call: Call) -> Call:
    """The same call of the function for int4 weights, which are packed."""
    arrays = list(call.arrays)
    if arrays:  # a `_get_buffer_size` has none
        arrays[1] = pack_s4(arrays[1])
    function = call.function.replace("_s8", "_s4")
    return replace(call, function=function, arrays=tuple(arrays))


def named(call: Call, function: str) -> Call:
    """The same call of another function, one that takes the same arguments."""
    return replace(call, function=function)


def upscaled(call: Call, upscale: Pair) -> Call:
    """The call of `arm_convolve_s8` that `call` is, with upscale dims (h, w)."""
    return replace(call, function="convolve_s8_upscaled", ints=(*call.ints, *upscale))


def fully_connected_wrapper_s8(call: Call) -> Call:
    """The wrapper's call for one of `fully_connected_s8` or of its twin per channel."""
    *ints, multiplier, shift = call.ints
    if call.function == "arm_fully_connected_s8":
        scale = (np.array([v], np.int32) for v in (multiplier, shift))
        call = replace(call, ints=(*ints, 0), arrays=(*call.arrays, *scale))
    else:
        call = replace(call, ints=(*call.ints, 1))
    return replace(call, function="arm_fully_connected_wrapper_s8")


def vector_sum_s8(
    weight: np.ndarray,
    bias: np.ndarray | None,
    *,
    input_offset: int,
    filter_offset: int,
) -> Call:
    """weight int8 (rows, columns), bias int32 (rows,); the output holds int32."""
    rows, columns = weight.shape
    return Call(
        "arm_vector_sum_s8",
        (columns, rows, input_offset, filter_offset),
        (weight, np.zeros(0, np.int32) if bias is None else bias),
        (rows * np.dtype(np.int32).itemsize,),
        null_mask=1 << 2 if bias is None else 0,
    )


def fully_connected_s8_get_buffer_size(rows: int, columns: int, *, core: str) -> Call:
    """`core` is "c", "dsp" or "mve"; the size comes back as the status."""
    return Call(_sized("arm_fully_connected_s8", core), (columns, 1, 1, rows))


def _pool(
    function: str,
    x: np.ndarray,
    kernel: Pair,
    output_shape: tuple[int, int, int, int],
    stride: Pair,
    padding: Pair,
    act_min: int,
    act_max: int,
) -> Call:
    # filter n and c, and output n, are not read: CMSIS-NN documents them so.
    dims = (*x.shape, 0, *kernel, 0, 0, *output_shape[1:])
    ints = (*dims, *_pair(stride), *_pair(padding), act_min, act_max)
    return Call(function, ints, (x,), output_shape)


def max_pool_s8(
    x: np.ndarray,
    *,
    kernel: Pair,
    output_shape: tuple[int, int, int, int],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """x int8 (N,H,W,C)."""
    return _pool(
        "arm_max_pool_s8", x, kernel, output_shape, stride, padding, act_min, act_max
    )


def avgpool_s8(
    x: np.ndarray,
    *,
    kernel: Pair,
    output_shape: tuple[int, int, int, int],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """x int8 (N,H,W,C)."""
    return _pool(
        "arm_avgpool_s8", x, kernel, output_shape, stride, padding, act_min, act_max
    )


def avgpool_s8_get_buffer_size(output_w: int, channels: int, *, core: str) -> Call:
    """`core` is "c", "dsp" or "mve"; the size comes back as the status."""
    return Call(_sized("arm_avgpool_s8", core), (output_w, channels))


def softmax_s8(x: np.ndarray, mult: int, shift: int, diff_min: int) -> Call:
    """x int8 (rows, row size)."""
    return Call("arm_softmax_s8", (*x.shape, mult, shift, diff_min), (x,), x.shape)


def relu_q7(x: np.ndarray) -> Call:
    """x int8, any shape."""
    return Call("arm_relu_q7", (x.size,), (x,), x.shape)


def normalize_u8_s8(
    x: np.ndarray, mean: np.ndarray, shift: int, *, in_place: bool = False
) -> Call:
    """x uint8, any shape; mean uint8 (channels,)."""
    ints = (x.size, mean.size, shift, int(in_place))
    return Call("kanji_normalize_u8_s8", ints, (x, mean), x.shape)


def standardize_u8_s8(x: np.ndarray, frac_bits: int, *, in_place: bool = False) -> Call:
    """x uint8, any shape, one sample."""
    ints = (x.size, frac_bits, int(in_place))
    return Call("kanji_standardize_u8_s8", ints, (x,), x.shape)


def lookup_s8(x: np.ndarray, table: np.ndarray, *, in_place: bool = False) -> Call:
    """x int8, any shape; table int8 (256,)."""
    return Call("kanji_lookup_s8", (x.size, int(in_place)), (x, table), x.shape)


def lookup_u8_s8(x: np.ndarray, tables: np.ndarray, *, in_place: bool = False) -> Call:
    """x uint8, any shape; tables int8 (channels, 256)."""
    ints = (x.size, len(tables), int(in_place))
    return Call("kanji_lookup_u8_s8", ints, (x, tables), x.shape)


def requantize_s8(
    x: np.ndarray,
    *,
    input_offset: int,
    multiplier: int,
    shift: int,
    output_offset: int,
    channels: int,
    first: int,
) -> Call:
    """x int8 (rows, row size); the output has rows of `channels`."""
    stage = (input_offset, multiplier, shift, output_offset)
    ints = (*x.shape, *stage, channels, first)
    return Call("kanji_requantize_s8", ints, (x,), (len(x), channels))


def mean_s8(
    x: np.ndarray, *, input_offset: int, multiplier: int, shift: int, output_offset: int
) -> Call:
    """x int8 (outer, count, inner)."""
    ints = (*x.shape, input_offset, multiplier, shift, output_offset)
    return Call("kanji_mean_s8", ints, (x,), (x.shape[0], x.shape[2]))


def copy_s8(
    x: np.ndarray, first: int, extents: Sequence[int], steps: Sequence[int]
) -> Call:
    """x int8, any shape; four extents and steps."""
    ints = (x.size, first, *extents, *steps)
    return Call("kanji_copy_s8", ints, (x,), tuple(extents))


def resize_nearest_s8(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Call:
    """x int8 (H,W,C); rows and columns int16, one of each output."""
    y_shape = (len(rows), len(columns), x.shape[2])
    arrays = (x, rows, columns)
    return Call("kanji_resize_nearest_s8", (*x.shape, *y_shape[:2]), arrays, y_shape)


def transpose_conv_s8(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    output: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    input_offset: int = 0,
    output_offset: int = 0,
    act_min: int = -128,
    act_max: int = 127,
    roundings: int = 2,
) -> Call:
    """x int8 (H,W,Cin), weight int8 (Cout,KH,KW,Cin); `output` is (height, width)."""
    y_shape = (*output, len(weight))
    stage = (input_offset, output_offset, act_min, act_max, roundings)
    dims = (1, *x.shape, *weight.shape, 1, *y_shape)
    ints = (*stage, *stride, *padding, *dims)
    arrays = (x, weight, bias, multiplier, shift)
    return Call("kanji_transpose_conv_s8", ints, arrays, y_shape)


def elementwise_add_s8(
    x_1: np.ndarray,
    x_2: np.ndarray,
    input_1: tuple[int, int, int],
    input_2: tuple[int, int, int],
    output: tuple[int, int, int],
    *,
    left_shift: int = 20,
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """Two int8 arrays of one shape; offset, multiplier and shift of each and of y."""
    ints = (*input_1, *input_2, left_shift, *output, act_min, act_max, x_1.size)
    return Call("arm_elementwise_add_s8", ints, (x_1, x_2), x_1.shape)


def elementwise_mul_s8(
    x_1: np.ndarray,
    x_2: np.ndarray,
    *,
    input_offsets: Pair,
    output: tuple[int, int, int],
    act_min: int = -128,
    act_max: int = 127,
) -> Call:
    """Two int8 arrays of one shape; offset, multiplier and shift of y."""
    ints = (*input_offsets, *output, act_min, act_max, x_1.size)
    return Call("arm_elementwise_mul_s8", ints, (x_1, x_2), x_1.shape)


def add_s8(
    x_1: np.ndarray,
    x_2: np.ndarray,
    blocks: tuple[int, int, int],
    input_1: tuple[int, int, int, int],
    input_2: tuple[int, int, int, int],
    output: tuple[int, int, int],
    *,
    left_shift: int = 20,
    act_min: int = -128,
    act_max: int = 127,
    rounds_once: bool = False,
) -> Call:
    """Two int8 arrays, the second of (size,); sign, offset, multiplier and shift."""
    params = (*input_1, *input_2, left_shift, *output, act_min, act_max)
    ints = (*params, int(rounds_once), *blocks)
    return Call("kanji_add_s8", ints, (x_1, x_2), x_1.shape)


def mul_s8(
    x_1: np.ndarray,
    x_2: np.ndarray,
    blocks: tuple[int, int, int],
    *,
    input_offsets: Pair,
    output: tuple[int, int, int],
    act_min: int = -128,
    act_max: int = 127,
    rounds_once: bool = False,
) -> Call:
    """Two int8 arrays, the second of (size,); offset, multiplier and shift of y."""
    ints = (*input_offsets, *output, act_min, act_max, int(rounds_once), *blocks)
    return Call("kanji_mul_s8", ints, (x_1, x_2), x_1.shape)


def extremum_s8(
    function: str,
    x_1: np.ndarray,
    x_2: np.ndarray,
    blocks: tuple[int, int, int],
    tables: np.ndarray | None = None,
) -> Call:
    """`kanji_minimum_s8` or `kanji_maximum_s8`; tables int8 (2, 256), or none."""
    both = () if tables is None else tuple(tables)
    return Call(function, (*blocks, len(both)), (x_1, x_2, *both), x_1.shape)


def arm_extremum_s8(function: str, x_1: np.ndarray, x_2: np.ndarray) -> Call:
    """`arm_minimum_s8` or `arm_maximum_s8`: two int8 arrays (N,H,W,C)."""
    ints = (*x_1.shape, *x_2.shape, *x_1.shape)
    return Call(function, ints, (x_1, x_2), x_1.shape)


def concatenation_s8_x(x: np.ndarray, *, channels: int, first: int) -> Call:
    """x int8 (w, z, y, x); the output has rows of `channels`."""
    ints = (*reversed(x.shape), channels, first)
    return Call("arm_concatenation_s8_x", ints, (x,), (*x.shape[:3], channels))


def pad_s8(
    x: np.ndarray, before: Sequence[int], after: Sequence[int], value: int
) -> Call:
    """x int8 (N,H,W,C); paddings in the order of its axes."""
    y_shape = tuple(np.add(np.add(x.shape, before), after).tolist())
    return Call("arm_pad_s8", (*x.shape, *before, *after, value), (x,), y_shape)


# ------------------------------------------------------------------------ legacy API


def convolve_q7(
    function: str,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    output_shape: tuple[int, int, int],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    bias_shift: int = 0,
    out_shift: int = 0,
) -> Call:
    """Any convolution: x (H,W,Cin), weight (Cout,KH,KW,Cin), bias (Cout,), all int8.

    Weights of a depthwise one are (KH,KW,C). A square function wants equal pairs.
    """
    (h, w, cin), (out_h, out_w, cout) = x.shape, output_shape
    kernel = weight.shape[-3], weight.shape[-2]
    shifts = (bias_shift, out_shift)
    if function.endswith("nonsquare"):
        axes = (*_pair(kernel), *_pair(padding), *_pair(stride))
        ints = (w, h, cin, cout, *axes, *shifts, out_w, out_h)
        return Call(function, ints, (x, weight, bias), output_shape)
    for pair in ((h, w), kernel, stride, padding, (out_h, out_w)):
        assert pair[0] == pair[1], f"{function} is square"
    square = (w, cin, cout, kernel[0], padding[0], stride[0], *shifts, out_w)
    return Call(function, square, (x, weight, bias), output_shape)


def fully_connected_q7(
    function: str,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    bias_shift: int = 0,
    out_shift: int = 0,
) -> Call:
    """x int8 (columns,), weight int8 (rows, columns) as stored, bias int8 (rows,)."""
    rows, columns = weight.shape
    ints = (columns, rows, bias_shift, out_shift)
    return Call(function, ints, (x, weight, bias), (rows,))


def pool_q7(
    function: str, x: np.ndarray, *, kernel: int, output: int, stride: int, padding: int
) -> Call:
    """`arm_maxpool_q7_HWC` or `arm_avepool_q7_HWC`: x int8 (H,H,C)."""
    size, _, channels = x.shape
    ints = (size, channels, kernel, padding, stride, output)
    return Call(function, ints, (x,), (output, output, channels))


def softmax_q7(x: np.ndarray) -> Call:
    """x int8 (size,)."""
    return Call("arm_softmax_q7", (x.size,), (x,), x.shape)


def softmax_with_batch_q7(x: np.ndarray) -> Call:
    """x int8 (batches, size)."""
    return Call("arm_softmax_with_batch_q7", x.shape, (x,), x.shape)


def _sized(function: str, core: str) -> str:
    return f"{function}_get_buffer_size" + ("" if core == "c" else f"_{core}")
