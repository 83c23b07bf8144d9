"""Cycles per instruction, and what they rest on."""

from dataclasses import replace

import calibrate_cycles
import pytest

import kanji_np as kj
from kanji_np.cost import cycles
from kanji_np.cost.boards import BOARD_CORES
from kanji_np.ops import OPS

ROWS = calibrate_cycles.published()
BOARDS = kj.boards()


def test_the_table_is_what_the_script_writes():
    assert cycles.TABLE.read_text(encoding="utf-8") == calibrate_cycles.table(ROWS)


@pytest.mark.parametrize("core", BOARD_CORES)
def test_every_core_has_cycles_and_a_source(core):
    row = cycles.core_of(core)
    assert row.sources and {*row.cpi} == {*cycles.KINDS}
    assert (row.basis == "boards") == bool(row.boards)
    for cpi in row.cpi.values():
        assert 0.3 < cpi.low <= cpi.likely <= cpi.high < 4


def test_every_published_figure_has_a_source_and_a_network():
    assert len({row.id for row in ROWS}) == len(ROWS) > 300
    for row in ROWS:
        assert row.source and row.ms > 0 and row.core in BOARD_CORES
        assert row.network in calibrate_cycles.NETWORKS
        assert row.board is None or BOARDS[row.board].core == row.core
    clocks = {
        (row.clock_mhz, BOARDS[row.board].clock_hz)
        for row in ROWS
        if row.board and row.use == "calibration"
    }
    assert all(hz == 1e6 * mhz for mhz, hz in clocks)


def test_what_was_calibrated_on_lies_within():
    for row in ROWS:
        if row.use == "calibration":
            estimate = calibrate_cycles.predicted(row.network, row.core, row.board)
            taken = estimate.cycles
            assert taken.low <= row.cycles <= taken.high, row.id


def test_kinds_of_kernels():
    kinds = {
        "arm_convolve_wrapper_s8": "convolution",
        "arm_convolve_wrapper_s4": "convolution",
        "arm_depthwise_conv_wrapper_s8": "depthwise",
        "arm_depthwise_separable_conv_HWC_q7": "depthwise",
        "kanji_transpose_conv_s8": "convolution",
        "arm_fully_connected_s8": "dense",
        "arm_elementwise_add_s8": "other",
        "kanji_normalize_u8_s8": "other",
    }
    assert {name: cycles.kind_of(name) for name in kinds} == kinds
    assert cycles.kind_of("dense") == "dense" and "dense" in OPS


def test_kernels_that_were_never_timed_have_a_wider_range():
    def cpi(portable):
        return cycles.cycles_per_instruction(
            "arm_convolve_wrapper_s8", "cortex-m4", portable=portable
        )

    assert cpi(True).low < cpi(False).low < cpi(False).high < cpi(True).high
    assert cpi(True).likely == cpi(False).likely


def test_the_flash_of_a_board_changes_its_cycles():
    calibrated = BOARDS["nucleo-l4r5zi"]
    assert cycles.flash_factor(calibrated) == kj.Range.exact(1)
    fewer = cycles.flash_factor(replace(calibrated, name="a", wait_states=0))
    same = cycles.flash_factor(replace(calibrated, name="a"))
    more = cycles.flash_factor(replace(calibrated, name="a", wait_states=10))
    assert fewer.likely < same.likely == 1 < more.likely
    assert fewer.high == 1 == more.low
    unknown = cycles.flash_factor(replace(calibrated, name="a", wait_states=None))
    assert unknown == cycles.UNKNOWN_FLASH
    no_cache = replace(calibrated, name="a", flash_access="none", wait_states=2)
    prefetch = replace(no_cache, flash_access="prefetch")
    assert cycles.flash_factor(no_cache).likely > cycles.flash_factor(prefetch).likely
    assert cycles.flash_factor(prefetch).high > 1


def test_weights_from_serial_flash_are_fetched_again_when_they_do_not_fit():
    pico = BOARDS["pico-2"]
    flash = pico.serial_flash
    assert flash.cache_bytes == 16384
    once = cycles.fetching(pico, 1_000_000, 10_000)
    assert once == flash.cycles_per_byte.scaled(10_000)
    often = cycles.fetching(pico, 1_000_000, 20_000)
    assert often.low == flash.cycles_per_byte.low * 20_000
    assert often.likely == flash.cycles_per_byte.likely * 500_000
    assert cycles.fetching(BOARDS["nucleo-l4r5zi"], 10**6, 10**6) == kj.Range.exact(0)
    assert cycles.fetching(None, 10**6, 10**6) == kj.Range.exact(0)
