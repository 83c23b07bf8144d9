"""What a network may cost: a budget, as it is typed and as numbers.

    flash=256K,ram=64K,latency=100ms,energy=5mJ

Sizes are in multiples of 1024, as linkers count: `K`, `KB` and `KiB` are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from kanji_np.checks import integer, number, shown
from kanji_np.errors import OptionError

MOST_BYTES = 2**40
LEAST, MOST = 1e-18, 1e12  # seconds, joules

EXAMPLE = "flash=256K,ram=64K,latency=100ms,energy=5mJ"


@dataclass(frozen=True)
class Quantity:
    """What a budget may limit, and how it is typed.

    Parameters
    ----------
    field : str
        Of `Budget`.
    units : mapping of str to Decimal
        Each unit in units of the field, the largest first; of equal ones the first is
        the one that `text` writes.
    """

    field: str
    units: Mapping[str, Decimal]

    def parse(self, key: str, text: str) -> float:
        """What ``key=text`` says, in units of the field; OptionError."""
        found = _AMOUNT.fullmatch(text)
        if found is None:
            raise _wrong(
                f"{key}={text[:40]} is not a number and a unit, as in {EXAMPLE}"
            )
        value, unit = Decimal(found["value"]), found["unit"]
        if not unit:
            ways = " or ".join(f"{text}{name}" for name in reversed(self._written()))
            raise _wrong(f"{key}={text} has no unit: write {ways}")
        if unit not in self.units:
            known = ", ".join(self.units)
            raise _wrong(f"{unit!r} is no unit of {key}; choose from {known}")
        if value <= 0:
            raise _wrong(f"{key} must be more than 0, got {text}")
        return float(value * self.units[unit])

    def text(self, value: float) -> str:
        """A short text that `parse` reads as the same value."""
        exact, units = Decimal(repr(value)), self._written()
        fitting = [unit for unit, size in units.items() if exact >= size]
        whole = [unit for unit in fitting if not exact % units[unit]]
        unit = (whole or fitting or [*units][-1:])[0]
        return f"{_plain(exact / units[unit])}{unit}"

    def _written(self) -> dict[str, Decimal]:
        """One name of each size of unit, the largest first."""
        names: dict[Decimal, str] = {}
        for name, size in self.units.items():
            names.setdefault(size, name)
        return {name: size for size, name in names.items()}


_AMOUNT = re.compile(r"(?P<value>-?\d{1,18}(\.\d{1,24})?) ?(?P<unit>[^\W\d_]*)")

_SIZES = {"M": 2**20, "MB": 2**20, "MiB": 2**20, "K": 2**10, "KB": 2**10, "KiB": 2**10}
_BYTES = MappingProxyType({unit: Decimal(n) for unit, n in (_SIZES | {"B": 1}).items()})


def _metric(unit: str) -> Mapping[str, Decimal]:
    parts = {"": "1", "m": "1e-3", "u": "1e-6"}
    return MappingProxyType({f"{p}{unit}": Decimal(n) for p, n in parts.items()})


#: By the names that budgets have for them.
QUANTITIES = MappingProxyType(
    {
        "flash": Quantity("flash_bytes", _BYTES),
        "ram": Quantity("ram_bytes", _BYTES),
        "latency": Quantity("seconds", _metric("s")),
        "energy": Quantity("joules", _metric("J")),
    }
)

SIZES = ("flash_bytes", "ram_bytes")


@dataclass(frozen=True)
class Budget:
    """What one inference of a network, and its firmware, may cost.

    Parameters
    ----------
    flash_bytes : int, optional
        Constants and code [bytes].
    ram_bytes : int, optional
        Arena, static memory, stack, input and output [bytes].
    seconds : float, optional
        Of one inference [s].
    joules : float, optional
        Of one inference [J].

    Raises
    ------
    OptionError
        A limit is not positive.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    seconds: float | None = None
    joules: float | None = None

    def __post_init__(self) -> None:
        for name in SIZES:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, integer(name, value, 1, MOST_BYTES))
        for name in ("seconds", "joules"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, number(name, value, LEAST, MOST))

    @classmethod
    def parse(cls, text: str) -> Budget:
        """A budget from text such as ``flash=256K,ram=64K,latency=100ms,energy=5mJ``.

        Parameters
        ----------
        text : str
            One or more of flash, ram, latency and energy, separated by commas. Sizes
            are in B, K or M (1024-based; KB, KiB, MB and MiB are the same), times in s,
            ms or us, energies in J, mJ or uJ.

        Returns
        -------
        Budget

        Raises
        ------
        OptionError
            It is something else; the message says what is wrong, and what is allowed.
        """
        if not isinstance(text, str) or not text.strip():
            raise _wrong(f"must be such as {EXAMPLE}, got {shown(text)}")
        found: dict[str, float] = {}
        for item in text.split(","):
            key, _, amount = (part.strip() for part in item.partition("="))
            if key not in QUANTITIES:
                known = ", ".join(QUANTITIES)
                raise _wrong(f"cannot limit {shown(key)}; choose from {known}")
            if not amount:
                raise _wrong(f"{key} has no value: write it as in {EXAMPLE}")
            quantity = QUANTITIES[key]
            if quantity.field in found:
                raise _wrong(f"{key} is given twice")
            found[quantity.field] = quantity.parse(key, amount)
        flash, ram = (found.get(field) for field in SIZES)
        return cls(
            None if flash is None else math.floor(flash),
            None if ram is None else math.floor(ram),
            found.get("seconds"),
            found.get("joules"),
        )

    def __str__(self) -> str:
        return ",".join(
            f"{key}={quantity.text(value)}"
            for key, quantity in QUANTITIES.items()
            if (value := getattr(self, quantity.field)) is not None
        )


def _wrong(text: str) -> OptionError:
    return OptionError(f"budget: {text}", arguments=("budget",))


def _plain(value: Decimal) -> str:
    """Without an exponent, and without zeros behind the last digit of a fraction."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
