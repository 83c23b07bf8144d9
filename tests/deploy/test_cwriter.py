import re
import subprocess

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.deploy import export
from kanji_np.deploy.cwriter import program, write
from kanji_np.deploy.planner import Memory

from .networks import (
    STRICT,
    c_flags,
    image,
    legacy,
    legacy_plain,
    legacy_pool_first,
    mean_image,
    noise,
    standardized,
)

OWN_C = ("{0}.c", "{0}_data.c", "selftest.c", "host_runner.c")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_c_compiles_without_a_warning(compiler, net, firmware, run, tmp_path):
    sources = [firmware.directory / name.format(net.name) for name in OWN_C]
    flags = [*STRICT, "-O1", *c_flags(net, firmware.directory), "-c"]
    run(compiler, *flags, *sources, cwd=tmp_path)
    defines = [f"-D{net.name.upper()}_{macro}" for macro in ("OBSERVE", "GUARD")]
    own = (sources[0], *sources[2:])
    run(compiler, *defines, *flags, *own, cwd=tmp_path)


def test_header_is_c_plus_plus_too(net, firmware, run):
    run(
        "clang", "-x", "c++", "-std=c++98", "-Wall", "-Wextra", "-Werror",
        *c_flags(net, firmware.directory), "-fsyntax-only",
        firmware.directory / f"{net.name}.h",
    )  # fmt: skip


def test_lines_are_short_and_numbers_are_integers(net, firmware):
    for name in (f"{net.name}.h", *(n.format(net.name) for n in OWN_C)):
        text = (firmware.directory / name).read_text()
        assert max(map(len, text.splitlines())) <= 88
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert not re.search(r"\b(float|double|malloc)\b|\d\.\d", code)


def test_constant_bytes_are_those_in_the_object(net, firmware, run, tmp_path):
    source = firmware.directory / f"{net.name}_data.c"
    run("gcc", "-std=c99", "-c", source, "-o", tmp_path / "data.o")
    listing = run("nm", "-S", tmp_path / "data.o")
    symbols = [line.split() for line in listing.splitlines()]
    assert {kind for _, _, kind, _ in symbols} <= {"R"}
    assert sum(int(size, 16) for _, size, _, _ in symbols) == firmware.const_bytes
    graph = net.freeze()
    costs = [graph.cost(node) for node in graph.nodes]
    assert sum(cost.flash_bytes for cost in costs) == firmware.const_bytes
    assert sum(cost.macs for cost in costs) == firmware.macs


GUARDED = """
#include <stdio.h>
#include <string.h>
#include "mean_image.h"
#define GUARD 64
#define END (GUARD + MEAN_IMAGE_ARENA_BYTES)
static uint8_t memory[END + GUARD] __attribute__((aligned(16)));
static uint8_t input[MEAN_IMAGE_INPUT_BYTES];
static int8_t output[MEAN_IMAGE_OUTPUT_BYTES + GUARD];

int main(void)
{
    int pattern, touched = 0;
    for (pattern = 0; pattern < 256; pattern += 85)
    {
        int i;
        memset(memory, pattern, sizeof memory);
        memset(output, pattern, sizeof output);
        if (fread(input, 1, sizeof input, stdin) != sizeof input
            || mean_image_run(input, output, memory + GUARD) != 0)
        {
            return 1;
        }
        for (i = 0; i < GUARD; i++)
        {
            if (memory[i] != pattern || memory[END + i] != pattern
                || (uint8_t)output[MEAN_IMAGE_OUTPUT_BYTES + i] != pattern)
            {
                return 2;
            }
        }
        touched |= memory[END - 1] != pattern;
    }
    printf("%d %d %d %d %d\\n", touched, (int)mean_image_run(NULL, output, memory),
           (int)mean_image_run(input, NULL, memory),
           (int)mean_image_run(input, output, NULL),
           (int)mean_image_run(input, output, memory + 8));
    return 0;
}
"""


