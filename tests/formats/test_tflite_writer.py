"""Networks as .tflite files: what is in them, and that it is read back as it was.

`examples/runtime_table.py` has the runtimes themselves read such files.
"""

import numpy as np
import pytest
import small
import tflite
from hard_tanh import HardTanh

import kanji_np as kj
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.formats.tflite.flatbuffer import pack
from kanji_np.formats.tflite.lowering import IMAGES, TABLE
from kanji_np.formats.tflite.operators import ROWS
from kanji_np.formats.tflite.reader import parse
from kanji_np.formats.tflite.writer import to_source
from kanji_np.graph import noise
from kanji_np.layers import make_layer
from kanji_np.ops import BUILT_IN, OPS
from kanji_np.ops.with_constant import OperandConstants, WithConstantAttrs
from kanji_np.quantize import SCHEMES
from kanji_np.types import LinearInts

RNG = np.random.default_rng(4)


def trained(scheme, target="tflm"):
    layers = [
        kj.Normalize((120, 130, 110)),
        kj.Conv2D(8, 3, padding="same", activation="relu"),
        kj.MaxPool2D(2),
        kj.Conv2D(8, 3, activation="relu6"),
        kj.Flatten(),
        kj.Dense(16, activation="relu"),
        kj.Dense(3),
    ]
    net = kj.Sequential(layers, (8, 8, 3), target=target, scheme=scheme)
    net.calibrate(small.images())
    return net


def source(net):
    return to_source(net.for_target("tflm").freeze())[0]


def kinds(net):
    return [op.kind for op in source(net).ops]


def assert_equal_tensors(one, other):
    assert (one.name, one.shape, one.dtype) == (other.name, other.shape, other.dtype)
    assert (one.data is None) == (other.data is None)
    if one.data is not None:
        np.testing.assert_array_equal(one.data, other.data)
    assert (one.quantization is None) == (other.quantization is None)
    if one.quantization is not None:
        a, b = one.quantization, other.quantization
        np.testing.assert_array_equal(a.scales, b.scales)
        np.testing.assert_array_equal(a.zero_points, b.zero_points)
        assert a.axis == b.axis or not a.per_channel


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_file_is_read_back_as_it_was_written(scheme):
    net = source(small.small_net(scheme=scheme))
    again = parse(pack(net, ""))
    for one, other in zip(net.tensors, again.tensors, strict=True):
        assert_equal_tensors(one, other)
    for one, other in zip(net.ops, again.ops, strict=True):
        assert (one.kind, one.inputs, one.outputs) == (
            other.kind,
            other.inputs,
            other.outputs,
        )
        assert one.options.items() <= other.options.items()
    assert (net.inputs, net.outputs) == (again.inputs, again.outputs)


def read_back(net, path):
    """The network that a file of this one holds."""
    kj.save_tflite(net, path)
    return kj.load_tflite(path, target=net.target)


