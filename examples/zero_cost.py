"""Scores of untrained networks from the literature, computed with this package.

Each is a function of a network and a batch, whose higher values are to mean higher
accuracy. `rank_correlation.py` compares them with networks that were trained.

References
----------
naswot: Mellor et al., "Neural Architecture Search without Training", 2021.
synflow: Tanaka et al., "Pruning neural networks without any data by iteratively
conserving synaptic flow", 2020.
gradient norm, snip, and their use for search: Abdelfattah et al., "Zero-Cost Proxies
for Lightweight NAS", 2021.
zico: Li et al., "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on
Gradients", 2023.
entropy: Shen et al., "DeepMAD: Mathematical Architecture Design for Deep Convolutional
Neural Network", 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import kanji_np as kj
from kanji_np.autograd import Tensor, no_grad
from kanji_np.layers import Activation, LinearLayer
from kanji_np.search import proxy

TINY = 1e-12
PARTS = 4  # of a batch, for scores that compare gradients of several batches


@dataclass(frozen=True)
class Batch:
    """uint8 images (N, H, W, C) and int64 labels (N,)."""

    images: np.ndarray
    labels: np.ndarray


def linear(network: kj.Model) -> list[LinearLayer]:
    """The layers with weights."""
    return [layer for layer in network.layers if isinstance(layer, LinearLayer)]


def outputs(
    network: kj.Model, x: np.ndarray, *, begin: int = 0, track: bool = True
) -> Iterator[Tensor]:
    """The output of every layer from `begin` on, in fp32 with the batch's statistics.

    `x` is what layer `begin` reads, float32 (N, ...).
    """
    values = {begin: Activation(Tensor(x), None)}
    for i in range(begin, len(network.layers)):
        arguments = (values[k] for k in network.wiring[i])
        values[i + 1] = network.layers[i].forward_float(*arguments, track=track)
        yield values[i + 1].tensor


def gradients(network: kj.Model, batch: Batch) -> list[np.ndarray]:
    """The gradient of the loss to the weight of each layer."""
    *_, y = outputs(network, batch.images.astype(np.float32))
    for parameter in network.parameters():
        parameter.grad = None
    kj.cross_entropy(y, batch.labels).backward()
    return [np.asarray(layer.weight.grad) for layer in linear(network)]


def naswot(network: kj.Model, batch: Batch) -> float:
    """log |K|: K counts, for each pair of images, the ReLUs in the same state."""
    n = len(batch.images)
    kernel = np.zeros((n, n))
    with no_grad():
        each = outputs(network, batch.images.astype(np.float32))
        for layer, y in zip(network.layers, each, strict=True):
            if layer.op.activation(layer.attrs) == "relu":
                on = (y.data.reshape(n, -1) > 0).astype(np.float32)  # (N, ...) -> (N,K)
                kernel += on @ on.T + (1 - on) @ (1 - on).T
    return float(np.linalg.slogdet(kernel + TINY * np.eye(n))[1])


def gradient_norm(network: kj.Model, batch: Batch) -> float:
    """log of the sum over layers of the norm of the weight's gradient."""
    norms = (float(np.linalg.norm(g)) for g in gradients(network, batch))
    return math.log(sum(norms) + TINY)


def snip(network: kj.Model, batch: Batch) -> float:
    """log of the sum of |weight * gradient|."""
    pairs = zip(linear(network), gradients(network, batch), strict=True)
    return math.log(sum(float(np.abs(a.weight.data * g).sum()) for a, g in pairs))


def zico(network: kj.Model, batch: Batch) -> float:
    """Sum over layers of log of the sum of mean |gradient| / its deviation."""
    size = len(batch.images) // PARTS
    parts = [slice(i * size, (i + 1) * size) for i in range(PARTS)]
    each = [
        gradients(network, Batch(batch.images[part], batch.labels[part]))
        for part in parts
    ]
    total = 0.0
    for layer in zip(*each, strict=True):
        stacked = np.stack(layer)
        mean, deviation = np.abs(stacked).mean(axis=0), stacked.std(axis=0)
        varies = deviation > 0
        total += math.log(float((mean[varies] / deviation[varies]).sum()) + TINY)
    return total


def synflow(network: kj.Model, batch: Batch) -> float:
    """log of the sum of weight * gradient, weights being |weight| and inputs ones."""
    layers = linear(network)
    for layer in layers:
        layer.weight.data, layer.weight.grad = np.abs(layer.weight.data), None
    ones = np.ones((1, *network.shapes[0]), np.float32)
    *_, y = outputs(network, ones, begin=1, track=False)
    y.sum().backward()
    flows = (
        np.abs(layer.weight.data * np.asarray(layer.weight.grad, np.float64)).sum()
        for layer in layers
    )
    return math.log(float(sum(flows)))


def entropy(network: kj.Model, batch: Batch) -> float:
    """log of the values before the head, times the sum of log of inputs of a neuron."""
    shapes = dict(zip((layer.name for layer in network.layers), network.shapes,
                      strict=True))  # fmt: skip
    convolutions = linear(network)[:-1]
    fans = [layer.weight.data.size / shapes[layer.name][-1] for layer in convolutions]
    return math.log(math.prod(shapes[convolutions[-1].name])) * sum(map(math.log, fans))


def depth(network: kj.Model, batch: Batch) -> float:
    """Layers with weights."""
    return float(len(linear(network)))


def activations(network: kj.Model, batch: Batch) -> float:
    """Values that all layers give."""
    return float(sum(map(math.prod, network.shapes)))


Score = Callable[[kj.Model, Batch], float]

SCORES: dict[str, Score] = {
    "MACs x weights": lambda network, _: proxy.score(network),
    "MACs": lambda network, _: proxy.macs(network),
    "weights": lambda network, _: proxy.weights(network),
    "activations": activations,
    "depth": depth,
    "entropy": entropy,
    "naswot": naswot,
    "gradient norm": gradient_norm,
    "snip": snip,
    "zico": zico,
    "synflow": synflow,
}
