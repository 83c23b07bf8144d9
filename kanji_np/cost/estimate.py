"""What a network will cost on a board: instructions, time, energy and memory.

Nothing is trained and nothing runs. The calls of the generated C tell how many
instructions its kernels take; cycles for an instruction, the clock and the active power
of a board make time and energy of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kanji_np.checks import one_of
from kanji_np.choices import KERNEL_LIBRARIES
from kanji_np.cost.boards import BOARD_CORES, OTHER_CORES, Board
from kanji_np.cost.boards import board as board_of
from kanji_np.cost.cycles import cycles_per_instruction, fetching
from kanji_np.cost.instructions import instructions
from kanji_np.cost.memory import Memory, memory
from kanji_np.cost.provider import provider_of
from kanji_np.cost.range import Range, sum_of
from kanji_np.cost.work.runtime import copy_instructions
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.kernels import CCORE
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.graph import Graph, Node
from kanji_np.model import Model
from kanji_np.targets import generates_c
from kanji_np.types import Cost, KernelCall, TargetSpec

#: The core that stands for a class where neither core nor board is told.
DEFAULT_CORES = {"c": "cortex-m3", "dsp": "cortex-m4", "mve": "cortex-m55"}


@dataclass(frozen=True)
class LayerEstimate:
    """What one layer will cost in one inference.

    Parameters
    ----------
    name, op : str
        Of the layer and of its operator.
    macs : int
        Multiply-accumulates [MAC].
    instructions : float
        That the core executes, by the fitted model.
    cycles : Range
        [cycles]
    seconds : Range or None
        None without the clock of a board.
    joules : Range or None
        None without the active power of a board.
    """

    name: str
    op: str
    macs: int
    instructions: float
    cycles: Range
    seconds: Range | None
    joules: Range | None


@dataclass(frozen=True)
class Estimate:
    """What a network will cost in one inference; prints as a short text.

    Parameters
    ----------
    network : str
        Its name.
    target : TargetSpec
        Of the C that is costed: of the core class of the board.
    core : str
        "cortex-m4" and so on.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.
    board : Board or None
    layers : tuple of LayerEstimate
        In order.
    memory : Memory
    """

    network: str
    target: TargetSpec
    core: str
    library: str
    board: Board | None
    layers: tuple[LayerEstimate, ...]
    memory: Memory

    @property
    def macs(self) -> int:
        """Multiply-accumulates [MAC]."""
        return sum(layer.macs for layer in self.layers)

    @property
    def instructions(self) -> float:
        """Instructions that the core executes."""
        return sum(layer.instructions for layer in self.layers)

    @property
    def cycles(self) -> Range:
        """Cycles of all layers."""
        return sum_of(layer.cycles for layer in self.layers)

    @property
    def seconds(self) -> Range | None:
        """Time of all layers [s], or None without the clock of a board."""
        return _sum(layer.seconds for layer in self.layers)

    @property
    def joules(self) -> Range | None:
        """Energy of all layers [J], or None without the power of a board."""
        return _sum(layer.joules for layer in self.layers)

    @property
    def flash_bytes(self) -> int:
        """Tables and code [bytes]."""
        return self.memory.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Arena, static memory, stack, input and output [bytes]."""
        return self.memory.ram_bytes

    @property
    def shortages(self) -> tuple[str, ...]:
        """Which memory of the board is too small, a sentence each."""
        if self.board is None:
            return ()
        needs = (
            ("flash", self.flash_bytes, self.board.flash_bytes),
            ("RAM", self.ram_bytes, self.board.ram_bytes),
            (
                "RAM in one piece, for the arena,",
                self.memory.arena_bytes,
                self.board.largest_bank_bytes,
            ),
        )
        return tuple(
            f"{what} is short by {need - there:,} bytes: {need:,} needed, "
            f"{there:,} on {self.board.title}"
            for what, need, there in needs
            if there is not None and need > there
        )

    @property
    def fits(self) -> bool:
        """Whether no memory of the board that is known is too small."""
        return not self.shortages

    def __str__(self) -> str:
        where = f"{self.board.title} ({self.core})" if self.board else self.core
        lines = [f"{self.network} on {where}, kernels of {self.library}", ""]
        lines += [f"{name:<14}{text}" for name, text in self._rows()]
        return "\n".join([*lines, *(["", *self.shortages] if self.shortages else [])])

    def _rows(self) -> Iterable[tuple[str, str]]:
        yield "instructions", f"{self.instructions:,.0f}"
        yield "cycles", _counts(self.cycles)
        board = self.board
        if self.seconds is not None:
            yield "time", f"{self.seconds.text('s')}, estimated"
        elif board is not None:
            yield "time", f"not estimated: no clock is known of {board.title}"
        if self.joules is not None:
            yield "energy", f"{self.joules.text('J')}, estimated"
        elif board is not None:
            yield "energy", f"not estimated: no active power is known of {board.title}"
        yield "flash", _of(self.flash_bytes, board.flash_bytes if board else None)
        yield "RAM", _of(self.ram_bytes, board.ram_bytes if board else None)


