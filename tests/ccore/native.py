"""Runs the calls of a layer on this computer as they were lowered, without printing C.

ccore is compiled as a shared library, once for each library, rounding and core class
that differ, and its functions are called with the very arguments that `cwriter` prints.
Input, output and scratch memory lie between bytes that must stay as they are.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ccore.driver import INCLUDES, SOURCES, build_folder, compile_c
from kanji_np.deploy.kernels import defines
from kanji_np.types import (
    ConstPtr,
    InputPtr,
    KernelCall,
    NullPtr,
    OutputPtr,
    ScratchBytes,
    ScratchPtr,
    Shape,
    Struct,
    TargetSpec,
)

APIS = {"cmsis-nn": "s8", "cmsis-nn-q7": "q7"}
GUARD = 64  # bytes before and behind, which also keep what lies between aligned
GUARD_BYTE = 0x55


def run_layer(
    calls: Sequence[KernelCall],
    inputs: Sequence[np.ndarray],
    output: Shape,
    target: TargetSpec,
) -> np.ndarray:
    """The output of one sample, int8 of shape `output`.

    Parameters
    ----------
    calls : sequence of KernelCall
        Of one layer; none: the output is the input's bytes.
    inputs : sequence of int8 or uint8 arrays
        One sample of each.
    """
    x = [_Guarded.holding(each) for each in inputs]
    size = int(np.prod(output))
    y = _Guarded(size)
    if not calls or calls[0].in_place:
        y.inside[:] = x[0].inside
    library = _library(APIS[target.library], defines(target, "ccore"))
    for call in calls:
        _Arguments(call, x, y).run(library)
    if not any(call.destroys_input for call in calls):
        for each, before in zip(x, inputs, strict=True):
            assert each.inside.tobytes() == before.tobytes(), "an input was changed"
    return y.inside.view(np.int8).reshape(output)


@functools.cache
def _library(api: str, macros: tuple[str, ...]) -> ctypes.CDLL:
    path = build_folder() / "-".join([api, *macros, "shared.so"])
    flags = ["-std=c99", "-Werror", "-O1", "-shared", "-fPIC"]
    flags += [f"-D{macro}" for macro in macros]
    flags += [f"-I{folder}" for folder in INCLUDES[api]]
    compile_c("gcc", [*flags, *SOURCES[api], "-o", path])
    return ctypes.CDLL(str(path))


class _Guarded:
    """Memory of so many bytes between guards."""

    def __init__(self, size: int) -> None:
        self.all = np.full(size + 2 * GUARD, GUARD_BYTE, np.uint8)
        self.inside = self.all[GUARD : GUARD + size]

    @classmethod
    def holding(cls, values: np.ndarray) -> _Guarded:
        memory = cls(values.nbytes)
        memory.inside[:] = np.frombuffer(values.tobytes(), np.uint8)
        return memory

    @property
    def pointer(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.all.ctypes.data + GUARD)

    def check(self, what: str) -> None:
        guards = self.all[:GUARD], self.all[GUARD + len(self.inside) :]
        assert all((guard == GUARD_BYTE).all() for guard in guards), what


@dataclass
class _Arguments:
    """What one call is given, as ctypes has it."""

    call: KernelCall
    x: Sequence[_Guarded]
    y: _Guarded
    constants: dict[str, _Guarded] = field(init=False)
    scratch: _Guarded = field(init=False)

    def __post_init__(self) -> None:
        self.constants = {
            c.name: _Guarded.holding(c.values) for c in self.call.constants
        }
        self.scratch = _Guarded(self.call.scratch_bytes)

    def run(self, library: ctypes.CDLL) -> None:
        function = getattr(library, self.call.function)
        function.restype = ctypes.c_int32 if self.call.status else None
        arguments = [self.value(argument) for argument in self.call.arguments]
        by_address = [
            ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in arguments
        ]
        status = function(*by_address)
        assert not status, f"{self.call.function} returned {status}"
        memory = {"output": self.y, "scratch": self.scratch, **self.constants}
        memory |= {f"input {i}": each for i, each in enumerate(self.x)}
        for what, each in memory.items():
            each.check(f"{self.call.function} wrote beside its {what}")

    def value(self, argument: Any) -> Any:
        match argument:
            case InputPtr(_, index):
                return (self.y if self.call.in_place else self.x[index]).pointer
            case OutputPtr():
                return self.y.pointer
            case NullPtr():
                return ctypes.c_void_p(None)
            case ScratchPtr():
                has_some = self.call.scratch_bytes > 0
                return self.scratch.pointer if has_some else ctypes.c_void_p(None)
            case ScratchBytes():
                return ctypes.c_int32(self.call.scratch_bytes)
            case ConstPtr(name, _):
                return self.constants[name].pointer
            case Struct(ctype, _, fields):
                values = [(name, self.value(value)) for name, value in fields]
                kinds = [(name, type(value)) for name, value in values]
                kind = type(ctype, (ctypes.Structure,), {"_fields_": kinds})
                return kind(*(value for _, value in values))
            case _:
                return ctypes.c_int32(argument)
