"""Batch normalization in training: averaged, frozen, and of few values."""

import re
from dataclasses import replace

import numpy as np
import pytest
from small import stripes

import kanji_np as kj
from kanji_np.errors import OptionError, ShapeError
from kanji_np.recipe import Recipe
from kanji_np.train.checkpoint import MODEL
from kanji_np.train.run import Run

from .runs import DATA, Stopped


@pytest.mark.parametrize(
    ("part", "frozen"), [(0.0, [0, 1, 2, 3]), (0.7, [3]), (0.5, [2, 3]), (1.0, [])]
)
def test_batch_normalization_is_frozen_after_its_part_of_the_epochs(part, frozen):
    recipe = Recipe(4, freeze_batch_norm=part)
    assert [e for e in range(4) if recipe.freezes_batch_norm(e)] == frozen


def normalized_net() -> kj.Sequential:
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(4, 3, 2, batch_norm=True, activation="relu"),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, DATA.input_shape)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_averaged_weights_are_normalized_by_statistics_of_their_own(precision):
    net = normalized_net()
    kj.fit(net, DATA, epochs=2, precision=precision, freeze_batch_norm=1.0, show=False)
    norm = net.layers[1].norm
    seen = norm.moving
    net.renew_batch_norm(DATA.images)  # few enough to be the sample
    for before, after in zip(seen, norm.moving, strict=True):
        np.testing.assert_array_equal(before, after)


def test_averages_begin_anew_when_normalization_is_frozen():
    """Those of before go with other statistics, and would weigh in for long."""
    nets = normalized_net(), normalized_net()
    for net, averaging in zip(nets, (0.999, 0), strict=True):
        kj.fit(
            net, DATA, epochs=4, freeze_batch_norm=0.5, averaging=averaging,
            optimizer=kj.SGD(lr=1e-9), show=False,
        )  # fmt: skip
    for averaged, last in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_allclose(averaged.data, last.data, atol=1e-5)


def dim(count: int = 240) -> kj.Dataset:
    """Pictures far from the mean and with little contrast: large once normalized."""
    data = stripes(count)
    return replace(data, images=data.images // 5 + 20)


def dim_net() -> kj.Sequential:
    layers = [
        kj.Normalize((128, 128, 128)),
        kj.Conv2D(8, 3, padding="same", batch_norm=True, activation="relu"),
        kj.MaxPool2D(2),
        kj.Conv2D(8, 3, padding="same", batch_norm=True, activation="relu"),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (8, 8, 3))


def dim_settings(**options):
    return {"epochs": 8, "batch_size": 16, "freeze_batch_norm": 0.5, "show": False} | (
        options
    )


def folded(net):
    """Weights as they are multiplied, and what of each gradient reaches them."""
    layers = [layer for layer in net.layers if getattr(layer, "norm", None)]
    slopes = [x.norm.gamma.data * x.norm.moving.inverse for x in layers]
    return [x.norm.fold(x.weight)[0].data for x in layers], slopes


def test_frozen_normalization_makes_no_step_larger():
    """The weights trained then act through gamma / sqrt(var + epsilon), at most 1."""
    net = dim_net()
    for start in range(0, 240, 40):
        net.logits(dim().images[start : start + 40], precision="fp32", track=True)
    before, slopes = folded(net)
    outputs = net.predict(dim().images, precision="fp32")
    assert max(np.abs(k).max() for k in slopes) > 2
    changed = net.freeze_batch_norm()
    after, now = folded(net)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5)
    for k, new in zip(slopes, now, strict=True):
        np.testing.assert_allclose(new, np.clip(k, -1, 1), rtol=1e-5)
    np.testing.assert_allclose(
        net.predict(dim().images, precision="fp32"), outputs, rtol=1e-3, atol=1e-4
    )
    assert [w is net.layers[i].weight for (w, _), i in zip(changed, (1, 3))] == [
        True
    ] * 2
    assert net.freeze_batch_norm() == []


