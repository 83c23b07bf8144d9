"""Every operator of the table, in float32 and int8, against the plain formula."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import kanji_np as kj
from formats.sketch import Sketch
from formats.tflite_files import Op, Tensor, file
from kanji_np.errors import FileFormatError, KanjiError, UnsupportedOp
from kanji_np.formats import read

CLIPS = {"NONE": (-np.inf, np.inf), "RELU": (0, np.inf), "RELU6": (0, 6)}


def real_answers(net: kj.Model, x: np.ndarray) -> np.ndarray:
    """What the network computes in float32."""
    return net.predict(x, precision="fp32")


def answers(sketch: Sketch, tmp_path) -> tuple[np.ndarray, np.ndarray, float]:
    """Of the float32 file and of the int8 file, real; and the step of the latter."""
    found = {}
    for kind in ("float32", "int8"):
        path = tmp_path / f"{kind}.tflite"
        path.write_bytes(sketch.file(kind))
        found[kind] = kj.load_tflite(path)
    y = real_answers(found["float32"], sketch.reals)
    graph = found["int8"].freeze()
    integers = graph.run(sketch.integers).astype(np.int64)
    scale = graph.output.qparams.scale
    return y, scale * (integers - graph.output.qparams.zero_point), scale


def check(sketch: Sketch, expected: np.ndarray, tmp_path, steps: float = 1.01) -> None:
    """The float file gives what is expected, the int8 file the nearest it has."""
    real, rounded, step = answers(sketch, tmp_path)
    np.testing.assert_allclose(real.reshape(expected.shape), expected, 1e-5, 1e-5)
    low, high = step * -128, step * 127
    if sketch.tensors[-1][1].zero_point:
        zero = sketch.tensors[-1][1].zero_point
        low, high = step * (-128 - zero), step * (127 - zero)
    off = np.abs(rounded.reshape(expected.shape) - np.clip(expected, low, high))
    assert off.max() <= steps * step


def sides(size: int, kernel: int, stride: int, dilation: int, padding: str):
    """(number of windows, first cell of the first) along one axis, TensorFlow's."""
    extent = dilation * (kernel - 1) + 1
    if padding == "VALID":
        return (size - extent) // stride + 1, 0
    count = -(-size // stride)
    return count, -(max((count - 1) * stride + extent - size, 0) // 2)


def windows(x, kernel, stride, dilation, padding):
    """The cells of each window, (N,OH,OW,KH,KW,C), with NaN outside the image."""
    axes = zip(x.shape[1:3], kernel, stride, dilation, strict=True)
    (oh, top), (ow, left) = (sides(*axis, padding) for axis in axes)
    around = [(0, 0), (30, 30), (30, 30), (0, 0)]
    wide = np.pad(x, around, constant_values=np.nan)
    y = np.empty((len(x), oh, ow, *kernel, x.shape[3]), x.dtype)
    for oy, ox, i, j in itertools.product(*map(range, (oh, ow, *kernel))):
        row = 30 + top + oy * stride[0] + i * dilation[0]
        column = 30 + left + ox * stride[1] + j * dilation[1]
        y[:, oy, ox, i, j] = wide[:, row, column]
    return y


WINDOW = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
WINDOWS = [
    ((3, 3), (1, 1), (1, 1), "SAME"),
    ((3, 2), (2, 2), (1, 1), "SAME"),
    ((2, 3), (2, 1), (1, 1), "VALID"),
    ((3, 2), (1, 1), (2, 3), "SAME"),
    ((2, 3), (1, 2), (3, 2), "VALID"),
    ((1, 1), (1, 1), (1, 1), "VALID"),
]


def window_options(kernel, stride, dilation, padding, activation):
    return {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": activation,
    }


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("activation", "per_channel", "has_bias"),
    [("NONE", True, True), ("RELU", False, True), ("RELU6", True, False)],
)
def test_convolution(window, activation, per_channel, has_bias, tmp_path):
    s = Sketch((9, 8, 3))
    kernel = window[0]
    w = s.weight((4, *kernel, 3), 0, per_channel)
    b = s.bias(4) if has_bias else -1
    cells = np.nan_to_num(windows(s.reals, *window))
    y = np.einsum("nyxijc,oijc->nyxo", cells, s.real(w)) + (
        s.real(b) if has_bias else 0
    )
    y = np.clip(y, *CLIPS[activation])
    s.op("CONV_2D", [s.x, w, b], y.shape[1:], window_options(*window, activation), 0.07)
    check(s, y, tmp_path)


@pytest.mark.parametrize("window", WINDOWS[:3])
@pytest.mark.parametrize(
    ("groups", "seen", "own", "name"),
    [(2, 3, 2, "conv2d"), (3, 2, 1, "conv2d"), (3, 1, 2, "depthwise_conv2d")],
)
def test_convolution_in_groups(window, groups, seen, own, name, tmp_path):
    s = Sketch((9, 8, groups * seen))
    w = s.weight((groups * own, *window[0], seen), 0)
    b = s.bias(groups * own)
    cells = np.nan_to_num(windows(s.reals, *window))
    parts = zip(np.split(cells, groups, 5), np.split(s.real(w), groups), strict=True)
    each = [np.einsum("nyxijc,oijc->nyxo", part, own_w) for part, own_w in parts]
    y = np.concatenate(each, axis=3) + s.real(b)
    s.op("CONV_2D", [s.x, w, b], y.shape[1:], window_options(*window, "NONE"), 0.07)
    check(s, y, tmp_path)
    for path in tmp_path.glob("*.tflite"):
        assert name in [layer.op.name for layer in kj.load_tflite(path).layers]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("multiplier", "activation"), [(1, "RELU6"), (3, "NONE")])
