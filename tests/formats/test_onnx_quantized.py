"""Networks of integers in QDQ form keep their integers, scales and zero points."""

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.types import QParams

from .onnx_files import Qdq, converted, model, node, quantized

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 2, (4, 3, 6, 6)).astype(np.float32)


def compare(q: Qdq, most: float = 1.0, share: float = 0.05):
    """Bytes of both, of which a share may differ, by so many steps at most."""
    made = model(q.nodes, {"x": ("n", *X.shape[1:])}, q.constants, opset=21)
    (wanted,) = ReferenceEvaluator(made).run(None, {"x": X})
    result = converted(made)
    network = result.imported.network
    ours = X.transpose(0, *(axis + 1 for axis in result.inputs))
    y, graph = network.predict(ours), network.freeze()
    out = graph.output.qparams
    back = sorted(range(len(result.outputs)), key=result.outputs.__getitem__)
    y = y.transpose(0, *(axis + 1 for axis in back))
    steps = np.abs((y - float(out.zero_point)) - wanted / out.scale)
    assert steps.max() <= most + 1e-3
    assert (steps > 1e-3).mean() <= share
    return result.imported


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_scales_and_zero_points_are_kept(dtype, channels):
    q = quantized(dtype, channels=channels)
    imported = compare(q)
    conv, pool, _, dense = imported.layers
    assert (conv.source, conv.op) == ("Conv + Relu", "conv2d")
    assert (pool.op, dense.op) == ("max_pool2d", "dense")
    graph = imported.network.freeze()
    assert graph.input.qparams == QParams(float(np.float32(0.0117)), -43)
    ints = graph.nodes[0].ints
    np.testing.assert_array_equal(ints.weight, q.constants["w_q"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(ints.bias, q.constants["b_q"])
    assert ints.input_offset == 43
    assert graph.nodes[0].output.qparams == QParams(float(np.float32(0.0213)), -128)
    assert graph.output.qparams == QParams(float(np.float32(0.09)), 11)


def test_weights_may_be_unsigned_around_128():
    compare(quantized("uint8", "uint8"))


def test_weights_with_another_zero_point_are_refused():
    q = quantized("uint8", "uint8")
    q.constants["w_zero"] = np.array(120, np.uint8)
    with pytest.raises(
        UnsupportedOp, match="int8 with zero point 0, or uint8 with 128"
    ):
        compare(q)


def test_a_pool_whose_output_has_another_scale_is_requantized():
    q = quantized("int8")
    q.constants["p_scale"] = np.float32(0.03)
    imported = compare(q, most=2.0, share=0.5)
    assert "requantize" in [row.op for row in imported.layers]


def test_sums_and_constants_of_integers():
    q = Qdq("int8")
    x = q.tensor("x", 0.0117, -43)
    c = q.weight("c", (3, 1, 1), 0.01)
    q.op("Mul", [x, c], "m")
    m = q.tensor("m", 0.02, 5)
    q.op("Add", [m, x], "s")
    q.op("Relu", ["s"], "r")
    q.tensor("r", 0.015, -128)
    imported = compare(q, most=2.0, share=0.2)
    assert [row.op for row in imported.layers] == ["depthwise_conv2d", "add"]
    assert imported.layers[1].source == "Add + Relu"


def test_real_constants_may_be_quantized_by_the_file():
    """As networks are exported that were trained with quantization in mind."""
    q = Qdq("int8")
    x = q.tensor("x", 0.0117, -43)
    real = RNG.normal(size=(5, 3, 1, 1)).astype(np.float32)
    q.constants["w"] = real
    names = q.scale("w", np.abs(real).max(axis=(1, 2, 3)) / 127, 0)
    q.nodes += [
        node("QuantizeLinear", ["w", *names], ["w_q"], axis=0),
        node("DequantizeLinear", ["w_q", *names], ["w_d"], axis=0),
    ]
    q.op("Conv", [x, "w_d"], "c")
    q.tensor("c", 0.04, 3)
    imported = compare(q)
    weight = imported.network.freeze().nodes[0].ints.weight
    assert (np.abs(weight).max(axis=(1, 2, 3)) == 127).all()


def test_an_output_without_a_scale_is_calibrated():
    q = quantized("int8")
    del q.nodes[-2:]
    made = model(q.nodes, {"x": ("n", *X.shape[1:])}, q.constants, opset=21)
    network = converted(made).imported.network
    assert not network.is_calibrated
    network.freeze()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"x_scale": np.float32(0)}, FileFormatError, "a scale is not a positive"),
        ({"x_scale": np.float32("nan")}, FileFormatError, "a scale is not a positive"),
        ({"x_scale": np.ones(3, np.float32)}, UnsupportedOp, "have one scale"),
        ({"x_scale": np.float64(1)}, UnsupportedOp, "scales must be float32"),
        ({"r_zero": np.array(0, np.int32)}, UnsupportedOp, "int8 or uint8, not int32"),
        ({"w_zero": np.array(1, np.int8)}, UnsupportedOp, "zero point 0"),
        ({"w_scale": np.ones(4, np.float32)}, FileFormatError, "4 scales for"),
        ({"b_scale": np.float32(1e-9)}, None, ""),
        ({"bias": np.full(4, 1e30, np.float32)}, UnsupportedOp, "does not fit int32"),
    ],
)
def test_what_does_not_fit_is_refused(change, kind, message):
    q = quantized("int8")
    q.constants |= change
    made = model(q.nodes, {"x": ("n", *X.shape[1:])}, q.constants, opset=21)
    if kind is None:
        converted(made)
        return
    with pytest.raises(kind, match=message) as caught:
        converted(made)
    assert "\n" not in str(caught.value)
