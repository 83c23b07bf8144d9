"""Networks whose attributes and constants say anything are mapped or refused."""

import numpy as np
import onnx
import pytest

from kanji_np.errors import FileFormatError, KanjiError, UnsupportedOp

from .onnx_files import converted, model, node
from .test_onnx_nodes import CASES

INTEGERS = (0, 1, -1, 2, 3, 5, -2, 16, 1000, 2**15, 2**31, -(2**31), 2**62, -(2**63))
REALS = (0.0, -1.0, 1e-40, 1e38, np.inf, -np.inf, np.nan)
WORDS = (b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"nearest", b"floor", b"", b"\xff")


def any_of(rng, values):
    return values[int(rng.integers(len(values)))]


def change_attribute(made, rng):
    node = any_of(rng, made.graph.node)
    if not node.attribute:
        return
    attribute = any_of(rng, node.attribute)
    if attribute.ints:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = any_of(rng, INTEGERS)
    attribute.i = any_of(rng, INTEGERS)
    attribute.f = any_of(rng, REALS)
    attribute.s = any_of(rng, WORDS)


def change_constant(made, rng):
    if not made.graph.initializer:
        return
    proto = any_of(rng, made.graph.initializer)
    array = onnx.numpy_helper.to_array(proto).copy()
    if not array.size:
        return
    values = INTEGERS if array.dtype.kind in "iu" else REALS
    with np.errstate(all="ignore"):
        new = np.array(any_of(rng, values)).astype(array.dtype)
    array.flat[int(rng.integers(array.size))] = new
    proto.CopyFrom(onnx.numpy_helper.from_array(array, proto.name))


def change_shape(made, rng):
    """Of a constant, which keeps its values."""
    if not made.graph.initializer:
        return
    proto = any_of(rng, made.graph.initializer)
    array = onnx.numpy_helper.to_array(proto)
    shapes = (array.reshape(-1), array[None], array.reshape(-1)[:0], array.T)
    array = np.ascontiguousarray(any_of(rng, shapes))
    proto.CopyFrom(onnx.numpy_helper.from_array(array, proto.name))


def change_input(made, rng):
    dims = made.graph.input[0].type.tensor_type.shape.dim
    if rng.random() < 0.3:
        dims.add().dim_value = 2
    elif dims:
        any_of(rng, dims).dim_value = any_of(rng, (1, 2, 7, 300, 40_000))


CHANGES = (change_attribute, change_constant, change_shape, change_input)


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_says_anything_is_mapped_or_refused_with_one_line(seed):
    rng = np.random.default_rng(seed)
    for _ in range(250):
        case = any_of(rng, CASES)
        made = onnx.ModelProto.FromString(case.model.SerializeToString())
        for _ in range(int(rng.integers(1, 4))):
            any_of(rng, CHANGES)(made, rng)
        try:
            converted(made)
        except KanjiError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("value", REALS[4:])
def test_weights_that_are_not_finite_are_refused_with_the_layer(value):
    weight = np.zeros((2, 3), np.float32)
    weight[0, 0] = value
    made = model(
        [node("Gemm", ["x", "w"], ["y"], transB=1)], {"x": (1, 3)}, {"w": weight}
    )
    with pytest.raises(FileFormatError, match="layer 'y': the weight holds a value"):
        converted(made)


def test_a_constant_that_depends_on_the_batch_is_refused():
    shape, scale = node("Shape", ["x"], ["s"]), np.float32(0.5)
    for last in (
        node("QuantizeLinear", ["s", "scale"], ["q"]),
        node("Gemm", ["x", "s"], ["q"]),
    ):
        made = model([shape, last], {"x": ("N", 3)}, {"scale": scale})
        with pytest.raises(KanjiError, match="number of samples|matrices"):
            converted(made)


def test_a_shape_of_many_numbers_is_cut_short():
    made = model(
        [node("Reshape", ["x", "s"], ["y"])],
        {"x": (1, 3)},
        {"s": np.arange(1, 1000)},
    )
    with pytest.raises(UnsupportedOp, match=r"1, 2, 3.*must stay the first") as caught:
        converted(made)
    assert len(str(caught.value)) < 400
