"""Boards that people own: core, clock, memory, power, and where that was read.

`boards.toml` holds them. One's own board is a file with the same keys. A key that is
absent is not known, and what needs it is not estimated.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kanji_np import schema
from kanji_np.checks import shown
from kanji_np.cost.range import Range
from kanji_np.errors import OptionError
from kanji_np.targets.library import CORES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUILT_IN = Path(__file__).with_name("boards.toml")
MOST_TOML_BYTES = 1 << 20

#: Cores that are no Cortex-M. They run kernels in plain C.
OTHER_CORES = ("xtensa-lx6", "xtensa-lx7", "rv32imc", "hazard3")

#: Class of every core a board may have.
BOARD_CORES: dict[str, str] = {
    **{core: kind for core, kind in CORES.items() if core.startswith("cortex-")},
    **dict.fromkeys(OTHER_CORES, "c"),
}

FLASH_ACCESS = ("none", "prefetch", "cache")
BASES = ("measured", "data sheet", "headline")


@dataclass(frozen=True)
class Bank:
    """A piece of RAM.

    Parameters
    ----------
    name : str
    bytes : int
    address : int or None
        Of its first byte. Banks that follow each other hold one arena together.
    code : bool
        For instructions only: it does not count as RAM.
    """

    name: str
    bytes: int
    address: int | None = None
    code: bool = False


@dataclass(frozen=True)
class Power:
    """What a chip takes from its supply while a network runs.

    Parameters
    ----------
    watts : Range
        At the clock of the board.
    volts : float or None
        Of the supply.
    basis : "measured", "data sheet" or "headline"
        Measured while networks ran; of the data sheet for programs like them; or the
        maker's one figure, widened by what measurements of other chips were above it.
    source : str
    """

    watts: Range
    volts: float | None
    basis: str
    source: str


@dataclass(frozen=True)
class SerialFlash:
    """Flash behind a few wires, which the core reads through a cache.

    Parameters
    ----------
    cache_bytes : int
    cycles_per_byte : Range
        Of the core, for bytes that are not in the cache [cycles].
    source : str
    """

    cache_bytes: int
    cycles_per_byte: Range
    source: str


@dataclass(frozen=True)
class Board:
    """Hardware that a network may run on. None stands for what is not known.

    Parameters
    ----------
    name : str
        Short, in lower case: "nucleo-f446re".
    title : str
        As its maker calls it.
    core : str
        "cortex-m4" and so on, or one of "xtensa-lx6", "xtensa-lx7", "rv32imc" and
        "hazard3".
    aliases : tuple of str
        Other names for it.
    maker, chip : str
    clock_hz : float or None
    flash_bytes : int or None
    banks : tuple of Bank
    wait_states : int or None
        Of the flash at this clock.
    flash_access : "none", "prefetch", "cache" or None
        What stands between core and flash.
    serial_flash : SerialFlash or None
        None: the flash is on the chip, or little is known of it.
    power : tuple of Power
        What estimates use comes first; others are for another supply.
    note : str
    sources : tuple of str
        Documents and files that this was read in.
    """

    name: str
    title: str
    core: str
    aliases: tuple[str, ...] = ()
    maker: str = ""
    chip: str = ""
    clock_hz: float | None = None
    flash_bytes: int | None = None
    banks: tuple[Bank, ...] = ()
    wait_states: int | None = None
    flash_access: str | None = None
    serial_flash: SerialFlash | None = None
    power: tuple[Power, ...] = ()
    note: str = ""
    sources: tuple[str, ...] = ()

    @property
    def core_class(self) -> str:
        """The class of its core: "c", "dsp" or "mve"."""
        return BOARD_CORES[self.core]

    @property
    def is_arm(self) -> bool:
        """Whether CMSIS-NN is made for its core."""
        return self.core not in OTHER_CORES

    @property
    def ram_bytes(self) -> int | None:
        """All banks for data together [bytes]."""
        return sum(bank.bytes for bank in self._data()) or None

    @property
    def largest_bank_bytes(self) -> int | None:
        """The most RAM in one piece, banks that follow each other joined [bytes]."""
        most, size, end = 0, 0, None
        for bank in sorted(self._data(), key=lambda bank: bank.address or 0):
            size = bank.bytes + (size if end == bank.address is not None else 0)
            end = None if bank.address is None else bank.address + bank.bytes
            most = max(most, size)
        return most or None

    @property
    def watts(self) -> Range | None:
        """Active power at its clock [W]."""
        return self.power[0].watts if self.power else None

    def _data(self) -> list[Bank]:
        return [bank for bank in self.banks if not bank.code]


def boards() -> dict[str, Board]:
    """The boards that are known, by name.

    Returns
    -------
    dict of str to Board
    """
    return dict(_built_in())


def board(which: str | Path | Board) -> Board:
    """A board by its name, or one's own from a file.

    Parameters
    ----------
    which : str, path or Board
        A name or alias of `boards`, in any case; the path of a ``.toml`` file, which
        describes one board; or a board itself.

    Returns
    -------
    Board

    Raises
    ------
    OptionError
        No board has this name; the message has those that are alike.
    FileFormatError
        The file is none of this kind; the message says where and what is allowed.
    """
    if isinstance(which, Board):
        return which
    if isinstance(which, Path) or str(which).lower().endswith(".toml"):
        return read_board(Path(which))
    names = _names()
    name = which.lower() if isinstance(which, str) else ""
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    alike = f"; did you mean {' or '.join(near)}?" if near else ":"
    raise OptionError(
        f"board {shown(which)} is not known{alike} `kanji-np boards` lists those that "
        "are; one's own is a .toml file",
        arguments=("board",),
    )


def read_board(path: Path) -> Board:
    """The board that a file describes; its name is that of the file."""
    values = read_toml(path)
    with schema.refusing(path):
        return _board(path.stem.lower(), _checked(values))


@cache
def _built_in() -> Mapping[str, Board]:
    return {
        name: _board(name, _checked(values))
        for name, values in read_toml(BUILT_IN).items()
    }


@cache
def _names() -> Mapping[str, Board]:
    """Boards by name and alias."""
    known = _built_in().values()
    aliases = {alias: board for board in known for alias in board.aliases}
    return {**aliases, **_built_in()}


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; FileFormatError if it is none."""
    with schema.opened(path) as file:
        data = file.read(MOST_TOML_BYTES + 1)
    with schema.refusing(path):
        if len(data) > MOST_TOML_BYTES:
            raise OptionError("too long for the description of a board")
        try:
            return tomllib.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise OptionError(f"is no TOML: {' '.join(str(error).split())}") from None


