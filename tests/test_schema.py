"""Rules name the place of what they refuse; JSON files are read by one road."""

import math
import os

import pytest

from kanji_np import schema
from kanji_np.errors import FileFormatError, OptionError

RULE = schema.record(
    {
        "name": schema.text,
        "sizes": schema.array(schema.integer(1, 9), 1, 3),
        "score": schema.nullable(schema.or_nan(schema.number(0, 1))),
        "pair": schema.columns(schema.integer(), schema.flag),
        "parts": schema.mapping(schema.one_of(("a", "b"))),
    },
    optional=("parts",),
)
GOOD = {"name": "n", "sizes": [1, 2], "score": 0.5, "pair": [1, True]}


def test_what_keeps_to_a_rule_comes_in_the_form_it_is_held_in():
    assert RULE("", GOOD) == GOOD | {"sizes": (1, 2), "pair": (1, True)}
    assert RULE("", GOOD | {"score": None, "parts": {"x": "a"}})["score"] is None
    assert math.isnan(RULE("", GOOD | {"score": math.nan})["score"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name must be text of one line, got 3"),
        ({"name": "a\nb"}, r"name must be text of one line, got 'a\\nb'"),
        ({"name": "\ud800"}, "name must be text of one line"),
        ({"sizes": []}, "sizes must be a list of at least 1 values"),
        ({"sizes": [1, 2, 3, 4]}, "sizes must be a list"),
        ({"sizes": "12"}, "sizes must be a list"),
        ({"sizes": [1, 10]}, r"sizes\[1\] must be an int in 1 .. 9, got 10"),
        ({"sizes": [1, True]}, r"sizes\[1\] must be an int in 1 .. 9, got True"),
        ({"sizes": [1, 2.0]}, r"sizes\[1\] must be an int in 1 .. 9, got 2.0"),
        ({"score": math.inf}, "score must be a finite number in 0 .. 1, got inf"),
        ({"score": 10**400}, "score must be a finite number"),
        ({"pair": [1]}, "pair must be a list of 2 values"),
        ({"pair": [1, 1]}, r"pair\[1\] must be True or False, got 1"),
        ({"parts": {"x": "c"}}, "parts.x must be one of a, b; got 'c'"),
        ({"parts": []}, "parts must be an object"),
        ({"more": 1}, "more is not known here"),
    ],
)
def test_what_does_not_is_refused_with_its_place(change, message):
    with pytest.raises(OptionError, match=f"^{message}"):
        RULE("", GOOD | change)


def test_what_is_missing_is_named():
    with pytest.raises(OptionError, match=r"^sizes is missing$"):
        RULE("", {"name": "n"})
    for value in (None, [], 7, "x"):
        with pytest.raises(OptionError, match="^the file must be an object"):
            RULE("", value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "is no JSON"),
        (b"9" * 10_000, "is no JSON"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice in one object"),
    ],
)
def test_text_that_is_no_json_is_refused(tmp_path, text, message):
    path = tmp_path / "file.json"
    path.write_bytes(text)
    with pytest.raises(FileFormatError) as caught:
        schema.read(path, schema.anything, "damaged")
    assert str(caught.value).startswith(f"{path}: damaged: ")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "pipe": "it is not a regular file",
        ".": "it is not a regular file",
        "gone": "no such file",
        "null\0": "cannot be read",
    }.items():
        with pytest.raises(FileFormatError, match=message):
            schema.read(tmp_path / name, schema.anything, "damaged")


def test_a_format_of_another_version_is_named():
    rule = schema.version(2)
    assert rule("format", 2) == 2
    for value, said in ((3, "3"), ("2", "'2'"), (True, "True"), (None, "None")):
        words = f"^format {said} is not the one that is read here, 2$"
        with pytest.raises(OptionError, match=words):
            rule("format", value)
