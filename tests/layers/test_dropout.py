"""Dropout: values are dropped in training, and nothing is left of it afterwards."""

import copy
import pickle

import numpy as np
import pytest
from small import images, small_net, stripes

import kanji_np as kj
from kanji_np import archive
from kanji_np.autograd import Tensor
from kanji_np.errors import FileFormatError, OptionError, ShapeError, UnsupportedOp
from kanji_np.layers import Activation
from kanji_np.types import QParams


def layers(rate=0.5):
    return [
        kj.Normalize((120, 130, 110)),
        kj.Conv2D(8, 3, padding="same", activation="relu"),
        kj.MaxPool2D(4),
        kj.Dropout(rate),
        kj.Flatten(),
        kj.Dense(16, activation="relu"),
        kj.Dropout(rate=rate, name="last_drop"),
        kj.Dense(3),
    ]


def with_dropout(rate=0.5, **options):
    return kj.Sequential(layers(rate), (8, 8, 3), **options)


def without_dropout(**options):
    rest = [layer for layer in layers() if not isinstance(layer, kj.Dropout)]
    return kj.Sequential(rest, (8, 8, 3), **options)


def test_nothing_of_it_is_in_the_integer_program(tmp_path):
    net, plain = with_dropout(), without_dropout()
    assert [x.name for x in net.dropouts] == ["dropout1", "last_drop"]
    assert net.freeze().digest() == plain.freeze().digest()
    for name, n in (("net", net), ("plain", plain)):
        kj.export(n, tmp_path / name)
    for path in (tmp_path / "net").glob("network*"):
        assert path.read_bytes() == (tmp_path / "plain" / path.name).read_bytes()
    assert np.array_equal(net.predict(images(4)), plain.predict(images(4)))


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_integers_are_dropped_and_stand_for_more(rate):
    q = np.arange(-100, 100, dtype=np.int8).reshape(2, 100)
    x = Activation(Tensor(q, requires_grad=True), QParams(0.5, -3))
    layer = kj.Dropout(rate)
    y = layer.dropped(x, np.random.default_rng(0))
    is_kept = y.tensor.data == q
    assert set(y.tensor.data[~is_kept]) == {-3}
    assert abs(is_kept.mean() - (1 - rate)) < 0.1
    assert np.allclose(y.values()[is_kept], x.values()[is_kept] / (1 - rate))
    assert not y.values()[~is_kept].any()
    real = layer.dropped(Activation(Tensor(x.values()), None), np.random.default_rng(0))
    assert np.allclose(real.values(), y.values(), atol=1e-5)
    y.real().sum().backward()
    dropped = y.tensor.data == -3
    expected = np.where(dropped & (q != -3), 0, 1 / (1 - rate))
    gradient = x.tensor.grad
    assert np.allclose(gradient[q != -3], expected[q != -3])


def test_it_learns_and_drops_in_training_alone():
    data = stripes(192)
    net, plain = with_dropout(0.25), without_dropout()
    options = {
        "epochs": 8, "batch_size": 32, "optimizer": kj.Adam(lr=0.01),
        "averaging": 0.9, "show": False,
    }  # fmt: skip
    kj.fit(net, data, **options)
    kj.fit(plain, data, **options)
    assert not np.array_equal(net.parameters()[0].data, plain.parameters()[0].data)
    assert net.evaluate(data) > 0.8
    x = images(4)
    assert np.array_equal(net.logits(x).data, net.logits(x).data)
    draws = [net.logits(x, dropout=np.random.default_rng(i)).data for i in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_run_goes_on_to_the_same_bytes(tmp_path):
    def run(net, **options):
        kj.fit(net, stripes(48), epochs=2, batch_size=20, show=False, **options)
        return b"".join(p.data.tobytes() for p in net.parameters())

    whole = run(with_dropout())
    run(with_dropout(), directory=tmp_path, stop_after=1)
    assert run(with_dropout(), directory=tmp_path, resume=True) == whole
    with pytest.raises(OptionError, match="is of a run with network"):
        run(with_dropout(0.25), directory=tmp_path, resume=True)
    assert run(with_dropout(), fp32_epochs=1) != whole


def test_a_file_has_it(tmp_path):
    net = with_dropout()
    net.save(tmp_path / "net.npz")
    for other in (
        kj.load(tmp_path / "net.npz"), net.for_target(core="mve"),
        copy.deepcopy(net), pickle.loads(pickle.dumps(net)),
    ):  # fmt: skip
        assert [(x.name, x.rate) for x in other.dropouts] == [
            ("dropout1", 0.5), ("last_drop", 0.5),
        ]  # fmt: skip
        assert other.drops == net.drops
        rngs = [np.random.default_rng(0) for _ in range(2)]
        a, b = (n.logits(images(2), dropout=r) for n, r in zip((net, other), rngs))
        assert np.array_equal(a.data, b.data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drops": [7]}, r"layers\[3\].drops\[0\] must be an int in 0 .. 1"),
        ({"drops": [0, 0]}, "1 inputs, 2 drops"),
        ({"drops": [1]}, "reads another tensor, too"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    header, arrays = with_dropout().snapshot()
    header["layers"][3] |= change
    archive.write(tmp_path / "net.npz", header, arrays)
    with pytest.raises(FileFormatError, match=message):
        kj.load(tmp_path / "net.npz")


def test_all_that_read_it_read_the_same():
    x = kj.Input((8,))
    dropped = kj.Dropout(0.5)(x)
    net = kj.Model(x, kj.Subtract()(dropped, dropped))
    q = np.full((4, 8), 64, np.int8)
    assert not net.logits(q, dropout=np.random.default_rng(0)).data.any()


def test_where_it_cannot_be():
    def made(*layers, shape=(8,), **options):
        return kj.Sequential(layers, shape, **options)

    with pytest.raises(OptionError, match="cannot end with Dropout"):
        made(kj.Dense(3), kj.Dropout(0.5))
    with pytest.raises(OptionError, match="'dropout1'|reads another Dropout"):
        made(kj.Dropout(0.5), kj.Dropout(0.5), kj.Dense(3))
    with pytest.raises(OptionError, match="'normalize1': reads pixels"):
        made(kj.Dropout(0.5), kj.Normalize(0), kj.Dense(3))
    with pytest.raises(OptionError, match="used twice: drop"):
        made(kj.Dropout(0.5, name="drop"), kj.Dense(3, name="drop"))
    with pytest.raises(OptionError, match=r"rate must be a finite number in \[0, 1\)"):
        kj.Dropout(1)
    with pytest.raises(UnsupportedOp, match="rate must be 0.5, 0.75 or 0.875, got 0.2"):
        made(kj.Dropout(0.2), kj.Dense(3), target="cmsis-nn-q7")
    with pytest.raises(ShapeError, match="dropout takes 1 input, got 2"):
        x = kj.Input((8,))
        kj.Model(x, kj.Dense(3)(kj.Dropout(0.5)(x, x)))


def test_legacy_kernels_train_with_it():
    net = with_dropout(target="cmsis-nn-q7")
    kj.fit(net, stripes(48), epochs=1, batch_size=24, show=False)
    assert net.is_calibrated


def test_a_network_without_it_draws_nothing():
    net = small_net()
    x = images(2)
    plain = net.logits(x).data
    assert np.array_equal(net.logits(x, dropout=np.random.default_rng(0)).data, plain)
