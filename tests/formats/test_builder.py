"""Networks made of a file's integers keep them: built, saved, and trained on."""

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import OptionError, ShapeError, UnsupportedOp
from kanji_np.formats.builder import Builder, IntWeights
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.flatten import FlattenAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.types import LinearParams, QParams

RNG = np.random.default_rng(5)


def f32(value):
    return float(np.float32(value))


def weights(*shape, scales):
    weight = RNG.integers(-128, 128, shape).astype(np.int8)
    weight.flat[0] = -128
    # The last needs more bits than float32 has.
    bias = RNG.integers(-2000, 2000, shape[0]).astype(np.int32)
    bias[-1] = 2**24 + 12345
    return IntWeights(weight, bias, np.array([f32(s) for s in scales]))


CONV = weights(3, 3, 3, 2, scales=(0.003, 0.011, 0.0007))
DENSE = weights(4, 48, scales=(0.0123,) * 4)
X, HIDDEN, Y = (
    QParams(f32(0.1), -128),
    QParams(f32(0.3717), -100),
    QParams(f32(9.1), 17),
)


def built(target="cmsis-nn"):
    builder = Builder(kj.target_spec(target), "imported")
    x = builder.input((4, 4, 2), X)
    conv = Conv2DAttrs(3, (3, 3), padding="same", activation="relu")
    x = builder.layer(
        "conv2d", conv, [x], source="CONV_2D", params=CONV, output=HIDDEN,
        notes=["RELU fused"], name="model/conv:0",
    )  # fmt: skip
    x = builder.layer("flatten", FlattenAttrs(), [x], source="RESHAPE", output=HIDDEN)
    dense = DenseAttrs(4)
    x = builder.layer(
        "dense", dense, [x], source="FULLY_CONNECTED", params=DENSE, output=Y
    )
    builder.drop("IDENTITY 'out'", "does nothing")
    return builder.finish(x)


def test_another_target_keeps_integers_or_says_which_layer_it_cannot_keep():
    net = built().network
    older = built(kj.target_spec("cmsis-nn", version="4.0.0")).network
    moved = net.for_target(version="4.0.0")
    assert moved.freeze().digest() == older.freeze().digest()
    back = moved.for_target(version="7.0.0")
    assert back.freeze().digest() == net.freeze().digest()

    builder = Builder(kj.target_spec("cmsis-nn"), "imported")
    several = weights(2, 3, scales=(0.01, 0.02))
    x = builder.layer(
        "dense", DenseAttrs(2), [builder.input((3,), X)], source="Gemm",
        params=several, output=Y,
    )  # fmt: skip
    net = builder.finish(x).network
    with pytest.raises(
        UnsupportedOp, match="'dense1': has a weight scale for each output"
    ):
        net.for_target(version="4.0.0")
    net = net.with_quantization(ranges="minmax")
    net.calibrate(RNG.integers(-128, 128, (4, 3)).astype(np.int8))
    net.for_target(version="4.0.0").freeze()


def test_the_integers_of_a_file_are_those_of_the_graph():
    imported = built()
    conv, _, dense = imported.network.freeze().nodes
    for node, given in ((conv, CONV), (dense, DENSE)):
        np.testing.assert_array_equal(node.ints.weight, given.weight)
        np.testing.assert_array_equal(node.ints.bias, given.bias)
    assert conv.output.qparams == HIDDEN and dense.output.qparams == Y
    assert conv.ints.input_offset == 128 and conv.ints.act_min == -100
    row = imported.layers[0]
    assert (row.source, row.layer, row.op) == ("CONV_2D", "model_conv_0", "conv2d")
    assert row.notes == ("RELU fused",) and row.scale == str(HIDDEN)
    assert imported.dropped == ("IDENTITY 'out': does nothing",)


def test_the_factor_of_a_dense_layer_is_computed_in_float64():
    dense = built().network.freeze().nodes[-1]
    real = dense.ints.multiplier[0] * 2.0 ** (int(dense.ints.shift[0]) - 31)
    product = HIDDEN.scale * DENSE.scales[0]
    assert abs(real / (product / Y.scale) - 1) < 2**-31
    single = float(np.float32(HIDDEN.scale) * np.float32(DENSE.scales[0]))
    assert abs(real / (single / Y.scale) - 1) > 2**-31


def test_a_saved_network_gives_the_same_bytes(tmp_path):
    net = built().network
    x = RNG.integers(-128, 128, (20, 4, 4, 2)).astype(np.int8)
    net.save(tmp_path / "net.npz")
    loaded = kj.load(tmp_path / "net.npz")
    assert loaded.input == net.input
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))
    assert loaded.freeze().digest() == net.freeze().digest()


