"""Targets: names of cores, defaults, versions."""

import numpy as np
import pytest
import small

import kanji_np as kj
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.targets import LIBRARIES, check_calls, release_of, target_spec
from kanji_np.types import KernelCall


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "cmsis-nn/7.0.0/dsp/double"),
        ({"core": "cortex-m0"}, "cmsis-nn/7.0.0/c/double"),
        ({"core": "mve", "version": "4.0.0"}, "cmsis-nn/4.0.0/mve/double"),
        ({"rounding": "single"}, "cmsis-nn/7.0.0/dsp/single"),
        ({"target": "cmsis-nn-q7"}, "cmsis-nn-q7/5.9.0/dsp/half_up"),
        (
            {"target": "cmsis-nn-q7", "core": "cortex-m85", "rounding": "truncate"},
            "cmsis-nn-q7/5.9.0/mve/truncate",
        ),
        ({"target": "tflm"}, "tflm/0.dev20261023/dsp/mixed"),
        ({"target": "litert", "core": "cortex-m0"}, "litert/2.3.0/c/mixed"),
        ({"target": "xnnpack"}, "xnnpack/2.3.0/dsp/mixed"),
    ],
)
def test_a_target_is_named_in_parts(options, text):
    assert str(target_spec(**options)) == text


def test_a_part_of_a_target_is_replaced():
    spec = target_spec("cmsis-nn", core="mve", rounding="single")
    assert str(target_spec(spec, core="c")) == "cmsis-nn/7.0.0/c/single"
    assert target_spec(spec) == spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "tflite"}, "target must be one of cmsis-nn, cmsis-nn-q7, tflm, "),
        ({"core": "cortex-a53"}, "core must be one of c, dsp, mve, cortex-m0, "),
        ({"rounding": "half_up"}, "rounding of cmsis-nn must be one of double, single"),
        ({"version": "9"}, "version must be one of 7.0.0, 4.0.0; got '9'"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(options, message):
    with pytest.raises(OptionError, match=message):
        target_spec(**options)


def test_numerics_follow_from_the_four_facts():
    dsp, c, mve = (target_spec("cmsis-nn-q7", core=x) for x in ("dsp", "c", "mve"))
    assert dsp.numerics.average == "toward_zero_twice"
    assert c.numerics == mve.numerics
    assert c.numerics.average == "toward_zero"
    assert (c.numerics.rounding, c.numerics.bias_bits) == ("single", 8)
    cut = target_spec("cmsis-nn-q7", rounding="truncate")
    assert cut.numerics.rounding == "truncate"
    s8 = {target_spec("cmsis-nn", core=x).numerics for x in ("dsp", "c", "mve")}
    assert len(s8) == 1


def test_every_version_says_which_release_it_is():
    for library in LIBRARIES.values():
        assert set(library.releases) == set(library.versions)
    release = release_of(target_spec("cmsis-nn"))
    assert release.startswith("CMSIS-NN v7.0.0, and commits after it up to v7.0.0+43")


@pytest.mark.parametrize("runtime", ["tflm", "litert", "xnnpack"])
def test_a_network_for_a_runtime_runs_and_is_not_exported(runtime, tmp_path):
    net = small.small_net(target=runtime, scheme="asymmetric")
    images = small.images()
    net.calibrate(images)
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert again.target == net.target == target_spec(runtime)
    np.testing.assert_array_equal(again.predict(images), net.predict(images))
    refused = f"no C is generated for {runtime}, a runtime that reads .tflite files"
    with pytest.raises(UnsupportedOp, match=refused):
        kj.export(net, tmp_path / "firmware")
    assert not (tmp_path / "firmware").exists()
    twin = net.for_target("cmsis-nn")
    assert twin.target == target_spec("cmsis-nn")
    assert str(kj.cost_report(net)) == str(kj.cost_report(twin))


def test_functions_that_came_later_are_refused():
    (name, first), *_ = [
        item for item in LIBRARIES["cmsis-nn"].since.items() if item[1] == "7.0.0"
    ]
    calls = (KernelCall(name, "arm_nnfunctions.h", ()),)
    check_calls(target_spec("cmsis-nn"), calls)
    with pytest.raises(UnsupportedOp, match=f"4.0.0 has no {name}; it came with 7.0.0"):
        check_calls(target_spec("cmsis-nn", version="4.0.0"), calls)
