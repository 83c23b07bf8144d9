"""Who proposes the candidates of a ranking: chance, or Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kanji_np.errors import ToolError
from kanji_np.search.family import Candidate, Family

if TYPE_CHECKING:
    from kanji_np.search.rank import Outcome

ROUND = 50  # candidates that Optuna proposes before it is told of them
TRIES = 20  # rounds without a new candidate before Optuna is not asked any more


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
        self.asked: list[Any] = []
        self.seen: set[int] = set()

    def ask(self) -> Sequence[Candidate]:
        """See `Sampler`."""
        for _ in range(TRIES):
            found = self._round()
            if found:
                self.left -= len(found)
                return found
        return ()

    def _round(self) -> list[Candidate]:
        """New candidates among some proposals."""
        self.asked, found = [], []
        for _ in range(min(ROUND, self.left)):
            trial = self.study.ask()
            choices = {
                name: trial.suggest_categorical(name, list(values))
                for name, values in self.family.space.items()
            }
            number = self.family.number_of(choices)
            if number in self.seen:
                self.study.tell(trial, state=_state("FAIL"))
                continue
            self.seen.add(number)
            self.asked.append(trial)
            found.append(self.family.candidate(number))
        return found

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """See `Sampler`."""
        for trial, outcome in zip(self.asked, outcomes, strict=True):
            row = outcome.row
            if row is None:
                self.study.tell(trial, state=_state("FAIL"))
                continue
            trial.set_user_attr("over", len(row.over))
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
            "sampler optuna needs Optuna: pip install 'kanji-np[search]'"
        ) from None
    return optuna


def _study(seed: int) -> Any:
    """A study of two objectives, without messages."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, constraints_func=lambda trial: (trial.user_attrs["over"],)
        )
    return optuna.create_study(directions=("maximize", "minimize"), sampler=sampler)


def _state(name: str) -> Any:
    return _optuna().trial.TrialState[name]
