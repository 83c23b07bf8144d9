"""Networks as ONNX files in QDQ form, for onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.errors import UnsupportedOp
from kanji_np.formats.files import naming
from kanji_np.formats.onnx.draft import BATCH, START, Draft
from kanji_np.formats.onnx.lowering import TABLE, file_shape
from kanji_np.formats.saved import SavedNetwork, meaning
from kanji_np.graph import Graph, Node
from kanji_np.types import TensorSpec

if TYPE_CHECKING:
    from kanji_np.model import Model


def write(network: Model | Graph, path: str | Path) -> SavedNetwork:
    """See `formats.save.save_onnx`."""
    outputs.check(path, _is_ours, "an ONNX file that this program wrote")
    graph = network if isinstance(network, Graph) else network.freeze()
    draft = drafted(graph)
    data = packed(draft, graph)
    outputs.write(path, data)
    return SavedNetwork(
        Path(path),
        len(data),
        _text(graph.input, "pixels" if graph.input.qparams is None else "real values"),
        _text(graph.output, "real values"),
        (ROUNDED,) if draft.rounds_scales else (),
    )


ROUNDED = (
    "scales are float32 in the file: the network that is read from it may answer "
    "otherwise in single bytes"
)


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(START)) == START


def _text(spec: TensorSpec, what: str) -> str:
    sizes = ", ".join(map(str, (BATCH, *file_shape(spec.shape))))
    return f"float32 ({sizes}), {what}"


def to_onnx(graph: Graph) -> bytes:
    """The file of a frozen network."""
    return packed(drafted(graph), graph)


def drafted(graph: Graph) -> Draft:
    """Its nodes and constants.

    Raises
    ------
    UnsupportedOp
        A layer has no counterpart; the message names it.
    """
    draft, last = Draft(), graph.nodes[-1]
    x = "input"
    if graph.input.qparams is not None:
        x = draft.quantized(x, "input.int8", "input.int8/value", graph.input.qparams)
    values = [x]
    for node in graph.nodes:
        with naming(f"layer {node.name!r}"):
            y = _lowered(draft, graph, node, values)
        # Layers are called by identifiers, so no other tensor has this name.
        name = "output" if node is last else f"{node.name}/value"
        values.append(draft.quantized(y, node.name, name, meaning(node.output)))
    return draft


def packed(draft: Draft, graph: Graph) -> bytes:
    """The file of what was drafted."""
    return draft.packed(
        graph.name,
        ("input", file_shape(graph.input.shape)),
        ("output", file_shape(graph.output.shape)),
    )


def _lowered(draft: Draft, graph: Graph, node: Node, values: Sequence[str]) -> str:
    """The real output of a node."""
    if node.op not in TABLE:
        raise UnsupportedOp(f"ONNX has no counterpart of {node.op}")
    xs = tuple(values[i] for i in node.inputs)
    specs = tuple(graph.tensors[i] for i in node.inputs)
    return TABLE[node.op](draft, node, xs, specs)
