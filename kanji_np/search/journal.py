"""The journal of a search: what was asked, and all that has come out so far.

One JSON object a line, appended and on disk before the search goes on. A process that
is killed loses at most the line it was writing: what stands behind the last end of line
is dropped when the journal is opened again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from kanji_np import checks, outputs, schema
from kanji_np.errors import FileFormatError, OptionError
from kanji_np.settings import differ

JOURNAL = "journal.jsonl"
FORMAT = 1
MOST_JOURNAL_BYTES = 2**30

_SCORE = schema.nullable(schema.number(0, 1))


@dataclass(frozen=True)
class Question:
    """What is searched for: a journal goes on with the same question alone.

    Parameters
    ----------
    facts : mapping of str to str
        Every setting that decides the outcome, by the name that messages have for it.
    """

    kind: ClassVar = "question"
    rules: ClassVar = {"facts": schema.mapping(schema.string)}

    facts: Mapping[str, str]


@dataclass(frozen=True)
class Chosen:
    """A candidate that is trained.

    Parameters
    ----------
    name : str
    text : str
        The choices it was made from, for reading.
    score : float or None
        Of the ranking without training.
    digest : str
        SHA-256 of its file, untrained.
    """

    kind: ClassVar = "chosen"
    rules: ClassVar = {
        "name": checks.lower_identifier,
        "text": schema.string,
        "score": schema.nullable(schema.number()),
        "digest": schema.text,
    }

    name: str
    text: str
    score: float | None
    digest: str


@dataclass(frozen=True)
class Ready:
    """All candidates are chosen.

    Parameters
    ----------
    candidates, fitting : int
        How many there were, and how many of them fit board and budget.
    """

    kind: ClassVar = "ready"
    rules: ClassVar = {"candidates": schema.integer(), "fitting": schema.integer()}

    candidates: int
    fitting: int


@dataclass(frozen=True)
class Epoch:
    """One epoch of one network, whose checkpoint is on disk.

    Parameters
    ----------
    rung : int
    name : str
    epoch : int
        From 1.
    accuracy : float or None
        On the held-out images, 0..1; None in the last rung, which holds none out.
    seconds : float
    """

    kind: ClassVar = "epoch"
    rules: ClassVar = {
        "rung": schema.integer(1),
        "name": checks.lower_identifier,
        "epoch": schema.integer(1),
        "accuracy": _SCORE,
        "seconds": schema.number(0),
    }

    rung: int
    name: str
    epoch: int
    accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A network has been trained for all epochs of a rung.

    Parameters
    ----------
    rung : int
    name : str
    accuracy : float or None
        As in `Epoch`.
    digest : str
        SHA-256 of its model file.
    """

    kind: ClassVar = "trained"
    rules: ClassVar = {
        "rung": schema.integer(1),
        "name": checks.lower_identifier,
        "accuracy": _SCORE,
        "digest": schema.text,
    }

    rung: int
    name: str
    accuracy: float | None
    digest: str


@dataclass(frozen=True)
class Failed:
    """A network could not be trained, and the search goes on without it.

    Parameters
    ----------
    rung : int
    name, reason : str
    """

    kind: ClassVar = "failed"
    rules: ClassVar = {
        "rung": schema.integer(1),
        "name": checks.lower_identifier,
        "reason": schema.string,
    }

    rung: int
    name: str
    reason: str


@dataclass(frozen=True)
class Lost:
    """A worker ended in the middle of a network's epoch, which is trained again.

    Parameters
    ----------
    rung : int
    name : str
    """

    kind: ClassVar = "lost"
    rules: ClassVar = {"rung": schema.integer(1), "name": checks.lower_identifier}

    rung: int
    name: str


@dataclass(frozen=True)
class Verified:
    """A trained network has been exported, compiled and compared.

    Parameters
    ----------
    name : str
    accuracy : float
        On the test images, 0..1.
    on : str
        "host", or an emulated core.
    images, differing_bytes : int
    """

    kind: ClassVar = "verified"
    rules: ClassVar = {
        "name": checks.lower_identifier,
        "accuracy": schema.number(0, 1),
        "on": schema.text,
        "images": schema.integer(),
        "differing_bytes": schema.integer(),
    }

    name: str
    accuracy: float
    on: str
    images: int
    differing_bytes: int


