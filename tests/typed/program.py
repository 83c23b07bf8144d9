"""A program as a user writes it, every function annotated."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import kanji_np as kj
from kanji_np import autograd as ag
from kanji_np.data import batches

CLASSES = ("dark", "light")


def pictures(count: int, seed: int) -> kj.Dataset:
    """Images that are dark or light."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    noise = rng.integers(0, 100, (count, 8, 8, 1))
    images = (noise + 100 * labels[:, None, None, None]).astype(np.uint8)
    return kj.Dataset(images, labels.astype(np.int64), CLASSES, "pictures")


def block(filters: int) -> list[kj.Layer]:
    return [
        kj.Conv2D(filters, 3, padding="same", activation="relu", batch_norm=True),
        kj.MaxPool2D(2),
    ]


def network(target: str | kj.TargetSpec) -> kj.Sequential:
    layers: list[kj.Layer] = [kj.Normalize(128), *block(4), *block(8), kj.Flatten()]
    layers += [kj.Dropout(0.5), kj.Dense(2)]
    return kj.Sequential(layers, input_shape=(8, 8, 1), target=target, name="light")


def two_ways(shape: kj.Shape) -> kj.Model:
    """A network with branches."""
    pixels: kj.Symbol = kj.Input(shape)
    x = kj.Normalize(128)(pixels)
    left = kj.Conv2D(4, 1, strides=(2, 2))(x)
    right = kj.Conv2D(4, 3, strides=2, padding=((1, 1), (1, 1)))(x)
    y = kj.Dense(2)(kj.GlobalAvgPool2D()(kj.Add(activation="relu")(left, right)))
    return kj.Model(pixels, y, scheme="asymmetric")


def hinge(scores: kj.Tensor, labels: NDArray[np.int64]) -> kj.Tensor:
    """A loss of one's own."""
    signs = np.where(np.eye(scores.shape[1], dtype=bool)[labels], 1.0, -1.0)
    return ag.maximum(1 - signs * scores, 0).mean()


class Warmup:
    """A schedule of one's own."""

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        return min(1.0, (step + 1) / steps_per_epoch)


def stops_early(record: kj.EpochRecord, net: kj.Model) -> bool:
    """A callback of one's own."""
    return record.train_accuracy > 0.99 and net.is_calibrated


def own_loop(net: kj.Model, data: kj.Dataset) -> None:
    """A training loop of one's own."""
    optimizer: kj.BoundOptimizer = kj.Adam(lr=0.001).bind(net.parameters())
    for images, labels in batches(data, 16, seed=0, epoch=0):
        loss = kj.cross_entropy(net.logits(images, track=True), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def best(history: kj.History) -> kj.EpochRecord:
    return max(history.epochs, key=lambda record: record.validation_accuracy)


def total_flash(report: kj.Report) -> int:
    return sum(layer.flash_bytes for layer in report.layers)


def deploy(net: kj.Model, images: kj.Dataset, folder: Path) -> kj.Verification:
    firmware: kj.Firmware = kj.export(net, folder, images=images)
    assert firmware.const_bytes == total_flash(kj.cost_report(net))
    return kj.verify(folder, images, layers=True)


def main(folder: Path) -> None:
    train, test = pictures(96, seed=0).split(1 / 3)
    target = kj.target_spec("cmsis-nn", core="cortex-m4")
    net = network(target)
    history = kj.fit(
        net,
        train,
        epochs=2,
        validation=test,
        optimizer=kj.AdamW(lr=3e-3),
        schedule=Warmup(),
        loss=hinge,
        augment=kj.Augment(crop_padding=1, fill=128),
        callbacks=[stops_early, kj.TensorBoard(folder / "logs")],
        show=False,
    )
    assert math.isfinite(best(history).train_loss)
    accuracy: float = net.evaluate(test)
    assert 0 <= accuracy <= 1
    found_scores: kj.Scores = kj.scores(net, test)
    assert found_scores.accuracy == accuracy
    assert found_scores.classes == net.classes == CLASSES
    own_loop(net, train)
    outputs: NDArray[np.int8] = net.freeze().run(test.images)
    assert outputs.shape == (len(test), *net.output_shape)

    net.save(folder / "light.npz")
    same = kj.load(folder / "light.npz").for_target("cmsis-nn-q7")
    kj.fit(same, train, epochs=1, optimizer=kj.SGD(), schedule=kj.Cosine(), show=False)

    found = deploy(net, test, folder / "firmware")
    difference: kj.Difference | None = found.first
    assert found.ok and difference is None, str(difference)

    try:
        two_ways((8, 8, 1)).evaluate(test.take(0))
    except kj.DataError as error:
        print(error)
