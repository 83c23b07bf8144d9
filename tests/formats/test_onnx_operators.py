"""Networks from ONNX files answer as the reference evaluator of the `onnx` package.

Its answers have the axes of the file; ours are put in that order.
"""

import math

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from kanji_np.errors import FileFormatError, ShapeError, UnsupportedOp
from kanji_np.ops import OPS

from .onnx_files import answers, converted, model, node

BATCH = 3
RNG = np.random.default_rng(0)
IMAGE, ROW = ("n", 4, 7, 6), ("n", 4, 9)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def check(nodes, shape=IMAGE, constants=None, opset=17, tolerance=1e-5):
    """Both answers; the conversion, for more to be said of it."""
    made = model(nodes, {"x": shape}, constants, opset=opset)
    x = values(BATCH, *shape[1:])
    if shape[0] != "n":
        x = x[: shape[0]]
    (wanted,) = ReferenceEvaluator(made).run(None, {"x": x})
    result = converted(made)
    y = answers(result, x)
    np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance)
    return result.imported


def ops(imported) -> list[str]:
    """Our operators, without those that only reshape."""
    return [row.op for row in imported.layers if row.op != "reshape"]


def refused(nodes, shape=IMAGE, constants=None, opset=17, kind=UnsupportedOp):
    with pytest.raises(kind) as caught:
        converted(model(nodes, {"x": shape}, constants, opset=opset))
    assert "\n" not in str(caught.value)
    return str(caught.value)


CONVOLUTIONS = [
    (dict(), (5, 4, 3, 3)),
    (dict(pads=[1, 2, 0, 1]), (5, 4, 3, 2)),
    (dict(strides=[2, 1], dilations=[1, 2], pads=[2, 2, 2, 2]), (5, 4, 3, 3)),
    (dict(auto_pad="SAME_UPPER", strides=[2, 2]), (5, 4, 3, 2)),
    (dict(auto_pad="SAME_LOWER", strides=[2, 3]), (5, 4, 2, 3)),
    (dict(auto_pad="VALID", strides=[3, 2]), (5, 4, 2, 2)),
    (dict(group=4, pads=[1, 1, 1, 1]), (4, 1, 3, 3)),
    (dict(group=4, auto_pad="SAME_UPPER"), (8, 1, 2, 2)),
    (dict(group=2, strides=[2, 1], pads=[1, 1, 1, 1]), (6, 2, 3, 3)),
    (dict(group=2), (2, 2, 1, 1)),
]
ROWS = [
    (dict(), (5, 4, 3)),
    (dict(pads=[2, 0], strides=[2]), (5, 4, 3)),
    (dict(auto_pad="SAME_LOWER", strides=[2], dilations=[1]), (5, 4, 4)),
    (dict(dilations=[3], pads=[1, 4]), (5, 4, 3)),
    (dict(group=4, pads=[1, 1]), (12, 1, 3)),
    (dict(group=2, strides=[2]), (6, 2, 3)),
]


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("attributes", "weight"), CONVOLUTIONS)
def test_convolutions_of_images(attributes, weight, has_bias):
    constants = {"w": values(*weight), "b": values(weight[0])}
    inputs = ["x", "w", "b"] if has_bias else ["x", "w"]
    imported = check([node("Conv", inputs, ["y"], **attributes)], IMAGE, constants)
    name = "depthwise_conv2d" if attributes.get("group") == 4 else "conv2d"
    assert ops(imported) == [name]


@pytest.mark.parametrize(("attributes", "weight"), ROWS)
def test_convolutions_of_rows(attributes, weight):
    constants = {"w": values(*weight), "b": values(weight[0])}
    imported = check(
        [node("Conv", ["x", "w", "b"], ["y"], **attributes)], ROW, constants
    )
    name = "depthwise_conv2d" if attributes.get("group") == 4 else "conv1d"
    assert ops(imported) == [name]


def test_convolutions_that_are_refused():
    for group, shape in ((2, (5, 2, 3, 3)), (3, (6, 2, 3, 3)), (0, (5, 4, 3, 3))):
        conv = node("Conv", ["x", "w"], ["y"], name="c", group=group)
        w = {"w": values(*shape)}
        said = refused([conv], constants=w, kind=FileFormatError)
        assert f"Conv 'c': weights {shape} in {group} groups do not take 4" in said
    conv = node("Conv", ["x", "v"], ["y"], pads=[-1, 0, 0, 0])
    v = {"v": values(6, 4, 3, 3)}
    assert "pads (-1, 0, 0, 0); 0 .. 32768 are" in refused([conv], constants=v)
    w = {"w": values(6, 4, 3, 3, 3)}
    cube = ("n", 4, 5, 5, 5)
    conv = node("Conv", ["x", "w"], ["y"])
    assert "over 3 axes; 1 and 2 are" in refused([conv], cube, w)
    conv = node("Conv", ["x", "x"], ["y"])
    assert "its input 'x' must be a constant" in refused([conv])
    conv = node("Conv", ["x", "w"], ["y"], odd=1)
    assert "the attribute 'odd', which is not known" in refused([conv], constants=w)
    for wrong in (
        dict(pads=[1, 1]),
        dict(strides=[0, 1]),
        dict(kernel_shape=[2, 2]),
        dict(strides=1.5),
    ):
        conv = node("Conv", ["x", "w"], ["y"], **wrong)
        refused([conv], IMAGE, {"w": values(5, 4, 3, 3)}, kind=FileFormatError)


