"""The site is built without a warning, and its reference is complete."""

import re
import subprocess
import sys

import pytest

import kanji_np
from kanji_np import autograd, errors
from kanji_np.ops import OPS

from .pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--config-file", ROOT / "mkdocs.yml", "--site-dir", directory],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def documented(site, page):
    """The last parts of the names that a page of the reference describes."""
    html = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    headings = re.findall(r'<h\d id="(kanji_np\.[\w.]+)" class="doc', html)
    return {heading.rpartition(".")[2] for heading in headings}


def test_the_reference_has_every_public_name(site):
    pages = [path.stem for path in (site / "reference").glob("*.html")]
    found = set().union(*(documented(site, page) for page in pages))
    assert set(kanji_np.__all__) - {"__version__"} <= found


def test_the_reference_has_every_function_operator_and_error(site):
    assert set(autograd.__all__) <= documented(site, "autograd")
    assert set(OPS) <= documented(site, "operators")
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert kinds <= documented(site, "errors")


def test_parameters_that_share_a_line_keep_their_own_defaults(site):
    html = (site / "reference" / "training.html").read_text(encoding="utf-8")
    recipe = html[html.index('id="kanji_np.train.Recipe"') :]
    defaults = dict(
        re.findall(
            r"<b><code>(\w+)</code></b>\s+\(.*?default:\s+<code>(.*?)</code>\s+\)",
            recipe,
            re.DOTALL,
        )
    )
    assert (defaults["epochs"], defaults["batch_size"]) == ("30", "64")


def test_the_site_needs_no_network(site):
    """Pages load nothing from elsewhere."""
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.search(r'<(script|link|img)[^>]+(src|href)="(https?:)?//', html)
