"""`kanji-np quickstart`: a small network from images drawn by rule to proven C."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from kanji_np.cli.deploy import verdict
from kanji_np.cli.options import PATH
from kanji_np.cli.run import (
    CHECKPOINT,
    CURVES,
    FIRMWARE,
    HISTORY,
    MODEL,
    SUMMARY,
    channel_means,
    check_run,
    draw_curves,
    keeping,
)
from kanji_np.cli.screen import bar, command_line
from kanji_np.errors import OptionError, VerificationError

CHANNELS = (16, 16, 32)
EPOCHS = 6


@click.command()
@click.option(
    "--directory",
    type=PATH,
    default=Path("kanji-quickstart"),
    help="Where results go.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Of weights and order.")
@click.option("--force", is_flag=True, help="Throw away a finished run and start over.")
def quickstart(directory: Path, seed: int, force: bool) -> None:
    """Train, export, compile and verify a small network in a few minutes.

    Uses images drawn by rule, so nothing is downloaded. An interrupted run goes on
    where it was.

    \b
    Example:
      kanji-np quickstart --directory ./kanji-quickstart
    """
    if (directory / SUMMARY).exists() and not force:
        raise OptionError(
            f"{directory} holds a finished run: add --force to start over, or choose "
            "another --directory"
        )

    import kanji_np as kj
    from kanji_np import outputs
    from kanji_np.deploy.project import check_export

    outputs.check_directory(directory)
    train, test = kj.load_dataset("synthetic")
    mean = channel_means(train)
    net = kj.paper_cnn(CHANNELS, mean=mean, seed=seed, name="quickstart")
    check_export(net, directory / FIRMWARE)
    if (directory / SUMMARY).exists():
        _remove_run(directory)
    check_run(directory, resume=True)
    if (directory / CHECKPOINT).exists():
        click.echo(f"going on with the run in {directory}", err=True)
    with keeping(directory, "repeat the command to go on"):
        history = kj.fit(
            net,
            train,
            epochs=EPOCHS,
            validation=test,
            seed=seed,
            directory=directory,
            resume=True,
        )
        curves = draw_curves(history, directory)
        accuracy = net.evaluate(test)
        firmware = kj.export(net, directory / FIRMWARE, images=test, force=True)
        with bar("verifying") as progress:
            proof = kj.verify(directory / FIRMWARE, test, progress=progress)
        if not proof.ok:
            raise VerificationError(verdict(proof))
        summary = "\n".join([
            f"int8 accuracy  {100 * accuracy:.2f} % on {len(test):,} test images",
            f"flash          {firmware.const_bytes:,} bytes of weights and tables",
            f"arena          {firmware.arena_bytes:,} bytes of RAM",
            f"verified       {verdict(proof)}",
            f"firmware       {directory / FIRMWARE}",
            f"curves         {curves}",
            "",
            "next:",
            f"  {command_line('report', directory / MODEL)}",
            f"  {shlex.join(['make', '-C', str(directory / FIRMWARE), 'test'])}",
            f"  {command_line('train', '--data', 'cifar10', '--download')}",
        ])  # fmt: skip
        outputs.write(directory / SUMMARY, f"{summary}\n".encode())
    click.echo(summary)


def _remove_run(directory: Path) -> None:
    """Remove a finished quickstart but for its firmware, which is replaced; OptionError
    if not all of it is as it was written."""
    from kanji_np import archive, modelfile, outputs, plots
    from kanji_np.train import checkpoint

    files = (
        (MODEL, modelfile.is_model, "a model"),
        (CURVES, outputs.is_drawing, plots.DRAWING),
        (HISTORY, checkpoint.is_history, f"the history of {CHECKPOINT}"),
        (CHECKPOINT, archive.is_kind(checkpoint.CHECKPOINT_KIND), "a checkpoint"),
        (SUMMARY, _is_summary, "the summary of a quickstart"),
    )
    with outputs.lock(directory):
        for name, is_ours, what in files:
            outputs.check(directory / name, is_ours, what, "choose another --directory")
        for name, _, _ in files:
            (directory / name).unlink(missing_ok=True)


def _is_summary(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return text.startswith("int8 accuracy  ") and text.endswith(" --download\n")
