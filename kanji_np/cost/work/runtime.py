"""What functions that the compiler calls by itself take: `memcpy` and `memset` of
newlib, and the division of cores that have none.

Copies and fills move words where addresses allow, and single bytes at the ends. Those
for ARMv6-M are others than those for ARMv7-M and later: where an address is not a
multiple of 4 they copy bytes. Cores of the class c are of either kind, so each copy has
a part for each, and the fit finds out which of them a core has.

References
----------
newlib 3.3, `libc/machine/arm/memcpy-armv7m.S`, `libc/string/memcpy.c` and `memset.c`,
and libgcc 12.2, `config/arm/lib1funcs.S`, as Debian's GCC 12.2 links them: how many
instructions each step has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kanji_np.cost.provider import core_like
from kanji_np.cost.work.loops import Counts, summed

WORD = 4
#: Instructions of `memcpy` that count a block, on cores where it takes fewer than 4.
PER_BLOCK = {"cortex-m4": 2, "cortex-m7": 2}


@dataclass(frozen=True)
class Copy:
    """A call of `memcpy`.

    Parameters
    ----------
    n_bytes : int
    to, source : int
        Addresses, of which the remainder by 4 counts.
    """

    n_bytes: int
    to: int = 0
    source: int = 0


@dataclass(frozen=True)
class Fill:
    """A call of `memset`."""

    n_bytes: int
    to: int = 0


def copy_instructions(n_bytes: int, core: str) -> float:
    """Instructions of a copy from one aligned address to another.

    Parameters
    ----------
    n_bytes : int
    core : str
        Such as "cortex-m4".
    """
    like = core_like(core)
    if like == "cortex-m0plus":
        return _memcpy_on_v6m(Copy(n_bytes))
    instructions, blocks = _memcpy(Copy(n_bytes))
    return instructions + blocks * PER_BLOCK.get(like, 4)


def copied(name: str, copies: Iterable[tuple[Copy, float]], core_class: str) -> Counts:
    """Copies, and how often each is made."""
    return summed(*(_copies(name, copy, times, core_class) for copy, times in copies))


def filled(name: str, fills: Iterable[tuple[Fill, float]], core_class: str) -> Counts:
    """Fills, and how often each is made."""
    return summed(*(_fills(name, fill, times, core_class) for fill, times in fills))


def _copies(name: str, copy: Copy, times: float, core_class: str) -> Counts:
    instructions, blocks = _memcpy(copy)
    counts = {
        name: times,
        f"{name}.instructions": times * instructions,
        f"{name}.blocks": times * blocks,
    }
    if core_class == "c":
        counts[f"{name}.instructions on v6-M"] = times * _memcpy_on_v6m(copy)
    return counts


def _fills(name: str, fill: Fill, times: float, core_class: str) -> Counts:
    counts = {name: times, f"{name}.instructions": times * _memset(fill)}
    if core_class == "c":
        counts[f"{name}.instructions on v6-M"] = times * _memset_on_v6m(fill)
    return counts


def _memcpy(copy: Copy) -> tuple[int, int]:
    """Instructions without those that count blocks of 64 and 16 bytes, and how many
    blocks: of the former, Cortex-M4 and M7 have two for each, other cores four."""
    n, taken = copy.n_bytes, 4
    if copy.to % WORD or copy.source % WORD:
        taken += 2
        if n < 2 * WORD:
            taken += 2
            return (taken + 4 * (n - 3) + 8, 0) if n >= WORD else (taken + _end(n), 0)
        taken += 2
        if copy.source % WORD:
            taken += 2
            if copy.to % WORD:
                lead = WORD - copy.to % WORD
                n, taken = n - lead, taken + (7 if lead == 1 else 10)
    large, rest = divmod(n, 64)
    blocks, rest = divmod(rest, 16)
    taken += 6 + 32 * large + 8 * blocks + WORD * (rest // WORD)
    return taken + _end(rest % WORD), large + blocks


def _end(n_bytes: int) -> int:
    return 4 + (0, 5, 7, 7)[n_bytes]


def _memset(fill: Fill) -> int:
    n, taken = _to_word(fill, Lead(before=3, once=6, each=5, last=2))
    if n is None:
        return taken
    taken += 2
    if n < WORD:
        return taken + 1 + _bytes(n, 3) + 1
    taken += 5
    blocks, rest = divmod(n, 16)
    words, end = divmod(rest, WORD)
    if blocks:
        taken += 11 + 7 * blocks
        if not words:
            return taken + 4 + (_bytes(end, 3) or 1) + 1
    else:
        taken += 3
    return taken + 5 + 3 * words + 1 + _bytes(end, 3) + 1


@dataclass(frozen=True)
class Lead:
    """Instructions of a fill before its first whole word: before it looks for one, once
    and for each byte where there are bytes to fill, and how many fewer for the last."""

    before: int
    once: int
    each: int
    last: int


def _to_word(fill: Fill, lead: Lead) -> tuple[int | None, int]:
    """Bytes that are left at the first whole word, and instructions up to it.

    None where the fill ends before: then they are all it takes.
    """
    n, bytes_first = fill.n_bytes, -fill.to % WORD
    if not bytes_first:
        return n, lead.before + 3
    if not n:
        return None, lead.before + 4
    done = min(bytes_first, n)
    taken = lead.before + lead.once + lead.each * done
    if done < bytes_first:
        return None, taken + 1
    return n - done, taken - lead.last


def _bytes(n: int, each: int) -> int:
    return 2 + each * n if n else 0


def _memcpy_on_v6m(copy: Copy) -> int:
    n, taken = copy.n_bytes, 4
    if n >= 16:
        taken += 7
        if copy.to % WORD or copy.source % WORD:
            return taken + 2 + 1 + 6 * n + 1
        blocks, rest = divmod(n, 16)
        words, n = divmod(rest, WORD)
        taken += 18 + 13 * blocks + (6 * words + 8 if words else 2)
    return taken + 3 + (1 + 6 * n if n else 0) + 1


def _memset_on_v6m(fill: Fill) -> int:
    n, taken = _to_word(fill, Lead(before=4, once=7, each=7, last=3))
    if n is None:
        return taken
    taken += 2
    if n >= WORD:
        taken += 8
        blocks, rest = divmod(n, 16)
        words, n = divmod(rest, WORD)
        taken += 19 + 7 * blocks if blocks else 2
        taken += 12 + 3 * words if words else 0
    return taken + 2 + _bytes(n, 4) + 1


def division_on_v6m(dividend: int, divisor: int) -> int:
    """Instructions of `__aeabi_idiv`; the divisor is positive, the quotient is less
    than 256 beside its sign."""
    quotient = abs(dividend) // divisor
    ones = (quotient >> 1).bit_count()
    even = quotient % 2 == 0
    if dividend < 0:
        bits, tests = (3, 1) if quotient < 16 else (7, 2)
        return 11 + 3 * tests + 4 * bits + 2 * ones + 1 + 12 + even
    bits, tests = (0, 1) if quotient < 2 else (3, 2) if quotient < 16 else (7, 3)
    return 4 + 3 * tests + 4 * bits + 2 * ones + 5 + even
