"""Autoencoders: what they reproduce, and how far off they are.

An autoencoder is trained on what is normal, to give back what it was given through a
few numbers in its middle. What it gives back badly is not normal.
"""

from __future__ import annotations

import numpy as np

from kanji_np import quantize
from kanji_np.errors import DataError, ShapeError
from kanji_np.model import Model
from kanji_np.network import EVALUATION_BATCH


def real_inputs(net: Model, x: np.ndarray) -> np.ndarray:
    """What an autoencoder is to give back, in real numbers.

    Parameters
    ----------
    net : Model
    x : uint8, int8 or floating (N, ...)
        Inputs of the network.

    Returns
    -------
    float32 (N, ...)
        What its `Normalize` or `Standardize` makes of them, unrounded; without such a
        layer real values as they are, and what int8 inputs stand for.
    """
    net.input.check_inputs(x, net.name)
    first, q = net.layers[0], net.input.qparams
    if q is None:
        return first.op.run_float(first.attrs, first.constants, (x,))
    if x.dtype.kind == "f":
        return quantize.real_inputs(x, net.name)
    return (x.astype(np.float32) - np.float32(q.zero_point)) * np.float32(q.scale)


def check_reproduces(net: Model) -> None:
    """ShapeError if the outputs of a network cannot be compared with its inputs."""
    if net.output_shape != net.input.shape:
        raise ShapeError(
            f"{net.name} has outputs {net.output_shape}; to reproduce its inputs it "
            f"needs {net.input.shape}"
        )


def anomaly_scores(net: Model, x: np.ndarray, *, precision: str = "int8") -> np.ndarray:
    """Mean squared error between inputs and what an autoencoder makes of them.

    Parameters
    ----------
    net : Model
        Its output has the shape of its input.
    x : uint8, int8 or floating (N, ...)
    precision : "int8" or "fp32"
        int8 scores the device's own output bytes.

    Returns
    -------
    float32 (N,)
        The larger, the less like what the network was trained on.

    Raises
    ------
    ShapeError
        If `x` does not fit the network, or its output its input.
    """
    check_reproduces(net)
    net.input.check_inputs(x, net.name)
    scores = np.empty(len(x), np.float32)
    graph = net.freeze() if precision == "int8" else None
    for start in range(0, len(x), EVALUATION_BATCH):
        rows = slice(start, start + EVALUATION_BATCH)
        if graph is None:
            y = net.predict(x[rows], precision=precision)
        else:
            q = graph.output.qparams
            assert q is not None  # only images have none
            y = graph.run(net.quantize_inputs(x[rows])).astype(np.float32)
            y = (y - np.float32(q.zero_point)) * np.float32(q.scale)
        errors = (y - real_inputs(net, x[rows])).reshape(len(y), -1)
        scores[rows] = (errors * errors).mean(axis=1)
    return scores


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve.

    It is the probability that an anomalous item scores higher than a normal one, ties
    counted half: 1 if a threshold parts them, 0.5 if scores say nothing.

    Parameters
    ----------
    scores : ndarray (N,)
    labels : ndarray of integers (N,)
        1 where anomalous, 0 where normal.

    Returns
    -------
    float
        0..1.

    Raises
    ------
    DataError
        If labels are other than 0 and 1, or one of them is missing.
    """
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise DataError("an AUC needs both labels, 0 and 1, and no others")
    if scores.shape != labels.shape or np.isnan(scores).any():
        raise DataError(
            f"an AUC needs one score a label and no NaN; got scores {scores.shape}, "
            f"labels {labels.shape}"
        )
    normal = np.sort(scores[labels == 0])
    anomalous = scores[labels == 1]
    below = np.searchsorted(normal, anomalous, "left")
    not_above = np.searchsorted(normal, anomalous, "right")
    pairs = len(normal) * len(anomalous)
    return float((below + not_above).sum() / (2 * pairs))
