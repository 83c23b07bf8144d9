"""Types: the package is checked as strictly as its users are, and says what it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typed import program

import kanji_np as kj

ROOT = Path(__file__).parents[1]
PACKAGE = Path(kj.__file__).parent
TYPED = ROOT / "tests" / "typed"

LINE = re.compile(r"(.+?):(\d+): (error|note): (.*?)(?:  \[([\w-]+)\])?")
#: How NumPy's stubs write the type of an array of any shape and dtype.
ANY_ARRAY = "numpy.ndarray[builtins.tuple[Any, ...], numpy.dtype[Any]]"

Finding = tuple[int, str, str]


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> dict[str, list[Finding]]:
    """What one run of mypy says of the package, the programs, and every public name.

    (line, code, text) by the name of the file; revealed types have the code "note".
    """
    folder = tmp_path_factory.mktemp("mypy")
    names = [f"reveal_type(kj.{name})" for name in kj.__all__]
    revealed = folder / "revealed.py"
    revealed.write_text("\n".join(["import kanji_np as kj", *names]))
    run = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--config-file", ROOT / "setup.cfg",
            "--cache-dir", folder / "cache", PACKAGE, *TYPED.glob("*.py"), revealed,
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert not run.stderr, run.stderr
    found: dict[str, list[Finding]] = {}
    for line in run.stdout.splitlines()[:-1]:
        match = LINE.fullmatch(line)
        assert match, line
        path, number, kind, text, code = match.groups()
        found.setdefault(path, []).append((int(number), code or kind, text))
    by_name = {Path(path).name: each for path, each in found.items()}
    assert len(by_name) == len(found), sorted(found)
    return by_name


def test_the_package_and_a_users_program_have_no_errors(findings):
    findings = {k: v for k, v in findings.items() if k not in NOT_CLEAN}
    assert findings == {}


NOT_CLEAN = ("mistakes.py", "revealed.py")


def test_every_mistake_is_found_where_it_is(findings):
    errors = [f for f in findings["mistakes.py"] if f[1] != "note"]
    lines = (TYPED / "mistakes.py").read_text().splitlines()
    expected = {
        number: line.partition("  # ")[2].split(": ", 1)
        for number, line in enumerate(lines, 1)
        if "  # " in line
    }
    assert len(expected) > 15
    assert [number for number, _, _ in errors] == [*expected]
    for number, code, text in errors:
        assert code == expected[number][0]
        assert expected[number][1] in text


def test_no_public_name_is_any(findings):
    revealed = findings["revealed.py"]
    assert len(revealed) == len(kj.__all__)
    for name, (_, code, text) in zip(kj.__all__, revealed, strict=True):
        known = text.removeprefix("Revealed type is ").strip('"')
        assert code == "note"
        assert not re.search(r"\bAny\b", known.replace(ANY_ARRAY, "ndarray")), name


def test_a_users_program_runs(tmp_path):
    program.main(tmp_path)
