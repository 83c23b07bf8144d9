"""The journal of a search: whole lines, one question, nothing lost."""

import errno
import os

import pytest

from kanji_np.errors import FileFormatError, OptionError
from kanji_np.search.journal import (
    JOURNAL,
    Chosen,
    Epoch,
    Failed,
    Journal,
    Lost,
    Question,
    Ready,
    Trained,
    Verified,
)

QUESTION = Question({"budget": "flash=256K", "seed": "0"})
RECORDS = (
    QUESTION,
    Chosen("a", "width=8", None, "0" * 64),
    Ready(2000, 700),
    Epoch(1, "a", 1, 0.25, 1.5),
    Lost(1, "a"),
    Trained(1, "a", None, "1" * 64),
    Failed(1, "b", "the loss is NaN"),
    Verified("a", 0.5, "host", 200, 0),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / JOURNAL
    journal = Journal(path, QUESTION)
    for record in RECORDS[1:]:
        journal.add(record)
    return path


def test_every_record_is_read_as_it_was_written(path):
    before = path.read_bytes()
    journal = Journal(path, QUESTION)
    assert tuple(journal.records) == RECORDS
    assert journal.of(Ready) == [Ready(2000, 700)]
    assert path.read_bytes() == before


def test_a_last_line_that_is_cut_short_is_dropped_wherever_it_is_cut(path):
    data = path.read_bytes()
    begin = data.rindex(b"\n", 0, -1) + 1
    for end in (begin, begin + 1, len(data) - 1):
        path.write_bytes(data[:end])
        journal = Journal(path, QUESTION)
        assert tuple(journal.records) == RECORDS[:-1]
        assert path.read_bytes() == data[:begin]
    journal.add(RECORDS[-1])
    assert path.read_bytes() == data


def test_a_first_line_that_is_cut_short_is_written_again(path):
    data = path.read_bytes()
    for end in (0, 5, data.index(b"\n")):
        path.write_bytes(data[:end])
        assert Journal(path, QUESTION).records == [QUESTION]


def test_another_question_needs_another_directory(path):
    other = Question({"budget": "flash=128K", "seed": "0"})
    with pytest.raises(
        OptionError,
        match="is of a search with budget flash=256K, not flash=128K: choose another",
    ):
        Journal(path, other)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"[]", "line 2 is not a journal's: the file must be an object"),
        (b'{"kind": "x"}', "kind must be one of question, chosen"),
        (b'{"kind": "lost", "rung": 0, "name": "a"}', "rung must be an int"),
        (b'{"kind": "lost", "rung": 1, "name": "../a"}', "name must be a C identifier"),
        (b'{"kind": "question", "format": 1, "facts": {}}', "in the first line"),
        (b"\xff", "is no JSON"),
    ],
)
def test_a_whole_line_of_something_else_is_refused(path, line, what):
    lines = path.read_bytes().splitlines(True)
    path.write_bytes(lines[0] + line + b"\n" + lines[1])
    with pytest.raises(FileFormatError, match=what) as caught:
        Journal(path, QUESTION)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"my notes", b"my notes\n"])
def test_a_file_that_is_no_journal_is_kept(path, data):
    path.write_bytes(data)
    with pytest.raises(FileFormatError):
        Journal(path, QUESTION)
    assert path.read_bytes() == data


def test_a_full_disk_leaves_whole_lines(path, monkeypatch):
    journal, before = Journal(path, QUESTION), path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=JOURNAL):
        journal.add(Lost(1, "a"))
    assert path.read_bytes() == before
    assert tuple(journal.records) == RECORDS
