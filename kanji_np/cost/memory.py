"""The memory that a network's firmware takes, known without compiling it.

- Flash: the tables and constant structs of the network exactly; the code of its kernels
  by function, as the compiler makes it and the linker keeps it, and what that needs of
  the C library; and the code that calls the kernels, as an estimate (`cost.generated`).
- RAM: the arena as planned, variables, and the stack that the deepest call takes.

`tables/code/<provider>-<core>.json` holds sizes and stack of functions, and says which
compiler with which options made them. The script that the tables name writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kanji_np.cost import generated
from kanji_np.cost.picked import picked
from kanji_np.cost.provider import core_class_of, core_like, provider_of
from kanji_np.deploy.cwriter import Program
from kanji_np.errors import UnsupportedOp
from kanji_np.targets import LIBRARIES
from kanji_np.types import TargetSpec

TABLES = Path(__file__).parent / "tables" / "code"
FORMAT = 1
ALIGNMENT = 4
#: Of the C library, and called by the network's own C.
COPY = "memcpy"
TOOLCHAIN, GENERATED = "toolchain", "generated"
#: Ends the names of tables of kernels that are built for the other rounding.
OTHER_ROUNDING = "-other-rounding"


@dataclass(frozen=True)
class Memory:
    """What a network takes of a device's memory [bytes].

    Parameters
    ----------
    const_bytes : int
        Flash of weights and other tables.
    code_bytes : int
        Flash of the network's code, its structs, its kernels, and what they need of the
        C library.
    flash_bytes : int
        Both, as the linker reports them.
    arena_bytes : int
        RAM for activations and scratch memory.
    lower_bound_bytes : int
        No arena could do with less.
    static_bytes : int
        RAM of variables of network and kernels.
    stack_bytes : int
        RAM that an inference takes of its caller's stack, at most.
    input_bytes, output_bytes : int
        RAM of the caller's buffers.
    compiler : str
        Whose code the flash and the stack are of.
    """

    const_bytes: int
    code_bytes: int
    flash_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    static_bytes: int
    stack_bytes: int
    input_bytes: int
    output_bytes: int
    compiler: str = ""

    @property
    def ram_bytes(self) -> int:
        """All RAM [bytes]."""
        return (
            self.arena_bytes
            + self.static_bytes
            + self.stack_bytes
            + self.input_bytes
            + self.output_bytes
        )


@dataclass(frozen=True)
class Function:
    """A function, or a table that functions share.

    Parameters
    ----------
    flash, static : int
        Its own bytes in flash, and of variables [bytes].
    needs : tuple of str
        What it cannot be linked without.
    stack : int
        The deepest stack that it and what it calls take [bytes].
    picks : mapping of str to int
        Of a wrapper: the same where it calls this kernel [bytes].
    """

    flash: int
    static: int = 0
    needs: tuple[str, ...] = ()
    stack: int = 0
    picks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Code:
    """The functions of a provider on a core."""

    compiler: str
    functions: Mapping[str, Function]


@dataclass(frozen=True)
class Fit:
    """The code of networks on a core, as a sum of terms.

    Parameters
    ----------
    terms : mapping of str to float
        Bytes of each, see `generated.terms`.
    stack_bytes : int
        What run takes besides structs and arguments, at most [bytes].
    inlined_copy_bytes : int
        Copies up to this are made without a call [bytes].
    """

    terms: Mapping[str, float]
    stack_bytes: int
    inlined_copy_bytes: int


@dataclass
class _Kept:
    """What the linker keeps."""

    names: set[tuple[str, str]] = field(default_factory=set)
    flash: int = 0
    static: int = 0


def memory(program: Program, library: str, core: str) -> Memory:
    """The memory of a network on a core, without compiling anything.

    Parameters
    ----------
    program : Program
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.
    core : str
        "cortex-m4" and so on; cores that were not measured count as one that was, see
        `provider.LIKE`.

    Returns
    -------
    Memory
        Flash is within 1 % of what the linker of the named compiler reports, constants,
        variables and arena are exact, and the stack is an upper bound.

    Raises
    ------
    UnsupportedOp
        The size of a function's code is not known.
    OptionError
        There is no such library, or the core is not known.
    """
    like, target = core_like(core), program.graph.target
    fit, kept, deepest = _fit(like), _Kept(), 0
    for call in generated.calls_of(program):
        provider = provider_of(call, target, library)
        functions = _code(provider + _suffix(target), like).functions
        _keep(kept, call.function, provider + _suffix(target), like)
        kernel = picked(call, provider, core_class_of(like, target))
        deepest = max(deepest, _stack(functions[call.function], kernel))
        if call.buffer_size:
            _keep(kept, call.buffer_size.function, provider + _suffix(target), like)
            deepest = max(deepest, functions[call.buffer_size.function].stack)
    copies = generated.copies_of(program)
    if any(size > fit.inlined_copy_bytes for size in copies):
        _keep(kept, COPY, TOOLCHAIN, like)
        deepest = max(deepest, _code(TOOLCHAIN, like).functions[COPY].stack)
    counts = generated.terms(program, fit.inlined_copy_bytes)
    own = sum(fit.terms.get(term, 0.0) * count for term, count in counts.items())
    tables = sum(_aligned(c.values.nbytes) for _, c in program.constants())
    structs = generated.struct_bytes(program)
    flash = tables + structs + _aligned(round(own)) + kept.flash
    stack = generated.stack_bytes(program) + fit.stack_bytes + deepest
    return Memory(
        const_bytes=program.const_bytes,
        code_bytes=flash - program.const_bytes,
        flash_bytes=flash,
        arena_bytes=program.plan.arena_bytes,
        lower_bound_bytes=program.plan.lower_bound_bytes,
        static_bytes=kept.static,
        stack_bytes=stack,
        input_bytes=program.graph.input.size,
        output_bytes=program.graph.output.size,
        compiler=_code(TOOLCHAIN, like).compiler,
    )


def _stack(function: Function, kernel: str | None) -> int:
    """The deepest stack of a call; `kernel` is what a wrapper picks [bytes]."""
    if kernel is None:
        return function.stack
    return function.picks.get(kernel, function.stack)


def _suffix(target: TargetSpec) -> str:
    default = LIBRARIES[target.library].roundings[0]
    return "" if target.rounding == default else OTHER_ROUNDING


def _keep(kept: _Kept, function: str, provider: str, core: str) -> None:
    """Add a function and all that it needs, each once."""
    if function not in _code(provider, core).functions:
        raise UnsupportedOp(f"{function} of {provider}: its code was not measured")
    left = [(provider, function)]
    while left:
        whose, name = left.pop()
        if name not in _code(whose, core).functions:
            whose = TOOLCHAIN
        if (whose, name) in kept.names:
            continue
        kept.names.add((whose, name))
        found = _code(whose, core).functions[name]
        kept.flash += found.flash
        kept.static += found.static
        left += [(whose, need) for need in found.needs]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@cache
def _code(provider: str, core: str) -> Code:
    values = _read(provider, core)
    return Code(
        values["compiler"],
        {
            name: Function(**{**row, "needs": tuple(row.get("needs", ()))})
            for name, row in values["functions"].items()
        },
    )


@cache
def _fit(core: str) -> Fit:
    values = _read(GENERATED, core)
    return Fit(
        values["terms"],
        values["stack"]["besides"],
        values["copies"]["inlined"],
    )


def _read(provider: str, core: str) -> Any:
    path = TABLES / f"{provider}-{core}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnsupportedOp(f"code of {provider} on {core} was not measured") from None
