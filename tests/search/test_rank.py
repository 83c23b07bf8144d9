"""Candidates costed and ranked without training."""

import json
import math
import sys

import click
import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner
from rank_correlation import RESULTS, kendall, spearman
from rank_correlation import family as drawn_family

import kanji_np as kj
from kanji_np.cli.family import FamilyOptions, family_options
from kanji_np.errors import FileFormatError, KanjiError, OptionError, ToolError
from kanji_np.search.family import Family, read_family
from kanji_np.search.images import image_family
from kanji_np.search.proxy import macs, score, weights
from kanji_np.search.rank import rank

SPACE = {"width": [4, 8, 16], "stages": [2, 3], "depth": [1], "kernel": [3]}
BOARD = "nucleo-f446re"


@pytest.fixture(scope="module")
def family():
    return image_family((8, 8, 3), 4, SPACE)


@pytest.fixture(scope="module")
def budget(family):
    """One that about half of the candidates keep."""
    rows = rank(family, 40, board=BOARD, seed=2).rows
    return kj.Budget(
        ram_bytes=sorted(row.costs.ram_bytes for row in rows)[len(rows) // 2]
    )


@pytest.fixture(scope="module")
def ranking(family, budget):
    return rank(family, 40, board=BOARD, budget=budget, seed=2)


def test_the_score_counts_what_the_report_counts():
    for network in (kj.resnet8(), kj.ds_cnn(), kj.autoencoder()):
        report = kj.cost_report(network)
        assert macs(network) == report.macs
        assert score(network) == math.log2(report.macs * weights(network))
    small = kj.Sequential([kj.Conv2D(2, 3), kj.Flatten(), kj.Dense(3)], (4, 4, 1))
    assert weights(small) == 2 * 9 + 3 * 8


def test_costs_are_those_of_the_estimate(ranking, budget):
    for row in (ranking.rows[0], ranking.rows[-1]):
        network = ranking.build(row)
        made = kj.estimate(network, board=BOARD)
        assert row.score == score(network)
        assert row.costs.macs == made.macs
        assert row.costs.flash_bytes == made.flash_bytes
        assert row.costs.ram_bytes == made.ram_bytes
        assert row.costs.seconds == made.seconds
        assert row.fits == (made.ram_bytes <= budget.ram_bytes)


def test_those_that_fit_come_first_by_falling_score(ranking):
    fits = [row.fits for row in ranking.rows]
    assert True in fits and False in fits
    assert fits == sorted(fits, reverse=True)
    scores = [row.score for row in ranking.candidates]
    assert scores == sorted(scores, reverse=True)
    assert all(row.over == ("ram",) for row in ranking.rows if not row.fits)
    assert ranking.drawn == 40 == len(ranking.rows) + ranking.skipped
    assert len({row.name for row in ranking.rows}) == len(ranking.rows)


def test_the_front_holds_exactly_what_nothing_else_beats(ranking):
    def losses(row):
        c = row.costs
        return -row.score, c.flash_bytes, c.ram_bytes, c.seconds.likely

    points = [losses(row) for row in ranking.candidates]
    for row, mine in zip(ranking.candidates, points, strict=True):
        beaten = any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in points
        )
        assert row.on_front == (not beaten)
    assert not any(row.on_front for row in ranking.rows if not row.fits)
    assert ranking.front and len(ranking.front) < len(ranking.rows)


def test_the_seed_alone_decides_also_with_two_processes(family, ranking, budget):
    told = []
    again = rank(
        family, 40, board=BOARD, budget=budget, seed=2, workers=2,
        progress=told.append,
    )  # fmt: skip
    assert again.json() == ranking.json()
    assert sum(told) == 40
    other = rank(family, 40, board=BOARD, budget=budget, seed=3)
    assert other.json() != ranking.json()


def test_text_and_json_say_the_same(ranking):
    text, data = str(ranking), json.loads(ranking.json())
    assert f"40 of {ranking.family.size:,} candidates of images" in text
    assert f"{ranking.fitting} fit {ranking.where} within ram=" in text
    assert data["fitting"] == ranking.fitting
    assert data["candidates"][0]["name"] == ranking.rows[0].name
    assert len(ranking.table(3).splitlines()) == 5
    best = ranking.candidates[0]
    assert best.text in text and f"{best.costs.ram_bytes:,}" in text