def test_what_follows_becomes_part_of_a_convolution():
    constants = {
        "w": values(5, 4, 3, 3), "b": values(5), "gain": 1 + values(5),
        "shift": values(5), "mean": values(5), "var": values(5) ** 2 + 0.1,
        "k": values(5, 1, 1), "one": np.float32(1.5),
        "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    imported = check(
        [
            node("Conv", ["x", "w", "b"], ["c"]),
            node("BatchNormalization", ["c", "gain", "shift", "mean", "var"], ["n"]),
            node("Mul", ["k", "n"], ["m"]),
            node("Sub", ["one", "m"], ["s"]),
            node("Div", ["s", "one"], ["d"]),
            node("Clip", ["d", "low", "high"], ["y"]),
        ],
        IMAGE,
        constants,
        tolerance=1e-4,
    )
    assert ops(imported) == ["conv2d"]
    (row,) = imported.layers
    assert row.source == "Conv + BatchNormalization + Mul + Sub + Div + Clip"
    assert row.notes[0] == "BatchNormalization folded"
    assert row.notes[-1] == "Clip fused"
    assert imported.network.layers[0].attrs.activation == "relu6"


def test_what_two_operators_read_stays_as_it_is():
    constants = {"w": values(4, 4, 3, 3)}
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Add", ["r", "c"], ["y"]),
    ]
    assert ops(check(nodes, IMAGE, constants)) == ["conv2d", "relu", "add"]


def test_batch_normalization_and_constants_alone_are_depthwise():
    constants = {
        "gain": 1 + values(4), "shift": values(4), "mean": values(4),
        "var": values(4) ** 2 + 0.1, "image": values(4, 7, 6), "rows": values(7, 1),
    }  # fmt: skip
    names = ["x", "gain", "shift", "mean", "var"]
    norm = node("BatchNormalization", names, ["n"], epsilon=0.01)
    assert ops(check([norm], IMAGE, constants)) == ["depthwise_conv2d"]
    imported = check([norm, node("Relu", ["n"], ["y"])], IMAGE, constants)
    assert ops(imported) == ["depthwise_conv2d"]
    for name in ("image", "rows"):
        add = [node("Add", ["x", name], ["y"])]
        assert ops(check(add, IMAGE, constants)) == ["depthwise_conv2d"]
    assert "the same for every sample" in refused(
        [node("Add", ["x", "c"], ["y"])], IMAGE, {"c": values(3, 4, 7, 6)}
    )
    wide = {"c": values(1, 4, 7, 6)}
    refused([node("Mul", ["x", "c"], ["y"])], ("n", 4, 1, 6), wide)
    refused([node("Div", ["c", "x"], ["y"])], IMAGE, wide)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, None),
        (0.0, 6.0),
        (0.0, 1.0),
        (-0.5, 0.7),
        (None, 0.3),
        (0.2, None),
        (-3.4028235e38, 3.4028235e38),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_any_limits_are_exact(low, high, alone):
    given = {"low": low, "high": high}
    constants = {k: np.float32(v) for k, v in given.items() if v is not None}
    names = ["" if v is None else k for k, v in given.items()]
    constants["w"] = values(4, 4, 1, 1)
    first = "MaxPool" if alone else "Conv"
    inputs = ["x"] if alone else ["x", "w"]
    pool = node(first, inputs, ["p"], kernel_shape=[1, 1])
    imported = check([pool, node("Clip", ["p", *names], ["y"])], IMAGE, constants)
    if (low, high) == (0.0, None):
        assert ops(imported) == (["max_pool2d", "relu"] if alone else ["conv2d"])
    assert len(ops(imported)) <= 3


def test_limits_that_are_attributes_or_constants_of_the_other_extremes():
    conv = node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2])
    check([conv, node("Clip", ["p"], ["y"], min=-0.3, max=0.4)], opset=10)
    c = {"c": values(4, 1, 1), "d": np.float32(0.1)}
    check([conv, node("Max", ["p", "c"], ["y"])], IMAGE, c)
    check([conv, node("Min", ["c", "p", "d"], ["y"])], IMAGE, c)
    check([conv, node("HardSigmoid", ["p"], ["y"], alpha=0.3, beta=0.4)])


MATRICES = [
    (dict(), (24, 5)),
    (dict(transB=1), (5, 24)),
    (dict(transB=1, alpha=0.5, beta=2.0), (5, 24)),
    (dict(beta=0.0), (24, 5)),
]


@pytest.mark.parametrize("bias", [(5,), (1, 5), (1,), None])
@pytest.mark.parametrize(("attributes", "weight"), MATRICES)
def test_matrices(attributes, weight, bias):
    constants = {"w": values(*weight)}
    names = ["x", "w"]
    if bias:
        constants["b"] = values(*bias)
        names.append("b")
    gemm = node("Gemm", names, ["y"], **attributes)
    assert ops(check([gemm], ("n", 24), constants)) == ["dense"]


@pytest.mark.parametrize(
    "shape", [("n", 6), ("n", 5, 6), ("n", 3, 5, 6), ("n", 2, 2, 5, 6)]
)
def test_products_of_matrices(shape):
    constants = {"w": values(6, 4), "b": values(4)}
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["a"]),
             node("Relu", ["a"], ["y"])]  # fmt: skip
    imported = check(nodes, shape, constants)
    assert ops(imported)[-1] in ("dense", "conv1d", "conv2d")
    assert imported.layers[-1].source == "MatMul + Add + Relu" or len(shape) > 3


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        (("n", 6), (6,)),
        (("n", 5, 6), (6,)),
        (("n", 3, 5, 6), (6,)),
        (("n", 5, 6), (1, 6, 4)),
        (("n", 3, 5, 6), (1, 1, 6, 4)),
    ],
)
def test_products_of_vectors_and_of_stacks_of_one_matrix(shape, weights):
    constants = {"w": values(*weights), "b": np.float32([0.7])}
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])]
    imported = check(nodes[:1], shape, constants)
    assert ops(imported)[-1] in ("dense", "conv1d", "conv2d")
    if weights != (6,) or len(shape) > 2:  # Add would give a number an axis
        imported = check(nodes, shape, constants)
        assert "MatMul + Add" in [row.source for row in imported.layers]


