"""Under governance no prediction of a file is given out that is not in the log."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from machinery.tests.in_project import fit
from machinery.tests.projects import moved
from rung_ops import contract, prediction_log
from rung_ops.batch import predict, predict_logged
from rung_ops.data.ingest import sample_rows
from rung_ops.training import estimator

SCHEMA = contract.Row.to_schema()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on some rows of the sample."""
    path = tmp_path_factory.mktemp("model") / "model.skops"
    rows = sample_rows()
    estimator.save(fit(rows.sample(min(500, rows.height), seed=1)), path)
    return path


@pytest.fixture
def project(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ten rows to score, and a log of its own."""
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    moved(monkeypatch, model_file=model)
    sample_rows().sample(10, seed=2).drop(contract.TARGET).write_parquet(tmp_path / "in.parquet")
    return tmp_path


def run(project: Path) -> int:
    return predict.main(
        [str(project / "in.parquet"), str(project / "out.parquet")],
        before_writing=predict_logged.log_predictions,
    )


def logged() -> pl.DataFrame:
    return prediction_log.read(prediction_log.folder(predict_logged.ENVIRONMENT)).collect()


def test_each_prediction_is_in_the_log_with_what_it_was_made_from(project: Path) -> None:
    assert run(project) == 0

    written, log = pl.read_parquet(project / "out.parquet"), logged()

    assert log["id"].to_list() == written["prediction_id"].to_list()
    assert log["prediction"].to_list() == written["prediction"].to_list()
    rows = log["row"].struct.unnest()
    assert rows.equals(written.select(pl.col(n).cast(kind) for n, kind in rows.schema.items()))
    assert set(rows.columns) == SCHEMA.columns.keys() - {contract.TARGET}
    assert log["features"].struct.unnest().equals(estimator.features(rows))
    assert set(log["arm"]) == {"batch"}


def test_two_runs_have_no_id_in_common(project: Path) -> None:
    assert run(project) == run(project) == 0

    assert logged()["id"].n_unique() == 20


def test_a_row_that_cannot_be_scored_is_not_in_the_log(project: Path) -> None:
    required = next(n for n in SCHEMA.columns if not SCHEMA.columns[n].nullable)
    hole = pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(required).alias(required)
    pl.read_parquet(project / "in.parquet").with_columns(hole).write_parquet(project / "in.parquet")

    assert run(project) == 0

    written = pl.read_parquet(project / "out.parquet")
    assert written["prediction_id"].is_null().arg_true().to_list() == [4]
    assert logged()["id"].to_list() == written["prediction_id"].drop_nulls().to_list()


def test_nothing_is_written_where_the_log_cannot_be(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "logs").write_text("in the way", encoding="utf-8")

    assert run(project) == 1
    assert not (project / "out.parquet").exists()
    assert "may not be used" in capsys.readouterr().err


@pytest.mark.parametrize(("tracked", "start"), [(True, "v7-"), (False, "unregistered-")])
def test_the_log_names_the_version_only_where_it_is_this_model(
    project: Path, model: Path, tracked: bool, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, predict_logged, root=project, reports=project)
    (project / "run.json").write_text(json.dumps({"version": "7"}), encoding="utf-8")
    md5 = hashlib.md5(model.read_bytes()).hexdigest() if tracked else "0" * 32
    dependency = {"path": predict_logged.shown(model), "md5": md5}
    lock = {"stages": {"track": {"deps": [dependency]}}}
    (project / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")

    assert predict_logged.release().startswith(start)
