"""In which order a network of images (C,H,W) has the elements of its vectors.

Networks here flatten images (H,W,C), so an element of a vector stands elsewhere in a
network that flattens (C,H,W), and so do the columns of a dense layer that reads it. The
same holds of a vector that is shaped into an image, and the rows of the dense layer
that gives it. `orders` follows every vector through a network.

An order is None where both networks have the same, else int64 (K,): for each element
here, its index there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from kanji_np.errors import OptionError
from kanji_np.layers import LinearLayer
from kanji_np.network import Network
from kanji_np.types import Shape

Order: TypeAlias = "np.ndarray | None"
RESHAPES = ("flatten", "reshape")


@dataclass(frozen=True)
class Orders:
    """Of a layer's inputs and outputs."""

    columns: Order = None
    rows: Order = None


def orders(net: Network) -> dict[str, Orders]:
    """Of each layer with weights that reads vectors, by its name.

    Raises
    ------
    OptionError
        A layer does with a vector what the order there cannot be told of.
    """
    shapes = [net.input.shape, *net.shapes]
    wanted = _wanted(net, shapes)
    order: list[Order] = [None]
    found = {}
    for i, (layer, wires) in enumerate(zip(net.layers, net.wiring, strict=True)):
        xs, shape = [(shapes[k], order[k]) for k in wires], shapes[i + 1]
        known: Order = None
        if isinstance(layer, LinearLayer):
            if len(shape) == 1:
                known = wanted.get(i + 1)
                found[layer.name] = Orders(xs[0][1], known)
        elif layer.op.name in RESHAPES:
            known = _reshaped(layer.name, *xs[0], shape)
        elif layer.op.name == "transpose":
            raise _unknown(layer.name)
        elif layer.op.name == "concatenate" and len(shape) == 1:
            known = _joined(xs)
        elif any(each is not None for _, each in xs):
            known = _kept(layer.name, xs, shape)
        order.append(known)
    return found


def flattened(shape: Shape) -> Order:
    """The order of what an image, channels last, is flattened to."""
    *cells, channels = shape
    if channels == 1 or math.prod(cells) == 1:
        return None
    there = np.arange(math.prod(shape)).reshape(channels, *cells)
    return np.moveaxis(there, 0, -1).ravel()  # (C,H,W) -> (H,W,C) -> (K,)


def _wanted(net: Network, shapes: list[Shape]) -> dict[int, Order]:
    """The orders of vectors that become images, also before what leaves their shape."""
    wanted: dict[int, Order] = {}
    for i in reversed(range(len(net.layers))):
        layer, wires = net.layers[i], net.wiring[i]
        shape = shapes[i + 1]
        if len(shapes[wires[0]]) != 1 or isinstance(layer, LinearLayer):
            continue
        if layer.op.name in RESHAPES and len(shape) > 1:
            wanted[wires[0]] = flattened(shape)
        elif i + 1 in wanted:
            wanted |= {k: wanted[i + 1] for k in wires if shapes[k] == shape}
    return wanted


def _reshaped(name: str, x: Shape, order: Order, y: Shape) -> Order:
    """Of a vector from a vector or an image; OptionError of an image that is another
    one there."""
    here = order if len(x) == 1 else flattened(x)
    if len(y) == 1:
        return here
    keeps_channels = len(x) > 1 and x[-1] == y[-1]
    if not keeps_channels and not _same(here, flattened(y)):
        raise _unknown(name)
    return None


def _joined(xs: list[tuple[Shape, Order]]) -> Order:
    """Of vectors one after the other."""
    if all(order is None for _, order in xs):
        return None
    parts, begin = [], 0
    for (length,), order in xs:
        parts.append(begin + (np.arange(length) if order is None else order))
        begin += length
    return np.concatenate(parts)


def _kept(name: str, xs: list[tuple[Shape, Order]], y: Shape) -> Order:
    """Of a vector made element by element."""
    whole = [order for shape, order in xs if shape == y]
    others = [shape for shape, _ in xs if shape not in (y, (1,))]
    if not whole or others or not all(_same(whole[0], each) for each in whole):
        raise _unknown(name)
    return whole[0]


def _same(one: Order, other: Order) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _unknown(name: str) -> OptionError:
    return OptionError(
        f"layer {name!r}: in which order a network with channels first has these "
        "values cannot be told; bring its weights to the layout 'kanji' first"
    )
