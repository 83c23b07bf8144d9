"""Networks without an image layer take real values: rounded, calibrated, trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import images, small_net, stripes

import kanji_np as kj
from kanji_np.anomaly import anomaly_scores, real_inputs
from kanji_np.errors import DataError, OptionError, ShapeError
from kanji_np.quantize import quantize_inputs
from kanji_np.train import loop
from kanji_np.types import QParams

# ----------------------------------------------------------------------- rounding


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25, 0.75, 1.25, -0.25, -0.75], [1, 2, 3, -1, -2]),  # halves away from zero
        ([0.249999985, -0.249999985, 0.0, -0.0], [0, 0, 0, 0]),  # just below a half
        ([63.5, 64, 1e30, -64, -64.5, -1e30], [127, 127, 127, -128, -128, -128]),
    ],
)
def test_values_are_rounded_as_tflite_rounds_them(values, expected):
    x = np.float32(values)
    assert quantize_inputs(x, QParams(0.5)).tolist() == expected


floats = st.floats(-1e6, 1e6, width=32)
scales = st.floats(2**-20, 2**10, width=32)


@given(floats, scales, st.integers(-128, 127))
def test_the_nearest_integer_by_the_formula_of_one_value(value, scale, zero_point):
    steps = np.float32(value) / np.float32(scale)
    nearest = int(abs(float(steps)) + 0.5) * (1 if steps >= 0 else -1)
    expected = min(max(nearest + zero_point, -128), 127)
    x = np.full((2, 1), value, np.float32)
    assert (quantize_inputs(x, QParams(scale, zero_point)) == expected).all()


# ---------------------------------------------------------------------- one network


def values(count=32, seed=0):
    """Features far from -1 .. 1 and from a mean of zero."""
    rng = np.random.default_rng(seed)
    return rng.normal(40, 25, (count, 6, 4)).astype(np.float32)


def feature_net(scheme="asymmetric", input_range="data", **options):
    layers = [
        kj.Conv1D(5, 3, activation="relu", batch_norm=True),
        kj.Flatten(),
        kj.Dense(3),
        kj.Softmax(),
    ]
    return kj.Sequential(
        layers, (6, 4), scheme=scheme, input_range=input_range, **options
    )


def features(count=150, seed=0, name="features"):
    """One of three channels is louder than the others."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    x = rng.normal(40, 10, (count, 6, 4))
    x[np.arange(count), :, labels] += 60
    return kj.Dataset(x.astype(np.float32), labels, ("a", "b", "c"), name)


@pytest.mark.parametrize("scheme", ["pow2", "symmetric", "asymmetric"])
def test_calibration_finds_the_range_of_the_inputs(scheme):
    net, x = feature_net(scheme), values()
    assert not net.is_calibrated
    net.calibrate(x)
    assert net.is_calibrated
    q = net.input.qparams
    assert q.scale * (127 - q.zero_point) >= x.max() - q.scale
    assert q.scale * (-128 - q.zero_point) <= x.min() + q.scale
    assert (q.zero_point != 0) == (scheme == "asymmetric")
    ints = net.quantize_inputs(x)
    assert ints.dtype == np.int8 and len(np.unique(ints)) > 50
    assert np.abs((ints.astype(float) - q.zero_point) * q.scale - x).max() <= q.scale
    before = net.input
    net.calibrate(10 * x)  # has a range already
    assert net.input == before


def test_real_values_and_their_integers_give_the_same_bytes():
    net, x = feature_net(), values()
    net.calibrate(x)
    graph, ints = net.freeze(), net.quantize_inputs(x)
    np.testing.assert_array_equal(graph.quantize_inputs(x), ints)
    np.testing.assert_array_equal(net.predict(x), graph.run(ints))
    np.testing.assert_array_equal(net.predict(x), net.predict(ints))
    np.testing.assert_array_equal(net.logits(x).data, net.logits(ints).data)
    assert net.quantize_inputs(ints) is ints


