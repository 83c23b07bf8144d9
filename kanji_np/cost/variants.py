"""Networks that differ from another in one thing: what the others would cost.

A network is taken apart into `Part`s, which are put together again after a change:
fewer channels, a stride, other kinds of layers. The weights of what comes out are
arbitrary, and batch normalization is left out, which costs nothing on the device: the
network is there to be costed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.design import Design
from kanji_np.errors import KanjiError
from kanji_np.layers import Input, drawn, make_layer
from kanji_np.model import Model, assembled
from kanji_np.ops import OPS, Op
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.quantize import INPUT_SCALE
from kanji_np.types import QParams, Shape

#: The attribute that is a layer's number of output channels.
CHANNELS = {"conv1d": "filters", "conv2d": "filters", "dense": "units"}
STRIDED = ("conv1d", "conv2d", "depthwise_conv2d")


@dataclass(frozen=True)
class Part:
    """A layer of a network: what `make_layer` makes it from, and what it reads.

    `inputs` are tensors as `Node.inputs` numbers them. `covers_image` is of pooling
    whose one window is the whole image, and stays so.
    """

    op: Op
    attrs: Any
    name: str
    constants: Any
    inputs: tuple[int, ...]
    covers_image: bool

    @property
    def channels(self) -> int | None:
        """How many output channels the layer was given; None: as many as it reads."""
        field = CHANNELS.get(self.op.name)
        return None if field is None else int(getattr(self.attrs, field))

    def with_channels(self, count: int) -> Part:
        return self.changed(**{CHANNELS[self.op.name]: count})

    def changed(self, **attributes: Any) -> Part:
        """The same layer with other attributes; OptionError if it has none such."""
        return replace(self, attrs=replace(self.attrs, **attributes))


@dataclass(frozen=True)
class Parts:
    """A network taken apart; `network` says all but the layers and the input."""

    network: Model
    input_shape: Shape
    layers: tuple[Part, ...]

    @classmethod
    def of(cls, network: Model) -> Parts:
        """The parts of a network."""
        shapes = (network.input.shape, *network.shapes)
        layers = tuple(
            Part(
                op=layer.op,
                attrs=layer.attrs,
                name=layer.name,
                constants=layer.constants,
                inputs=tuple(wires),
                covers_image=isinstance(layer.attrs, Pool2DAttrs)
                and layer.attrs.pool_size == shapes[wires[0]][:2],
            )
            for layer, wires in zip(network.layers, network.wiring, strict=True)
        )
        return cls(network, network.input.shape, layers)

    def built(self) -> Model | None:
        """The network of these parts, with arbitrary weights; None if it cannot be one,
        or has other outputs."""
        try:
            network = self._built()
        except KanjiError:
            return None
        same = network.output_shape == self.network.output_shape
        return network if same else None

    def _built(self) -> Model:
        values, shapes = [Input(self.input_shape)], [self.input_shape]
        for part in self.layers:
            if part.covers_image:
                window = shapes[part.inputs[0]][:2]
                part = part.changed(pool_size=window, strides=window)
            layer = make_layer(part.op, part.attrs, part.name, part.constants)
            values.append(layer(*(values[k] for k in part.inputs)))
            read = tuple(shapes[k] for k in part.inputs)
            shapes.append(part.op.infer(part.attrs, read))
        like = self.network
        return assembled(
            Design(
                inputs=values[0],
                outputs=values[-1],
                target=like.target,
                scheme=like.quantization.scheme.name,
                ranges=like.quantization.ranges,
                start=drawn(np.random.default_rng(0)),
                name=like.name,
                input=like.input.qparams or QParams(INPUT_SCALE),
                input_range=like.input_range,
            )
        )

    def with_part(self, i: int, part: Part) -> Parts:
        """The same with another layer in place of the i-th."""
        layers = (*self.layers[:i], part, *self.layers[i + 1 :])
        return replace(self, layers=layers)

    def with_channels(self, i: int, count: int) -> Parts:
        """The same with so many output channels in the i-th layer."""
        return self.with_part(i, self.layers[i].with_channels(count))

    def scaled(self, numerator: int, denominator: int) -> Parts:
        """Every layer so much narrower, but those that give the outputs."""
        kept = set(self.givers(len(self.layers)))
        layers = [
            part
            if part.channels is None or i in kept
            else part.with_channels(max(1, part.channels * numerator // denominator))
            for i, part in enumerate(self.layers)
        ]
        return replace(self, layers=tuple(layers))

    def strided(self, i: int) -> Parts:
        """The same with a stride of 2 in the i-th layer."""
        part = self.layers[i]
        stride = 2 if part.op.name == "conv1d" else (2, 2)
        return self.with_part(i, part.changed(stride=stride))

    def separable(self, i: int) -> Parts:
        """A depthwise and a 1x1 convolution in place of the i-th layer, a Conv2D."""
        part = self.layers[i]
        assert isinstance(part.attrs, Conv2DAttrs)
        kept = ("kernel", "stride", "dilation", "padding")
        depthwise = replace(
            part,
            op=OPS["depthwise_conv2d"],
            attrs=DepthwiseConv2DAttrs(**{k: getattr(part.attrs, k) for k in kept}),
            name=f"{part.name}_depthwise",
        )
        pointwise = part.changed(
            kernel=(1, 1), stride=(1, 1), dilation=(1, 1), padding="valid"
        )
        # The depthwise layer gives tensor i + 1, and the numbers after it move up.
        moved = [
            replace(p, inputs=tuple(k + (k > i) for k in p.inputs))
            for p in self.layers[i + 1 :]
        ]
        between = (depthwise, replace(pointwise, inputs=(i + 1,)))
        return replace(self, layers=(*self.layers[:i], *between, *moved))

    def with_int4_weights(self) -> Parts:
        """Weights of 4 bits wherever `Model.with_quantization` would narrow them."""
        return replace(self, layers=tuple(map(_narrowed, self.layers)))

    def with_input(self, shape: Shape) -> Parts:
        """The same for an input of another shape."""
        return replace(self, input_shape=shape)

    def givers(self, tensor: int) -> Iterator[int]:
        """The layers, by index, that give a tensor its number of channels."""
        if tensor == 0:
            return
        part = self.layers[tensor - 1]
        if part.channels is not None:
            yield tensor - 1
            return
        for k in part.inputs:
            yield from self.givers(k)

    def before(self, tensor: int) -> set[int]:
        """The layers, by index, that a tensor depends on."""
        found: set[int] = set()
        pending = [tensor]
        while pending:
            i = pending.pop() - 1
            if i >= 0 and i not in found:
                found.add(i)
                pending += self.layers[i].inputs
        return found


def may_be_strided(part: Part) -> bool:
    """Whether a layer has strides, and they are all 1."""
    return part.op.name in STRIDED and part.attrs.stride in (1, (1, 1))


def may_be_separable(part: Part) -> bool:
    """Whether a depthwise and a 1x1 convolution could take a layer's place."""
    attrs = part.attrs
    is_plain = isinstance(attrs, Conv2DAttrs) and attrs.groups == 1
    return is_plain and attrs.kernel != (1, 1)


def narrower(channels: int) -> Sequence[int]:
    """Fewer channels than so many, but no less than an eighth, falling.

    Of eight or more they are multiples of four, which kernels like best.
    """
    step = 4 if channels >= 8 else 1
    least = max(step, -(-channels // 8))
    most = (channels - 1) // step * step
    return range(most, least - 1, -step)


def _narrowed(part: Part) -> Part:
    weights = part.op.weights
    if weights is None or weights.keeps_bits or not hasattr(part.attrs, "weight_bits"):
        return part
    return part.changed(weight_bits=4)
