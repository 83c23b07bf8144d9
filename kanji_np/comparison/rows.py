"""The rows of a comparison, and which of them are on a Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from kanji_np.cost.estimate import Estimate
from kanji_np.cost.range import Range


@dataclass(frozen=True)
class Measure:
    """Something that networks cost.

    `of` gives it, or None where it is not estimated; `is_estimate` says whether the
    value comes with a range.
    """

    name: str
    unit: str
    is_estimate: bool
    of: Callable[[Estimate], Range | None]

    def used(self, row: ComparisonRow) -> Range | None:
        """What a row takes of it."""
        return None if row.estimate is None else self.of(row.estimate)


MEASURES = (
    Measure("flash", "bytes", False, lambda made: Range.exact(made.flash_bytes)),
    Measure("RAM", "bytes", False, lambda made: Range.exact(made.ram_bytes)),
    Measure("latency", "s", True, lambda made: made.seconds),
    Measure("energy", "J", True, lambda made: made.joules),
)
#: In place of time, where no board has a clock.
INSTRUCTIONS = Measure(
    "instructions", "", False, lambda made: Range.exact(made.instructions)
)


@dataclass(frozen=True)
class ComparisonRow:
    """One network for one target, on one board or core.

    Parameters
    ----------
    network : str
        What it is called here.
    target : str
        Of the network, as `TargetSpec` prints.
    place : str
        The board's title, or the core.
    library : str
        Whose kernels are linked.
    accuracy : float or None
        0..1, in the target's integers. None: the network is not trained, or it is not
        known.
    estimate : Estimate or None
        What it costs. None: there is no such firmware; `notes` says why.
    notes : tuple of str
        Why it does not fit, has no estimate, or no score; or that it was scored on
        images that were resized.
    front : tuple of str
        The costs on whose Pareto front it is: no other network on the same board or
        core scores as well and costs less, or better and costs no more. Where no row
        has an accuracy it is "costs", if no other is cheaper in all of them.
    about : str
        What tells the network from others, for reading; empty if its name says it.
    """

    network: str
    target: str
    place: str
    library: str
    accuracy: float | None
    estimate: Estimate | None
    notes: tuple[str, ...] = ()
    front: tuple[str, ...] = ()
    about: str = ""

    @property
    def fits(self) -> bool:
        """Whether there is such firmware, and no memory of the board is too small."""
        return self.estimate is not None and self.estimate.fits


def measures_of(rows: Sequence[ComparisonRow]) -> tuple[Measure, ...]:
    """The costs that a row has, instructions if none has a time."""

    def known(measure: Measure) -> bool:
        return any(measure.used(row) is not None for row in rows)

    found = tuple(measure for measure in MEASURES if known(measure))
    has_time = any(measure.name == "latency" for measure in found)
    return found if has_time or not known(INSTRUCTIONS) else (*found, INSTRUCTIONS)


def has_accuracy(rows: Sequence[ComparisonRow]) -> bool:
    """Whether a row has one."""
    return any(row.accuracy is not None for row in rows)


def with_fronts(rows: Sequence[ComparisonRow]) -> tuple[ComparisonRow, ...]:
    """The rows, each with the fronts it is on among those of its board or core."""
    scored = has_accuracy(rows)
    return tuple(
        replace(
            row, front=_fronts(row, [r for r in rows if r.place == row.place], scored)
        )
        for row in rows
    )


def _fronts(
    row: ComparisonRow, rivals: Sequence[ComparisonRow], scored: bool
) -> tuple[str, ...]:
    if not row.fits:
        return ()
    rivals = [rival for rival in rivals if rival.fits]
    costs = {m.name: m for m in MEASURES if m.used(row) is not None}
    if "latency" not in costs:
        costs[INSTRUCTIONS.name] = INSTRUCTIONS
    if not scored:
        mine = _values(row, costs.values())
        beaten = any(
            _is_better(_values(rival, costs.values()), mine) for rival in rivals
        )
        return () if beaten else ("costs",)
    if row.accuracy is None:
        return ()
    return tuple(
        name
        for name, measure in costs.items()
        if not any(
            _is_better(
                (*_values(rival, (measure,)), -rival.accuracy),
                (*_values(row, (measure,)), -row.accuracy),
            )
            for rival in rivals
            if rival.accuracy is not None
        )
    )


def _values(row: ComparisonRow, measures: Iterable[Measure]) -> tuple[float, ...]:
    return tuple(
        used.likely if (used := measure.used(row)) else float("inf")
        for measure in measures
    )


def _is_better(these: Sequence[float], those: Sequence[float]) -> bool:
    """Whether none of these is more than its counterpart, and one is less."""
    pairs = [*zip(these, those, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