def test_in_fp32_values_are_not_rounded():
    net, x = feature_net(), values()
    w = net.weights()
    windows = np.stack([x[:, i : i + 4] for i in range(3)], axis=2)  # (N,OT,K,C)
    z = np.einsum("ntkc,okc->nto", windows, w["conv1/weight"])
    k = w["conv1/gamma"] / np.sqrt(w["conv1/moving_var"] + 1e-3)
    hidden = np.maximum((z - w["conv1/moving_mean"]) * k + w["conv1/beta"], 0)
    y = hidden.reshape(len(x), -1) @ w["dense1/weight"].T + w["dense1/bias"]
    found = net.logits(x, precision="fp32").data  # no range is needed
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-3)
    e = np.exp(found - found.max(axis=1, keepdims=True))
    shares = net.predict(x, precision="fp32")  # with the softmax at the end
    np.testing.assert_allclose(shares, e / e.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floating_types_are_converted(dtype):
    net, x = feature_net(), values().astype(np.float16)
    net.calibrate(x.astype(dtype))
    wanted = net.predict(x.astype(np.float32))
    np.testing.assert_array_equal(net.predict(x.astype(dtype)), wanted)
    real = net.predict(x.astype(dtype), precision="fp32")
    assert real.dtype == np.float32


def test_an_uncalibrated_network_freezes_to_the_same_bytes_and_stays_as_it_is():
    net = feature_net()
    assert net.freeze().digest() == net.freeze().digest()
    assert not net.is_calibrated
    kj.cost_report(net)


def test_a_range_that_is_known_needs_no_data():
    net = feature_net(input_range=(-10.0, 100.0))
    assert net.input.qparams == QParams(110 / 255, -105)
    net.calibrate(net.quantize_inputs(values()))
    assert net.is_calibrated


# ---------------------------------------------------------------------------- files


def test_the_range_is_saved_and_another_scheme_finds_its_own(tmp_path):
    net, x = feature_net(), values()
    net.calibrate(x)
    net.save(tmp_path / "net.npz")
    loaded = kj.load(tmp_path / "net.npz")
    assert loaded.input == net.input and loaded.is_calibrated
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))
    other = net.with_quantization(scheme="pow2")
    assert not other.is_calibrated
    other.calibrate(x)
    assert other.input.qparams == QParams(1.0)
    fresh = feature_net()
    fresh.restore(*net.snapshot())
    assert fresh.freeze().digest() == net.freeze().digest()


# ------------------------------------------------------------------------- training


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_training_on_real_values(precision):
    net, train, test = feature_net(), features(), features(60, seed=1)
    kj.fit(
        net, train, validation=test, epochs=6, batch_size=15, precision=precision,
        optimizer=kj.Adam(lr=0.01), averaging=0.0, show=False,
    )  # fmt: skip
    assert net.is_calibrated
    assert net.evaluate(test) > 0.9
    assert net.evaluate(test, precision="fp32") > 0.9
    quantized = kj.Dataset(
        net.quantize_inputs(test.images), test.labels, test.classes, "int8"
    )
    assert net.evaluate(quantized) == net.evaluate(test)


def test_a_resumed_training_ends_with_the_same_bytes(tmp_path, monkeypatch):
    def run(net, directory):
        kj.fit(
            net, features(), epochs=2, batch_size=25, directory=tmp_path / directory,
            resume=True, show=False,
        )  # fmt: skip
        return net.freeze().digest()

    whole = run(feature_net(), "whole")
    keep = loop._keep

    def keep_and_stop(state, directory):
        keep(state, directory)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_keep", keep_and_stop)
        run(feature_net(), "part")
    net = feature_net()
    net.calibrate_inputs(7 * values())  # the checkpoint knows better
    assert run(net, "part") == whole


def test_an_autoencoder_of_real_values_gives_them_back():
    rng = np.random.default_rng(0)
    x = rng.normal(20, 5, (96, 2)).repeat(6, axis=1).astype(np.float32)
    layers = [kj.Dense(16, activation="relu"), kj.Dense(12)]
    net = kj.Sequential(layers, (12,), scheme="asymmetric", input_range="data")
    data = kj.Dataset(x, np.zeros(96, np.int64), ("normal", "other"), "pairs")
    kj.fit(
        net, data, reproduce_inputs=True, epochs=30, batch_size=16,
        optimizer=kj.Adam(lr=0.01), averaging=0.0, show=False,
    )  # fmt: skip
    np.testing.assert_array_equal(real_inputs(net, x), x)
    ints = net.quantize_inputs(x)
    q = net.input.qparams
    restored = (ints.astype(np.float32) - q.zero_point) * np.float32(q.scale)
    np.testing.assert_array_equal(real_inputs(net, ints), restored)
    strange = rng.uniform(0, 40, (50, 12)).astype(np.float32)
    assert np.median(anomaly_scores(net, strange)) > 10 * np.median(
        anomaly_scores(net, x)
    )


