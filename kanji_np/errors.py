"""The errors this package raises on purpose.

A message names the place (layer, file, option), says what was expected and what came,
and, where it helps, what to do. Each kind also derives from the built-in exception a
Python programmer would expect, so `except ValueError` works as usual. The command line
prints the message alone and exits with `exit_code`.
"""

from __future__ import annotations


class KanjiError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    *message : object
        As for any exception.
    arguments : tuple of str
        The names of Python arguments that the message is about, as they stand in it:
        the command line puts its options in their places.
    """

    exit_code = 2

    def __init__(self, *message: object, arguments: tuple[str, ...] = ()) -> None:
        super().__init__(*message)
        self.arguments = arguments


class DataWarning(UserWarning):
    """Images or labels can be used, but perhaps not as they are meant."""


class ShapeError(KanjiError, ValueError):
    """A tensor, kernel or layer has a shape that does not fit its place."""


class OptionError(KanjiError, ValueError):
    """An argument or option has a value outside what is allowed."""


class UnsupportedOp(KanjiError, ValueError):
    """The target library has no kernel for this operator or configuration."""


class BudgetError(KanjiError, ValueError):
    """A network costs more than it may; the message says where, and what would help."""


class AccumulatorOverflow(KanjiError, ArithmeticError):
    """A sum could leave int32 on the device; the message states the bound."""


class RangeError(KanjiError, ArithmeticError):
    """A value range cannot be quantized: it holds a NaN or an infinity."""


class GradientError(KanjiError, ArithmeticError):
    """A gradient check failed, or a function has no derivative rule."""


class FileFormatError(KanjiError, ValueError):
    """A model, checkpoint or dataset file is truncated, altered or of another kind."""


class DataError(KanjiError, ValueError):
    """Images or labels are missing, of the wrong dtype, or out of range."""


class DownloadError(KanjiError, OSError):
    """A file could not be fetched; what had arrived is kept for the next try."""


class ToolError(KanjiError, RuntimeError):
    """A program this package calls (a C compiler) is missing or failed."""


class VerificationError(KanjiError, AssertionError):
    """The compiled C and the golden model differ, or could not be compared."""

    exit_code = 1
