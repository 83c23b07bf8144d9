"""Imports point one way, and importing the package loads next to nothing."""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kanji_np

PACKAGE = Path(kanji_np.__file__).parent

#: What each part may import of the package, beside itself. Modules are parts of their
#: own; packages are one part.
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "choices": set(),
    "checks": {"errors"},
    "arguments": {"checks", "errors"},
    "markdown": set(),
    "types": {"errors", "checks"},
    "schema": {"checks", "errors"},
    "outputs": {"checks", "errors", "schema"},
    "deprecation": {"errors"},
    "archive": {"checks", "errors", "outputs", "schema"},
    "jit": {"errors"},
    "fixedpoint": {"jit"},
    "window": {"errors", "types"},
    "autograd": {"errors"},
    "quantize": {"checks", "errors", "types"},
    "ranges": {"checks", "errors", "autograd"},
    "loops": {
        "checks", "errors", "fixedpoint", "jit", "quantize", "types", "window",
    },
    "data": {
        "archive", "checks", "choices", "errors", "loops", "schema", "types",
    },
    "targets": {"checks", "errors", "types", "window"},
    "ops": {
        "checks", "errors", "fixedpoint", "jit", "loops", "quantize", "targets",
        "types", "window",
    },
    "graph": {"checks", "errors", "types", "ops", "quantize"},
    "layers": {
        "arguments", "autograd", "checks", "errors", "loops", "ops", "quantize",
        "ranges", "targets", "types", "window",
    },
    "losses": {"checks", "errors", "autograd"},
    "optim": {"arguments", "checks", "errors", "autograd", "loops"},
    "design": {"checks", "errors", "layers", "ops", "quantize", "ranges", "types"},
    "network": {
        "autograd", "checks", "choices", "deprecation", "design", "errors", "graph",
        "layers", "quantize", "ranges", "targets", "types",
    },
    "modelfile": {
        "archive", "checks", "design", "errors", "layers", "network", "ops", "outputs",
        "quantize", "ranges", "schema", "targets", "types",
    },
    "weights": {"checks", "errors", "layers", "network", "quantize", "types"},
    "model": {
        "arguments", "checks", "deprecation", "design", "errors", "layers", "modelfile",
        "network", "quantize", "targets", "types", "weights",
    },
    "zoo": {"checks", "errors", "layers", "model", "types"},
    "anomaly": {"checks", "errors", "model", "network", "quantize"},
    "settings": set(),
    "recipe": {"checks", "choices", "data", "errors", "optim"},
    "train": {
        "anomaly", "archive", "arguments", "autograd", "checks", "choices", "data",
        "deprecation", "errors", "jit", "losses", "model", "modelfile", "optim",
        "outputs", "recipe", "schema", "settings",
    },
}  # fmt: skip

#: The parts that come after training, in their order; each may use all before it.
AFTER = (
    "formats", "deploy", "cost", "results", "bench", "report", "explanation",
    "shrinking", "runtimes", "comparison", "plots", "search", "cli",
)  # fmt: skip


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All of a syntax tree except what is there for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node)


def imports(path: Path) -> set[str]:
    """Full names of the modules of the package that a file imports, anywhere in it.

    A name that is no module counts as the module it is taken from; a public name of
    the package itself stays as it is.
    """
    found = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_own = name in MODULES or node.module == "kanji_np"
                found.add(name if is_own else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("kanji_np.")}


def parts_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path)}


def sources() -> dict[str, list[Path]]:
    parts: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts.setdefault(part_of(path), []).append(path)
    return parts


def test_every_part_has_its_place():
    assert set(sources()) == {*ALLOWED, *AFTER} & set(sources())
    assert set(ALLOWED) <= set(sources())


def test_every_package_is_installed():
    """Tests run beside the sources and find a package that an installation lacks."""
    config = configparser.ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg")
    words = config["options"]["packages"].split()
    folders = [path.parent for path in PACKAGE.rglob("__init__.py")]
    names = {".".join(f.relative_to(PACKAGE.parent).parts) for f in folders}
    assert {w for w in words if w != "kanji_np.ccore"} == names


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    for path in sources()[part]:
        beyond = parts_imported(path) - {part} - ALLOWED[part]
        assert not beyond, f"{path.relative_to(PACKAGE)} imports {sorted(beyond)}"


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("numba", "jit.py"),
        ("matplotlib", "plots.py"),
        ("onnx", "package.py"),
        ("distributed", "workers.py"),
    ],
)
def test_what_is_heavy_is_loaded_in_one_place(package, module):
    """Where it is known what to say if it is missing, or does not fit here."""
    users = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(rf"^\s*(import|from) {package}\b", path.read_text(), re.MULTILINE)
    }
    assert users == {module}


@pytest.mark.parametrize("part", AFTER)
def test_what_comes_after_training_is_in_order(part):
    later = set(AFTER[AFTER.index(part) + 1 :])
    for path in sources().get(part, []):
        beyond = parts_imported(path) & later
        assert not beyond, f"{path.relative_to(PACKAGE)} imports {sorted(beyond)}"


def test_no_module_imports_itself_by_way_of_others():
    """Where a function imports, too: modules can be read and loaded one by one."""
    uses = {name: imports(path) & set(MODULES) for name, path in MODULES.items()}
    TopologicalSorter(uses).prepare()  # CycleError names the modules of a circle


def test_the_table_has_no_cycle_and_ops_and_autograd_never_meet():
    TopologicalSorter(ALLOWED).prepare()
    assert "autograd" not in ALLOWED["ops"] | ALLOWED["graph"]
    assert "ops" not in ALLOWED["autograd"] | ALLOWED["loops"]


@pytest.mark.parametrize("statement", ["import kanji_np", "import kanji_np.errors"])
def test_importing_the_package_is_light(statement):
    heavy = {"numba", "scipy", "click", "matplotlib", "PIL", "numpy"}
    code = f"import sys; {statement}; print(sorted({heavy!r} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_public_names_are_there():
    names = [name for name in kanji_np.__all__ if name != "__version__"]
    for name in names:
        assert getattr(kanji_np, name) is not None
    assert set(names) <= set(dir(kanji_np))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kanji_np.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="'MaxPooling2D'; did you mean MaxPool2D"):
        kanji_np.MaxPooling2D  # noqa: B018
