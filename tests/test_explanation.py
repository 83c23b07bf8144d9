"""Where accuracy goes: the figures are what their names say."""

import json
import math

import numpy as np
import pytest
from small import images, small_net, stripes

import kanji_np as kj
from kanji_np.errors import ShapeError
from kanji_np.explanation import explain


@pytest.fixture(scope="module")
def net():
    net = small_net()
    kj.fit(net, stripes(), epochs=2, show=False)
    return net


def decibels(signal, noise):
    return 10 * math.log10((signal**2).sum() / (noise**2).sum())


def test_the_last_layer_is_the_networks_output(net):
    x = stripes().images
    f = net.predict(x, precision="fp32").astype(np.float64)
    y = net.freeze().output.qparams
    r = (net.predict(x).astype(np.float64) - y.zero_point) * y.scale
    last = explain(net, x).layers[-1]
    assert last.name == "dense2"
    assert last.sqnr_db == pytest.approx(decibels(f, r - f), abs=0.01)
    cosine = (f * r).sum() / math.sqrt((f**2).sum() * (r**2).sum())
    assert last.cosine == pytest.approx(cosine, abs=1e-5)
    assert last.largest == pytest.approx(np.abs(r - f).max(), rel=1e-4)
    assert last.largest_steps == pytest.approx(last.largest / y.scale)


def test_own_noise_is_the_layers_alone(net):
    layers = {layer.name: layer for layer in explain(net, stripes().images).layers}
    for name in ("pool1", "relu1", "flatten1"):  # exact in int8, given their inputs
        assert layers[name].own_sqnr_db == layers[name].effect_sqnr_db == math.inf
        assert math.isfinite(layers[name].sqnr_db)
    first, last = layers["normalize1"], layers["dense2"]
    assert first.own_sqnr_db == first.sqnr_db
    assert last.own_sqnr_db > last.sqnr_db
    assert last.effect_sqnr_db == pytest.approx(last.own_sqnr_db, abs=1)


def test_batches_change_nothing(net, monkeypatch):
    x = stripes().images
    whole = explain(net, x)
    monkeypatch.setattr("kanji_np.explanation.BATCH_BYTES", 1)
    single = explain(net, x[:5])
    monkeypatch.undo()
    assert whole.images == len(x)
    for one, other in zip(single.layers, explain(net, x[:5]).layers, strict=True):
        assert one.sqnr_db == pytest.approx(other.sqnr_db, abs=1e-3)
        assert (one.clamped, one.range_used) == (other.clamped, other.range_used)


def test_a_layer_with_a_range_too_small_is_found():
    net = small_net()
    net.calibrate(images(64))
    conv = next(layer for layer in net.layers if layer.name == "conv2")
    conv.output_range.low, conv.output_range.high = conv.output_range.bounds()
    conv.output_range.low, conv.output_range.high = np.float64(-0.1), np.float64(0.1)
    found = explain(net, images(64, seed=1))
    layers = {layer.name: layer for layer in found.layers}
    assert layers["conv2"].clamped > 0.5
    assert layers["conv1"].clamped < 0.01
    assert layers["conv2"].range_used == 1
    assert found.costliest[0].name == "conv2"
    assert "costliest: conv2 (" in str(found)


def test_what_a_relu_cuts_off_is_not_clamped():
    net = kj.Sequential(
        [kj.Normalize(128), kj.Conv2D(4, 3, activation="relu"), kj.ReLU()],
        (8, 8, 1),
        scheme="asymmetric",
    )
    x = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype(np.uint8)
    net.calibrate(x)
    assert (net.predict(x) == -128).mean() > 0.3
    assert all(layer.clamped < 0.001 for layer in explain(net, x).layers)


