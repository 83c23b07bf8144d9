"""Names of classes travel from data to model, file and integer program."""

from dataclasses import replace

import numpy as np
import pytest
from small import small_net, stripes

import kanji_np as kj
from kanji_np import archive
from kanji_np.errors import DataError, FileFormatError, OptionError

BRIEF = {"epochs": 1, "batch_size": 48, "show": False}


def fitted(data=None, **options):
    net = small_net(**options)
    kj.fit(net, data or stripes(48), **BRIEF)
    return net


def test_a_network_takes_the_names_of_its_training_data(tmp_path):
    net = fitted()
    assert net.classes == net.freeze().classes == ("r", "c", "x")
    net.save(tmp_path / "net.npz")
    loaded = kj.load(tmp_path / "net.npz")
    assert loaded.classes == net.classes
    assert loaded.for_target(core="mve").classes == net.classes
    assert loaded.with_quantization(scheme="symmetric").classes == net.classes


def test_names_decide_no_byte():
    net = small_net()
    digest = net.freeze().digest()
    net.classes = ["a", "b", "c"]
    assert net.freeze().digest() == digest
    assert small_net(classes=["a", "b", "c"]).classes == net.classes


def test_numbers_are_no_names():
    numbered = replace(stripes(48), classes=("0", "1", "2"))
    assert fitted(numbered).classes == ()
    assert fitted(numbered, classes=("a", "b", "c")).classes == ("a", "b", "c")


def test_other_names_replace_those_that_were_trained_before():
    assert fitted(classes=("red", "green", "blue")).classes == ("r", "c", "x")


def test_fewer_classes_than_outputs_name_none():
    fewer = kj.Dataset(stripes(4).images, np.arange(4) % 2, ("a", "b"), "fewer")
    assert fitted(fewer).classes == ()


def test_another_order_is_one_line():
    net = fitted()
    data = replace(stripes(48), classes=("c", "r", "x"))
    for use in (net.evaluate, lambda data: kj.fit(net, data, **BRIEF)):
        with pytest.raises(DataError) as caught:
            use(data)
        assert str(caught.value) == (
            "stripes has its classes in another order than network: 0 is 'c' there, "
            "and 'r' here; the order here is r, c, x"
        )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("abc", "classes must be names, got 'abc'"),
        (3, "classes must be names, got 3"),
        (("a", "b"), r"classes must be a name for each output, \(3,\), or none; got 2"),
        (
            ("a", "b", 3),
            "the name of a class must be text of at most 255 bytes .*got 3",
        ),
        (("a", "b", "ü" * 128), "the name of a class must be text of at most 255"),
        (("a", "b", "\ud800"), "the name of a class must be text of at most 255"),
    ],
)
def test_wrong_names_are_refused(names, message):
    net = small_net()
    with pytest.raises(OptionError, match=message):
        net.classes = names
    assert net.classes == ()


def test_wrong_names_in_a_file_are_refused(tmp_path):
    net = fitted()
    header, arrays = net.snapshot()
    archive.write(tmp_path / "old.npz", header | {"classes": ["a"]}, arrays)
    with pytest.raises(FileFormatError, match="classes must be a name for each"):
        kj.load(tmp_path / "old.npz")
    del header["classes"]  # as files of before have it
    archive.write(tmp_path / "old.npz", header, arrays)
    assert kj.load(tmp_path / "old.npz").classes == ()
