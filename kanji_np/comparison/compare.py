"""Networks, targets and boards side by side."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import formats, zoo
from kanji_np.checks import one_of, shown
from kanji_np.choices import KERNEL_LIBRARIES, NETWORKS
from kanji_np.comparison import page, tables
from kanji_np.comparison.rows import ComparisonRow, with_fronts
from kanji_np.cost.boards import Board
from kanji_np.cost.boards import board as board_of
from kanji_np.cost.estimate import Estimate, estimate
from kanji_np.errors import FileFormatError, KanjiError, OptionError
from kanji_np.model import Model, load
from kanji_np.results import Result, portable, read_result
from kanji_np.targets import same_arithmetic, target_spec
from kanji_np.train import read_history
from kanji_np.train.checkpoint import HISTORY, MODEL
from kanji_np.types import TargetSpec

if TYPE_CHECKING:
    from kanji_np.data import Dataset

MOST_ROWS = 1000
#: Files beside a model that say what it scored, where they are not larger.
MOST_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class Comparison:
    """Networks side by side; prints as a table.

    Parameters
    ----------
    rows : tuple of ComparisonRow
        Networks in the order they were given, on each board in the order of these.
    """

    rows: tuple[ComparisonRow, ...]

    def json(self) -> str:
        """The comparison as one JSON object on one line; sizes in bytes, times in s,
        energies in J."""
        return json.dumps({"rows": [_facts(row) for row in self.rows]})

    def markdown(self) -> str:
        """The table as Markdown."""
        return tables.markdown(self.rows)

    def html(self) -> str:
        """A page that needs no other file."""
        return page.html(self.rows)

    def __str__(self) -> str:
        return tables.text(self.rows)


def compare(
    networks: Sequence[Model | str | Path],
    *,
    boards: Sequence[str | Path | Board] = (),
    targets: Sequence[str | TargetSpec] = (),
    libraries: Sequence[str] = ("ccore",),
    data: Dataset | None = None,
) -> Comparison:
    """Networks, targets and boards side by side.

    Parameters
    ----------
    networks : sequence of Model, str or path
        Networks; files of networks, also ``.tflite`` and ``.onnx``; or names of
        untrained networks, such as "resnet8" or "paper-cnn:16,16,32".
    boards : sequence of str, path or Board, optional
        As `board` takes each. By default costs are those of the usual core of the
        network's class, without time or energy.
    targets : sequence of str or TargetSpec, optional
        "cmsis-nn", "cmsis-nn/4.0.0", "cmsis-nn-q7" and so on. By default each
        network's own.
    libraries : sequence of "ccore" or "cmsis-nn"
        Whose kernels are linked.
    data : Dataset, optional
        What trained networks are scored on. By default a score is taken from the files
        that `kanji-np train` left beside a model.

    Returns
    -------
    Comparison

    Raises
    ------
    OptionError
        There is nothing to compare, or a name is not known.
    FileFormatError
        A file is none of a network.
    """
    if isinstance(networks, str | Path | Model) or not networks:
        raise OptionError("networks must be a list of one network or more")
    return compare_named(
        [named(network) for network in networks],
        boards=boards, targets=targets, libraries=libraries, data=data,
    )  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A network with the name it has in a comparison, and the file it comes from."""

    name: str
    network: Model
    path: Path | None = None


def named(network: Model | str | Path) -> Named:
    """A network of a comparison by what `compare` was given."""
    if isinstance(network, Model):
        return Named(network.name, network)
    if isinstance(network, str) and network.partition(":")[0] in NETWORKS:
        return Named(network, of_the_zoo(network))
    if not isinstance(network, str | Path):
        raise OptionError(
            f"a network is a Model, a path or a name, got {shown(network)}"
        )
    path = file_of(network)
    return Named(portable(str(network)), _loaded(path), path)


def file_of(network: str | Path) -> Path:
    """The file of a network; OptionError if a name is meant that no network has."""
    path = Path(network)
    if not path.suffix and not path.exists():
        raise OptionError(
            f"{path}: no such file, and no network has this name; those that have one "
            f"are {', '.join(NETWORKS)}"
        )
    return path


def of_the_zoo(text: str) -> Model:
    """An untrained network by its name, and channels behind a colon."""
    name, colon, channels = text.partition(":")
    make = zoo.NETWORKS[name]
    if not colon:
        return make()
    if make not in (zoo.paper_cnn, zoo.paper_vgg):
        raise OptionError(
            f"{text}: {name} has no channels to choose: leave out the ':'"
        )
    counts = channels.split(",")
    if not all(count.isascii() and count.isdigit() for count in counts):
        raise OptionError(f"{text}: channels are integers, as in {name}:16,16,32")
    return make([int(count[:9]) for count in counts])


def _loaded(path: Path) -> Model:
    if formats.is_foreign(path):
        return formats.read(path, "cmsis-nn").network
    formats.check_known(path)
    return load(path)