def _range(place: str, value: Any) -> Range:
    """Three numbers in order, or one that stands for all."""
    rule = schema.number(0.0, 1e6)
    values = value if isinstance(value, list) else [value] * 3
    low, likely, high = schema.columns(rule, rule, rule)(place, values)
    if not low <= likely <= high:
        raise OptionError(
            f"{place} must be [low, likely, high] in this order, got {shown(value)}"
        )
    return Range(low, likely, high)


KIB = schema.integer(1, 1 << 20)

BANK_RULES: dict[str, schema.Rule] = {
    "name": schema.text,
    "kib": KIB,
    "address": schema.integer(0, (1 << 32) - 1),
    "code": schema.flag,
}
POWER_RULES: dict[str, schema.Rule] = {
    "mw": _range,
    "volts": schema.number(0.5, 60.0),
    "basis": schema.one_of(BASES),
    "source": schema.text,
}
SERIAL_RULES: dict[str, schema.Rule] = {
    "cache_kib": KIB,
    "cycles_per_byte": _range,
    "source": schema.text,
}
BOARD_RULES: dict[str, schema.Rule] = {
    "title": schema.text,
    "aliases": schema.array(schema.text),
    "maker": schema.text,
    "chip": schema.text,
    "core": schema.one_of(BOARD_CORES),
    "clock_mhz": schema.number(0.001, 10_000.0),
    "flash_kib": KIB,
    "ram": schema.array(schema.anything, 1, 64),
    "wait_states": schema.integer(0, 64),
    "flash_access": schema.one_of(FLASH_ACCESS),
    "serial_flash": schema.anything,
    "power": schema.array(schema.anything, 1, 16),
    "note": schema.text,
    "sources": schema.array(schema.text),
}


def _checked(values: Any) -> dict[str, Any]:
    """The values of one board by its rules."""
    checked = _record("", values, BOARD_RULES, ("core",))
    for key, rules, needed in (
        ("ram", BANK_RULES, ("kib",)),
        ("power", POWER_RULES, ("mw",)),
    ):
        checked[key] = tuple(
            _record(f"{key}[{i}]", each, rules, needed)
            for i, each in enumerate(checked.get(key, ()))
        )
    if "serial_flash" in checked:
        checked["serial_flash"] = _record(
            "serial_flash",
            checked["serial_flash"],
            SERIAL_RULES,
            ("cache_kib", "cycles_per_byte"),
        )
    return checked


def _record(
    place: str, values: Any, rules: Mapping[str, schema.Rule], needed: Iterable[str]
) -> dict[str, Any]:
    """A table of known keys; a key in another unit is told the right one."""
    for key in schema.mapping(schema.anything)(place, values):
        if key not in rules:
            stem = key.partition("_")[0]
            near = [known for known in rules if known.partition("_")[0] == stem]
            hint = f": {near[0]} is" if near else f"; known are {', '.join(rules)}"
            where = f"{place}.{key}" if place else key
            raise OptionError(f"{where} is not known here{hint}")
    optional = {*rules} - {*needed}
    return schema.record(rules, optional)(place, values)


def _board(name: str, values: Mapping[str, Any]) -> Board:
    clock, flash = values.get("clock_mhz"), values.get("flash_kib")
    return Board(
        name=name,
        title=values.get("title", name),
        core=values["core"],
        aliases=values.get("aliases", ()),
        maker=values.get("maker", ""),
        chip=values.get("chip", ""),
        clock_hz=None if clock is None else clock * 1e6,
        flash_bytes=None if flash is None else flash * 1024,
        banks=tuple(
            Bank(
                each.get("name", "RAM"),
                each["kib"] * 1024,
                each.get("address"),
                each.get("code", False),
            )
            for each in values["ram"]
        ),
        wait_states=values.get("wait_states"),
        flash_access=values.get("flash_access"),
        serial_flash=_serial_flash(values.get("serial_flash")),
        power=tuple(
            Power(
                each["mw"].scaled(1e-3),
                each.get("volts"),
                each.get("basis", "measured"),
                each.get("source", ""),
            )
            for each in values["power"]
        ),
        note=values.get("note", ""),
        sources=values.get("sources", ()),
    )


def _serial_flash(values: Mapping[str, Any] | None) -> SerialFlash | None:
    if values is None:
        return None
    return SerialFlash(
        values["cache_kib"] * 1024,
        values["cycles_per_byte"],
        values.get("source", ""),
    )
