"""What a trained network is like: its score, its confusions, its values.

The score is of all images, the values of layers of a few hundred of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.anomaly import anomaly_scores, auc
from kanji_np.data import Dataset
from kanji_np.graph import Graph
from kanji_np.model import Model
from kanji_np.report.scores import scores

BINS = 64  # of 4 int8 values each
SAMPLE_IMAGES = 256
#: Values of all layers that are computed at once.
BATCH_VALUES = 2**25
#: Of a confusion matrix that is kept.
MOST_CLASSES = 1024


@dataclass(frozen=True)
class LayerValues:
    """The int8 values of a layer.

    Parameters
    ----------
    name : str
        Of the layer.
    weights, activations : tuple of int
        How many have each value from -128 to 127, four values to a bin; no weights:
        empty.
    weight_low, weight_high, low, high : int
        The smallest and largest of both; zeros without weights.
    weights_clamped : float
        Share of the weights at the ends of their range, 0..1.
    clamped : float
        Share of the outputs at -128 or 127, 0..1. What a ReLU cuts off is not among
        them: the zero point of the output does not count.
    """

    name: str
    weights: tuple[int, ...]
    weight_low: int
    weight_high: int
    weights_clamped: float
    activations: tuple[int, ...]
    low: int
    high: int
    clamped: float


@dataclass(frozen=True)
class TrainedReport:
    """How good a network is on a dataset, and what values it has there.

    Parameters
    ----------
    data : str
        The name of the dataset.
    metric : "accuracy" or "AUC"
    images : int
        That were scored.
    int8_score, fp32_score : float
        In the integers of the target, and in float32, 0..1.
    classes : tuple of str
        Of an autoencoder those of the data, else one for each output.
    confusion : tuple of tuple of int
        How many images of each class (rows) were taken for each class (columns), in
        int8. Empty for an autoencoder.
    sample : int
        How many images the values of the layers are of.
    layers : tuple of LayerValues
    """

    data: str
    metric: str
    images: int
    int8_score: float
    fp32_score: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    sample: int
    layers: tuple[LayerValues, ...]


def trained_report(net: Model, data: Dataset) -> TrainedReport:
    """Score a network and look at its values.

    Parameters
    ----------
    net : Model
        It must have ranges.
    data : Dataset

    Returns
    -------
    TrainedReport

    Raises
    ------
    ShapeError, DataError
        If the images or labels do not fit the network.
    """
    graph = net.freeze()
    classes, confusion = data.classes, tuple[tuple[int, ...], ...]()
    if net.output_shape == net.input.shape != (len(data.classes),):
        metric = "AUC"
        int8, fp32 = (
            auc(anomaly_scores(net, data.images, precision=p), data.labels)
            for p in ("int8", "fp32")
        )
    else:
        metric = "accuracy"
        fp32 = net.evaluate(data, precision="fp32")
        found = scores(net, data)
        int8, classes = found.accuracy, found.classes
        if len(classes) <= MOST_CLASSES:
            confusion = found.confusion
    sample = _spread(data.images)
    return TrainedReport(
        data=data.name,
        metric=metric,
        images=len(data),
        int8_score=int8,
        fp32_score=fp32,
        classes=classes,
        confusion=confusion,
        sample=len(sample),
        layers=_values(graph, graph.quantize_inputs(sample)),
    )


def _spread(images: np.ndarray) -> np.ndarray:
    """Some images at equal distances: files may be in the order of their labels."""
    count = min(SAMPLE_IMAGES, len(images))
    return images[np.arange(count) * len(images) // count]


def _values(graph: Graph, x: np.ndarray) -> tuple[LayerValues, ...]:
    """Of the weights, and of the outputs for integer inputs."""
    counts = np.zeros((len(graph.nodes), 256), np.int64)
    step = max(BATCH_VALUES // sum(tensor.size for tensor in graph.tensors), 1)
    for start in range(0, len(x), step):
        for i, y in enumerate(graph.layers(x[start : start + step])):
            counts[i] += _counted(y)
    found = []
    for node, values in zip(graph.nodes, counts, strict=True):
        weight = getattr(node.ints, "weight", None)
        own = np.zeros(256, np.int64) if weight is None else _counted(weight)
        qparams = node.output.qparams
        assert qparams is not None  # only images have none
        low, high = _bounds(values)
        weight_low, weight_high = _bounds(own)
        ends = [q for q in (-128, 127) if q != qparams.zero_point]
        clamped = sum(int(values[q + 128]) for q in ends)
        at_ends = int(own[[0, 1, 255]].sum())
        found.append(
            LayerValues(
                name=node.name,
                weights=_bins(own) if weight is not None else (),
                weight_low=weight_low,
                weight_high=weight_high,
                weights_clamped=at_ends / max(int(own.sum()), 1),
                activations=_bins(values),
                low=low,
                high=high,
                clamped=clamped / max(int(values.sum()), 1),
            )
        )
    return tuple(found)


def _counted(values: np.ndarray) -> np.ndarray:
    """int64 (256,): how many are -128, -127, ... 127."""
    # 64-bit, as int8 would wrap at -128
    return np.bincount(values.ravel().astype(np.int64) + 128, minlength=256)


def _bounds(counts: np.ndarray) -> tuple[int, int]:
    """The smallest and the largest value there is; zeros if there is none."""
    there = np.flatnonzero(counts)
    return (int(there[0]) - 128, int(there[-1]) - 128) if len(there) else (0, 0)


def _bins(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(map(int, counts.reshape(BINS, -1).sum(axis=1)))
