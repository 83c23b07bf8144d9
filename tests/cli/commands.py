"""Command lines that are run, parsed, or found in a text."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

import kanji_np
from kanji_np import cli

ROOT = Path(kanji_np.__file__).parents[1]


def run(*args):
    """Exit code and everything that was printed."""
    result = CliRunner().invoke(cli.main, [str(arg) for arg in args])
    # The group itself turns what it expects into SystemExit; the rest is a traceback.
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result.exit_code, result.output


def ok(*args):
    code, output = run(*args)
    assert code == 0, output
    return output


def process(code, *args, **options):
    """A Python process on `code` with the command line's arguments."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": path},
        **{
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        },
    )


MAIN = "from kanji_np.cli import main; main()"


def commands_in(text):
    """The arguments of every `kanji-np` command line in a text."""
    whole = text.replace("\\\n", "")  # lines that go on in the next
    lines = re.findall(r"^\s*kanji-np (.+)$", whole, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def parse(args):
    """Parse a command line without running it; click raises if it is wrong."""
    command = cli.main.commands[args[0]]
    with contextlib.suppress(click.exceptions.Exit):  # --help
        command.make_context(args[0], args[1:])
