"""Scratch memory: what a firmware reserves, what it is given elsewhere, and guards."""

import pytest

import kanji_np as kj
from kanji_np.deploy import emulator, export, verify
from kanji_np.deploy.cwriter import program
from kanji_np.errors import OptionError, VerificationError

from .networks import CORE_CLASSES, SANITIZE, noise, scratchy


def row_for_an_m55():
    """A plain C core wants 320 bytes for it, an M55 80."""
    return kj.Sequential([kj.Conv1D(16, 5)], (44, 16), core="cortex-m55", name="row")


def test_firmware_for_an_mve_core_passes_its_own_test_here(run, tmp_path):
    firmware = export(row_for_an_m55(), tmp_path)
    assert firmware.arena_bytes == 80
    assert "\nself-test passed\n" in run("make", "-C", tmp_path, "test")
    said = run("nm", "--defined-only", tmp_path / "build" / "librow.a")
    assert "row_run" in said  # which a device links: without the guards


def test_layers_have_what_the_kernels_want_on_the_host(tmp_path):
    net = scratchy("mve")
    export(net, tmp_path)
    images = noise(net, 3)
    assert verify(tmp_path, images, compiler=f"gcc {SANITIZE}", layers=True).ok


@pytest.mark.parametrize(
    ("core", "on"),
    [("mve", "m3"), ("mve", "m4"), ("c", "m4"), ("dsp", "m55"), ("mve", "m55")],
)
def test_layers_have_what_the_kernels_want_on_any_core(core, on, tmp_path):
    net = scratchy(core)
    firmware = export(net, tmp_path)
    result = verify(tmp_path, noise(net, 3), on=on)
    assert result.ok
    assert result.device.arena_bytes == firmware.arena_bytes
    assert (result.note == "") == (on == "m55" and core == "mve")


def test_no_two_core_classes_want_the_same():
    plans = [program(scratchy(core).freeze()).plan for core in CORE_CLASSES]
    sizes = [{i: need.size for i, (_, need) in plan.scratch.items()} for plan in plans]
    assert sizes[0] != sizes[1] != sizes[2] != sizes[0]


@pytest.fixture
def overwriting(tmp_path, edit):
    """A firmware of which the first layer writes to a byte that is not its own."""

    def overwriting(index, place="scratch"):
        export(row_for_an_m55(), tmp_path)
        if place == "scratch":
            old = "    const cmsis_nn_context ctx = "
            new = f"    ((int8_t *)scratch)[{index}] = 1;\n{old}"
        else:
            old = "    OBSERVE(1, "
            new = f"    ((int8_t *)arena)[{index}] = 1;\n{old}"
        edit(tmp_path / "row.c", old, new)
        return tmp_path

    return overwriting


@pytest.mark.parametrize(
    ("index", "place", "on", "said"),
    [
        ("320", "scratch", "host", "beyond its scratch memory of 320 bytes"),
        ("-1", "scratch", "host", "before its scratch memory of 320 bytes"),
        ("ROW_ARENA_BYTES", "arena", "host", "beyond the arena of 80 bytes"),
        ("83", "scratch", "m55", "beyond its scratch memory of 80 bytes"),
        ("-64", "scratch", "m4", "before its scratch memory of 320 bytes"),
        ("ROW_ARENA_BYTES", "arena", "m55", "beyond the arena of 80 bytes"),
        ("-1", "arena", "m4", "before the arena of 80 bytes"),
    ],
)
def test_a_layer_that_writes_too_far_is_named(index, place, on, said, overwriting):
    directory = overwriting(index, place)
    with pytest.raises(VerificationError, match=rf"layer 1 \(conv1\) writes {said}$"):
        verify(directory, noise(row_for_an_m55(), 2), on=on)


def test_the_selftest_notices_it_too(overwriting, run):
    directory = overwriting("320")
    run("make", "-C", directory, "build/selftest")
    assert run(directory / "build" / "selftest", status=1) == ""


def test_more_than_the_board_has_is_refused(overwriting, edit):
    directory = overwriting("0")
    edit(
        directory / "row.c",
        "return arm_convolve_wrapper_s8_get_buffer_size(",
        "return 5000000 + arm_convolve_wrapper_s8_get_buffer_size(",
    )
    with pytest.raises(VerificationError, match="layer 1 .* wants more scratch memory"):
        verify(directory, noise(row_for_an_m55(), 1), on="m3")


def test_an_export_without_guards_is_not_run_on_other_kernels(tmp_path, edit):
    """As an earlier version wrote it."""
    from .test_real_library import bundled

    net = row_for_an_m55().for_target(version="4.0.0")
    export(net, tmp_path)
    path = tmp_path / "row.h"
    path.write_text(path.read_text().replace("ROW_GUARD", "ROW_OTHER"))
    options = {"library": "cmsis-nn", "cmsis_nn": bundled()}
    with pytest.raises(OptionError, match="export the network again to run it as .* c"):
        verify(tmp_path, noise(net, 1), **options)


def test_guards_of_a_whole_network_are_named_by_the_network(overwriting, monkeypatch):
    """If the layer that does it does so only where nobody looks."""
    directory = overwriting("ROW_ARENA_BYTES", "arena")
    monkeypatch.setattr(emulator.Emulator, "check_guards", lambda *_: None)
    with pytest.raises(VerificationError, match="image 0: row writes beyond the arena"):
        verify(directory, noise(row_for_an_m55(), 1), on="m55")
