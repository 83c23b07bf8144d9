"""Networks with branches: wiring, training, files, C."""

import numpy as np
import pytest
from small import images, stripes

import kanji_np as kj
from kanji_np.deploy import export, verify
from kanji_np.errors import OptionError, ShapeError, UnsupportedOp


def residual(**options) -> kj.Model:
    """A tensor read by three layers, and a sum of two scales read by two."""
    x = kj.Input((8, 8, 3))
    y = kj.Normalize((125, 123, 114))(x)
    stem = kj.Conv2D(6, 3, padding="same", activation="relu")(y)
    inner = kj.Conv2D(6, 3, padding="same", activation="relu")(stem)
    inner = kj.Conv2D(6, 3, padding="same")(inner)
    first = kj.Add(activation="relu")(stem, inner)
    short = kj.Conv2D(6, 1, name="shortcut")(stem)
    second = kj.Add()([first, short])
    pooled = kj.AvgPool2D(8)(second)
    y = kj.Dense(3)(kj.Flatten()(pooled))
    return kj.Model(x, y, **({"name": "residual", "seed": 1} | options))


def test_layers_stand_in_the_order_they_are_read():
    net = residual()
    assert [layer.name for layer in net.layers] == [
        "normalize1", "conv1", "conv2", "conv3", "add1", "shortcut", "add2", "pool1",
        "flatten1", "dense1",
    ]  # fmt: skip
    assert net.wiring == [
        (0,), (1,), (2,), (3,), (2, 4), (2,), (5, 6), (7,), (8,), (9,),
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["pow2", "symmetric", "asymmetric"])
def test_training_runs_in_the_integers_of_the_program_and_of_its_c(tmp_path, scheme):
    net = residual(scheme=scheme)
    data = stripes(200)
    kj.fit(net, data, epochs=2, augment=None, show=False)
    x = images(40)
    graph = net.freeze()
    y = graph.run(x)
    assert len(np.unique(y)) > 10
    zero, scale = graph.output.qparams.zero_point, graph.output.qparams.scale
    logits = (y.astype(np.float32) - zero) * np.float32(scale)
    np.testing.assert_array_equal(net.logits(x).data, logits)
    inputs = [graph.tensors[i].qparams for i in graph.nodes[4].inputs]
    assert scheme == "pow2" or inputs[0] != inputs[1]
    export(net, tmp_path / "c")
    assert verify(tmp_path / "c", x).differing_bytes == 0


def test_both_precisions_learn():
    for precision in ("int8", "fp32"):
        net = residual()
        history = kj.fit(
            net, stripes(300), epochs=6, precision=precision, augment=None, show=False
        )
        assert history.epochs[-1].train_accuracy > 0.8


def test_a_gradient_arrives_by_every_branch():
    net, x = residual(), images(8)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            parameter.data += 5  # no ReLU near its bend
    net.logits(x, precision="fp32").sum().backward()
    analytic = {name: p.grad.copy() for name, p in net.named_parameters()}
    rng = np.random.default_rng(0)
    for name, parameter in net.named_parameters():
        step = rng.standard_normal(parameter.shape).astype(np.float32)
        kept, size = parameter.data, np.float32(1e-2 / np.sqrt(step.size))
        slopes = []
        for sign in (1, -1):
            parameter.data = kept + sign * size * step
            slopes.append(net.logits(x, precision="fp32").sum().item())
        parameter.data = kept
        slope = (slopes[0] - slopes[1]) / (2 * float(size))
        assert slope == pytest.approx(float((analytic[name] * step).sum()), rel=0.05)


@pytest.mark.parametrize("scheme", ["pow2", "symmetric", "asymmetric"])
def test_gradients_of_integers_are_near_the_real_ones(scheme):
    """Through every operator that joins, with inputs of different scales."""
    x = kj.Input((6, 6, 2))
    stem = kj.Conv2D(4, 3, padding="same", activation="relu6")(x)
    gate = kj.Conv2D(4, 1)(kj.ZeroPadding2D()(stem))
    y = kj.Multiply()(kj.ReLU6()(gate), gate)
    y = kj.Concatenate()(y, kj.ZeroPadding2D()(stem), gate)
    y = kj.Add(activation="relu")(y, kj.Conv2D(12, 3, padding="same")(y))
    net = kj.Model(x, kj.GlobalAvgPool2D()(y), scheme=scheme, seed=3)
    inputs = np.random.default_rng(0).integers(-128, 128, (32, 6, 6, 2)).astype(np.int8)
    gradients = []
    for precision in ("int8", "fp32"):
        for parameter in net.parameters():
            parameter.grad = None
        net.logits(inputs, precision=precision).sum().backward()
        gradients.append([p.grad.ravel().copy() for p in net.parameters()])
    for quantized, real in zip(*gradients, strict=True):
        cosine = quantized @ real / np.sqrt(quantized @ quantized * (real @ real))
        assert cosine > 0.98


def test_a_file_holds_the_wiring(tmp_path):
    net, x = residual(scheme="asymmetric", ranges="learned"), images(20)
    kj.fit(net, stripes(100), epochs=1, augment=None, show=False)
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert again.wiring == net.wiring
    assert again.quantization == net.quantization
    assert again.freeze().digest() == net.freeze().digest()
    assert again.predict(x).tobytes() == net.predict(x).tobytes()


