"""CMSIS-NN's depthwise convolution: scratch memory, and what 16 bits do not hold."""

import pytest

from kanji_np.errors import UnsupportedOp
from kanji_np.targets import target_spec
from kanji_np.targets.cmsis_nn.depthwise import check_kernel, scratch_bytes
from kanji_np.window import Window

#: Core classes and versions that differ in the scratch memory they need.
SCRATCH_KEYS = (
    ("c", "7.0.0"),
    ("dsp", "7.0.0"),
    ("dsp", "4.0.0"),
    ("mve", "7.0.0"),
    ("mve", "4.0.0"),
)


def scratch(window, channels, multiplier=1, bits=8, **key):
    """Of a 9x9 input."""
    shape = (9, 9, channels)
    return scratch_bytes(
        shape, window.over(shape), multiplier, bits, target_spec(**key)
    )


@pytest.mark.parametrize(
    ("window", "shape", "multiplier"),
    [
        (Window((1, 1)), (1, 1, 65_536), 1),
        (Window((1, 1)), (1, 1, 32_768), 2),
        (
            Window((1, 1), (1, 9000), padding=((0, 0), (0, 32_767))),
            (1, 20_000, 1),
            1,
        ),
        (
            Window((1, 1), (9000, 1), padding=((0, 32_767), (0, 0))),
            (20_000, 1, 1),
            1,
        ),
    ],
)
def test_what_16_bits_do_not_hold_is_refused(window, shape, multiplier):
    g = window.over(shape)
    with pytest.raises(UnsupportedOp, match="65535 channels .* 32767 cells before"):
        check_kernel("f", multiplier, 8, shape, g, target_spec())


def same(kernel, dilation=(1, 1)):
    return Window(kernel, dilation=dilation, padding="same")


@pytest.mark.parametrize(
    ("window", "multiplier", "bits", "channels", "expected"),
    [
        (same((3, 3)), 1, 8, 20, (0, 0, 360, 4464, 4464)),
        (
            Window((3, 3), padding=((2, 0), (1, 1))),
            1,
            8,
            20,
            (0, 360, 360, 4464, 4464),
        ),
        (same((1, 5)), 1, 8, 200, (0, 2000, 2000, 2480, 2480)),
        (same((3, 3)), 2, 8, 20, (0, 0, 0, 0, 0)),
        (same((3, 3), (1, 2)), 1, 8, 20, (0, 0, 0, 0, 0)),
        (same((3, 3)), 5, 8, 1, (0, 0, 0, 64 + 45, 64 + 45)),
        (same((3, 3)), 1, 4, 20, (360, 360, 360)),
        (same((3, 3)), 2, 4, 20, (0, 0, 0)),
    ],
    ids=str,
)
def test_scratch_memory(window, multiplier, bits, channels, expected):
    found = [
        scratch(window, channels, multiplier, bits, core=core, version=version)
        for core, version in SCRATCH_KEYS[: len(expected)]
    ]
    assert tuple(found) == expected


@pytest.mark.parametrize("core", ["c", "dsp", "mve"])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("multiplier", [1, 2, 5])
def test_4_0_0_has_the_scratch_memory_of_7_0_0(core, channels, multiplier):
    """Firmware may link ccore, which asks for what 7.0.0 asks for."""
    for kernel in ((3, 3), (1, 2), (2, 2)):
        v7, v4 = (
            scratch(same(kernel), channels, multiplier, core=core, version=version)
            for version in ("7.0.0", "4.0.0")
        )
        assert v7 <= v4
