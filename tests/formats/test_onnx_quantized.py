"""Networks of integers in QDQ form keep their integers, scales and zero points."""

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.types import QParams

from .onnx_files import converted, model, node

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 2, (4, 3, 6, 6)).astype(np.float32)


class Qdq:
    """Nodes and constants of a network in QDQ form."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes, self.constants = [], {}

    def scale(self, name: str, scale, zero: int, dtype=None) -> list[str]:
        """Names of a scale and a zero point, int8's."""
        dtype = np.dtype(dtype or self.dtype)
        zero += 128 * (dtype == np.uint8)
        scales = np.asarray(scale, np.float32)
        self.constants[f"{name}_scale"] = scales
        self.constants[f"{name}_zero"] = np.full(scales.shape, zero, dtype)
        return [f"{name}_scale", f"{name}_zero"]

    def tensor(self, name: str, scale: float, zero: int) -> str:
        """A tensor that is quantized, and made real again."""
        names = self.scale(name, scale, zero)
        self.nodes += [
            node("QuantizeLinear", [name, *names], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", *names], [f"{name}_d"]),
        ]
        return f"{name}_d"

    def weight(self, name: str, shape, scale, axis: int = 0, dtype="int8") -> str:
        """Integers that are made real."""
        low, high = (-2000, 2000) if dtype == "int32" else (-127, 128)
        ints = RNG.integers(low, high, shape)
        names = self.scale(name, scale, 0, dtype)
        ints = ints + 128 * (dtype == "uint8")
        self.constants[f"{name}_q"] = ints.astype(dtype)
        self.nodes.append(
            node("DequantizeLinear", [f"{name}_q", *names], [name], axis=axis)
        )
        return name

    def op(self, kind: str, inputs, output: str, **attributes) -> str:
        self.nodes.append(node(kind, inputs, [output], **attributes))
        return output

    def compare(self, most: float = 1.0, share: float = 0.05):
        """Bytes of both, of which a share may differ, by so many steps at most."""
        made = model(self.nodes, {"x": ("n", *X.shape[1:])}, self.constants, opset=21)
        (wanted,) = ReferenceEvaluator(made).run(None, {"x": X})
        result = converted(made)
        network = result.imported.network
        q = network.input.qparams
        ours = X.transpose(0, *(axis + 1 for axis in result.inputs)) / q.scale
        ints = np.clip(np.rint(ours) + q.zero_point, -128, 127).astype(np.int8)
        graph = network.freeze()
        y = graph.run(ints)
        out = graph.output.qparams
        back = sorted(range(len(result.outputs)), key=result.outputs.__getitem__)
        y = y.transpose(0, *(axis + 1 for axis in back))
        steps = np.abs((y - float(out.zero_point)) - wanted / out.scale)
        assert steps.max() <= most + 1e-3
        assert (steps > 1e-3).mean() <= share
        return result.imported


def network(dtype: str, weights: str = "int8", channels=None) -> Qdq:
    """A small network with most of what there is."""
    q = Qdq(dtype)
    s_x, s_c = 0.0117, 0.0213
    scale = np.linspace(0.004, 0.011, 5) if channels else 0.008
    sums = np.float32(s_x) * np.asarray(scale, np.float32)
    w = q.weight("w", (5, 3, 3, 3), scale, 0, weights)
    b = q.weight("b", 5, sums, 0, "int32")
    q.op("Conv", [q.tensor("x", s_x, -43), w, b], "c", pads=[1, 1, 0, 1])
    q.op("Relu", ["c"], "r")
    q.op(
        "MaxPool", [q.tensor("r", s_c, -128)], "p", kernel_shape=[2, 2], strides=[2, 2]
    )
    q.op("Flatten", [q.tensor("p", s_c, -128)], "f")
    g = q.weight("g", (30, 4), np.linspace(0.003, 0.005, 4) if channels else 0.004, 1,
                 weights)  # fmt: skip
    q.op("MatMul", [q.tensor("f", s_c, -128), g], "m")
    q.constants["bias"] = RNG.normal(size=4).astype(np.float32)
    q.op("Add", ["m", "bias"], "a")
    q.tensor("a", 0.09, 11)
    return q


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_scales_and_zero_points_are_kept(dtype, channels):
    q = network(dtype, channels=channels)
    imported = q.compare()
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
    network("uint8", "uint8").compare()


def test_weights_with_another_zero_point_are_refused():
    q = network("uint8", "uint8")
    q.constants["w_zero"] = np.array(120, np.uint8)
    with pytest.raises(
        UnsupportedOp, match="int8 with zero point 0, or uint8 with 128"
    ):
        q.compare()


def test_a_pool_whose_output_has_another_scale_is_requantized():
    q = network("int8")
    q.constants["p_scale"] = np.float32(0.03)
    imported = q.compare(most=2.0, share=0.5)
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
    imported = q.compare(most=2.0, share=0.2)
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
    imported = q.compare()
    weight = imported.network.freeze().nodes[0].ints.weight
    assert (np.abs(weight).max(axis=(1, 2, 3)) == 127).all()


def test_an_output_without_a_scale_is_calibrated():
    q = network("int8")
    del q.nodes[-2:]
    made = model(q.nodes, {"x": ("n", *X.shape[1:])}, q.constants, opset=21)
    network_ = converted(made).imported.network
    assert not network_.is_calibrated
    network_.freeze()


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
    q = network("int8")
    q.constants |= change
    made = model(q.nodes, {"x": ("n", *X.shape[1:])}, q.constants, opset=21)
    if kind is None:
        converted(made)
        return
    with pytest.raises(kind, match=message) as caught:
        converted(made)
    assert "\n" not in str(caught.value)