def test_training_forward_is_that_of_the_file():
    net = built().network
    x = RNG.integers(-128, 128, (20, 4, 4, 2)).astype(np.int8)
    real = (net.predict(x).astype(np.float32) - Y.zero_point) * np.float32(Y.scale)
    logits = net.logits(x, track=True)
    np.testing.assert_array_equal(logits.data, real)
    (logits * logits).mean().backward()
    weight = net.layers[0].weight
    assert np.abs(weight.grad).max() > 0
    weight.data = weight.data - 1e-3 * weight.grad / np.abs(weight.grad).max()
    net.logits(x, track=True)
    assert net.freeze().nodes[0].output.qparams == HIDDEN  # scales stay


def test_other_ranges_let_go_of_the_scales():
    net = built().network.with_quantization(ranges="minmax")
    net.calibrate(RNG.integers(-128, 128, (20, 4, 4, 2)).astype(np.int8))
    assert net.freeze().nodes[0].output.qparams != HIDDEN


def test_an_output_that_an_operator_cannot_have_is_refused():
    builder = Builder(kj.target_spec(), "imported")
    x = builder.input((4,), X)
    with pytest.raises(UnsupportedOp, match="relu gives an output of scale"):
        builder.layer("relu", ReluAttrs(), [x], source="RELU", output=Y)


def test_parameters_of_another_shape_are_refused():
    builder = Builder(kj.target_spec(), "imported")
    x = builder.input((4,))
    params = LinearParams(np.zeros((2, 3), np.float32), np.zeros(2, np.float32))
    y = builder.layer("dense", DenseAttrs(2), [x], source="Gemm", params=params)
    with pytest.raises(ShapeError, match="the weight must have shape"):
        builder.finish(y)


def test_a_float_network_finds_the_range_of_its_input_in_data():
    builder = Builder(kj.target_spec(), "imported")
    x = builder.input((4,))
    params = LinearParams(np.eye(2, 4, dtype=np.float32), np.ones(2, np.float32))
    y = builder.layer("dense", DenseAttrs(2), [x], source="Gemm", params=params)
    net = builder.finish(y).network
    assert not net.is_calibrated and net.input_range is not None
    np.testing.assert_array_equal(net.layers[0].weight.data, params.weight)


@pytest.mark.parametrize(
    ("scale", "output", "message"),
    [
        (
            2.0**-7 / 3,
            QParams(2.0**-4),
            "scales that are powers of two, not 0.00260417",
        ),
        (2.0**-7, QParams(0.3), "scales that are powers of two, not 0.3"),
        (2.0**-7, QParams(2.0**-4, 3), "zero points of 0; the output's is 3"),
        (2.0**-7, QParams(2.0**-4), None),
    ],
)
def test_scales_that_the_library_has_not_are_refused(scale, output, message):
    builder = Builder(kj.target_spec("cmsis-nn-q7"), "imported")
    x = builder.input((4,), QParams(2.0**-5))
    ints = IntWeights(
        np.ones((2, 4), np.int8), np.zeros(2, np.int32), np.full(2, scale)
    )
    y = builder.layer(
        "dense", DenseAttrs(2), [x], source="Gemm", params=ints, output=output
    )
    if message is None:
        builder.finish(y).network.freeze()
        return
    with pytest.raises(UnsupportedOp, match=f"layer 'dense1': .*{message}"):
        builder.finish(y)


def image_net(layer, qparams):
    builder = Builder(kj.target_spec(), "imported", image_layer=layer)
    x = builder.input((4, 4, 2), qparams)
    return builder.finish(builder.layer("relu", ReluAttrs(), [x], source="RELU"))


def test_an_image_layer_gives_the_integers_that_the_file_takes():
    third = f32(1 / 255)
    net = image_net(kj.Rescaling(1 / 255), QParams(third, -128)).network
    x = RNG.integers(0, 256, (5, 4, 4, 2)).astype(np.uint8)
    *_, first = (y for y, _ in zip(net.freeze().layers(x), range(1), strict=False))
    np.testing.assert_array_equal(first, (x.astype(int) - 128).astype(np.int8))
    assert net.freeze().nodes[0].output.qparams == QParams(third, -128)


def test_an_image_layer_of_a_float_network_has_the_range_of_its_pixels():
    net = image_net(kj.Rescaling(2.0, -100.0), None).network
    assert net.input_range is None
    low, high = -100.0, 410.0
    q = net.freeze().nodes[0].output.qparams
    assert q.scale == pytest.approx((high - low) / 255)
    assert q.scale * (-128 - q.zero_point) == pytest.approx(low, abs=q.scale)


def test_another_image_layer_is_refused():
    with pytest.raises(OptionError, match="image_layer must be Rescaling"):
        image_net(kj.Normalize((0, 0)), None)
