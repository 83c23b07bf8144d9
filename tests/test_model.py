"""Networks: building, naming, freezing, files, scores."""

import json

import numpy as np
import pytest
from small import images, small_net, stripes

import kanji_np as kj
from kanji_np import archive, zoo
from kanji_np.deploy.planner import lower, plan
from kanji_np.errors import (
    DataError,
    FileFormatError,
    OptionError,
    ShapeError,
    UnsupportedOp,
)
from kanji_np.losses import cross_entropy
from kanji_np.ranges import TRACKERS
from kanji_np.targets import target_spec
from kanji_np.types import QParams

# ----------------------------------------------------------------------- building


def test_shapes_and_parameters():
    net = small_net()
    assert net.shapes[-3:] == [(32,), (16,), (3,)]
    assert net.output_shape == (3,)
    assert [name for name, _ in net.named_parameters()] == [
        f"{layer}/{kind}"
        for layer in ("conv1", "conv2", "dense1", "dense2")
        for kind in ("weight", "bias")
    ]
    shapes = [(8, 3, 3, 3), (8,), (8, 3, 3, 8), (8,), (16, 32), (16,), (3, 16), (3,)]
    assert [p.shape for p in net.parameters()] == shapes
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    assert net.target == target_spec("cmsis-nn")


def test_a_layer_is_part_of_one_network():
    layer = kj.Dense(3)
    kj.Sequential([layer], (4,))
    with pytest.raises(OptionError, match="'dense1': is part of a network already"):
        kj.Sequential([layer], (4,))


