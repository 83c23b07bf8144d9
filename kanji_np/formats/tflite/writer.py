"""Networks as int8 `.tflite` files, for TensorFlow Lite Micro and LiteRT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.formats.files import naming
from kanji_np.formats.saved import SavedNetwork, meaning
from kanji_np.formats.source import SourceNet, SourceTensor
from kanji_np.formats.tflite.draft import Draft
from kanji_np.formats.tflite.flatbuffer import pack
from kanji_np.formats.tflite.lowering import (
    IMAGES,
    TABLE,
    Lower,
    wanted_shapes,
)
from kanji_np.formats.tflite.reader import IDENTIFIER
from kanji_np.graph import Graph, Node
from kanji_np.targets import generates_c
from kanji_np.types import TensorSpec

if TYPE_CHECKING:
    from kanji_np.model import Model

# Stands in the description of every file that is written.
MAKER = "written by kanji_np"


def write(network: Model | Graph, path: str | Path) -> SavedNetwork:
    """See `formats.save.save_tflite`."""
    outputs.check(path, _is_ours, "a .tflite file that this program wrote")
    graph, notes = _frozen(network)
    net, started = to_source(graph)
    data = pack(net, f"{graph.name}, for {graph.target.library}, {MAKER}")
    outputs.write(path, data)
    (x,), (y,) = net.inputs, net.outputs
    return SavedNetwork(
        Path(path),
        len(data),
        tensor_text(net.tensors[x]),
        tensor_text(net.tensors[y]),
        (*notes, *started),
    )


def _is_ours(path: Path) -> bool:
    data = path.read_bytes()
    return data[4:8] == IDENTIFIER and MAKER.encode() in data


def _frozen(network: Model | Graph) -> tuple[Graph, tuple[str, ...]]:
    """The integers of a runtime, and what there is to say of them."""
    if not generates_c(network.target):
        return network if isinstance(network, Graph) else network.freeze(), ()
    if isinstance(network, Graph):
        raise OptionError(
            f"a graph for {network.target.library} has the integers of another library "
            'than a .tflite: freeze net.for_target("tflm"), or give the network itself'
        )
    note = (
        f"the network is for {network.target.library}, and runtimes round in other "
        'ways: net.for_target("tflm") answers as TFLite Micro does'
    )
    return network.for_target("tflm").freeze(), (note,)


def tensor_text(tensor: SourceTensor) -> str:
    """A tensor as people read it: "int8 (1, 10), 0.0625 * (q + 128)"."""
    text = f"{tensor.dtype} {tensor.shape}"
    if tensor.quantization is None:
        return text
    (scale,), (zero,) = tensor.quantization.scales, tensor.quantization.zero_points
    integer = f"(q {'-' if zero > 0 else '+'} {abs(zero)})" if zero else "q"
    return f"{text}, real value {scale:.9g} * {integer}"


def to_source(graph: Graph) -> tuple[SourceNet, tuple[str, ...]]:
    """A frozen network as operators of TFLite.

    Parameters
    ----------
    graph : Graph
        For a runtime.

    Returns
    -------
    net : SourceNet
    notes : tuple of str
        What of the graph is left out.

    Raises
    ------
    UnsupportedOp
        A layer has no counterpart; the message names it.
    """
    draft, first = Draft(), graph.nodes[0]
    notes: tuple[str, ...] = ()
    values: dict[int, int] = {}
    image = (1, *graph.input.shape)
    said = IMAGES[first.op](draft, first, image) if first.op in IMAGES else None
    if said is not None:
        start, values[1] = said
    elif first.operator.reads_image:
        start = values[1] = _input(draft, first.output)
        notes = (
            f"TFLite cannot say {first.op} as it is here: the file takes the int8 "
            f"output of layer {first.name!r}",
        )
    else:
        start = values[0] = _input(draft, graph.input)
    for number, node in enumerate(graph.nodes, 1):
        if number not in values:
            with naming(f"layer {node.name!r}"):
                xs = _read(draft, graph, node, values)
                values[number] = _lower_of(node)(draft, node, xs)
    shape = (1, *graph.output.shape)
    end = draft.shaped(values[len(graph.nodes)], shape, "output")
    return draft.finished(start, end), notes


def _input(draft: Draft, spec: TensorSpec) -> int:
    return draft.tensor("input", (1, *spec.shape), meaning(spec))


def _lower_of(node: Node) -> Lower:
    if node.op not in TABLE:
        raise UnsupportedOp(f"TFLite has no counterpart of {node.op}")
    if node.operator.weight_bits(node.attrs) != 8:
        raise UnsupportedOp(
            "weights of 4 bits are not written: TFLite Micro would unpack them to int8 "
            "in its arena; take net.with_quantization(weight_bits=8)"
        )
    return TABLE[node.op]


def _read(
    draft: Draft, graph: Graph, node: Node, values: Mapping[int, int]
) -> tuple[int, ...]:
    """The inputs of a node, under the shapes that its operator wants."""
    shapes = wanted_shapes(node, tuple(graph.tensors[i].shape for i in node.inputs))
    xs = zip(node.inputs, shapes, strict=True)
    return tuple(
        values[i]
        if shape is None
        else draft.shaped(values[i], shape, f"{node.name}/input")
        for i, shape in xs
    )