def test_weights_lose_more_in_four_bits():
    def weights(bits):
        net = kj.Sequential(
            [kj.Normalize((9, 9, 9)), kj.Conv2D(4, 3, weight_bits=bits), kj.Flatten()],
            (8, 8, 3),
        )
        return [layer.weight_sqnr_db for layer in explain(net, images()).layers]

    eight, four = weights(8), weights(4)
    assert eight[0] is eight[2] is None
    assert eight[1] - four[1] == pytest.approx(24, abs=3)  # four bits, 6 dB each


def test_branches_normalization_and_softmax():
    x = kj.Input((8, 8, 3))
    y = kj.Normalize((120, 130, 110))(x)
    y = kj.Conv2D(8, 3, padding="same", activation="relu", batch_norm=True)(y)
    z = kj.DepthwiseConv2D(3, padding="same", batch_norm=True)(y)
    y = kj.GlobalAvgPool2D()(kj.Add("relu")(y, z))
    y = kj.Softmax()(kj.Dense(3)(kj.Flatten()(y)))
    net = kj.Model(x, y, scheme="asymmetric")
    data = stripes()
    kj.fit(net, data, epochs=1, show=False)
    found = explain(net, data.images)
    assert [layer.name for layer in found.layers] == [x.name for x in net.layers]
    *trained, softmax = found.layers
    assert softmax.op == "softmax" and softmax.effect_sqnr_db is None
    assert all(layer.sqnr_db > 15 and layer.cosine > 0.98 for layer in trained)
    assert softmax.largest < 0.1


@pytest.mark.parametrize("target", ["cmsis-nn", "cmsis-nn-q7"])
def test_a_network_without_ranges_stays_without(target):
    net = small_net(target=target)
    found = explain(net, images())
    assert not net.is_calibrated
    assert all(layer.sqnr_db > 15 for layer in found.layers)
    assert found.target == str(net.target)


def test_integer_inputs():
    net = kj.Sequential([kj.Dense(4), kj.ReLU6()], (6,), scheme="symmetric")
    x = np.random.default_rng(0).integers(-128, 128, (50, 6)).astype(np.int8)
    dense, _ = explain(net, x).layers
    assert dense.sqnr_db == dense.own_sqnr_db > 30


def test_real_inputs_lose_what_rounding_takes():
    layers = [kj.Dense(4)]
    net = kj.Sequential(layers, (6,), scheme="asymmetric", input_range=(0.0, 40.0))
    x = np.random.default_rng(0).uniform(0, 40, (50, 6)).astype(np.float32)
    net.calibrate(x)
    (of_reals,) = explain(net, x).layers
    (of_ints,) = explain(net, net.quantize_inputs(x)).layers
    assert of_reals.own_sqnr_db == of_ints.own_sqnr_db
    assert 30 < of_reals.sqnr_db < of_ints.sqnr_db


def test_json_has_null_where_nothing_differs(net):
    found = explain(net, images())
    text = found.json()
    assert "\n" not in text and "Infinity" not in text
    data = json.loads(text)
    assert data["images"] == 16
    layers = {layer["name"]: layer for layer in data["layers"]}
    assert layers["flatten1"]["own_sqnr_db"] is None
    assert layers["conv1"]["own_sqnr_db"] > 0


def test_silence_has_no_ratio():
    net = kj.Sequential([kj.Normalize(0), kj.Flatten(), kj.Dense(2)], (2, 2, 1))
    found = explain(net, np.zeros((3, 2, 2, 1), np.uint8))
    assert all(layer.cosine == 1 and layer.largest == 0 for layer in found.layers)
    assert all(layer.sqnr_db == math.inf for layer in found.layers)


def test_inputs_that_do_not_fit(net):
    with pytest.raises(ShapeError, match="takes uint8"):
        explain(net, images().astype(np.int8))


def test_the_plot_is_a_picture(net, tmp_path):
    from PIL import Image

    kj.plot_explanation(explain(net, images()), tmp_path / "layers.png")
    with Image.open(tmp_path / "layers.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[0] == 672
    assert pixels.max() == 255 and 0.01 < (pixels < 200).mean() < 0.3
