"""Callbacks: what they are told, what they may do, and the log for TensorBoard."""

import struct

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import DataError, OptionError
from kanji_np.train.callbacks import _check_sum
from kanji_np.train.checkpoint import MODEL

from .runs import DATA, settings, trained, weights


class Log:
    """Remembers what it is told; stops after so many epochs."""

    def __init__(self, stop=99):
        self.records, self.scores, self.stop = [], [], stop

    def __call__(self, record, net):
        self.records.append(record)
        self.scores.append(net.evaluate(DATA, precision=record.precision))
        for parameter in net.parameters():
            parameter.data = parameter.data * 0
        return len(self.records) == self.stop


def test_they_see_the_network_that_was_scored_and_leave_it_alone():
    log, other = Log(), []
    net, history = trained(callbacks=[log, lambda record, _: other.append(record)])
    assert tuple(log.records) == tuple(other) == history.epochs
    assert log.scores == [record.validation_accuracy for record in history.epochs]
    undisturbed, _ = trained()
    assert weights(net) == weights(undisturbed)


def test_one_may_end_the_training(tmp_path, capsys):
    log, late = Log(stop=2), Log()
    net, history = trained(callbacks=[log, late], directory=tmp_path, show=True)
    assert len(history.epochs) == len(late.records) == 2
    assert net.trained_for == net.target
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "a callback ends the training at epoch 2"
    kept = kj.load(tmp_path / MODEL)
    assert np.array_equal(kept.predict(DATA.images), net.predict(DATA.images))
    again, history = trained(directory=tmp_path, resume=True)
    assert len(history.epochs) == 2
    assert weights(again) == weights(net)


def test_none_and_other_values_do_not_end_it():
    _, history = trained(callbacks=[lambda record, net: record])
    assert len(history.epochs) == 3


def test_what_is_no_callback_is_refused():
    with pytest.raises(OptionError, match="callbacks must be functions of .record, ne"):
        trained(callbacks=["csv"])


def messages(data):
    """The fields of a protocol buffer: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        field, kind = divmod(varint(), 8)
        if kind == 0:
            yield field, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        value, at = data[at : at + size], at + size
        if kind != 2:
            (value,) = struct.unpack("<d" if kind == 1 else "<f", value)
        yield field, value


def events(path):
    """The events of a log: (step, values by tag)."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        length = data[at : at + 8]
        (size,) = struct.unpack("<Q", length)
        body = data[at + 12 : at + 12 + size]
        assert data[at + 8 : at + 12] == _check_sum(length)
        assert data[at + 12 + size : at + 16 + size] == _check_sum(body)
        at += 16 + size
        event = dict(messages(body))
        values = [dict(messages(value)) for _, value in messages(event.get(5, b""))]
        yield event[2], event.get(3), {v[1].decode(): v[2] for v in values}


def test_a_log_for_tensorboard(tmp_path):
    _, history = trained(callbacks=[kj.TensorBoard(tmp_path / "logs" / "first")])
    (path,) = (tmp_path / "logs" / "first").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    head, *rest = events(path)
    assert head == (0, b"brain.Event:2", {})
    assert [step for step, _, _ in rest] == [1, 2, 3]
    for (_, _, values), record in zip(rest, history.epochs, strict=True):
        assert values == pytest.approx(
            {
                "loss/training": record.train_loss,
                "accuracy/training": record.train_accuracy,
                "accuracy/validation": record.validation_accuracy,
                "learning rate": record.lr,
            }
        )


def test_without_validation_there_is_no_value_of_it(tmp_path):
    trained(callbacks=[kj.TensorBoard(tmp_path)], validation=None)
    (path,) = tmp_path.iterdir()
    assert all("accuracy/validation" not in values for _, _, values in events(path))


def test_the_check_sum_is_crc_32c():
    """The vector of RFC 3720, B.4, masked."""
    (masked,) = struct.unpack("<I", _check_sum(bytes(32)))
    crc = 0x8A9136AA
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked == (rotated + 0xA282EAD8) & 0xFFFFFFFF


def test_arrays_are_data():
    nets = []
    for train in (DATA, (DATA.images, DATA.labels)):
        net = kj.Sequential(
            [kj.Normalize((0, 0, 0)), kj.Flatten(), kj.Dense(3)], (8, 8, 3)
        )
        history = kj.fit(net, train, **settings(validation=train))
        assert history.epochs[-1].validation_accuracy >= 0
        nets.append(net)
    assert weights(nets[0]) == weights(nets[1])
    with pytest.raises(DataError, match="takes a Dataset"):
        kj.fit(nets[0], [1, 2, 3])