def test_depthwise_convolution(window, multiplier, activation, tmp_path):
    s = Sketch((9, 8, 2))
    w = s.weight((1, *window[0], 2 * multiplier), 3)
    b = s.bias(2 * multiplier)
    cells = np.repeat(np.nan_to_num(windows(s.reals, *window)), multiplier, axis=5)
    y = np.einsum("nyxijc,ijc->nyxc", cells, s.real(w)[0]) + s.real(b)
    y = np.clip(y, *CLIPS[activation])
    options = window_options(*window, activation) | {"depth_multiplier": multiplier}
    s.op("DEPTHWISE_CONV_2D", [s.x, w, b], y.shape[1:], options, 0.05)
    check(s, y, tmp_path)


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "padding", "cut"),
    [
        ((3, 3), (2, 2), (8, 10), "SAME", (0, 0)),
        ((3, 3), (2, 2), (7, 9), "SAME", (1, 1)),
        ((5, 4), (2, 3), (8, 15), "SAME", (1, 0)),
        ((2, 2), (3, 3), (12, 15), "SAME", (0, 0)),
        ((3, 2), (2, 2), (9, 10), "VALID", (0, 0)),
    ],
)
@pytest.mark.parametrize("has_bias", [True, False])
def test_transposed_convolution(kernel, stride, size, padding, cut, has_bias, tmp_path):
    s = Sketch((4, 5, 3))
    w = s.weight((2, *kernel, 3))
    whole = np.zeros((7, 40, 40, 2), np.float32)
    for y, x, i, j in itertools.product(range(4), range(5), *map(range, kernel)):
        products = s.reals[:, y, x] @ s.real(w)[:, i, j].T
        whole[:, y * stride[0] + i, x * stride[1] + j] += products
    inputs = [s.integer([1, *size, 2]), w, s.x]
    expected = whole[:, cut[0] : cut[0] + size[0], cut[1] : cut[1] + size[1]]
    if has_bias:
        inputs.append(s.bias(2))
        expected = expected + s.real(inputs[-1])
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    s.op("TRANSPOSE_CONV", inputs, (*size, 2), options, 0.07)
    check(s, expected, tmp_path)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("channels", [True, False])
@pytest.mark.parametrize(
    ("shape", "depth", "keeps", "given"),
    [
        ((12,), 12, False, (5,)),
        ((2, 3, 4), 24, False, (5,)),
        ((1, 1, 12), 12, True, (1, 1, 5)),
        ((6, 4), 4, True, (6, 5)),
        ((2, 3, 4), 4, True, (2, 3, 5)),
    ],
)
def test_fully_connected(shape, depth, keeps, given, channels, has_bias, tmp_path):
    s = Sketch(shape)
    w = s.weight((5, depth), 0, channels)
    inputs = [s.x, w, *([s.bias(5)] if has_bias else [])]
    y = s.reals.reshape(7, -1, depth) @ s.real(w).T
    y = y + (s.real(inputs[2]) if has_bias else 0)
    y = np.maximum(y, 0)
    options = {"keep_num_dims": keeps, "fused_activation_function": "RELU"}
    s.op("FULLY_CONNECTED", inputs, given, options, 0.08, -128)
    check(s, y.reshape(7, *given), tmp_path)


def test_rows_without_the_batch(tmp_path):
    """As the rows of a matrix, of which there are as many as the file is for."""
    s = Sketch((6, 4))
    w = s.weight((5, 4))
    y = s.reals @ s.real(w).T
    out = s.op("FULLY_CONNECTED", [s.x, w], (6, 5), scale=0.05)
    s.tensors[out] = tuple(
        Tensor((6, 5), each.type, scale=each.scale, zero_point=each.zero_point)
        for each in s.tensors[out]
    )
    check(s, y, tmp_path)


@pytest.mark.parametrize("window", [w for w in WINDOWS if w[2] == (1, 1)])
@pytest.mark.parametrize("activation", CLIPS)
@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pooling(kind, window, activation, tmp_path):
    s = Sketch((9, 8, 3))
    cells = windows(s.reals, *window)
    pooled = np.nanmean if kind[0] == "A" else np.nanmax
    y = np.clip(pooled(cells, axis=(3, 4)), *CLIPS[activation])
    options = window_options(*window, activation)
    options = {k: v for k, v in options.items() if "dilation" not in k}
    options |= {"filter_height": window[0][0], "filter_width": window[0][1]}
    s.op(kind, [s.x], y.shape[1:], options)
    check(s, y, tmp_path)


def doubled(s: Sketch, shape) -> tuple[int, np.ndarray]:
    """A second tensor: a convolution of the first, and its real values."""
    w = s.weight((shape[-1], 1, 1, shape[-1]))
    window = ((1, 1), (1, 1), (1, 1), "VALID")
    y = s.op("CONV_2D", [s.x, w, -1], shape, window_options(*window, "NONE"), 0.1, 5)
    return y, s.reals @ s.real(w)[:, 0, 0].T


BINARY = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply}
EXTREMA = {"MINIMUM": np.minimum, "MAXIMUM": np.maximum}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("activation", CLIPS)
def test_operators_on_two_tensors(kind, activation, tmp_path):
    s = Sketch((4, 5, 3))
    other, values = doubled(s, (4, 5, 3))
    y = np.clip(BINARY[kind](s.reals, values), *CLIPS[activation])
    options = {"fused_activation_function": activation}
    s.op(kind, [s.x, other], (4, 5, 3), options, 0.3, -20)
    check(s, y, tmp_path, 1.9)  # the second one is rounded, too


@pytest.mark.parametrize("kind", EXTREMA)
def test_extrema(kind, tmp_path):
    s = Sketch((4, 5, 3))
    pool = WINDOW | {"filter_height": 2, "filter_width": 2}
    other = s.op("AVERAGE_POOL_2D", [s.x], (4, 5, 3), pool)
    window = ((2, 2), (1, 1), (1, 1), "SAME")
    pooled = np.nanmean(windows(s.reals, *window), axis=(3, 4))
    s.op(kind, [s.x, other], (4, 5, 3))
    check(s, EXTREMA[kind](s.reals, pooled), tmp_path)


@pytest.mark.parametrize("axes", [[1, 2], [3], [2, 3]])
@pytest.mark.parametrize("kind", BINARY)
def test_a_smaller_operand_is_broadcast(kind, axes, tmp_path):
    s = Sketch((4, 5, 3))
    mean = s.reals.mean(axis=tuple(axes), keepdims=True)
    inputs = [s.x, s.integer(axes)]
    other = s.op("MEAN", inputs, mean.shape[1:], {"keep_dims": True}, 0.035, 5)
    s.op(kind, [other, s.x], (4, 5, 3), {}, 0.15, -5)
    check(s, BINARY[kind](mean, s.reals), tmp_path, 1.5)


