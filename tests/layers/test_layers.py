"""Layers: arguments, int8 training against the frozen program, straight-through."""

import math
from dataclasses import replace

import numpy as np
import pytest
from small import images, small_net

import kanji_np as kj
from kanji_np.autograd import Tensor, no_grad
from kanji_np.errors import (
    AccumulatorOverflow,
    OptionError,
    RangeError,
    ShapeError,
    UnsupportedOp,
)
from kanji_np.layers import Activation
from kanji_np.types import QParams


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kj.Conv2D(0, 3), r"filters must be an int in 1 \.\. 65535, got 0"),
        (lambda: kj.Conv2D(1.5, 3), "filters must be an int in .*, got 1.5"),
        (
            lambda: kj.Conv2D(1, 0),
            "kernel_size must be an int in 1 .. 32767 or a pair of them, got 0",
        ),
        (lambda: kj.Conv2D(1, 2.5), "kernel_size must be an int .* or a pair"),
        (lambda: kj.Conv2D(1, None), "kernel_size must be .* got None"),
        (lambda: kj.Conv2D(1, (3, 3, 3)), r"kernel_size must be .* got \(3, 3, 3\)"),
        (lambda: kj.Conv2D(1, 3, strides=-1), "strides must be an int in .* got -1"),
        (lambda: kj.Conv2D(1, 3, dilation_rate=(1, 0)), "dilation_rate must be"),
        (lambda: kj.Conv2D(1, 3, padding="SAME"), 'padding must be "same", "valid"'),
        (lambda: kj.Conv2D(1, 3, padding=1), "padding must be .* got 1"),
        (lambda: kj.Conv2D(1, 3, padding=((1, 1), (1, -1))), "padding must be"),
        (
            lambda: kj.Conv2D(1, 3, activation="gelu"),
            "activation must be None or one of",
        ),
        (
            lambda: kj.DepthwiseConv2D(3, depth_multiplier=0),
            "depth_multiplier must be an int in .*, got 0",
        ),
        (lambda: kj.Dense(-2), "units must be an int in .*, got -2"),
        (lambda: kj.Dense(2, activation=7), "activation must be"),
        (lambda: kj.Dense(2, weight_bits=16), "weight_bits must be 8 or 4, got 16"),
        (
            lambda: kj.MaxPool2D(0),
            "pool_size must be an int .* or a pair of them, got 0",
        ),
        (lambda: kj.AvgPool2D(2, strides="ab"), "strides must be"),
        (lambda: kj.Normalize(256), r"mean must be integers in 0\.\.255"),
        (lambda: kj.Normalize((-1, 0)), "mean must be integers"),
        (lambda: kj.Normalize(0.5), "mean must be integers"),
        (lambda: kj.Normalize(()), "mean must be"),
        (
            lambda: kj.Normalize(np.zeros((2, 2), int)),
            r"mean must be uint8 \(C,\) or \(H,W,C\), got uint8 \(2, 2\)",
        ),
        (lambda: kj.Normalize(1, shift=8), r"shift must be an int in 0 \.\. 7, got 8"),
        (lambda: kj.Standardize(-1), r"frac_bits must be an int in 0 \.\. 7, got -1"),
        (lambda: kj.ReLU(name="a b"), "name must be a C identifier, got 'a b'"),
        (lambda: kj.ReLU(name="schön"), "name must be a C identifier"),
        (lambda: kj.ReLU(name=3), "name must be a C identifier, got 3"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize(
    ("layers", "shape", "error", "message"),
    [
        ([kj.ReLU()], (65536,), UnsupportedOp, "'relu1': .* takes 65535 at most"),
        (
            [kj.Normalize(1), kj.Standardize(name="second")],
            (4, 4, 1),
            ShapeError,
            "'second': reads uint8 images and must be the first layer",
        ),
        ([kj.Softmax()], (2, 4096), ShapeError, "'softmax1': .* most 4095"),
        ([kj.Dense(1)], (65536,), AccumulatorOverflow, "'dense1': .* 65536 products"),
        (
            [kj.Conv2D(1, 9)],
            (9, 9, 1024),
            AccumulatorOverflow,
            "'conv1': .* 82944 products",
        ),
        ([kj.Dense(2, name="last")], (4, 4, 1), ShapeError, "'last': .* put Flatten"),
        ([kj.Conv2D(2, 5)], (4, 4, 1), ShapeError, "'conv1': a window of 5"),
        (
            [kj.DepthwiseConv2D(5)],
            (4, 4, 1),
            ShapeError,
            "'depthwise1': a window of 5",
        ),
        (
            [kj.DepthwiseConv2D(3, padding=((0, 2), (0, 2)))],
            (4, 4, 1),
            UnsupportedOp,
            "'depthwise1': .* column beyond the input",
        ),
        ([kj.MaxPool2D(3)], (7,), ShapeError, r"'pool1': .* \(H, W, C\)"),
        (
            [kj.Normalize(5)],
            (4, 4, 3),
            ShapeError,
            r"'normalize1': .* the mean .* \(3,\)",
        ),
        ([kj.Standardize()], (48,), ShapeError, r"'standardize1': .* got \(48,\)"),
    ],
)
def test_what_cannot_be_deployed_is_refused_when_the_network_is_made(
    layers, shape, error, message
):
    with pytest.raises(error, match=f"layer {message}"):
        kj.Sequential(layers, shape)


def calibrated_net():
    net = small_net(seed=3)
    rng = np.random.default_rng(0)
    for parameter in net.parameters():
        parameter.data += rng.normal(0, 0.05, parameter.shape).astype(np.float32)
    net.calibrate(images(32, seed=1))
    return net


def test_training_runs_forward_in_the_integers_of_the_frozen_program():
    net, x = calibrated_net(), images()
    graph = net.freeze()
    logits = net.logits(x, precision="int8")
    y = graph.run(x)
    assert len(np.unique(y)) > 10
    np.testing.assert_array_equal(
        logits.data, y * np.float32(graph.output.qparams.scale)
    )
    value = Activation(Tensor(x), None)
    for layer, out, node in zip(net.layers, graph.layers(x), graph.nodes, strict=True):
        value = layer.forward_int(value, track=False)
        np.testing.assert_array_equal(value.tensor.data, out)
        assert value.qparams == node.output.qparams
    np.testing.assert_array_equal(net.predict(x), y)


def test_looking_does_not_track_and_training_does():
    net, x = calibrated_net(), images(seed=5)
    before = net.snapshot()[0]
    net.logits(x)
    net.predict(x)
    net.calibrate(x)
    assert net.snapshot()[0] == before
    net.logits(x, track=True)
    updates = [
        (layer.weight_range.updates, layer.output_range.updates)
        for layer in net.layers
        if layer.has_parameters
    ]
    assert updates == [(2, 2)] * 4


def test_tracked_ranges_are_those_of_the_values():
    """Before they are clamped; a ReLU's from zero."""
    net = kj.Sequential([kj.Dense(5), kj.Dense(4, activation="relu")], (6,))
    x = np.random.default_rng(0).integers(-128, 128, (50, 6)).astype(np.int8)
    first, second = net.layers
    net.logits(x, track=True)
    sums = x / 128 @ first.weight.data.T
    assert first.output_range.low == pytest.approx(sums.min(), rel=1e-5)
    assert first.output_range.high == pytest.approx(sums.max(), rel=1e-5)
    assert first.weight_range.low == first.weight.data.min()
    assert first.weight_range.high == first.weight.data.max()
    assert second.output_range.low == 0
    assert second.output_range.high > 0


def test_int8_is_near_fp32():
    net, x = calibrated_net(), images(64)
    y8 = net.logits(x).data
    y32 = net.logits(x, precision="fp32").data
    assert y32.dtype == np.float32
    assert np.abs(y8 - y32).max() < 0.15 * np.abs(y32).max()
    assert np.corrcoef(y8.ravel(), y32.ravel())[0, 1] > 0.99


def dense_layer(weight, bias, activation=None):
    """A calibrated layer; input and weight scale 1/128, output scale 1/64."""
    net = kj.Sequential([kj.Dense(len(bias), activation)], (len(weight[0]),))
    (layer,) = net.layers
    layer.weight.data = np.float32(weight)
    layer.bias.data = np.float32(bias)
    layer.weight_range.update(-1.0, 1.0)
    layer.output_range.update(-2.0, 2.0)
    return layer


def backward(layer, x, gy):
    tensor = Tensor(np.int8(x), requires_grad=True)
    y = layer.forward_int(Activation(tensor, QParams(2.0**-7)), track=False)
    y.tensor.backward(np.float32(gy))
    return y.tensor.data, tensor.grad, layer.weight.grad, layer.bias.grad


def test_gradients_pass_where_nothing_was_clamped():
    layer = dense_layer([[0.5, 0.25]], [0.25])
    y, gx, gw, gb = backward(layer, [[64, -32]], [[2.0]])
    # (64 * 64 - 32 * 32 + 4096) / 256 = 28
    assert y.tolist() == [[28]]
    assert gx.tolist() == [[1.0, 0.5]]
    assert gw.tolist() == [[1.0, -0.5]]
    assert gb.tolist() == [2.0]


@pytest.mark.parametrize(
    ("bias", "activation", "y"),
    [(5.0, None, 127), (-5.0, None, -128), (-0.5, "relu", 0), (5.0, "relu", 127)],
)
def test_gradients_stop_where_the_output_was_clamped(bias, activation, y):
    layer = dense_layer([[0.5, 0.25]], [bias], activation)
    out, gx, gw, gb = backward(layer, [[64, -32]], [[2.0]])
    assert out.tolist() == [[y]]
    assert not (gx.any() or gw.any() or gb.any())


def test_gradients_stop_at_weights_that_were_clamped_and_use_the_rounded_ones():
    layer = dense_layer([[0.3, 1.5], [-1.5, 127.4 / 128]], [0.0, 0.0])
    _, gx, gw, _ = backward(layer, [[10, 20]], [[1.0, 1.0]])
    np.testing.assert_array_equal(gw, np.float32([[10, 0], [0, 20]]) / 128)
    rounded = np.float32([[38, 127], [-127, 127]]) / 128
    np.testing.assert_array_equal(gx, rounded.sum(axis=0, keepdims=True))


def test_a_range_of_zero_is_no_trouble():
    net = kj.Sequential([kj.Dense(3, activation="relu"), kj.Dense(2)], (4,))
    for parameter in net.parameters():
        parameter.data[:] = 0
    assert not net.predict(np.ones((2, 4), np.int8)).any()


def test_a_range_that_is_not_finite_names_the_layer():
    net = small_net()
    net.layers[3].weight.data[0] = math.nan
    with pytest.raises(RangeError, match="layer 'conv2': .* training diverged"):
        net.logits(images(), track=True)


def test_an_output_finer_than_its_sums_gets_their_scale():
    layer = dense_layer([[1.0]], [0.0])
    layer.output_range = type(layer.output_range)()
    layer.output_range.update(-1e-6, 1e-6)
    ints, y = layer.frozen(QParams(2.0**-7))
    assert y == QParams(2.0**-14)
    assert ints.shift.tolist() == [1]


def test_without_a_tape_nothing_is_kept():
    net, x = calibrated_net(), images()
    assert net.logits(x).requires_grad
    with no_grad():
        assert not net.logits(x).requires_grad


def test_repr_is_one_line_with_the_name():
    net = small_net()
    assert repr(net.layers[1]) == (
        "Conv2D(filters=8, kernel_size=(3, 3), padding='same', activation='relu', "
        "name='conv1')"
    )
    assert repr(kj.ReLU()) == "ReLU()"


def test_what_a_vjp_wants_is_kept_only_where_a_gradient_may_be_asked_for():
    kept = []

    def forward_train(attrs, ints, xs):
        y, extra = op.fast.forward_train(attrs, ints, xs)
        kept.append(extra)
        return y, extra

    def vjp(attrs, params, saved, gy, needs_gx):
        assert saved.extra is kept[-1]
        return op.run_vjp(attrs, params, saved, gy, needs_gx)

    op = kj.MaxPool2D(2).op
    pool = kj.MaxPool2D(2)
    fast = replace(op.fast, forward_train=forward_train, vjp=vjp)
    pool.op = replace(op, fast=fast)
    net = kj.Sequential([kj.Conv2D(3, 1), pool, kj.Flatten(), kj.Dense(2)], (4, 4, 3))
    x = images(2)[:, :4, :4].astype(np.int8)
    net.calibrate(x)
    net.predict(x)
    net.predict(x, precision="fp32")
    assert not kept
    for precision in ("int8", "fp32"):
        net.logits(x, precision=precision).sum().backward()
    assert len(kept) == 2
    pool.forward_int(Activation(Tensor(x), QParams(1.0)), track=True)
    assert len(kept) == 2
