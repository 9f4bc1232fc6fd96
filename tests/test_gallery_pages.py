"""A page of the gallery is the one that its title says."""

import runpy
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "docs/generate/gallery.py"


def test_the_report_of_the_model_and_that_of_the_monitor_are_two_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)  # as where it is run
    folder, gallery = tmp_path / "velocity-4", runpy.run_path(str(SCRIPT))
    folder.mkdir()
    for path in ("reports/report.html", ".replay/reports/monitor/report.html"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(path)

    pages = gallery["copied"](tmp_path, folder)

    assert list(pages.values()) == ["Model report", "Monitor, after the replay"]
    texts = [(tmp_path / name).read_text() for name in pages]
    assert texts == ["reports/report.html", ".replay/reports/monitor/report.html"]
