"""Batch scoring answers every row, or says why it does not; what it gives out can be logged first."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from machinery.tests.projects import moved
from rung_ops import contract, prediction_log
from rung_ops.batch import predict, predict_logged
from rung_ops.data.ingest import sample_rows
from rung_ops.training import estimator

SCHEMA = contract.Row.to_schema()
REQUIRED = next(name for name, column in SCHEMA.columns.items() if not column.nullable)


@pytest.fixture
def rows(saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Ten rows to score, also as in.parquet, and a log of its own."""
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    moved(monkeypatch, model_file=saved_model)
    rows = sample_rows().sample(10, seed=2).drop(contract.TARGET)
    rows.write_parquet(tmp_path / "in.parquet")
    return rows


def with_hole(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave a required value out of the fifth row."""
    hole = pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(REQUIRED)
    return rows.with_columns(hole.alias(REQUIRED))


def run(folder: Path, output: str = "out.parquet") -> int:
    return predict.main([str(folder / name) for name in ("in.parquet", output)])


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is scored is logged, as an add-on may ask for."""
    monkeypatch.setattr(predict, "as_add_ons_do", predict_logged.log_predictions)


def test_every_good_row_is_scored_in_its_place(rows: pl.DataFrame) -> None:
    scored, problems = predict.score(rows, "new.parquet")

    assert problems == []
    assert scored.select(rows.columns).equals(rows)
    assert scored["prediction"].null_count() == 0


def test_a_bad_row_is_reported_and_the_others_are_scored(rows: pl.DataFrame) -> None:
    scored, problems = predict.score(with_hole(rows), "new.parquet")

    assert (REQUIRED, (5,)) in [(p.column, p.rows) for p in problems]
    assert scored.height == rows.height
    assert scored["prediction"].is_null().arg_true().to_list() == [4]
    assert REQUIRED in scored["problem"][4]


def test_a_full_disk_is_not_a_fault_of_the_format(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(scored: pl.LazyFrame, draft: Path) -> None:
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")

    monkeypatch.setitem(predict.WRITERS, ".parquet", full)

    with pytest.raises(pl.exceptions.ComputeError, match="No space left"):
        predict.write([rows], tmp_path / "scored.parquet")


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("less.parquet", "out.parquet", REQUIRED),
        ("broken.csv", "out.parquet", "broken.csv"),
        ("", "out.parquet", "is a folder: name one of its files"),
        ("in.parquet", "out.xlsx", "expected .parquet or .csv"),
        ("in.parquet", "folder.parquet", "folder.parquet is a folder"),
        ("more.parquet", "out.csv", "cannot be written as .csv"),
    ],
    ids=[
        "a missing column",
        "no table",
        "a folder",
        "another format",
        "a folder of output",
        "a list in CSV",
    ],
)
def test_what_cannot_be_scored_is_named_and_nothing_is_written(
    rows: pl.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    output: str,
    message: str,
) -> None:
    rows.drop(REQUIRED).write_parquet(tmp_path / "less.parquet")
    rows.with_columns(tags=pl.lit([1, 2])).write_parquet(tmp_path / "more.parquet")
    (tmp_path / "broken.csv").write_bytes(b"a,b\n\xff\xfe\x00,1\n")
    (tmp_path / "folder.parquet").mkdir()

    assert predict.main([str(tmp_path / source), str(tmp_path / output)]) == 1

    assert message in capsys.readouterr().err
    assert not (tmp_path / output).is_file()


def test_the_name_of_the_output_says_its_format(rows: pl.DataFrame, tmp_path: Path) -> None:
    for name, read in {"out.csv": pl.read_csv, "out.parquet": pl.read_parquet}.items():
        assert run(tmp_path, name) == 0
        assert read(tmp_path / name)["prediction"].len() == rows.height


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_rows_are_not_written_over(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """`poe predict *.csv` names two files of rows."""
    first, second = tmp_path / f"january{suffix}", tmp_path / f"february{suffix}"
    for path in (first, second):
        predict.WRITERS[suffix](rows.lazy(), path)
    before = second.read_bytes()

    assert predict.main([str(first), str(second)]) == 1

    assert "february" in (printed := capsys.readouterr().err)
    assert "holds no predictions" in printed
    assert second.read_bytes() == before


def test_a_file_that_was_scored_before_gets_new_predictions(rows: pl.DataFrame) -> None:
    first, _ = predict.score(rows, "new.parquet")
    again = first.with_columns(prediction=pl.lit(-1.0), row=pl.lit("kept"))

    second, _ = predict.score(again, "new.parquet")

    assert second["prediction"].equals(first["prediction"])
    assert second["row"].unique().to_list() == ["kept"]


def logged() -> pl.DataFrame:
    return prediction_log.read(prediction_log.folder(predict_logged.ENVIRONMENT)).collect()


@pytest.mark.usefixtures("rows", "logs")
def test_each_prediction_is_in_the_log_with_what_it_was_made_from(tmp_path: Path) -> None:
    assert run(tmp_path) == 0

    written, log = pl.read_parquet(tmp_path / "out.parquet"), logged()

    assert log["id"].to_list() == written["prediction_id"].to_list()
    assert log["prediction"].to_list() == written["prediction"].to_list()
    rows = log["row"].struct.unnest()
    assert rows.equals(written.select(pl.col(n).cast(kind) for n, kind in rows.schema.items()))
    assert set(rows.columns) == SCHEMA.columns.keys() - {contract.TARGET}
    assert log["features"].struct.unnest().equals(estimator.features(rows))
    assert set(log["arm"]) == {"batch"}

    assert run(tmp_path) == 0
    assert logged()["id"].n_unique() == 20


@pytest.mark.usefixtures("logs")
def test_a_row_that_cannot_be_scored_is_not_in_the_log(rows: pl.DataFrame, tmp_path: Path) -> None:
    with_hole(rows).write_parquet(tmp_path / "in.parquet")

    assert run(tmp_path) == 0

    written = pl.read_parquet(tmp_path / "out.parquet")
    assert written["prediction_id"].is_null().arg_true().to_list() == [4]
    assert logged()["id"].to_list() == written["prediction_id"].drop_nulls().to_list()


@pytest.mark.usefixtures("rows", "logs")
def test_nothing_is_written_where_the_log_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("in the way", encoding="utf-8")

    assert run(tmp_path) == 1
    assert not (tmp_path / "out.parquet").exists()
    assert "may not be used" in capsys.readouterr().err


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(("tracked", "start"), [(True, "v7-"), (False, "unregistered-")])
def test_the_log_names_the_version_only_where_it_is_this_model(
    tmp_path: Path, saved_model: Path, tracked: bool, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, predict_logged, root=tmp_path, reports=tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"version": "7"}), encoding="utf-8")
    md5 = hashlib.md5(saved_model.read_bytes()).hexdigest() if tracked else "0" * 32
    dependency = {"path": predict_logged.shown(saved_model), "md5": md5}
    lock = {"stages": {"track": {"deps": [dependency]}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")

    assert predict_logged.release().startswith(start)
