"""Predicted memory beside what the linker and the emulator report."""

import dataclasses
import json

import pytest
from deploy.networks import (
    branches,
    image,
    legacy,
    legacy_plain,
    noise,
    only_dense,
    only_flatten,
    relu_first,
    standardized,
)
from deploy.test_real_library import bundled
from layer_shapes import network

import kanji_np as kj
from kanji_np.cost import generated
from kanji_np.cost import memory as module
from kanji_np.cost.memory import FORMAT, TABLES, TOOLCHAIN, memory
from kanji_np.cost.picked import picked
from kanji_np.cost.provider import COUNTED, core_class_of
from kanji_np.deploy import export, verify
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.emulator import compiler
from kanji_np.deploy.kernels import DEFINED, ccore_directory
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.targets import target_spec
from kanji_np.targets.cmsis_nn.calls import dims
from kanji_np.types import KernelCall, Struct

REAL = ("cmsis-nn-7.0.0", "cmsis-nn-4.0.0", "cmsis-nn-q7-5.9.0")
ROUNDINGS = ("", module.OTHER_ROUNDING)


@pytest.mark.parametrize(
    ("build", "core"),
    [
        *((image, core) for core in COUNTED),
        (branches, "cortex-m0plus"),
        (branches, "cortex-m55"),
        (legacy, "cortex-m7"),
        (legacy_plain, "cortex-m3"),
        (only_dense, "cortex-m4"),
        (only_flatten, "cortex-m0plus"),
        (relu_first, "cortex-m0plus"),
        (standardized, "cortex-m33"),
    ],
)
def test_memory_is_what_the_linked_firmware_takes(build, core, tmp_path):
    net = build().for_target(core=core)
    export(net, tmp_path)
    device = verify(tmp_path, noise(net, 1), on=core).device
    made = memory(program(net.freeze()), "ccore", core)
    near = 0.01 if device.compiler == made.compiler else 0.15
    assert made.flash_bytes == pytest.approx(device.flash_bytes, rel=near, abs=32)
    assert made.static_bytes == device.static_bytes
    assert made.arena_bytes == device.arena_bytes >= made.lower_bound_bytes
    if device.compiler == made.compiler:
        assert 0 <= made.stack_bytes - device.stack_bytes <= 300
    assert made.const_bytes + made.code_bytes == made.flash_bytes
    assert made.ram_bytes == made.arena_bytes + made.static_bytes + (
        made.stack_bytes + made.input_bytes + made.output_bytes
    )


def test_stack_is_that_of_the_kernels_that_wrappers_pick(tmp_path):
    """Neither wrapper calls its deepest kernel here."""
    layers = [kj.Conv2D(6, 1, activation="relu"), kj.DepthwiseConv2D(3, padding="same")]
    target = kj.target_spec("cmsis-nn", core="cortex-m4", version="4.0.0")
    net = kj.Sequential(layers, (9, 7, 4), target=target)
    export(net, tmp_path, library="cmsis-nn")
    device = verify(
        tmp_path, noise(net, 1), on="m4", library="cmsis-nn", cmsis_nn=bundled()
    ).device
    made = memory(program(net.freeze()), "cmsis-nn", "cortex-m4")
    if device.compiler == made.compiler:
        assert 0 <= made.stack_bytes - device.stack_bytes <= 100


def shaped(function, core_class, **given):
    """What a wrapper of 7.0.0 picks for a 3x3 window over 8x8 cells of 4 channels."""
    axes = {"stride": 1, "padding": 1, "dilation": 1} | given
    params = "dw_conv_params" if "depthwise" in function else "conv_params"
    tiles = [
        Struct("cmsis_nn_tile", name, (("w", n), ("h", n))) for name, n in axes.items()
    ]
    fields = (("ch_mult", 1), *((tile.name, tile) for tile in tiles))
    arguments = (
        Struct("", params, fields),
        dims("input_dims", 1, 8, 8, 4),
        dims("filter_dims", 4, 3, 3, 4),
        dims("output_dims", 1, 8, 8, 4),
    )
    call = KernelCall(function, "arm_nnfunctions.h", arguments)
    return picked(call, "cmsis-nn-7.0.0", core_class)


def test_wrappers_pick_by_shape():
    convolve, depthwise = "arm_convolve_wrapper_s8", "arm_depthwise_conv_wrapper_s8"
    assert shaped(convolve, "dsp") == "arm_convolve_s8"
    assert shaped("arm_convolve_wrapper_s4", "dsp") == "arm_convolve_s4"
    assert shaped("arm_convolve_wrapper_s4", "mve") == "arm_convolve_even_s4"
    assert shaped(depthwise, "dsp") == "arm_depthwise_conv_3x3_s8"
    assert shaped(depthwise, "mve") == "arm_depthwise_conv_s8_opt"
    assert shaped(depthwise, "dsp", padding=2) == "arm_depthwise_conv_s8_opt"
    assert shaped(depthwise, "dsp", dilation=2) == "arm_depthwise_conv_s8"
    assert shaped("arm_max_pool_s8", "dsp") is None


