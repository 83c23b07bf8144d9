"""Who proposes the candidates of a ranking: chance, or Optuna."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kanji_np.errors import ToolError
from kanji_np.search.family import Candidate, Family

if TYPE_CHECKING:
    from kanji_np.search.rank import Outcome

ROUND = 50  # candidates that Optuna proposes before it is told of them


class Sampler(Protocol):
    """Proposes candidates, and may learn from what comes of them."""

    def ask(self) -> Sequence[Candidate]:
        """The next candidates, none of which was proposed before; empty at the end."""

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """What came of them, in the same order."""


class RandomSampler:
    """All candidates at once; see `Family.draw`."""

    def __init__(self, family: Family, count: int, seed: int) -> None:
        self.left = family.draw(count, np.random.default_rng(seed))

    def ask(self) -> Sequence[Candidate]:
        """See `Sampler`."""
        asked, self.left = self.left, ()
        return asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """See `Sampler`; chance learns nothing."""


class OptunaSampler:
    """Tree-structured Parzen estimators on score, MACs and whether a candidate fits.

    References
    ----------
    Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator for Computationally
    Expensive Optimization Problems", 2020.
    """

    def __init__(self, family: Family, count: int, seed: int) -> None:
        self.family, self.left = family, min(count, family.size)
        self.study = _study(seed)
        self.rng = np.random.default_rng(seed)
        self.asked: list[Any] = []
        self.seen: set[int] = set()

    def ask(self) -> Sequence[Candidate]:
        """See `Sampler`."""
        count = min(ROUND, self.left)
        self.left -= count
        self.asked, found = [], []
        for _ in range(count):
            trial, number = self._proposal()
            if number in self.seen:
                self.study.tell(trial, state=_state("FAIL"))
                fresh = self.family.candidate(self._unseen())
                self.study.enqueue_trial(dict(fresh.choices))
                trial, number = self._proposal()
            self.seen.add(number)
            self.asked.append(trial)
            found.append(self.family.candidate(number))
        return found

    def _proposal(self) -> tuple[Any, int]:
        """A trial of Optuna's, and the number of its candidate."""
        trial = self.study.ask()
        choices = {
            name: trial.suggest_categorical(name, values)
            for name, values in self.family.space.items()
        }
        return trial, self.family.number_of(choices)

    def _unseen(self) -> int:
        """A candidate by chance, in place of one that was proposed before."""
        while (number := int(self.rng.integers(self.family.size))) in self.seen:
            pass
        return number

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """See `Sampler`."""
        for trial, outcome in zip(self.asked, outcomes, strict=True):
            row = outcome.row
            if row is None:
                self.study.tell(trial, state=_state("FAIL"))
                continue
            trial.set_constraint("limits that are not kept", float(len(row.over)))
            self.study.tell(trial, (row.score, row.costs.macs))


SAMPLERS: dict[str, Callable[[Family, int, int], Sampler]] = {
    "random": RandomSampler,
    "optuna": OptunaSampler,
}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ToolError(
            "sampler optuna needs Optuna: pip install 'kanji-np[optuna]'"
        ) from None
    return optuna


def _study(seed: int) -> Any:
    """A study of two objectives, without messages."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed)
    return optuna.create_study(directions=("maximize", "minimize"), sampler=sampler)


def _state(name: str) -> Any:
    return _optuna().trial.TrialState[name]
