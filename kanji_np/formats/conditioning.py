"""Image networks from elsewhere, written so that they train well.

A network that takes pixels of 0 to 255 has small weights in its first layer and large
gradients there: a learning rate that suits all other layers makes it diverge. With the
pixels divided by 2^k and these weights times 2^k the network is the same one, bit for
bit in float32 and in int8, and its gradients are of the size of the others'.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kanji_np.layers import LinearLayer
from kanji_np.model import Model
from kanji_np.ops.rescaling import RescalingAttrs

LARGEST_PIXEL = 255
# Of what the image layer gives: about that of a normalized image.
LARGEST_VALUE = 2.0


def condition(net: Model) -> int:
    """Divide what an image layer gives by a power of two, in place.

    Parameters
    ----------
    net : Model
        Its first layer is `Rescaling`, and only layers with weights read its output;
        otherwise it stays as it is.

    Returns
    -------
    int
        The power k, 0 of a network that stays as it is.
    """
    first, readers = net.layers[0], []
    for layer, wires in zip(net.layers, net.wiring, strict=True):
        if 1 in wires:
            readers.append(layer)
    if not isinstance(first.attrs, RescalingAttrs):
        return 0
    if not all(isinstance(r, LinearLayer) and r.norm is None for r in readers):
        return 0
    ends = first.attrs.of(np.array([[0.0], [LARGEST_PIXEL]]))
    largest = float(np.abs(ends).max())
    power = math.ceil(math.log2(largest / LARGEST_VALUE)) if largest else 0
    if power <= 0:
        return 0
    factor, attrs = 2.0**power, first.attrs
    scale = attrs.output_scale
    first.attrs = replace(
        attrs,
        scale=tuple(each / factor for each in attrs.scale),
        offset=tuple(each / factor for each in attrs.offset),
        output_scale=None if scale is None else scale / factor,
    )
    for reader in readers:
        assert isinstance(reader, LinearLayer)
        reader.scale_weight(factor)
    return power