def test_weights_are_hes_and_come_from_the_seed():
    net = kj.Sequential([kj.Dense(500)], (600,), seed=4)
    weight, bias = (p.data for p in net.parameters())
    assert np.abs(weight).max() <= (6 / 600) ** 0.5
    assert weight.var() == pytest.approx(2 / 600, rel=0.02)
    assert not bias.any()
    again = kj.Sequential([kj.Dense(500)], (600,), seed=4)
    other = kj.Sequential([kj.Dense(500)], (600,), seed=5)
    assert again.parameters()[0].data.tobytes() == weight.tobytes()
    assert other.parameters()[0].data.tobytes() != weight.tobytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": []}, OptionError, "at least one layer"),
        ({"name": "9net"}, OptionError, "C identifier in lower case, got '9net'"),
        ({"name": "Net"}, OptionError, "C identifier in lower case"),
        ({"target": "nothing"}, OptionError, "target must be one of cmsis-nn, "),
        (
            {"input_scale": 0.3},
            OptionError,
            "input_scale must be a power of two, got 0.3",
        ),
        ({"input_scale": 0.0}, OptionError, "input_scale must be"),
        ({"input_scale": -1.0}, OptionError, "input_scale must be"),
        ({"input_shape": (0,)}, ShapeError, r"input_shape must be .* got \(0,\)"),
        ({"input_shape": (4, -1)}, ShapeError, "input_shape must be"),
        ({"input_shape": ()}, ShapeError, "input_shape must be"),
        ({"input_shape": 8}, ShapeError, "input_shape must be .* got 8"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    arguments = {"layers": [kj.Dense(2)], "input_shape": (4,)} | options
    with pytest.raises(error, match=message):
        kj.Sequential(**arguments)


def test_names_are_given_in_order_and_must_be_unique():
    layers = [
        kj.Dense(4),
        kj.ReLU(name="bend"),
        kj.Dense(4, name="middle"),
        kj.Dense(2),
    ]
    net = kj.Sequential(layers, (4,))
    assert [x.name for x in net.layers] == ["dense1", "bend", "middle", "dense3"]
    for twice in ([kj.ReLU(name="a"), kj.ReLU(name="a")], [layers[0], layers[0]]):
        with pytest.raises(OptionError, match="unique; used twice: "):
            kj.Sequential(twice, (4,))


@pytest.mark.parametrize("precision", ["int16", "FP32"])
def test_another_precision_is_refused(precision):
    with pytest.raises(OptionError, match=r"precision must be one of .* got"):
        small_net().predict(images(), precision=precision)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_other_inputs_are_refused(precision):
    message = r"takes uint8 \(N, 8, 8, 3\), N at least 1; got int8"
    with pytest.raises(ShapeError, match=message):
        small_net().predict(images().view(np.int8), precision=precision)
    with pytest.raises(ShapeError, match="got uint8"):
        small_net().logits(images()[:, :4], precision=precision)


# ----------------------------------------------------------------------- freezing


def test_an_untrained_network_freezes_to_the_same_bytes_each_time():
    net = small_net()
    assert (
        net.freeze().digest() == net.freeze().digest() == small_net().freeze().digest()
    )


def test_freezing_leaves_no_trace():
    """Ranges of noise must not enter the averages that training goes on with."""
    net, fresh = small_net(), small_net()
    net.freeze()
    net.predict(images())
    assert net.snapshot()[0] == fresh.snapshot()[0]
    for one in (net, fresh):
        one.calibrate(images(seed=2))
    assert net.freeze().digest() == fresh.freeze().digest()


@pytest.mark.parametrize("name", zoo.NETWORKS)
@pytest.mark.parametrize("ranges", ["minmax", "learned"])
def test_an_outline_costs_what_the_frozen_network_does(name, ranges):
    net = zoo.NETWORKS[name]().with_quantization(ranges=ranges)
    before = net.snapshot()[0]
    costs = []
    for graph in (net.outline(), net.freeze()):
        calls = lower(graph)
        made = [
            (c.function, c.scratch_bytes, [k.values.nbytes for k in c.constants])
            for node in calls
            for c in node
        ]
        costs.append((made, plan(graph, calls)))
    assert costs[0] == costs[1]
    assert net.snapshot()[0] == before


def test_a_trained_network_is_its_own_outline():
    net = small_net()
    net.calibrate(images())
    assert net.outline().digest() == net.freeze().digest()


def test_calibration_decides_the_scales():
    net = small_net()
    noise = net.freeze()
    net.calibrate(np.full((4, 8, 8, 3), 121, np.uint8))
    assert net.freeze().digest() != noise.digest()
    calibrated = net.freeze().digest()
    net.calibrate(images())  # has ranges already
    assert net.freeze().digest() == calibrated


def test_a_softmax_at_the_end_is_deployed_but_not_trained():
    layers = [kj.Dense(4), kj.Softmax()]
    net = kj.Sequential(layers, (6,))
    x = np.random.default_rng(0).integers(-128, 128, (9, 6)).astype(np.int8)
    net.calibrate(x)
    *_, before, after = net.freeze().layers(x)
    logits = net.logits(x)
    scale = net.freeze().nodes[0].output.qparams.scale
    np.testing.assert_array_equal(logits.data, before * np.float32(scale))
    np.testing.assert_array_equal(net.predict(x), after)
    assert net.freeze().output.qparams == QParams(1 / 256, -128)
    assert (after + 128.0).sum(axis=1) / 256 == pytest.approx(1, abs=0.02)


def gated(shape=(4, 4, 3)):
    """A gate of each cell over the channels, and one softmax more at the end."""
    x = kj.Input(shape)
    y = kj.Conv2D(6, 3, padding="same")(x)
    y = kj.Multiply()([y, kj.Softmax(2.0, name="gate")(kj.Conv2D(6, 1)(y))])
    y = kj.Softmax(name="last")(kj.Dense(2)(kj.Flatten()(y)))
    return kj.Model(x, y)


def test_a_softmax_in_the_middle_is_trained_through():
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    x = rng.normal(0, 0.3, (64, 4, 4, 3)) + 0.4 * (2 * labels - 1)[:, None, None, None]
    data = kj.Dataset(x.astype(np.float32), labels, ("low", "high"), "ends")
    net = gated()
    before = {name: np.array(p.data) for name, p in net.named_parameters()}
    loss = cross_entropy(net.logits(data.images), labels)
    loss.backward()
    assert all(np.abs(p.grad).max() > 0 for p in net.parameters())
    kj.fit(net, data, epochs=8, batch_size=4, averaging=0, show=False)
    assert net.evaluate(data) > 0.9
    assert not np.array_equal(net.state()["conv2/weight"], before["conv2/weight"])
    _, _, gate, *_ = net.freeze().layers(net.quantize_inputs(data.images))
    shares = (gate.astype(int) + 128).sum(axis=-1) / 256
    assert shares.shape == (64, 4, 4) and np.abs(shares - 1).max() < 0.03


def test_labels_are_of_whole_samples():
    """The logits of a softmax over several rows are there for a loop of one's own."""
    net = kj.Sequential([kj.Conv2D(3, 1), kj.Softmax()], (4, 4, 2), name="segments")
    x = np.zeros((5, 4, 4, 2), np.float32)
    data = kj.Dataset(x, np.arange(5) % 3, ("a", "b", "c"), "whole")
    for refused in (kj.fit, kj.Model.evaluate):
        with pytest.raises(kj.ShapeError) as caught:
            refused(net, data)
        assert str(caught.value) == (
            "segments has outputs (4, 4, 3); a dataset has one label for each sample, "
            "which takes outputs (K,)"
        )
    logits = net.logits(x)
    assert logits.shape == (5, 4, 4, 3)
    cross_entropy(logits.reshape((-1, 3)), np.zeros(80, np.int64)).backward()
    assert net.parameters()[1].grad is not None


# -------------------------------------------------------------------- other inputs


def test_int8_inputs_have_a_scale_of_their_own():
    x = np.random.default_rng(0).integers(-128, 128, (20, 5)).astype(np.int8)
    fine = kj.Sequential([kj.Dense(3)], (5,))
    coarse = kj.Sequential([kj.Dense(3)], (5,), input_scale=2.0)
    assert fine.input.qparams == QParams(2.0**-7)
    np.testing.assert_allclose(
        coarse.logits(x, precision="fp32").data,
        256 * fine.logits(x, precision="fp32").data,
        rtol=1e-5,
    )
    np.testing.assert_array_equal(fine.predict(x), coarse.predict(x))
    assert coarse.freeze().output.qparams.scale == 256 * (
        fine.freeze().output.qparams.scale
    )


def test_a_mean_image_is_taken_off_pixel_by_pixel(tmp_path):
    mean = images(1, seed=9)[0]
    net = kj.Sequential([kj.Normalize(mean, shift=0)], (8, 8, 3))
    x = images()
    expected = (x.astype(int) - mean).clip(-128, 127)
    np.testing.assert_array_equal(net.predict(x), expected)
    net.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(kj.load(tmp_path / "net.npz").predict(x), expected)


# -------------------------------------------------------------------------- files


def trained_net():
    net = small_net(seed=2, name="small")
    for i in range(3):
        net.logits(images(seed=i), track=True)
    return net


def every_layer_net():
    return kj.Sequential(
        [
            kj.Standardize(4),
            kj.Conv2D(4, (3, 1), (2, 1), ((1, 0), (0, 0)), (1, 2), "relu", "first"),
            kj.DepthwiseConv2D(2, (1, 2), ((0, 1), (0, 0)), 3, (2, 1), "relu", "each"),
            kj.AvgPool2D((1, 2), (2, 1), "same", ceil_mode=False),
            kj.Flatten(),
            kj.Dense(3),
            kj.Softmax(),
        ],
        (8, 8, 3),
    )


@pytest.mark.parametrize("make", [trained_net, small_net, every_layer_net])
def test_a_file_gives_the_same_network_bit_for_bit(tmp_path, make):
    net = make()
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert again.freeze().digest() == net.freeze().digest()
    assert again.name == net.name
    for (name, p), (other, q) in zip(
        net.named_parameters(), again.named_parameters(), strict=True
    ):
        assert (name, p.data.tobytes()) == (other, q.data.tobytes())
    again.save(tmp_path / "again.npz")
    bytes_written = (tmp_path / "again.npz").read_bytes()
    assert bytes_written == (tmp_path / "net.npz").read_bytes()
    np.testing.assert_array_equal(again.predict(images()), net.predict(images()))
    # Training goes on from the same ranges.
    for one in (net, again):
        one.logits(images(seed=8), track=True)
    assert again.freeze().digest() == net.freeze().digest()


def test_int8_inputs_come_back_from_a_file(tmp_path):
    net = kj.Sequential([kj.Dense(3)], (5,), input_scale=0.5)
    net.save(tmp_path / "net.npz")
    assert kj.load(tmp_path / "net.npz").input == net.input


def crafted(path, change):
    """A file whose digest is right and whose content is not."""
    header, arrays = trained_net().snapshot()
    header = json.loads(json.dumps(header))
    change(header, arrays)
    archive.write(path, header, arrays)


def set_in_layer(i, key, value):
    return lambda header, arrays: header["layers"][i].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header.pop("layers"),
        lambda header, arrays: header.update(format=99),
        lambda header, arrays: header.update(name="Not Allowed"),
        lambda header, arrays: header.update(input_shape=[8, 8, 4]),
        lambda header, arrays: header.update(input_shape=None),
        lambda header, arrays: header.update(target=["a", "b"]),
        lambda header, arrays: header.update(target=["a", "b", "c", "d"]),
        lambda header, arrays: header.update(layers=[]),
        set_in_layer(1, "op", "conv9d"),
        set_in_layer(1, "attrs", {"filters": 8}),
        set_in_layer(1, "name", "9"),
        set_in_layer(1, "ranges", None),
        set_in_layer(1, "ranges", {"weight_range": {"low": 0}}),
        lambda header, arrays: arrays.pop("conv1/weight"),
        lambda header, arrays: arrays.pop("normalize1/mean"),
        lambda header, arrays: arrays.update({"conv1/bias": np.zeros(9, np.float32)}),
    ],
)
def test_a_file_of_wrong_content_is_refused_in_one_line(tmp_path, change):
    crafted(tmp_path / "net.npz", change)
    with pytest.raises(
        FileFormatError, match="not a model this version reads"
    ) as caught:
        kj.load(tmp_path / "net.npz")
    assert "\n" not in str(caught.value)
    crafted(tmp_path / "net.npz", lambda header, arrays: None)
    kj.load(tmp_path / "net.npz")


