"""From `SourceNet` to layers: the input, every operator in turn, the output."""

from __future__ import annotations

from dataclasses import dataclass

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.builder import Builder, Imported
from kanji_np.formats.files import naming
from kanji_np.formats.onnx.folding import FOLDS, MOST_FOLDED, Constant, fold
from kanji_np.formats.onnx.layout import View, view_of
from kanji_np.formats.onnx.net import STILL, Net
from kanji_np.formats.onnx.operators import OPERATORS
from kanji_np.formats.onnx.orientation import channels_last
from kanji_np.formats.onnx.quantized import qparams
from kanji_np.formats.source import SourceNet, SourceOp
from kanji_np.types import QParams


@dataclass(frozen=True)
class Converted:
    """A network, and which axes of a sample in the file its axes are.

    Parameters
    ----------
    imported : Imported
    inputs, outputs : tuple of int
        For each axis of ours, one of theirs, from 0 without the batch.
    """

    imported: Imported
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def convert(source: SourceNet, builder: Builder) -> Converted:
    """Make layers of the operators of a file.

    Parameters
    ----------
    source : SourceNet
    builder : Builder
        One that nothing is made with yet.
    """
    net = Net(source, builder)
    for op in source.ops:
        _fold(net, op)
    inputs = _input(net)
    for op in source.ops:
        if op.outputs[0] in net.done or op.outputs[0] in net.values:
            continue
        with naming(op):
            _convert(net, op)
    view, outputs = _output(net, inputs)
    made = builder.finish(view.symbol)
    if made.network.is_calibrated:
        made.network.freeze()  # integers of a file can be such that sums overflow
    return Converted(made, inputs, outputs)


def _fold(net: Net, op: SourceOp) -> bool:
    """Compute an operator of constants; whether it was one."""
    values = [net.values.get(number) for number in op.inputs if number >= 0]
    is_known = all(isinstance(value, Constant) for value in values)
    if not is_known or op.kind not in FOLDS or (not values and op.inputs):
        return False
    with naming(op):
        made = fold(op, net.known(op))
        net.folded += sum(array.size for array in made)
        if net.folded > MOST_FOLDED:
            raise net.refusal(
                op, f"more than {MOST_FOLDED:,} constants are computed in the file"
            )
    for number, array in zip(op.outputs, made, strict=False):
        if number >= 0:
            net.values[number] = Constant(array)
    return True


def _convert(net: Net, op: SourceOp) -> None:
    if _fold(net, op):
        return
    row = OPERATORS.get(op.kind)
    if row is None:
        raise net.refusal(op, "is not supported; these are: " + ", ".join(OPERATORS))
    if len(op.inputs) > row.most_inputs:
        raise FileFormatError(f"{op} has {len(op.inputs)} inputs")
    if not op.outputs or op.outputs[0] < 0:
        raise FileFormatError(f"{op} has no output")
    for number in op.outputs[1:] if op.kind != "Split" else ():
        if net.is_read(number):
            raise net.refusal(
                op, f"its second output, {net.name(number)}, is not supported"
            )
    row.convert(net, op)


def _input(net: Net) -> tuple[int, ...]:
    """The network's input; which axes of theirs ours are."""
    source = net.source
    if len(source.inputs) != 1 or len(source.outputs) != 1:
        names = [net.name(k) for k in (*source.inputs, *source.outputs)]
        raise UnsupportedOp(
            f"a network has one input and one output; this one has "
            f"{len(source.inputs)} and {len(source.outputs)}: {', '.join(names[:8])}"
        )
    (number,) = source.inputs
    tensor = source.tensors[number]
    if tensor.dtype not in ("float32", "int8", "uint8"):
        raise UnsupportedOp(
            f"the input {net.name(number)} is of {tensor.dtype or 'no type'}; float32, "
            "int8 and uint8 are supported"
        )
    if not tensor.shape or any(size < 1 for size in tensor.shape[1:]):
        raise UnsupportedOp(
            f"the input {net.name(number)} has the shape {shown(tensor.shape)}; all "
            "axes after the batch must have a size"
        )
    if tensor.shape[0] == 0 or tensor.shape[0] < -1:
        raise FileFormatError(f"the input {net.name(number)} has no samples")
    sample = tensor.shape[1:]
    axes = channels_last(net, number, sample)
    ours = tuple(sample[axis] for axis in axes) or (1,)
    symbol = net.builder.input(ours, _input_qparams(net, number))
    order = [axes.index(k) for k in range(len(sample))]
    net.values[number] = view_of(symbol, ours).transposed(order)
    if axes != tuple(range(len(sample))):
        net.builder.drop(
            f"input {net.name(number)}",
            f"{sample} in the file; the network takes {ours}, channels last",
        )
    return axes


QDQ = {"QuantizeLinear", "DequantizeLinear"}


def _input_qparams(net: Net, number: int) -> QParams | None:
    """What the first node says that makes integers of the input, or reads them."""
    at, readers = number, net.readers(number)
    while len(readers) == 1 and readers[0].kind in STILL:
        at = readers[0].outputs[0]
        readers = net.readers(at)
    if len({op.kind for op in readers}) == 1 and readers[0].kind in QDQ:
        with naming(readers[0]):
            return qparams(net, readers[0])
    if net.source.tensors[number].dtype != "float32":
        raise UnsupportedOp(
            f"the input {net.name(number)} is of integers, and no DequantizeLinear "
            "says what they mean"
        )
    return None


def _output(net: Net, inputs: tuple[int, ...]) -> tuple[View, tuple[int, ...]]:
    """The network's output, and which axes of theirs ours are.

    The channels come last where those of the input do.
    """
    (number,) = net.source.outputs
    view = net.values[number]
    if not isinstance(view, View):
        raise UnsupportedOp(f"the output {net.name(number)} is a constant")
    rank = len(view.axes)
    plain = tuple(range(rank))
    last = (*plain[1:], 0) if rank > 1 else plain
    orders = [plain, last] if inputs == tuple(range(len(inputs))) else [last, plain]
    for axes in orders:
        runs = view.runs(axes)
        if list(runs) == sorted(runs, key=lambda run: -run.stride):
            break
    else:
        axes = orders[0]
    groups = [(axis,) for axis in axes]
    symbol = net.arranger.arranged(view, groups, "output")
    return view.of(symbol), axes