def test_where_nothing_fits_the_lowest_costs_are_named():
    ranking = rank(image_family((8, 8, 3), 4), 6, board=BOARD, budget="flash=1K")
    assert not ranking.fitting
    last = str(ranking).splitlines()[-1]
    least = min(row.costs.flash_bytes for row in ranking.rows)
    assert last.startswith("the lowest of each cost that was found: flash")
    assert f"flash {least:,} bytes, RAM " in last and " ms (" in last


def test_what_makes_no_network_is_counted():
    space = {"stages": [2, 9], "shrink": ["pool"], "kernel": [3], "width": [4]}
    space |= {"growth": [1.0], "depth": [1], "block": ["conv"]}
    ranking = rank(image_family((8, 8, 3), 4, space))
    assert ranking.drawn == 12 and ranking.skipped >= 6
    assert f"{ranking.skipped:,} make no network, the first because" in str(ranking)
    hopeless = image_family((8, 8, 3), 4, space | {"stages": [9]})
    with pytest.raises(OptionError, match="none of .* combinations makes a network"):
        rank(hopeless)


def test_a_file_that_fails_ends_the_ranking(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("space = {'a': [1]}\ndef build(a):\n    return missing\n")
    with pytest.raises(FileFormatError, match=r"mine\.py, line 3: NameError"):
        rank(read_family(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": 0}, "candidates must be an int"),
        ({"workers": 0}, "workers must be an int"),
        ({"sampler": "best"}, "sampler must be one of random, optuna"),
        ({"budget": "latency=5ms"}, "board must be named to limit latency"),
        ({"board": "nucleo"}, "nucleo"),
    ],
)
def test_arguments_that_are_wrong_are_named(family, arguments, message):
    with pytest.raises(KanjiError, match=message):
        rank(family, **({"candidates": 3} | arguments))


def test_optuna_proposes_distinct_candidates_and_learns(family):
    first = rank(family, 60, sampler="optuna", seed=1)
    assert first.json() == rank(family, 60, sampler="optuna", seed=1).json()
    assert first.drawn == 60
    numbers = [row.candidate.number for row in first.rows]
    assert len(set(numbers)) == len(numbers)


def test_optuna_that_is_missing_is_named(monkeypatch, family):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ToolError, match=r"pip install 'kanji-np\[optuna\]'"):
        rank(family, 3, sampler="optuna")


def options(*arguments):
    """The family that options name."""
    found = []

    @click.command()
    @family_options
    def command(family: FamilyOptions):
        try:
            found.append(family.load((16, 16, 3), 10, mean=128))
        except KanjiError as error:
            raise click.ClickException(str(error)) from None

    result = CliRunner().invoke(command, arguments)
    return found[0] if found else result.output


def test_options_name_the_choices_of_the_family(tmp_path):
    family = options("--widths", "8,12", "--growths", "1,1.5", "--blocks", "conv")
    assert family.space["width"] == (8, 12)
    assert family.space["growth"] == (1.0, 1.5)
    assert family.space["block"] == ("conv",)
    assert family.space["resolution"] == (16, 12, 8)
    assert "'a' is not a list such as 8,16" in options("--widths", "a")
    assert "--widths must be an int in 1 .. 1024, got 0" in options("--widths", "0")
    assert "--blocks must be one of conv" in options("--blocks", "dense")
    path = tmp_path / "mine.py"
    path.write_text("space = {'a': [1]}\ndef build(a): pass\n")
    assert isinstance(options("--family", str(path)), Family)
    told = options("--family", str(path), "--kernels", "3")
    assert "--family and --kernels exclude each other" in told


def test_rank_correlations_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 20).astype(float), rng.normal(size=20)
    for x, y in ((a, b), (b, b**3), (a, a[::-1])):
        assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
        assert kendall(x, y) == pytest.approx(scipy.stats.kendalltau(x, y).statistic)


def test_recorded_networks_are_of_the_family_that_was_drawn():
    networks = drawn_family()
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    assert len({row["number"] for row in rows}) == len(rows)
    for row in rows:
        assert networks.candidate(row["number"]).choices == row["choices"]
        assert 0.1 < row["accuracy"] < 1
