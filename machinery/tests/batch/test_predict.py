"""Batch scoring answers every row, or says why it does not."""

from pathlib import Path

import polars as pl
import pytest

from machinery.tests.in_project import fit
from rung_ops import contract
from rung_ops.batch import predict
from rung_ops.data.ingest import sample_rows
from rung_ops.training import estimator

SCHEMA = contract.Row.to_schema()


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Rows of the sample, and a model trained on some of them."""
    whole = sample_rows()
    estimator.save(fit(whole.sample(min(500, whole.height), seed=1)), tmp_path / "model.skops")
    monkeypatch.setattr(predict, "MODEL", tmp_path / "model.skops")
    return whole.sample(10, seed=2).drop(contract.TARGET)


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


def test_a_missing_column_is_named_and_nothing_is_written(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = rows.columns[0]
    rows.drop(column).write_parquet(tmp_path / "new.parquet")

    code = predict.main([str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet")])

    assert code == 1
    assert column in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_that_is_no_table_is_refused(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.csv").write_bytes(b"a,b\n\xff\xfe\x00,1\n")

    assert predict.main([str(tmp_path / "new.csv")]) == 1
    assert "new.csv" in capsys.readouterr().err
