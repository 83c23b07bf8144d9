"""Whether a network keeps to a budget, and what would help where it does not.

Flash and RAM are known; time and energy are estimates, whose likely value is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kanji_np.cost.advice import (
    Search,
    arena_peak,
    largest,
    suspects_of,
)
from kanji_np.cost.boards import Board
from kanji_np.cost.budget import QUANTITIES, Budget
from kanji_np.cost.estimate import Estimate, LayerEstimate, estimate
from kanji_np.cost.range import Range, significant
from kanji_np.cost.variants import Parts
from kanji_np.errors import BudgetError, OptionError
from kanji_np.graph import Graph
from kanji_np.model import Model

TITLES = {"flash": "flash", "ram": "RAM", "latency": "latency", "energy": "energy"}
BUDGET, MEMORIES = "the budget", ("flash", "ram")
UNITS = {"latency": "s", "energy": "J"}
TAKES = {"latency": "time", "energy": "energy"}
#: What must be known of a board for an estimate.
KNOWN = {"latency": "clock", "energy": "clock and active power"}


@dataclass(frozen=True)
class Overrun:
    """One limit that a network does not keep.

    Parameters
    ----------
    resource : "flash", "ram", "latency", "energy" or "bank"
        As budgets name it; "bank" is RAM in one piece, which the arena needs.
    used : Range
        Bytes, seconds or joules; of bytes the three are equal.
    limit : float
        What the likely value is more than.
    owner : str
        Whose limit it is: "the budget", or a board's title.
    """

    resource: str
    used: Range
    limit: float
    owner: str

    def __str__(self) -> str:
        used, limit = self.used, _amount(self.resource, self.limit)
        if self.resource in UNITS:
            factor = significant(used.likely / self.limit)
            return (
                f"{self.resource} {used.text(UNITS[self.resource])}, estimated; "
                f"{self.owner} allows {limit}: {factor} times as much"
            )
        more = f"{used.likely - self.limit:,.0f} too many"
        if self.resource == "bank":
            return (
                f"arena {used.likely:,.0f} bytes; {self.owner} has {limit} of RAM in "
                f"one piece: {more}"
            )
        return (
            f"{TITLES[self.resource]} {used.likely:,.0f} bytes; {self.owner} "
            f"{'allows' if self.owner == BUDGET else 'has'} {limit}: {more}"
        )


def overruns(made: Estimate, budget: Budget) -> tuple[Overrun, ...]:
    """The limits that an estimate does not keep, those of its board included.

    Parameters
    ----------
    made : Estimate
    budget : Budget

    Returns
    -------
    tuple of Overrun

    Raises
    ------
    OptionError
        Time or energy is limited, and the estimate has none.
    """
    return tuple(
        each for each in _limits(made, budget) if each.used.likely > each.limit
    )


def notes(made: Estimate, budget: Budget) -> tuple[str, ...]:
    """Of estimates that are likely within a limit, those that may be beyond it.

    Parameters
    ----------
    made : Estimate
    budget : Budget

    Returns
    -------
    tuple of str
        A line for each.
    """
    return tuple(
        f"{each.resource} is estimated as {each.used.text(UNITS[each.resource])}: "
        f"likely within the limit of {_amount(each.resource, each.limit)}, not surely"
        for each in _limits(made, budget)
        if each.used.likely <= each.limit < each.used.high
    )


def _limits(made: Estimate, budget: Budget) -> Iterator[Overrun]:
    """All that is limited, kept or not; of two limits the lower one."""
    board = made.board
    for resource, quantity in QUANTITIES.items():
        limits = [(getattr(budget, quantity.field), BUDGET)]
        if board is not None and resource in MEMORIES:
            limits.append((getattr(board, quantity.field), board.title))
        known = [(limit, owner) for limit, owner in limits if limit is not None]
        if known:
            limit, owner = min(known, key=lambda each: float(each[0]))
            yield Overrun(resource, _used(made, resource), limit, owner)
    if board is not None and board.largest_bank_bytes is not None:
        arena = Range.exact(made.memory.arena_bytes)
        yield Overrun("bank", arena, board.largest_bank_bytes, board.title)


def _used(made: Estimate, resource: str) -> Range:
    used = getattr(made, QUANTITIES[resource].field)
    if isinstance(used, int):
        return Range.exact(used)
    if used is not None:
        return used
    fact = KNOWN[resource]
    if made.board is None:
        raise OptionError(
            f"board must be named to limit {resource}: one whose {fact} is known",
            arguments=("board",),
        )
    raise OptionError(
        f"budget: {resource} cannot be limited on {made.board.title}, whose {fact} is "
        "not known",
        arguments=("budget",),
    )


def check(
    network: Model | Graph,
    budget: Budget | str,
    *,
    board: str | Path | Board | None = None,
    core: str | None = None,
    library: str = "ccore",
) -> Estimate:
    """Raise unless a network keeps to a budget; it need not be trained.

    Parameters
    ----------
    network : Model or Graph
        Not changed.
    budget : Budget or str
        Text as `Budget.parse` takes it.
    board : str, path or Board, optional
        As `board` takes it. Its flash, its RAM and, for the arena, its largest bank are
        limits, too. Time and energy can only be limited on a board.
    core : str, optional
        As `estimate` has it, instead of a board.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.

    Returns
    -------
    Estimate
        What the network will cost.

    Raises
    ------
    BudgetError
        A limit is not kept. The message names the layer to blame, says by how much the
        limit is missed, and what would help. Every remedy was tried: the changed
        network was costed. A Graph, whose layers are fixed, gets none.
    OptionError
        The budget, board, core or library is not known, or there is no estimate of what
        the budget limits.
    """
    limits = _budget(budget)
    made = estimate(network, board=board, core=core, library=library)
    found = overruns(made, limits)
    if not found:
        return made
    lines = [f"{made.network} does not fit {_whose(found, made)}:"]
    graph, parts = _taken_apart(network, made)
    for overrun in found:
        lines.append(str(overrun))
        text, suspects = _blame(graph, parts, made, overrun)
        if f"  {text}" not in lines:
            lines.append(f"  {text}")
        if parts is not None:
            lines += _advice(parts, suspects, made, limits, overrun)
    lines += [f"note: {note}" for note in notes(made, limits)]
    raise BudgetError("\n".join(lines))


def _budget(given: Budget | str) -> Budget:
    return given if isinstance(given, Budget) else Budget.parse(given)


def _whose(found: tuple[Overrun, ...], made: Estimate) -> str:
    """Whose limits these are, and where."""
    where = made.board.title if made.board else made.core
    owners = [*dict.fromkeys(overrun.owner for overrun in found)]
    text = " and ".join(owners)
    return text if where in owners else f"{text} on {where}"


def _taken_apart(network: Model | Graph, made: Estimate) -> tuple[Graph, Parts | None]:
    """The program that was costed, and the parts of a network that can be changed."""
    if isinstance(network, Graph):
        return network, None
    network = network.for_target(made.target, core=made.target.core)
    return network.outline(), Parts.of(network)


def _advice(
    parts: Parts,
    suspects: tuple[int, ...],
    made: Estimate,
    budget: Budget,
    overrun: Overrun,
) -> Iterator[str]:
    """What would help, a line each."""
    search = Search(
        parts, suspects, _measure(made, budget, overrun.resource),
        overrun.used.likely, overrun.limit,
    )  # fmt: skip
    for remedy in search.remedies():
        amount = _amount(overrun.resource, remedy.used)
        enough = "" if remedy.is_enough else ", still too much"
        yield f"  with {remedy.change}: {amount}{enough}"


def _blame(
    graph: Graph, parts: Parts | None, made: Estimate, overrun: Overrun
) -> tuple[str, tuple[int, ...]]:
    """Who takes most of a resource, as text and as layers."""
    if overrun.resource in ("ram", "bank"):
        return _blame_for_ram(graph, parts, made)
    if overrun.resource == "flash":
        sizes = [float(graph.cost(node).flash_bytes) for node in graph.nodes]
        i = largest(sizes)
        if not i:
            return f"code takes {made.memory.code_bytes:,} bytes", ()
        return (
            f"{graph.nodes[i[0]].name} has most of it, {sizes[i[0]]:,.0f} bytes of "
            f"weights and tables; code takes {made.memory.code_bytes:,}"
        ), i
    of: Callable[[LayerEstimate], Range | None] = {
        "latency": lambda layer: layer.seconds,
        "energy": lambda layer: layer.joules,
    }[overrun.resource]
    values = [used.likely if (used := of(layer)) else 0.0 for layer in made.layers]
    i = largest(values)
    share = 100 * values[i[0]] / overrun.used.likely
    what = TAKES[overrun.resource]
    return f"{made.layers[i[0]].name} takes {share:.0f} % of the {what}", i


def _blame_for_ram(
    graph: Graph, parts: Parts | None, made: Estimate
) -> tuple[str, tuple[int, ...]]:
    memory = made.memory
    rest = (
        f"beside it stack {memory.stack_bytes:,}, static memory "
        f"{memory.static_bytes:,}, input {memory.input_bytes:,}, output "
        f"{memory.output_bytes:,}"
    )
    peak = arena_peak(graph)
    if peak is None:
        return f"the arena is empty; {rest}", ()
    alive = ", ".join(f"{name} {size:,}" for name, size, _ in peak.alive)
    text = (
        f"{graph.nodes[peak.node].name} makes the peak of the arena, "
        f"{memory.arena_bytes:,} bytes: {alive}; {rest}"
    )
    return text, suspects_of(parts, peak) if parts else ()


def _measure(
    made: Estimate, budget: Budget, resource: str
) -> Callable[[Model], float | None]:
    """What a changed network takes of a resource, on the same board or core; None if it
    breaks a limit that was kept before."""
    broken = {overrun.resource for overrun in overruns(made, budget)}

    def measure(network: Model) -> float | None:
        core = None if made.board else made.core
        new = estimate(network, board=made.board, core=core, library=made.library)
        if {overrun.resource for overrun in overruns(new, budget)} - broken:
            return None
        if resource == "bank":
            return float(new.memory.arena_bytes)
        return _used(new, resource).likely

    return measure


def _amount(resource: str, value: float) -> str:
    if resource in UNITS:
        return Range.exact(value).text(UNITS[resource])
    return f"{value:,.0f} bytes"
