"""What holds of the table of operators as a whole."""

import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from conformance import Conformance

from kanji_np.errors import FileFormatError, OptionError
from kanji_np.ops import BUILT_IN, OPS
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.conv1d import Conv1DAttrs
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.normalize import NormalizeInts
from kanji_np.ops.op import attrs_from_json, attrs_text, attrs_to_json
from kanji_np.ops.pad import PadAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.softmax import SoftmaxAttrs


def test_every_operator_is_in_the_suite():
    files = {
        path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("*.py")
    }
    assert set(OPS) <= files
    assert all(name == op.name for name, op in OPS.items())
    assert Conformance.__subclasses__()


#: Operators of one input without parameters whose output has a range of its own.
TRACKED = {"hard_swish", "leaky_relu", "mean", "requantize", "with_constant"}


@pytest.mark.parametrize("name", [op.name for op in BUILT_IN])
def test_where_the_scale_of_the_output_comes_from(name):
    """Operators with parameters or several inputs track it; all others derive it, but
    for those that change the range."""
    op = OPS[name]
    tracks = op.weights is not None or op.inputs != 1 or name in TRACKED
    assert op.tracks_output == tracks
    assert op.lowerings


@pytest.mark.parametrize("data", [None, [], {}, {"more": 1}, {"pool_size": [2, 2]}])
def test_attributes_of_other_names_are_refused(data):
    with pytest.raises(FileFormatError, match=r"attributes of Pool2DAttrs must be \["):
        attrs_from_json(Pool2DAttrs, data)


def test_attributes_without_a_field():
    assert attrs_from_json(ReluAttrs, {}) == ReluAttrs()


def test_a_field_that_came_later_is_left_out_where_it_has_its_default():
    """Files and digests of networks that never had it stay as they are."""
    plain, other = SoftmaxAttrs(), SoftmaxAttrs(2.0)
    assert (attrs_to_json(plain), attrs_text(plain)) == ({}, "SoftmaxAttrs()")
    assert attrs_from_json(SoftmaxAttrs, {}) == plain
    assert attrs_to_json(other) == {"beta": 2.0}
    assert attrs_text(other) == repr(other) == "SoftmaxAttrs(beta=2.0)"
    assert attrs_text(PadAttrs(2)) == repr(PadAttrs(2))


