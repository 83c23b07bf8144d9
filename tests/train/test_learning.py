"""What a run learns, at which rate and from which images, and what it records."""

import math
from dataclasses import replace

import numpy as np
import pytest
from small import small_net, stripes

import kanji_np as kj
from kanji_np.recipe import Recipe
from kanji_np.train.run import RANGE_OPTIMIZER, SAMPLE_IMAGES, Run

from .runs import DATA, settings, trained, weights


def test_learned_ranges_learn_at_a_rate_of_their_own():
    """They move by powers of two, whatever weights' steps and the loss's size are."""
    seen = []
    for size in (1.0, 2.0**-10):

        def loss(logits, labels, size=size):
            return kj.cross_entropy(logits, labels) * size

        net = small_net(ranges="learned")
        before = weights(net)
        history = kj.fit(
            net, DATA, loss=loss, **settings(optimizer=kj.SGD(lr=0.0), averaging=0)
        )
        steps = sum(record.precision == "int8" for record in history.epochs) * 3
        seen.append([t.item() for t in net.learned_ranges()])
        moved = np.abs(seen[-1])
        assert len(moved) == 2 * 4
        assert (moved > 0).all() and (moved <= steps * RANGE_OPTIMIZER.lr).all()
        for theta in net.learned_ranges():
            theta.data = np.zeros_like(theta.data)
        assert weights(net) == before
    np.testing.assert_allclose(*seen, rtol=1e-3)


@pytest.mark.parametrize("order", ["cycle", "sort"])
def test_every_class_is_in_the_sample_that_statistics_come_from(order):
    """Normalized layers get theirs from it; every fifth image would be of one class."""
    labels = np.arange(2500) % 5
    if order == "sort":
        labels.sort()
    images = np.broadcast_to(labels[:, None, None, None], (2500, 8, 8, 3))
    names = tuple("abcde")
    train = kj.Dataset(images.astype(np.uint8), labels, names, "stripes")
    run = Run(small_net(), Recipe(), kj.cross_entropy, train)
    counts = np.bincount(run.sample[:, 0, 0, 0])
    assert counts.sum() == SAMPLE_IMAGES
    assert len(counts) == 5 and counts.min() > SAMPLE_IMAGES // 10


def test_fp32_alone_takes_its_ranges_from_the_training_images():
    net, _ = trained(precision="fp32", epochs=1)
    other = small_net()
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        theirs.data = mine.data
    other.calibrate(DATA.images)
    assert net.is_calibrated
    assert net.freeze().digest() == other.freeze().digest()


def test_a_tiny_int8_network_learns_a_tiny_problem():
    """Rows, columns and checks, light or dark: nothing for a linear classifier."""
    net, data, test = small_net(), stripes(240), stripes(150, seed=1)
    assert net.evaluate(test) < 0.6
    history = kj.fit(
        net, data, epochs=8, batch_size=16, optimizer=kj.Adam(lr=5e-3), validation=test,
        show=False,
    )  # fmt: skip
    assert history.epochs[-1].validation_accuracy == net.evaluate(test) > 0.95
    assert history.epochs[-1].train_loss < 0.3 * history.epochs[0].train_loss


def test_fp32_first_then_int8():
    net = small_net()
    data = stripes(240)
    history = kj.fit(
        net, data, epochs=8, fp32_epochs=6, batch_size=16, optimizer=kj.Adam(lr=5e-3),
        validation=data, show=False,
    )  # fmt: skip
    assert [r.precision for r in history.epochs] == ["fp32"] * 6 + ["int8"] * 2
    assert history.epochs[5].validation_accuracy > 0.9
    assert history.epochs[-1].validation_accuracy == net.evaluate(data) > 0.95
    updates = [x.output_range.updates for x in net.layers if x.has_parameters]
    assert updates == [2 * 15] * 4


def test_a_loss_of_ones_own():
    def mean_squared_error(outputs, labels):
        difference = outputs - np.eye(3, dtype=np.float32)[labels]
        return (difference**2).mean()

    net, data = small_net(), stripes(240)
    history = kj.fit(
        net, data, epochs=12, batch_size=16, optimizer=kj.Adam(lr=1e-2),
        loss=mean_squared_error, show=False,
    )  # fmt: skip
    assert net.evaluate(data) > 0.85
    outputs = net.logits(data.images).data
    expected = ((outputs - np.eye(3)[data.labels]) ** 2).mean()
    assert history.epochs[-1].train_loss == pytest.approx(expected, abs=0.03)


def test_records_are_means_over_the_epoch():
    """With a learning rate of nothing the fp32 network stays, and can be asked."""
    net = small_net()
    history = kj.fit(
        net, DATA, epochs=2, batch_size=20, precision="fp32", show=False,
        optimizer=kj.SGD(lr=0.0), schedule=kj.Constant(), label_smoothing=0.0,
    )  # fmt: skip
    logits = net.logits(DATA.images, precision="fp32")
    expected = kj.cross_entropy(logits, DATA.labels).item()
    for i, record in enumerate(history.epochs, 1):
        assert (record.epoch, record.precision, record.lr) == (i, "fp32", 0.0)
        assert record.train_loss == pytest.approx(expected, rel=1e-5)
        assert record.train_accuracy == net.evaluate(DATA, precision="fp32")
        assert math.isnan(record.validation_accuracy)
        assert record.seconds > 0


def test_the_learning_rate_follows_its_schedule():
    seen = []

    class Watched(kj.SGD):
        def step(self, parameters, slots, lr, count):
            seen.append((count, lr))

    kj.fit(
        small_net(), DATA, epochs=2, batch_size=20, optimizer=Watched(lr=0.5),
        schedule=kj.Cosine(), show=False,
    )  # fmt: skip
    expected = [0.25 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert [count for count, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert [lr for _, lr in seen] == pytest.approx(expected)


def test_nothing_told_is_the_recipe_told():
    told = Recipe()
    net, other = small_net(), small_net()
    data = replace(DATA, augment=kj.Augment(crop_padding=1))
    kj.fit(net, data, epochs=1, show=False)
    kj.fit(
        other, DATA, epochs=1, show=False, batch_size=told.batch_size,
        optimizer=kj.SGD(), schedule=kj.OneCycle(), averaging=told.averaging,
        label_smoothing=told.label_smoothing, augment=data.augment,
    )  # fmt: skip
    assert weights(net) == weights(other)
    kj.fit(other := small_net(), DATA, epochs=1, show=False)  # says nothing of itself
    assert weights(net) != weights(other)
