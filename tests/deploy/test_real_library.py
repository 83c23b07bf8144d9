"""Exported firmware against the real CMSIS-NN, compiled for emulated cores.

The s8 kernels of version 4.0.0 (convolution, depthwise convolution, fully connected,
pooling) come inside the package `bakenn`. Environment variables name others:

CMSIS_NN_PATH   a whole CMSIS-NN: v4.0.0, v7.0.0, or a commit after it up to v7.0.0+43
CMSIS_5_PATH    a CMSIS 5 with CMSIS/NN (5.9.0), for the legacy API
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

import kanji_np as kj
from kanji_np.deploy import export, verify
from kanji_np.errors import UnsupportedOp, VerificationError

from .networks import (
    CORE_CLASSES,
    NETWORKS,
    image,
    legacy,
    legacy_plain,
    noise,
    only_dense,
    scratchy,
)


def bundled() -> Path:
    """CMSIS-NN 4.0.0 in `bakenn`."""
    spec = find_spec("bakenn")
    assert spec and spec.submodule_search_locations, "bakenn is needed by these tests"
    package = Path(spec.submodule_search_locations[0])
    return package / "backend" / "cmsis_nn" / "vendor" / "cmsis_nn"


def version_of(directory: Path) -> str:
    """The library cannot be asked; weight sums came between the two that are known."""
    header = (directory / "Include" / "arm_nnfunctions.h").read_text()
    return "7.0.0" if "arm_vector_sum_s8" in header else "4.0.0"


def plain() -> kj.Sequential:
    """The operators that every copy of the library has, as `image` uses them."""
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(5, (3, 2), strides=(2, 1), padding="same", activation="relu"),
        kj.MaxPool2D(3, 2, padding="same"),
        kj.Conv2D(4, 3, padding="same", dilation_rate=2, activation="relu"),
        kj.DepthwiseConv2D(3, padding="same"),
        kj.DepthwiseConv2D((2, 3), strides=(1, 2), depth_multiplier=2),
        kj.AvgPool2D(2, ceil_mode=False),
        kj.Conv2D(16, 1),
        kj.Flatten(),
        kj.Dense(7, activation="relu"),
        kj.Dense(5),
    ]
    return kj.Sequential(layers, (26, 11, 3), name="plain")


def row() -> kj.Sequential:
    """One row of pixels, for which the library has a kernel of its own."""
    layers = [
        kj.Conv2D(8, (1, 3), padding="same"),
        kj.Conv2D(4, (1, 4), strides=(1, 2), padding="same", activation="relu"),
        kj.Conv2D(6, (1, 3), padding="same"),
    ]
    return kj.Sequential(layers, (1, 24, 4), name="row")


def int4() -> kj.Sequential:
    """int4 weights, in odd and even numbers, of every kernel that all cores share."""
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(5, (3, 2), strides=(2, 1), padding="same", weight_bits=4),
        kj.Conv2D(7, 3, padding="same", activation="relu", weight_bits=4),
        kj.Conv2D(6, 2, dilation_rate=(1, 2), weight_bits=4),
        kj.Conv2D(9, 1, weight_bits=4),
        kj.Conv2D(8, 1, strides=2, activation="relu", weight_bits=4),
        kj.Flatten(),
        kj.Dense(33, activation="relu", weight_bits=4),
        kj.Dense(5, weight_bits=4),
    ]
    return kj.Sequential(layers, (26, 11, 3), scheme="asymmetric", name="int4")


def int4_row() -> kj.Sequential:
    """The same of one row of pixels."""
    layers = [
        kj.Conv2D(8, (1, 3), padding="same", weight_bits=4),
        kj.Conv2D(4, (1, 4), strides=(1, 2), padding="same", weight_bits=4),
        kj.Conv2D(6, (1, 5), (1, 2), "same", activation="relu", weight_bits=4),
    ]
    return kj.Sequential(layers, (1, 24, 4), scheme="symmetric", name="int4_row")


def int4_depthwise() -> kj.Sequential:
    """int4 depthwise convolutions."""
    layers = [
        kj.DepthwiseConv2D(3, padding="same", weight_bits=4),
        kj.DepthwiseConv2D((2, 3), 2, "same", activation="relu", weight_bits=4),
        kj.Conv2D(6, 1, weight_bits=4),
        kj.DepthwiseConv2D(3, padding="same", dilation_rate=2, weight_bits=4),
        kj.DepthwiseConv2D((2, 1), depth_multiplier=3, weight_bits=4),
        kj.DepthwiseConv2D(1, weight_bits=4),
    ]
    scheme = "asymmetric"
    return kj.Sequential(layers, (13, 9, 5), scheme=scheme, name="int4_depthwise")


def per_channel() -> kj.Sequential:
    """Dense layers with a scale for each output."""
    layers = [kj.Dense(33, activation="relu"), kj.Dense(9), kj.Dense(1)]
    return kj.Sequential(layers, (70,), scheme="asymmetric", name="per_channel")


WHOLE = os.environ.get("CMSIS_NN_PATH")
LEGACY = os.environ.get("CMSIS_5_PATH")
S8 = Path(WHOLE) if WHOLE else bundled()
VERSION = version_of(S8)
S8_NETWORKS = (plain, row)
if WHOLE:
    S8_NETWORKS += tuple(n for n in NETWORKS if n().target.library == "cmsis-nn")
if VERSION != "4.0.0":
    S8_NETWORKS += (int4, int4_row, int4_depthwise, per_channel)
ROUNDINGS = ("double", "single") if WHOLE else ("double",)
#: Networks that are refused: int4 weights on cores with Helium, see the operators.
LACKING = [
    *((int4_depthwise, "cortex-m55", rounding) for rounding in ROUNDINGS),
    *((build, "cortex-m55", "single") for build in (int4, int4_row)),
]
#: Network, real library, core and rounding of every combination there is.
CASES = [
    (build, S8, core, rounding)
    for build in S8_NETWORKS
    for core in ("cortex-m4", "cortex-m55", *(["cortex-m3"] if WHOLE else []))
    for rounding in ROUNDINGS
    if (build, core, rounding) not in LACKING
]
if LEGACY:
    CASES += [
        (build, Path(LEGACY), core, rounding)
        for build, cores in (
            (legacy, ("cortex-m4", "cortex-m7", "cortex-m33")),
            (legacy_plain, ("cortex-m3", "cortex-m55")),
        )
        for core in cores
        for rounding in ("half_up", "truncate")
    ]


def one_channel() -> kj.Sequential:
    """On an M55 the second layer takes 160 bytes, on plain C cores 16."""
    layers = [
        kj.DepthwiseConv2D(1, depth_multiplier=4),
        kj.Conv2D(17, (1, 2), 3, "same"),
        kj.Flatten(),
    ]
    return kj.Sequential(layers, (1, 1, 3), core="mve", name="one_channel")


@pytest.mark.parametrize("core", CORE_CLASSES)
@pytest.mark.parametrize("on", ["host", "cortex-m3", "cortex-m4", "cortex-m55"])
def test_kernels_have_the_memory_they_want_wherever_they_run(core, on, tmp_path):
    net = scratchy(core).for_target(version=VERSION)
    firmware = export(net, tmp_path, library="cmsis-nn")
    result = verify(tmp_path, noise(net, 3), on=on, cmsis_nn=S8)
    assert result.ok, result.first
    if result.device:
        assert result.device.arena_bytes == firmware.arena_bytes


def test_nothing_is_overwritten_on_the_host(tmp_path):
    net = one_channel().for_target(version=VERSION)
    export(net, tmp_path, library="cmsis-nn")
    result = verify(tmp_path, noise(net, 60), cmsis_nn=S8, layers=True)
    assert result.ok, result.first


def test_a_table_that_only_another_core_class_has_is_missed_aloud(tmp_path):
    net, on = only_dense().for_target(version=VERSION), "m55"
    export(net, tmp_path, library="cmsis-nn")
    if VERSION == "4.0.0":  # sums weights by itself
        assert verify(tmp_path, noise(net, 1), on=on, cmsis_nn=S8).ok
        return
    with pytest.raises(
        VerificationError, match=r"layer 1 \(dense1\) wants .* class dsp"
    ):
        verify(tmp_path, noise(net, 1), on=on, cmsis_nn=S8)


@pytest.mark.parametrize(
    ("build", "library", "core", "rounding"),
    CASES,
    ids=[f"{b.__name__}-{core}-{rounding}" for b, _, core, rounding in CASES],
)
def test_every_layer_equals_the_model_on_the_core(
    build, library, core, rounding, tmp_path
):
    version = VERSION if library == S8 else None
    net = build().for_target(core=core, rounding=rounding, version=version)
    export(net, tmp_path, library="cmsis-nn", cmsis_nn=library)
    result = verify(tmp_path, noise(net, 4), on=core, cmsis_nn=library, layers=True)
    assert result.ok, result.first
    assert result.note == ""
    computed = [layer for layer in result.layers if layer.bytes]
    assert all(layer.device_differing == 0 for layer in computed)
    assert result.device.min_instructions > 0


def test_what_a_copy_lacks_is_said_at_export(tmp_path):
    net = image().for_target(version="4.0.0")
    with pytest.raises(UnsupportedOp, match="has no arm_relu_q7, arm_softmax_s8"):
        export(net, tmp_path, library="cmsis-nn", cmsis_nn=bundled())