@pytest.mark.parametrize(("kind", "limit"), [("MINIMUM", 0.5), ("MAXIMUM", -0.25)])
def test_extrema_with_a_real_constant(kind, limit, tmp_path):
    x, y = Tensor((1, 4, 5, 3), "FLOAT32"), Tensor((1, 4, 5, 3), "FLOAT32")
    constant = Tensor((), "FLOAT32", np.float32(limit))
    net = made([x, constant, y], [Op(kind, [0, 1], [2])], tmp_path)
    given = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    expected = EXTREMA[kind](given, np.float32(limit))
    np.testing.assert_array_equal(real_answers(net, given), expected)


@pytest.mark.parametrize(
    ("axes", "keeps"), [([1, 2], False), ([2, 1], True), ([3], False)]
)
def test_the_largest_along_axes(axes, keeps, tmp_path):
    s = Sketch((4, 5, 3))
    y = s.reals.max(axis=tuple(axes), keepdims=keeps)
    s.op("REDUCE_MAX", [s.x, s.integer(axes)], y.shape[1:], {"keep_dims": keeps})
    check(s, y, tmp_path, 1e-5)


@pytest.mark.parametrize("counts", [(1, 1, 2, 1), (1, 3, 1, 2), (1, 1, 1, 1)])
def test_tiles(counts, tmp_path):
    s = Sketch((2, 3, 4))
    y = np.tile(s.reals, counts)
    tiled = s.op("TILE", [s.x, s.integer(counts)], y.shape[1:])
    s.op("RELU", [tiled], y.shape[1:])
    check(s, np.maximum(y, 0), tmp_path, 1e-5)


@pytest.mark.parametrize("is_fused", [True, False])
def test_a_clamp_to_one(is_fused, tmp_path):
    s, word = Sketch((4, 5, 3)), "RELU_N1_TO_1"
    pool = WINDOW | {"filter_height": 1, "filter_width": 1}
    fused = {"fused_activation_function": word} if is_fused else {}
    y = s.op("MAX_POOL_2D", [s.x], (4, 5, 3), pool | fused)
    if not is_fused:
        s.op(word, [y], (4, 5, 3))
    check(s, np.clip(s.reals, -1, 1), tmp_path, 0.5)


def test_a_minimum_of_other_scales_is_refused(tmp_path):
    tensors = [int8(3), int8(3, scale=0.2)]
    with pytest.raises(
        UnsupportedOp, match="input 0 has another scale than the output"
    ):
        made(tensors, [Op("MINIMUM", [0, 0], [1])], tmp_path)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 5, 1), (1, 4, 5, 3)])
@pytest.mark.parametrize("kind", BINARY)
def test_operators_on_a_constant_of_int8(kind, shape, first, tmp_path):
    integers = np.random.default_rng(0).integers(-128, 128, shape)
    x = Tensor((1, 4, 5, 3), "INT8", scale=0.1, zero_point=3)
    y = Tensor((1, 4, 5, 3), "INT8", scale=0.25, zero_point=-1)
    constant = Tensor(shape, "INT8", integers, scale=0.03, zero_point=7)
    op = Op(kind, [1, 0] if first else [0, 1], [2])
    net = made([x, constant, y], [op], tmp_path)
    assert [layer.op.name for layer in net.layers] == ["with_constant"]
    given = np.random.default_rng(1).integers(-128, 128, (2, 4, 5, 3)).astype(np.int8)
    both = [0.03 * (integers - 7), 0.1 * (given - 3.0)]
    real = BINARY[kind](*(both if first else reversed(both)))
    found = 0.25 * (net.freeze().run(given) + 1.0)
    assert np.abs(found - np.clip(real, 0.25 * -127, 0.25 * 128)).max() <= 0.2525


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -3])
def test_concatenation(axis, tmp_path):
    s = Sketch((4, 5, 3))
    pool = WINDOW | {"filter_height": 2, "filter_width": 2}
    other = s.op("MAX_POOL_2D", [s.x], (4, 5, 3), pool)
    window = ((2, 2), (1, 1), (1, 1), "SAME")
    pooled = np.nanmax(windows(s.reals, *window), axis=(3, 4))
    y = np.concatenate([s.reals, pooled, s.reals], axis)
    s.op("CONCATENATION", [s.x, other, s.x], y.shape[1:], {"axis": axis})
    check(s, y, tmp_path, 1e-5)


@pytest.mark.parametrize(
    ("kind", "values", "shape"),
    [
        ("RESHAPE", [1, 5, 12], (5, 12)),
        ("RESHAPE", [-1, 60], (60,)),
        ("EXPAND_DIMS", 1, (1, 4, 5, 3)),
        ("SQUEEZE", None, (4, 5, 3)),
    ],
)
def test_shapes(kind, values, shape, tmp_path):
    s = Sketch((4, 5, 3))
    inputs = [s.x] if values is None else [s.x, s.integer(values)]
    s.op(kind, inputs, shape)
    w = s.weight((2, 60))
    s.op("FULLY_CONNECTED", [len(s.tensors) - 2, w], (2,), scale=0.2)
    check(s, s.reals.reshape(7, 60) @ s.real(w).T, tmp_path)


def shares(x, beta=1.0):
    e = np.exp(beta * (x - x.max(axis=-1, keepdims=True)))
    return e / e.sum(axis=-1, keepdims=True)


SHARES = np.float32(1 / 256), -128


@pytest.mark.parametrize("beta", [1.0, 0.5])
@pytest.mark.parametrize("shape", [(6,), (1, 1, 6), (4, 6), (3, 2, 6), (2, 3, 2, 6)])
def test_softmax(shape, beta, tmp_path):
    s = Sketch(shape)
    s.op("SOFTMAX", [s.x], shape, {"beta": beta}, *SHARES)
    check(s, shares(s.reals, beta), tmp_path)