def assert_comes_back(net, path):
    """The file answers as the network does, once it is a network again."""
    if set(kinds(net)) <= set(ROWS):
        x = noise(net.input, 3)
        again = read_back(net, path)
        np.testing.assert_array_equal(again.predict(x), net.predict(x))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_integers_and_answers_come_back(scheme, tmp_path):
    """Those of the first layer as a depthwise convolution, as TFLite has no other."""
    net, images = trained(scheme), small.images()
    again = read_back(net, tmp_path / "net.tflite")
    np.testing.assert_array_equal(again.predict(images), net.predict(images))
    ours, theirs = (
        [node.ints for node in each.freeze().nodes if isinstance(node.ints, LinearInts)]
        for each in (net, again)
    )
    for one, other in zip(ours, theirs[1:], strict=True):
        for name in ("weight", "bias", "multiplier", "shift", "weight_scales"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for name in ("input_offset", "output_offset", "act_min", "act_max"):
            assert getattr(one, name) == getattr(other, name)


def test_a_file_that_was_read_is_written_with_the_same_integers(tmp_path):
    net = trained("asymmetric")
    once = read_back(net, tmp_path / "once.tflite")
    kj.save_tflite(once, tmp_path / "twice.tflite")
    first, second = (
        parse((tmp_path / f"{name}.tflite").read_bytes()) for name in ("once", "twice")
    )
    constants = [
        [t for t in each.tensors if t.data is not None] for each in (first, second)
    ]
    for one, other in zip(*constants, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        if one.quantization is not None:
            np.testing.assert_array_equal(
                one.quantization.scales, other.quantization.scales
            )


@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize(
    ("shape", "mean"),
    [
        ((2, 3, 3), (0, 77, 255)),
        ((2, 3, 3), (128,) * 3),
        ((2, 2, 2), RNG.integers(0, 256, (2, 2, 2))),
        ((3, 2), (200, 100)),
        ((5,), 31),
        ((5,), RNG.integers(0, 256, 5)),
    ],
)
def test_image_layers_give_the_same_bytes(shape, mean, shift, tmp_path):
    net = kj.Sequential(
        [kj.Normalize(mean, shift), kj.Reshape((1, np.prod(shape)))],
        shape,
        target="tflm",
    )
    again = read_back(net, tmp_path / "net.tflite")
    levels = np.arange(256, dtype=np.uint8).reshape(-1, *(1,) * len(shape))
    images = np.broadcast_to(levels, (256, *shape))
    np.testing.assert_array_equal(again.predict(images), net.predict(images))


def test_what_standardizes_is_left_out(tmp_path):
    layers = [kj.Standardize(name="first"), kj.Conv2D(2, 3)]
    net = kj.Sequential(layers, (5, 5, 1), target="tflm")
    saved = kj.save_tflite(net, tmp_path / "net.tflite")
    assert saved.input == "int8 (1, 5, 5, 1), real value 0.03125 * q"
    assert saved.notes == (
        "TFLite cannot say standardize as it is here: the file takes the int8 output "
        "of layer 'first'",
    )
    images = noise(net.input, 4)
    x, y = net.freeze().layers(images)
    again = kj.load_tflite(tmp_path / "net.tflite", target="tflm")
    np.testing.assert_array_equal(again.predict(x), y)


def one(layer, shape, **options):
    """A network of one layer whose biases, if it has some, were drawn."""
    net = kj.Sequential([layer], shape, scheme="asymmetric", target="tflm", **options)
    for each in net.layers:
        if each.has_parameters:
            each.bias.data = RNG.normal(size=each.bias.shape).astype(np.float32)
    return net


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (kj.Conv2D(5, (3, 2), (2, 1), "same", (1, 2)), (7, 8, 3), ["CONV_2D"]),
        (kj.Conv2D(2, 3, 2, ((0, 1), (0, 1))), (6, 6, 2), ["CONV_2D"]),  # it is SAME
        (kj.Conv2D(6, 3, groups=2), (5, 6, 4), ["CONV_2D"]),
        (
            kj.Conv2D(4, 3, 2, padding=((2, 0), (0, 3)), activation="relu6"),
            (6, 5, 2),
            ["PAD", "CONV_2D"],
        ),
        (
            kj.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, activation="relu"),
            (5, 6, 3),
            ["DEPTHWISE_CONV_2D"],
        ),
        (
            kj.Conv1D(4, 3, 2, padding=(2, 1)),
            (9, 5),
            ["RESHAPE", "PAD", "CONV_2D", "RESHAPE"],
        ),
        (kj.Dense(6, activation="relu"), (11,), ["FULLY_CONNECTED"]),
        (kj.MaxPool2D(3, 2), (8, 8, 2), ["MAX_POOL_2D"]),
        (
            kj.MaxPool2D((3, 2), (2, 1), padding=((1, 2), (1, 0))),
            (6, 5, 2),
            ["PADV2", "MAX_POOL_2D"],
        ),
        (kj.AvgPool2D(3, 2, padding="same"), (8, 7, 2), ["AVERAGE_POOL_2D"]),
        (kj.AvgPool2D(2, ceil_mode=False), (5, 5, 2), ["AVERAGE_POOL_2D"]),
        (kj.GlobalAvgPool2D(), (4, 5, 3), ["AVERAGE_POOL_2D", "RESHAPE"]),
        (kj.ZeroPadding2D(((1, 0), (2, 3))), (3, 4, 2), ["PAD"]),
        (kj.ReLU(), (4, 3, 2), ["RELU"]),
        (kj.ReLU6(), (6,), ["RELU6"]),
        (kj.Flatten(), (3, 2, 4), ["RESHAPE"]),
        (kj.Reshape((4, 6)), (2, 4, 3), ["RESHAPE"]),
        (kj.Softmax(), (7,), ["SOFTMAX"]),
        (kj.Softmax(0.5), (4, 5, 3), ["SOFTMAX"]),
        (kj.Softmax(), (2, 2, 3, 2), ["RESHAPE", "SOFTMAX", "RESHAPE"]),
        (kj.Conv2DTranspose(4, 3, 2, "same"), (4, 5, 3), ["TRANSPOSE_CONV"]),
        (
            kj.Conv2DTranspose(2, (2, 3), activation="relu"),
            (4, 5, 3),
            ["TRANSPOSE_CONV"],
        ),
        (kj.Sigmoid(), (7, 2), ["LOGISTIC"]),
        (kj.Tanh(), (7,), ["TANH"]),
        (kj.HardSwish(), (3, 4, 2), ["HARD_SWISH"]),
        (kj.LeakyReLU(0.1), (2, 2, 3, 2), ["RESHAPE", "LEAKY_RELU", "RESHAPE"]),
        (kj.Requantize("relu"), (5,), ["RELU"]),
        (kj.Mean((1, 2)), (4, 5, 3), ["MEAN"]),
        (kj.Mean(2, keepdims=True), (4, 5, 3), ["MEAN"]),
        (kj.Permute((3, 1, 2)), (4, 5, 3), ["TRANSPOSE"]),
        (kj.Slice((1, 0, 1), (4, 5, 3), (2, 1, 1)), (4, 5, 3), ["STRIDED_SLICE"]),
        (kj.ResizeNearest((6, 7)), (4, 3, 2), ["RESIZE_NEAREST_NEIGHBOR"]),
        (
            kj.ResizeNearest(5, half_pixel_centers=True),
            (4, 3, 2),
            ["RESIZE_NEAREST_NEIGHBOR"],
        ),
        (kj.Reshape((4, 3)), (4, 3), []),
    ],
)
def test_what_a_layer_becomes(layer, shape, expected, tmp_path):
    net = one(layer, shape)
    assert kinds(net) == expected
    assert_comes_back(net, tmp_path / "net.tflite")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("constant", [(1,), (3,), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("function", ["add", "sub", "mul", "minimum", "maximum"])
def test_a_constant_operand_is_in_the_file(function, constant, first, tmp_path):
    attrs = WithConstantAttrs(function, constant, constant_first=first)
    values = OperandConstants(RNG.normal(size=constant).astype(np.float32))
    layer = make_layer(OPS["with_constant"], attrs, constants=values)
    net = one(layer, (4, 5, 3))
    assert kinds(net)[-1] == function.upper()
    assert_comes_back(net, tmp_path / "net.tflite")


@pytest.mark.parametrize("shape", [(4, 5, 3), (6, 2), (8,)])
def test_branches_meet(shape, tmp_path):
    x = kj.Input(shape)
    y = kj.Concatenate()(kj.ReLU()(x), x, kj.Multiply()(x, x))
    net = kj.Model(
        x, kj.Add(activation="relu")(y, y), scheme="asymmetric", target="tflm"
    )
    assert kinds(net) == ["RELU", "MUL", *["QUANTIZE"] * 3, "CONCATENATION", "ADD"]
    assert_comes_back(net, tmp_path / "net.tflite")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (kj.Add, ["ADD"]),
        (kj.Subtract, ["SUB"]),
        (kj.Multiply, ["MUL"]),
        (kj.Minimum, ["QUANTIZE", "QUANTIZE", "MINIMUM"]),
        (kj.Maximum, ["QUANTIZE", "QUANTIZE", "MAXIMUM"]),
    ],
)
def test_what_is_broadcast_has_as_many_axes(layer, expected, tmp_path):
    x = kj.Input((4, 5, 3))
    net = kj.Model(
        x, layer()(kj.Mean((1, 2))(x), x), scheme="asymmetric", target="tflm"
    )
    assert kinds(net) == ["MEAN", "RESHAPE", *expected]
    assert_comes_back(net, tmp_path / "net.tflite")


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_transposed_convolution_with_gaps_keeps_its_padding(padding, tmp_path):
    """XNNPACK is not given those with SAME, and both words may fit the same shape."""
    layer = kj.Conv2DTranspose(2, 1, (1, 3), padding)
    net = one(layer, (2, 4, 3)).for_target("xnnpack")
    again, x = read_back(net, tmp_path / "a.tflite"), noise(net.input, 3)
    assert again.layers[-1].attrs.padding == padding
    np.testing.assert_array_equal(again.predict(x), net.predict(x))


