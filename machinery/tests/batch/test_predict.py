"""Batch scoring answers every row, or says why it does not."""

from pathlib import Path

import polars as pl
import pytest

from machinery.tests.in_project import fit
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.batch import predict
from rung_ops.data.ingest import sample_rows
from rung_ops.training import estimator

SCHEMA = contract.Row.to_schema()


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Rows of the sample, and a model trained on some of them."""
    complete = sample_rows()
    estimator.save(
        fit(complete.sample(min(500, complete.height), seed=1)), tmp_path / "model.skops"
    )
    moved(monkeypatch, model_file=tmp_path / "model.skops")
    return complete.sample(10, seed=2).drop(contract.TARGET)


def test_every_good_row_is_scored_in_its_place(rows: pl.DataFrame) -> None:
    scored, problems = predict.score(rows, "new.parquet")

    assert problems == []
    assert scored.select(rows.columns).equals(rows)
    assert scored["prediction"].null_count() == 0


def test_a_bad_row_is_reported_and_the_others_are_scored(rows: pl.DataFrame) -> None:
    required = next(n for n in rows.columns if not SCHEMA.columns[n].nullable)
    hole = pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(required).alias(required)

    scored, problems = predict.score(rows.with_columns(hole), "new.parquet")

    assert (required, (5,)) in [(p.column, p.rows) for p in problems]
    assert scored.height == rows.height
    assert scored["prediction"].is_null().arg_true().to_list() == [4]
    assert required in scored["problem"][4]


def test_a_full_disk_is_not_a_fault_of_the_format(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(scored: pl.DataFrame, draft: Path) -> None:
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")

    monkeypatch.setitem(predict.WRITERS, ".parquet", full)

    with pytest.raises(pl.exceptions.ComputeError, match="No space left"):
        predict.write(rows, tmp_path / "scored.parquet")


def test_a_missing_column_is_named_and_nothing_is_written(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = rows.columns[0]
    rows.drop(column).write_parquet(tmp_path / "new.parquet")

    code = predict.main([str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet")])

    assert code == 1
    assert column in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_that_is_not_a_table_is_refused(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.csv").write_bytes(b"a,b\n\xff\xfe\x00,1\n")

    assert predict.main([str(tmp_path / "new.csv")]) == 1
    assert "new.csv" in capsys.readouterr().err


@pytest.mark.usefixtures("rows")
def test_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([str(tmp_path)]) == 1

    assert "is a folder: name one of its files" in capsys.readouterr().err


def test_the_name_of_the_output_says_its_format(rows: pl.DataFrame, tmp_path: Path) -> None:
    rows.write_parquet(tmp_path / "new.parquet")

    for name, read in {"out.csv": pl.read_csv, "out.parquet": pl.read_parquet}.items():
        assert predict.main([str(tmp_path / "new.parquet"), str(tmp_path / name)]) == 0
        assert read(tmp_path / name)["prediction"].len() == rows.height


def test_an_output_of_another_format_is_refused_before_scoring(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.write_parquet(tmp_path / "new.parquet")

    assert predict.main([str(tmp_path / "new.parquet"), str(tmp_path / "out.xlsx")]) == 1

    assert "expected .parquet or .csv" in capsys.readouterr().err
    assert not (tmp_path / "out.xlsx").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_rows_are_not_written_over(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """`poe predict *.csv` names two files of rows."""
    first, second = tmp_path / f"january{suffix}", tmp_path / f"february{suffix}"
    for path in (first, second):
        predict.WRITERS[suffix](rows, path)
    before = second.read_bytes()

    assert predict.main([str(first), str(second)]) == 1

    assert "february" in (printed := capsys.readouterr().err)
    assert "holds no predictions" in printed
    assert second.read_bytes() == before


def test_a_column_that_csv_cannot_hold_is_named(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.with_columns(tags=pl.lit([1, 2])).write_parquet(tmp_path / "new.parquet")

    assert predict.main([str(tmp_path / "new.parquet"), str(tmp_path / "out.csv")]) == 1

    assert "cannot be written as .csv" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_file_that_was_scored_before_gets_new_predictions(rows: pl.DataFrame) -> None:
    first, _ = predict.score(rows, "new.parquet")
    again = first.with_columns(prediction=pl.lit(-1.0), row=pl.lit("kept"))

    second, _ = predict.score(again, "new.parquet")

    assert second["prediction"].equals(first["prediction"])
    assert second["row"].unique().to_list() == ["kept"]
