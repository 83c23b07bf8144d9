"""Weights by name: copied between networks, and read from PyTorch's and Keras's.

What a layout says is compared with a network of channels first, in plain NumPy.
"""

import numpy as np
import pytest
from formats.test_builder import built
from numpy.lib.stride_tricks import sliding_window_view
from small import images, small_layers, stripes

import kanji_np as kj
from kanji_np.errors import DataError, OptionError, ShapeError, UnsupportedOp
from kanji_np.layers import EPSILON
from kanji_np.ops import BUILT_IN
from kanji_np.weights import LAYOUTS

RNG = np.random.default_rng(0)


def normalized_net(seed=0, **options):
    layers = [
        kj.Normalize((120, 130, 110)),
        kj.Conv2D(6, 3, padding="same", activation="relu", batch_norm=True),
        kj.MaxPool2D(2),
        kj.DepthwiseConv2D(3, padding="same", depth_multiplier=2, batch_norm=True),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (8, 8, 3), seed=seed, **options)


def trained():
    net = normalized_net(seed=3)
    kj.fit(net, stripes(64), epochs=2, batch_size=16, show=False)
    return net


# ------------------------------------------------------------------------- copies


def test_a_copy_of_the_weights_gives_equal_bytes():
    net, copy = trained(), normalized_net(seed=4)
    copy.load_weights(net.weights())
    x = images()
    real = net.predict(x, precision="fp32")
    assert copy.predict(x, precision="fp32").tobytes() == real.tobytes()
    for one in (net, copy):
        for layer in one.layers:
            layer.forget_ranges()
        one.calibrate(x)
    assert copy.freeze().digest() == net.freeze().digest()
    # The parameters alone are not the network.
    other = normalized_net(seed=4)
    for (_, p), (_, q) in zip(
        other.named_parameters(), net.named_parameters(), strict=True
    ):
        p.data = q.data
    assert np.abs(other.predict(x, precision="fp32") - real).max() > 1


def test_weights_are_copies_of_all_arrays_but_ranges():
    net = normalized_net()
    arrays = net.weights()
    norm = ("weight", "gamma", "beta", "moving_mean", "moving_var")
    assert list(arrays) == [
        *(f"conv1/{kind}" for kind in norm),
        *(f"depthwise1/{kind}" for kind in norm),
        "dense1/weight",
        "dense1/bias",
    ]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    before = net.freeze().digest()
    for array in arrays.values():
        array += 1
    assert net.freeze().digest() == before


@pytest.mark.parametrize("ranges", ["minmax", "learned", "fixed"])
def test_loading_forgets_every_range(ranges):
    net = normalized_net(ranges=ranges)
    net.calibrate(images())
    for theta in net.learned_ranges():
        theta.data = theta.data + 1
    net.load_weights(net.weights())
    assert not net.is_calibrated
    net.calibrate(images())
    fresh = normalized_net(ranges=ranges)
    fresh.calibrate(images())
    assert net.freeze().digest() == fresh.freeze().digest()


def test_loading_lets_go_of_the_scales_of_a_file():
    net = built().network
    before = net.freeze()
    net.load_weights({name: 3 * array for name, array in net.weights().items()})
    assert not net.is_calibrated
    net.calibrate(RNG.integers(-128, 128, (20, 4, 4, 2)).astype(np.int8))
    after = net.freeze()
    assert after.input == before.input
    assert after.nodes[0].output.qparams != before.nodes[0].output.qparams
    assert np.abs(after.nodes[0].ints.weight.astype(int)).max() <= 127


def test_the_next_batch_is_one_among_many():
    net, copy = normalized_net(seed=3), normalized_net()
    for i in range(25):
        net.logits(images(seed=i), precision="fp32", track=True)
    copy.load_weights(net.weights())
    for one in (net, copy):
        one.logits(images(), precision="fp32", track=True)
    for name, array in copy.weights().items():
        np.testing.assert_array_equal(array, net.weights()[name])


def test_layers_may_have_other_names_where_the_arrays_come_from():
    net = kj.Sequential([kj.Dense(3, name="a"), kj.Dense(2, name="b")], (4,), seed=1)
    copy = kj.Sequential([kj.Dense(3), kj.Dense(2)], (4,))
    taken = copy.load_weights(net.weights(), names={"dense1": "a", "dense2": "b"})
    assert taken["dense2/bias"] == "b/bias"
    assert copy.weights()["dense1/weight"].tobytes() == (
        net.weights()["a/weight"].tobytes()
    )