#: Of each operator, attributes that are as they should be.
GOOD = {
    "normalize": {"shift": 1, "mean_shape": (3,)},
    "standardize": {"frac_bits": 5},
    "rescaling": {"scale": (0.5, 0.25), "output_zero_point": -128},
    "conv2d": {"filters": 4, "kernel": (3, 3)},
    "depthwise_conv2d": {"kernel": (3, 3)},
    "conv1d": {"filters": 4, "kernel": 3},
    "dense": {"units": 3},
    "max_pool2d": {"pool_size": (2, 2), "strides": (2, 2)},
    "avg_pool2d": {"pool_size": (2, 2), "strides": (2, 2)},
    "pad": {"padding": ((1, 1), (1, 1))},
    "transpose_conv2d": {"filters": 4, "kernel": (3, 3), "output_padding": (1, 0)},
    "slice": {"begin": (1, 0), "end": (2, 3), "strides": (1, 2)},
    "transpose": {"dims": (2, 1)},
    "resize_nearest": {"size": (3, 4)},
    "reshape": {"shape": (4, 4)},
    "with_constant": {"function": "add", "constant_shape": (3,)},
}
#: Of each kind of field, what it must not be, beside what no field may be.
BAD = {
    "filters": (0, -1, 65_536, 10**8),
    "units": (0, 65_536),
    "depth_multiplier": (0, 65_536),
    "kernel": ((0, 1), (1,), (1, 2, 3), (1, 32_768), 10**30),
    "stride": (0, (1, 0)),
    "strides": (0, (1, 0), [1, -1]),
    "pool_size": (0, (1, 0)),
    "dilation": (0, (0, 0)),
    "groups": (0, 3, 65_536),  # of 4 filters
    "padding": ("SAME", -1, ((1, 1), (1, -1)), ((1, 2, 3), (4, 5)), ((0, 40_000),) * 2),
    "activation": ("zzz", 7),
    "weight_bits": (5, 16, 0, True, 8.0),
    "shift": (-1, 8, 64),
    "frac_bits": (-1, 8),
    "mean_shape": ((), (0,), (1,) * 9),
    "shape": ((), (0,), (3, -1), (2**31,)),
    "ceil_mode": (0, 1, None),
    "axis": (0, -1, True, (1, 1), (), 9),
    "keepdims": (0, 1, None),
    "output_padding": (-1, (1, -1), (1,)),
    "size": (0, (1, 0)),
    "align_corners": (0, 1, None),
    "half_pixel_centers": (0, 1, None),
    "begin": (0, (), (-1,), (2**31,)),
    "end": (0, (), (-1,)),
    "dims": (1, (), (0, 1), (1, 1), (1, 3)),
    "scale": (None, (), (1.0, "2"), float("inf"), 2.0**41),
    "offset": (None, (), ((1.0,),), -(2.0**41)),
    "function": ("div", None, 3),
    "constant_shape": ((), (0,), (3, -1)),
    "constant_scale": (0.0, -1.0, (1.0,)),
    "constant_zero_point": (-129, 128, None),
    "constant_first": (0, 1, None),
    "output_scale": (0.0, -1.0, (1.0,)),
    "zero_point": (-129, 128, None),
    "output_zero_point": (-129, 128, None),
    "beta": (0, -1, 1e-50, 1025.0, None),
    "negative_slope": (-0.1, 1.01, None, float("inf")),
}
#: Fields that may be any number.
NUMBERS = ("scale", "offset", "output_scale", "constant_scale", "beta")
NEVER = ("ab", {}, [[[1]]], float("nan"), b"8", np.zeros(3), 10**5000)


@pytest.mark.parametrize("name", [op.name for op in BUILT_IN])
def test_attributes_are_checked_when_they_are_made(name):
    kind, good = OPS[name].attrs, GOOD.get(name, {})
    made = kind(**good)
    for field in fields(kind):
        fraction = () if field.name in NUMBERS else (1.5,)
        for value in (*BAD[field.name], *NEVER, *fraction):
            with pytest.raises(OptionError) as caught:
                replace(made, **{field.name: value})
            message = str(caught.value)
            assert re.match(r"[a-z_]+ must be .*(, got|; got) ", message)
            assert "\n" not in message and len(message) < 250


@pytest.mark.parametrize("name", [op.name for op in BUILT_IN])
def test_attributes_are_plain_values_whatever_they_were_made_of(name):
    kind, good = OPS[name].attrs, GOOD.get(name, {})
    plain = kind(**good)
    strange = {field: numpys(value) for field, value in good.items()}
    assert repr(kind(**strange)) == repr(plain)


def numpys(value):
    """The same of NumPy's numbers, and lists in place of tuples."""
    if isinstance(value, tuple):
        return list(map(numpys, value))
    if isinstance(value, str):
        return value
    return np.float64(value) if isinstance(value, float) else np.int64(value)


def test_one_number_stands_for_both_axes_and_none_for_no_activation():
    attrs = Conv2DAttrs(4, 3, 2, 1, "same", None)
    assert (attrs.kernel, attrs.stride, attrs.dilation) == ((3, 3), (2, 2), (1, 1))
    assert attrs.activation == "linear"
    assert PadAttrs(2).padding == ((2, 2), (2, 2))
    assert Conv1DAttrs(4, 3, padding=[1, 2]).padding == (1, 2)


@pytest.mark.parametrize(
    "mean",
    [
        np.array([300, -5, 3]),
        np.zeros(0, np.uint8),
        np.zeros((2, 2), np.uint8),
        np.zeros((), np.uint8),
        [1, 2, 3],
    ],
)
def test_a_mean_is_bytes(mean):
    with pytest.raises(OptionError, match="^mean must be uint8 "):
        NormalizeInts(mean)