def test_arena_is_touched_to_its_last_byte_and_no_further(run, tmp_path):
    net, here = mean_image(), tmp_path / "firmware"
    firmware = export(net, here)
    p = program(net.freeze())
    ends = [offset + need.size for offset, need in p.plan.tensors.values()]
    assert max(ends) == firmware.arena_bytes
    (tmp_path / "guarded.c").write_text("#include <stddef.h>" + GUARDED)
    sources = [tmp_path / "guarded.c", *here.glob("mean_image*.c")]
    kernels = (here / "ccore/Source").glob("*.c")
    run(
        "gcc", "-std=c99", "-O1", *c_flags(net, here), *sources, *kernels, "-o",
        tmp_path / "guarded",
    )  # fmt: skip
    (tmp_path / "images").write_bytes(noise(net, 4).tobytes())
    with open(tmp_path / "images", "rb") as images:
        assert run(tmp_path / "guarded", stdin=images).split() == ["1", *["-1"] * 4]


def test_layers_of_any_name_get_c_names():
    names = program(standardized().freeze()).names
    assert names == ("switch", "layer2", "layer3", "layer4", "flatten1")


def chain(name, *layers, **options):
    """A network of 1x1 convolutions of these names, the first of another scratch."""
    made = [kj.Conv2D(4, 3, padding="same", name=layer) for layer in layers]
    return kj.Sequential(made, (5, 5, 4), name=name, **options)


#: Networks whose names, or layers whose names, are those of others somewhere in the C.
HOSTILE = (
    chain("int", "_x", "layer2", "LAYER2", "layer1", "Layer1", "layer2_"),
    chain("run", "check", "guard", "scratch", "a", "a_weight", "data", "run", "run_a"),
    chain(
        "wanted", "wanted", "a", "a_bias", "OBSERVE", "null", "eof", "main", "stdint"
    ),
    chain("no", "const", "cmsis_nn", "arm", "fits", "int", "while", "base", "arena"),
    chain(
        "conv", "conv", "conv_conv", "x", "y", "ctx", "class", "scratch_bytes", "TRY"
    ),
)


@pytest.mark.parametrize("net", HOSTILE, ids=lambda net: net.name)
def test_hostile_names_compile(net, run, tmp_path):
    firmware = export(net, tmp_path)
    names = program(net.freeze()).names
    assert len({*names}) == len(names)
    macros = [f"-D{net.name.upper()}_{macro}" for macro in ("OBSERVE", "GUARD")]
    sources = [firmware.directory / f.format(net.name) for f in OWN_C]
    flags = c_flags(net, tmp_path)
    run("gcc", *STRICT, *flags, *macros, "-fsyntax-only", *sources)
    run("gcc", *STRICT, *flags, "-fsyntax-only", *sources)


def test_a_second_name_is_found_where_the_first_is_taken():
    nets = {net.name: program(net.freeze()).names for net in HOSTILE}
    assert nets["int"] == ("layer1", "layer2", "layer3", "layer4", "layer5", "layer2_")
    assert nets["run"][:5] == ("layer1", "layer2", "layer3", "a", "layer5")
    assert nets["no"][1] == "layer2"
    fallback = program(chain("net", "layer2", "_x", "layer2_").freeze()).names
    assert fallback == ("layer2", "layer2_", "layer3")


def test_output_goes_straight_to_the_caller(net):
    p = program(net.freeze())
    assert p.plan.memory[-1] is Memory.OUTPUT
    copies = [n.name for n, c in zip(p.graph.nodes, p.plan.copies, strict=True) if c]
    expected = {
        "relu_first": ["relu1"],
        "only_relu": ["relu1"],
        "only_flatten": ["flatten2"],
        "residual": ["relu1"],  # what it is made from is read again
    }
    assert copies == expected.get(net.name, [])


