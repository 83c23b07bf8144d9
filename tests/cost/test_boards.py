"""The table of boards, and boards of one's own."""

import json
import re

import pytest
from cli.commands import ok, run

import kanji_np as kj
from kanji_np.cost.boards import BOARD_CORES, OTHER_CORES
from kanji_np.errors import FileFormatError, OptionError

BOARDS = kj.boards()

OWN = """
title = "Node"
core = "cortex-m4"
clock_mhz = 64
flash_kib = 512
ram = [{ name = "A", kib = 64, address = 0x20000000 }, { kib = 16 }]
power = [{ mw = [9.0, 10.5, 14.0], volts = 3.0 }]
"""


def test_boards_that_people_own_are_there():
    asked = """nucleo-f446re nucleo-f103rb nucleo-l4r5zi nucleo-h743zi disco-f746ng
        nano-33-ble portenta-h7 pico pico-2 pico-2-riscv nrf52840-dk nrf5340-dk esp32
        esp32-s3 xg24-dk2601b max78000fthr corstone-300""".split()
    assert len(BOARDS) >= 45
    assert {*asked} <= {*BOARDS}
    assert {b.core for b in BOARDS.values()} >= {
        "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33",
        "cortex-m55", *OTHER_CORES,
    }  # fmt: skip


@pytest.mark.parametrize("name", BOARDS)
def test_what_is_said_of_a_board_has_a_source(name):
    board = BOARDS[name]
    assert board.name == name and re.fullmatch(r"[a-z0-9-]+", name)
    assert board.sources and board.maker and board.chip and board.clock_hz
    assert all(power.source and power.volts for power in board.power)
    told = " ".join((board.note, *board.sources, *(p.source for p in board.power)))
    assert not any(word in told for word in ("index id", "()", "unverified"))


def test_a_name_or_alias_means_one_board():
    names = [n for b in BOARDS.values() for n in (b.name, *b.aliases)]
    assert len({*names}) == len(names)
    for name in names:
        assert kj.board(name.upper()) is kj.board(name)
    assert kj.board("rp2040") is BOARDS["pico"]


def test_banks_that_follow_each_other_are_one_piece():
    kib = {
        "nucleo-f446re": (128, 128),
        "disco-f407vg": (192, 128),  # CCM lies elsewhere
        "nucleo-f746zg": (320, 320),  # without the memory for instructions
        "nucleo-l476rg": (128, 96),
    }
    for name, sizes in kib.items():
        board = BOARDS[name]
        assert (board.ram_bytes, board.largest_bank_bytes) == tuple(
            1024 * size for size in sizes
        )


def test_a_board_of_ones_own(tmp_path):
    path = tmp_path / "Node.toml"
    path.write_text(OWN)
    board = kj.board(path)
    assert kj.board(str(path)) == board == kj.board(board)
    assert (board.name, board.title, board.core_class) == ("node", "Node", "dsp")
    assert (board.clock_hz, board.flash_bytes) == (64e6, 512 * 1024)
    assert (board.ram_bytes, board.largest_bank_bytes) == (80 * 1024, 64 * 1024)
    assert board.watts.text("W") == "10.5 mW (9.00 to 14.0)"
    path.write_text('core = "hazard3"')
    board = kj.board(path)
    assert board.core_class == "c" and not board.is_arm
    assert board.clock_hz is board.ram_bytes is board.watts is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "core is missing"),
        ('core = "cortex-m9"', "core must be one of cortex-m0, .*; got 'cortex-m9'"),
        ("core = 4", "core must be one of .*; got 4"),
        (OWN + "clock_hz = 1", "power.*|clock_hz is not known here: clock_mhz is"),
        ('core = "cortex-m4"\nclock_hz = 64e6', "clock_hz is not .*: clock_mhz is$"),
        ('core = "cortex-m4"\nflash_kb = 5', "flash_kb is not known .*: flash_kib is$"),
        ('core = "cortex-m4"\ncolour = 5', "colour is not known .* are title, .*core"),
        ('core = "cortex-m4"\nclock_mhz = 0', "clock_mhz must be a finite number in"),
        ('core = "cortex-m4"\nclock_mhz = nan', "clock_mhz must be a finite number"),
        ('core = "cortex-m4"\nflash_kib = 0.5', "flash_kib must be an int in 1 .."),
        ('core = "cortex-m4"\nram = 64', "ram must be a list of at least 1"),
        ('core = "cortex-m4"\nram = [{name = "A"}]', r"ram\[0\].kib is missing"),
        ('core = "cortex-m4"\nram = [{kb = 4}]', r"ram\[0\].kb is not .* name, kib,"),
        ('core = "cortex-m4"\nram = [4]', r"ram\[0\] must be an object, got 4"),
        (
            'core = "cortex-m4"\npower = [{mw = [3, 2, 1]}]',
            r"power\[0\].mw must be \[low, likely, high\] .*, got \[3, 2, 1\]",
        ),
        (
            'core = "cortex-m4"\npower = [{mw = [3]}]',
            r"power\[0\].mw must be a list of 3 values, got \[3\]",
        ),
        (
            'core = "cortex-m4"\npower = [{mw = 3, basis = "felt"}]',
            r"power\[0\].basis must be one of measured, data sheet, headline",
        ),
        ('core = "cortex-m4"\nflash_access = "fast"', "flash_access must be one of no"),
        ("core =", "is no TOML: "),
        ("a = 1\na = 2", "is no TOML: "),
        ("\xff", "is no TOML: "),
        ("#" + " " * (1 << 20), "too long"),
    ],
)
def test_a_file_that_is_no_board_gets_one_line(tmp_path, text, message):
    path = tmp_path / "own.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=message) as caught:
        kj.board(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_boards_that_are_not_there(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        kj.board(tmp_path / "gone.toml")
    with pytest.raises(OptionError, match="did you mean nucleo-f446re"):
        kj.board("nucleo-f446")
    with pytest.raises(OptionError, match="^board 5 is not known"):
        kj.board(5)


def test_the_command_lists_filters_and_shows(tmp_path):
    listed = ok("boards")
    assert all(f"\n{name} " in listed for name in BOARDS)
    assert max(map(len, listed.splitlines())) <= 100
    m7 = ok("boards", "--core", "cortex-m7")
    assert "disco-f746ng" in m7 and "pico" not in m7
    shown = ok("boards", "F446RE")
    for text in ("112 KiB at 0x20000000", "180 MHz", "headline", "STM32F446R"):
        assert text in shown
    (pico,) = json.loads(ok("boards", "rp2040", "--json"))
    assert (pico["name"], pico["clock_hz"]) == ("pico", 125e6)
    assert len(json.loads(ok("boards", "--json"))) == len(BOARDS)
    (tmp_path / "own.toml").write_text(OWN)
    assert "10.5 mW (9.00 to 14.0)" in ok("boards", tmp_path / "own.toml")
    assert run("boards", "f4")[0] == run("boards", "--core", "m7")[0] == 2
    assert BOARD_CORES["cortex-m55"] == "mve"