@pytest.mark.parametrize("core", COUNTED)
@pytest.mark.parametrize("version", ["7.0.0", "4.0.0"])
def test_what_wrappers_pick_is_in_the_tables(core, version):
    target = target_spec("cmsis-nn", core=core, version=version)
    functions = module._code(f"cmsis-nn-{version}", core).functions
    found = set()
    for number in range(12):
        for call in generated.calls_of(program(network(number, target).outline())):
            kernel = picked(call, f"cmsis-nn-{version}", core_class_of(core, target))
            if kernel:
                row = functions[call.function]
                assert 0 < row.picks[kernel] <= row.stack
                found.add(kernel)
    assert len(found) >= 5


def test_the_other_rounding_has_code_of_its_own():
    net = image()
    sizes = {
        rounding: memory(
            program(net.for_target(rounding=rounding).freeze()), "ccore", "cortex-m4"
        ).code_bytes
        for rounding in ("double", "single")
    }
    assert sizes["single"] < sizes["double"]


@pytest.mark.parametrize("core", COUNTED)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_function_and_what_it_needs_is_in_the_tables(core, rounding):
    """A header's function that no kernel of the real library has is not asked for."""
    runtime = module._code(TOOLCHAIN, core).functions
    for provider in ("ccore", *REAL):
        functions = module._code(provider + rounding, core).functions
        for function in functions.values():
            assert {*function.needs} <= {*functions, *runtime}
            assert function.flash % module.ALIGNMENT == 0 <= function.stack
    sources = (
        path.read_text()
        for folder in ("Source", "legacy/Source")
        for path in (ccore_directory() / folder).glob("*.c")
    )
    named = {name for text in sources for name in DEFINED.findall(text)}
    assert named <= {*module._code("ccore" + rounding, core).functions}


def test_the_real_library_has_the_calls_of_every_network():
    for build in (image, branches, legacy, only_dense):
        for core in COUNTED:
            net = build().for_target(core=core)
            made = memory(program(net.freeze()), "cmsis-nn", core)
            assert made.code_bytes > 1000


def test_tables_say_where_they_come_from():
    paths = sorted(TABLES.glob("*.json"))
    assert len(paths) == len(COUNTED) * (2 + 2 * (1 + len(REAL)))
    for path in paths:
        table = json.loads(path.read_text())
        assert table["format"] == FORMAT
        assert path.stem == f"{table['provider']}-{table['core']}"
        assert table["compiler"].startswith("arm-none-eabi-gcc ")
        assert "-O2" in table["flags"] and table["script"].endswith(".py")


def test_cores_that_were_not_measured_count_as_one_that_was():
    made = program(image().freeze())
    assert memory(made, "ccore", "cortex-m85") == memory(made, "ccore", "cortex-m55")
    assert memory(made, "ccore", "hazard3") == memory(made, "ccore", "cortex-m3")
    with pytest.raises(OptionError, match="^core must be one of cortex-m0plus, "):
        memory(made, "ccore", "z80")
    with pytest.raises(OptionError, match="^library must be"):
        memory(made, "tflm", "cortex-m4")


def test_an_unknown_function_is_named():
    made = program(only_dense().freeze())
    ((call,),) = made.calls
    strange = dataclasses.replace(call, function="arm_fully_connected_s2")
    other = dataclasses.replace(made, calls=((strange,),))
    with pytest.raises(UnsupportedOp) as error:
        memory(other, "cmsis-nn", "cortex-m4")
    assert str(error.value) == (
        "arm_fully_connected_s2 of cmsis-nn-7.0.0: its code was not measured"
    )


def test_compiler_is_named():
    made = memory(program(image().freeze()), "ccore", "cortex-m4")
    assert made.compiler.split()[0] == compiler().split()[0]


def test_the_same_kernels_count_once():
    one, two = (
        kj.Sequential([kj.Dense(8, name=f"d{i}") for i in range(n)], (8,))
        for n in (1, 2)
    )
    sizes = [memory(program(n.freeze()), "ccore", "cortex-m4") for n in (one, two)]
    more = sizes[1].flash_bytes - sizes[0].flash_bytes
    tables = 8 * 8 + 8 * 4
    structs = generated.struct_bytes(program(one.freeze()))
    assert tables + structs < more <= tables + structs + 160
