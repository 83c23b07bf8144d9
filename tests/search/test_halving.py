"""How many networks are trained for how long, and who goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np.errors import OptionError
from kanji_np.search.halving import best, plan


def table(*args, **options):
    return [(rung.networks, rung.epochs) for rung in plan(*args, **options)]


def test_each_rung_keeps_a_third_and_trains_it_three_times_as_long():
    assert table(20, 30) == [(20, 3), (7, 10), (3, 30)]
    assert table(60, 30) == [(60, 1), (20, 3), (7, 10), (3, 30)]
    assert table(6, 4, factor=2, finalists=2) == [(6, 1), (3, 2), (2, 4)]
    assert table(3, 30) == [(3, 30)]
    # Too few epochs for another rung, or for any.
    assert table(60, 3) == [(60, 1), (3, 3)]
    assert table(20, 2) == [(20, 2)]


@given(
    networks=st.integers(1, 500),
    epochs=st.integers(1, 200),
    factor=st.integers(2, 5),
    finalists=st.integers(1, 9),
)
def test_rungs_come_down_to_the_finalists(networks, epochs, factor, finalists):
    rungs = plan(networks, epochs, factor=factor, finalists=finalists)
    assert (rungs[0].networks, rungs[-1].epochs) == (networks, epochs)
    assert [rung.number for rung in rungs] == [*range(1, len(rungs) + 1)]
    assert [rung.is_last for rung in rungs] == [False] * (len(rungs) - 1) + [True]
    for before, after in zip(rungs, rungs[1:], strict=False):
        assert before.networks > after.networks >= finalists
        assert before.epochs * factor <= after.epochs
    if len(rungs) > 1:
        assert rungs[-1].networks == finalists


def test_of_equal_networks_the_earlier_goes_on():
    assert best({"a": 0.5, "b": 0.7, "c": 0.5, "d": 0.1}, 2) == ("b", "a")
    assert best({"a": 0.5}, 2) == ("a",)


@pytest.mark.parametrize("numbers", [(0, 3), (3, 0)])
def test_there_is_something_to_train(numbers):
    with pytest.raises(OptionError, match="must be an int of at least 1"):
        plan(*numbers)
