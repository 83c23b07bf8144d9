"""Firmware on emulated cores: what it computes, what it costs, and how it fails."""

import dataclasses
import re

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.deploy import emulator, export, verify
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.emulator import MACHINES, Emulator, Region, machine_of
from kanji_np.deploy.kernels import ccore_directory
from kanji_np.deploy.project import read_manifest
from kanji_np.deploy.staging import stage_firmware
from kanji_np.errors import OptionError, ToolError, VerificationError

from .networks import (
    STRICT,
    image,
    legacy,
    legacy_plain,
    noise,
    only_dense,
    only_flatten,
    standardized,
)

CORES = list(MACHINES)


def unnamed():
    """Of the name that a network has by default."""
    return kj.Sequential([kj.Conv2D(3, 2), kj.Flatten()], (5, 4, 2))


@pytest.fixture
def dense_firmware(tmp_path):
    return export(only_dense(), tmp_path / "firmware")


@pytest.fixture
def emulate(tmp_path):
    """The emulator of a firmware on a core."""

    def emulate(net, core, folder="build"):
        graph, machine = net.freeze(), MACHINES[core]
        sources = stage_firmware(
            tmp_path / "firmware",
            program(graph),
            read_manifest(tmp_path / "firmware"),
            machine.core_class,
            None,
            tmp_path / folder,
        )
        return Emulator(machine, graph, sources)

    return emulate


@pytest.mark.parametrize("core", CORES)
def test_every_core_computes_what_the_model_does(core, image_firmware):
    images = noise(image(), 6)
    result = verify(image_firmware.directory, images, on=core)
    assert result.ok and result.differing_bytes == 0
    assert result.bytes == 6 * image().freeze().output.size
    device = result.device
    assert (device.core, device.machine) == (core, MACHINES[core].name)
    assert re.fullmatch(r"arm-none-eabi-gcc \d+\.\d+\.\d+", device.compiler)
    assert device.arena_bytes == device.ram_bytes == image_firmware.arena_bytes
    code_bytes = device.flash_bytes - image_firmware.const_bytes
    assert 2_000 < code_bytes < 20_000
    assert 64 < device.stack_bytes < 2_000
    macs = image_firmware.macs
    assert macs < device.min_instructions <= device.max_instructions < 50 * macs
    classes = f"class dsp, {core} is {MACHINES[core].core_class}"
    assert result.note.endswith(classes) == (MACHINES[core].core_class != "dsp")


@pytest.mark.parametrize(
    ("build", "on"),
    [
        (standardized, "m4"),
        (only_flatten, "m4"),
        (unnamed, "m4"),
        (legacy, "m4"),
        (legacy_plain, "m3"),
        (legacy_plain, "m55"),
    ],
)
def test_other_networks(build, on, tmp_path):
    export(build(), tmp_path)
    result = verify(tmp_path, noise(build(), 3), on=on)
    assert result.ok and result.device.core == f"cortex-{on}"
    assert result.note == "" or build is standardized


@pytest.mark.parametrize(
    ("build", "on", "own", "other"),
    [
        (legacy, "m3", "dsp", "c"),
        (legacy, "m55", "dsp", "c"),
        (legacy_plain, "m4", "c", "dsp"),
    ],
)
def test_the_wrong_core_is_told_by_its_average_pool(build, on, own, other, tmp_path):
    net = build()
    export(net, tmp_path)
    result = verify(tmp_path, noise(net, 3), on=on, layers=True)
    assert net.layers[result.first.layer - 1].op.name == "avg_pool2d"
    assert result.first.on == f"cortex-{on}"
    differ = [layer.name for layer in result.layers if layer.device_differing]
    assert differ[0] == result.first.name
    assert not any(layer.host_differing for layer in result.layers)
    end = f"the firmware is for core class {own}, cortex-{on} is {other}"
    assert result.note == end


@pytest.mark.parametrize("core", CORES)
def test_core_class_is_the_compilers(core, run):
    flags = MACHINES[core].flags
    lines = run("arm-none-eabi-gcc", *flags, "-dM", "-E", "-", stdin=0).splitlines()
    macros = dict(line.split(" ", 2)[1:] for line in lines)
    mve = int(macros.get("__ARM_FEATURE_MVE", 0)) & 1
    dsp = int(macros.get("__ARM_FEATURE_DSP", 0))
    assert MACHINES[core].core_class == ("mve" if mve else "dsp" if dsp else "c")


# Figures


# Two instructions each time round, as often as the first input byte says.
LOOP = """
    {{
        int32_t n = 1 + {} * input[0];

        __asm volatile(
            ".syntax unified\\n1: subs %0, #1\\n\\tbne 1b" : "+l"(n) : : "cc");
    }}
"""


