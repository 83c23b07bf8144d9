"""Runs that diverge, or learn nothing."""

import re
from dataclasses import replace

import numpy as np
import pytest
from small import small_net, stripes

import kanji_np as kj
from kanji_np import archive
from kanji_np.errors import RangeError
from kanji_np.train import checkpoint
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL

from .runs import DATA, Stopped, settings

#: Rates at which small_net diverges: a loss far too large, or no gradient left.
TOO_FAST = {"far": kj.SGD(lr=0.3), "silent": kj.SGD(lr=1.0), "both": kj.SGD(lr=3.0)}


def steep(optimizer, **options):
    net = small_net()
    told = {"epochs": 6, "batch_size": 16, "show": False, "optimizer": optimizer}
    return net, kj.fit(net, stripes(96), **told | options)


@pytest.mark.parametrize("name", TOO_FAST)
def test_a_run_that_diverges_goes_back_and_on_with_a_lower_rate(name, capsys):
    net, history = steep(TOO_FAST[name], epochs=8, show=True)
    notes = [record.note for record in history.epochs if record.note]
    assert notes
    told = capsys.readouterr().err.splitlines()
    for line in "; back".join(notes).split("; back")[1:]:
        assert re.match(r" to the end of epoch \d: learning rate times 0\.\d+", line)
    went_back = [line for line in told if "; back to the end of epoch" in line]
    assert "; ".join(went_back) == "; ".join(notes)
    assert [record.epoch for record in history.epochs] == list(range(1, 9))
    lowered = 0.25 ** len(went_back)
    last = TOO_FAST[name].lr * kj.OneCycle().factor(47, 48, 6) * lowered
    assert history.epochs[-1].lr == pytest.approx(last)
    assert net.evaluate(stripes(96)) > 0.6


@pytest.mark.parametrize("name", TOO_FAST)
def test_a_diverging_run_that_is_stopped_goes_on_to_the_same_bytes(
    tmp_path, stop_before, name
):
    _, history = steep(TOO_FAST[name], directory=tmp_path / "whole")
    for epoch in (2, 3, 4, 5, 6):
        stop_before(epoch)
        with pytest.raises(Stopped):
            steep(TOO_FAST[name], directory=tmp_path / "cut", resume=True)
    stop_before(0)
    _, again = steep(TOO_FAST[name], directory=tmp_path / "cut", resume=True)
    whole, cut = ((tmp_path / x / MODEL).read_bytes() for x in ("whole", "cut"))
    assert whole == cut
    assert [r.note for r in again.epochs] == [r.note for r in history.epochs]


def test_a_run_that_is_stopped_while_it_goes_back_ends_with_the_same_bytes(
    tmp_path, monkeypatch
):
    """Its history is shorter by then, and its checkpoint of later."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    steep(TOO_FAST["far"], directory=whole)
    save = checkpoint.save

    def stopped(run, path):
        if run.setbacks:
            raise Stopped
        save(run, path)

    monkeypatch.setattr(checkpoint, "save", stopped)
    with pytest.raises(Stopped):
        steep(TOO_FAST["far"], directory=cut)
    header, _ = archive.read(cut / CHECKPOINT, "kanji_np checkpoint")
    assert header["epoch"] > 0 == (cut / HISTORY).read_text().count("\n") - 1
    monkeypatch.undo()
    steep(TOO_FAST["far"], directory=cut, resume=True)
    assert (whole / MODEL).read_bytes() == (cut / MODEL).read_bytes()


def test_a_run_that_always_diverges_ends_with_an_error(tmp_path):
    with pytest.raises(
        RangeError, match="training diverged at 0.00098 of the learning rate, too$"
    ):
        steep(kj.SGD(lr=1e30), directory=tmp_path)
    assert not (tmp_path / MODEL).exists()


def test_a_network_that_nothing_reaches_is_an_error():
    net = small_net()
    net.layers[1].bias.data[:] = -1e3
    with pytest.raises(RangeError, match="no gradient reaches the first layer"):
        kj.fit(net, stripes(96), epochs=1, show=False)


def test_a_run_that_learned_nothing_says_so(capsys):
    labels = np.random.default_rng(0).permutation(DATA.labels)
    data = replace(DATA, labels=labels)
    history = kj.fit(small_net(), data, epochs=2, optimizer=kj.SGD(lr=0.0))
    line = "the network has learned nothing: always naming the most frequent class is "
    line += "right for 33.33 % of the training images"
    assert [record.note for record in history.epochs] == ["", line]
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_a_run_that_learned_its_training_images_alone_says_so(capsys):
    labels = (DATA.labels + 1) % len(DATA.classes)
    others = replace(DATA, labels=labels)
    history = kj.fit(small_net(), DATA, **settings(validation=others, show=True))
    last = history.epochs[-1]
    assert last.train_accuracy > 0.4 > last.validation_accuracy
    line = "the network has learned nothing that holds for other images: always naming "
    line += "the most frequent class is right for 33.33 % of the validation images"
    assert last.note == line
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_a_loss_of_nothing_is_no_divergence():
    """No gradient is left where there is nothing to learn any more."""
    history = kj.fit(
        small_net(), DATA, loss=lambda y, labels: (y * 0.0).sum(), epochs=2, show=False
    )
    assert len(history.epochs) == 2
    assert not any("learning rate" in record.note for record in history.epochs)
