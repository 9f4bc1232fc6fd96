"""What tests of the data share."""

from pathlib import Path

import pytest

from machinery.tests.projects import moved


@pytest.fixture
def ingested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for ingested rows in place of the project's."""
    folder = tmp_path / "ingested"
    folder.mkdir()
    moved(
        monkeypatch,
        ingested=folder,
        rows=tmp_path / "rows.parquet",
        validation=tmp_path / "reports/validation.json",
    )
    return folder