@pytest.mark.parametrize("optimizer", [kj.SGD(), kj.AdamW()], ids=["SGD", "AdamW"])
def test_what_optimizers_remember_goes_with_weights_that_are_frozen(optimizer):
    net = dim_net()
    net.logits(dim().images, precision="fp32", track=True)
    _, (slopes, _) = folded(net)
    run = Run(net, Recipe(optimizer=optimizer), kj.cross_entropy, dim())
    for slot in run.slots:
        for array in slot:
            array[...] = 1
    run._freeze_batch_norm()
    _, parameters, slots = run.groups[0]
    for parameter, slot in zip(parameters, slots, strict=True):
        for power, array in enumerate(slot, 1):
            expected = np.ones_like(array)
            if parameter is net.layers[1].weight:
                expected /= np.maximum(slopes, 1).reshape(-1, 1, 1, 1) ** power
            if parameter is not net.layers[3].weight:
                np.testing.assert_allclose(array, expected, rtol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_freezing_that_ruins_a_training_is_undone_and_said(precision, capsys):
    net = dim_net()
    history = kj.fit(
        net, dim(), **dim_settings(precision=precision, show=True, averaging=0.9)
    )
    notes = [(record.epoch, record.note) for record in history.epochs if record.note]
    ((epoch, note),) = notes
    assert epoch == 5
    assert re.fullmatch(
        r"the loss rose from 0\.\d+ to \d+\.\d+ in epoch 5; back to the end of epoch 4"
        ": batch normalization is not frozen, but goes on with batches",
        note,
    )
    assert capsys.readouterr().err.splitlines().count(note) == 1
    assert net.is_normalized
    assert [record.epoch for record in history.epochs] == list(range(1, 9))
    assert history.epochs[-1].train_loss < history.epochs[3].train_loss
    assert net.evaluate(dim(), precision=precision) > 0.95


def test_a_second_fit_of_a_frozen_network_is_safe():
    net = dim_net()
    kj.fit(net, dim(), **dim_settings(epochs=5, freeze_batch_norm=0.7))
    assert not net.is_normalized
    assert net.evaluate(dim()) > 0.95
    kj.fit(net, dim(), **dim_settings(epochs=2))
    assert not net.is_normalized
    assert net.evaluate(dim()) > 0.95
    net.thaw_batch_norm()
    kj.fit(net, dim(), **dim_settings(epochs=2, freeze_batch_norm=1.0))
    assert net.is_normalized
    assert net.evaluate(dim()) > 0.95


def test_freezing_that_was_undone_stays_undone_when_a_run_is_resumed(
    tmp_path, stop_before
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    kj.fit(dim_net(), dim(), directory=whole, **dim_settings())
    for epoch in (5, 6, 8):
        stop_before(epoch)
        with pytest.raises(Stopped):
            kj.fit(dim_net(), dim(), directory=cut, resume=True, **dim_settings())
    stop_before(0)
    history = kj.fit(dim_net(), dim(), directory=cut, resume=True, **dim_settings())
    assert (whole / MODEL).read_bytes() == (cut / MODEL).read_bytes()
    assert [record.epoch for record in history.epochs if record.note] == [5]


def normalized_dense(*, spatial: bool = False) -> kj.Sequential:
    """One value a channel and sample: of a dense layer, or of a convolution to 1x1."""
    hidden = [kj.Flatten(), kj.Dense(12, "relu", batch_norm=True)]
    if spatial:
        hidden = [kj.Conv2D(12, 8, activation="relu", batch_norm=True), kj.Flatten()]
    return kj.Sequential([kj.Normalize((128,) * 3), *hidden, kj.Dense(3)], (8, 8, 3))


@pytest.mark.parametrize("spatial", [False, True])
def test_a_last_batch_of_few_does_not_ruin_a_normalized_dense_layer(spatial):
    """One has no variance: weights folded with it would be 31 times too large."""
    for count in (129, 130, 135, 136):
        net, data = normalized_dense(spatial=spatial), stripes(count)
        largest = []

        def loss(outputs, labels, net=net, largest=largest):
            layer = next(x for x in net.layers if getattr(x, "norm", None))
            largest.append(float(layer.weight_range.max_abs))
            return kj.cross_entropy(outputs, labels)

        kj.fit(net, data, epochs=4, batch_size=32, loss=loss, show=False)
        assert len(largest) == 4 * (4 + (count == 136))
        assert max(largest) < 3 * largest[0]
        assert net.evaluate(stripes(150, seed=1)) > 0.5


@pytest.mark.parametrize("spatial", [False, True])
def test_batches_of_one_are_refused_where_they_have_no_variance(spatial):
    net = normalized_dense(spatial=spatial)
    with pytest.raises(OptionError, match=r"layer '\w+1' .* batch_size .*2, got 1"):
        kj.fit(net, DATA, batch_size=1, show=False)
    with pytest.raises(OptionError, match="training images must be at least 2, got 1"):
        kj.fit(net, DATA.take(1), show=False)
    with pytest.raises(ShapeError, match="needs two values a channel"):
        net.logits(DATA.images[:1], track=True)
    with pytest.raises(ShapeError, match="needs two values a channel"):
        net.renew_batch_norm(DATA.images[:1])
    net.logits(DATA.images[:2], track=True)
    net.freeze_batch_norm()  # goes by the moving statistics
    kj.fit(net, DATA, epochs=1, batch_size=1, show=False)
    kj.fit(normalized_net(), DATA, epochs=1, batch_size=1, show=False)