@pytest.mark.parametrize(
    ("shape", "weights"), [(("n", 2, 5, 6), (2, 6, 4)), (("n", 6), (1, 6, 4))]
)
def test_products_of_several_matrices_are_refused(shape, weights):
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    text = refused(nodes, shape, {"w": values(*weights)})
    assert "they must be (inputs, outputs)" in text


def test_a_flattened_image_needs_no_transpose():
    """The columns of the matrix change places instead."""
    constants = {"w": values(5, 4, 3, 3), "g": values(3, 5 * 5 * 4)}
    conv, gemm = (
        node("Conv", ["x", "w"], ["c"]),
        node("Gemm", ["f", "g"], ["y"], transB=1),
    )
    for flatten in (
        [node("Flatten", ["c"], ["f"])],
        [node("Reshape", ["c", "sizes"], ["f"])],
        [
            node("Reshape", ["c", "parts"], ["p"]),
            node("Reshape", ["p", "sizes"], ["f"]),
        ],
    ):
        constants |= {"sizes": np.array([0, -1]), "parts": np.array([0, 5, 10, 2])}
        imported = check([conv, *flatten, gemm], IMAGE, constants)
        assert ops(imported) == ["conv2d", "dense"]


POOLS = [
    ("MaxPool", dict(kernel_shape=[2, 2], strides=[2, 2])),
    ("MaxPool", dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 3], auto_pad="SAME_UPPER")),
    ("AveragePool", dict(kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
    ("AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    ("AveragePool", dict(kernel_shape=[3, 3], pads=[1, 1, 1, 0], count_include_pad=1)),
    ("AveragePool", dict(kernel_shape=[2, 2], auto_pad="SAME_LOWER", strides=[2, 2])),
    ("AveragePool", dict(kernel_shape=[2, 2], count_include_pad=1)),
    ("GlobalAveragePool", {}),
    ("GlobalMaxPool", {}),
]


@pytest.mark.parametrize(("kind", "attributes"), POOLS)
def test_pools_of_images(kind, attributes):
    check([node(kind, ["x"], ["y"], **attributes)])


def along_the_height(name, value):
    """What an attribute says of the first of two axes."""
    if name == "pads":
        return [value[0], value[2]]
    return value[:1] if isinstance(value, list) else value


@pytest.mark.parametrize(("kind", "attributes"), POOLS[:-1])
def test_pools_of_rows(kind, attributes):
    own = {name: along_the_height(name, value) for name, value in attributes.items()}
    check([node(kind, ["x"], ["y"], **own)], ROW)


def test_the_largest_of_a_row():
    """The reference evaluator takes one of all channels."""
    x = values(BATCH, *ROW[1:])
    made = converted(model([node("GlobalMaxPool", ["x"], ["y"])], {"x": ROW}))
    np.testing.assert_array_equal(answers(made, x), x.max(axis=2, keepdims=True))


def test_pools_that_are_refused():
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])
    assert "dilation" in refused([pool])
    pool = node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])
    both = [pool, node("Cast", ["i"], ["f"], to=1), node("Add", ["y", "f"], ["z"])]
    assert "its second output, 'i'" in refused(both)
    refused([node("MaxPool", ["x"], ["y"])], kind=FileFormatError)
    pool = node("AveragePool", ["x"], ["y"], kernel_shape=[9, 9])
    assert "does not fit" in refused([pool], kind=ShapeError)


MEANS = [
    ((2, 3), 1),
    ((2, 3), 0),
    ((-1, -2), 0),
    ((3,), 0),
    ((2,), 1),
    ((1,), 1),
    ((1, 2, 3), 0),
]


@pytest.mark.parametrize(("axes", "keepdims"), MEANS)
@pytest.mark.parametrize("opset", [13, 18])
def test_means(axes, keepdims, opset):
    if opset == 13:
        mean = node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=keepdims)
        constants = {}
    else:
        mean = node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)
        constants = {"axes": np.array(axes)}
    check([mean], IMAGE, constants, opset)


def test_a_mean_of_the_batch_is_refused():
    assert "along the batch" in refused([node("ReduceMean", ["x"], ["y"])])


TRANSPOSED = [
    (dict(), (4, 5, 3, 3)),
    (dict(strides=[2, 3]), (4, 5, 3, 2)),
    (dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]), (4, 5, 3, 3)),
    (dict(strides=[2, 1], pads=[0, 1, 1, 0], dilations=[2, 1]), (4, 5, 2, 3)),
    (dict(strides=[2, 2], output_shape=[15, 13]), (4, 5, 3, 3)),
]


@pytest.mark.parametrize(("attributes", "weight"), TRANSPOSED)
def test_transposed_convolutions(attributes, weight):
    constants = {"w": values(*weight), "b": values(weight[1])}
    conv = node("ConvTranspose", ["x", "w", "b"], ["c"], **attributes)
    imported = check([conv, node("Relu", ["c"], ["y"])], IMAGE, constants)
    assert ops(imported) == ["transpose_conv2d"]


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER"])
def test_transposed_convolutions_of_rows(how):
    """The reference evaluator takes padding of this kind for none."""
    constants = {"w": values(4, 5, 3)}
    conv = node("ConvTranspose", ["x", "w"], ["y"], strides=[2], auto_pad=how)
    made, x = model([conv], {"x": ROW}, constants), values(BATCH, *ROW[1:])
    y = answers(converted(made), x)
    whole = np.zeros((BATCH, 5, 19), np.float32)
    for t in range(9):
        whole[:, :, 2 * t : 2 * t + 3] += np.einsum(
            "nc,cok->nok", x[:, :, t], constants["w"]
        )
    cut = whole[:, :, :18] if how == "SAME_UPPER" else whole[:, :, 1:]
    np.testing.assert_allclose(y, cut, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "attributes", "name"),
    [
        ("Sigmoid", {}, "sigmoid"),
        ("Tanh", {}, "tanh"),
        ("HardSwish", {}, "hard_swish"),
        ("LeakyRelu", {"alpha": 0.2}, "leaky_relu"),
    ],
)
def test_functions(kind, attributes, name):
    assert ops(check([node(kind, ["x"], ["y"], **attributes)])) == [name]