def _counts(cycles: Range) -> str:
    """Three digits that count of each bound."""
    low, likely, high = (
        f"{float(f'{x:.3g}'):,.0f}" for x in (cycles.low, cycles.likely, cycles.high)
    )
    return f"{likely} ({low} to {high})"


def _of(need: int, there: int | None) -> str:
    return f"{need:,} bytes" + (f" of {there:,}" if there else "")


@dataclass(frozen=True)
class Platform:
    """Where the calls of a network run."""

    target: TargetSpec
    core: str
    library: str
    board: Board | None

    def layer(
        self, node: Node, calls: Iterable[KernelCall], cost: Cost, copied: int
    ) -> LayerEstimate:
        """The estimate of one layer from its calls, and the bytes it copies first."""
        instructions, cycles = 0.0, fetching(self.board, cost.macs, cost.flash_bytes)
        for counted, taken in (self._copy(copied), *map(self._call, calls)):
            instructions, cycles = instructions + counted, cycles + taken
        clock = self.board.clock_hz if self.board else None
        watts = self.board.watts if self.board else None
        seconds = None if clock is None else cycles.scaled(1 / clock)
        joules = None if seconds is None or watts is None else seconds.scaled(watts)
        return LayerEstimate(
            node.name, node.op, cost.macs, instructions, cycles, seconds, joules
        )

    def _copy(self, n_bytes: int) -> tuple[float, Range]:
        """Instructions and cycles of a copy of an input."""
        if not n_bytes:
            return 0.0, Range.exact(0.0)
        count = copy_instructions(n_bytes, self.core)
        cpi = cycles_per_instruction(
            "memcpy", self.core, portable=False, board=self.board
        )
        return count, Range.exact(count).scaled(cpi)

    def _call(self, call: KernelCall) -> tuple[float, Range]:
        """Instructions and cycles of one call."""
        count = instructions((call,), self.target, self.library, self.core)
        portable = provider_of(call, self.target, self.library) == CCORE
        cpi = cycles_per_instruction(
            call.function, self.core, portable=portable, board=self.board
        )
        return count.instructions, Range.within(count.instructions, count.error).scaled(
            cpi
        )


def _sum(ranges: Iterable[Range | None]) -> Range | None:
    each = [*ranges]
    known = [r for r in each if r is not None]
    return sum_of(known) if len(known) == len(each) else None


def estimate(
    network: Model | Graph,
    *,
    board: str | Path | Board | None = None,
    core: str | None = None,
    library: str = "ccore",
) -> Estimate:
    """What a network will cost on a board or a core; it need not be trained.

    Parameters
    ----------
    network : Model or Graph
        Not changed. A Model is costed for the core class of the board; a Graph must be
        of that class already. A Model for a runtime costs what it does with CMSIS-NN.
    board : str, path or Board, optional
        As in `board`.
    core : str, optional
        "cortex-m4" and so on: instead of a board. By default the usual core of the
        network's class: "cortex-m3", "cortex-m4" or "cortex-m55".
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked, as in `export`.

    Returns
    -------
    Estimate

    Raises
    ------
    OptionError
        Board, core or library are not known or do not fit each other.
    FileFormatError
        The file of a board is none.
    UnsupportedOp
        The library has no kernel for a layer, or a Graph is for a runtime or for
        another class of cores.
    """
    library = one_of("library", library, KERNEL_LIBRARIES)
    place = None if board is None else board_of(board)
    core = _core(network.target, place, core)
    if library != CCORE and core in OTHER_CORES:
        raise OptionError(
            f"CMSIS-NN is for Cortex-M; {place.title if place else core} takes "
            f"library {CCORE!r}",
            arguments=("library",),
        )
    made = program(outlined(network, core))
    platform = Platform(made.graph.target, core, library, place)
    layers = [
        platform.layer(node, calls, made.graph.cost(node), made.copied_bytes(i))
        for i, (node, calls) in enumerate(
            zip(made.graph.nodes, made.calls, strict=True)
        )
    ]
    return Estimate(
        network=made.graph.name,
        target=made.graph.target,
        core=core,
        library=library,
        board=place,
        layers=tuple(layers),
        memory=memory(made, library, core),
    )


def _core(target: TargetSpec, place: Board | None, core: str | None) -> str:
    if place is None:
        if core is None:
            return DEFAULT_CORES[target.core]
        return one_of("core", core, BOARD_CORES)
    if core not in (None, place.core):
        raise OptionError(
            f"core {core!r} and board {place.title} with its {place.core}: name one",
            arguments=("core", "board"),
        )
    return place.core


def outlined(network: Model | Graph, core: str | None = None) -> Graph:
    """The integer program that is costed, for the class of a core if one is told.

    UnsupportedOp of a Graph of another class.
    """
    kind = network.target.core if core is None else BOARD_CORES[core]
    if isinstance(network, Graph):
        if network.target.core != kind and generates_c(network.target):
            raise UnsupportedOp(
                f"the graph is for core class {network.target.core}, {core} is of "
                f"class {kind}: take net.for_target(core={kind!r}).freeze()"
            )
        return network
    if not generates_c(network.target):
        network = network.for_target("cmsis-nn", core=kind)
    elif network.target.core != kind:
        network = network.for_target(core=kind)
    return network.outline()
