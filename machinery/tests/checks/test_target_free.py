"""load() that needs the target is found in any CSV file, however it is written and it names its columns."""

from collections.abc import Callable
from pathlib import Path

import pandera.polars as pa
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.checks import data
from rung_ops.contract import raw_file
from rung_ops.errors import StageError

TEXT = "Größe;Betrag;Betrug;Grund\nklein;1.449,76;ja;Brand\ngroß;12,5;nein;Glas\n"
Load = Callable[[Path], pl.DataFrame]


class Row(pa.DataFrameModel):
    """One claim."""

    size: str = pa.Field()
    amount: float = pa.Field(ge=0)
    fraud: bool = pa.Field()


@pytest.fixture(params=["latin-1", "utf-8"])
def with_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[Load], None]:
    """A project whose only raw file is TEXT; the function sets its load()."""
    path = tmp_path / "claims.csv"
    path.write_text(TEXT, encoding=request.param)
    files = [path]
    monkeypatch.setattr(data, "raw_files", lambda: files)
    monkeypatch.setattr(contract, "Row", Row, raising=False)
    monkeypatch.setattr(contract, "TARGET", "fraud", raising=False)

    def use(load: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        def read(path: Path) -> pl.DataFrame:
            return load(pl.read_csv(path, separator=";", encoding=request.param))

        monkeypatch.setattr(contract, "load", read, raising=False)

    return use


def inputs(rows: pl.DataFrame) -> pl.DataFrame:
    amount = pl.col("Betrag").str.replace(".", "", literal=True).str.replace(",", ".")
    return rows.with_columns(size="Größe", amount=amount.cast(pl.Float64))


def needs_the_target(rows: pl.DataFrame) -> pl.DataFrame:
    return inputs(rows).with_columns(fraud=pl.col("Betrug") == "ja")


def bears_its_absence(rows: pl.DataFrame) -> pl.DataFrame:
    return needs_the_target(rows) if "Betrug" in rows.columns else inputs(rows)


def test_a_column_that_only_makes_the_target_may_be_missing(
    with_load: Callable[[Callable[[pl.DataFrame], pl.DataFrame]], None],
) -> None:
    with_load(needs_the_target)

    with pytest.raises(StageError, match=r"without `Betrug` failed .* no target yet\."):
        data.target_may_be_missing()


def test_what_rung_wrote_is_not_given_to_it(
    with_load: Callable[[Callable[[pl.DataFrame], pl.DataFrame]], None],
) -> None:
    with_load(bears_its_absence)
    served = data.raw_files()[0].with_name("served.parquet")
    raw_file.write_rows(pl.DataFrame({"size": ["klein"], "amount": [1.0], "fraud": [True]}), served)
    data.raw_files().insert(0, served)

    data.target_may_be_missing()


def test_a_load_that_bears_its_absence_is_well(
    with_load: Callable[[Callable[[pl.DataFrame], pl.DataFrame]], None],
) -> None:
    with_load(bears_its_absence)

    data.target_may_be_missing()