# ------------------------------------------------------------------------- epsilon


def test_an_epsilon_is_saved_copied_and_restored(tmp_path):
    net = normalized_net()
    arrays = net.weights()
    arrays["conv1/moving_var"][:] = 1e-4
    net.load_weights(arrays, epsilon=1e-5)
    x = images()
    real = net.predict(x, precision="fp32")
    net.save(tmp_path / "net.npz")
    copy, restored = normalized_net(seed=1), normalized_net(seed=1)
    copy.load_weights(net.weights())
    with pytest.raises(OptionError, match="has the unknown conv1/epsilon, depthwise1"):
        restored.load_state(net.state())
    for one in (kj.load(tmp_path / "net.npz"), net.with_quantization(), copy):
        assert one.layers[1].norm.moving.epsilon == 1e-5
        assert one.predict(x, precision="fp32").tobytes() == real.tobytes()
    copy.load_state(net.state())
    assert copy.state()["conv1/epsilon"] == 1e-5
    net.load_weights(arrays, epsilon=EPSILON)
    assert "conv1/epsilon" not in net.weights()
    assert np.abs(net.predict(x, precision="fp32") - real).max() > 0.01


def test_batches_are_normalized_with_the_epsilon():
    net = kj.Sequential([kj.Dense(2, batch_norm=True)], (3,))
    net.load_weights(net.weights(), epsilon=0.5)
    x = RNG.integers(-128, 128, (50, 3)).astype(np.int8)
    y = net.logits(x, precision="fp32", track=True).data
    z = x / 128 @ net.layers[0].weight.data.T
    expected = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 0.5)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ channels first


def conv_nchw(x, weight, bias, pad, groups=1):
    """(N,C,H,W) with weights (Cout,C/groups,KH,KW)."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    parts = np.split(windows, groups, axis=1)
    filters = np.split(weight, groups, axis=0)
    y = [np.einsum("nchwij,ocij->nohw", *p) for p in zip(parts, filters, strict=True)]
    return np.concatenate(y, axis=1) + bias[:, None, None]


def normalize_nchw(x, gamma, beta, mean, var, epsilon):
    shape = (-1, *[1] * (x.ndim - 2))
    k = gamma / np.sqrt(var + epsilon)
    return x * k.reshape(shape) + (beta - mean * k).reshape(shape)


def relu(x):
    return np.maximum(x, 0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def drawn_norm(prefix, channels):
    return {
        f"{prefix}.weight": draw(channels),
        f"{prefix}.bias": draw(channels),
        f"{prefix}.running_mean": draw(channels),
        f"{prefix}.running_var": RNG.uniform(1e-6, 0.01, channels).astype("f4"),
        f"{prefix}.num_batches_tracked": np.array(7),
    }


TORCH = {
    "0.weight": draw(4, 3, 3, 3),
    "0.bias": draw(4),
    **drawn_norm("1", 4),
    "2.weight": draw(8, 1, 3, 3),
    "2.bias": draw(8),
    "fc.weight": draw(5, 8 * 6 * 6),
    **drawn_norm("bn", 5),
    "out.weight": draw(2, 5),
    "out.bias": draw(2),
}


def torch_answer(w, x):
    """What a network of channels first makes of NHWC inputs."""

    def norm(y, prefix):
        arrays = ("weight", "bias", "running_mean", "running_var")
        return normalize_nchw(y, *(w[f"{prefix}.{kind}"] for kind in arrays), 1e-5)

    y = conv_nchw(x.transpose(0, 3, 1, 2), w["0.weight"], w["0.bias"], 1)
    y = relu(norm(y, "1"))
    y = relu(conv_nchw(y, w["2.weight"], w["2.bias"], 1, groups=4))
    y = relu(norm(y.reshape(len(y), -1) @ w["fc.weight"].T, "bn"))
    return y @ w["out.weight"].T + w["out.bias"]


def classifier(batch_norm=True):
    layers = [
        kj.Conv2D(4, 3, padding="same", activation="relu", batch_norm=batch_norm),
        kj.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        kj.Flatten(),
        kj.ReLU(),  # the order of a vector goes through it
        kj.Dense(5, activation="relu", batch_norm=batch_norm),
        kj.Dense(2),
    ]
    return kj.Sequential(layers, (6, 6, 3))


X = RNG.integers(-128, 128, (12, 6, 6, 3)).astype(np.int8)
NAMES = {
    "conv1": ("0", "1"), "depthwise1": "2", "dense1": ["fc", "bn"], "dense2": "out"
}  # fmt: skip


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("names", [None, NAMES])
def test_weights_of_pytorch_compute_what_they_did(batch_norm, names):
    """Modules in their order, or by name; a layer that is not normalized gets folded
    weights."""
    net = classifier(batch_norm)
    if not batch_norm and names is None:
        with pytest.raises(OptionError, match="has 0 batch norm.* have 2: 1, bn"):
            net.load_weights(TORCH, layout="torch")
        return
    taken = net.load_weights(TORCH, layout="torch", names=names)
    assert taken["conv1/moving_var"] == "1.running_var"
    assert taken["dense1/weight"] == "fc.weight"
    y = net.predict(X, precision="fp32")
    expected = torch_answer(TORCH, X.astype(np.float32) / 128)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    net.calibrate(X)  # all arrays are such as kernels take
    assert net.predict(X).shape == (12, 2)


class FakeTensor:
    """As PyTorch's: NumPy reads it only where it is on no tape and on the CPU."""

    def __init__(self, array, steps=("detach", "cpu")):
        self.array, self.steps = array, steps

    def detach(self):
        return FakeTensor(self.array, tuple(s for s in self.steps if s != "detach"))

    def cpu(self):
        return FakeTensor(self.array, tuple(s for s in self.steps if s != "cpu"))

    def __array__(self, dtype=None, copy=None):
        if self.steps:
            raise RuntimeError("Can't call numpy() on a Tensor that requires grad")
        if self.array is None:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def test_tensors_are_read_as_they_are():
    net, other = classifier(), classifier()
    net.load_weights({k: FakeTensor(v) for k, v in TORCH.items()}, layout="torch")
    other.load_weights(TORCH, layout="torch")
    assert net.freeze().digest() == other.freeze().digest()
    strange = TORCH | {"out.bias": FakeTensor(None)}
    with pytest.raises(DataError, match="out.bias cannot be .*: Got unsupported Scal"):
        net.load_weights(strange, layout="torch")