def test_a_softmax_is_the_last_layer_whatever_shape_its_output_is_given(tmp_path):
    """As such it is left out of training."""
    path = tmp_path / "int8.tflite"
    for shape, given, kept in (
        ((1, 1, 6), (1, 6), (6,)),
        ((4, 6), (2, 2, 6), (2, 2, 6)),
        ((2, 3, 6), (6, 6), (6, 6)),
    ):
        s = Sketch(shape)
        y = s.op("SOFTMAX", [s.x], shape, {"beta": 1.0}, *SHARES)
        s.op("RESHAPE", [y, s.integer([-1])], given, None, *SHARES)
        check(s, shares(s.reals).reshape(7, *given), tmp_path)
        net = kj.load_tflite(path)
        assert net.layers[-1].op.name == "softmax" and net.output_shape == kept
        logits = net.logits(s.integers).data
        np.testing.assert_allclose(logits, s.reals.reshape(7, *kept), rtol=1e-6)


def test_a_gate_of_several_rows(tmp_path):
    s = Sketch((4, 3, 6))
    gate = s.op("SOFTMAX", [s.x], (4, 3, 6), {"beta": 1.0}, *SHARES)
    options = {"fused_activation_function": "NONE"}
    s.op("MUL", [s.x, gate], (4, 3, 6), options, 0.02)
    check(s, s.reals * shares(s.reals), tmp_path)


def test_padding_becomes_that_of_the_convolution(tmp_path):
    s = Sketch((4, 5, 2))
    pads = s.integer([[0, 0], [1, 2], [0, 3], [0, 0]])
    padded = s.op("PAD", [s.x, pads], (7, 8, 2))
    w, window = s.weight((3, 3, 3, 2)), ((3, 3), (2, 2), (1, 1), "VALID")
    wide = np.pad(s.reals, ((0, 0), (1, 2), (0, 3), (0, 0)))
    y = np.einsum("nyxijc,oijc->nyxo", windows(wide, *window), s.real(w))
    s.op("CONV_2D", [padded, w, -1], (3, 3, 3), window_options(*window, "NONE"), 0.05)
    check(s, y, tmp_path)
    (layer,) = kj.load_tflite(tmp_path / "int8.tflite").layers
    assert layer.attrs.padding == ((1, 2), (0, 3))


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((4, 5, 2), [(1, 2), (0, 3), (0, 0)]),
        ((4, 5, 2), [(0, 0), (0, 0), (2, 1)]),
        ((4, 5, 2), [(1, 0), (0, 2), (0, 3)]),
        ((4, 2), [(1, 2), (0, 0)]),
        ((4, 2), [(1, 0), (0, 3)]),
        ((6,), [(2, 1)]),
        ((2, 3, 2, 2), [(1, 0), (0, 0), (0, 1), (2, 0)]),
    ],
)
def test_padding_of_its_own(shape, sides, tmp_path):
    s = Sketch(shape)
    pads = [(0, 0), *sides]
    y = np.pad(s.reals, pads)
    s.op("PAD", [s.x, s.integer(pads, "INT64")], y.shape[1:])
    check(s, y, tmp_path, 1e-5)


def test_padding_with_the_lowest_value_becomes_that_of_a_max_pool(tmp_path):
    s = Sketch((4, 5, 2))
    pads = [(0, 0), (1, 0), (2, 1), (0, 0)]
    padded = s.op("PADV2", [s.x, s.integer(pads), s.lowest()], (5, 8, 2))
    cells = windows(
        np.pad(s.reals, pads, constant_values=-np.inf), (2, 3), (1, 1), (1, 1), "VALID"
    )
    y = cells.max(axis=(3, 4))
    options = WINDOW | {"padding": "VALID", "filter_height": 2, "filter_width": 3}
    s.op("MAX_POOL_2D", [padded], y.shape[1:], options)
    check(s, y, tmp_path, 1e-5)
    (layer,) = kj.load_tflite(tmp_path / "int8.tflite").layers
    assert layer.attrs.padding == ((1, 0), (2, 1))


@pytest.mark.parametrize("kind", ["RELU", "RELU6"])
def test_an_activation_of_the_same_scale(kind, tmp_path):
    s = Sketch((4, 5, 2))
    s.op(kind, [s.x], (4, 5, 2))
    check(s, np.clip(s.reals, *CLIPS[kind]), tmp_path, 0.5)


@pytest.mark.parametrize("kind", ["RELU", "RELU6"])
def test_an_activation_is_fused_into_the_layer_before(kind, tmp_path):
    s = Sketch((12,))
    w = s.weight((5, 12))
    y = s.op("FULLY_CONNECTED", [s.x, w], (5,), scale=0.06)
    s.op(kind, [y], (5,), scale=0.06)
    check(s, np.clip(s.reals @ s.real(w).T, *CLIPS[kind]), tmp_path)
    imported = read(tmp_path / "int8.tflite")
    (layer,) = imported.layers
    assert (layer.op, layer.notes) == ("dense", (f"{kind} fused",))


@pytest.mark.parametrize("kind", ["RELU", "RELU6"])
def test_an_activation_with_a_scale_of_its_own(kind, tmp_path):
    s = Sketch((4, 5, 2))
    s.op(kind, [s.x], (4, 5, 2), scale=0.05, zero_point=-128)
    check(s, np.clip(s.reals, *CLIPS[kind]), tmp_path)


