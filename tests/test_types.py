"""Types: the package is checked as strictly as its users are, and says what it is."""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typed import program

import kanji_np as kj

ROOT = Path(__file__).parents[1]
PACKAGE = Path(kj.__file__).parent
TYPED = ROOT / "tests" / "typed"
FOLDER = ROOT / ".pytest_cache" / "mypy"  # kept, so that the next run is quick

LINE = re.compile(r"(.+?):(\d+): (error|note): (.*?)(?:  \[([\w-]+)\])?")
#: How NumPy's stubs write any shape and any dtype.
ANY_OF_ARRAYS = re.compile(r"tuple\[Any, \.\.\.\]|dtype\[Any\]")

#: What mypy says: line, code of the error or "note", text.
Finding = tuple[int, str, str]


@pytest.fixture(scope="module")
def findings() -> dict[str, list[Finding]]:
    """What one run of mypy says of package, examples, programs and every public name.

    The package and the examples are one entry; each program has its own, by the name
    of its file.
    """
    names = [f"reveal_type(kj.{name})" for name in kj.__all__]
    FOLDER.mkdir(parents=True, exist_ok=True)
    revealed = FOLDER / "revealed.py"
    revealed.write_text("\n".join(["import kanji_np as kj", *names]))
    programs = [*sorted(TYPED.glob("*.py")), revealed]
    run = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--config-file", ROOT / "setup.cfg",
            "--cache-dir", FOLDER / "cache", "--show-absolute-path",
            PACKAGE, ROOT / "examples", *programs,
        ],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert not run.stderr, run.stderr
    found: dict[str, list[Finding]] = {path.name: [] for path in programs}
    found["house"] = []
    for line in run.stdout.splitlines()[:-1]:
        match = LINE.fullmatch(line)
        assert match, line
        path, number, kind, text, code = match.groups()
        owner = Path(path).name if Path(path) in programs else "house"
        found[owner].append((int(number), code or kind, text))
    return found


def test_package_and_examples_have_no_errors(findings):
    assert findings["house"] == []


def functions(tree: ast.AST, is_compiled: bool = False) -> Iterator[ast.FunctionDef]:
    """Every function but those that Numba compiles, and those inside them."""
    for node in ast.iter_child_nodes(tree):
        inside = is_compiled
        if isinstance(node, ast.FunctionDef):
            texts = [ast.unparse(decorator) for decorator in node.decorator_list]
            inside |= any(re.match("njit|intrinsic", text) for text in texts)
            if not inside:
                yield node
        yield from functions(node, inside)


@pytest.mark.parametrize("folder", ["loops", "ops"])
def test_what_is_not_compiled_has_types(folder):
    """mypy lets these folders have functions without, for the sake of Numba's."""
    writes_llvm = PACKAGE / "loops" / "simd.py"
    bare = [
        f"{path.name}: {function.name}"
        for path in sorted((PACKAGE / folder).glob("*.py"))
        if path != writes_llvm
        for function in functions(ast.parse(path.read_text()))
        if function.returns is None
        or any(
            argument.annotation is None and argument.arg not in ("self", "cls")
            for argument in (*function.args.args, *function.args.kwonlyargs)
        )
    ]
    assert bare == []


def test_every_stub_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    installed = {
        path
        for package, patterns in settings["options.package_data"].items()
        for pattern in patterns.replace(",", " ").split()
        for path in PACKAGE.parent.joinpath(*package.split(".")).glob(pattern)
    }
    stubs = {PACKAGE / "py.typed", *PACKAGE.rglob("*.pyi")}
    assert len(stubs) > 1
    assert stubs <= installed


def test_a_users_program_has_no_errors(findings):
    assert findings["program.py"] == []


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


def test_no_public_name_has_any_in_its_signature(findings):
    revealed = findings["revealed.py"]
    assert len(revealed) == len(kj.__all__)
    unknown = {
        name: text
        for name, (_, _, text) in zip(kj.__all__, revealed, strict=True)
        if re.search(r"\bAny\b", ANY_OF_ARRAYS.sub("", text))
    }
    # Attributes, integers and a layer's arguments are those of an operator; what a
    # family builds a network from are its own choices.
    assert set(unknown) == {"Node", "Layer", "register_op", "Family"}, unknown


def test_a_users_program_runs(tmp_path):
    program.main(tmp_path)
