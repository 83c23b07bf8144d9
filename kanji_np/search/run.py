"""A whole search: rank without training, train by successive halving, export, verify.

Everything that has come out is in the directory, so that the same call goes on where
another one ended, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import archive, outputs
from kanji_np.cost.estimate import Estimate
from kanji_np.errors import KanjiError, ToolError
from kanji_np.search.finish import Place, costs_of, finish
from kanji_np.search.halving import plan
from kanji_np.search.journal import (
    JOURNAL,
    Chosen,
    Failed,
    Journal,
    Question,
    Ready,
    Trained,
    Verified,
)
from kanji_np.search.rounds import Rounds
from kanji_np.search.training import Images
from kanji_np.search.workers import Workers

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.model import Model
    from kanji_np.recipe import Recipe

HELD_OUT = 0.1
FINALISTS_FOLDER, OTHERS_FOLDER = "finalists", "others"


@dataclass(frozen=True)
class Contender:
    """A candidate that is to be trained.

    Parameters
    ----------
    name : str
        A C identifier in lower case, of which there is one in a search.
    text : str
        The choices it was made from, for reading.
    score : float or None
        Of the ranking without training.
    network : Model
        Untrained.
    """

    name: str
    text: str
    score: float | None
    network: Model


@dataclass(frozen=True)
class Contest:
    """What the ranking without training came to.

    Parameters
    ----------
    drawn, fitting : int
        Candidates, and those of them that fit board and budget.
    contenders : tuple of Contender
        The best of these, the best first.
    """

    drawn: int
    fitting: int
    contenders: tuple[Contender, ...]


@dataclass(frozen=True)
class FoundNetwork:
    """A network that a search trained, exported and verified.

    Parameters
    ----------
    name : str
    text : str
        The choices it was made from.
    score : float or None
        Of the ranking without training.
    epochs : int
        That it was trained for, in its last rung.
    held_out_accuracy : float or None
        On images held out of training, in the last rung that held some out, 0..1.
    accuracy : float or None
        On the test images, 0..1; of finalists alone.
    costs : Estimate
    on : str
        Where C and model were compared: "host", or an emulated core.
    images, differing_bytes : int
        On how many images, and how many bytes differ.
    directory : Path
        Holds `model.npz`, `history.csv`, `report.txt` and `firmware/`.
    """

    name: str
    text: str
    score: float | None
    epochs: int
    held_out_accuracy: float | None
    accuracy: float | None
    costs: Estimate
    on: str
    images: int
    differing_bytes: int
    directory: Path


@dataclass(frozen=True)
class FoundNetworks:
    """What a search found; prints as a table.

    Parameters
    ----------
    directory : Path
    drawn, fitting : int
        Candidates, and those of them that fit board and budget.
    networks : tuple of FoundNetwork
        All that were trained: the finalists, the most accurate first, and then the
        others, the last to be dropped first.
    failed : tuple of (str, str)
        Names of networks that could not be trained, and why.
    """

    directory: Path
    drawn: int
    fitting: int
    networks: tuple[FoundNetwork, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def finalists(self) -> tuple[FoundNetwork, ...]:
        """The networks of the last rung, the most accurate first."""
        return tuple(each for each in self.networks if each.accuracy is not None)


def halve(
    contest: Callable[[], Contest],
    question: Question,
    data: tuple[Dataset, Dataset],
    directory: Path,
    *,
    train: int,
    recipe: Recipe,
    place: Place,
    held_out: float,
    factor: int,
    finalists: int,
    seed: int,
    workers: Callable[[Images], AbstractContextManager[Workers]],
    tell: Callable[[str], None],
) -> FoundNetworks:
    """Train the best of a ranking by successive halving, export and verify them.

    Parameters
    ----------
    contest : () -> Contest
        Is called unless the directory has its outcome already.
    question : Question
        What decides the outcome.
    data : (Dataset, Dataset)
        Training and test images.
    directory : Path
    train, factor, finalists : int
        As `halving.plan` has them.
    recipe : Recipe
        Of the last rung.
    place : Place
    held_out : float
        Part of the training images.
    seed : int
        Decides which images those are.
    workers : (Images) -> context of Workers
        Is called if there is something to train.
    tell : (str) -> None
    """
    images, test = data
    with outputs.lock(directory):
        journal = Journal(directory / JOURNAL, question)
        if not journal.of(Ready):
            _choose(journal, directory, contest(), train)
        chosen = journal.of(Chosen)
        rungs = plan(len(chosen), recipe.epochs, factor=factor, finalists=finalists)
        rounds = Rounds(directory, journal, recipe, rungs, tell)
        try:
            if not rounds.is_over:
                with workers(Images(images, held_out, seed)) as crew:
                    rounds.run(crew)
        except ToolError as error:
            raise ToolError(
                f"{error}; all finished epochs are in {directory}: repeat the search "
                "to go on"
            ) from None
        _finish(rounds, test, place)
        return _found(rounds, place)


def _choose(journal: Journal, directory: Path, contest: Contest, train: int) -> None:
    """Write down who is trained."""
    if not contest.contenders:
        raise KanjiError(
            f"none of {contest.drawn:,} candidates fits the board and the budget"
        )
    written = {record.name for record in journal.of(Chosen)}
    for each in contest.contenders[:train]:
        data = archive.to_bytes(*each.network.snapshot())
        outputs.write(directory / "networks" / f"{each.name}.npz", data)
        if each.name not in written:
            digest = outputs.digest(data)
            journal.add(Chosen(each.name, each.text, each.score, digest))
    journal.add(Ready(contest.drawn, contest.fitting))


def _finish(rounds: Rounds, test: Dataset, place: Place) -> None:
    """Export and verify every network that was trained, the finalists first."""
    over = {record.name for record in rounds.journal.of(Verified)}
    for trained, is_finalist in _last_trainings(rounds):
        if trained.name in over:
            continue
        rung = rounds.rungs[trained.rung - 1]
        directory = _place_of(rounds.directory, trained.name, is_finalist)
        record = finish(
            trained.name, rounds.run_of(rung, trained.name), directory, test, place,
            score=is_finalist,
        )  # fmt: skip
        rounds.journal.add(record)
        rounds.tell(
            f"  {trained.name}: {record.differing_bytes} differing bytes in "
            f"{record.images} images on {record.on}"
        )


def _place_of(directory: Path, name: str, is_finalist: bool) -> Path:
    return directory / (FINALISTS_FOLDER if is_finalist else OTHERS_FOLDER) / name


def _last_trainings(rounds: Rounds) -> list[tuple[Trained, bool]]:
    """The longest training of every network, with whether it is a finalist's."""
    last = {record.name: record for record in rounds.journal.of(Trained)}
    final = len(rounds.rungs)
    places = {record.name: i for i, record in enumerate(rounds.journal.of(Chosen))}
    order = sorted(last.values(), key=lambda r: (-r.rung, places[r.name]))
    return [(record, record.rung == final) for record in order]


