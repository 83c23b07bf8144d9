"""Candidates of a family, costed and ranked without training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from kanji_np.checks import integer, one_of
from kanji_np.cost.boards import Board
from kanji_np.cost.boards import board as board_of
from kanji_np.cost.budget import Budget
from kanji_np.cost.estimate import Estimate, estimate
from kanji_np.cost.limits import overruns
from kanji_np.cost.range import Range
from kanji_np.errors import FileFormatError, KanjiError, OptionError, ToolError
from kanji_np.loops.threads import MOST_THREADS, limited
from kanji_np.model import Model
from kanji_np.report import text_table
from kanji_np.search.family import Candidate, Family
from kanji_np.search.proxy import score
from kanji_np.search.sampling import SAMPLERS, Sampler

MOST_CANDIDATES, MOST_WORKERS = 1_000_000, 256
BATCH = 50  # candidates that a process takes at a time
SHOWN = 20  # rows of a table


@dataclass(frozen=True)
class Costs:
    """What one inference of a candidate will cost.

    Parameters
    ----------
    macs : int
        Multiply-accumulates [MAC].
    instructions : float
        That the core executes, estimated.
    flash_bytes : int
        Constants and code [bytes].
    ram_bytes : int
        Arena, static memory, stack, input and output [bytes].
    seconds : Range or None
        Estimated; None without the clock of a board [s].
    joules : Range or None
        Estimated; None without the active power of a board [J].
    """

    macs: int
    instructions: float
    flash_bytes: int
    ram_bytes: int
    seconds: Range | None
    joules: Range | None

    @classmethod
    def of(cls, made: Estimate) -> Costs:
        """Those of an estimate.

        Parameters
        ----------
        made : Estimate
        """
        return cls(
            made.macs, made.instructions, made.flash_bytes, made.ram_bytes,
            made.seconds, made.joules,
        )  # fmt: skip


@dataclass(frozen=True)
class RankedCandidate:
    """A candidate with its costs and its score.

    Parameters
    ----------
    candidate : Candidate
    score : float
        Of `proxy.score`: the higher, the more accurate the network is likely to be
        once it is trained. Only its order means something.
    costs : Costs
    over : tuple of str
        The limits that it does not keep: "flash", "ram", "latency", "energy" or "bank",
        the largest piece of the board's RAM.
    on_front : bool
        Whether no other candidate that fits has at least its score and no cost higher
        than its own.
    """

    candidate: Candidate
    score: float
    costs: Costs
    over: tuple[str, ...]
    on_front: bool = False

    @property
    def fits(self) -> bool:
        """Whether it keeps every limit of budget and board."""
        return not self.over

    @property
    def name(self) -> str:
        """A C identifier in lower case, unique in its family."""
        return self.candidate.name

    @property
    def text(self) -> str:
        """Its choices on one line."""
        return self.candidate.text


@dataclass(frozen=True)
class Ranking:
    """Candidates of a family, the most promising first; prints as a table.

    Parameters
    ----------
    family : Family
    where : str
        Title of the board, or the core.
    library : str
        Whose kernels are linked.
    budget : Budget
    drawn : int
        Candidates that were drawn.
    skipped : int
        Combinations among them that make no network.
    reason : str
        Why the first of these makes none.
    rows : tuple of RankedCandidate
        The others: those that fit by falling score, then those that do not.
    """

    family: Family
    where: str
    library: str
    budget: Budget
    drawn: int
    skipped: int
    reason: str
    rows: tuple[RankedCandidate, ...]

    @property
    def candidates(self) -> tuple[RankedCandidate, ...]:
        """Those that fit, the most promising first."""
        return tuple(row for row in self.rows if row.fits)

    @property
    def fitting(self) -> int:
        """How many fit."""
        return sum(row.fits for row in self.rows)

    @property
    def front(self) -> tuple[RankedCandidate, ...]:
        """The Pareto front of score against costs, by falling score."""
        return tuple(row for row in self.rows if row.on_front)

    def build(self, row: RankedCandidate) -> Model:
        """The network of a row, untrained.

        Parameters
        ----------
        row : RankedCandidate
        """
        return self.family.build(row.candidate)

    def json(self) -> str:
        """The ranking as one JSON object on one line."""
        rows = [
            {
                "name": row.name,
                "number": row.candidate.number,
                "choices": dict(row.candidate.choices),
                "score": row.score,
                "fits": row.fits,
                "over": row.over,
                "on_front": row.on_front,
                "costs": asdict(row.costs),
            }
            for row in self.rows
        ]
        return json.dumps(
            {
                "family": self.family.name,
                "space": self.family.space,
                "size": self.family.size,
                "where": self.where,
                "library": self.library,
                "budget": str(self.budget),
                "drawn": self.drawn,
                "skipped": self.skipped,
                "fitting": self.fitting,
                "candidates": rows,
            }
        )

    def table(self, most: int = SHOWN) -> str:
        """The first rows that fit as text; those on the front have a star.

        Parameters
        ----------
        most : int
            Rows.
        """
        header = ("", "score", "MAC", "flash", "RAM", "time", "energy", "choices")
        rows = [
            (
                "*" if row.on_front else "",
                f"{row.score:.2f}",
                f"{row.costs.macs:,}",
                f"{row.costs.flash_bytes:,}",
                f"{row.costs.ram_bytes:,}",
                row.costs.seconds.text("s") if row.costs.seconds else "",
                row.costs.joules.text("J") if row.costs.joules else "",
                row.text,
            )
            for row in self.candidates[:most]
        ]
        return text_table(header, rows, left_columns=1)

    def __str__(self) -> str:
        limits = f" within {self.budget}" if str(self.budget) else ""
        lines = [
            f"{self.drawn:,} of {self.family.size:,} candidates of {self.family.name}: "
            f"{self.fitting:,} fit {self.where}{limits}"
        ]
        if self.skipped:
            lines.append(f"{self.skipped:,} make no network, the first because "
                         f"{self.reason}")  # fmt: skip
        if not self.fitting:
            return "\n".join([*lines, self._least()])
        lines += ["", self.table(), ""]
        lines.append(
            f"* {len(self.front)} are on the Pareto front of score against costs; "
            "flash and RAM in bytes, time and energy estimated"
        )
        return "\n".join(lines)

    def _least(self) -> str:
        """The lowest of each cost, which another budget would have to allow."""
        costs = [row.costs for row in self.rows]
        words = [
            f"flash {min(each.flash_bytes for each in costs):,} bytes",
            f"RAM {min(each.ram_bytes for each in costs):,} bytes",
        ]
        for name, unit, ranges in (
            ("time", "s", [each.seconds for each in costs if each.seconds]),
            ("energy", "J", [each.joules for each in costs if each.joules]),
        ):
            if ranges:
                lowest = min(ranges, key=lambda found: found.likely)
                words.append(f"{name} {lowest.text(unit)}")
        return f"the lowest of each cost that was found: {', '.join(words)}"


@dataclass(frozen=True)
class Outcome:
    """What came of one candidate: a row, or why there is none."""

    row: RankedCandidate | None
    reason: str = ""


@dataclass(frozen=True)
class Judge:
    """Costs and scores candidates; processes get a copy.

    Parameters
    ----------
    family : Family
    board : Board or None
    core : str or None
    library : str
    budget : Budget
    """

    family: Family
    board: Board | None
    core: str | None
    library: str
    budget: Budget

    def __call__(self, candidate: Candidate) -> Outcome:
        """Cost and score one candidate."""
        try:
            network = self.family.build(candidate)
        except FileFormatError:
            raise
        except KanjiError as error:
            return Outcome(None, str(error))
        made = estimate(network, board=self.board, core=self.core, library=self.library)
        over = tuple(each.resource for each in overruns(made, self.budget))
        row = RankedCandidate(candidate, score(network), Costs.of(made), over)
        return Outcome(row)


def rank(
    family: Family,
    candidates: int = 2000,
    *,
    board: str | Path | Board | None = None,
    core: str | None = None,
    library: str = "ccore",
    budget: Budget | str | None = None,
    sampler: str = "random",
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Ranking:
    """Cost and rank candidates of a family; nothing is trained.

    Parameters
    ----------
    family : Family
    candidates : int
        How many to draw; a smaller family is gone through as a whole.
    board, core, library : optional
        As `estimate` has them.
    budget : Budget or str, optional
        Text as `Budget.parse` takes it. The board's memory is a limit, too.
    sampler : "random" or "optuna"
        Optuna proposes candidates of high score and low cost by what it has seen.
    seed : int
        Decides which candidates are drawn.
    workers : int
        Processes. More than one need ``if __name__ == "__main__":`` in scripts, as
        `multiprocessing` does.
    progress : callable, optional
        Is told how many more candidates are done.

    Returns
    -------
    Ranking
        The same for the same arguments, whatever `workers` is.

    Raises
    ------
    OptionError
        An argument is wrong, or there is no estimate of what the budget limits.
    FileFormatError
        The file of a family or of a board is none.
    ToolError
        Optuna is missing, or a process ended.
    """
    count = integer("candidates", candidates, 1, MOST_CANDIDATES)
    place = None if board is None else board_of(board)
    if not isinstance(budget, Budget):
        budget = Budget() if budget is None else Budget.parse(budget)
    one_of("sampler", sampler, SAMPLERS)
    proposals: Sampler = SAMPLERS[sampler](family, count, integer("seed", seed, 0))
    judge = Judge(family, place, core, library, budget)
    with _judges(judge, integer("workers", workers, 1, MOST_WORKERS)) as judged:
        outcomes: list[Outcome] = []
        while asked := proposals.ask():
            found = judged(asked)
            proposals.tell(found)
            outcomes += found
            if progress is not None:
                progress(len(found))
    return _ranking(judge, outcomes)


def _ranking(judge: Judge, outcomes: Sequence[Outcome]) -> Ranking:
    """Rows in order, with the front marked."""
    rows = [outcome.row for outcome in outcomes if outcome.row is not None]
    rows.sort(key=lambda row: (not row.fits, -row.score, row.candidate.number))
    reasons = [outcome.reason for outcome in outcomes if outcome.row is None]
    if not rows:
        raise OptionError(
            f"{judge.family.name}: none of {len(outcomes):,} combinations makes a "
            f"network, the first because {reasons[0]}"
        )
    core = judge.core or "the usual core of its class"
    return Ranking(
        family=judge.family,
        where=judge.board.title if judge.board else core,
        library=judge.library,
        budget=judge.budget,
        drawn=len(outcomes),
        skipped=len(reasons),
        reason=reasons[0] if reasons else "",
        rows=tuple(_with_front(rows)),
    )


def _with_front(rows: Sequence[RankedCandidate]) -> Iterator[RankedCandidate]:
    """The rows, of which those on the Pareto front are marked."""
    fitting = [row for row in rows if row.fits]
    points = np.array([_losses(row) for row in fitting])  # (N, objectives)
    for i, row in enumerate(rows):
        if not row.fits:
            yield row
            continue
        no_worse = (points <= points[i]).all(axis=1)
        better = (points < points[i]).any(axis=1)
        yield replace(row, on_front=not (no_worse & better).any())


def _losses(row: RankedCandidate) -> tuple[float, ...]:
    """What is to be low. Energy is time, times the same power for all."""
    costs = row.costs
    time = costs.seconds.likely if costs.seconds else costs.instructions
    return -row.score, costs.flash_bytes, costs.ram_bytes, time


@contextmanager
def _judges(
    judge: Judge, workers: int
) -> Iterator[Callable[[Sequence[Candidate]], list[Outcome]]]:
    """A function that judges candidates, in this process or in several."""
    if workers == 1:
        yield lambda candidates: [judge(each) for each in candidates]
        return
    threads = max(1, MOST_THREADS // workers)
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(judge, threads)
    )
    with pool:
        yield partial(_judged, pool)


def _judged(
    pool: ProcessPoolExecutor, candidates: Sequence[Candidate]
) -> list[Outcome]:
    try:
        return [*pool.map(_judge, candidates, chunksize=BATCH)]
    except BrokenProcessPool:
        raise ToolError("a process that ranked candidates ended") from None


_here: list[Judge] = []


def _begin(judge: Judge, threads: int) -> None:
    """Make a process ready; it keeps its own judge."""
    limited(threads).__enter__()
    _here.append(judge)


def _judge(candidate: Candidate) -> Outcome:
    return _here[-1](candidate)