def test_what_is_not_a_network_is_refused_in_one_line():
    x, other = kj.Input((4,)), kj.Input((4,))
    y = kj.Dense(2)(x)
    for inputs, outputs, message in (
        (x, x, "from an Input to the output of a layer"),
        (y, y, "from an Input to the output of a layer"),
        (x, kj.Add()(y, kj.Dense(2)(other)), "depend on an Input that is not"),
        (x, [y], r"outputs must be what Input or a layer gave, not \["),
    ):
        with pytest.raises(OptionError, match=message):
            kj.Model(inputs, outputs)
    with pytest.raises(OptionError, match="called on what Input or another layer gave"):
        kj.Dense(2)(np.zeros(3))
    with pytest.raises(ShapeError, match="layer 'add1': add takes 2 inputs, got 1"):
        kj.Model(x, kj.Add()(x))
    with pytest.raises(ShapeError, match="layer 'dense2': dense takes 1 input, got 2"):
        kj.Model(x, kj.Dense(2)(x, y))


def test_a_layer_called_twice_is_refused():
    x, dense = kj.Input((4,)), kj.Dense(4)
    with pytest.raises(OptionError, match="used twice: dense1"):
        kj.Model(x, dense(dense(x)))


def test_the_legacy_library_has_no_sums_and_one_scheme():
    with pytest.raises(UnsupportedOp, match="layer 'add1': cmsis-nn-q7 has no add"):
        residual(target="cmsis-nn-q7")
    with pytest.raises(
        UnsupportedOp, match="cmsis-nn-q7 computes with scheme pow2 only; got 'symm"
    ):
        kj.Sequential([kj.Dense(2)], (4,), "cmsis-nn-q7", scheme="symmetric")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "int8"}, "scheme must be one of pow2, pow2-per-channel, symm"),
        ({"ranges": "mean"}, "ranges must be one of minmax, percentile, learned"),
    ],
)
def test_another_scheme_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        kj.Sequential([kj.Dense(2)], (4,), **options)


def test_the_same_weights_with_other_scales():
    net = residual()
    kj.fit(net, stripes(150), epochs=2, augment=None, show=False)
    x, real = images(40), net.predict(images(40), precision="fp32")
    for options in (
        {"scheme": "asymmetric"},
        {"scheme": "symmetric", "ranges": "learned"},
        {"scheme": "symmetric", "weight_bits": 4},
    ):
        other = net.with_quantization(**options)
        np.testing.assert_array_equal(other.predict(x, precision="fp32"), real)
        assert not other.is_calibrated
        other.calibrate(x)
        error = np.abs(other.logits(x).data - real).max()
        assert error < (0.5 if "weight_bits" in options else 0.1) * np.abs(real).max()
    assert {
        layer.attrs.weight_bits for layer in other.layers if layer.has_parameters
    } == {4}
    with pytest.raises(OptionError, match="weight_bits must be 8 or 4, got 2"):
        net.with_quantization(weight_bits=2)


def test_weights_of_another_network_are_taken_if_they_fit():
    net, other = normalized(scheme="asymmetric"), normalized(seed=5)
    other.logits(images(), track=True, precision="fp32")
    net.take_weights(other)
    x = images(10)
    np.testing.assert_array_equal(
        net.predict(x, precision="fp32"), other.predict(x, precision="fp32")
    )
    with pytest.raises(OptionError, match="residual has other layers than network"):
        net.take_weights(residual())
    one, two = (kj.Sequential([kj.Dense(3)], (n,)) for n in (4, 5))
    with pytest.raises(OptionError, match=r"do not fit network: dense1/weight must"):
        one.take_weights(two)


def normalized(**options) -> kj.Sequential:
    layers = [
        kj.Normalize((120, 130, 110)),
        kj.Conv2D(8, 3, padding="same", batch_norm=True, activation="relu"),
        kj.MaxPool2D(2),
        kj.DepthwiseConv2D(3, batch_norm=True, activation="relu6"),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (8, 8, 3), **options)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_normalization_is_folded_into_what_is_deployed(tmp_path, precision):
    net, data = normalized(scheme="symmetric"), stripes(200)
    kj.fit(
        net, data, epochs=3, precision=precision, freeze_batch_norm=1.0, augment=None,
        averaging=0, show=False,
    )  # fmt: skip
    conv = net.layers[1]
    norm = conv.norm
    k = norm.gamma.data / np.sqrt(norm.moving.var + np.float32(1e-3))
    ints, _ = conv.frozen(net.freeze().tensors[1].qparams)
    folded = conv.weight.data * k[:, None, None, None]
    scales = conv.scheme.weight_scales(conv.weight_range.max_abs, 8)
    expected = np.clip(np.rint(folded / scales[:, None, None, None]), -127, 127)
    assert np.abs(ints.weight - expected).max() <= 1
    assert [node.op for node in net.freeze().nodes] == [
        "normalize", "conv2d", "max_pool2d", "depthwise_conv2d", "flatten", "dense"
    ]  # fmt: skip
    export(net, tmp_path / "c")
    assert verify(tmp_path / "c", images(20)).differing_bytes == 0
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert again.freeze().digest() == net.freeze().digest()


def test_frozen_normalization_trains_what_is_deployed():
    """Once frozen, training runs forward in the integers of the program."""
    net, x = normalized(), images(32)
    kj.fit(net, stripes(100), epochs=4, freeze_batch_norm=0.5, augment=None, show=False)
    assert all(n.norm.is_frozen for n in net.layers if getattr(n, "norm", None))
    moving = net.layers[1].norm.moving
    program = net.freeze().run(x)
    logits = net.logits(x, track=True)
    scale = np.float32(net.freeze().output.qparams.scale)
    np.testing.assert_array_equal(np.rint(logits.data / scale), program)
    assert net.layers[1].norm.moving is moving
    logits.sum().backward()
    assert net.layers[1].norm.gamma.grad.any()