def test_a_vector_that_becomes_an_image_and_two_that_are_joined():
    """Rows of a dense layer, too, and a concatenation, stand in another order."""
    x = kj.Input((4, 4, 2))
    y = kj.Dense(2 * 4 * 4, activation="relu")(kj.Flatten()(x))
    y = kj.Reshape((4, 4, 2))(kj.ReLU()(y))
    y = kj.Conv2D(3, 3, padding="same")(y)
    z = kj.Concatenate()(kj.Flatten()(y), kj.Flatten()(x))
    net = kj.Model(x, kj.Dense(2)(z))
    w = {
        "enc.weight": draw(32, 32), "enc.bias": draw(32),
        "dec.weight": draw(3, 2, 3, 3), "dec.bias": draw(3),
        "out.weight": draw(2, 3 * 16 + 32), "out.bias": draw(2),
    }  # fmt: skip
    net.load_weights(w, layout="torch")
    q = RNG.integers(-128, 128, (9, 4, 4, 2)).astype(np.int8)
    flat = (q.astype(np.float32) / 128).transpose(0, 3, 1, 2).reshape(9, -1)
    hidden = relu(flat @ w["enc.weight"].T + w["enc.bias"]).reshape(9, 2, 4, 4)
    hidden = conv_nchw(hidden, w["dec.weight"], w["dec.bias"], 1).reshape(9, -1)
    joined = np.concatenate([hidden, flat], axis=1)
    expected = joined @ w["out.weight"].T + w["out.bias"]
    y = net.predict(q, precision="fp32")
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layers",
    [
        [kj.Reshape((2, 2, 4)), kj.Flatten(), kj.Dense(2)],
        [kj.Dense(16), kj.Reshape((2, 2, 4)), kj.Reshape((4, 2, 2)), kj.Conv2D(1, 1)],
        [kj.Reshape((16, 1)), kj.Permute((2, 1)), kj.Flatten(), kj.Dense(2)],
    ],
)
def test_an_order_that_cannot_be_told_is_refused(layers):
    net = kj.Sequential(layers, (16,))
    w = {}
    for i, layer in enumerate(x for x in net.layers if x.has_parameters):
        shape = layer.weight.shape
        w[f"{i}.weight"] = np.zeros(
            (shape[0], shape[-1], *shape[1:-1]) if len(shape) == 4 else shape
        )
    with pytest.raises(OptionError, match="'(reshape|transpose).': in which order a"):
        net.load_weights(w, layout="torch")


