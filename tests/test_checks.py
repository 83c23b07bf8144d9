"""Values from outside are taken in one form, or refused in one line."""

import math

import numpy as np
import pytest

from kanji_np import checks
from kanji_np.errors import OptionError


@pytest.mark.parametrize("value", [3, np.int32(3), np.uint8(3), np.int64(3)])
def test_integers_of_every_type_become_plain_ones(value):
    got = checks.integer("size", value, 1, 3)
    assert (type(got), got) == (int, 3)


@pytest.mark.parametrize("value", [0, 4, True, 2.0, "2", None, np.bool_(True), [2]])
def test_what_is_not_an_integer_in_range_is_refused(value):
    with pytest.raises(OptionError, match=r"^size must be an int in 1 .. 3, got .+$"):
        checks.integer("size", value, 1, 3)


def test_an_integer_without_upper_limit():
    assert checks.integer("seed", 10**30, 0) == 10**30
    with pytest.raises(OptionError, match="^seed must be an int of at least 0, got -1"):
        checks.integer("seed", -1, 0)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1)])
def test_numbers_become_floats(value):
    got = checks.number("lr", value, 0, 1)
    assert (type(got), got) == (float, 1.0)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 10**400, -0.1, 1.1, True, "1", 1j]
)
def test_what_is_not_a_finite_number_in_range_is_refused(value):
    with pytest.raises(
        OptionError, match=r"^lr must be a finite number in 0 .. 1, got"
    ):
        checks.number("lr", value, 0, 1)


def test_a_limit_that_is_not_reached():
    assert checks.number("averaging", 0.5, 0, below=1) == 0.5
    for value in (1, 1.0, -0.1, math.inf):
        with pytest.raises(OptionError, match=r"^averaging .* in \[0, 1\), got "):
            checks.number("averaging", value, 0, below=1)


def test_words():
    assert checks.one_of("core", "c", ("c", "dsp")) == "c"
    for value in ("C", None, ["c"], np.array(["c", "dsp"])):
        with pytest.raises(OptionError, match="^core must be one of c, dsp; got "):
            checks.one_of("core", value, ("c", "dsp"))


def test_a_long_value_is_cut_and_stays_on_one_line():
    text = checks.shown("x" * 10**6 + "\n")
    assert len(text) == 80 and text.endswith("...")
    assert "\n" not in checks.shown(np.zeros((3, 3)))


def test_text_of_a_file_stays_on_one_line():
    assert checks.line("SGD(lr=0.1) ä") == "SGD(lr=0.1) ä"
    for text in ("a\nb", "\x00", "\ud800"):
        assert checks.line(text).isprintable()


def test_names_in_a_message_are_cut_where_there_are_many():
    assert checks.listed([]) == "none"
    assert checks.listed("abc", "; ") == "a; b; c"
    assert checks.listed(range(8)) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert checks.listed(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 2 more"
