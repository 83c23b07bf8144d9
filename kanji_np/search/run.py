"""A whole search: rank without training, train by successive halving, export, verify.

Everything that has come out is in the directory, so that the same call goes on where
another one ended, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np import archive, outputs
from kanji_np.checks import number
from kanji_np.comparison.compare import Comparison
from kanji_np.comparison.rows import ComparisonRow, with_fronts
from kanji_np.cost.boards import Board
from kanji_np.cost.boards import board as board_of
from kanji_np.cost.budget import Budget
from kanji_np.cost.estimate import Estimate, estimate
from kanji_np.errors import BudgetError, ToolError
from kanji_np.model import Model
from kanji_np.plots import plot_comparison
from kanji_np.recipe import Recipe
from kanji_np.report import text_table
from kanji_np.report.page import write_page
from kanji_np.search.family import Family, FileBuild, read_family
from kanji_np.search.finish import HOST, Place, costs_of, finish
from kanji_np.search.halving import FACTOR, FINALISTS, plan
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
from kanji_np.search.rank import RankedCandidate, Ranking, rank
from kanji_np.search.rounds import Rounds
from kanji_np.search.training import Images
from kanji_np.search.workers import USUAL_PROCESSES, Workers, cluster, processes
from kanji_np.settings import text_of

if TYPE_CHECKING:
    from kanji_np.data import Dataset

CANDIDATES, TRAIN = 2000, 20
HELD_OUT = 0.1
TITLE = "Networks that the search found"
PAGE, DRAWINGS = "search.html", ("front.png", "front.svg")
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
    accuracy : float
        On the test images, 0..1.
    is_finalist : bool
        Whether it was trained in the last rung, with all training images.
    costs : Estimate
    on : str
        Where C and model were compared: "host", or an emulated core.
    images, differing_bytes : int
        On how many images, and how many bytes differ.
    directory : Path
        Holds `model.npz`, `history.csv`, `report.html`, `report.txt` and `firmware/`.
    """

    name: str
    text: str
    score: float | None
    epochs: int
    held_out_accuracy: float | None
    accuracy: float
    is_finalist: bool
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
        return tuple(each for each in self.networks if each.is_finalist)

    @property
    def comparison(self) -> Comparison:
        """All networks side by side, with the Pareto fronts of accuracy and costs."""
        rows = [
            ComparisonRow(
                f"{each.name}, {each.epochs} epoch{'s' if each.epochs != 1 else ''}",
                str(each.costs.target),
                each.costs.board.title if each.costs.board else each.costs.core,
                each.costs.library,
                each.accuracy,
                each.costs,
                about=each.text,
            )
            for each in self.networks
        ]
        return Comparison(with_fronts(rows))

    def __str__(self) -> str:
        header = (
            "", "network", "epochs", "held out", "test", "flash", "RAM", "time",
            "energy", "choices",
        )  # fmt: skip
        fronts = [row.front for row in self.comparison.rows]
        rows = [
            (
                "*" if front else "",
                each.name,
                str(each.epochs),
                _percent(each.held_out_accuracy),
                _percent(each.accuracy),
                f"{each.costs.flash_bytes:,}",
                f"{each.costs.ram_bytes:,}",
                each.costs.seconds.text("s") if each.costs.seconds else "",
                each.costs.joules.text("J") if each.costs.joules else "",
                each.text,
            )
            for each, front in zip(self.networks, fronts, strict=True)
        ]
        differing = sum(each.differing_bytes for each in self.networks)
        lines = [
            text_table(header, rows, left_columns=2),
            "",
            "* on the Pareto front of test accuracy and a cost; flash and RAM in "
            "bytes, time and energy estimated",
            "held out: accuracy on images held out of training; test: on test images",
            f"{differing:,} differing bytes between C and model in all "
            f"{len(self.networks)} networks",
        ]
        lines += [f"{name} failed: {reason}" for name, reason in self.failed]
        return "\n".join(lines)


def _percent(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.2f} %"


