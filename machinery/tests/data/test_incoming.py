"""New files are checked before they are versioned, and a bad one is named."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from rung_ops import contract
from rung_ops.data import incoming
from rung_ops.data.ingest import read
from rung_ops.project.paths import raw_files

SCHEMA = contract.Row.to_schema()
NUMBER = next(name for name, dtype in SCHEMA.dtypes.items() if dtype.type.is_numeric())
TEXT = pl.lit("no number")

BAD: dict[str, tuple[Callable[[pl.DataFrame], bytes], str]] = {
    "a wrong type": (
        lambda rows: rows.with_columns(TEXT.alias(NUMBER)).write_csv().encode(),
        f"`{NUMBER}`",
    ),
    "a missing column": (
        lambda rows: rows.drop(contract.TARGET).write_csv().encode(),
        f"`{contract.TARGET}`",
    ),
    "no rows": (lambda rows: rows.clear().write_csv().encode(), "no rows"),
    "an empty file": (lambda rows: b"", "cannot be read"),
    "bytes that are no text": (lambda rows: b"\xff\xfe\x00\x9d,\xff\n\xff,\xff\n", ""),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(incoming, "INCOMING", tmp_path)
    monkeypatch.setattr(incoming, "raw_files", lambda: sorted(tmp_path.glob("*.csv")))
    monkeypatch.setattr(incoming, "_dvc", lambda *arguments: pytest.fail("DVC was called"))
    return tmp_path


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_named_and_not_versioned(
    folder: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    spoil, word = BAD[what]
    rows = read(raw_files()[0]).head(10)
    (folder / "new.csv").write_bytes(spoil(rows))

    assert incoming.version() == 1

    said = capsys.readouterr().err
    assert "new.csv" in said
    assert word in said


def test_nothing_new_is_no_work(folder: Path) -> None:
    assert incoming.version() == 0


def test_a_file_that_is_versioned_and_not_here_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "old.csv.dvc").write_text("outs: []\n")

    assert incoming.version() == 1

    said = capsys.readouterr().err
    assert "old.csv" in said
    assert "`uv run poe pull`" in said