@pytest.mark.parametrize(
    ("build", "macros", "message"),
    [
        (image, ["CMSIS_NN_USE_SINGLE_ROUNDING"], "built without CMSIS_NN_USE_SINGLE"),
        (legacy, ["ARM_NN_TRUNCATE", "ARM_MATH_DSP"], "built without ARM_NN_TRUNCATE"),
        (legacy, [], "built for a Cortex-M4, M7, M33"),
        (legacy_plain, [], "built with ARM_NN_TRUNCATE"),
        (
            legacy_plain,
            ["ARM_NN_TRUNCATE", "ARM_MATH_DSP"],
            "built for a Cortex-M0, M3, M55, M85",
        ),
    ],
)
def test_another_build_of_the_library_is_refused(build, macros, message, tmp_path):
    net = build()
    export(net, tmp_path)
    includes = [f for f in c_flags(net, tmp_path) if f.startswith("-I")]
    command = ["gcc", *includes, *(f"-D{m}" for m in macros), "-fsyntax-only"]
    source = tmp_path / f"{net.name}.c"
    done = subprocess.run([*command, source], capture_output=True, text=True)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_network_without_library_calls_takes_any_build_of_it(tmp_path):
    layers = [kj.Normalize((125, 123, 114)), kj.Flatten()]
    net = kj.Sequential(layers, (4, 4, 3), target="cmsis-nn-q7", name="plain")
    export(net, tmp_path, library="cmsis-nn")
    includes = [f"-I{tmp_path / folder}" for folder in ("", "ccore/Include")]
    command = ["gcc", *includes, "-fsyntax-only", tmp_path / "plain.c"]
    assert subprocess.run(command, check=False).returncode == 0


def test_an_input_that_would_be_destroyed_is_copied():
    p = program(legacy_pool_first().freeze())
    assert [*p.plan.inputs] == [0]
    source = write(p)["pool_first.c"]
    assert "memcpy(base + POOL1_X, input, 128);" in source
    assert "run_pool1(base + POOL1_X, base + POOL1_Y);" in source


def test_weight_sums_are_a_table_on_mve_cores():
    net = image().for_target(core="mve")
    p = program(net.freeze())
    tables = {name: c.values for name, c in p.constants() if "kernel_sums" in name}
    assert {*tables} == {"image_dense1_kernel_sums", "image_dense2_kernel_sums"}
    biases = {name: c.values for name, c in p.constants() if "bias" in name}
    np.testing.assert_array_equal(
        tables["image_dense2_kernel_sums"], biases["image_dense2_bias"]
    )  # the input has no zero point
    older = program(net.for_target(version="4.0.0").freeze())
    assert not any("kernel_sums" in name for name, _ in older.constants())


def test_names_of_classes_are_strings_of_c(run, tmp_path):
    """Whatever they are; a program that does not use them does not have them."""
    names = ('a "b"', "c:\\d", "??=", "æ\u00df日本", "7\x017", "%s\n", "", "ü" * 127)
    layers = [kj.Normalize(0), kj.Flatten(), kj.Dense(len(names))]
    net = kj.Sequential(layers, (4, 4, 1), name="named", classes=names)
    export(net, tmp_path / "firmware")
    header = (tmp_path / "firmware" / "named.h").read_text(encoding="ascii")
    assert max(map(len, header.splitlines())) <= 88
    (tmp_path / "main.c").write_text("""\
#include "named.h"
#include <stdio.h>

static const char *const names[NAMED_CLASSES] = NAMED_CLASS_NAMES;

int main(void)
{
    for (int i = 0; i < NAMED_CLASSES; i++)
    {
        puts(names[i]);
    }
    return 0;
}
""")
    flags = [*STRICT, *c_flags(net, tmp_path / "firmware")]
    run("gcc", *flags, "-trigraphs", "main.c", "-o", "main", cwd=tmp_path)
    printed = run(str(tmp_path / "main"))
    assert printed == "".join(f"{name}\n" for name in names)
    (tmp_path / "plain.c").write_text(
        '#include "named.h"\nint main(void) { return 0; }\n'
    )
    run("gcc", *flags, "plain.c", "-o", "plain", cwd=tmp_path)
    assert "日本".encode() not in (tmp_path / "plain").read_bytes()


def test_without_names_the_header_has_none(net, firmware):
    assert "CLASS" not in (firmware.directory / f"{net.name}.h").read_text()