@pytest.mark.parametrize("target", ["tflm", "litert", "xnnpack"])
def test_every_runtime_reads_its_arithmetic(target, tmp_path):
    """Operands at scales of their own are brought to that of the output."""
    x = kj.Input((6,))
    parts = [
        layer(kj.Dense(4)(x), kj.Dense(4)(x)) for layer in (kj.Minimum(), kj.Maximum())
    ]
    y = kj.Softmax()(kj.Concatenate()(*parts))
    net = kj.Model(x, y, target, scheme="asymmetric")
    net.calibrate(noise(net.input, 9))
    assert kinds(net)[-1] == "SOFTMAX"
    assert_comes_back(net, tmp_path / "net.tflite")


@pytest.mark.parametrize(
    ("layer", "is_said"),
    [
        (kj.Rescaling(1 / 255, 0.0, 1 / 255, -128), True),
        (kj.Rescaling(0.5, -64.0, 0.5), True),
        (kj.Rescaling(0.5, (-64.0, -63.0), 0.5), False),
        (kj.Rescaling(1.0, 0.25, 2.0), False),
    ],
)
def test_rescaling_is_said_where_quantize_gives_its_bytes(layer, is_said, tmp_path):
    net = kj.Sequential([layer, kj.Reshape((1, 8))], (4, 2), target="tflm")
    saved = kj.save_tflite(net, tmp_path / "net.tflite")
    assert saved.input.startswith("uint8" if is_said else "int8")
    assert len(saved.notes) == (not is_said)
    images = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 4, 2))
    x, y = net.freeze().layers(images)
    again = kj.load_tflite(tmp_path / "net.tflite", target="tflm")
    np.testing.assert_array_equal(again.predict(images if is_said else x), y)