def compare_named(
    networks: Sequence[Named],
    *,
    boards: Sequence[str | Path | Board] = (),
    targets: Sequence[str | TargetSpec] = (),
    libraries: Sequence[str] = ("ccore",),
    data: Dataset | None = None,
) -> Comparison:
    """The same of networks that are loaded; names that occur twice are numbered."""
    places: list[Board | None] = [board_of(board) for board in boards] or [None]
    specs: list[TargetSpec | None] = [_spec(target) for target in targets] or [None]
    for library in libraries:
        one_of("libraries", library, KERNEL_LIBRARIES)
    count = len(networks) * len(places) * len(specs) * len(libraries)
    if count > MOST_ROWS:
        raise OptionError(f"{count:,} rows are too many: at most {MOST_ROWS:,}")
    rows: list[ComparisonRow] = []
    for named, spec in itertools.product(_numbered(networks), specs):
        rows += _rows_of(named, spec, places, libraries, data)
    return Comparison(with_fronts(rows))


def _numbered(networks: Sequence[Named]) -> Iterator[Named]:
    twice = Counter(named.name for named in networks)
    seen: Counter[str] = Counter()
    for named in networks:
        seen[named.name] += 1
        number = f" ({seen[named.name]})" if twice[named.name] > 1 else ""
        yield replace(named, name=f"{named.name}{number}")


def _spec(target: str | TargetSpec) -> TargetSpec:
    if isinstance(target, TargetSpec):
        return target
    library, slash, version = target.partition("/")
    return target_spec(library, version=version if slash else None)


def _rows_of(
    named: Named,
    spec: TargetSpec | None,
    places: Sequence[Board | None],
    libraries: Sequence[str],
    data: Dataset | None,
) -> Iterator[ComparisonRow]:
    """The rows of a network for a target: each board with each library."""
    notes: tuple[str, ...]
    try:
        net = named.network if spec is None else named.network.for_target(spec)
        accuracy, notes = _score(named, net, data)
    except KanjiError as error:
        yield from (
            ComparisonRow(
                named.name, str(spec), _place(board, None), library, None, None,
                (str(error),),
            )
            for board, library in itertools.product(places, libraries)
        )  # fmt: skip
        return
    for board, library in itertools.product(places, libraries):
        made: Estimate | None = None
        try:
            made = estimate(net, board=board, library=library)
            more = made.shortages
        except KanjiError as error:
            more = (str(error),)
        yield ComparisonRow(
            named.name, str(net.target), _place(board, made), library, accuracy, made,
            (*notes, *more),
        )  # fmt: skip


def _place(board: Board | None, made: Estimate | None) -> str:
    if board is not None:
        return board.title
    return made.core if made else ""


def _score(
    named: Named, net: Model, data: Dataset | None
) -> tuple[float | None, tuple[str, ...]]:
    """The accuracy of a network, measured or recorded, and why there is none."""
    if data is None:
        return _recorded(named, net), ()
    if not net.is_calibrated:
        return None, ("not scored: it is not trained",)
    try:
        return net.evaluate(data), ()
    except KanjiError as error:
        return None, (f"not scored: {error}",)


def _recorded(named: Named, net: Model) -> float | None:
    """What a training left beside a model file, if it holds for this target.

    A file of `kanji-np train --result` names the integers that it is about. A history
    ends with the score of the model that stands beside it.
    """
    if named.path is None or not net.is_calibrated:
        return None
    digest = None
    for path in sorted(named.path.parent.glob("*.json")):
        if path.stat().st_size <= MOST_RECORD_BYTES and (result := _result(path)):
            digest = digest or net.freeze().digest()
            if result.digest == digest and result.metric == "accuracy":
                return result.int8_score
    trained_for = net.trained_for
    if trained_for is None or not same_arithmetic(trained_for, net.target):
        return None
    return _last_score(named.path)


def _result(path: Path) -> Result | None:
    try:
        return read_result(path)
    except (FileFormatError, OptionError):
        return None


def _last_score(model: Path) -> float | None:
    """The validation accuracy of the last epoch in the history beside a model."""
    history = model.with_name(HISTORY)
    if model.name != MODEL or not history.is_file():
        return None
    try:
        epochs = read_history(history).epochs
    except FileFormatError:
        return None
    if not epochs or epochs[-1].precision != "int8":
        return None
    score = epochs[-1].validation_accuracy
    return None if math.isnan(score) else score


def _facts(row: ComparisonRow) -> dict[str, object]:
    """A row as plain data."""
    facts: dict[str, object] = {
        "network": row.network,
        "target": row.target,
        "place": row.place,
        "library": row.library,
        "accuracy": row.accuracy,
        "fits": row.fits,
        "front": [*row.front],
        "notes": [*row.notes],
    }
    made = row.estimate
    facts["core"] = made and made.core
    facts["flash_bytes"] = made and made.flash_bytes
    facts["ram_bytes"] = made and made.ram_bytes
    facts["instructions"] = made and made.instructions
    for name, used in (
        ("seconds", made and made.seconds),
        ("joules", made and made.joules),
    ):
        facts[name] = (
            {"low": used.low, "likely": used.likely, "high": used.high}
            if used
            else None
        )
    return facts