# The clock wraps every 10 million instructions or so; then an interrupt counts.
@pytest.mark.parametrize(
    ("core", "iterations", "tolerance"),
    [*((core, 1_000, 1) for core in CORES), ("cortex-m4", 400_000, 100)],
)
def test_instructions_of_a_known_loop(core, iterations, tolerance, emulate, tmp_path):
    export(only_flatten(), tmp_path / "firmware")
    path = tmp_path / "firmware" / "only_flatten.c"
    head, rest = path.read_text().split("    (void)arena;\n")
    path.write_text(f"{head}    (void)arena;\n{LOOP.format(iterations)}{rest}")
    images = np.zeros((3, 2, 3, 4), np.int8)
    images[:, 0, 0, 0] = 0, 50, 100
    emulated = emulate(only_flatten(), core)
    counts = emulated.instructions(images, observe=False)[0]
    assert np.abs(np.diff(counts) - 2 * 50 * iterations).max() <= tolerance


def test_counts_are_the_same_every_time(image_firmware, emulate):
    images, emulated = noise(image(), 2), emulate(image(), "cortex-m7")
    for observe in (False, True):
        first, second = (
            emulated.instructions(images, observe=observe) for _ in range(2)
        )
        assert {k: v.tolist() for k, v in first.items()} == {
            k: v.tolist() for k, v in second.items()
        }
    assert emulated.measure(images) == emulated.measure(images)


def test_stack_of_run_is_seen(image_firmware, edit):
    source = image_firmware.directory / "image.c"
    images = noise(image(), 1)
    before = verify(image_firmware.directory, images, on="m3").device
    edit(
        source,
        "int8_t *const base = arena;\n",
        "int8_t *const base = arena;\n    volatile int8_t deep[5000];\n\n"
        "    deep[0] = 0;\n    (void)deep[0];\n",
    )
    after = verify(image_firmware.directory, images, on="m3").device
    assert 4_900 <= after.stack_bytes - before.stack_bytes <= 5_100
    assert after.arena_bytes == before.arena_bytes


def test_variables_are_counted_apart_from_the_arena(image_firmware):
    source = image_firmware.directory / "image.c"
    source.write_text(
        source.read_text() + "volatile int32_t image_zero[25], image_set[5] = {1};\n"
        "int32_t image_keep(void);\n"
    )
    text = source.read_text().replace(
        "int8_t *const base = arena;\n",
        "int8_t *const base = arena;\n    image_zero[1] = image_set[1];\n",
    )
    declaration = "extern volatile int32_t image_zero[25], image_set[5];\n"
    source.write_text(
        text.replace("int32_t image_run(", f"{declaration}int32_t image_run(")
    )
    device = verify(image_firmware.directory, noise(image(), 1), on="m33").device
    assert 120 <= device.static_bytes <= 136
    assert device.ram_bytes == device.arena_bytes + device.static_bytes
    assert device.arena_bytes == image_firmware.arena_bytes


# Layers


def test_layers_are_compared_and_counted(image_firmware):
    images, graph = noise(image(), 5), image().freeze()
    result = verify(image_firmware.directory, images, on="cortex-m55", layers=True)
    assert result.ok
    assert [(r.number, r.name, r.op) for r in result.layers] == [
        (i, node.name, node.op) for i, node in enumerate(graph.nodes, 1)
    ]
    for row, node in zip(result.layers, graph.nodes, strict=True):
        works = node.op != "flatten"
        assert row.bytes == works * 5 * node.output.size
        assert (row.host_differing, row.device_differing) == (0, 0)
        assert (row.instructions is not None) == works
        assert not works or row.instructions > graph.cost(node).macs
    total = sum(row.instructions or 0 for row in result.layers)
    assert 0.99 < total / result.device.max_instructions <= 1.001


def test_layers_on_the_host(image_firmware):
    seen = []
    result = verify(
        image_firmware.directory,
        noise(image(), 5),
        layers=True,
        progress=lambda *n: seen.append(n),
    )
    assert result.ok and result.device is None and seen[-1] == (10, 10)
    assert {(r.device_differing, r.instructions) for r in result.layers} == {
        (None, None)
    }


def test_altered_data_is_found_and_its_layer_named(image_firmware):
    path = image_firmware.directory / "image_data.c"
    head, rest = path.read_text().split("image_conv2_weight[180] = {\n")
    old = re.match(r"\s*(-?\d+),", rest)
    changed = rest.replace(old[0], f"    {-int(old[1]) or 99},", 1)
    path.write_text(f"{head}image_conv2_weight[180] = {{\n{changed}")
    result = verify(image_firmware.directory, noise(image(), 30), on="m4", layers=True)
    assert not result.ok
    assert (result.first.layer, result.first.name) == (5, "conv2")
    assert ": the C on cortex-m4 computes " in str(result.first)
    for row in result.layers:
        assert row.device_differing == row.host_differing
        assert row.number != 5 or row.device_differing > 0
        assert row.number >= 5 or row.device_differing == 0