def test_one_step_along_time():
    net = kj.Sequential([kj.Conv1D(4, 3), kj.Flatten(), kj.Dense(2)], (7, 3))
    w = {
        "a.weight": draw(4, 3, 3), "a.bias": draw(4),
        "b.weight": draw(2, 20), "b.bias": draw(2),
    }  # fmt: skip
    net.load_weights(w, layout="torch")
    q = RNG.integers(-128, 128, (5, 7, 3)).astype(np.int8)
    x = (q.astype(np.float32) / 128).transpose(0, 2, 1)[:, :, None]  # (N,C,1,T)
    y = conv_nchw(x, w["a.weight"][:, :, None], w["a.bias"], 0).reshape(5, -1)
    y = y @ w["b.weight"].T + w["b.bias"]
    np.testing.assert_allclose(net.predict(q, precision="fp32"), y, rtol=1e-4)


# --------------------------------------------------------------------------- Keras


def keras_of(net):
    """The arrays of a network as Keras names and orders them."""
    ours, arrays = net.weights(), {}
    kinds = {
        "weight": "kernel", "bias": "bias", "gamma": "gamma", "beta": "beta",
        "moving_mean": "moving_mean", "moving_var": "moving_variance",
    }  # fmt: skip
    for name, array in ours.items():
        layer, kind = name.split("/")
        if kind == "weight" and layer.startswith("conv"):
            array = np.moveaxis(array, 0, -1)  # (KH,KW,Cin,Cout)
        elif kind == "weight" and layer.startswith("dense"):
            array = array.T
        elif kind == "weight":  # (Cin*M,KH,KW) -> (KH,KW,Cin,M)
            split = array.reshape(-1, 2, *array.shape[1:])
            array = split.transpose(2, 3, 0, 1)
        module = f"{layer}_bn" if kind in ("gamma", "beta") else layer
        module = f"{layer}_bn" if kind.startswith("moving") else module
        arrays[f"net/{module}/{kinds[kind]}:0"] = array
    return arrays


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_weights_of_a_convolution_in_groups(layout):
    """(Cout,Cin/groups,KH,KW), or (KH,KW,Cin/groups,Cout)."""
    net = kj.Sequential([kj.Conv2D(8, 3, padding="same", groups=2)], (6, 6, 4))
    weight, bias, x = draw(8, 2, 3, 3), draw(8), draw(5, 6, 6, 4)
    if layout == "torch":
        theirs = {"0.weight": weight, "0.bias": bias}
    else:
        theirs = {"c/kernel:0": weight.transpose(2, 3, 1, 0), "c/bias:0": bias}
    net.load_weights(theirs, layout=layout)
    expected = conv_nchw(x.transpose(0, 3, 1, 2), weight, bias, 1, groups=2)
    y = net.predict(x, precision="fp32").transpose(0, 3, 1, 2)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_weights_of_keras_are_ours_with_other_axes():
    net, copy = trained(), normalized_net()
    taken = copy.load_weights(keras_of(net), layout="keras")
    assert taken["depthwise1/weight"] == "net/depthwise1/kernel:0"
    for name, array in net.weights().items():
        np.testing.assert_array_equal(copy.weights()[name], array)


def test_a_normalization_without_center_or_scale_has_none():
    net = kj.Sequential([kj.Dense(2, batch_norm=True)], (3,))
    arrays = {
        "dense/kernel": draw(3, 2),
        "bn/moving_mean": draw(2),
        "bn/moving_variance": np.ones(2),
    }
    net.load_weights(arrays, layout="keras")
    assert net.weights()["dense1/gamma"].tolist() == [1, 1]
    assert net.weights()["dense1/beta"].tolist() == [0, 0]


# ---------------------------------------------------------------------- refusals


