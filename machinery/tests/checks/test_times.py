"""load() that moves a time with an offset is found, whatever it does; others are left in peace."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandera.polars as pa
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.checks import data
from rung_ops.errors import StageError

TEXT = "at,bikes\n2026-01-01T08:00:00,12\n2026-01-01 09:30:00,7\n"
Load = Callable[[Path], pl.DataFrame]


class Row(pa.DataFrameModel):
    """Bikes of one hour."""

    at: pl.Datetime = pa.Field()
    bikes: int = pa.Field(ge=0)


@pytest.fixture
def with_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Load], None]:
    """A project whose only raw file is TEXT; the function sets its load()."""
    path = tmp_path / "bikes.csv"
    path.write_text(TEXT)
    monkeypatch.setattr(data, "raw_files", lambda: [path])
    monkeypatch.setattr(contract, "Row", Row, raising=False)

    def use(load: Load) -> None:
        monkeypatch.setattr(contract, "load", load, raising=False)

    return use


def moved(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, schema_overrides={"at": pl.Datetime("us")})


def lost(path: Path) -> pl.DataFrame:
    text = pl.read_csv(path, schema_overrides={"at": pl.String})
    made = pl.col("at").str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    return text.with_columns(made.fill_null(datetime(1970, 1, 1)))


def refused(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, try_parse_dates=True)


def strict(path: Path) -> pl.DataFrame:
    text = pl.read_csv(path, schema_overrides={"at": pl.String})
    made = pl.col("at").str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M:%S")
    return text.with_columns(made)


def local(path: Path) -> pl.DataFrame:
    text = pl.read_csv(path, schema_overrides={"at": pl.String})
    made = pl.col("at").str.replace(" ", "T").str.slice(0, 19).str.to_datetime()
    return text.with_columns(made)


@pytest.mark.parametrize("load", [moved, lost])
def test_a_time_that_is_moved_is_named(with_load: Callable[[Load], None], load: Load) -> None:
    with_load(load)

    with pytest.raises(StageError, match=r"`at` was 2026-01-01T08:00:00\+05:00 and became"):
        data.times_are_not_moved()


@pytest.mark.parametrize("load", [refused, strict, local])
def test_a_time_that_is_refused_or_keeps_its_clock_is_well(
    with_load: Callable[[Load], None], load: Load
) -> None:
    with_load(load)

    assert load(data.raw_files()[0])["at"].to_list()[0] == datetime(2026, 1, 1, 8)
    data.times_are_not_moved()