def test_a_layer_that_differs_is_found_although_the_output_does_not(
    image_firmware, edit
):
    """The wrong byte is made only where layers are observed."""
    wrong = """\
#ifdef IMAGE_OBSERVE
    base[CONV1_Y] ^= 1;
    OBSERVE(2, base + CONV1_Y, 715);
    base[CONV1_Y] ^= 1;
#else
"""
    line = "    OBSERVE(2, base + CONV1_Y, 715);\n"
    edit(image_firmware.directory / "image.c", line, f"{wrong}{line}#endif\n")
    result = verify(image_firmware.directory, noise(image(), 3), on="m3", layers=True)
    assert result.differing_bytes == 0 and not result.ok
    assert (result.first.name, result.first.index) == ("conv1", (0, 0, 0))
    assert sum(row.device_differing for row in result.layers) == 3


# Libraries


@pytest.fixture
def real_library(tmp_path):
    """A stand-in for CMSIS-NN, laid out as it is: ccore, whose functions it has."""
    library, ccore = tmp_path / "library", ccore_directory()
    (library / "Source" / "Functions").mkdir(parents=True)
    (library / "Include").mkdir()
    header = (ccore / "Include" / "kanji_nn.h").read_text()
    ours = re.findall(r"\b(kanji_\w+)\(", header)  # no library has them
    for path in [*ccore.glob("Include/*.h"), *ccore.glob("Source/*.c")]:
        if path.suffix == ".h" or path.stem not in ours:
            folder = {".h": "Include", ".c": "Source/Functions"}[path.suffix]
            (library / folder / path.name).write_bytes(path.read_bytes())
    (library / "Source" / "Functions" / "unused.c").write_text("#error not needed\n")
    return library


@pytest.mark.parametrize("exported", ["ccore", "cmsis-nn"])
def test_either_library_is_linked(exported, real_library, tmp_path):
    here, images = tmp_path / "firmware", noise(only_dense(), 3)
    export(only_dense(), here, library=exported)
    before = sorted(here.rglob("*"))
    (real_library / "Include" / "arm_nnfunctions.h").write_text(
        '#define REAL 1\n#include "arm_nn_types.h"\n'
        + (ccore_directory() / "Include" / "arm_nnfunctions.h").read_text()
    )
    options = {"library": "cmsis-nn", "cmsis_nn": real_library}
    (here / "only_dense.c").write_text(
        (here / "only_dense.c").read_text() + "#ifndef REAL\n#error ccore\n#endif\n"
    )
    assert verify(here, images, on="m3", **options).ok
    with pytest.raises(ToolError, match="#error ccore"):
        verify(here, images, on="m3", library="ccore")
    assert sorted(here.rglob("*")) == before


def test_too_little_scratch_is_told_by_the_core(image_firmware):
    path = image_firmware.directory / "image.c"
    path.write_text(
        re.sub(
            r"CONV1_SCRATCH_BYTES = \d+", "CONV1_SCRATCH_BYTES = 3", path.read_text()
        )
    )
    with pytest.raises(VerificationError) as error:
        verify(image_firmware.directory, noise(image(), 2), on="m4")
    assert str(error.value) == (
        "cortex-m4 (mps2-an386): layer 2 (conv1) wants more scratch memory than a "
        "firmware for core class dsp has"
    )


# Failures


@pytest.mark.parametrize(
    ("core", "statement", "said"),
    [
        (
            "cortex-m3",
            "*(volatile int *)0x90000000 = 1;",
            r"HardFault in image 0, in run_dense1 \(pc 0x[0-9a-f]{8}\): access to no "
            "memory of 0x90000000",
        ),
        (
            "cortex-m0plus",
            "int *volatile odd = (int *)0x20000001; *odd = 1;",
            "in run_dense1 .*: unaligned access",
        ),
        ("cortex-m55", '__asm volatile("udf #0");', "in run_dense1 .*: undefined"),
        ("cortex-m4", "((void (*)(void))0x20000000)();", "no code"),
        (
            "cortex-m33",
            "volatile char big[40000]; big[0] = 1;",
            "stack overflow in image 0, beyond 32,768 bytes",
        ),
    ],
)
def test_a_fault_ends_in_one_line(core, statement, said, dense_firmware):
    path = dense_firmware.directory / "only_dense.c"
    head, rest = path.read_text().split("run_dense1(", 1)
    body, rest = rest.split("{\n", 1)
    noinline = "__attribute__((noinline)) static arm_cmsis_nn_status run_dense1("
    head = head.removesuffix("static arm_cmsis_nn_status ") + noinline
    path.write_text(f"{head}{body}{{\n    {statement}\n{rest}")
    with pytest.raises(VerificationError) as error:
        verify(dense_firmware.directory, noise(only_dense(), 2), on=core)
    line = str(error.value)
    assert re.match(rf"{core} \(mps\S+\): .*{said}", line), line
    assert "\n" not in line


