"""`kanji-np export`, `verify` and `vectors`: C from a model, and the proof of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np.choices import KERNEL_LIBRARIES, KERNEL_NAMES, PACKAGE_NAMES
from kanji_np.cli.options import (
    PATH,
    BudgetOptions,
    DataOptions,
    TargetOptions,
    budget_options,
    check_trained,
    data_options,
    target_options,
)
from kanji_np.cli.pixels import PixelOptions, as_inputs, pixel_options
from kanji_np.cli.run import MODEL
from kanji_np.cli.screen import bar, command_line
from kanji_np.errors import OptionError, UnsupportedOp

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.deploy import Verification
    from kanji_np.model import Model
    from kanji_np.results import Result


@click.command()
@click.argument("model", type=PATH)
@click.argument("directory", type=PATH)
@target_options
@budget_options({
    "library": click.option(
        "--library",
        type=click.Choice(KERNEL_LIBRARIES),
        default="ccore",
        help="The kernels the firmware's Makefile builds with.",
    )
})  # fmt: skip
@click.option(
    "--for",
    "package",
    type=click.Choice(PACKAGE_NAMES),
    default="make",
    help="What the directory is to drop into.",
)
@click.option(
    "--kernels",
    type=click.Choice(KERNEL_NAMES),
    show_default="shared; private in a CMSIS pack",
    help="Whether several networks in one program share them.",
)
@click.option(
    "--cmsis-nn",
    type=PATH,
    metavar="DIR",
    help="A CMSIS-NN checkout to look through for the functions needed; Arduino and "
    "PlatformIO get copies of them.",
)
@click.option(
    "--force", is_flag=True, help="Write into a directory that holds other files."
)
def export(
    model: Path, directory: Path, target: TargetOptions, costs: BudgetOptions,
    package: str, kernels: str | None, cmsis_nn: Path | None, force: bool,
) -> None:  # fmt: skip
    """Write a model as C that calls CMSIS-NN, with all that is needed to build it.

    Another target than the one it was trained for may give other bytes, and so another
    accuracy: `kanji-np evaluate` with the same options says what it is.

    \b
    Example:
      kanji-np export runs/cifar10/model.npz firmware/
      kanji-np export runs/cifar10/model.npz ~/Arduino/libraries/cifar10 --for arduino
    """
    from kanji_np.deploy import export
    from kanji_np.deploy.packages import PACKAGES
    from kanji_np.deploy.planner import arena_text

    costs.limits()
    net = costs.target(target).load(model)
    check_trained(net, model)
    costs.check(net)
    firmware = export(
        net,
        directory,
        library=costs.library,
        package=package,
        kernels=kernels,
        cmsis_nn=cmsis_nn,
        force=force,
    )
    click.echo(f"{len(firmware.files)} files in {firmware.directory}")
    click.echo(f"flash  {firmware.const_bytes:,} bytes of weights and tables")
    arena = arena_text(firmware.arena_bytes, firmware.lower_bound_bytes)
    click.echo(f"arena  {arena}")
    if PACKAGES[package].takes_cmsis_nn:
        for line in _kernels_hint(net, costs.library):
            click.echo(line)
    click.echo(f"\nnext:\n  {command_line('verify', directory)} --data SOURCE")


def _kernels_hint(net: Model, library: str) -> Iterator[str]:
    """What portable kernels cost beside Arm's; nothing if they were not counted."""
    from kanji_np.cost.estimate import estimate

    try:
        own, arm = (estimate(net, library=each) for each in ("ccore", "cmsis-nn"))
    except UnsupportedOp:
        return
    ratio = own.instructions / arm.instructions if arm.instructions else 1.0
    counts = [f"{each.instructions:,.0f}" for each in (own, arm)]
    core = own.core.title()
    if library == "ccore":
        yield f"code   portable kernels: about {counts[0]} instructions on a {core},"
        yield f"       {ratio:.1f} times those of CMSIS-NN ({counts[1]}), which"
        yield "       --library cmsis-nn links"
    else:
        yield f"code   CMSIS-NN: about {counts[1]} instructions on a {core}; portable"
        yield f"       kernels, --library ccore, take {ratio:.1f} times as many"