Record = Question | Chosen | Ready | Epoch | Trained | Failed | Lost | Verified

KINDS: dict[str, Callable[..., Record]] = {}
_RULES: dict[str, schema.Rule] = {}
for _kind in (Question, Chosen, Ready, Epoch, Trained, Failed, Lost, Verified):
    KINDS[_kind.kind] = _kind
    _RULES[_kind.kind] = schema.record(
        {"format": schema.version(FORMAT), "kind": schema.text, **_kind.rules},
        optional=("format",),
    )


class Journal:
    """The records of a search, in the order they were written.

    Parameters
    ----------
    path : Path
        Made if it is not there. The caller holds the lock of its folder.
    question : Question
        What is to be searched for.

    Raises
    ------
    OptionError
        The journal is of another question, or something else is at the path.
    FileFormatError
        A line that was written whole is none of a journal.
    """

    def __init__(self, path: Path, question: Question) -> None:
        self.path = path
        outputs.check_place(path)
        self.records = _read(path)
        if self.records:
            _check_question(path, self.records, question)
        else:
            self.add(question)

    def add(self, record: Record) -> None:
        """Append a record; it is on disk when this returns.

        Raises
        ------
        OSError
            It cannot be written, for want of space for example.
        """
        head = {"format": FORMAT} if isinstance(record, Question) else {}
        facts = {"kind": record.kind, **head, **asdict(record)}
        line = json.dumps(facts, allow_nan=False) + "\n"
        is_new = not self.path.exists()
        with open(self.path, "ab") as file:
            end = file.tell()
            try:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                os.truncate(self.path, end)
                raise OSError(error.errno, error.strerror, str(self.path)) from None
        if is_new:
            _sync_folder(self.path.parent)
        self.records.append(record)

    def of(self, kind: type) -> list[Any]:
        """The records of one kind."""
        return [record for record in self.records if isinstance(record, kind)]


def _read(path: Path) -> list[Record]:
    """The records of a journal; a last line that was cut short is taken off."""
    if not path.exists():
        return []
    with schema.opened(path) as file:
        data = file.read(MOST_JOURNAL_BYTES + 1)
    whole, newline, torn = data.rpartition(b"\n")
    lines = whole.split(b"\n") if newline else []
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        with schema.refusing(f"{path}: line {number} is not a journal's"):
            record = _record(line)
            if isinstance(record, Question) != (number == 1):
                raise OptionError("a question stands in the first line, and there only")
            records.append(record)
    if torn:
        if not records and not data.startswith(b'{"kind": "question"'[: len(data)]):
            raise FileFormatError(f"{path}: not the journal of a search")
        os.truncate(path, len(data) - len(torn))
    return records


def _record(line: bytes) -> Record:
    """What a line says."""
    facts = schema.mapping(schema.anything)("", schema.parse(line))
    kind = checks.one_of("kind", facts.get("kind"), KINDS)
    facts = _RULES[kind]("", facts)
    if kind == Question.kind and facts.pop("format", None) is None:
        raise OptionError("format is missing")
    return KINDS[facts.pop("kind")](**facts)


def _check_question(path: Path, records: list[Record], asked: Question) -> None:
    """OptionError if a journal is of another question."""
    held = records[0]
    assert isinstance(held, Question)
    for name in {**held.facts, **asked.facts}:
        theirs, mine = held.facts.get(name), asked.facts.get(name)
        if differ(theirs, mine or ""):
            shown = [checks.line(text or "unknown")[:200] for text in (theirs, mine)]
            raise OptionError(
                f"{path} is of a search with {name} {shown[0]}, not {shown[1]}: choose "
                "another directory"
            )


def _sync_folder(folder: Path) -> None:
    """Have a new file's name on disk, where folders can be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def known(accuracy: float) -> float | None:
    """An accuracy as a journal has it: None in place of NaN."""
    return None if math.isnan(accuracy) else accuracy
