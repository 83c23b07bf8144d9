import shutil
import subprocess
from pathlib import Path

import pytest

from kanji_np.deploy import export

from .networks import NETWORKS, image


@pytest.fixture(params=NETWORKS, ids=lambda build: build.__name__)
def net(request):
    return request.param()


@pytest.fixture
def firmware(net, tmp_path):
    return export(net, tmp_path / "firmware")


@pytest.fixture
def image_firmware(tmp_path):
    return export(image(), tmp_path / "firmware")


@pytest.fixture
def run():
    """Runs a program; AssertionError with what it said if it fails or is missing."""

    def run(*command, status=0, **options):
        assert shutil.which(command[0]), f"{command[0]} is needed by this test"
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, **options
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def edit():
    """Replaces the one occurrence of a text in a file."""

    def edit(path: Path, old: str, new: str):
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    return edit
