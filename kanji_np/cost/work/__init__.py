"""How much work a kernel call is: which path of the kernel it takes, and how often each
loop of that path runs.

This follows from the integers of the call alone, so it is known as soon as a network is
lowered. `cost.instructions` multiplies the counts by instructions that were measured.

A provider is a file here and a row of `PROVIDERS`. Its table has a row for each
function: (integers of the call, core class) -> `Work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kanji_np.cost.work import ccore, cmsis_nn, cmsis_nn_q7, helium
from kanji_np.cost.work.loops import Integers, Work
from kanji_np.errors import UnsupportedOp
from kanji_np.types import KernelCall, NullPtr, Struct

Rows = Mapping[str, Callable[[Integers, str], Work]]

PROVIDERS: Mapping[str, Rows] = {
    "ccore": ccore.ROWS,
    "cmsis-nn-7.0.0": cmsis_nn.ROWS,
    "cmsis-nn-4.0.0": cmsis_nn.ROWS_OF_4,
    "cmsis-nn-q7-5.9.0": cmsis_nn_q7.ROWS,
}
#: Providers that have other kernels for cores with Helium.
WITH_HELIUM: Mapping[str, Rows] = {
    "cmsis-nn-7.0.0": helium.ROWS,
    "cmsis-nn-4.0.0": helium.ROWS_OF_4,
}


#: Pointers that may be NULL, and then another loop runs.
OPTIONAL: Mapping[str, tuple[int, ...]] = {
    "kanji_minimum_s8": (2, 4),
    "kanji_maximum_s8": (2, 4),
}


def work(call: KernelCall, provider: str, core_class: str) -> Work:
    """The work of a call.

    Parameters
    ----------
    call : KernelCall
    provider : str
        Key of `PROVIDERS`, see `provider.provider_of`.
    core_class : "c", "dsp" or "mve"
        Of the core, as the provider sees it.

    Returns
    -------
    Work

    Raises
    ------
    UnsupportedOp
        The provider has no row for the function.
    """
    return work_of(call.function, integers(call), provider, core_class)


def work_of(function: str, given: Integers, provider: str, core_class: str) -> Work:
    """The same from a function's name and the integers it is given."""
    rows = PROVIDERS.get(provider, {})
    if core_class == "mve":
        rows = WITH_HELIUM.get(provider, rows)
    row = rows.get(function)
    if row is None:
        raise UnsupportedOp(
            f"the instructions of {function} of {provider} are not known"
        )
    return row(given, core_class)


def integers(call: KernelCall) -> dict[str, int]:
    """The integers a call is given, by name.

    Those of structs are named like "conv_params.stride.w", others by their position
    among the arguments, from "0". A pointer of `OPTIONAL` counts as 1, or as 0 where it
    is NULL.
    """
    found: dict[str, int] = {}
    for position in OPTIONAL.get(call.function, ()):
        found[str(position)] = int(call.arguments[position] != NullPtr())
    for position, argument in enumerate(call.arguments):
        if isinstance(argument, Struct):
            found.update(_fields(argument.name, argument))
        elif isinstance(argument, int):
            found[str(position)] = argument
    return found


def _fields(name: str, struct: Struct) -> Iterator[tuple[str, int]]:
    for field, value in struct.fields:
        if isinstance(value, Struct):
            yield from _fields(f"{name}.{field}", value)
        elif isinstance(value, int):
            yield f"{name}.{field}", value