def other_layers():
    return {f"{i}.weight": draw(2, 2) for i in range(12)}


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda w: [1], {}, OptionError, r"weights are arrays by name, got \[1\]"),
        (lambda w: {1: 2}, {}, OptionError, "have names of text, got 1"),
        (lambda w: w, {"layout": "nchw"}, OptionError, "layout must be one of kanji"),
        (lambda w: w, {"epsilon": -1}, OptionError, "epsilon must be"),
        (lambda w: w, {"names": "conv1"}, OptionError, "names has modules by the"),
        (
            lambda w: w,
            {"names": {"0": "1"}},
            OptionError,
            "names lacks the layer conv1",
        ),
        (
            lambda w: w,
            {"names": NAMES | {"x": "y"}},
            OptionError,
            "names has the unknown layer x",
        ),
        (
            lambda w: w,
            {"names": NAMES | {"dense2": 3}},
            OptionError,
            r"names\['dense2'\] must be the name of a module, .* got 3",
        ),
        (
            lambda w: w,
            {"names": NAMES | {"dense2": "other"}},
            OptionError,
            "the weights lack the module other",
        ),
        (
            lambda w: w | {"more.weight": draw(2, 2)},
            {"names": NAMES},
            OptionError,
            "names leaves out the module more",
        ),
        (
            lambda w: w,
            {"names": NAMES | {"conv1": "0"}},
            OptionError,
            "names leaves out the module 1",
        ),
        (
            lambda w: w | {"ln.weight": draw(3), "ln.x": draw(3)},
            {},
            OptionError,
            "not the weights of a convolution, .* of PyTorch: ln.weight, ln.x",
        ),
        (
            lambda w: other_layers(),
            {},
            OptionError,
            "has 4 layers with weights: conv1, depthwise1, dense1, dense2; the weights "
            "have 12: 0, 1, 2, 3, 4, 5, 6, 7, 4 more. Say with names=",
        ),
        (
            lambda w: w | {"0.weight": draw(4, 3, 3), "out.bias": draw(3)},
            {},
            ShapeError,
            r"0.weight must have shape \(4, 3, 3, 3\) for conv1, got \(4, 3, 3\); out",
        ),
        (
            lambda w: w | {"out.bias": np.array([1, np.nan])},
            {},
            DataError,
            "out.bias holds values that are not finite in float32",
        ),
        (
            lambda w: w | {"out.bias": np.array(["a", "b"])},
            {},
            DataError,
            "out.bias must be of numbers, got <U1",
        ),
        (
            lambda w: w | {"bn.running_var": -np.ones(5)},
            {},
            DataError,
            "bn.running_var must not be negative",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_and_changes_nothing(
    change, options, error, message
):
    net = classifier()
    before = net.freeze().digest()
    with pytest.raises(error, match=message) as caught:
        net.load_weights(change(dict(TORCH)), **{"layout": "torch", **options})
    assert "\n" not in str(caught.value)
    assert net.freeze().digest() == before


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda w: w.pop("dense1/bias"), {}, "the weights lack dense1/bias"),
        (
            lambda w: w.update({"dense2/bias": 1}),
            {},
            "the weights have the unknown dense2/bias",
        ),
        (
            lambda w: w,
            {"names": {"conv1": ("a", "b"), "depthwise1": "c", "dense1": "d"}},
            "must be one name: a layer holds its batch normalization here",
        ),
    ],
)
def test_what_does_not_fit_our_layout(change, options, message):
    net = normalized_net()
    arrays = net.weights()
    change(arrays)
    with pytest.raises(OptionError, match=message):
        net.load_weights(arrays, **options)


def test_a_normalized_layer_needs_a_normalization():
    layers = [kj.Dense(3, batch_norm=True), kj.Dense(2)]
    net = kj.Sequential(layers, (4,))
    arrays = {"a.weight": draw(3, 4), "b.weight": draw(2, 3)} | drawn_norm("bn", 2)
    with pytest.raises(OptionError, match="'dense1' is normalized: say with names="):
        names = {"dense1": "a", "dense2": ("b", "bn")}
        net.load_weights(arrays, layout="torch", names=names)


def test_an_operator_of_unknown_weights_is_named(monkeypatch):
    net = kj.Sequential([kj.Dense(2)], (3,))
    monkeypatch.delitem(LAYOUTS["torch"].kernels, "dense")
    with pytest.raises(UnsupportedOp, match="'dense1': how PyTorch keeps the weights"):
        net.load_weights({}, layout="torch")


def test_every_operator_with_weights_has_its_place_in_every_layout():
    names = {op.name for op in BUILT_IN if op.weights}
    for layout in LAYOUTS.values():
        assert names <= set(layout.kernels)


def test_a_network_without_weights_has_none():
    net = kj.Sequential(small_layers()[:1], (8, 8, 3))
    assert net.weights() == net.load_weights({}) == {}
