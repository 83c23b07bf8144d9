"""Networks as ONNX files, computed by the evaluator that defines ONNX's operators."""

import numpy as np
import onnx
import pytest
import small
from hard_tanh import HardTanh
from onnx.reference import ReferenceEvaluator

import kanji_np as kj
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.formats.onnx.lowering import TABLE
from kanji_np.formats.onnx.writer import to_onnx
from kanji_np.graph import noise
from kanji_np.ops import BUILT_IN
from kanji_np.quantize import SCHEMES
from kanji_np.zoo import NETWORKS

from .onnx_files import converted

RNG = np.random.default_rng(3)


def first(a):
    """Channels first, of images and rows."""
    return np.moveaxis(a, -1, 1) if a.ndim in (3, 4) else a


def last(a):
    return np.moveaxis(a, 1, -1) if a.ndim in (3, 4) else a


def answers(graph, x):
    """What the file of a graph computes of int8 or uint8 inputs, as int8."""
    model = onnx.load_from_string(to_onnx(graph))
    onnx.checker.check_model(model, full_check=True)
    real = first(x).astype(np.float32)
    if graph.input.qparams is not None:
        q = graph.input.qparams
        real = (real - np.float32(q.zero_point)) * np.float32(q.scale)
    (y,) = ReferenceEvaluator(model).run(None, {"input": real})
    assert y.dtype == np.float32
    q = graph.output.qparams
    return np.rint(last(y) / np.float32(q.scale)).astype(int) + q.zero_point


def assert_comes_back(net, image_layer=None):
    """The bytes of a network, and of the one that its file is."""
    graph = net.freeze()
    made = converted(
        onnx.load_from_string(to_onnx(graph)), ".", net.target, image_layer
    )
    other = made.imported.network.freeze()
    assert graph.output.qparams == other.output.qparams
    x = noise(graph.input, 5)
    given = first(x).transpose(0, *(axis + 1 for axis in made.inputs))
    y = other.run(np.ascontiguousarray(given))
    wanted = first(graph.run(x)).transpose(0, *(axis + 1 for axis in made.outputs))
    np.testing.assert_array_equal(y, wanted)


def steps(net, count=3):
    """The largest difference between network and file, in steps of the output."""
    graph = net.freeze()
    x = noise(graph.input, count)
    return np.abs(graph.run(x) - answers(graph, x)).max()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_network_answers_nearly_the_same(scheme):
    assert steps(small.small_net(scheme=scheme)) <= 4  # of seven layers


def one(layer, shape, **options):
    """A network of one layer whose weights, if it has some, were drawn."""
    net = kj.Sequential([layer], shape, scheme="asymmetric", seed=1, **options)
    for each in net.layers:
        if each.has_parameters:
            each.bias.data = RNG.normal(size=each.bias.shape).astype(np.float32)
    return net


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (kj.Conv2D(5, (3, 2), (2, 1), padding="same", dilation_rate=(1, 2)), (7, 8, 3)),
        (kj.Conv2D(4, 3, 2, padding=((2, 0), (0, 3)), activation="relu6"), (6, 5, 2)),
        (kj.Conv2D(6, 3, groups=2), (5, 6, 4)),
        (kj.Conv1D(9, 3, padding="same", groups=3), (9, 6)),
        (kj.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2), (5, 6, 3)),
        (kj.Conv1D(4, 3, 2, padding=(1, 2), activation="relu"), (9, 5)),
        (kj.Dense(6, activation="relu"), (11,)),
        (kj.MaxPool2D(3, 2), (8, 7, 2)),
        (kj.MaxPool2D((3, 2), (2, 1), padding=((1, 2), (1, 0))), (6, 5, 2)),
        (kj.AvgPool2D(3, 2, padding="same"), (8, 7, 2)),
        (kj.AvgPool2D(3, 2), (8, 7, 2)),
        (kj.GlobalAvgPool2D(), (4, 5, 3)),
        (kj.ZeroPadding2D(((1, 0), (2, 3))), (3, 4, 2)),
        (kj.ReLU(), (4, 3, 2)),
        (kj.ReLU6(), (6,)),
        (kj.Flatten(), (3, 2, 4)),
        (kj.Reshape((4, 6)), (2, 4, 3)),
        (kj.Reshape((2, 3, 2, 2)), (4, 6)),
        (kj.Softmax(), (7,)),
        (kj.Softmax(0.5), (4, 3)),
        (kj.Softmax(2.0), (4, 5, 3)),
        (kj.Softmax(), (2, 3, 2, 2)),
        (kj.Normalize((90, 100, 200), 3), (4, 5, 3)),
        (kj.Normalize(RNG.integers(0, 256, (4, 5, 3)), 1), (4, 5, 3)),
        (kj.Normalize(128), (9,)),
        (kj.Standardize(), (4, 5, 3)),
        (kj.Rescaling(0.5, (-64.0, 3.0)), (4, 5, 2)),
        (kj.Conv2DTranspose(4, 3, 2, "same", activation="relu"), (4, 5, 3)),
        (kj.Conv2DTranspose(2, (2, 3), (3, 1), "valid"), (4, 5, 3)),
        (kj.Sigmoid(), (6, 3)),
        (kj.Tanh(), (6,)),
        (kj.HardSwish(), (4, 5, 3)),
        (kj.LeakyReLU(0.2), (2, 3, 2, 2)),
        (kj.Requantize("relu"), (6, 3)),
        (kj.Mean((1, 2)), (4, 5, 3)),
        (kj.Mean(3), (4, 5, 3)),
        (kj.Mean(2, keepdims=True), (4, 5, 3)),
        (kj.Mean(1), (6, 3)),
        (kj.Permute((3, 1, 2)), (4, 5, 3)),
        (kj.Permute((2, 1)), (4, 5)),
        (kj.Slice((1, 0, 1), (4, 5, 3), (2, 1, 1)), (4, 5, 3)),
        (kj.ResizeNearest((6, 7), half_pixel_centers=True), (4, 3, 2)),
        (kj.ResizeNearest((4, 7), True, True), (4, 3, 2)),
    ],
    ids=lambda value: getattr(getattr(value, "op", None), "name", ""),
)  # fmt: skip
def test_a_layer_answers_within_a_step_and_comes_back(layer, shape):
    net = one(layer, shape)
    assert steps(net) <= 1
    if not net.layers[0].op.reads_image:
        assert_comes_back(net.for_target("xnnpack"))