@click.command()
@click.argument("directory", type=PATH)
@data_options
@pixel_options
@click.option("--limit", type=click.IntRange(1), help="Only the first N test images.")
@click.option(
    "--on",
    metavar="CORE",
    default="host",
    help="host, or a core to emulate: cortex-m0plus, -m3, -m4, -m7, -m33, -m55.",
)
@click.option(
    "--library",
    type=click.Choice(KERNEL_LIBRARIES),
    show_default="those exported with",
    help="Whose kernels to link.",
)
@click.option(
    "--cmsis-nn",
    type=PATH,
    metavar="DIR",
    help="Where CMSIS-NN is, if it is linked.",
)
@click.option("--layers", is_flag=True, help="Compare the output of every layer.")
@click.option(
    "--result",
    type=PATH,
    metavar="FILE",
    help="Add what is found to the .json file that train wrote of this model.",
)
@click.option(
    "--record",
    type=PATH,
    metavar="FILE",
    help="Add what is found, and when, to a .json file for `kanji-np report`.",
)
def verify(
    directory: Path, data: DataOptions, pixels: PixelOptions, limit: int | None,
    on: str, library: str | None, cmsis_nn: Path | None, layers: bool,
    result: Path | None, record: Path | None,
) -> None:  # fmt: skip
    """Compile exported C and compare every output byte with the golden model.

    Runs it on this computer or, with --on, on an emulated Cortex-M, whose instructions
    and memory it reports. Exits with 0 only if all bytes are equal; else names the
    first layer that differs.

    \b
    Example:
      kanji-np verify firmware/ --data cifar10 --limit 1000 --on cortex-m4
    """
    from kanji_np.deploy import verify
    from kanji_np.deploy.project import read_manifest
    from kanji_np.results import Proof, write_result

    _check_directory(directory)
    if record is not None:
        _check_record(directory, record)
    facts = None if result is None else _result_of(directory, result)
    _, test = data.load()
    if limit is not None:
        test = test.take(min(limit, len(test)))
    test = _inputs(directory, test, pixels)
    with bar("verifying") as progress:
        found = verify(
            directory,
            test,
            on=on,
            library=library,
            cmsis_nn=cmsis_nn,
            layers=layers,
            progress=progress,
        )
    if result is not None and facts is not None:
        place = found.device.core if found.device else on
        linked = library or read_manifest(directory).library
        proof = Proof(place, linked, found.images, found.differing_bytes)
        write_result(result, facts.with_proof(proof))
    if record is not None:
        _add_record(directory, record, found, library)
    if found.layers:
        click.echo(f"{_layer_table(found)}\n")
    click.echo(verdict(found))
    for line in (found.device, found.note):
        if line:
            click.echo(line)
    if not found.ok:
        sys.exit(1)


@click.command()
@click.argument("directory", type=PATH)
@click.argument("out", type=PATH)
@data_options
@pixel_options
@click.option(
    "--images", type=click.IntRange(1), default=1, help="How many test images."
)
def vectors(
    directory: Path, out: Path, data: DataOptions, pixels: PixelOptions, images: int
) -> None:
    """Write what every layer must compute, as C arrays and .npz, to compare on a board.

    DIRECTORY is an export; the files go to OUT.

    \b
    Example:
      kanji-np vectors firmware/ vectors/ --data cifar10 --images 2
    """
    from kanji_np.deploy import vectors

    _check_directory(directory)
    _, test = data.load()
    test = _inputs(directory, test.take(min(images, len(test))), pixels)
    for path in vectors(directory, test, out, count=images):
        click.echo(path)


def _check_directory(directory: Path) -> None:
    """OptionError if it is a file: a model must be exported first."""
    if directory.is_file():
        raise OptionError(
            f"{directory}: a file, not a firmware directory: run "
            f"`{command_line('export', directory)} DIR` first"
        )


def _check_record(directory: Path, record: Path) -> None:
    """OptionError unless records may be added to a file outside of the firmware."""
    from kanji_np.deploy.record import check_records

    if directory.resolve() in record.resolve().parents:
        raise OptionError(
            f"{record} is inside {directory}, where verify changes nothing: name a "
            f"file beside it, such as {directory.parent / 'verification.json'}"
        )
    check_records(record)


def _add_record(
    directory: Path, record: Path, found: Verification, library: str | None
) -> None:
    """Add what was found, and when, to a file."""
    from datetime import datetime, timezone

    import kanji_np as kj
    from kanji_np.deploy.project import read_manifest
    from kanji_np.deploy.record import add_record, record_of

    graph = kj.load(directory / MODEL).freeze()
    linked = library or read_manifest(directory).library
    add_record(record, record_of(found, graph, linked, datetime.now(timezone.utc)))


def verdict(result: Verification) -> str:
    counts = (
        f"{result.differing_bytes:,} differing bytes in {result.images:,} images "
        f"({result.bytes:,} output bytes compared)"
    )
    return counts if result.first is None else f"{counts}\nfirst: {result.first}"


def _inputs(directory: Path, data: Dataset, pixels: PixelOptions) -> Dataset:
    """A dataset as the network in a firmware directory takes it."""
    import kanji_np as kj

    model = directory / MODEL
    if not model.exists():
        return data  # what is no firmware is refused with the other arguments
    return as_inputs(kj.load(model), directory, data, pixels)


def _result_of(directory: Path, path: Path) -> Result:
    """The result in a file, which must be of the model in a firmware directory."""
    import kanji_np as kj
    from kanji_np.results import read_result

    result = read_result(path)
    if kj.load(directory / MODEL).freeze().digest() != result.digest:
        raise OptionError(f"{path} is not the result of the model in {directory}")
    return result


def _layer_table(result: Verification) -> str:
    from kanji_np.report import text_table

    columns = ["", "layer", "", "bytes", "host differs"]
    if result.device:
        columns += [f"{result.device.core} differs", "instructions"]
    rows = []
    for layer in result.layers:
        figures: list[int | None] = [layer.bytes, layer.host_differing]
        if result.device:
            figures += [layer.device_differing, layer.instructions]
        # a layer that computes nothing has no figures
        cells = [f"{n:,}" if layer.bytes and n is not None else "" for n in figures]
        rows.append([str(layer.number), layer.name, layer.op, *cells])
    return text_table(columns, rows, left_columns=3)