def test_rows_stay_images_between_convolutions():
    net = kj.Sequential([kj.Conv1D(4, 3), kj.Conv1D(2, 3), kj.Flatten()], (9, 5))
    assert kinds(net) == ["RESHAPE", "CONV_2D", "CONV_2D", "RESHAPE"]


def test_every_operator_can_be_written():
    """But for the image layer that TFLite has no counterpart of."""
    known = {*TABLE, *IMAGES, "standardize"}
    assert {op.name for op in BUILT_IN} == known


def test_the_file_is_as_the_schema_wants_it(tmp_path):
    path = tmp_path / "net.tflite"
    net = small.small_net(scheme="asymmetric")
    saved = kj.save_tflite(net, path)
    data = path.read_bytes()
    assert saved.size_bytes == len(data)
    assert data[4:8] == b"TFL3"
    model = tflite.Model.GetRootAs(data)
    assert model.Version() == 3
    assert model.Description() == b"network, for tflm, written by kanji_np"
    assert model.Buffers(0).DataIsNone()
    for i in range(1, model.BuffersLength()):
        buffer = model.Buffers(i)
        start = buffer.DataAsNumpy().__array_interface__["data"][0]
        base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
        assert (start - base) % 16 == 0
    codes = {
        code.BuiltinCode(): (code.DeprecatedBuiltinCode(), code.Version())
        for code in map(model.OperatorCodes, range(model.OperatorCodesLength()))
    }
    op = tflite.BuiltinOperator
    assert codes[op.CONV_2D] == (op.CONV_2D, 3)
    assert codes[op.FULLY_CONNECTED] == (op.FULLY_CONNECTED, 4)
    graph = model.Subgraphs(0)
    named = {
        graph.Tensors(i).Name().decode(): graph.Tensors(i)
        for i in range(graph.TensorsLength())
    }
    assert {"input", "normalize1", "conv1", "conv1/weight", "conv1/bias"} <= set(named)
    assert named["normalize1/one"].Quantization().QuantizedDimension() == 3
    x, weight, bias = (
        named[name].Quantization().ScaleAsNumpy()
        for name in ("normalize1", "conv1/weight", "conv1/bias")
    )
    np.testing.assert_array_equal(bias, (x.astype(float) * weight).astype(np.float32))


