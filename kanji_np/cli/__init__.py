"""The command line: `kanji-np COMMAND`.

A command prints its results on standard output and its progress on standard error. What
a user can get wrong ends in one line and exit code 2, bytes that differ in exit code 1,
Ctrl-C in 130. Commands import what they need when they run, so that help is quick.
"""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from kanji_np import __version__
from kanji_np.cli import (
    bench,
    boards,
    compare,
    convert,
    datasets,
    deploy,
    evaluate,
    explain,
    imports,
    predict,
    quickstart,
    report,
    results,
    runtimes,
    search,
    train,
)
from kanji_np.cli.options import OPTIONS_OF, name_options
from kanji_np.cli.run import Interrupted
from kanji_np.errors import DataWarning, KanjiError, OptionError


class OneLineGroup(click.Group):
    """A group whose errors are one line on standard error and an exit code."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None
    ) -> NoReturn:
        args = tuple(sys.argv[1:] if args is None else args)
        name = prog_name or "kanji-np"
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                # The arguments are kept as `obj`, for a result to say how it was made.
                code = super().main(list(args), name, standalone_mode=False, obj=args)
        except click.ClickException as error:
            # Choices are listed one a line.
            _fail(" ".join(error.format_message().split()), error.exit_code)
        except KanjiError as error:
            _fail(str(error), error.exit_code)
        except click.Abort:
            _fail("interrupted", Interrupted.exit_code)
        except OSError as error:
            # Files are named by those who write them.
            nameless = "standard output: " if error.errno == errno.ENOSPC else ""
            where = f"{error.filename}: " if error.filename else nameless
            _fail(f"{where}{error.strerror or error}", OptionError.exit_code)
        except MemoryError as error:
            text = " ".join(str(error).split())
            _fail(f"not enough memory: {text or 'ask for less'}", OptionError.exit_code)
        sys.exit(code or 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors about arguments of Python name options instead."""
        try:
            return super().invoke(ctx)
        except KanjiError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            params = command.params if command else ()
            options = {
                p.name: p.opts[0]
                for p in params
                if isinstance(p, click.Option) and p.name
            }
            name_options(error, {**options, **OPTIONS_OF})
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            names = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}; choose from {names}")
        return super().resolve_command(ctx, args)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: Any = None, line: str | None = None,
) -> None:  # fmt: skip
    """A warning about data on one line, any other as Python shows it."""
    text = f"warning: {message}"
    if not issubclass(category, DataWarning):
        text = warnings.formatwarning(message, category, filename, lineno, line)
    click.echo(text.rstrip(), err=True)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


@click.group(
    cls=OneLineGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, message="kanji-np %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Train int8 networks in a microcontroller's own arithmetic, export C that calls
    CMSIS-NN, and prove every byte equal.

    \b
    Example:
      kanji-np quickstart
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (
    quickstart.quickstart,
    train.train,
    imports.import_,
    evaluate.evaluate,
    predict.predict,
    explain.explain,
    runtimes.compare_runtimes,
    deploy.export,
    convert.convert,
    deploy.verify,
    deploy.vectors,
    report.report,
    search.search,
    boards.boards,
    compare.compare,
    results.results,
    bench.bench,
    datasets.datasets,
):
    main.add_command(command)
