"""The average of the weights: what a network ends with and is scored by."""

import numpy as np
import pytest
from small import small_net

import kanji_np as kj
from kanji_np.train.checkpoint import MODEL

from .runs import DATA, settings, trained, weights


def followed(**options):
    """A network, its history, and its weights after each step of training."""
    net, steps = small_net(), []

    def loss(logits, labels):
        steps.append([p.data.copy() for p in net.parameters()])
        return kj.cross_entropy(logits, labels, label_smoothing=0.1)

    history = kj.fit(net, DATA, loss=loss, **settings(**options))
    return net, history, steps[1:]  # before the first step they are as drawn


def test_the_network_ends_with_the_average_of_its_weights():
    raw, _, before_last = followed(averaging=0.0)
    last = [p.data for p in raw.parameters()]
    start = [p.data for p in small_net().parameters()]
    for averaging in (0.5, 0.998):
        net, _, steps = followed(averaging=averaging)
        # What is trained goes its way whether it is averaged or not.
        for a, b in zip(steps, before_last, strict=True):
            assert [x.tobytes() for x in a] == [x.tobytes() for x in b]
        expected = [p.astype(np.float64) for p in start]
        for count, weights_then in enumerate([*steps, last], 1):
            past = min(averaging, (1 + count) / (10 + count))
            expected = [
                past * mean + (1 - past) * p
                for mean, p in zip(expected, weights_then, strict=True)
            ]
        for p, mean in zip(net.parameters(), expected, strict=True):
            np.testing.assert_allclose(p.data, mean, rtol=1e-5, atol=1e-6)


def test_averaged_weights_are_quantized_over_their_own_range():
    net, _ = trained()
    for layer in net.layers:
        if layer.has_parameters:
            tracked = layer.weight_range
            weight = layer.weight.data
            assert (tracked.low, tracked.high) == (weight.min(), weight.max())


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_every_epoch_scores_what_a_run_ended_there_would_save(tmp_path, averaging):
    options = {"schedule": kj.Constant(), "fp32_epochs": 0, "averaging": averaging}
    _, history = trained(**options)
    for epochs in (1, 2):
        directory = tmp_path / str(epochs)
        trained(**options, epochs=epochs, directory=directory)
        saved = kj.load(directory / MODEL)
        record = history.epochs[epochs - 1]
        assert record.validation_accuracy == saved.evaluate(DATA)


def test_scoring_leaves_the_training_alone():
    assert weights(trained(validation=None)[0]) == weights(trained()[0])