def test_damaged_files_and_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "net.npz"
    trained_net().save(path)
    whole = path.read_bytes()
    for damaged in (
        b"", b"text", whole[:-1], whole[: len(whole) // 2], whole[100:],
        whole.replace(b"normalize1", b"normalize2"),
        whole[:2000] + bytes([whole[2000] ^ 64]) + whole[2001:],
    ):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError) as caught:
            kj.load(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    kj.fit(small_net(), stripes(12), epochs=1, directory=tmp_path / "run", show=False)
    with pytest.raises(
        FileFormatError, match="a kanji_np checkpoint file, not a kanji"
    ):
        kj.load(tmp_path / "run" / "checkpoint.npz")


# ------------------------------------------------------------------------- scores


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_accuracy_counts_the_first_largest_output(precision):
    net = small_net()
    data = stripes(300)  # more than one batch
    net.calibrate(data.images)
    scores = net.predict(data.images, precision=precision)
    pairs = zip(scores, data.labels, strict=True)
    expected = np.mean([int(np.argmax(s)) == t for s, t in pairs])
    assert net.evaluate(data, precision=precision) == expected


def test_datasets_that_do_not_fit_are_refused():
    net = small_net()
    data = stripes(6)
    with pytest.raises(
        ShapeError, match=r"takes images \(8, 8, 3\), wide has \(8, 9, 3\)"
    ):
        wide = np.zeros((6, 8, 9, 3), np.uint8)
        net.evaluate(kj.Dataset(wide, data.labels, data.classes, "wide"))
    with pytest.raises(ShapeError, match=r"outputs \(3,\), many has 4 classes"):
        net.evaluate(kj.Dataset(data.images, data.labels, tuple("abcd"), "many"))
    with pytest.raises(kj.KanjiError, match="stripes holds no images"):
        net.evaluate(data.select(slice(0)))


# ------------------------------------------------------------------ targets


def test_a_network_is_for_a_library_a_core_and_a_rounding():
    net = small_net(target="cmsis-nn-q7", core="cortex-m3", rounding="truncate")
    assert str(net.target) == "cmsis-nn-q7/5.9.0/c/truncate"
    assert str(small_net(core="cortex-m55").target) == "cmsis-nn/7.0.0/mve/double"


def test_the_target_is_saved_with_the_network(tmp_path):
    net = small_net(target="cmsis-nn-q7", core="c", rounding="truncate")
    net.save(tmp_path / "net.npz")
    loaded = kj.load(tmp_path / "net.npz")
    assert loaded.target == net.target
    assert loaded.target.numerics == net.target.numerics
    np.testing.assert_array_equal(loaded.predict(images()), net.predict(images()))


def test_another_target_takes_the_weights_and_ranges():
    net = small_net()
    net.calibrate(images())
    other = net.for_target(core="c").for_target("cmsis-nn-q7")
    assert str(other.target) == "cmsis-nn-q7/5.9.0/c/half_up"
    assert str(net.target) == "cmsis-nn/7.0.0/dsp/double"
    for (name, ours), (same, theirs) in zip(
        net.named_parameters(), other.named_parameters(), strict=True
    ):
        assert name == same
        np.testing.assert_array_equal(ours.data, theirs.data)
    assert (other.predict(images()) != net.predict(images())).any()
    back = other.for_target(net.target)
    np.testing.assert_array_equal(back.predict(images()), net.predict(images()))


@pytest.mark.parametrize("ranges", TRACKERS)
@pytest.mark.parametrize("bits", [8, 4])
def test_another_target_may_have_a_scale_for_each_output(ranges, bits):
    """Dense layers have one scale before 7.0.0, and one of int4 weights on any chip."""
    layers = [kj.Normalize(120), kj.Dense(5, weight_bits=bits), kj.Dense(3)]
    net = kj.Sequential(
        layers, (7,), version="4.0.0" if bits == 8 else None, scheme="symmetric",
        ranges=ranges,
    )  # fmt: skip
    x = np.random.default_rng(0).integers(0, 256, (9, 7)).astype(np.uint8)
    net.logits(x, track=True)
    for parameter in net.learned_ranges():
        parameter.data = parameter.data + np.float32(0.5)
    for other in (net.for_target("tflm"), net.for_target(version="7.0.0")):
        ours, theirs = (
            [node.ints.weight for node in each.freeze().nodes[1:]]
            for each in (net, other)
        )
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
        assert other.for_target(net.target).freeze().digest() == net.freeze().digest()


@pytest.mark.parametrize("ranges", TRACKERS)
def test_another_target_may_have_one_scale_for_all_outputs(ranges):
    net = kj.Sequential([kj.Dense(5)], (7,), scheme="symmetric", ranges=ranges)
    x = np.random.default_rng(0).integers(-128, 128, (9, 7)).astype(np.int8)
    net.logits(x, track=True)
    for parameter in net.learned_ranges():
        change = np.linspace(-1, 1, parameter.size).reshape(parameter.shape)
        parameter.data = parameter.data + change.astype(np.float32)
    other = net.for_target(version="4.0.0")
    ours, theirs = (each.layers[0].weight_range for each in (net, other))
    assert theirs.max_abs == ours.max_abs.max()


def test_core_classes_differ_in_the_legacy_average_pool_and_there_alone():
    net = small_net(target="cmsis-nn-q7")
    net.calibrate(images())
    dsp = list(net.freeze().layers(images()))
    c = list(net.for_target(core="c").freeze().layers(images()))
    differ = [(a != b).any() for a, b in zip(dsp, c, strict=True)]
    names = [layer.name for layer in net.layers]
    assert names[differ.index(True)] == "pool2"


def test_a_layer_the_target_lacks_is_refused_by_name():
    layers = [kj.Conv2D(2, 3, dilation_rate=2, name="wide")]
    with pytest.raises(UnsupportedOp, match="layer 'wide': cmsis-nn-q7 has no dilated"):
        kj.Sequential(layers, (9, 9, 3), "cmsis-nn-q7")


# -------------------------------------------------------------------------- state


def stateful_net(seed=0, **options):
    layers = [
        kj.Normalize((120, 130, 110)),
        kj.Conv2D(6, 3, batch_norm=True, activation="relu"),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (8, 8, 3), seed=seed, **options)


OPTIONS = [{}, {"scheme": "symmetric", "ranges": "learned"}]


@pytest.mark.parametrize("options", OPTIONS, ids=["pow2", "learned"])
@pytest.mark.parametrize("batches", [0, 3])
def test_a_network_with_anothers_state_is_that_network(options, batches):
    """Moving statistics and ranges with it: it computes and trains on alike."""
    net, other = stateful_net(**options), stateful_net(seed=5, **options)
    for seed in range(batches):
        net.logits(images(seed=seed), track=True)
    other.logits(images(seed=9), track=True)
    state = net.state()
    other.load_state(state)
    for _ in range(2):
        np.testing.assert_array_equal(other.predict(images()), net.predict(images()))
        assert other.snapshot()[0] == net.snapshot()[0]
        for one in (net, other):
            one.logits(images(seed=8), track=True)
    # The state is a copy: training on does not change it.
    other.load_state(state)
    assert other.freeze().digest() != net.freeze().digest()


def test_a_state_names_all_that_training_changes():
    state = stateful_net().state()
    assert {name: (a.shape, a.dtype.name) for name, a in state.items()} == {
        "conv1/weight": ((6, 3, 3, 3), "float32"),
        "conv1/gamma": ((6,), "float32"),
        "conv1/beta": ((6,), "float32"),
        "conv1/moving_mean": ((6,), "float32"),
        "conv1/moving_var": ((6,), "float32"),
        "conv1/moving_updates": ((), "int64"),
        "conv1/weight_range": ((2,), "float64"),
        "conv1/weight_range_updates": ((), "int64"),
        "conv1/output_range": ((2,), "float64"),
        "conv1/output_range_updates": ((), "int64"),
        "dense1/weight": ((3, 216), "float32"),
        "dense1/bias": ((3,), "float32"),
        "dense1/weight_range": ((2,), "float64"),
        "dense1/weight_range_updates": ((), "int64"),
        "dense1/output_range": ((2,), "float64"),
        "dense1/output_range_updates": ((), "int64"),
    }
    per_channel = stateful_net(scheme="symmetric", ranges="learned").state()
    assert per_channel["conv1/weight_range"].shape == (2, 6)
    assert per_channel["conv1/weight_range_theta"].shape == (6,)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"conv1/moving_var": None}, OptionError, "lacks conv1/moving_var$"),
        ({"conv9/weight": 1.0}, OptionError, "has the unknown conv9/weight$"),
        ({"conv1/gamma": np.ones(5)}, ShapeError, r"shape \(6,\), got \(5,\)$"),
        ({"conv1/gamma": np.ones((6, 1))}, ShapeError, r"got \(6, 1\)$"),
        ({"dense1/bias": ["a", "b", "c"]}, DataError, "of numbers, got <U1$"),
        ({"dense1/bias": [0, np.nan, 0]}, DataError, "not finite in float32$"),
        ({"dense1/bias": [0, 1e300, 0]}, DataError, "not finite in float32$"),
        ({"conv1/moving_var": np.full(6, -1.0)}, DataError, "must not be negative$"),
        ({"dense1/output_range": [1, -1]}, DataError, "must be low and high, got "),
        ({"dense1/output_range_updates": -1}, DataError, "must not be negative$"),
    ],
)
def test_a_wrong_state_is_named_and_changes_nothing(change, kind, message):
    net = stateful_net()
    net.logits(images(), track=True)
    before = net.state()
    state = {name: array * 2 for name, array in before.items()} | change
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(kind, match=message):
        net.load_state(state)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_many_missing_names_are_one_line():
    with pytest.raises(OptionError, match="^the state lacks conv1/weight, .*8 more$"):
        stateful_net().load_state({})
    with pytest.raises(OptionError, match="^a state has arrays by name, got None$"):
        stateful_net().load_state(None)
