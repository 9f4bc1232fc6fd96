"""What scrolls sideways on a page of the library or the gallery can be reached with the keyboard."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [
    page
    for folder in ("machinery/rung_ops", "docs/generate")
    for page in sorted((ROOT / folder).rglob("*.html"))
    if 'class="wide"' in page.read_text("utf-8")
]


def test_pages_are_found() -> None:
    assert len(PAGES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_scrolls_takes_the_focus_and_has_a_name(page: Path) -> None:
    for element in re.findall(r'<\w+[^>]*class="wide"[^>]*>', page.read_text("utf-8")):
        assert 'tabindex="0"' in element, element
        assert re.search(r'role="(region|group)"', element), element
        assert re.search(r'aria-label(ledby)?="[^"]+"', element), element
