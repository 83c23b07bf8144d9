"""`kanji-np report`: what a network costs, trained or not, and how good it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from kanji_np.cli.options import (
    PATH,
    BoardOptions,
    BudgetOptions,
    DataOptions,
    NetworkOptions,
    TargetOptions,
    budget_options,
    check_calibrated,
    group,
    network_options,
    target_options,
)
from kanji_np.cli.pixels import PixelOptions, matched, pixel_options
from kanji_np.cli.run import HISTORY
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.model import Model
    from kanji_np.report import Report

FORMATS = ("text", "markdown", "json", "html")
ENDINGS = {".html": "html", ".md": "markdown", ".json": "json"}

_DATA = click.option(
    "--data",
    metavar="SOURCE",
    help="Also score a trained MODEL on these test images, and show its values; see "
    "`kanji-np datasets`.",
)


@dataclass(frozen=True)
class OutputOptions:
    """The form of a report, and where it goes."""

    form: Annotated[
        str | None,
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            show_default="by the ending of -o, else text",
            help="The form of the report.",
        ),
    ]
    as_json: Annotated[
        bool, click.option("--json", "as_json", is_flag=True, help="--format json.")
    ]
    output: Annotated[
        Path | None,
        click.option(
            "-o",
            "--output",
            type=PATH,
            metavar="FILE",
            help="Write it to a .html, .md or .json file.",
        ),
    ]

    @property
    def kind(self) -> str:
        """One of FORMATS; OptionError if options contradict each other."""
        told = {self.form, "json" if self.as_json else None}
        if self.output is not None:
            ending = self.output.suffix.lower()
            if ending not in ENDINGS:
                raise OptionError(
                    f"--output must end in .html, .md or .json, got {self.output}"
                )
            told.add(ENDINGS[ending])
        told.discard(None)
        if len(told) > 1:
            raise OptionError(
                "--format, --json and the ending of --output name several forms: "
                + ", ".join(sorted(map(str, told)))
            )
        return str(told.pop()) if told else "text"

    def check(self) -> None:
        """Before anything slow: may the file be written?"""
        from kanji_np import outputs
        from kanji_np.report.page import check_page

        if self.output is None:
            return
        if self.kind == "html":
            check_page(self.output)
        else:
            outputs.check(self.output, is_report, "a report", "name another file")
            outputs.check_directory(self.output.parent)

    def write(self, report: Report) -> None:
        """Print the report, or write its file."""
        from kanji_np import outputs
        from kanji_np.report.html import html

        shown: dict[str, Callable[[], str]] = {
            "text": report.__str__,
            "markdown": report.markdown,
            "json": report.json,
            "html": partial(html, report),
        }
        text = shown[self.kind]()
        if self.output is None:
            click.echo(text, nl=self.kind != "html")
            return
        data = (text if self.kind == "html" else f"{text}\n").encode()
        outputs.write(self.output, data)
        click.echo(self.output)


def is_report(path: Path) -> bool:
    """Whether a file is a report in Markdown or JSON."""
    from kanji_np.report.cost import KIND, MARK

    data = path.read_bytes()
    is_json = data.startswith(f'{{"kind": "{KIND}"'.encode())
    return is_json or data.rstrip().endswith(MARK.encode())


@click.command()
@click.argument("model", type=PATH, required=False)
@network_options(help="Untrained instead of MODEL.")
@target_options
@budget_options()
@group("data", DataOptions, {"data": _DATA})
@pixel_options
@click.option(
    "--verified",
    type=PATH,
    metavar="FILE",
    show_default="verification.json beside MODEL, if it is there",
    help="What `kanji-np verify --record` wrote.",
)
@group("output", OutputOptions)
def report(
    model: Path | None, network: NetworkOptions, target: TargetOptions,
    costs: BudgetOptions, data: DataOptions, pixels: PixelOptions,
    verified: Path | None, output: OutputOptions,
) -> None:  # fmt: skip
    """Show operations, flash and RAM of every layer; no training needed.

    With --board also time and energy, estimated. Of a trained MODEL the report shows
    the curves of the training run beside it, what was verified, and with --data how
    good it is. A page (-o FILE.html) has the network and its memory drawn.

    \b
    Example:
      kanji-np report --network resnet8 --board nucleo-f446re -o resnet8.html
    """
    is_told = network != NetworkOptions()
    if (model is None) is not is_told:
        raise OptionError(
            "report takes either a MODEL file or a network: --network, --channels ..."
        )
    kind = output.kind
    if model is None:
        for option, value in (("--data", data.data), ("--verified", verified)):
            if value is not None:
                raise OptionError(f"{option} is for a trained MODEL")
    output.check()
    costs.limits()
    if model is None:
        net = network.build({"target": target.spec()})
    else:
        net = target.load(model)
    if costs.budget is not None:
        costs.check(net)
    found = _costs(net, target, costs, kind)
    if model is not None:
        found = _with_training(found, net, model, target, data, pixels, verified)
    output.write(found)


def _costs(net: Model, target: TargetOptions, board: BoardOptions, kind: str) -> Report:
    from kanji_np.report import cost_report
    from kanji_np.report.gather import usual_core

    place, core = board.place(target)
    if place is None and core is None and kind == "html":
        core = usual_core(net)
    return cost_report(net, board=place, core=core, library=board.library)


def _with_training(
    found: Report, net: Model, model: Path, target: TargetOptions, data: DataOptions,
    pixels: PixelOptions, verified: Path | None,
) -> Report:  # fmt: skip
    """The report with what is known of a trained model."""
    from kanji_np.deploy.record import FILE
    from kanji_np.report.gather import records_of
    from kanji_np.report.trained import trained_report
    from kanji_np.train import read_history

    trained = None
    if data.data is not None:
        check_calibrated(net, model)
        test = data.load(net.input.shape)[1]
        read = partial(target.load, model)
        trained = trained_report(*matched(net, model, test, read, pixels))
    else:
        pixels.check_unused("there is no --data")
    history = model.parent / HISTORY
    beside = model.parent / FILE
    records = found.verified
    if verified is not None:
        records = records_of(net, found, verified)
    elif net.is_calibrated and beside.exists():
        records = records_of(net, found, beside, may_lack=True)
    return replace(
        found,
        trained=trained,
        history=read_history(history) if history.exists() else None,
        verified=records,
    )