def search_networks(
    family: Family | str | Path,
    data: tuple[Dataset, Dataset],
    directory: str | Path,
    *,
    board: str | Path | Board | None = None,
    library: str = "ccore",
    budget: Budget | str | None = None,
    candidates: int = CANDIDATES,
    sampler: str = "random",
    train: int = TRAIN,
    recipe: Recipe | None = None,
    held_out: float = HELD_OUT,
    factor: int = FACTOR,
    finalists: int = FINALISTS,
    workers: int | None = None,
    scheduler: str | None = None,
    on: str = HOST,
    seed: int = 0,
    show: bool = True,
) -> FoundNetworks:
    """Search a family for the most accurate networks that fit a board and a budget.

    Candidates are costed and ranked without training (`rank`). The best are trained by
    successive halving (`halving.plan`), and every network that was trained is exported
    and verified. The same call with the same directory goes on where another one was
    stopped; no epoch that was finished is trained again.

    Parameters
    ----------
    family : Family, str or Path
        Or the path of a Python file, as `read_family` takes it.
    data : (Dataset, Dataset)
        Training and test images. Only finalists are scored on test images.
    directory : path
        Of this search alone.
    board, library : optional
        As `estimate` has them.
    budget : Budget or str, optional
        As `rank` has it.
    candidates : int
        How many are ranked.
    sampler : "random" or "optuna"
        Who proposes candidates.
    train : int
        How many of those that fit are trained.
    recipe : Recipe, optional
        Of the last rung; those before have fewer epochs. By default images are
        augmented as the training set says.
    held_out : float
        Part of the training images that rungs before the last judge networks by.
    factor : int
        One in so many networks is trained on in the next rung, so many times as long.
    finalists : int
        Networks in the last rung, which trains with all training images.
    workers : int, optional
        Processes; by default one for every core, at most 8. Scripts need
        ``if __name__ == "__main__":``, as `multiprocessing` does.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers train in place of processes.
    on : str
        Where C and model are compared: "host", or a core to emulate, as in `verify`.
    seed : int
        Decides which candidates are drawn, and which images are held out.
    show : bool
        Progress on standard error.

    Returns
    -------
    FoundNetworks
        The same for the same arguments, whoever trains.

    Raises
    ------
    OptionError
        An argument is wrong, or the directory holds another search.
    BudgetError
        No candidate fits.
    KanjiError
        Every network of a rung failed.
    ToolError
        The Dask scheduler does not answer or is gone, or a compiler is missing.
    """
    images, test = data
    images.check_task("a search", "classification")
    family = family if isinstance(family, Family) else read_family(family)
    place = Place(None if board is None else board_of(board), library, on)
    if not isinstance(budget, Budget):
        budget = Budget() if budget is None else Budget.parse(budget)
    recipe = recipe or Recipe(augment=images.augment)
    held_out = number("held_out", held_out, 0.01, 0.5)
    count = USUAL_PROCESSES if workers is None else workers
    plan(train, recipe.epochs, factor=factor, finalists=finalists)
    question = Question({
        "family": _text_of_family(family),
        "board": _short(place.board),
        "library": library,
        "budget": str(budget),
        "candidates": str(candidates),
        "sampler": sampler,
        "train": str(train),
        **{f.name: text_of(getattr(recipe, f.name)) for f in fields(Recipe)},
        "held_out": str(held_out),
        "factor": str(factor),
        "finalists": str(finalists),
        "on": on,
        "search seed": str(seed),
        "training data": _digest(images),
        "test data": _digest(test),
    })  # fmt: skip

    def tell(line: str) -> None:
        if show:
            click.echo(line, err=True)

    def contest() -> Contest:
        ranking = rank(
            family, candidates, board=place.board, library=library, budget=budget,
            sampler=sampler, seed=seed, workers=count,
        )  # fmt: skip
        tell(str(ranking))
        best = ranking.candidates[:train]
        contenders = (_contender(ranking, row, place) for row in best)
        return Contest(ranking.drawn, ranking.fitting, tuple(contenders))

    def crew(images: Images) -> AbstractContextManager[Workers]:
        if scheduler is not None:
            return cluster(images, scheduler, tell)
        return processes(images, count)

    found = halve(
        contest, question, data, Path(directory), train=train, recipe=recipe,
        place=place, held_out=held_out, factor=factor, finalists=finalists, seed=seed,
        workers=crew, tell=tell,
    )  # fmt: skip
    _draw(found, tell)
    return found


def _draw(found: FoundNetworks, tell: Callable[[str], None]) -> None:
    """Write the page of a search, and its fronts as drawings if matplotlib is there."""
    comparison = found.comparison
    write_page(found.directory / PAGE, comparison.html(TITLE))
    try:
        for name in DRAWINGS:
            plot_comparison(comparison, found.directory / name)
    except ToolError as error:
        tell(f"the fronts are not drawn; {error}")


def _contender(ranking: Ranking, row: RankedCandidate, place: Place) -> Contender:
    """The network of a row, for the core class of its board."""
    network = ranking.build(row)
    target = estimate(network, board=place.board, library=place.library).target
    if network.target != target:
        network = network.for_target(target)
    network.name = row.name
    return Contender(row.name, row.text, row.score, network)


def _text_of_family(family: Family) -> str:
    """What tells a family from others, with the content of its file."""
    text = f"{family.name} {text_of(dict(family.space))} {text_of(family.make)}"
    if isinstance(family.make, FileBuild):
        content = outputs.digest(Path(family.make.path).read_bytes())
        text = f"{family.name} {content[:16]}"
    return text


def _short(board: Board | None) -> str:
    """The name of a board, and what tells it from another of this name."""
    if board is None:
        return "none"
    return f"{board.name} {outputs.digest(repr(board).encode())[:8]}"


def _digest(data: Dataset) -> str:
    arrays = {"images": data.images, "labels": data.labels}
    return f"{len(data)} images {archive.digest(arrays)[:16]}"


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
        raise BudgetError(
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
        run = rounds.run_of(rung, trained.name)
        record = finish(trained.name, run, directory, test, place)
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


def _order(network: FoundNetwork) -> tuple[float, ...]:
    """Finalists first, the most accurate first; others by what they were judged by."""
    judged = network.held_out_accuracy or 0.0
    if network.is_finalist:
        judged = network.accuracy
    return -network.is_finalist, -network.epochs, -judged


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
                is_finalist=is_finalist,
                costs=costs_of(directory, place),
                on=proof.on,
                images=proof.images,
                differing_bytes=proof.differing_bytes,
                directory=directory,
            )
        )
    networks.sort(key=_order)
    ready = journal.of(Ready)[0]
    return FoundNetworks(
        directory=rounds.directory,
        drawn=ready.candidates,
        fitting=ready.fitting,
        networks=tuple(networks),
        failed=tuple((record.name, record.reason) for record in journal.of(Failed)),
    )