def test_the_image_that_fails_is_named(dense_firmware, edit, monkeypatch):
    monkeypatch.setattr(emulator, "MAX_CHUNK", 2)
    images = noise(only_dense(), 6)
    images[:, 0] = 0, 1, 2, 3, 4, 5
    stop = "    if (input[0] == 3) return 7;\n"
    edit(
        dense_firmware.directory / "only_dense.c",
        "    (void)arena;\n",
        f"    (void)arena;\n{stop}",
    )
    with pytest.raises(VerificationError, match="image 3: only_dense_run returned 7$"):
        verify(dense_firmware.directory, images, on="m3")


def test_an_endless_loop_is_ended(dense_firmware, edit, monkeypatch):
    monkeypatch.setattr(emulator, "SECONDS_AT_LEAST", 1)
    edit(
        dense_firmware.directory / "only_dense.c",
        "(void)arena;\n",
        "(void)arena;\n    for (;;) {}\n",
    )
    with pytest.raises(VerificationError, match=r"cortex-m3 .*: no end after 1 s$"):
        verify(dense_firmware.directory, noise(only_dense(), 1), on="m3")


def test_refused_arguments_name_the_layer(image_firmware):
    path = image_firmware.directory / "image.c"
    head, rest = path.read_text().split("run_pool2(", 1)
    path.write_text(f"{head}run_pool2({rest.replace('.n = 1', '.n = 0', 1)}")
    with pytest.raises(VerificationError, match="image 0: image_run returned 6$"):
        verify(image_firmware.directory, noise(image(), 2), on="m3")


def test_an_emulator_that_does_not_start_is_quoted(dense_firmware, monkeypatch):
    machine = dataclasses.replace(MACHINES["cortex-m3"], name="mps9")
    monkeypatch.setitem(MACHINES, "cortex-m3", machine)
    with pytest.raises(VerificationError, match="unsupported machine type"):
        verify(dense_firmware.directory, noise(only_dense(), 1), on="m3")


@pytest.mark.parametrize(
    ("region", "length", "said"),
    [
        ("code", 6_000, r"[\d,]+ bytes more than its 6,000 bytes of code memory"),
        ("ram", 34_000, r"[\d,]+ bytes more than its 34,000 bytes of RAM"),
    ],
)
def test_what_does_not_fit_is_said(region, length, said, image_firmware, monkeypatch):
    machine = MACHINES["cortex-m3"]
    origin = getattr(machine, region).origin
    small = dataclasses.replace(machine, **{region: Region(origin, length)})
    monkeypatch.setitem(MACHINES, "cortex-m3", small)
    with pytest.raises(ToolError, match=rf": does not fit mps2-an385: {said}$"):
        verify(image_firmware.directory, noise(image(), 1), on="m3")


def test_missing_tools(dense_firmware, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError) as error:
        verify(dense_firmware.directory, noise(only_dense(), 1), on="m4")
    line = str(error.value)
    assert line.startswith("arm-none-eabi-gcc is not installed: apt install ")
    assert "qemu-system-arm" in line and "\n" not in line


def test_cores_are_listed():
    assert machine_of("m33") is machine_of("cortex-m33") is MACHINES["cortex-m33"]
    with pytest.raises(OptionError, match=r"host or one of cortex-m0plus, .*got 'm0'$"):
        machine_of("m0")


def test_images_of_one_run_are_independent(image_firmware, emulate):
    images, emulated = noise(image(), 4), emulate(image(), "cortex-m4")
    run = emulated.program(observe=False)
    together = np.frombuffer(run(images, 0), np.int8).reshape(4, -1)
    backwards = np.frombuffer(run(images[::-1], 0), np.int8).reshape(4, -1)
    assert np.array_equal(together, backwards[::-1])


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m55"])
def test_start_up_and_runner_compile_without_a_warning(core, run, tmp_path):
    text = emulator.network_header(image().freeze(), observe=True, guarded=True)
    (tmp_path / "board_network.h").write_text(text)
    export(image(), tmp_path / "firmware")
    run(
        "arm-none-eabi-gcc", *MACHINES[core].flags, *STRICT, "-O2", f"-I{tmp_path}",
        f"-I{tmp_path / 'firmware'}", "-DIMAGE_OBSERVE", "-DIMAGE_GUARD", "-c",
        *(emulator.BOARD_FILES / file for file in emulator.RUNNER), cwd=tmp_path,
    )  # fmt: skip
