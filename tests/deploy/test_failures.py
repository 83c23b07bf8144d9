"""What is said only when something about the tools or the machine is wrong."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from kanji_np.deploy import emulator, export, kernels, verify
from kanji_np.errors import OptionError, ToolError, VerificationError

from .networks import noise, only_dense


@pytest.fixture
def emulated(tmp_path, monkeypatch):
    """Runs a firmware on a core, after changing how the emulator is called."""
    export(only_dense(), tmp_path)
    plain = subprocess.run

    def emulated(called):
        def run(command, **options):
            if command[0] == emulator.QEMU:
                return called(command, options, plain)
            return plain(command, **options)

        monkeypatch.setattr(emulator.subprocess, "run", run)
        verify(tmp_path, noise(only_dense(), 1), on="m3")

    return emulated


def test_a_file_that_the_board_cannot_write(emulated):
    def blocked(command, options, run):
        (Path(options["cwd"]) / "output").mkdir()
        return run(command, **options)

    said = (
        r"^cortex-m3 \(mps2-an385\): a file of the host could not be read or written$"
    )
    with pytest.raises(VerificationError, match=said):
        emulated(blocked)


def test_an_emulator_that_ends_without_a_word(emulated):
    def silent(command, options, run):
        return subprocess.CompletedProcess(command, 3, b"", b"")

    with pytest.raises(VerificationError, match="qemu-system-arm failed with 3$"):
        emulated(silent)


def test_a_tool_that_fails_is_quoted():
    with pytest.raises(ToolError, match="^arm-none-eabi-size failed: .*no such file"):
        emulator._output(emulator.SIZES, "-A", "no such file")


def test_kernels_that_are_not_installed(monkeypatch):
    monkeypatch.setattr(kernels, "OWN_HEADER", "no_such_header.h")
    with pytest.raises(ToolError, match="^ccore's sources are missing; install"):
        kernels.ccore_directory()


@pytest.mark.parametrize("on", ["m0", 4, None])
def test_a_core_that_is_none(on, tmp_path):
    with pytest.raises(
        OptionError, match=r"^on must be host or one of cortex-m0plus, .*"
    ):
        verify(tmp_path, np.zeros((1, 17), np.int8), on=on)


def test_a_layer_of_the_table_that_differs_on_the_core(tmp_path, edit):
    """Host and core apart: the C differs only where it is compiled for a core."""
    export(only_dense(), tmp_path)
    source = tmp_path / "only_dense.c"
    flip = "#ifdef __arm__\n    output[5] ^= 1;\n#endif\n"
    edit(source, "    OBSERVE(1, ", f"{flip}    OBSERVE(1, ")
    result = verify(tmp_path, noise(only_dense(), 2), on="m3", layers=True)
    (row,) = result.layers
    assert (row.host_differing, row.device_differing) == (0, 2)
    assert str(result.first).startswith(
        "image 0, layer 1 (dense1), index 5: the C on cortex-m3 computes "
    )
