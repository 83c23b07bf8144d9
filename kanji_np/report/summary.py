"""The layers of a network in a table: what each gives, has and costs."""

from __future__ import annotations

from dataclasses import dataclass

from kanji_np.errors import UnsupportedOp
from kanji_np.model import Model
from kanji_np.report.cost import Report, cost_report
from kanji_np.report.notebook import fragment
from kanji_np.report.page import table
from kanji_np.report.tables import text_table
from kanji_np.types import Shape, TensorSpec, shape_text

HEADER = ("layer", "kind", "output", "parameters", "MAC", "flash")
LEFT_COLUMNS = 3


@dataclass(frozen=True)
class SummaryLayer:
    """A row of a `Summary`.

    Parameters
    ----------
    name, kind : str
        Of the layer, and as users write it: "conv1", "Conv2D".
    output_shape : tuple of int
    n_parameters : int
        Weights and biases on the device.
    macs : int
        Multiply-accumulates of one inference [MAC].
    flash_bytes : int or None
        Weights, biases and tables [bytes]; None where no C is generated.
    is_deployed : bool
        False of what is there in training alone.
    """

    name: str
    kind: str
    output_shape: Shape
    n_parameters: int
    macs: int
    flash_bytes: int | None
    is_deployed: bool = True


@dataclass(frozen=True)
class Summary:
    """The layers of a network; prints as a table.

    Parameters
    ----------
    network, target : str
    input : TensorSpec
    classes : tuple of str
        The names of the outputs; empty if they are not known.
    layers : tuple of SummaryLayer
        In order, what is there in training alone included.
    arena_bytes : int or None
        RAM that one inference needs between input and output [bytes]; None where no C
        is generated.
    """

    network: str
    target: str
    input: TensorSpec
    classes: tuple[str, ...]
    layers: tuple[SummaryLayer, ...]
    arena_bytes: int | None

    @property
    def n_parameters(self) -> int:
        """Weights and biases on the device; batch normalization is folded into them."""
        return sum(layer.n_parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference [MAC]."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flash_bytes(self) -> int | None:
        """Weights, biases and tables [bytes]; None where no C is generated."""
        sizes = [layer.flash_bytes for layer in self.layers]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def __str__(self) -> str:
        table = text_table(
            HEADER, [*self._rows(), self._totals()], left_columns=LEFT_COLUMNS
        )
        return "\n".join([self._title(), "", table, *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = ". ".join(self._notes())
        caption = f"{self._title()}. {notes}" if notes else self._title()
        return fragment(
            table(
                caption, HEADER, self._rows(), left_columns=LEFT_COLUMNS,
                totals=self._totals(),
            )
        )  # fmt: skip

    def _title(self) -> str:
        shape = shape_text(self.input.shape)
        return f"{self.network} for {self.target}, input {shape} {self.input.dtype}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                layer.name,
                layer.kind,
                shape_text(layer.output_shape),
                f"{layer.n_parameters:,}" if layer.n_parameters else "",
                f"{layer.macs:,}" if layer.macs else "",
                f"{layer.flash_bytes:,}" if layer.flash_bytes else "",
            )
            for layer in self.layers
        ]

    def _totals(self) -> tuple[str, ...]:
        flash = "" if self.flash_bytes is None else f"{self.flash_bytes:,}"
        return "total", "", "", f"{self.n_parameters:,}", f"{self.macs:,}", flash

    def _notes(self) -> list[str]:
        found = []
        if self.arena_bytes is not None:
            found.append(
                f"flash in bytes, code not included; arena {self.arena_bytes:,} bytes "
                "of RAM"
            )
        if self.classes:
            found.append(f"classes {', '.join(self.classes)}")
        here = [layer.name for layer in self.layers if not layer.is_deployed]
        if here:
            found.append(f"in training alone: {', '.join(here)}")
        return found


def summary(net: Model) -> Summary:
    """The layers of a network: what each gives, has and costs. It need not be trained.

    Parameters
    ----------
    net : Model

    Returns
    -------
    Summary
        Prints as a table, in notebooks too.
    """
    report = _report(net)
    rows: list[SummaryLayer] = []
    seen: set[int] = set()
    for i, layer in enumerate(net.layers):
        for k, d in zip(net.wiring[i], net.drops[i], strict=True):
            if d is not None and d not in seen:
                seen.add(d)
                rows.append(_dropout_row(net, d, k))
        cost = report.layers[i] if report else None
        rows.append(
            SummaryLayer(
                name=layer.name,
                kind=layer.kind,
                output_shape=net.shapes[i],
                n_parameters=layer.n_parameters,
                macs=cost.macs if cost else _macs(net, i),
                flash_bytes=cost.flash_bytes if cost else None,
            )
        )
    return Summary(
        network=net.name,
        target=str(net.target),
        input=net.input,
        classes=net.classes,
        layers=tuple(rows),
        arena_bytes=report.arena_bytes if report else None,
    )


def _report(net: Model) -> Report | None:
    """What it costs; None where it takes a runtime."""
    try:
        return cost_report(net)
    except UnsupportedOp:
        return None


def _dropout_row(net: Model, d: int, tensor: int) -> SummaryLayer:
    dropout = net.dropouts[d]
    shape = (net.input.shape, *net.shapes)[tensor]
    return SummaryLayer(dropout.name, dropout.kind, shape, 0, 0, 0, is_deployed=False)


def _macs(net: Model, i: int) -> int:
    layer, shapes = net.layers[i], (net.input.shape, *net.shapes)
    read = tuple(shapes[k] for k in net.wiring[i])
    return layer.op.cost(layer.attrs, read, net.target).macs
