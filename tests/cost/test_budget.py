"""Budgets: what is typed, and what of it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np import Budget, OptionError

sizes = st.none() | st.integers(1, 2**40)
amounts = st.none() | st.floats(1e-12, 1e6)


@pytest.mark.parametrize(
    ("text", "budget", "written"),
    [
        (
            "flash=256K,ram=64K,latency=100ms,energy=5mJ",
            Budget(256 * 1024, 64 * 1024, 0.1, 0.005),
            "flash=256K,ram=64K,latency=100ms,energy=5mJ",
        ),
        ("ram=65536B", Budget(ram_bytes=65536), "ram=64K"),
        (" ram = 1.5 KiB ", Budget(ram_bytes=1536), "ram=1536B"),
        ("flash=1MB", Budget(flash_bytes=2**20), "flash=1M"),
        ("flash=1KB,energy=2J", Budget(1024, joules=2.0), "flash=1K,energy=2J"),
        ("latency=0.0025s", Budget(seconds=0.0025), "latency=2500us"),
        ("energy=120uJ", Budget(joules=0.00012), "energy=120uJ"),
    ],
)
def test_text_is_read_and_written(text, budget, written):
    assert Budget.parse(text) == budget
    assert str(budget) == written


@given(flash=sizes, ram=sizes, seconds=amounts, joules=amounts)
def test_what_is_written_is_read_again(flash, ram, seconds, joules):
    budget = Budget(flash, ram, seconds, joules)
    if budget == Budget():
        assert str(budget) == ""
    else:
        assert Budget.parse(str(budget)) == budget


SUCH = "flash=256K,ram=64K,latency=100ms,energy=5mJ"
REFUSED = {
    "": f"budget: must be such as {SUCH}, got ''",
    " ": f"budget: must be such as {SUCH}, got ' '",
    "time=3ms": "budget: cannot limit 'time'; choose from flash, ram, latency, energy",
    "RAM=3K": "budget: cannot limit 'RAM'; choose from flash, ram, latency, energy",
    "ram=3K,": "budget: cannot limit ''; choose from flash, ram, latency, energy",
    "ram": f"budget: ram has no value: write it as in {SUCH}",
    "ram=": f"budget: ram has no value: write it as in {SUCH}",
    "ram=64": "budget: ram=64 has no unit: write 64B or 64K or 64M",
    "latency=5": "budget: latency=5 has no unit: write 5us or 5ms or 5s",
    "ram=64G": "budget: 'G' is no unit of ram; choose from M, MB, MiB, K, KB, KiB, B",
    "latency=5mJ": "budget: 'mJ' is no unit of latency; choose from s, ms, us",
    "energy=5MJ": "budget: 'MJ' is no unit of energy; choose from J, mJ, uJ",
    "ram=1K,ram=1K": "budget: ram is given twice",
    "ram=-4K": "budget: ram must be more than 0, got -4K",
    "ram=0K": "budget: ram must be more than 0, got 0K",
    "ram=much": f"budget: ram=much is not a number and a unit, as in {SUCH}",
    "ram=1e3K": f"budget: ram=1e3K is not a number and a unit, as in {SUCH}",
    "ram=nanK": f"budget: ram=nanK is not a number and a unit, as in {SUCH}",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_mistake_gets_one_line(text):
    with pytest.raises(OptionError) as caught:
        Budget.parse(text)
    assert str(caught.value) == REFUSED[text]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"flash_bytes": 0}, "flash_bytes must be an int in 1 .. .*, got 0"),
        ({"ram_bytes": 1.5}, "ram_bytes must be an int in 1 .. .*, got 1.5"),
        ({"seconds": -1.0}, "seconds must be a finite number in .*, got -1.0"),
        ({"joules": float("nan")}, "joules must be a finite number in .*, got nan"),
    ],
)
def test_numbers_are_checked(limits, message):
    with pytest.raises(OptionError, match=message):
        Budget(**limits)


def test_what_is_no_text_is_refused():
    with pytest.raises(OptionError, match="budget: must be such as .*, got 5"):
        Budget.parse(5)