def _found(rounds: Rounds, place: Place) -> FoundNetworks:
    """What the journal and the directory say of every network."""
    journal = rounds.journal
    verified = {record.name: record for record in journal.of(Verified)}
    held_out = {
        record.name: record.accuracy
        for record in journal.of(Trained)
        if record.accuracy is not None
    }
    chosen = {record.name: record for record in journal.of(Chosen)}
    networks = []
    for trained, is_finalist in _last_trainings(rounds):
        name = trained.name
        directory = _place_of(rounds.directory, name, is_finalist)
        proof = verified[name]
        networks.append(
            FoundNetwork(
                name=name,
                text=chosen[name].text,
                score=chosen[name].score,
                epochs=rounds.rungs[trained.rung - 1].epochs,
                held_out_accuracy=held_out.get(name),
                accuracy=proof.accuracy,
                costs=costs_of(directory, place),
                on=proof.on,
                images=proof.images,
                differing_bytes=proof.differing_bytes,
                directory=directory,
            )
        )
    networks.sort(
        key=lambda n: (-(n.accuracy or 0), -n.epochs, -(n.held_out_accuracy or 0))
    )
    ready = journal.of(Ready)[0]
    return FoundNetworks(
        directory=rounds.directory,
        drawn=ready.candidates,
        fitting=ready.fitting,
        networks=tuple(networks),
        failed=tuple((record.name, record.reason) for record in journal.of(Failed)),
    )
