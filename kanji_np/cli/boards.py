"""`kanji-np boards`: what --board takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kanji_np.cost.boards import Board


@click.command()
@click.argument("board", metavar="[NAME|FILE.toml]", required=False)
@click.option("--core", help="Only boards with this core, such as cortex-m4.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def boards(board: str | None, core: str | None, as_json: bool) -> None:
    """List the boards that --board takes, or show one with its sources.

    \b
    Example:
      kanji-np boards nucleo-f446re
    """
    from kanji_np.checks import one_of
    from kanji_np.cost.boards import BOARD_CORES
    from kanji_np.cost.boards import board as board_of
    from kanji_np.cost.boards import boards as known

    found = [board_of(board)] if board else [*known().values()]
    if core is not None:
        core = one_of("core", core, BOARD_CORES)
        found = [each for each in found if each.core == core]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found]))
    elif board:
        for each in found:
            click.echo("\n".join(_lines(each)))
    else:
        click.echo(_table(found))


def _table(found: list[Board]) -> str:
    from kanji_np.report import text_table

    header = (
        "--board", "core", "MHz", "flash KiB", "RAM KiB", "in one piece", "power mW"
    )  # fmt: skip
    rows = [
        (
            each.name,
            each.core,
            "" if each.clock_hz is None else f"{each.clock_hz / 1e6:g}",
            *map(_kib, (each.flash_bytes, each.ram_bytes, each.largest_bank_bytes)),
            f"{1e3 * each.watts.likely:.3g}" if each.watts else "",
        )
        for each in found
    ]
    return (
        f"{text_table(header, rows, left_columns=2)}\n\n"
        "an empty place: not known; `kanji-np boards NAME` shows one with its sources"
    )


def _kib(size: int | None) -> str:
    return "" if size is None else f"{size / 1024:,g}"


def _lines(board: Board) -> Iterator[str]:
    """All that is known of one board."""
    yield f"{board.title} ({board.name})"
    facts = {
        "maker": board.maker,
        "chip": board.chip,
        "core": board.core,
        "clock": "" if board.clock_hz is None else f"{board.clock_hz / 1e6:g} MHz",
        "flash": board.flash_bytes and f"{_kib(board.flash_bytes)} KiB",
        "wait states": "" if board.wait_states is None else str(board.wait_states),
        "flash access": board.flash_access,
        "also called": ", ".join(board.aliases),
        "note": board.note,
    }
    for bank in board.banks:
        place = "" if bank.address is None else f" at {bank.address:#010x}"
        use = ", for code" if bank.code else ""
        facts[f"RAM {bank.name}"] = f"{_kib(bank.bytes)} KiB{place}{use}"
    if board.serial_flash is not None:
        flash = board.serial_flash
        per_byte = flash.cycles_per_byte
        facts["serial flash"] = (
            f"cache of {_kib(flash.cache_bytes)} KiB; "
            f"{per_byte.low:g} to {per_byte.high:g} cycles for each byte that is not "
            f"in it: {flash.source}"
        )
    for power in board.power:
        volts = "" if power.volts is None else f" at {power.volts:g} V"
        source = power.source and f": {power.source}"
        facts[f"power{volts}"] = f"{power.watts.text('W')}, {power.basis}{source}"
    width = max(map(len, facts)) + 2
    yield from (f"{name:<{width}}{text}" for name, text in facts.items() if text)
    yield from (f"{'source':<{width}}{source}" for source in board.sources)
