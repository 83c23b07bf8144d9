"""Results go to files and come back; seeds share a line of the table."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import kanji_np
import kanji_np.cli
from kanji_np import results
from kanji_np.errors import FileFormatError, OptionError
from kanji_np.results import (
    Proof,
    Result,
    check_output,
    portable,
    read_result,
    read_results,
    results_table,
    source,
    write_result,
)

RESULT = Result(
    command="kanji-np train --data cifar10",
    options={"data": "cifar10"},
    source="0123456789ab",
    cpu="a processor",
    threads=1,
    data="cifar10",
    network="paper-32",
    target="cmsis-nn/7.0.0/dsp/double",
    scheme="pow2",
    ranges="minmax",
    weight_bits=8,
    precision="int8",
    fp32_epochs=0,
    is_begun=False,
    epochs=30,
    seed=0,
    seconds=480.25,
    metric="accuracy",
    int8_score=0.8202,
    fp32_score=None,
    digest="ab12",
)
EXAMPLES = Path(__file__).parents[1] / "examples" / "results"
HOST = Proof("host", "ccore", 10000, 0)


def rows(*of):
    """The cells of each line of the table, by the names in its header."""
    header, rule, *lines = results_table(of).partition("\n\n")[0].splitlines()
    assert set(rule) == set("|:- ")
    names = header.strip("| ").split(" | ")
    cells = [line[2:-2].split(" | ") for line in lines]
    return [dict(zip(names, map(str.strip, line), strict=True)) for line in cells]


def test_a_result_comes_back_as_it_was(tmp_path):
    path = tmp_path / "new" / "a.json"
    for result in (
        RESULT,
        replace(RESULT, precision="fp32", fp32_score=0.8213).with_proof(HOST),
    ):
        write_result(path, result)
        assert read_result(path) == result
        assert path.read_text().count("\n") >= 20  # a line a fact, for diffs


def test_a_proof_takes_the_place_of_the_one_before():
    core = Proof("cortex-m4", "cmsis-nn", 100, 0)
    proven = RESULT.with_proof(replace(HOST, differing_bytes=3)).with_proof(core)
    assert proven.with_proof(HOST).proofs == (core, HOST)


def test_seeds_share_a_line():
    other = replace(RESULT, seed=1, int8_score=0.8186, seconds=500).with_proof(HOST)
    fp32 = replace(RESULT, precision="fp32", fp32_score=0.8217, int8_score=0.8)
    both = replace(RESULT, fp32_epochs=20, scheme="symmetric", weight_bits=4)
    table = rows(fp32, RESULT.with_proof(HOST), both, other)
    trained_in = [row["trained in"] for row in table]
    assert trained_in == ["fp32", "int8", "fp32 (20), then int8"]
    assert [row["seeds"] for row in table] == ["1", "2", "1"]
    assert table[0]["fp32"] == "82.17 %"
    assert table[1] == {
        "scheme": "pow2",
        "weights": "8 bits",
        "trained in": "int8",
        "seeds": "2",
        "int8": "81.94 % (81.86 % to 82.02 %)",
        "fp32": "",
        "differing bytes": "host (ccore): 0 in 20,000 images",
        "minutes": "8 (8 to 8)",
    }
    assert table[2]["weights"] == "4 bits"
    sound = replace(RESULT, metric="AUC", int8_score=0.91)
    assert rows(sound)[0]["int8"] == "0.9100 AUC"
    begun = replace(RESULT, is_begun=True)
    assert [r["trained in"] for r in rows(begun, RESULT)] == [
        "int8",
        "int8, fine-tuned",
    ]


def test_what_all_lines_agree_in_stands_below_them():
    alone = results_table([RESULT])
    assert "| pow2 | minmax | 8 bits | int8 | 30 |" in alone
    assert alone.endswith(" 8 |\n\nTrained on: a processor, 1 thread.")
    two = results_table([RESULT, replace(RESULT, scheme="symmetric", int8_score=0.81)])
    assert two == (
        "| scheme | int8 |\n| :-- | :-- |\n| pow2 | 82.02 % |\n"
        "| symmetric | 81.00 % |\n\n"
        "In every line: network paper-32; data cifar10; "
        "target cmsis-nn/7.0.0/dsp/double; ranges minmax; weights 8 bits; "
        "trained in int8; epochs 30; seeds 1; minutes 8.\n\n"
        "Trained on: a processor, 1 thread."
    )


def test_schemes_and_trackers_are_shown_as_a_grid():
    of = {
        ("pow2", "minmax"): 0.81,
        ("pow2", "learned"): 0.82,
        ("symmetric", "minmax"): 0.83,
    }
    runs = [
        replace(RESULT, scheme=scheme, ranges=ranges, int8_score=score)
        for (scheme, ranges), score in of.items()
    ]
    other = replace(RESULT, network="paper-16", scheme="symmetric")
    single = replace(runs[0], target="cmsis-nn/7.0.0/dsp/single", int8_score=0.5)
    grid = (
        "paper-32, cifar10, cmsis-nn/7.0.0/dsp/double, int8, by scheme and ranges:\n\n"
        "|  | learned | minmax |\n| :-- | :-- | :-- |\n"
        "| pow2, 8 bits, 30 epochs | 82.00 % | 81.00 % |\n"
        "| symmetric, 8 bits, 30 epochs |  | 83.00 % |\n\nTrained on"
    )
    assert grid in results_table([other, *runs])
    assert grid in results_table([*runs, single])
    assert "by scheme" not in results_table([other, *runs[:2]])
    assert "by scheme" not in results_table([other, *runs[::2]])


def test_runs_of_other_options_have_lines_of_their_own():
    given = (
        {"lr": 0.05, "crop": 2, "seed": 1, "directory": "a b", "resume": True},
        {"lr": 0.05, "crop": 2, "seed": 2, "name": "net"},
        {"batch-norm": True, "lr": 1.0, "augment": False, "grey": True},
    )
    table = rows(*(replace(RESULT, options=o, seed=i) for i, o in enumerate(given)))
    assert [(row["other options"], row["seeds"]) for row in table] == [
        ("--lr 0.05 --crop 2", "2"),
        ("--lr 1 --no-augment --grey", "1"),
    ]
    commands = [kanji_np.cli.main.commands[name] for name in ("train", "import")]
    known = {option.name.replace("_", "-") for c in commands for option in c.params}
    assert results.SAID_ELSEWHERE < known


def test_lines_stand_in_order_whatever_the_files_do():
    others = [
        replace(RESULT, data="cifar100"),
        replace(RESULT, network="paper-16"),
        replace(RESULT, network="paper-16", scheme="symmetric"),
    ]
    table = results_table([RESULT, *others])
    assert results_table([*reversed(others), RESULT]) == table
    assert [(row["data"], row["network"]) for row in rows(RESULT, *others)] == [
        ("cifar10", "paper-16"),
        ("cifar10", "paper-16"),
        ("cifar10", "paper-32"),
        ("cifar100", "paper-32"),
    ]


def test_what_is_no_result_is_refused_by_name(tmp_path):
    with pytest.raises(OptionError, match="holds no .json files of results"):
        read_results(tmp_path)
    write_result(tmp_path / "a.json", RESULT)
    facts = json.loads((tmp_path / "a.json").read_text())
    assert read_results(tmp_path) == [RESULT]
    path = tmp_path / "b.json"
    for text in (
        "", "[]", "{}", json.dumps(facts | {"more": 1}), json.dumps(facts)[:-1],
        json.dumps(facts | {"options": {"lr": [1]}}),
        json.dumps(facts | {"options": {"lr": float("nan")}}),
        json.dumps(facts | {"options": {"lr": "two\nlines"}}),
        json.dumps(facts | {"format": 3}),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(FileFormatError, match=r"b\.json: not a file of"):
            read_results(tmp_path)


def test_a_result_of_the_format_before_gets_a_line_and_may_be_replaced(tmp_path):
    path = tmp_path / "a.json"
    write_result(path, RESULT)
    facts = json.loads(path.read_text())
    former = {k: v for k, v in facts.items() if k not in ("format", "options")}
    path.write_text(json.dumps(former))
    with pytest.raises(FileFormatError) as error:
        read_results(tmp_path)
    assert str(error.value) == (
        f"{path}: not a file of `kanji-np train --result`: its format is 1, which has "
        "no `options`, and 2 is read here: repeat its `command`"
    )
    check_output(path)
    path.write_text(json.dumps(former | {"format": 1}))
    with pytest.raises(OptionError, match="name another file"):
        check_output(path)


def test_the_table_of_the_examples_is_made_of_their_results():
    table = (EXAMPLES / "results.md").read_text(encoding="utf-8")
    assert results_table(read_results(EXAMPLES)) + "\n" == table


def test_the_source_is_a_commit_in_a_checkout_and_else_a_version(tmp_path, monkeypatch):
    def git(*arguments):
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(tmp_path), *name, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    package = tmp_path / "kanji_np"
    package.mkdir()
    (package / "a.py").write_text("1")
    monkeypatch.setattr(results, "PACKAGE", package)
    version = f"kanji-np {kanji_np.__version__}"
    assert source() == version
    git("init")
    assert source() == version  # nothing is committed yet
    git("add", ".")
    git("commit", "-m", "first")
    commit = source()
    assert len(commit) == 12 and int(commit, 16)
    (tmp_path / "result.json").write_text("{}")
    assert source() == commit
    (package / "a.py").write_text("2")
    assert source() == f"{commit}-dirty"
    monkeypatch.setenv("PATH", "")
    assert source() == version


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("--epochs", "--epochs"),
        ("cifar10:/home/me/data", "cifar10:data"),
        ("cifar10:data/cifar", "cifar10:data/cifar"),
        ("--directory=/tmp/run/", "--directory=run/"),
        ("/tmp/a.json", "a.json"),
        ("runs/a.json", "runs/a.json"),
    ],
)
def test_paths_of_one_machine_are_not_shown(argument, shown):
    assert portable(argument) == shown
