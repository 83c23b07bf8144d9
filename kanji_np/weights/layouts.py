"""How frameworks name weights, and how they order the axes.

Our own layout is that of `LinearParams`, output channels first, under names such as
"conv1/weight". Others keep the same numbers under other names and along other axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kanji_np.layers import LinearLayer
from kanji_np.types import Shape

OURS = "kanji"


def _own_shape(layer: LinearLayer) -> Shape:
    return layer.weight.shape


def _one_input_channel(layer: LinearLayer) -> Shape:
    return (*layer.weight.shape, 1)  # (Cout,KH,KW) -> (Cout,KH,KW,1)


def _by_input_channel(layer: LinearLayer) -> Shape:
    outputs, *window = layer.weight.shape
    each = layer.attrs.depth_multiplier
    return (outputs // each, each, *window)  # (Cout,KH,KW) -> (Cin,M,KH,KW)


@dataclass(frozen=True)
class Kernel:
    """How a framework keeps the weight of an operator.

    Parameters
    ----------
    axes : tuple of int
        ``theirs.transpose(axes)`` has the shape `view` and the order of ours.
    view : (layer) -> shape
        Of our weight, with as many axes as theirs has.
    """

    axes: tuple[int, ...]
    view: Callable[[LinearLayer], Shape] = _own_shape

    def shape(self, layer: LinearLayer) -> Shape:
        """The shape that theirs has for a layer."""
        lengths = dict(zip(self.axes, self.view(layer), strict=True))
        return tuple(lengths[axis] for axis in range(len(lengths)))

    def ours(self, theirs: np.ndarray, layer: LinearLayer) -> np.ndarray:
        """Their weight in our layout."""
        return theirs.transpose(self.axes).reshape(layer.weight.shape)


@dataclass(frozen=True)
class Layout:
    """What a framework calls the arrays of a network, and how it orders their axes.

    Parameters
    ----------
    title : str
        The framework, in messages.
    separator : str
        Between the name of a module and that of its array.
    linear, norm : mapping of str to str
        The arrays of a module with weights, and of a batch normalization: its names to
        ours.
    mark : str
        The array that tells a batch normalization from a module with weights.
    ignored : tuple of str
        Arrays that do not matter to what a network computes.
    kernels : mapping of str to Kernel
        By the name of our operator.
    epsilon : float
        What batch normalization adds to variances by default.
    channels_first : bool
        Whether images are (C,H,W), and flattened so.
    """

    title: str
    separator: str
    linear: Mapping[str, str]
    norm: Mapping[str, str]
    mark: str
    kernels: Mapping[str, Kernel]
    epsilon: float
    ignored: tuple[str, ...] = ()
    channels_first: bool = False


#: The layouts that are read beside our own.
LAYOUTS: dict[str, Layout] = {
    "torch": Layout(
        title="PyTorch",
        separator=".",
        linear={"weight": "weight", "bias": "bias"},
        norm={
            "weight": "gamma",
            "bias": "beta",
            "running_mean": "moving_mean",
            "running_var": "moving_var",
        },
        mark="running_mean",
        kernels={
            "conv2d": Kernel((0, 2, 3, 1)),  # (Cout,Cin,KH,KW)
            "conv1d": Kernel((0, 2, 1)),  # (Cout,Cin,K)
            "depthwise_conv2d": Kernel((0, 2, 3, 1), _one_input_channel),
            "transpose_conv2d": Kernel((1, 2, 3, 0)),  # (Cin,Cout,KH,KW)
            "dense": Kernel((0, 1)),  # (Cout,Cin)
        },
        epsilon=1e-5,
        ignored=("num_batches_tracked",),
        channels_first=True,
    ),
    "keras": Layout(
        title="Keras",
        separator="/",
        linear={"kernel": "weight", "depthwise_kernel": "weight", "bias": "bias"},
        norm={
            "gamma": "gamma",
            "beta": "beta",
            "moving_mean": "moving_mean",
            "moving_variance": "moving_var",
        },
        mark="moving_mean",
        kernels={
            "conv2d": Kernel((3, 0, 1, 2)),  # (KH,KW,Cin,Cout)
            "conv1d": Kernel((2, 0, 1)),  # (K,Cin,Cout)
            "depthwise_conv2d": Kernel((2, 3, 0, 1), _by_input_channel),
            "transpose_conv2d": Kernel((2, 0, 1, 3)),  # (KH,KW,Cout,Cin)
            "dense": Kernel((1, 0)),  # (Cin,Cout)
        },
        epsilon=1e-3,
    ),
}
