"""What is not finite, or huge, is refused where integers are made."""

import math

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import OptionError, RangeError
from kanji_np.ops.normalize import NormalizeInts
from kanji_np.quantize import SCHEMES

BAD = {"nan": math.nan, "-inf": -math.inf, "1e+38": 1e38}
LAYERS = {
    "conv": lambda norm: kj.Conv2D(4, 3, name="bad", batch_norm=norm),
    "depthwise": lambda norm: kj.DepthwiseConv2D(3, name="bad", batch_norm=norm),
    "dense": lambda norm: kj.Dense(5, name="bad", batch_norm=norm),
}


def net(kind="conv", scheme="pow2", ranges="minmax", norm=False):
    flat = [kj.Flatten()] if kind == "dense" else []
    layers = [kj.Conv2D(3, 1), *flat, LAYERS[kind](norm), kj.ReLU()]
    return kj.Sequential(layers, (5, 5, 2), scheme=scheme, ranges=ranges)


def x():
    rng = np.random.default_rng(0)
    return rng.integers(-128, 128, (4, 5, 5, 2)).astype(np.int8)


def ways(network):
    """Everything that reads the parameters."""
    return (
        network.freeze,
        lambda: network.calibrate(x()),
        lambda: network.predict(x()),
        lambda: network.predict(x(), precision="fp32"),
        lambda: network.logits(x(), track=True),
        lambda: network.logits(x(), track=True, precision="fp32"),
    )


@pytest.mark.parametrize("is_calibrated", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("parameter", ["weight", "bias"])
def test_damaged_parameters(kind, scheme, parameter, is_calibrated):
    network = net(kind, scheme)
    if is_calibrated:
        network.calibrate(x())
    data = dict(network.named_parameters())[f"bad/{parameter}"].data
    for shown, value in BAD.items():
        data.flat[1] = value
        for way in ways(network):
            message = f"layer 'bad': a {parameter} of {shown} cannot be quantized"
            with pytest.raises(RangeError) as caught:
                way()
            assert str(caught.value).startswith(message)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ["weight", "gamma", "beta", "mean", "variance"])
def test_damaged_normalization(kind, name):
    network = net(kind, norm=True)
    network.calibrate(x())
    norm = network.layers[-2].norm
    data = {
        "weight": network.layers[-2].weight.data,
        "gamma": norm.gamma.data,
        "beta": norm.beta.data,
        "mean": norm.moving.mean,
        "variance": norm.moving.var,
    }[name]
    for shown, value in BAD.items():
        data.flat[1] = value
        for way in ways(network)[:4]:
            with pytest.raises(
                RangeError, match=f"layer 'bad': a {name} of "
            ) as caught:
                way()
            assert f"{name} of {shown} " in str(caught.value)
    if name == "variance":
        data.flat[1] = -1.5
        with pytest.raises(RangeError, match="'bad': a variance of -1.5 is negative"):
            network.freeze()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tracker", ["weight_range", "output_range"])
def test_damaged_ranges(scheme, tracker):
    network = net(scheme=scheme)
    network.calibrate(x())
    for value in (1e38, 1e300, math.inf, math.nan):
        getattr(network.layers[1], tracker).high = np.float64(value) + np.zeros(
            np.shape(getattr(network.layers[1], tracker).high)
        )
        for way in (network.freeze, lambda: network.logits(x())):
            with pytest.raises(
                RangeError, match="layer 'bad': a range of .* cannot be"
            ):
                way()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e38, -65])
def test_damaged_learned_ranges(value):
    network = net(ranges="learned")
    network.calibrate(x())
    network.layers[1].output_range.theta.data[...] = value
    with pytest.raises(RangeError, match="layer 'bad': learned ranges are 2"):
        network.freeze()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_large_values_are_integers_or_refused(scheme):
    """As far as values go that are not refused, integers are those of the formula."""
    for size in 10.0 ** np.arange(-12, 13, 3):
        network = net(scheme=scheme)
        for parameter in network.parameters():
            parameter.data *= np.float32(size)
        network.layers[1].bias.data[0] = size
        try:
            graph = network.freeze()
        except RangeError as error:
            assert size > 1e3, error
            continue
        for node in graph.nodes[:2]:
            assert node.ints.shift.min() >= -30
            assert node.ints.shift.max() <= 1


def test_a_dead_channel_costs_the_others_no_levels():
    """int4 weights near 1e-3, one filter of zeros: as many levels as without it."""

    def levels(dead):
        network = kj.Sequential(
            [kj.Conv2D(4, 3, weight_bits=4)], (9, 9, 2), scheme="symmetric"
        )
        (layer,) = network.layers
        layer.weight.data[:] *= np.float32(2e-3)
        layer.weight.data[0] *= not dead
        images = np.random.default_rng(0).integers(-128, 128, (20, 9, 9, 2))
        images = images.astype(np.int8)
        network.calibrate(images)
        return len(np.unique(network.predict(images)[..., 1:]))

    assert levels(dead=True) >= levels(dead=False) > 100


@pytest.mark.parametrize("mean", [[], [[]], [math.nan], [256], [-1], ["1"]])
def test_means_that_are_none(mean):
    with pytest.raises(OptionError, match=r"mean must be integers in 0\.\.255"):
        kj.Normalize(mean)


@pytest.mark.parametrize(
    "mean", [np.array([300, -5]), np.array([1.0]), [1, 2], None, np.zeros(0, np.uint8)]
)
def test_constants_that_are_no_mean(mean):
    with pytest.raises(OptionError, match="mean must be uint8 .*, got"):
        NormalizeInts(mean)


@pytest.mark.parametrize("scale", [0, -0.5, 0.3, math.nan, math.inf, 2.0**100, "1"])
def test_input_scales_that_are_none(scale):
    with pytest.raises(OptionError, match="input_scale must be"):
        kj.Sequential([kj.ReLU()], (3,), input_scale=scale)