# --------------------------------------------------------------------------- device


def test_exports_are_checked_with_real_values(tmp_path):
    net, data = feature_net(name="tones"), features(30)
    kj.fit(net, data, epochs=1, batch_size=10, show=False)
    kj.export(net, tmp_path / "firmware", images=data)
    assert kj.verify(tmp_path / "firmware", data).differing_bytes == 0
    kj.vectors(tmp_path / "firmware", data, tmp_path / "vectors", count=3)
    with np.load(tmp_path / "vectors" / "tones_vectors.npz") as arrays:
        wanted = net.quantize_inputs(data.images[:3])
        np.testing.assert_array_equal(arrays["input"], wanted)
        np.testing.assert_array_equal(arrays["4_softmax1"], net.predict(wanted))


# ------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 6, 4), np.int64), ShapeError, "float32 or int8 .N, 6, 4.* int64"),
        (np.zeros((2, 6, 4), np.uint8), ShapeError, "N at least 1; got uint8"),
        (np.zeros((2, 6, 5), np.float32), ShapeError, r"got float32 \(2, 6, 5\)"),
        (np.zeros((0, 6, 4), np.float32), ShapeError, "N at least 1"),
        (
            np.zeros((2, 4, 6), np.float32),
            ShapeError,
            r"\(2, 4, 6\); channels come last: x.transpose\(0, 2, 1\)",
        ),
        (np.zeros((2, 6, 4), complex), ShapeError, "got complex128"),
        ([[0.0]], ShapeError, "takes a NumPy array, float32 or int8 .*, got a list"),
        (np.full((2, 6, 4), np.nan), DataError, "network: an input is NaN, or not fin"),
        (np.full((2, 6, 4), 1e300), DataError, "not finite in float32"),
    ],
)
def test_other_inputs_are_refused(precision, x, error, message):
    net = feature_net()
    net.calibrate(values())
    with pytest.raises(error, match=message):
        net.predict(x, precision=precision)
    with pytest.raises(error, match=message):
        net.quantize_inputs(x)


def test_one_sample_is_predicted_and_nothing_else_takes_it():
    net = feature_net()
    net.calibrate(values())
    x = values()
    assert np.array_equal(net.predict(x[0]), net.predict(x[:1])[0])
    message = r"\(6, 4\); one sample takes an axis in front: x\[None\]"
    for use in (net.quantize_inputs, net.logits, net.classify):
        with pytest.raises(ShapeError, match=message):
            use(x[0])


def test_without_a_range_real_values_have_no_integers():
    net = feature_net()
    for use in (net.predict, net.logits, net.quantize_inputs):
        with pytest.raises(OptionError, match="the range of its inputs is not known"):
            use(values())
    with pytest.raises(OptionError, match="int8 values do not tell it"):
        net.calibrate(values().astype(np.int8))


def test_images_are_not_real_values_nor_the_other_way_round():
    reads_images = small_net()
    x = images().astype(np.float32)
    with pytest.raises(
        ShapeError, match=r"takes uint8 \(N, 8, 8, 3\), N at .* float32"
    ):
        reads_images.predict(x)
    data = stripes(12)
    reals = kj.Dataset(data.images / np.float32(255), data.labels, data.classes, "real")
    with pytest.raises(
        DataError, match="takes uint8 images, which its first .*; real has float32"
    ):
        kj.fit(reads_images, reals, show=False)
    net = kj.Sequential([kj.Flatten(), kj.Dense(3)], (8, 8, 3), input_range="data")
    with pytest.raises(
        DataError, match="takes float32 or int8 values, as .*; stripes has uint8"
    ):
        net.evaluate(data)
    with pytest.raises(ShapeError, match="augment: expected uint8 images"):
        kj.fit(net, reals, augment=kj.Augment(), batch_size=4, show=False)


def test_the_golden_model_is_strict():
    net = feature_net()
    net.calibrate(values())
    with pytest.raises(
        ShapeError, match=r"takes int8 \(N, 6, 4\), N at .* got float32"
    ):
        net.freeze().run(values())


def test_an_image_layer_needs_no_range():
    net = kj.Sequential([kj.Normalize(3), kj.Dense(2)], (4,), input_range="data")
    assert net.input_range is None
    net.calibrate(np.zeros((3, 4), np.uint8))
    assert net.is_calibrated
