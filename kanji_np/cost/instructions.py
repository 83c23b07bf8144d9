"""Instructions of a layer, from tables of what was counted on emulated cores.

`tables/instructions/<provider>-<core>.json` has for every kernel how many instructions
each part of it takes (`work`). The script that the table names measured many networks
and fitted them. Instructions are not cycles, see `cost.cycles`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kanji_np.cost.provider import core_class_of, core_like, provider_of
from kanji_np.cost.work import work
from kanji_np.cost.work.loops import Work
from kanji_np.errors import UnsupportedOp
from kanji_np.types import KernelCall, TargetSpec

TABLES = Path(__file__).parent / "tables" / "instructions"
FORMAT = 1


@dataclass(frozen=True)
class Kernel:
    """What was counted of a kernel.

    Parameters
    ----------
    terms : mapping of str to float
        Instructions of each part of it.
    fitted, held_out : int
        How many shapes the terms were fitted to, and how many they were tried on.
    median_error, worst_error : float
        On those held out, as a fraction of what was counted.
    """

    terms: Mapping[str, float]
    fitted: int
    held_out: int
    median_error: float
    worst_error: float


@dataclass(frozen=True)
class Table:
    """The kernels of a provider on a core; the other fields say where it is from."""

    provider: str
    core: str
    compiler: str
    emulator: str
    script: str
    kernels: Mapping[str, Kernel]


@dataclass(frozen=True)
class Count:
    """Instructions of one layer, as an estimate.

    Parameters
    ----------
    instructions : float
    error : float
        How far off it may be, as a fraction: the worst of the shapes held out of the
        fit.
    kernels : mapping of str to float
        The instructions by kernel; a layer may make several calls.
    """

    instructions: float
    error: float
    kernels: Mapping[str, float] = field(default_factory=dict)


def instructions(
    calls: Iterable[KernelCall], target: TargetSpec, library: str, core: str
) -> Count:
    """Instructions of the calls of one layer.

    Parameters
    ----------
    calls : iterable of KernelCall
        None: a layer that only gives its input another shape.
    target : TargetSpec
        What they were lowered for.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.
    core : str
        Such as "cortex-m4"; `provider.core_like` says which counts stand for it.

    Returns
    -------
    Count

    Raises
    ------
    OptionError
        The library or the core is not known.
    UnsupportedOp
        The instructions of a function were not counted.
    """
    like, core_class = core_like(core), core_class_of(core, target)
    total, error, kernels = 0.0, 0.0, dict[str, float]()
    for call in calls:
        provider = provider_of(call, target, library)
        done = work(call, provider, core_class)
        kernel = _kernel(provider, like, done, call.function)
        count = _predicted(kernel, done)
        total, error = total + count, error + count * kernel.worst_error
        kernels[done.kernel] = kernels.get(done.kernel, 0.0) + count
    return Count(total, error / total if total else 0.0, kernels)


def _predicted(kernel: Kernel, done: Work) -> float:
    return sum(kernel.terms[name] * count for name, count in done.counts.items())


def _kernel(provider: str, core: str, done: Work, function: str) -> Kernel:
    found = table(provider, core).kernels.get(done.kernel)
    if found is None:
        raise UnsupportedOp(
            f"the instructions of {function} of {provider} on {core} were not counted "
            f"({done.kernel})"
        )
    return found


@cache
def table(provider: str, core: str) -> Table:
    """What was counted of a provider on a core; UnsupportedOp if nothing was."""
    path = TABLES / f"{provider}-{core}.json"
    if not path.is_file():
        raise UnsupportedOp(
            f"the instructions of {provider} on {core} were not counted"
        )
    return table_from(path.read_text(encoding="utf-8"))


def table_from(text: str) -> Table:
    """A table from its JSON."""
    fields = json.loads(text)
    if fields.pop("format") != FORMAT:
        raise ValueError(f"not a table of format {FORMAT}")
    kernels = {name: Kernel(**k) for name, k in fields.pop("kernels").items()}
    return Table(**fields, kernels=kernels)


def table_text(table: Table) -> str:
    """The JSON of a table: the same bytes for the same table."""
    fields = {
        **vars(table),
        "format": FORMAT,
        "kernels": {name: vars(kernel) for name, kernel in table.kernels.items()},
    }
    return json.dumps(fields, indent=1, sort_keys=True) + "\n"