def test_convolutions_in_groups_say_from_which_version_on_they_are():
    layers = [kj.Conv2D(4, 3), kj.Conv2D(6, 1, groups=2), kj.Conv2D(2, 1)]
    net = kj.Sequential(layers, (5, 6, 3), target="tflm")
    codes = tflite.Model.GetRootAs(pack(source(net), ""))
    found = [
        (codes.OperatorCodes(i).BuiltinCode(), codes.OperatorCodes(i).Version())
        for i in range(codes.OperatorCodesLength())
    ]
    kind = tflite.BuiltinOperator.CONV_2D
    assert [code for code in found if code[0] == kind] == [(kind, 3), (kind, 6)]


def test_the_file_is_always_the_same(tmp_path):
    net = small.small_net(target="litert")
    for name in "ab":
        kj.save_tflite(net, tmp_path / name)
    kj.save_tflite(net.freeze(), tmp_path / "b")  # over an older one
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_network_for_a_chip_is_written_as_tflite_micro_computes_it(tmp_path):
    net = trained("asymmetric", "cmsis-nn")
    saved = kj.save_tflite(net, tmp_path / "chip.tflite")
    (note,) = saved.notes
    assert note.startswith("the network is for cmsis-nn, and runtimes round in other")
    assert f"note: {note}" in str(saved)
    again = kj.save_tflite(net.for_target("tflm"), tmp_path / "tflm.tflite")
    assert again.notes == ()
    files = [(tmp_path / f"{name}.tflite").read_bytes() for name in ("chip", "tflm")]
    assert files[0] == files[1]
    with pytest.raises(OptionError, match="a graph for cmsis-nn has the integers of"):
        kj.save_tflite(net.freeze(), tmp_path / "graph.tflite")


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (kj.Dense(3, weight_bits=4, name="a"), (4,), "'a': weights of 4 bits are not"),
        (
            kj.AvgPool2D(3, 2, padding=((1, 1), (1, 1)), name="a"),
            (6, 6, 1),
            "layer 'a': TFLite averages with padding SAME or VALID only",
        ),
        (
            kj.Conv2DTranspose(2, 3, padding=((2, 0), (0, 0)), name="a"),
            (4, 4, 1),
            "layer 'a': TFLite cuts off an output what SAME or VALID says only",
        ),
        (HardTanh(name="a"), (4,), "layer 'a': TFLite has no counterpart of hard_tanh"),
    ],
)
def test_what_tflite_has_not_is_refused(layer, shape, message, tmp_path):
    path = tmp_path / "net.tflite"
    with pytest.raises(UnsupportedOp, match=message):
        kj.save_tflite(kj.Sequential([layer], shape), path)
    assert not path.exists()


def test_other_files_stay(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"\x14\0\0\0TFL3, of somebody else")
    with pytest.raises(OptionError, match="not a .tflite file that this program wrote"):
        kj.save_tflite(small.small_net(), path)
    assert path.read_bytes().endswith(b"somebody else")