def test_hard_swish_of_older_exporters():
    nodes = [
        node("HardSigmoid", ["x"], ["h"], alpha=1 / 6, beta=0.5),
        node("Mul", ["x", "h"], ["y"]),
    ]
    assert ops(check(nodes)) == ["hard_swish"]
    nodes[0] = node("HardSigmoid", ["x"], ["h"], alpha=0.2, beta=0.5)
    assert ops(check(nodes))[-1] == "mul"


PAIRS = [("Add", "add"), ("Mul", "mul"), ("Sub", "sub"), ("Min", "minimum"),
         ("Max", "maximum")]  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_two_tensors(kind, name):
    constants = {"w": values(4, 4, 3, 3)}
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node(kind, ["c", "x"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    imported = check(nodes, IMAGE, constants)
    assert ops(imported)[:2] == ["conv2d", name]
    if kind not in ("Min", "Max"):  # they fuse nothing
        assert imported.layers[-1].notes == ("Relu fused",)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_tensor_that_is_repeated(kind, name, turned):
    means = node("GlobalAveragePool", ["x"], ["m"])
    names = ["m", "x"] if turned else ["x", "m"]
    nodes = [means, node(kind, names, ["y"])]
    assert ops(check(nodes)) == ["global_avg_pool2d", name]
    nodes[0] = node("ReduceMean", ["x"], ["m"], axes=[1])
    assert name in ops(check(nodes, opset=13))


def test_two_tensors_in_different_orders():
    constants = {"s": np.array([0, 4, 7, 6]), "w": values(42, 42)}
    nodes = [
        node("Reshape", ["x", "rows"], ["r"]),
        node("MatMul", ["r", "w"], ["m"]),
        node("Reshape", ["m", "s"], ["i"]),
        node("MaxPool", ["x"], ["p"], kernel_shape=[1, 1]),
        node("Add", ["p", "i"], ["y"]),
    ]
    constants["rows"] = np.array([0, 4, 42])
    check(nodes, IMAGE, constants, tolerance=1e-4)
    three = [
        node("Relu", ["x"], ["r"]),
        node("Sigmoid", ["x"], ["s"]),
        node("Max", ["r", "x", "s"], ["y"]),
    ]
    assert ops(check(three)) == ["relu", "sigmoid", "maximum", "maximum"]


# Parts of tensors.


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concatenation(axis):
    nodes = [node("Relu", ["x"], ["r"]), node("Concat", ["x", "r"], ["y"], axis=axis)]
    assert ops(check(nodes)) == ["relu", "concatenate"]


CONSTANTS = {
    "before": lambda: values(3, 2, 7, 6)[:1],
    "behind": lambda: np.repeat(values(1, 3, 7, 6), BATCH, axis=0),
    "none": lambda: np.zeros((1, 2, 7, 6), np.float32),
}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["before", "x"], ["pad", "with_constant"]),
        (["x", "behind", "before"], ["pad", "with_constant"]),
        (["none", "x"], ["pad"]),
        (["x", "none", "r", "behind"],
         ["relu", "pad", "pad", "concatenate", "with_constant"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("axis", [1, -3])
def test_constants_beside_tensors(names, wanted, axis):
    constants = {k: CONSTANTS[k]() for k in names if k in CONSTANTS}
    whole = {k: np.broadcast_to(v, (BATCH, *v.shape[1:])) for k, v in constants.items()}
    nodes = [node("Relu", ["x"], ["r"]), node("Concat", names, ["y"], axis=axis)]
    check(nodes, (BATCH, *IMAGE[1:]), whole)
    x = values(BATCH, *IMAGE[1:])
    result = converted(model(nodes, {"x": IMAGE}, constants))
    assert [op for op in ops(result.imported) if op != "transpose"] == wanted
    joined = [whole.get(name, x if name == "x" else np.maximum(x, 0)) for name in names]
    np.testing.assert_array_equal(answers(result, x), np.concatenate(joined, 1))


def test_constants_beside_tensors_in_integers():
    constants = {"c": values(1, 4, 7, 6)}
    nodes = [node("Concat", ["x", "c"], ["j"], axis=3), node("Relu", ["j"], ["y"])]
    imported = check(nodes, (1, *IMAGE[1:]), constants)
    assert "Concat + Relu" in [row.source for row in imported.layers]
    network, x = imported.network, values(20, 7, 6, 4)
    network.calibrate(x)
    y, q = network.predict(x), network.freeze().output.qparams
    steps = network.predict(x, precision="fp32") / q.scale + q.zero_point - y
    assert np.abs(steps).max() <= 2


def test_constants_beside_tensors_that_are_refused():
    concat = [node("Concat", ["x", "c"], ["y"], axis=1)]
    rows = {"c": values(3, 1, 7, 6)}
    assert "the same for each sample" in refused(concat, IMAGE, rows)
    for shape in ((1, 1, 7, 5), (1, 7, 6)):
        constants = {"c": values(*shape)}
        assert "have different" in refused(
            concat, IMAGE, constants, kind=FileFormatError
        )
    huge = node("Concat", ["x", "c"], ["y"], axis=2)
    text = refused([huge], ("n", 1, 2**20, 2**10), {"c": np.ones((1, 1, 1, 2**10))})
    assert "constants beside a tensor of more than" in text


PADS = [[0, 0, 1, 2, 0, 0, 0, 1], [0, 2, 0, 0, 0, 1, 0, 0], [0, 1, 1, 1, 0, 0, 2, 1]]


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("opset", [10, 13])
def test_padding(pads, opset):
    if opset == 10:
        nodes, constants = [node("Pad", ["x"], ["y"], pads=pads)], {}
    else:
        nodes = [node("Pad", ["x", "pads"], ["y"])]
        constants = {"pads": np.array(pads)}
    made = model(nodes, {"x": IMAGE}, constants, opset=opset)
    x = values(BATCH, *IMAGE[1:])
    sides = list(zip(pads[:4], pads[4:], strict=True))
    np.testing.assert_array_equal(answers(converted(made), x), np.pad(x, sides))


def test_padding_that_is_refused_or_part_of_a_convolution():
    constants = {"pads": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "w": values(5, 4, 3, 3),
                 "one": np.float32(1), "less": np.array([0, 0, -1, 0] * 2)}  # fmt: skip
    pad = node("Pad", ["x", "pads"], ["p"])
    conv = node("Conv", ["p", "w"], ["y"], pads=[0, 1, 0, 1])
    assert ops(check([pad, conv], IMAGE, constants)) == ["conv2d"]
    for inputs, attributes in (
        (["x", "pads", "one"], {}),
        (["x", "pads"], {"mode": "reflect"}),
        (["x", "less"], {}),
    ):
        refused([node("Pad", inputs, ["y"], **attributes)], IMAGE, constants)


SLICES = [
    ([1], [3], [1], [1]),
    ([0, 1], [100, -1], [2, 3], [2, 3]),
    ([-3], [2**31], [-1], [1]),
    ([0], [2**63 - 1], [0], [1]),
]


@pytest.mark.parametrize(("starts", "ends", "axes", "steps"), SLICES)
def test_slices(starts, ends, axes, steps):
    names = ["starts", "ends", "axes", "steps"]
    rows = map(np.array, (starts, ends, axes, steps))
    relu = node("Relu", ["x"], ["r"])
    cut = node("Slice", ["r", *names], ["y"])
    check([relu, cut], IMAGE, dict(zip(names, rows, strict=True)))
    if steps == [1]:
        old = node("Slice", ["r"], ["y"], starts=starts, ends=ends, axes=axes)
        wanted = check([relu, cut], IMAGE, dict(zip(names, map(np.array, (
            starts, ends, axes, steps)), strict=True)))  # fmt: skip
        made = converted(model([relu, old], {"x": IMAGE}, opset=9)).imported
        assert [row.op for row in made.layers] == [row.op for row in wanted.layers]


def test_slices_that_are_refused():
    constants = {"s": np.array([3]), "e": np.array([1]), "a": np.array([2]),
                 "back": np.array([-1]), "first": np.array([0])}  # fmt: skip
    for names in (["s", "e", "a"], ["s", "e", "a", "back"]):
        text = refused([node("Slice", ["x", *names], ["y"])], IMAGE, constants)
        assert "takes elements backwards, or none" in text
    text = refused(
        [node("Slice", ["x", "first", "e", "first"], ["y"])], IMAGE, constants
    )
    assert "along the batch" in text


@pytest.mark.parametrize("opset", [11, 13])
def test_parts_of_a_split_are_slices(opset):
    sizes = {"sizes": np.array([1, 3])}
    parts = ["a", "b"]
    if opset == 11:
        cut = node("Split", ["x"], parts, axis=1, split=[1, 3])
    else:
        cut = node("Split", ["x", "sizes"], parts, axis=1)
    nodes = [cut, node("Tanh", ["b"], ["t"]), node("Concat", ["t", "a"], ["y"], axis=1)]
    imported = check(nodes, IMAGE, sizes, opset=opset)
    assert sorted(ops(imported)) == ["concatenate", "slice", "slice", "tanh"]


@pytest.mark.parametrize("indices", [np.array(2), np.array(-1), np.array([0, 2])])
def test_gathered_neighbours(indices):
    nodes = [node("Relu", ["x"], ["r"]), node("Gather", ["r", "i"], ["y"], axis=2)]
    assert "slice" in ops(check(nodes, IMAGE, {"i": indices}))


@pytest.mark.parametrize("shape", [IMAGE, ROW])
def test_what_is_gathered_may_be_resized(shape):
    constants = {"i": np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6])}
    if shape is ROW:
        constants = {"i": np.repeat(np.arange(9), 3)}
    nodes = [node("Relu", ["x"], ["r"]), node("Gather", ["r", "i"], ["y"], axis=2)]
    assert "resize_nearest" in ops(check(nodes, shape, constants))


@pytest.mark.parametrize("size", [(7, 9), (10, 6), (3, 13)])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("centers", [False, True])
def test_rows_and_columns_that_are_gathered_are_one_resize(size, corners, centers):
    """With corners and centers, an axis that keeps its size is shifted."""
    attrs = OPS["resize_nearest"].attrs(size, corners, centers)
    rows, columns = (row.astype(np.int64) for row in attrs.indices((7, 6, 4)))
    nodes = [
        node("Gather", ["x", "rows"], ["g"], axis=2),
        node("Gather", ["g", "columns"], ["y"], axis=3),
    ]
    constants = {"rows": rows, "columns": columns}
    assert ops(check(nodes, IMAGE, constants)) == ["resize_nearest"]


def test_what_is_gathered_twice_along_an_axis_stays_two_layers():
    nodes = [
        node("Gather", ["x", "i"], ["g"], axis=2),
        node("Gather", ["g", "j"], ["y"], axis=2),
    ]
    made = check(nodes, IMAGE, {"i": np.arange(14) // 2, "j": np.arange(28) // 2})
    assert ops(made).count("resize_nearest") == 2


@pytest.mark.parametrize(
    ("axis", "indices", "message"),
    [
        (2, [0, 2, 3], "rise by the same step, or be those of a resize"),
        (1, [0, 0, 1, 1, 2, 2, 3, 3], "rise by the same step, or be those of a resize"),
        (2, [6, 7], "a row of some in 0 .. 6"),
        (2, [[0, 1]], "a row of some in 0 .. 6"),
        (2, np.zeros(0, int), "a row of some in 0 .. 6"),
        (0, [0], "along the batch"),
    ],
)
def test_gathering_that_is_refused(axis, indices, message):
    gather = node("Gather", ["x", "i"], ["y"], axis=axis)
    assert message in refused([gather], IMAGE, {"i": np.array(indices)})


def test_channels_that_are_shuffled_are_transposed():
    constants = {"s": np.array([0, 2, 2, 7, 6]), "b": np.array([0, 4, 7, 6])}
    nodes = [
        node("Relu", ["x"], ["z"]),
        node("Reshape", ["z", "s"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["t", "b"], ["i"]),
        node("Conv", ["i", "w"], ["y"]),
    ]
    constants["w"] = values(5, 4, 3, 3)
    assert ops(check(nodes, IMAGE, constants)) == ["relu", "transpose", "conv2d"]


RESIZED = [
    (("asymmetric", "floor"), [1, 1, 2, 3], [14, 18]),
    (("half_pixel", "round_prefer_floor"), [1, 1, 2, 4], [14, 24]),
    (("align_corners", "round_prefer_ceil"), [1, 1, 2, 2], [13, 11]),
    (("asymmetric", "floor"), [1, 1, 0.5, 0.5], [3, 3]),
]


@pytest.mark.parametrize(("how", "scales", "sizes"), RESIZED)
@pytest.mark.parametrize("by_size", [False, True])
def test_resizing_to_the_nearest(how, scales, sizes, by_size):
    constants = {"k": np.array(scales, np.float32), "n": np.array([BATCH, 4, *sizes])}
    names = ["x", "", "", "n"] if by_size else ["x", "", "k"]
    words = dict(
        zip(("coordinate_transformation_mode", "nearest_mode"), how, strict=True)
    )
    relu = node("Relu", ["x"], ["x2"])
    names[0] = "x2"
    check([relu, node("Resize", names, ["y"], mode="nearest", **words)],
          (BATCH, *IMAGE[1:]), constants)  # fmt: skip


def test_halves_of_the_channels_whose_number_is_computed():
    """As PyTorch exports `chunk`, for any batch."""
    constants = {"zero": np.array([0]), "one": np.array([1]), "half": np.array([2])}
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Shape", ["r"], ["s"]),
        node("Gather", ["s", "one"], ["c"]),
        node("Div", ["c", "half"], ["h"]),
        node("Slice", ["r", "zero", "h", "one"], ["a"]),
        node("Slice", ["r", "h", "c", "one"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    assert ops(check(nodes, IMAGE, constants)) == ["relu", "slice", "slice", "add"]


def test_resizing_to_a_size_that_is_computed():
    """As PyTorch exports `interpolate` with a size, for any batch."""
    constants = {"zero": np.array([0]), "two": np.array([2]), "n": np.array([14, 12])}
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Shape", ["r"], ["s"]),
        node("Slice", ["s", "zero", "two"], ["front"]),
        node("Concat", ["front", "n"], ["sizes"], axis=0),
        node("Resize", ["r", "", "", "sizes"], ["y"], mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    ]  # fmt: skip
    assert ops(check(nodes, IMAGE, constants)) == ["relu", "resize_nearest"]


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (("n", 4, 1, 1), [1, 1, 5, 3]),
        (("n", 4, 1, 6), [5, 1]),
        (("n", 1, 7, 1), [1, 3, 7, 2]),
        (("n", 4, 1), [1, 4, 8]),
        (("n", 1), [1, 5]),
    ],
)
def test_repeating(shape, sizes):
    nodes = [node("Relu", ["x"], ["r"]), node("Expand", ["r", "sizes"], ["y"])]
    imported = check(nodes, shape, {"sizes": np.array(sizes)})
    assert "resize_nearest" in ops(imported)
    assert ops(imported).count("transpose") <= 1


def test_repeating_is_left_to_what_repeats_by_itself():
    """`y.expand_as(x)` of PyTorch."""
    nodes = [
        node("GlobalAveragePool", ["x"], ["m"]),
        node("Shape", ["x"], ["sizes"]),
        node("Expand", ["m", "sizes"], ["e"]),
        node("Mul", ["x", "e"], ["y"]),
    ]
    assert ops(check(nodes)) == ["global_avg_pool2d", "mul"]
    nodes[3] = node("Mul", ["m", "e"], ["y"])
    assert ops(check(nodes)) == ["global_avg_pool2d", "resize_nearest", "mul"]


def test_a_constant_may_be_repeated_for_every_sample():
    constants = {"c": values(1, 2, 7, 6), "rest": np.array([2, 7, 6])}
    nodes = [
        node("Shape", ["x"], ["s"], end=1),
        node("Concat", ["s", "rest"], ["sizes"], axis=0),
        node("Expand", ["c", "sizes"], ["e"]),
        node("Concat", ["x", "e"], ["y"], axis=1),
    ]
    assert ops(check(nodes, IMAGE, constants)) == ["pad", "with_constant"]


def test_repeating_that_is_refused():
    for sizes, kind, message in (
        ([2, 4, 7, 6], UnsupportedOp, "the batch must stay the first axis"),
        ([2, 1, 4, 7, 6], UnsupportedOp, "the batch must stay the first axis"),
        ([1, 4, 14, 6], FileFormatError, "cannot become"),
        ([1, 4, 0, 6], FileFormatError, "cannot become"),
    ):
        expand = node("Expand", ["x", "sizes"], ["y"])
        constants = {"sizes": np.array(sizes)}
        assert message in refused([expand], IMAGE, constants, kind=kind)


def test_resizing_that_is_refused():
    constants = {"k": np.array([1, 1, 2, 2], np.float32), "c": np.float32([1, 2, 1, 1]),
                 "odd": np.float32([1, 1, 2.7, 2.7])}  # fmt: skip
    linear = node("Resize", ["x", "", "k"], ["y"], mode="linear")
    assert "mode 'linear'; 'nearest'" in refused([linear], IMAGE, constants)
    ceil = node("Resize", ["x", "", "odd"], ["y"], nearest_mode="ceil")
    assert "no operator here puts them" in refused([ceil], IMAGE, constants)
    channels = node("Resize", ["x", "", "c"], ["y"])
    assert "no operator here puts them" in refused([channels], IMAGE, constants)
    missing = node("Resize", ["x"], ["y"])
    refused([missing], IMAGE, constants, kind=FileFormatError)


def test_shapes_that_are_computed_from_the_batch():
    """``x.view(x.size(0), -1)`` of PyTorch."""
    constants = {
        "w": values(5, 4, 3, 3), "zero": np.array(0), "axes": np.array([0]),
        "rest": np.array([-1]), "g": values(100, 3),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Shape", ["c"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "axes"], ["u"]),
        node("Cast", ["u"], ["i"], to=7),
        node("Concat", ["i", "rest"], ["sizes"], axis=0),
        node("Reshape", ["c", "sizes"], ["f"]),
        node("MatMul", ["f", "g"], ["y"]),
    ]
    for shape in (IMAGE, (1, *IMAGE[1:])):
        assert ops(check(nodes, shape, constants)) == ["conv2d", "dense"]
    nodes[4] = node("Mul", ["u", "u"], ["i"])
    assert "computes with the number of samples" in refused(nodes, IMAGE, constants)


@pytest.mark.parametrize("wrong", [np.float32([2, 3]), np.array([True])])
def test_axes_and_sizes_must_be_integers(wrong):
    constants = {"k": wrong}
    for kind in ("Reshape", "Squeeze", "Unsqueeze", "ReduceMean", "Split"):
        cut = node(kind, ["x", "k"], ["y"], **{"axis": 1} if kind == "Split" else {})
        text = refused([cut], IMAGE, constants, opset=18, kind=FileFormatError)
        assert "must be integers that do not depend on the batch" in text


def test_constants_are_folded():
    nodes = [
        node("Constant", [], ["shape"], value_ints=[4, 1, 1]),
        node("ConstantOfShape", ["shape"], ["ones"],
             value=helper.make_tensor("v", 1, [1], [1.0])),
        node("Constant", [], ["two"], value_float=2.0),
        node("Mul", ["ones", "two"], ["twos"]),
        node("Sqrt", ["twos"], ["roots"]),
        node("Div", ["x", "roots"], ["y"]),
    ]  # fmt: skip
    assert ops(check(nodes)) == ["depthwise_conv2d"]
    huge = [
        node("Constant", [], ["shape"], value_ints=[2**20, 2**20]),
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("Add", ["x", "zeros"], ["y"]),
    ]
    assert "no array has the shape" in refused(huge, kind=FileFormatError)


def test_operators_that_do_nothing_are_dropped():
    constants = {"w": values(5, 4, 1, 1), "ratio": np.float32(0.5)}
    nodes = [
        node("Identity", ["x"], ["i"]),
        node("Conv", ["i", "w"], ["c"]),
        node("Dropout", ["c", "ratio"], ["d"]),
        node("Cast", ["d"], ["f"], to=1),
        node("Relu", ["f"], ["y"]),
    ]
    imported = check(nodes, IMAGE, constants)
    assert ops(imported) == ["conv2d"]
    assert "Identity" in " ".join(imported.dropped)
    training = {"train": np.array(True), **constants}
    nodes = [node("Dropout", ["x", "ratio", "train"], ["y"])]
    assert "training mode" in refused(nodes, IMAGE, training)
    assert "to another type" in refused([node("Cast", ["x"], ["y"], to=7)])


@pytest.mark.parametrize("kind", ["Identity", "Dropout", "Flatten"])
def test_a_network_may_do_nothing(kind):
    imported = check([node(kind, ["x"], ["y"])])
    assert {row.op for row in imported.layers} <= {"reshape", "transpose"}
    network = imported.network
    x = network.input
    network.calibrate(values(8, *x.shape))
    assert network.predict(np.zeros((2, *x.shape), np.int8)).shape[0] == 2


# Where the channels are.


def test_images_are_taken_with_the_channels_last():
    made = model(
        [node("Conv", ["x", "w"], ["y"])], {"x": IMAGE}, {"w": values(5, 4, 3, 3)}
    )
    result = converted(made)
    assert result.imported.network.input.shape == (7, 6, 4)
    assert (result.inputs, result.outputs) == ((1, 2, 0), (1, 2, 0))
    assert (
        "(4, 7, 6) in the file; the network takes (7, 6, 4)"
        in (result.imported.dropped[0])
    )


def test_images_that_are_transposed_first_stay_as_they_are():
    """As tf2onnx writes Keras's networks."""
    constants = {"w": values(5, 4, 3, 3), "c": values(4)}
    nodes = [
        node("Sub", ["x", "c"], ["d"]),
        node("Transpose", ["d"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["v"]),
        node("Transpose", ["v"], ["y"], perm=[0, 2, 3, 1]),
    ]
    shape = ("n", 7, 6, 4)
    imported = check(nodes, shape, constants)
    assert ops(imported) == ["depthwise_conv2d", "conv2d"]
    result = converted(model(nodes, {"x": shape}, constants))
    assert (result.inputs, result.outputs) == ((0, 1, 2), (0, 1, 2))


def test_rows_that_become_images_of_one_row():
    """As tf2onnx writes Keras's Conv1D."""
    constants = {"w": values(5, 4, 1, 3), "axis": np.array([2])}
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        node("Unsqueeze", ["t", "axis"], ["u"]),
        node("Conv", ["u", "w"], ["c"]),
        node("Squeeze", ["c", "axis"], ["s"]),
        node("Transpose", ["s"], ["y"], perm=[0, 2, 1]),
    ]
    assert ops(check(nodes, ("n", 9, 4), constants)) == ["conv2d"]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (("n", 1, 8, 8), (1, 2, 0)),
        (("n", 8, 8, 1), (0, 1, 2)),
        (("n", 8, 8, 8), (1, 2, 0)),
        (("n", 8, 3), (0, 1)),
        (("n", 8), (0,)),
    ],
)
def test_where_nothing_says_where_the_channels_are(shape, axes):
    count = math.prod(shape[1:])
    nodes = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"])]
    result = converted(model(nodes, {"x": shape}, {"w": values(count, 2)}))
    assert result.inputs == axes
    check(nodes, shape, {"w": values(count, 2)})


def test_the_batch_stays():
    assert "moves the batch" in refused(
        [node("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3])]
    )
    assert "axis 2; 1 is supported" in refused([node("Flatten", ["x"], ["y"], axis=2)])
    assert "axis 0; 1 is supported" in refused([node("Flatten", ["x"], ["y"], axis=0)])
    flatten = node("Flatten", ["x"], ["y"], axis=5)
    assert "has no axis 5" in refused([flatten], kind=FileFormatError)
    for sizes in ([-1, 7], [168], [4, -1], [1, -1, 42]):
        constants = {"s": np.array(sizes)}
        reshape = [node("Reshape", ["x", "s"], ["y"])]
        assert "the batch must stay the first axis" in refused(
            reshape, IMAGE, constants
        )
    assert "along the batch" in refused([node("Softmax", ["x"], ["y"], axis=0)])


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 4, 7, 6), 0), (("n", 1, 7, 6), 2), (("n", 1, 1), -1)]
)
def test_flattening_along_another_axis_may_keep_the_batch(shape, axis):
    check([node("Flatten", ["x"], ["y"], axis=axis)], shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "has the shape ()"),
        (("n", "c", 3, 3), "all axes after the batch must have a size"),
    ],
)
def test_inputs_must_have_sizes(shape, message):
    assert message in refused([node("Relu", ["x"], ["y"])], shape)