# Files that are read again.


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_come_back(name, scheme):
    net = NETWORKS[name](mean=None, scheme=scheme, target="xnnpack")
    net.calibrate(RNG.normal(size=(4, *net.input.shape)).astype(np.float32))
    assert_comes_back(net)


@pytest.mark.parametrize(
    ("target", "scheme"),
    [("cmsis-nn", "pow2"), ("tflm", "asymmetric"), ("cmsis-nn-q7", "pow2")],
)
@pytest.mark.parametrize("bits", [4, 8])
def test_integers_of_every_target_come_back(target, scheme, bits):
    if target == "cmsis-nn-q7":
        bits = 8  # it has no others
    layers = [
        kj.Conv2D(8, 3, padding="same", activation="relu", weight_bits=bits),
        kj.MaxPool2D(2),
        kj.Flatten(),
        kj.Dense(3, weight_bits=bits),
    ]
    net = kj.Sequential(
        layers, (8, 8, 3), target, scheme=scheme, input_range="data", seed=1
    )
    net.calibrate(RNG.normal(size=(8, 8, 8, 3)).astype(np.float32))
    assert_comes_back(net)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_networks_of_images_come_back(scheme):
    net = small.small_net(scheme=scheme).for_target("xnnpack")
    assert_comes_back(net, kj.Rescaling(1.0))


def test_scales_that_float32_has_not_are_told_of(tmp_path):
    path = tmp_path / "net.onnx"
    net = small.small_net(scheme="asymmetric")
    assert "scales are float32 in the file" in kj.save_onnx(net, path).notes[0]
    assert kj.save_onnx(net.for_target("tflm"), path).notes == ()


@pytest.mark.parametrize("shift", range(8))
def test_images_become_the_very_integers(shift):
    net = kj.Sequential([kj.Normalize((0, 77, 255), shift)], (16, 16, 3))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(answers(net.freeze(), pixels), net.predict(pixels))


@pytest.mark.parametrize("shape", [(4, 5, 3), (6, 2), (8,), (2, 2, 3, 2)])
def test_branches_meet(shape):
    x = kj.Input(shape)
    y = kj.Concatenate()(kj.ReLU()(x), x, kj.Multiply()(x, x))
    net = kj.Model(x, kj.Add(activation="relu")(y, y), scheme="asymmetric")
    assert steps(net) <= 2  # of three layers
    assert_comes_back(net.for_target("xnnpack"))


@pytest.mark.parametrize(
    "layer", [kj.Add, kj.Subtract, kj.Multiply, kj.Minimum, kj.Maximum]
)
@pytest.mark.parametrize("axis", [(1, 2), (1,)])
def test_one_of_two_is_broadcast(layer, axis):
    x = kj.Input((4, 5, 3))
    net = kj.Model(x, layer()(kj.Mean(axis)(x), x), scheme="asymmetric")
    assert steps(net) <= 2  # of two layers
    assert_comes_back(net.for_target("xnnpack"))


def test_every_operator_can_be_written():
    assert {op.name for op in BUILT_IN} == set(TABLE)


def test_a_layer_may_be_called_as_the_ends_of_the_file_are():
    layers = [kj.Dense(4, name="output"), kj.Dense(3, name="input")]
    assert steps(kj.Sequential(layers, (5,))) <= 1


def test_the_file_says_what_it_takes_and_is_always_the_same(tmp_path):
    net, path = small.small_net(), tmp_path / "net.onnx"
    saved = kj.save_onnx(net, path)
    assert saved.input == "float32 (N, 3, 8, 8), pixels"
    assert saved.output == "float32 (N, 3), real values"
    assert saved.size_bytes == path.stat().st_size
    first_bytes = path.read_bytes()
    kj.save_onnx(net.freeze(), path)  # over the first
    assert path.read_bytes() == first_bytes
    model = onnx.load(path)
    weights = [i for i in model.graph.initializer if i.name.endswith("weight/int8")]
    ints = [n.ints for n in net.freeze().nodes if hasattr(n.ints, "weight")]
    stored = [onnx.numpy_helper.to_array(each) for each in weights]
    assert [len(w) for w in stored] == [len(i.weight) for i in ints]
    np.testing.assert_array_equal(last(stored[0]), ints[0].weight)


def test_other_files_stay(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(OptionError, match="not an ONNX file that this program wrote"):
        kj.save_onnx(small.small_net(), path)
    assert path.read_bytes() == b"something else"


def test_a_softmax_of_base_2_is_refused():
    net = kj.Sequential(
        [kj.Dense(3), kj.Softmax(name="shares")], (4,), target="cmsis-nn-q7"
    )
    with pytest.raises(UnsupportedOp, match="layer 'shares': its softmax is of base 2"):
        to_onnx(net.freeze())


def test_an_operator_of_ones_own_is_refused():
    net = kj.Sequential([HardTanh()], (4,))
    with pytest.raises(UnsupportedOp, match="ONNX has no counterpart of hard_tanh"):
        to_onnx(net.freeze())
