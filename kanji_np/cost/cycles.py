"""Cycles of a kernel from its instructions: by core, kind of kernel and flash.

`cycles.toml` has the cycles per instruction of every core, each as a range, and says
what it rests on. `examples/calibrate_cycles.py` writes it.

The figures hold for boards like those they were calibrated on. Another board has
another flash, and what its core waits for widens the range (`flash_factor`). Where code
and weights come from serial flash through a cache, weights that do not fit the cache
are fetched again and again (`fetching`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kanji_np.cost.boards import Board, read_toml
from kanji_np.cost.provider import core_like
from kanji_np.cost.range import Range

TABLE = Path(__file__).with_name("cycles.toml")

#: Kinds of kernels, and what in a function's name tells them; the first that fits.
KINDS: Mapping[str, str] = {
    "depthwise": r"depthwise",
    "convolution": r"conv",
    "dense": r"fully_connected|dense",
    "other": r"",
}

#: The portable kernels were never timed on a board. Their range is wider by this.
PORTABLE = Range(0.8, 1.0, 1.25)

#: The share of cycles that a core waits for flash, behind a cache, at the wait states
#: of the boards it was calibrated on.
WAITING = Range(0.0, 0.1, 0.25)
#: A board whose flash is not known in full.
UNKNOWN_FLASH = Range(0.9, 1.0, 1.25)
#: Cycles added by each wait state, as a share, where no cache keeps weights: of eight
#: instructions about one reads a weight and one is a branch that is taken. Prefetching
#: serves code in a row.
PER_WAIT_STATE = {
    "prefetch": Range(0.0, 0.05, 0.17),
    "none": Range(0.0, 0.2, 0.6),
}


@dataclass(frozen=True)
class Core:
    """Cycles per instruction of a core.

    Parameters
    ----------
    cpi : mapping of str to Range
        By kind of kernel.
    basis : "boards", "other kernels" or "manual"
        Calibrated on published times of boards with CMSIS-NN; or on times of kernels
        that are like ours; or taken from the timing of instructions in the manual.
    boards : tuple of str
        The boards of these times.
    sources : tuple of str
    """

    cpi: Mapping[str, Range]
    basis: str
    boards: tuple[str, ...]
    sources: tuple[str, ...]


@cache
def cores() -> Mapping[str, Core]:
    """Every core that has cycles per instruction."""
    return {
        name: Core(
            {kind: Range(*row[kind]) for kind in KINDS},
            row["basis"],
            tuple(row.get("boards", ())),
            tuple(row["sources"]),
        )
        for name, row in read_toml(TABLE).items()
    }


def core_of(core: str) -> Core:
    """The cycles per instruction of a core, or of the one that is like it."""
    return cores().get(core) or cores()[core_like(core)]


@cache
def kind_of(function: str) -> str:
    """The kind of kernel that a function is."""
    return next(kind for kind, mark in KINDS.items() if re.search(mark, function))


@cache
def cycles_per_instruction(
    function: str, core: str, *, portable: bool, board: Board | None = None
) -> Range:
    """Cycles per instruction of a function's kernel.

    Parameters
    ----------
    function : str
        Of the library, "arm_convolve_wrapper_s8".
    core : str
    portable : bool
        Whether the kernel is ccore's.
    board : Board, optional
        Its flash counts.

    Returns
    -------
    Range
        [cycles]
    """
    cpi = core_of(core).cpi[kind_of(function)]
    if portable:
        cpi = cpi.scaled(PORTABLE)
    return cpi if board is None else cpi.scaled(flash_factor(board))


@cache
def flash_factor(board: Board) -> Range:
    """What a board's flash does to the cycles of its core, beside calibrated boards."""
    core = core_of(board.core)
    if board.name in core.boards or board.serial_flash is not None:
        return Range.exact(1.0)
    if board.wait_states is None:
        return UNKNOWN_FLASH
    if board.flash_access in PER_WAIT_STATE:
        added = PER_WAIT_STATE[board.flash_access].scaled(board.wait_states)
        return Range.exact(1.0) + added
    known = [w for w in map(_wait_states, core.boards) if w is not None]
    if not known:
        return UNKNOWN_FLASH
    change = board.wait_states / max(known) - 1
    bounds = [
        1 + share * change for share in (WAITING.low, WAITING.likely, WAITING.high)
    ]
    return Range(*sorted(bounds))


def _wait_states(name: str) -> int | None:
    from kanji_np.cost.boards import boards

    known = boards().get(name)
    return None if known is None else known.wait_states


def fetching(board: Board | None, macs: int, const_bytes: int) -> Range:
    """Cycles that a layer waits for its weights to come from serial flash.

    Weights that fit the cache are fetched once for each inference. Others are fetched
    for every output, or for every second one, as kernels compute two side by side.

    Parameters
    ----------
    board : Board or None
    macs : int
        Of the layer [MAC].
    const_bytes : int
        Its weights and tables [bytes].

    Returns
    -------
    Range
        [cycles]
    """
    if board is None or board.serial_flash is None:
        return Range.exact(0.0)
    flash = board.serial_flash
    again = const_bytes > flash.cache_bytes
    fetched = Range(
        const_bytes,
        max(const_bytes, macs / 2) if again else const_bytes,
        max(const_bytes, macs) if again else const_bytes,
    )
    return flash.cycles_per_byte.scaled(fetched)
