"""What the network's own C takes: its calls, the structs it hands over, and its stack.

No compiler is asked. Structs in flash are exact. The instructions that make the calls
are a sum over what the calls consist of, with coefficients fitted to the compiled C of
many networks (`terms`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from kanji_np.deploy.cwriter import Program
from kanji_np.types import (
    Argument,
    ConstPtr,
    KernelCall,
    Pointer,
    Struct,
)

WORD = 4
#: Integers beyond it need a word of their own beside the code.
SHORT = 255


def words(argument: Argument) -> int:
    """The words that an argument's struct consists of; every field is one."""
    if not isinstance(argument, Struct):
        return 1
    return sum(words(value) for _, value in argument.fields)


def has_pointer(argument: Argument) -> bool:
    """Whether a struct holds a pointer: then it is built on the stack."""
    if isinstance(argument, Struct):
        return any(has_pointer(value) for _, value in argument.fields)
    return isinstance(argument, Pointer)


def calls_of(p: Program) -> Iterator[KernelCall]:
    """The calls of all layers, in order."""
    return (call for made in p.calls for call in made)


def copies_of(p: Program) -> list[int]:
    """The copies that run makes before layers that work in place [bytes each]."""
    return [
        p.graph.tensors[node.inputs[0]].size
        for i, node in enumerate(p.graph.nodes)
        if p.plan.copies[i] or i in p.plan.inputs
    ]


def struct_bytes(p: Program) -> int:
    """Flash of the structs that are constant [bytes]."""
    return WORD * sum(
        words(struct)
        for call in calls_of(p)
        for struct in (*_shared(call), *_local(call))
        if not has_pointer(struct)
    )


def stack_bytes(p: Program) -> int:
    """Stack of the largest structs, and of the most arguments beyond four [bytes].

    Layers follow each other, so the compiler gives their structs the same memory. What
    it takes besides, such as saved registers, is in the table.
    """
    structs = max(
        (
            sum(words(struct) for struct in _local(call) if has_pointer(struct))
            for call in calls_of(p)
        ),
        default=0,
    )
    arguments = max((_on_stack(call) for call in calls_of(p)), default=0)
    return WORD * (structs + arguments)


def terms(p: Program, inlined_copy_bytes: int) -> Mapping[str, int]:
    """How often each kind of thing is in the code of run and check.

    Parameters
    ----------
    inlined_copy_bytes : int
        Copies up to this are made without a call.
    """
    counts: Counter[str] = Counter({"network": 1})
    counts["arena"] = int(p.plan.arena_bytes > 0)
    for made in p.calls:
        counts["layer"] += bool(made)
        counts["calls after the first"] += max(0, len(made) - 1)
        for call in made:
            counts.update(_call_terms(call))
    for size in copies_of(p):
        inlined = size <= inlined_copy_bytes
        counts["inlined copy" if inlined else "copy"] += 1
        counts["inlined words"] += inlined * -(-size // WORD)
    return counts


def _call_terms(call: KernelCall) -> Counter[str]:
    """Of one call: what any has, and its function for what is peculiar to that."""
    counts: Counter[str] = Counter({"argument on stack": _on_stack(call)})
    counts[call.function] += 1
    if call.buffer_size:
        counts["asks size"] += 1
        counts[call.buffer_size.function] += 1
    for argument in call.arguments:
        counts["table or struct"] += isinstance(argument, (Struct, ConstPtr))
        if isinstance(argument, Struct) and has_pointer(argument):
            counts["struct on stack"] += 1
            counts["word of it"] += words(argument)
    for value in _loaded(call):
        counts["long integer"] += not -SHORT <= value <= SHORT
    return counts


def _on_stack(call: KernelCall) -> int:
    return max(0, len(call.arguments) - 4)


def _shared(call: KernelCall) -> list[Struct]:
    """The structs that both the call and the question for its size use."""
    arguments = call.buffer_size.arguments if call.buffer_size else ()
    return [each for each in arguments if isinstance(each, Struct)]


def _local(call: KernelCall) -> list[Struct]:
    shared = _shared(call)
    structs = (each for each in call.arguments if isinstance(each, Struct))
    return [each for each in structs if each not in shared]


def _loaded(call: KernelCall) -> Iterator[int]:
    """The integers that code loads; those of constant structs lie in flash already."""

    def inside(argument: Argument) -> Iterator[int]:
        if isinstance(argument, Struct):
            for _, value in argument.fields:
                yield from inside(value)
        elif isinstance(argument, int):
            yield argument

    for argument in call.arguments:
        if not isinstance(argument, Struct) or has_pointer(argument):
            yield from inside(argument)
