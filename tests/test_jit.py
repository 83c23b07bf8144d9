"""What surrounds the compiler: variables of the environment, places for a cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kanji_np
from kanji_np import jit
from kanji_np.errors import OptionError

PACKAGE = Path(kanji_np.__file__).parent


def python(code, root=PACKAGE.parent, **environment):
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUMBA_NUM_THREADS", "0"),
        ("NUMBA_NUM_THREADS", "-2"),
        ("NUMBA_NUM_THREADS", "many"),
        ("NUMBA_DISABLE_JIT", "1"),
    ],
)
def test_an_environment_that_the_compiler_cannot_use_is_refused(
    name, value, monkeypatch
):
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=f"^{name} [^\n]+$"):
        jit._check_environment()


def test_on_the_command_line_that_is_one_line():
    run = python(
        "from kanji_np.cli import main; main(['bench'])", NUMBA_NUM_THREADS="0"
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "NUMBA_NUM_THREADS must be an int of at least 1, got '0'\n"


SCRIPT = """
from kanji_np.jit import njit

@njit(cache=True)
def twice(x):
    return 2 * x

@njit(cache=True)
def thrice(x):
    return 3 * x

assert twice(4) == 8
"""


@pytest.fixture
def run(tmp_path):
    """Runs the script where nothing can be kept, but in the temporary folder."""
    installed = tmp_path / "installed"
    (installed / "kanji_np").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "jit.py"):
        shutil.copy(PACKAGE / name, installed / "kanji_np")
    (installed / "script.py").write_text(SCRIPT)
    (installed / "__pycache__").touch()  # even root cannot make a folder of it
    (tmp_path / "temporary").mkdir()
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "IPYTHONDIR"), "/dev/null")

    def python_there():
        done = python(
            "import script", installed, TMPDIR=str(tmp_path / "temporary"),
            NUMBA_CACHE_DIR="", **nowhere,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("\n") == 1
        return done.stderr

    return python_there


def test_without_a_place_for_a_cache_there_is_one_in_the_temporary_folder(
    run, tmp_path
):
    folder = tmp_path / "temporary" / f"kanji_np-{os.getuid()}"
    assert f"is kept in {folder} " in run()
    assert len(list(folder.rglob("*.nbi"))) == 1
    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_can_write_to_is_not_used(run, tmp_path):
    shared = tmp_path / "temporary" / f"kanji_np-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    assert "nothing compiled can be kept" in run()
    assert not any(shared.iterdir())


def test_what_was_compiled_for_a_type_that_is_gone_is_compiled_anew(tmp_path):
    """As where the package is updated in place."""
    script = """
from typing import NamedTuple
from kanji_np.jit import njit

class {name}(NamedTuple):
    x: int

@njit(cache=True)
def twice(pair):
    return 2 * pair.x

for x in 4, 5:
    assert twice({name}(x)) == 2 * x
"""
    folder = str(tmp_path / "cache")
    for name in ("Before", "After", "After"):
        (tmp_path / "script.py").write_text(script.format(name=name))
        path = f"{tmp_path}{os.pathsep}{PACKAGE.parent}"
        done = python("import script", path, NUMBA_CACHE_DIR=folder)
        assert done.returncode == 0, done.stderr
