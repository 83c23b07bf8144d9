"""Runs the C kernels of ccore from Python: builds `runner.c` and makes it calls.

A kernel's name without its prefix is a function here that returns a `Call`;
`Runner.run` takes any number of them through one process::

    runner = build_runner(Build("gcc"))
    (result,) = runner.run([relu_q7(x)])

Pairs such as `stride` are (h, w); tensors are NHWC, weights (Cout, KH, KW, Cin).
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CCORE = Path(__file__).resolve().parents[2] / "ccore"
SOURCES = tuple(sorted((CCORE / "Source").glob("*.c")))
HEADERS = tuple(sorted((CCORE / "Include").glob("*.h")))
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
STRICT = ("-std=c99", *WARNINGS, "-Wconversion", "-Wcast-qual")
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

#: What the runner puts into an output before the call.
UNTOUCHED = 0x55

Pair = tuple[int, int]


@dataclass(frozen=True)
class Build:
    """How ccore is compiled."""

    compiler: str
    sanitized: bool = False
    single_rounding: bool = False

    def __str__(self) -> str:
        parts = [self.compiler, "sanitized" if self.sanitized else "plain"]
        return "-".join(parts + ["single"] * self.single_rounding)

    @property
    def flags(self) -> list[str]:
        return [
            *STRICT,
            *(["-O1", *SANITIZE] if self.sanitized else ["-O2"]),
            *["-DCMSIS_NN_USE_SINGLE_ROUNDING"] * self.single_rounding,
            f"-I{CCORE / 'Include'}",
        ]


BUILDS = tuple(Build(c, sanitized=s) for c in ("gcc", "clang") for s in (False, True))
SINGLE_ROUNDING = Build("gcc", sanitized=True, single_rounding=True)


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
    """What the function returned, and the int8 output."""

    status: int
    output: np.ndarray


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
        results, at = [], 0
        for call in calls:
            status = int(np.frombuffer(done.stdout, np.int32, 1, at)[0])
            y = np.frombuffer(done.stdout, np.int8, call.output_size, at + 4)
            results.append(Result(status, y.reshape(call.output_shape)))
            at += 4 + call.output_size
        if at != len(done.stdout):
            raise RunnerError(f"{len(done.stdout)} bytes answered, {at} expected")
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
    executable = _build_folder() / str(build)
    source = Path(__file__).with_name("runner.c")
    compile_c(build.compiler, [*build.flags, source, *SOURCES, "-o", executable])
    return Runner(executable)


@functools.cache
def _build_folder() -> Path:
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
    act_min: int = -128,
    act_max: int = 127,
) -> tuple[int, ...]:
    return (
        *x_shape,
        *w_shape,
        *y_shape,
        input_offset,
        output_offset,
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


def _sized(function: str, core: str) -> str:
    return f"{function}_get_buffer_size" + ("" if core == "c" else f"_{core}")