def test_a_network_has_one_input_and_one_output():
    made = model([node("Add", ["x", "z"], ["y"])], {"x": IMAGE, "z": IMAGE})
    with pytest.raises(UnsupportedOp, match="2 and 1: 'x', 'z', 'y'"):
        converted(made)


def test_what_no_row_has_is_refused_with_what_there_is():
    message = refused([node("Erf", ["x"], ["y"], name="e")])
    assert message.startswith("Erf 'e': is not supported; these are: Add, AveragePool,")


def test_softmax_of_every_opset():
    for opset in (11, 13):
        imported = check([node("Softmax", ["x"], ["y"])], ("n", 5), opset=opset)
        assert ops(imported) == ["softmax"]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (1, ["softmax"]),  # our channels
        (-1, ["transpose", "softmax"]),
        (2, ["transpose", "softmax", "transpose"]),
    ],
)
def test_softmax_along_any_axis(axis, expected):
    assert ops(check([node("Softmax", ["x"], ["y"], axis=axis)], IMAGE)) == expected


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_before_opset_13_softmax_takes_an_axis_and_those_after_it_as_one(axis):
    """The reference evaluator does not; onnxruntime does."""
    made = converted(
        model([node("Softmax", ["x"], ["y"], axis=axis)], {"x": IMAGE}, opset=11)
    )
    x = values(BATCH, *IMAGE[1:])
    e = np.exp(x.reshape(*x.shape[:axis], -1))
    expected = (e / e.sum(axis=-1, keepdims=True)).reshape(x.shape)
    np.testing.assert_allclose(answers(made, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "inputs", "beta"),
    [
        ("Mul", ["x", "k"], 0.25),
        ("Mul", ["k", "x"], 0.25),
        ("Div", ["x", "k"], 4.0),
    ],
)
def test_a_positive_factor_before_softmax_is_its_beta(kind, inputs, beta):
    nodes = [node(kind, inputs, ["m"]), node("Softmax", ["m"], ["y"], axis=1)]
    made = check(nodes, IMAGE, {"k": np.array(0.25, np.float32)})
    (layer,) = made.network.layers
    assert (layer.op.name, layer.attrs.beta) == ("softmax", beta)


@pytest.mark.parametrize("factor", [-0.25, 0.0, [0.5, 0.5, 0.25, 2.0]])
def test_other_factors_before_softmax_stay_layers(factor):
    nodes = [node("Mul", ["x", "k"], ["m"]), node("Softmax", ["m"], ["y"], axis=1)]
    k = np.array(factor, np.float32)
    made = check(nodes, IMAGE, {"k": k if k.ndim == 0 else k.reshape(-1, 1, 1)})
    assert ops(made)[-1] == "softmax"
    assert len(ops(made)) > 1


def test_log_softmax_is_refused_by_name():
    message = refused([node("LogSoftmax", ["x"], ["y"], axis=1, name="end")])
    assert message.startswith("LogSoftmax 'end': is not supported")


def test_a_gate_in_the_middle():
    made = check(
        [
            node("Softmax", ["x"], ["g"], axis=1),
            node("Mul", ["x", "g"], ["m"]),
            node("Softmax", ["m"], ["y"], axis=1),
        ],
        IMAGE,
    )
    assert ops(made) == ["softmax", "mul", "softmax"]
