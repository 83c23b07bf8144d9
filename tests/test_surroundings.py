"""What a notebook, a service or another program hands in: streams, copies, arrays."""

import copy
import io
import pickle
import sys

import numpy as np
import pytest
from small import images, small_net, stripes

import kanji_np as kj
from kanji_np.errors import DataError, KanjiError, OptionError, ShapeError

DATA = stripes(48)


class NoTerminal:
    """A stream such as some programs put in place of standard error."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize("stream", [None, NoTerminal(), io.StringIO()])
def test_training_does_without_a_terminal(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    kj.fit(small_net(), DATA, epochs=1)


@pytest.mark.parametrize(
    "duplicate", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy]
)
def test_a_network_is_pickled_and_copied(duplicate):
    net = small_net()
    kj.fit(net, DATA, epochs=1, show=False)
    other = duplicate(net)
    digest = net.freeze().digest()
    assert other.freeze().digest() == digest
    assert [layer.op for layer in other.layers] == [layer.op for layer in net.layers]
    kj.fit(other, DATA, epochs=1, show=False)
    assert net.freeze().digest() == digest != other.freeze().digest()
    assert duplicate(net.freeze()).digest() == digest


def test_numpy_integers_are_taken_as_ints(tmp_path):
    one = np.int64(1)
    nets = []
    for seed, epochs, batch in ((one, one, np.uint8(16)), (1, 1, 16)):
        net = small_net(seed=seed)
        kj.fit(
            net, DATA, epochs=epochs, batch_size=batch, seed=seed, show=False,
            directory=tmp_path / str(type(seed).__name__),
        )  # fmt: skip
        nets.append(net)
    assert nets[0].freeze().digest() == nets[1].freeze().digest()
    kj.fit(
        small_net(seed=1), DATA, epochs=1, batch_size=16, seed=1, show=False,
        directory=tmp_path / "int64", resume=True,
    )  # fmt: skip
    for seed in (np.int64(3), 3):
        train, _ = kj.load_dataset("synthetic-machines", seed=seed)
        nets.append(train.images.sum())
    assert nets[2] == nets[3]


NET = small_net()
X = images(2)


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        (lambda: kj.fit(NET, (X, X)), DataError, "y is uint8 .*; labels must be integ"),
        (lambda: kj.fit(NET, (X,)), DataError, "takes a Dataset.*, got a tuple"),
        (lambda: kj.fit(NET, X), DataError, "takes a Dataset.*, got a ndarray"),
        (lambda: kj.fit(NET, DATA, validation=[X]), DataError, "takes a Data.* a list"),
        (lambda: kj.fit(DATA, NET), OptionError, "net must be a Model, got <Dataset"),
        (lambda: NET.evaluate((X, X)), DataError, "takes a Dataset.*, got a tuple"),
        (lambda: NET.predict(X.tolist()), ShapeError, r"NumPy array, uint8 .* a list"),
        (lambda: NET.predict(DATA), ShapeError, r"NumPy array, .*, got a Dataset"),
        (lambda: NET.predict(X[0, 0]), ShapeError, r"takes uint8 \(N, 8, 8, 3\)"),
        (lambda: NET.predict(np.uint8(3)), ShapeError, r"takes a NumPy array"),
        (lambda: NET.predict(np.array(3)), ShapeError, r"takes uint8 \(N, 8, 8, 3\)"),
        (lambda: NET.freeze().run(X.tolist()), ShapeError, "takes a NumPy array"),
        (lambda: small_net(seed=-1), OptionError, "seed must be an int of at least 0"),
        (lambda: small_net(seed="x"), OptionError, "seed must be an int of at least 0"),
        (lambda: small_net(name=3), OptionError, "name must be a C identifier.*got 3"),
        (lambda: small_net(scheme=["x"]), OptionError, "scheme must be one of"),
        (lambda: kj.fit(NET, DATA, seed=-1), OptionError, "seed must be an int"),
        (lambda: DATA.split(0.5, seed=-1), OptionError, "seed must be an int"),
        (lambda: DATA.split("half"), OptionError, "test_fraction must lie between"),
        (lambda: kj.load_dataset("synthetic", seed=1.5), OptionError, "seed must be"),
        (lambda: kj.paper_cnn((2,), pool=3), OptionError, "pool must be one of max"),
    ],
)  # fmt: skip
def test_what_is_not_fit_gets_one_line(work, kind, words):
    with pytest.raises(kind, match=words) as caught:
        work()
    assert isinstance(caught.value, KanjiError) and "\n" not in str(caught.value)


def test_firmware_takes_arrays_and_datasets(tmp_path):
    for wrong in (X.tolist(), 5, None):
        with pytest.raises(ShapeError, match="takes a NumPy array"):
            kj.verify(kj.export(small_net(), tmp_path / "fw").directory, wrong)
