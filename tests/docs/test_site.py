"""The site is built without a warning, and its reference is complete."""

import re
import subprocess
import sys

import pytest

import kanji_np
from kanji_np import autograd
from kanji_np.ops import BUILT_IN

from .pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*command, "--config-file", ROOT / "mkdocs.yml", "--site-dir", directory],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def documented(site, page):
    """The names that a page of the reference describes."""
    html = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    return set(re.findall(r'<h\d id="(kanji_np\.[\w.]+)" class="doc', html))


def test_the_reference_has_every_public_name(site):
    pages = [path.stem for path in (site / "reference").glob("*.html")]
    found = set().union(*(documented(site, page) for page in pages))
    names = {f"kanji_np.{name}" for name in kanji_np.__all__ if name != "__version__"}
    assert names - found == set()


def test_the_reference_has_every_function_and_operator(site):
    functions = {f"kanji_np.autograd.{name}" for name in autograd.__all__}
    assert functions - {"kanji_np.autograd.Tensor"} <= documented(site, "autograd")
    operators = {f"kanji_np.ops.{op.name}" for op in BUILT_IN}
    assert operators <= documented(site, "operators")


@pytest.mark.parametrize("name", ["fit", "Recipe"])
def test_parameters_that_share_a_line_keep_their_own_defaults(site, name):
    html = (site / "reference" / "training.html").read_text(encoding="utf-8")
    described = html[html.index(f'id="kanji_np.{name}"') :]
    for parameter, default in (("epochs", "30"), ("batch_size", "64")):
        row = described[described.index(f"<b><code>{parameter}</code></b>") :]
        assert re.search(r"default:\s+<code>(.*?)</code>", row)[1] == default
        assert "Recipe" not in row[: row.index("</li>")]


def test_functions_with_the_name_of_their_module_are_functions(site):
    names = {f"kanji_np.{name}" for name in ("verify", "vectors")}
    found = documented(site, "deployment")
    assert names <= found
    assert not any(name.startswith("kanji_np.verify.") for name in found)


def test_the_site_needs_no_network(site):
    """Pages load nothing from elsewhere."""
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.search(r'<(script|link|img)[^>]+(src|href)="(https?:)?//', html)
