"""What attributes of operators may be, checked once, where they are made.

The attributes of an operator are a frozen dataclass whose fields are made by
`attribute`, each with one of the checks below. A check takes a name and a value, gives
the value in the form it is held in, or raises OptionError. So it does not matter
whether attributes come from a layer's arguments, from a file, or from a test.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar

from kanji_np import checks
from kanji_np.errors import OptionError
from kanji_np.quantize import ACTIVATIONS
from kanji_np.types import Shape
from kanji_np.window import MOST_CELLS, Geometry, Padding, Pair, Window

# As many as a sum may have products: no layer could read more.
MOST_CHANNELS = 65_535
MOST_SHIFT = 7
WEIGHT_BITS = (8, 4)
MOST_AXES = 8
MOST_EXTENT = 2**31 - 1

Check = Callable[[str, Any], Any]
A = TypeVar("A", bound="Attributes")


@dataclass(frozen=True)
class Attributes:
    """Base of the attributes of every operator."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = f.metadata["check"](argument_name(f), getattr(self, f.name))
            object.__setattr__(self, f.name, value)

    @classmethod
    def given(cls: type[A], *values: Any) -> A:
        """Attributes of values in any form that the checks take."""
        return cls(*values)


def attribute(
    check: Check, default: Any = MISSING, called: str = "", *, later: bool = False
) -> Any:
    """A field of `Attributes`; messages name it as the layer's argument is called.

    A field that operators got `later`, when there were files without it, is left out of
    files and digests where it has its default.
    """
    more = {"check": check, "called": called, "later": later}
    return field(default=default, metadata=more)


def argument_name(f: Field[Any]) -> str:
    """What the layer's argument for a field of `Attributes` is called."""
    return f.metadata["called"] or f.name


def channel_number(name: str, value: int) -> int:
    return checks.integer(name, value, 1, MOST_CHANNELS)


def cell_number(name: str, value: Any) -> int:
    return checks.integer(name, value, 1, MOST_CELLS)


def cell_pair(name: str, value: int | Pair) -> Pair:
    """(height, width), or one int for both."""
    return checks.pair(name, value, 1, MOST_CELLS)


def extra_cells(name: str, value: int | Pair) -> Pair:
    """(height, width), or one int for both; may be 0."""
    return checks.pair(name, value, 0, MOST_CELLS)


def check_groups(groups: int, filters: int) -> None:
    """OptionError unless each group has as many filters."""
    if filters % groups:
        raise OptionError(
            f"groups must be a divisor of filters, got {groups} groups of {filters} "
            "filters",
            arguments=("groups", "filters"),
        )


def right_shift(name: str, value: int) -> int:
    return checks.integer(name, value, 0, MOST_SHIFT)


def sample_shape(name: str, value: Sequence[int]) -> Shape:
    return checks.integers(name, value, 1, MOST_EXTENT, (1, MOST_AXES))


def axes(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """Axes in ascending order, counted from 1; an int for a single one."""
    each = (value,) if isinstance(value, numbers.Integral) else value
    found = tuple(sorted(checks.integers(name, each, 1, MOST_AXES, (1, MOST_AXES))))
    if len(set(found)) < len(found):
        raise OptionError(
            f"{name} must be different axes, got {checks.shown(value)}",
            arguments=(name,),
        )
    return found


def flag(name: str, value: bool) -> bool:
    """True or False."""
    return checks.flag(name, value)


def fused_activation(name: str, value: str | None) -> str:
    """None stands for "linear"."""
    if value is None:
        return "linear"
    if isinstance(value, str) and value in ACTIVATIONS:
        return value
    raise OptionError(
        f"{name} must be None or one of {', '.join(ACTIVATIONS)}; "
        f"got {checks.shown(value)}"
    )


def weight_width(name: str, value: Any) -> int:
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if is_integer and value in WEIGHT_BITS:
        return int(value)
    raise OptionError(f"{name} must be 8 or 4, got {checks.shown(value)}")


def image_padding(name: str, value: Padding) -> Padding:
    """A word, or ((top, bottom), (left, right))."""
    return value if _is_word(value) else _sides(name, value, '"same", "valid" or ')


def row_padding(name: str, value: Any) -> str | Pair:
    """A word, or (before, after)."""
    if _is_word(value):
        return value
    if isinstance(value, tuple | list):
        return checks.pair(name, value, 0, MOST_CELLS)
    raise OptionError(
        f'{name} must be "same", "valid" or (before, after), got {checks.shown(value)}'
    )


def sides(name: str, value: int | tuple[Pair, Pair]) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)), or one int for all four."""
    if isinstance(value, numbers.Integral):
        each = (value, value)
        return _sides(name, (each, each), "an int or ")
    return _sides(name, value, "an int or ")


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value in ("same", "valid")


def _sides(name: str, value: Any, alternative: str) -> tuple[Pair, Pair]:
    if isinstance(value, tuple | list) and len(value) == 2:
        try:
            (top, bottom), (left, right) = (
                checks.integers(name, each, 0, MOST_CELLS, (2, 2)) for each in value
            )
        except OptionError:
            pass
        else:
            return (top, bottom), (left, right)
    raise OptionError(
        f"{name} must be {alternative}((top, bottom), (left, right)) of 0 .. "
        f"{MOST_CELLS} cells, got {checks.shown(value)}"
    )


@dataclass(frozen=True)
class Pool2DAttrs(Attributes):
    """The windows of max and average pooling.

    Parameters
    ----------
    pool_size, strides : (height, width), or one int for both
    padding : "same", "valid" or ((top, bottom), (left, right)) in cells
    ceil_mode : bool
        The number of windows is rounded up: the last ones may reach past the input.
    """

    pool_size: Pair = attribute(cell_pair)
    strides: Pair = attribute(cell_pair)
    padding: Padding = attribute(image_padding, "valid")
    ceil_mode: bool = attribute(checks.flag, True)

    @property
    def window(self) -> Window:
        return Window(
            self.pool_size, self.strides, (1, 1), self.padding, self.ceil_mode
        )

    def over(self, shape: Shape) -> Geometry:
        """The windows over an (H, W, C) input; ShapeError where one has no cell."""
        g = self.window.over(shape)
        g.check_cells(shape)
        return g
