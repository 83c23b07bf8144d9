"""Networks as int8 `.tflite` files, for TensorFlow Lite Micro and LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.formats.saved import SavedNetwork, meaning, naming
from kanji_np.formats.source import SourceNet, SourceTensor
from kanji_np.formats.tflite.draft import Draft
from kanji_np.formats.tflite.flatbuffer import IDENTIFIER, pack
from kanji_np.formats.tflite.lowering import (
    IMAGES,
    TABLE,
    Lower,
    wanted_shape,
)
from kanji_np.graph import Graph, Node
from kanji_np.targets import generates_c
from kanji_np.types import TensorSpec

if TYPE_CHECKING:
    from kanji_np.model import Model


def save_tflite(network: Model | Graph, path: str | Path) -> SavedNetwork:
    """Write a network as an int8 `.tflite` file, for TFLite Micro and LiteRT.

    A file does not say how a runtime rounds. What the file answers is what the network
    answers whose target is that runtime, byte for byte: TFLite Micro answers
    ``network.for_target("tflm").predict(x)``, and LiteRT what "litert" or, as it runs
    by default, "xnnpack" does. A network for another target is frozen for "tflm" first;
    evaluate that to know what its accuracy will be.

    Parameters
    ----------
    network : Model or Graph
        A graph must be for a runtime: "tflm", "litert" or "xnnpack".
    path : path
        Of the file. An older one is replaced if it is a `.tflite` as well.

    Returns
    -------
    SavedNetwork
        What the file takes and gives; it prints as a few lines.

    Raises
    ------
    UnsupportedOp
        A layer has no counterpart in TFLite; the message says why.
    OptionError
        Something else than a `.tflite` is at `path`.
    ToolError
        The packages `tflite` and `flatbuffers` are not installed.

    Notes
    -----
    The input is what the network takes, with a batch of 1 in front: uint8 images, if
    the first layer is `Normalize`, which becomes integers of TFLite that give the same
    bytes. `Standardize` has no counterpart: the file then starts with the int8 output
    of that layer, and a note says so. The output is int8. LiteRT can resize the batch.

    The file is the same, byte for byte, for the same network.
    """
    outputs.check(path, _is_tflite, "a .tflite file")
    graph, notes = _frozen(network)
    net, started = to_source(graph)
    data = pack(net, f"{graph.name}, written by kanji_np for {graph.target.library}")
    outputs.write(path, data)
    (x,), (y,) = net.inputs, net.outputs
    return SavedNetwork(
        Path(path),
        len(data),
        tensor_text(net.tensors[x]),
        tensor_text(net.tensors[y]),
        (*notes, *started),
    )


def _is_tflite(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8)[4:] == IDENTIFIER


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
        f"the network is for {network.target.library}, which rounds in another way than "
        'a .tflite is computed: net.for_target("tflm") answers as TFLite Micro does'
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
    draft, first, notes = Draft(), graph.nodes[0], ()
    values: dict[int, int] = {}
    if first.op in IMAGES:
        start, values[1] = IMAGES[first.op](draft, first, (1, *graph.input.shape))
    elif first.operator.reads_image:
        start = values[1] = _input(draft, first.output)
        notes = (
            f"TFLite has no {first.op}: the file takes the int8 output of layer "
            f"{first.name!r}",
        )
    else:
        start = values[0] = _input(draft, graph.input)
    for number, node in enumerate(graph.nodes, 1):
        if number not in values:
            with naming(node):
                xs = (_read(draft, graph, node, i, values[i]) for i in node.inputs)
                values[number] = _lower_of(node)(draft, node, tuple(xs))
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


def _read(draft: Draft, graph: Graph, node: Node, number: int, value: int) -> int:
    """An input of a node, under the shape that its operator wants."""
    shape = wanted_shape(node, graph.tensors[number].shape)
    if shape is None:
        return value
    return draft.shaped(value, shape, f"{node.name}/input")