FUNCTIONS = {
    "LOGISTIC": (lambda x: 1 / (1 + np.exp(-x)), 1 / 256, -128),
    "TANH": (np.tanh, 1 / 128, 0),
    "HARD_SWISH": (lambda x: x * np.clip(x + 3, 0, 6) / 6, 0.02, -100),
    "LEAKY_RELU": (lambda x: np.where(x > 0, x, np.float32(0.2) * x), 0.03, -50),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_of_each_element(kind, tmp_path):
    function, scale, zero_point = FUNCTIONS[kind]
    s = Sketch((4, 5, 2))
    options = {"alpha": 0.2} if kind == "LEAKY_RELU" else {}
    s.op(kind, [s.x], (4, 5, 2), options, scale, zero_point)
    check(s, function(s.reals), tmp_path, 1.5)


def test_quantize_from_int8_to_int8(tmp_path):
    x = Tensor((1, 4), "INT8", scale=0.1, zero_point=3)
    y = Tensor((1, 4), "INT8", scale=0.3, zero_point=-20)
    net = made([x, y], [Op("QUANTIZE", [0], [1])], tmp_path)
    given = np.int8([[-128, 3, 50, 127]])
    # 124 / 3 is rounded twice, as 83 / 2.
    assert net.freeze().run(given).tolist() == [[-64, -20, -4, 22]]


@pytest.mark.parametrize("option", ["align_corners", "half_pixel_centers", None])
def test_resizing(option, tmp_path):
    s = Sketch((4, 5, 2))
    options = {option: True} if option else {"align_corners": False}
    s.op("RESIZE_NEAREST_NEIGHBOR", [s.x, s.integer([7, 10])], (7, 10, 2), options)
    rows = {
        "align_corners": [0, 1, 1, 2, 2, 3, 3],
        "half_pixel_centers": [0, 0, 1, 2, 2, 3, 3],
        None: [0, 0, 1, 1, 2, 2, 3],
    }
    columns = {"align_corners": [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]}
    y = s.reals[:, rows[option]][:, :, columns.get(option, np.arange(10) // 2)]
    check(s, y, tmp_path, 1e-5)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("axes", [[1, 2], [-2, -3], [3], [1], [1, 2, 3]])
def test_mean(axes, keeps, tmp_path):
    s = Sketch((4, 5, 3))
    y = s.reals.mean(axis=tuple(axes), keepdims=keeps)
    shape = y.shape[1:]
    s.op("MEAN", [s.x, s.integer(axes)], shape, {"keep_dims": keeps}, 0.02, 7)
    check(s, y, tmp_path)


@pytest.mark.parametrize("order", [(0, 3, 1, 2), (0, 2, 1, 3)])
def test_transpose(order, tmp_path):
    s = Sketch((4, 5, 3))
    y = s.reals.transpose(order)
    s.op("TRANSPOSE", [s.x, s.integer(order)], y.shape[1:])
    check(s, y, tmp_path, 1e-5)


@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks", "index"),
    [
        ([0, 1, 2, 0], [1, 4, 5, 3], [1, 2, 1, 1], {}, np.s_[:, 1:4:2, 2:5]),
        ([0, 1, 2], [1, 9, -1], [1, 1, 2], {}, np.s_[:, 1:, 2:-1:2]),
        ([0, -3], [0, -1], [1, 1], {"end_mask": 1}, np.s_[:, -3:-1]),
        ([7, 2, 3], [1, 4, 9], [1, 1, 1], {"begin_mask": 3}, np.s_[:, :4, 3:]),
        ([0, -1, 0], [1, 0, 5], [1, 1, 1], {"shrink_axis_mask": 2}, np.s_[:, -1, 0:5]),
        ([0, 0, 0], [1, 4, 5], [1, 1, 1], {}, np.s_[:]),
    ],
)
def test_strided_slice(begin, end, strides, masks, index, tmp_path):
    s = Sketch((4, 5, 3))
    y = s.reals[index]
    parts = [s.integer(part) for part in (begin, end, strides)]
    out = s.op("STRIDED_SLICE", [s.x, *parts], y.shape[1:], masks)
    s.op("RELU", [out], y.shape[1:])  # a network of nothing at all is none
    check(s, np.maximum(y, 0), tmp_path, 1e-5)


def test_slice(tmp_path):
    s = Sketch((4, 5, 3))
    parts = [s.integer([0, 1, 2, 0]), s.integer([1, 2, -1, 2])]
    y = s.reals[:, 1:3, 2:, :2]
    s.op("SLICE", [s.x, *parts], y.shape[1:])
    check(s, y, tmp_path, 1e-5)


@pytest.mark.parametrize("sizes", [[2, 2, 2], [1, -1, 2]])
def test_split(sizes, tmp_path):
    s = Sketch((4, 6))
    widths = [3 if size == -1 else size for size in sizes]
    parts = [s.tensor((4, width), s.tensors[0][1].scale, -9) for width in widths]
    axis = s.integer(-1)
    if sizes == widths:
        s.ops.append(Op("SPLIT", [axis, s.x], parts, {"num_splits": 3}))
    else:
        s.ops.append(Op("SPLIT_V", [s.x, s.integer(sizes), axis], parts))
    order = [parts[2], parts[0], parts[1]]
    s.op("CONCATENATION", order, (4, 6), {"axis": 2})
    cuts = np.split(s.reals, np.cumsum(widths)[:2], axis=2)
    y = np.concatenate([cuts[2], cuts[0], cuts[1]], axis=2)
    check(s, y, tmp_path, 1e-5)


def test_factors_and_offsets_of_channels_are_folded_in_float32(tmp_path):
    """Batch normalization that a converter has left behind a convolution."""
    s = Sketch((4, 5, 3))
    w, b = s.weight((2, 1, 1, 3)), s.bias(2)
    window = ((1, 1), (1, 1), (1, 1), "VALID")
    factor, offset = np.float32([0.5, -2]), np.float32([[[[3, -4]]]])
    tensors = [pair[0] for pair in s.tensors]
    tensors += [Tensor((1, 4, 5, 2), "FLOAT32") for _ in range(3)]
    tensors += [Tensor(c.shape, "FLOAT32", c) for c in (factor, offset)]
    ops = [
        Op("CONV_2D", [0, w, b], [3], window_options(*window, "NONE")),
        Op("MUL", [6, 3], [4]),
        Op("SUB", [4, 7], [5], {"fused_activation_function": "RELU"}),
    ]
    (tmp_path / "net.tflite").write_bytes(file(tensors, ops, outputs=[5]))
    imported = read(tmp_path / "net.tflite")
    (layer,) = imported.layers
    assert layer.notes == ("MUL folded", "SUB folded")
    y = (s.reals @ s.real(w)[:, 0, 0].T + s.real(b)) * factor - offset
    real = real_answers(imported.network, s.reals)
    np.testing.assert_allclose(real, np.maximum(y, 0), 1e-5, 1e-5)


@pytest.mark.parametrize("shape", [(4, 5, 3), (6, 3), (3,)])
def test_a_factor_of_the_input_is_a_depthwise_convolution_in_float32(shape, tmp_path):
    """Keras's Rescaling, 255 - x / 127.5, say."""
    tensors = [Tensor((1, *shape), "FLOAT32") for _ in range(3)]
    tensors += [Tensor((), "FLOAT32", 1 / 127.5), Tensor((3,), "FLOAT32", [1, 2, 3])]
    ops = [Op("MUL", [0, 3], [1]), Op("SUB", [4, 1], [2])]
    (tmp_path / "net.tflite").write_bytes(file(tensors, ops, outputs=[2]))
    x = np.random.default_rng(0).uniform(0, 255, (7, *shape)).astype(np.float32)
    y = real_answers(kj.load_tflite(tmp_path / "net.tflite"), x)
    np.testing.assert_allclose(y, np.float32([1, 2, 3]) - x / 127.5, 1e-5, 1e-5)


def made(tensors, ops, tmp_path, **more) -> kj.Model:
    (tmp_path / "net.tflite").write_bytes(file(tensors, ops, **more))
    return kj.load_tflite(tmp_path / "net.tflite")


DENSE_X = Tensor((1, 4), "INT8", scale=0.1, zero_point=3)
DENSE_W = Tensor((2, 4), "INT8", np.arange(8).reshape(2, 4), scale=0.1)
DENSE_Y = Tensor((1, 2), "INT8", scale=0.5, zero_point=-1)


def with_ends(dtype, scale, last) -> list:
    """Tensors and operators of a dense layer between two that change the type."""
    x = Tensor((1, 4), dtype, scale=scale, zero_point=131)
    y = Tensor((1, 2), dtype, scale=0.5, zero_point=127)
    ops = [
        Op("QUANTIZE", [0], [1]),
        Op("FULLY_CONNECTED", [1, 2], [3]),
        Op(last, [3], [4]),
    ]
    return [[x, DENSE_X, DENSE_W, DENSE_Y, y], ops]


def test_int8_takes_the_place_of_float32_at_the_ends(tmp_path):
    graph = made(*with_ends("FLOAT32", None, "DEQUANTIZE"), tmp_path).freeze()
    dense = Op("FULLY_CONNECTED", [0, 1], [2])
    alone = made([DENSE_X, DENSE_W, DENSE_Y], [dense], tmp_path).freeze()
    assert graph.digest() == alone.digest()
    assert graph.input.qparams == kj.QParams(float(np.float32(0.1)), 3)


@pytest.mark.parametrize("scale", [0.1, 0.04])
def test_images_of_uint8_are_rescaled(scale, tmp_path):
    """What the file gives as uint8 comes as int8."""
    net = made(*with_ends("UINT8", scale, "QUANTIZE"), tmp_path)
    names = (
        ["rescaling", "dense"] if scale == 0.1 else ["rescaling", "requantize", "dense"]
    )
    assert [layer.op.name for layer in net.layers] == names
    assert net.input.dtype == "uint8"
    x = np.uint8([[0, 131, 140, 255]])
    (x_real,) = scale * (x.astype(np.float64) - 131)
    x_real = np.clip(x_real, 0.1 * (-128 - 3), 0.1 * (127 - 3))
    y = net.freeze().run(x)
    assert np.abs(0.5 * (y + 1) - 0.1 * DENSE_W.data @ x_real).max() < 0.6


@pytest.mark.parametrize("dtype", ["FLOAT16", "INT8"])
def test_weights_that_are_made_float32_first(dtype, tmp_path):
    weight = Tensor((2, 4), dtype, DENSE_W.data, scale=0.5, axis=0)
    tensors = [Tensor((1, 4), "FLOAT32"), weight, Tensor((2, 4), "FLOAT32")]
    tensors += [Tensor((1, 2), "FLOAT32")]
    ops = [Op("DEQUANTIZE", [1], [2]), Op("FULLY_CONNECTED", [0, 2], [3])]
    net = made(tensors, ops, tmp_path)
    scale = 1.0 if dtype == "FLOAT16" else 0.5
    np.testing.assert_array_equal(net.layers[0].weight.data, scale * DENSE_W.data)


def test_weights_of_int8_on_float32_are_real_ones(tmp_path):
    tensors = [Tensor((1, 4), "FLOAT32"), DENSE_W, Tensor((1, 2), "FLOAT32")]
    net = made(tensors, [Op("FULLY_CONNECTED", [0, 1], [2])], tmp_path)
    expected = np.float32(0.1) * DENSE_W.data.astype(np.float32)
    np.testing.assert_array_equal(net.layers[0].weight.data, expected)
    (layer,) = read(tmp_path / "net.tflite").layers
    assert layer.notes == ("int8 weights made real",)


def test_shapes_that_are_computed_of_the_batch(tmp_path):
    """As converters write Flatten for any batch: SHAPE, STRIDED_SLICE, PACK."""
    open_batch = {"shape_signature": np.int32([-1, 4])}
    x = Tensor((1, 4), "INT8", scale=0.1, zero_point=3, more=open_batch)
    tensors = [
        x,
        Tensor((2,), "INT32"),
        Tensor((1,), "INT32", [0]),
        Tensor((1,), "INT32", [1]),
        Tensor((), "INT32"),
        Tensor((), "INT32", 2),
        Tensor((3,), "INT32"),
        Tensor(
            (1, 2, 2), "INT8", scale=0.1, zero_point=3,
            more={"shape_signature": np.int32([-1, 2, 2])},
        ),
        DENSE_W,
        DENSE_Y,
    ]  # fmt: skip
    ops = [
        Op("SHAPE", [0], [1]),
        Op("STRIDED_SLICE", [1, 2, 3, 3], [4], {"shrink_axis_mask": 1}),
        Op("PACK", [4, 5, 5], [6], {"values_count": 3}),
        Op("RESHAPE", [0, 6], [7]),
        Op("FULLY_CONNECTED", [7, 8], [9]),
    ]
    net = made(tensors, ops, tmp_path)
    assert [layer.op.name for layer in net.layers] == ["reshape", "flatten", "dense"]


def test_sizes_that_are_picked_and_multiplied(tmp_path):
    """As converters write a dense layer on rows of any batch."""
    open_batch = {"shape_signature": np.int32([-1, 2, 4])}
    tensors = [
        Tensor((1, 2, 4), "INT8", scale=0.1, zero_point=3, more=open_batch),
        Tensor((3,), "INT32"),
        Tensor((2,), "INT32", [1, 2]),
        Tensor((2,), "INT32"),
        Tensor((1,), "INT32", [0]),
        Tensor((1,), "INT32"),
        Tensor((1,), "INT32", [-1]),
        Tensor((2,), "INT32"),
        Tensor((1, 8), "INT8", scale=0.1, zero_point=3),
    ]
    ops = [
        Op("SHAPE", [0], [1]),
        Op("GATHER", [1, 2], [3]),
        Op("REDUCE_PROD", [3, 4], [5], {"keep_dims": True}),
        Op("CONCATENATION", [6, 5], [7], {"axis": 0}),
        Op("RESHAPE", [0, 7], [8]),
    ]
    net = made(tensors, ops, tmp_path)
    assert [layer.op.name for layer in net.layers] == ["flatten"]


def test_a_file_for_several_samples_has_the_same_network(tmp_path):
    nets = []
    for batch in (1, 3):
        tensors = [
            Tensor((batch, 4), "INT8", scale=0.1, zero_point=3),
            DENSE_W,
            Tensor((batch, 2), "INT8", scale=0.5, zero_point=-1),
        ]
        nets.append(made(tensors, [Op("FULLY_CONNECTED", [0, 1], [2])], tmp_path))
    one, three = (net.freeze().digest() for net in nets)
    assert one == three


def int8(*shape, **more) -> Tensor:
    return Tensor((1, *shape), "INT8", **{"scale": 0.1, **more})


def on_image(op, *constants, y=None, x=None) -> bytes:
    """A file of one operator on an image of 4x5 cells and 3 channels."""
    return file([x or int8(4, 5, 3), *constants, y or int8(4, 5, 3)], [op])


POOL = WINDOW | {"filter_height": 2, "filter_width": 2}
W3 = Tensor((3, 1, 1, 3), "INT8", np.ones((3, 1, 1, 3)), scale=0.1)
AXES = Tensor((2,), "INT32", [1, 2])


def dense(option, value, w=DENSE_W, x=DENSE_X, y=DENSE_Y, bias=None) -> bytes:
    more = [] if bias is None else [bias]
    inputs = [0, 1, *([3] if more else [])]
    op = Op("FULLY_CONNECTED", inputs, [2], {option: value})
    return file([x, w, y, *more], [op], outputs=[2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            on_image(Op("CEIL", [0], [1])),
            "CEIL 't1': is not supported; these are: ADD, AV",
        ),
        (
            on_image(Op("CONV_2D", [0, 1, -1], [2], WINDOW | {"padding": 7}), W3),
            "CONV_2D 't2': its padding must be SAME or VALID, got number 7",
        ),
        (
            on_image(Op("CONV_2D", [0, 1, -1], [2], WINDOW | {"stride_h": 0}), W3),
            "CONV_2D 't2': strides must be an int in 1 .. 32767 or a pair",
        ),
        (
            on_image(
                Op(
                    "CONV_2D",
                    [0, 1, -1],
                    [2],
                    WINDOW | {"fused_activation_function": "TANH"},
                ),
                W3,
            ),
            "the fused activation TANH is not supported; NONE, RELU, RELU6 are",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1, -1], [2], WINDOW | {"quantized_bias_type": 4}), W3
            ),
            "a bias of INT64 is not supported; int32 is",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1, -1], [2], WINDOW),
                Tensor((3, 1, 1, 2), "INT8", np.ones((3, 1, 1, 2)), scale=0.1),
            ),
            "does not fit an input of 3 channels, in groups neither",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1, -1], [2], WINDOW),
                Tensor((4, 1, 1, 1), "INT8", np.ones((4, 1, 1, 1)), scale=0.1),
            ),
            "does not fit an input of 3 channels, in groups neither",
        ),
        (
            on_image(Op("CONV_2D", [0, 1, -1], [2], WINDOW), W3, y=int8(4, 5, 4)),
            r"its output has the shape \(1, 4, 5, 4\) in the file; from its input",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1, -1], [2], WINDOW),
                Tensor((3, 1, 1, 3), "INT8", np.ones((3, 1, 1, 3)), [1, 1, 1], axis=3),
            ),
            "has scales along axis 3; they are supported along axis 0",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1, -1], [2], WINDOW),
                Tensor((3, 1, 1, 3), "INT8", np.ones((3, 1, 1, 3)), 0.1, 1),
            ),
            "the weight 't1' has a zero point; weights with 0 are supported",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1], [2], WINDOW), W3, x=int8(4, 5, 3, scale=None)
            ),
            "tensor 't0' is int8 without a scale; float32, and int8 with a scale, are",
        ),
        (
            on_image(
                Op("CONV_2D", [0, 1], [2], WINDOW),
                W3,
                y=int8(4, 5, 3, scale=[0.1] * 3, axis=3),
            ),
            "tensor 't2' has a scale for each channel; one that is computed has one",
        ),
        (
            on_image(Op("RELU", [0], [1]), x=Tensor((1, 4, 5, 3), "INT16", scale=0.1)),
            "tensor 't0' is int16; float32, and int8 with a scale, are supported",
        ),
        (dense("weights_format", 1), "in the order SHUFFLED4x16INT8 are not supported"),
        (
            dense("keep_num_dims", False, bias=Tensor((2,), "INT64", [1, 2])),
            r"the bias 't3' is int64 \(2,\); int32 of 2 is supported",
        ),
        (
            dense("keep_num_dims", False, x=int8(5)),
            "its input of 5 values is not made of rows of 4",
        ),
        (
            dense("keep_num_dims", False, w=Tensor((2, 4), "INT8", scale=0.1)),
            "reads tensor 1 't1', which is never written",
        ),
        (
            on_image(Op("MAX_POOL_2D", [0], [1], POOL), y=int8(4, 5, 3, scale=0.2)),
            "changes the scale from 0.1 to 0.2; one that keeps it is supported",
        ),
        (
            on_image(Op("SOFTMAX", [0], [1], {"beta": 0.0})),
            "beta must be above 0, got 0",
        ),
        (
            on_image(Op("SOFTMAX", [0], [1], {"beta": float("nan")})),
            "beta must be a finite number in 0.0 .. 1024.0, got nan",
        ),
        (
            on_image(Op("LOG_SOFTMAX", [0], [1])),
            "LOG_SOFTMAX 't1': is not supported; these are: ",
        ),
        (
            file([int8(4), int8(4)], [Op("SOFTMAX", [0], [1], {"beta": 1})]),
            "softmax gives an output of scale 2.-8 zero -128, the file has 0.1",
        ),
        (
            on_image(
                Op("CONCATENATION", [0, 0], [1], {"axis": 0}),
                y=Tensor((2, 4, 5, 3), "INT8", scale=0.1),
            ),
            "along axis 0, the batch, is not supported",
        ),
        (
            on_image(
                Op("CONCATENATION", [0, 0], [1], {"axis": 3}),
                y=int8(4, 5, 6, scale=0.2),
            ),
            "its input 0 has another scale than the output",
        ),
        (
            on_image(
                Op("PAD", [0, 1], [2]),
                Tensor((4, 2), "INT32", [(0, 1), (0, 0), (0, 0), (0, 0)]),
                y=Tensor((2, 4, 5, 3), "INT8", scale=0.1),
            ),
            "PAD 't2': padding .* of the batch is not supported",
        ),
        (
            on_image(
                Op("PAD", [0, 1], [2]),
                Tensor((4, 2), "INT32", [(0, 0), (-1, 0), (0, 0), (0, 0)]),
                y=int8(4, 5, 4),
            ),
            "must not be negative",
        ),
        (
            on_image(
                Op("PADV2", [0, 1, 2], [3]),
                Tensor((4, 2), "INT32", [(0, 0), (1, 0), (0, 0), (0, 0)]),
                Tensor((), "INT8", 5, scale=0.1),
                y=int8(5, 5, 3),
            ),
            "padding with 5 is not supported; with 0, which stands for zero, it is",
        ),
        (
            on_image(
                Op("PADV2", [0, 1, 2], [3]),
                Tensor((4, 2), "INT32", [(0, 0), (1, 0), (0, 0), (0, 0)]),
                Tensor((), "INT8", -128, scale=0.1),
                y=int8(5, 5, 3),
            ),
            "with the lowest value is supported of height and width in front of MAX_P",
        ),
        (
            file(
                [int8(4), Tensor((1, 4), "FLOAT32"), Tensor((1, 4), "FLOAT32")],
                [Op("DEQUANTIZE", [0], [1]), Op("RELU", [1], [2])],
            ),
            "DEQUANTIZE 't1': is supported at the end of a network, and of constants",
        ),
        (
            file([int8(4), int8(4), int8(4)], [Op("ADD", [0, 1], [2])], inputs=[0, 1]),
            "the file has 2 inputs .'t0', 't1'.; a network has one",
        ),
        (
            on_image(Op("ADD", [0, 1], [2]), int8(2, data=[[1, 2]])),
            r"ADD 't2': its inputs \(1, 2\) and \(4, 5, 3\) do not fit",
        ),
        (
            on_image(
                Op("RELU", [0], [1]),
                x=int8(4, 5, 3, more={"shape_signature": np.int32([-1, -1, 5, 3])}),
            ),
            r"the input 't0' has the shape \(-1, -1, 5, 3\); one that leaves no size",
        ),
        (
            file([int8(4), int8(4), DENSE_W], [Op("RELU", [0], [1])], outputs=[2]),
            "tensor 't2' does not depend on the network's input",
        ),
        (
            on_image(Op("RELU", [0, 0], [1])),
            "RELU 't1': has 2 inputs and 1 outputs; it takes 1 and gives 1",
        ),
    ],
)
def test_what_is_not_supported_is_named(data, message, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    with pytest.raises(KanjiError, match=message) as caught:
        kj.load_tflite(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).isprintable()
    assert isinstance(caught.value, FileFormatError | UnsupportedOp)


def test_sums_that_could_overflow_are_refused_when_the_file_is_read(tmp_path):
    def load(bias, **target):
        bias = Tensor((2,), "INT32", [0, bias], scale=0.01)
        y = Tensor((1, 2), "INT8", scale=0.01)
        data = [DENSE_X, DENSE_W, y, bias]
        ops = [Op("FULLY_CONNECTED", [0, 1, 3], [2])]
        (tmp_path / "net.tflite").write_bytes(file(data, ops, outputs=[2]))
        return kj.load_tflite(tmp_path / "net.tflite", **target)

    with pytest.raises(kj.AccumulatorOverflow) as caught:
        load(2**30)
    assert str(caught.value).endswith(
        "net.tflite: layer 'dense1': sums of output channel 1 can reach 2.147e+09, "
        "shifted left by 1, beyond int32 (2147483647); of that the bias (1.074e+07 at "
        "scale 0.01) takes 2.147e+09: the integers are a file's, so quantize that "
        "network anew"
    )
    net = load(2**29)
    with pytest.raises(kj.AccumulatorOverflow, match='or take rounding "double"'):
        net.for_target("cmsis-nn", rounding="single").freeze()
    net.for_target("cmsis-nn", rounding="double").freeze()


def test_values_of_a_file_that_are_too_large_are_refused_as_its_own(tmp_path):
    x, w, y = (replace(t, scale=s) for t, s in (
        (DENSE_X, 1e8), (DENSE_W, 1e2), (DENSE_Y, 1e11)
    ))  # fmt: skip
    bias = Tensor((2,), "INT32", [2**30, 1], scale=1e10)
    ops = [Op("FULLY_CONNECTED", [0, 1, 3], [2])]
    with pytest.raises(kj.RangeError, match="the file's scales are too large, or"):
        made([x, w, y, bias], ops, tmp_path, outputs=[2])


def test_the_package_is_named_if_it_is_missing(tmp_path):
    code = (
        "import sys; sys.modules['tflite'] = None; import kanji_np as kj\n"
        "try: kj.load_tflite('net.tflite')\n"
        "except kj.ToolError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == (
        "net.tflite: .tflite files need the packages tflite and flatbuffers: "
        "pip install 'kanji-np[tflite]'\n"
    )


def test_the_package_of_the_format_is_not_loaded_before_it_is_needed():
    code = (
        "import sys, kanji_np as kj; kj.load_tflite; "
        "print({'tflite', 'flatbuffers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n"
