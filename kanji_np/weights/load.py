"""Arrays of any layout into a network, or nothing at all.

Every array has its place, and every place its array, before the first is put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from kanji_np.checks import listed, number, one_of, shown
from kanji_np.errors import DataError, OptionError, ShapeError, UnsupportedOp
from kanji_np.layers import EPSILON, LinearLayer
from kanji_np.network import Network
from kanji_np.quantize import LARGEST, by_output
from kanji_np.types import Shape
from kanji_np.weights.layouts import LAYOUTS, OURS, Layout
from kanji_np.weights.orders import Orders, orders

#: Of each layer the module it is loaded from, with the batch normalization behind it.
Names: TypeAlias = Mapping[str, str | Sequence[str]]
Weights: TypeAlias = Mapping[str, ArrayLike]
Arrays: TypeAlias = dict[str, np.ndarray]
#: Of each key the layer that takes the array, and the shape it must have.
Places: TypeAlias = dict[str, tuple[LinearLayer, Shape]]


def weights_of(net: Network) -> Arrays:
    """See `Model.weights`."""
    return {
        f"{layer.name}/{kind}": np.array(array)
        for layer in _linear(net)
        for kind, array in layer.weights().items()
    }


def load_weights(
    net: Network,
    weights: Weights,
    layout: str,
    names: Names | None,
    epsilon: float | None,
) -> dict[str, str]:
    """See `Model.load_weights`."""
    if not isinstance(weights, Mapping):
        raise OptionError(f"weights are arrays by name, got {shown(weights)}")
    for name in weights:
        if not isinstance(name, str):
            raise OptionError(f"weights have names of text, got {shown(name)}")
    if names is not None:
        _check_names(names, [layer.name for layer in _linear(net)])
    if epsilon is not None:
        epsilon = number("epsilon", epsilon, 0.0, LARGEST)
    if one_of("layout", layout, (OURS, *LAYOUTS)) == OURS:
        taken, new = _of_ours(net, weights, names, epsilon)
    else:
        taken, new = _of_theirs(net, LAYOUTS[layout], weights, names, epsilon)
    for layer, arrays in new.items():
        layer.load_weights(arrays)
    for each in net.layers:
        each.forget_ranges()
    return taken


def _linear(net: Network) -> list[LinearLayer]:
    return [layer for layer in net.layers if isinstance(layer, LinearLayer)]


def _check_names(names: Any, layers: Sequence[str]) -> None:
    """OptionError unless each layer has one name, or two."""
    if not isinstance(names, Mapping):
        raise OptionError(f"names has modules by the layer's name, got {shown(names)}")
    _refuse("names lacks the layer", [layer for layer in layers if layer not in names])
    _refuse("names has the unknown layer", [x for x in names if x not in layers])
    for layer, said in names.items():
        modules = [said] if isinstance(said, str) else said
        is_list = isinstance(modules, Sequence) and len(modules) in (1, 2)
        if not is_list or not all(isinstance(each, str) for each in modules):
            raise OptionError(
                f"names[{layer!r}] must be the name of a module, or of it and of its "
                f"batch normalization, got {shown(said)}"
            )


# ---------------------------------------------------------------------- our layout


def _of_ours(
    net: Network, weights: Weights, names: Names | None, epsilon: float | None
) -> tuple[dict[str, str], dict[LinearLayer, Arrays]]:
    """The key of each array, and the new arrays of each layer."""
    taken: dict[str, str] = {}
    wanted: Places = {}
    for layer in _linear(net):
        module = names[layer.name] if names is not None else layer.name
        if not isinstance(module, str):
            raise OptionError(
                f"names[{layer.name!r}] must be one name: a layer holds its batch "
                f"normalization here, got {shown(module)}"
            )
        shapes = {kind: array.shape for kind, array in layer.weights().items()}
        if layer.norm is not None:
            shapes["epsilon"] = ()
        for kind, shape in shapes.items():
            key = f"{module}/{kind}"
            if kind != "epsilon" or key in weights:
                taken[f"{layer.name}/{kind}"] = key
                wanted[key] = layer, shape
    _refuse("the weights lack", [key for key in wanted if key not in weights])
    _refuse("the weights have the unknown", [x for x in weights if x not in wanted])
    arrays = _read(weights, wanted)
    new = {}
    for layer in _linear(net):
        prefix = f"{layer.name}/"
        own = {
            ours.removeprefix(prefix): arrays[key]
            for ours, key in taken.items()
            if ours.startswith(prefix)
        }
        if layer.norm is not None:
            default = EPSILON if epsilon is None else epsilon
            own.setdefault("epsilon", np.asarray(default))
        new[layer] = own
    return taken, new


# -------------------------------------------------------------------- their layouts


@dataclass(frozen=True)
class Module:
    """A module of a mapping: its name, and the key of each of its arrays by our name
    of it."""

    name: str
    keys: dict[str, str]


@dataclass(frozen=True)
class Source:
    """What a layer is loaded from."""

    linear: Module
    norm: Module | None

    @property
    def keys(self) -> dict[str, str]:
        """The key of each array; the bias that a normalization moves is "moved"."""
        if self.norm is None:
            return self.linear.keys
        moved = {"bias": "moved"}
        own = {moved.get(kind, kind): key for kind, key in self.linear.keys.items()}
        return own | self.norm.keys


def _of_theirs(
    net: Network,
    layout: Layout,
    weights: Weights,
    names: Names | None,
    epsilon: float | None,
) -> tuple[dict[str, str], dict[LinearLayer, Arrays]]:
    """The key of each array, and the new arrays of each layer."""
    sources = _sources(_linear(net), layout, weights, names)
    wanted: Places = {}
    for layer, source in sources.items():
        shapes = {"weight": layout.kernels[layer.op.name].shape(layer)}
        for kind, key in source.keys.items():
            wanted[key] = layer, shapes.get(kind, layer.bias.shape)
    arrays = _read(weights, wanted)
    order = orders(net) if layout.channels_first else {}
    eps = layout.epsilon if epsilon is None else epsilon
    new = {}
    for layer, source in sources.items():
        own = {kind: arrays[key] for kind, key in source.keys.items()}
        own["weight"] = layout.kernels[layer.op.name].ours(own["weight"], layer)
        own = _complete(own, source, layer, eps)
        new[layer] = _arranged(own, order.get(layer.name, Orders()))
    taken = {
        f"{layer.name}/{kind}": key
        for layer, source in sources.items()
        for module in (source.linear, source.norm)
        if module is not None
        for kind, key in module.keys.items()
    }
    return taken, new


def _sources(
    layers: Sequence[LinearLayer], layout: Layout, weights: Weights, names: Names | None
) -> dict[LinearLayer, Source]:
    """What each layer is loaded from."""
    for layer in layers:
        if layer.op.name not in layout.kernels:
            raise UnsupportedOp(
                f"layer {layer.name!r}: how {layout.title} keeps the weights of "
                f"{layer.op.name} is not known"
            )
    linear, norms = _modules(weights, layout)
    if names is not None:
        return _by_name(layers, linear, norms, names)
    return _in_order(layers, list(linear.values()), list(norms.values()))


def _modules(
    weights: Weights, layout: Layout
) -> tuple[dict[str, Module], dict[str, Module]]:
    """Modules with weights, and batch normalizations, in the order of the mapping."""
    found: dict[str, dict[str, str]] = {}
    for key in weights:
        # Keras numbers its variables, "conv2d/kernel:0".
        name, _, kind = key.partition(":")[0].rpartition(layout.separator)
        if kind not in layout.ignored:
            found.setdefault(name, {})[kind] = key
    linear: dict[str, Module] = {}
    norms: dict[str, Module] = {}
    unknown: list[str] = []
    for name, keys in found.items():
        is_norm = layout.mark in keys
        known = layout.norm if is_norm else layout.linear
        module = Module(name, {known[k]: key for k, key in keys.items() if k in known})
        needed = "moving_var" if is_norm else "weight"
        if len(module.keys) < len(keys) or needed not in module.keys:
            unknown += keys.values()
        (norms if is_norm else linear)[name] = module
    _refuse(
        f"not the weights of a convolution, a dense layer or a batch normalization of "
        f"{layout.title}:", unknown,
    )  # fmt: skip
    return linear, norms


def _by_name(
    layers: Sequence[LinearLayer],
    linear: Mapping[str, Module],
    norms: Mapping[str, Module],
    names: Names,
) -> dict[LinearLayer, Source]:
    """Each layer is loaded from the module that is named, and each module is used."""
    sources = {}
    said = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in names.items()}
    used = {name for modules in said.values() for name in modules}
    lacking = [modules[0] for modules in said.values() if modules[0] not in linear]
    lacking += [x for modules in said.values() for x in modules[1:] if x not in norms]
    _refuse("the weights lack the module", lacking)
    _refuse(
        "names leaves out the module", [x for x in (*linear, *norms) if x not in used]
    )
    for layer in layers:
        module, *norm = said[layer.name]
        sources[layer] = Source(linear[module], norms[norm[0]] if norm else None)
    return sources


def _in_order(
    layers: Sequence[LinearLayer], linear: Sequence[Module], norms: Sequence[Module]
) -> dict[LinearLayer, Source]:
    """The first layer is loaded from the first module, and so on."""
    normalized = [layer for layer in layers if layer.norm is not None]
    for what, own, modules in (
        ("layers with weights", layers, linear),
        ("batch normalizations", normalized, norms),
    ):
        if len(own) != len(modules):
            raise OptionError(
                f"the network has {len(own)} {what}: {listed(x.name for x in own)}; "
                f"the weights have {len(modules)}: {listed(x.name for x in modules)}. "
                "Say with names= which layer has which"
            )
    norm_of = dict(zip(normalized, norms, strict=True))
    pairs = zip(layers, linear, strict=True)
    return {layer: Source(module, norm_of.get(layer)) for layer, module in pairs}


def _complete(
    arrays: Arrays, source: Source, layer: LinearLayer, epsilon: float
) -> Arrays:
    """What a layer has, of what modules have: batch normalization is folded where the
    layer has none, and arrays that modules do without are those that do nothing."""
    channels = layer.bias.shape
    zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    if source.norm is None:
        if layer.norm is not None:
            raise OptionError(
                f"layer {layer.name!r} is normalized: say with names= which batch "
                f"normalization is behind {source.linear.name!r}"
            )
        return {"bias": zeros} | arrays
    arrays = {"gamma": ones, "beta": zeros, "moved": zeros} | arrays
    # A normalized layer has no bias: it only moves the mean.
    arrays["moving_mean"] = arrays["moving_mean"] - arrays.pop("moved")
    if layer.norm is not None:
        return arrays | {"epsilon": np.asarray(epsilon)}
    k = arrays["gamma"] / np.sqrt(arrays["moving_var"].astype(np.float64) + epsilon)
    return {
        "weight": (arrays["weight"] * by_output(k, arrays["weight"])).astype(
            np.float32
        ),
        "bias": (arrays["beta"] - k * arrays["moving_mean"]).astype(np.float32),
    }


def _arranged(arrays: Arrays, order: Orders) -> Arrays:
    """The arrays in the order that inputs and outputs have here."""
    if order.columns is not None:
        arrays = arrays | {"weight": arrays["weight"][:, order.columns]}
    if order.rows is not None:
        arrays = {k: a[order.rows] if a.ndim else a for k, a in arrays.items()}
    return arrays


# -------------------------------------------------------------------------- arrays


def _read(weights: Weights, wanted: Places) -> Arrays:
    """The arrays under some keys, copied as float32, single numbers as float64.

    Raises
    ------
    ShapeError
        Some have other shapes.
    DataError
        One is not made of finite numbers, or holds a negative variance.
    """
    arrays = {key: _array(key, weights[key]) for key in wanted}
    wrong = [
        f"{key} must have shape {shape} for {layer.name}, got {arrays[key].shape}"
        for key, (layer, shape) in wanted.items()
        if arrays[key].shape != shape
    ]
    if wrong:
        raise ShapeError(listed(wrong, "; "))
    for key, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise DataError(f"{key} must be of numbers, got {array.dtype}")
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(np.float32 if array.ndim else np.float64)
        if not np.isfinite(array).all():
            raise DataError(f"{key} holds values that are not finite in float32")
        arrays[key] = array
        is_variance = key.partition(":")[0].endswith(("_var", "_variance", "epsilon"))
        if is_variance and (array < 0).any():
            raise DataError(f"{key} must not be negative")
    return arrays


def _array(key: str, value: Any) -> np.ndarray:
    """An array of NumPy, or of a library whose arrays NumPy can read."""
    for step in ("detach", "cpu"):  # a tensor of PyTorch may be on a tape or a GPU
        value = getattr(value, step, lambda same=value: same)()
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())
        raise DataError(f"{key} cannot be read as an array: {text}") from None


def _refuse(what: str, names: Sequence[str]) -> None:
    """OptionError that lists names, if there are any."""
    if names:
        raise OptionError(f"{what} {listed(names)}")
