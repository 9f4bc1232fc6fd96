"""The gallery of the site: a small one is made, its links lead somewhere, and it can be read."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests import site_links
from tests.conftest import ROOT
from tests.product.conftest import environment
from tests.product.test_pages import SCHEMES, WIDTHS, look, serious

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A velocity project on rungs 0 and 1, compared with the template before the last change of it."""
    folder = tmp_path_factory.mktemp("gallery") / "made"
    log = ("git", "log", "-2", "--format=%H", "--", "templates")
    before = subprocess.check_output(log, cwd=ROOT, text=True).split()[-1]
    command = (sys.executable, ROOT / "docs/generate/gallery.py", folder)
    options = ("--game", "velocity", "--upto", "1", "--before", before)
    done = subprocess.run(
        [*command, *options], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_rung_has_its_pages_and_every_link_leads_to_one(gallery: Path) -> None:
    pages = site_links.read(gallery)
    links = set(pages[gallery / "index.html"].links)

    for rung, own in ((0, "velocity-0/plan.html"), (1, "velocity-1/climb.html")):
        names = ("report", "check", "rung", "since")
        assert {own, *(f"velocity-{rung}/{name}.html" for name in names)} <= links
    assert "assess-velocity.html" in links
    assert [] == list(site_links.broken(pages))


def test_the_difference_between_two_rungs_can_be_read(gallery: Path) -> None:
    page = (gallery / "velocity-1/climb.html").read_text("utf-8")

    assert "<ins>+++ b/.pre-commit-config.yaml</ins>" in page
    assert ".pre-commit-config.yaml" in (gallery / "velocity-0/plan.html").read_text("utf-8")


def test_markdown_is_shown_as_a_page_without_links_into_the_project(gallery: Path) -> None:
    page = (gallery / "velocity-1/rung.html").read_text("utf-8")

    assert "<h1>Rung 1: Tested</h1>" in page
    assert "<li>" in page and "<table>" in page
    assert page.count("<a href=") == 1 + page.count('<a href="https://')


def test_no_page_names_a_folder_of_the_machine(gallery: Path) -> None:
    named = [page for page in gallery.rglob("*.html") if str(ROOT) in page.read_text("utf-8")]

    assert [] == named
    assert "_src_path: https://" in (gallery / "velocity-1/climb.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    list(
        product(
            ("index", "velocity-1/climb", "velocity-1/rung", "velocity-1/report"), WIDTHS, SCHEMES
        )
    ),
)
def test_a_page_fits_and_has_nothing_that_axe_finds_serious(
    gallery: Path, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    text = (gallery / f"{name}.html").read_text("utf-8")
    if "</body>" not in text:  # as HTML allows; look() puts its script before it
        text = text.replace("</html>", "</body></html>")
    observed = look(text, tmp_path, width, scheme)

    assert observed["needed"] <= width
    assert [] == serious(observed)
