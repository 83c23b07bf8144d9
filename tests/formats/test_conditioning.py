"""Networks of raw pixels, written so that they train well: the same bits."""

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.formats.builder import Builder, IntWeights
from kanji_np.formats.conditioning import LARGEST_VALUE, condition
from kanji_np.ops.dense import DenseAttrs
from kanji_np.types import LinearParams

X = np.random.default_rng(0).integers(0, 256, (50, 12)).astype(np.uint8)


def dense(params, qparams=None, output=None, image_layer=None):
    """A dense layer behind an image layer, as a file has it."""
    builder = Builder(kj.target_spec(), "net", image_layer=image_layer)
    x = builder.input((12,), qparams)
    y = builder.layer(
        "dense", DenseAttrs(3), (x,), source="GEMM", params=params, output=output
    )
    return builder.finish(y).network


def float_net(layer):
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 0.01, (3, 12)).astype(np.float32)
    bias = rng.normal(0, 1, 3).astype(np.float32)
    net = dense(LinearParams(weight, bias), image_layer=layer)
    return net


def int8_net():
    rng = np.random.default_rng(1)
    params = IntWeights(
        rng.integers(-128, 128, (3, 12)).astype(np.int8),
        rng.integers(-(2**20), 2**20, 3).astype(np.int32),
        np.array([1e-4, 3e-4, 7e-5]),
    )
    return dense(
        params, kj.QParams(1.0, -128), kj.QParams(0.05, 3), kj.Rescaling((1.0,))
    )


@pytest.mark.parametrize(
    ("make", "power"),
    [
        (lambda: float_net(kj.Rescaling((1.0,))), 7),
        (lambda: float_net(kj.Rescaling((1.0,), (-128.0,))), 6),
        (int8_net, 7),
    ],
    ids=["float", "float with an offset", "int8"],
)
def test_both_precisions_stay_the_same(make, power):
    net, before = make(), make()
    before.calibrate(X)
    assert condition(net) == power
    net.calibrate(X)
    first, *_ = net.freeze().layers(X)
    y = net.freeze().nodes[0].output.qparams
    assert np.abs((first.astype(int) - y.zero_point) * y.scale).max() <= LARGEST_VALUE
    np.testing.assert_array_equal(net.predict(X), before.predict(X))
    np.testing.assert_array_equal(
        net.predict(X, precision="fp32"), before.predict(X, precision="fp32")
    )
    ints, old = (n.freeze().nodes[1].ints for n in (net, before))
    np.testing.assert_array_equal(ints.weight, old.weight)
    np.testing.assert_array_equal(ints.bias, old.bias)


def test_gradients_are_of_the_size_of_the_others():
    small, large = float_net(kj.Rescaling((1.0,))), float_net(kj.Rescaling((1.0,)))
    condition(small)
    sizes = []
    for net in (small, large):
        kj.cross_entropy(net.logits(X, precision="fp32"), np.arange(50) % 3).backward()
        layer = net.layers[1]
        sizes.append(np.abs(layer.weight.grad / layer.weight.data).mean())
    assert sizes[1] / sizes[0] == pytest.approx(2.0**14, rel=1e-3)


def test_what_stays_as_it_is():
    assert condition(float_net(kj.Rescaling((1 / 255,)))) == 0
    assert condition(dense(LinearParams(np.ones((3, 12), np.float32), np.ones(3)))) == 0
    x = kj.Input((12,))
    y = kj.Rescaling((1.0,))(x)
    relu = kj.Model(x, kj.Dense(3)(kj.ReLU()(y)))
    assert condition(relu) == 0
