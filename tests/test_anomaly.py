"""Autoencoders: what they are compared with, training them, their scores."""

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.anomaly import anomaly_scores, auc, real_inputs
from kanji_np.data import Dataset
from kanji_np.errors import DataError, OptionError, ShapeError


def vectors(n=96):
    """Vectors that two numbers decide."""
    x = np.random.default_rng(0).integers(60, 190, (n, 2), dtype=np.uint8)
    x = x.repeat(6, axis=1)
    return Dataset(x, np.zeros(n, np.int64), ("normal", "anomalous"), "pairs")


def small_autoencoder(k=12, **options):
    layers = [kj.Normalize(125), kj.Dense(16, activation="relu"), kj.Dense(k)]
    return kj.Sequential(layers, (12,), **options)


def test_what_is_to_be_given_back():
    x = np.array([[0, 125, 189] * 4], np.uint8)
    expected = np.float32([-125 / 64, 0, 1] * 4)[None]
    assert np.array_equal(real_inputs(small_autoencoder(), x), expected)
    plain = kj.Sequential([kj.Dense(3)], (3,), input_scale=0.25)
    x = np.array([[-128, 0, 2]], np.int8)
    assert real_inputs(plain, x).tolist() == [[-32, 0, 0.5]]


@pytest.mark.parametrize("scheme", ["pow2", "asymmetric"])
def test_training_makes_the_normal_score_low(scheme):
    net, data = small_autoencoder(scheme=scheme), vectors()
    history = kj.fit(
        net, data, reproduce_inputs=True, epochs=30, batch_size=16,
        optimizer=kj.Adam(lr=0.01), averaging=0.0, show=False,
    )  # fmt: skip
    losses = [record.train_loss for record in history.epochs]
    assert losses[-1] < losses[0] / 5
    assert np.isnan([record.train_accuracy for record in history.epochs]).all()
    strange = np.random.default_rng(1).integers(0, 256, (50, 12), dtype=np.uint8)
    scores = anomaly_scores(net, np.concatenate([data.images[:50], strange]))
    assert auc(scores, np.arange(100) // 50) > 0.95


def test_a_loss_of_ones_own_is_given_the_inputs():
    seen = []

    def loss(outputs, targets):
        seen.append(targets)
        return kj.mean_squared_error(outputs, targets)

    net, data = small_autoencoder(), vectors(n=16)
    kj.fit(
        net, data, reproduce_inputs=True, loss=loss, epochs=1, batch_size=16, show=False
    )
    (targets,) = seen
    expected = real_inputs(net, data.images)
    assert sorted(targets.tolist()) == sorted(expected.tolist())


def test_a_line_an_epoch_has_no_accuracy(capsys):
    kj.fit(small_autoencoder(), vectors(n=16), reproduce_inputs=True, epochs=1)
    assert "loss" in (err := capsys.readouterr().err)
    assert "accuracy" not in err
    assert "nan" not in err


def test_scores_are_those_of_the_bytes_of_the_device():
    net, x = small_autoencoder(scheme="asymmetric"), vectors(n=300).images
    net.calibrate(x)
    q = net.freeze().output.qparams
    assert q.zero_point != 0
    real = (net.predict(x).astype(float) - q.zero_point) * q.scale
    expected = ((real - (x - 125.0) / 64) ** 2).mean(axis=1)
    assert np.allclose(anomaly_scores(net, x), expected, rtol=1e-5)
    in_fp32 = ((net.predict(x, precision="fp32") - (x - 125.0) / 64) ** 2).mean(axis=1)
    assert np.allclose(anomaly_scores(net, x, precision="fp32"), in_fp32, rtol=1e-5)


def test_auc_counts_pairs():
    scores = np.random.default_rng(0).integers(0, 8, 40) / 8  # with ties
    labels = np.arange(40) % 2
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[labels == 1].tolist()
        for b in scores[labels == 0].tolist()
    ]
    assert auc(scores, labels) == pytest.approx(sum(pairs) / len(pairs))
    assert auc(np.arange(4.0), np.array([0, 0, 1, 1])) == 1.0


@pytest.mark.parametrize(
    "scores, labels, message",
    [
        ([1.0, 2.0], [0, 0], "both labels, 0 and 1"),
        ([1.0, 2.0, 3.0], [0, 1, 2], "both labels, 0 and 1"),
        ([1.0, 2.0], [0, 1, 1], "one score a label"),
        ([1.0, np.nan], [0, 1], "no NaN"),
    ],
)
def test_auc_refuses(scores, labels, message):
    with pytest.raises(DataError, match=message):
        auc(np.array(scores), np.array(labels))


def test_what_cannot_be_reproduced_is_refused():
    net, data = small_autoencoder(k=11), vectors(n=4)
    with pytest.raises(ShapeError, match=r"outputs \(11,\); .* it needs \(12,\)"):
        anomaly_scores(net, data.images)
    with pytest.raises(ShapeError, match=r"outputs \(11,\); .* it needs \(12,\)"):
        kj.fit(net, data, reproduce_inputs=True, epochs=1)
    with pytest.raises(ShapeError, match=r"takes uint8 \(N, 12\)"):
        anomaly_scores(small_autoencoder(), data.images[:, :5])


def test_bad_settings_of_an_autoencoder_are_refused():
    net, data = small_autoencoder(), vectors(n=4)
    with pytest.raises(OptionError, match="reproduce_inputs must be True or False"):
        kj.fit(net, data, reproduce_inputs="x")
    with pytest.raises(OptionError, match="score an autoencoder with anomaly_scores"):
        kj.fit(net, data, reproduce_inputs=True, validation=data)
