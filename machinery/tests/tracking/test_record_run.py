"""A recorded run can be found again, with everything it was made from."""

import json
import shutil
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest

from machinery.tests.in_project import fit
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.data.ingest import sample_rows
from rung_ops.model import bundle, source_hash
from rung_ops.project import current, release_folders
from rung_ops.project.paths import params
from rung_ops.release import lineage, rollback, state
from rung_ops.tracking import model_bytes, record_run, registry
from rung_ops.training import estimator

TAGS = {
    "git_commit": "a" * 40,
    "git_author": "Ada Lovelace <ada@example.org>",
    "git_dirty": "false",
    "data_hash": "b" * 32,
    "params_hash": "c" * 64,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two versions in a store of their own."""
    folder = tmp_path_factory.mktemp("store")
    rows = sample_rows()
    rows = rows.sample(min(500, rows.height), seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        here = moved(
            patch,
            rows=folder / "rows",
            model_file=folder / "model",
            metrics=folder / "metrics",
            report=folder / "report",
            reports=folder / "reports",
        )
        rows.write_parquet(here.rows)
        estimator.save(fit(rows), here.model_file)
        here.metrics.write_text(json.dumps({params()["score"]["metric"]: 0.5}))
        record_run.record(TAGS)
        yield record_run.record(TAGS | {"git_commit": "d" * 40})


@pytest.mark.parametrize(
    ("value", "dtype", "known_as"),
    [
        (date(2026, 1, 31), pl.Date, "datetime"),
        ("a", pl.Categorical, "string"),
        ("a", pl.Enum(["a"]), "string"),
        (7, pl.UInt8, "integer"),
        (7, pl.UInt32, "long"),
        (2**64 - 1, pl.UInt64, "double"),
        (Decimal("1.5"), pl.Decimal(10, 2), "double"),
        (time(12), pl.Time, "string"),
        (timedelta(days=1), pl.Duration, "long"),
    ],
)
def test_a_column_of_any_type_is_recorded_without_a_warning(
    caplog: pytest.LogCaptureFixture, value: object, dtype: pl.DataType, known_as: str
) -> None:
    rows = pl.DataFrame({contract.TARGET: [1.0, 0.0], "column": [value, None]})

    schema = record_run.dataset(rows.cast({"column": dtype}), "c" * 8).schema

    assert schema.input_dict()["column"].type.name == known_as
    assert caplog.messages == []


def test_the_newest_version_is_the_challenger(made: dict[str, str]) -> None:
    assert made["version"] == "2"
    assert registry.version("challenger").version == 2
    assert [int(each.version) for each in registry.versions()] == [2, 1]


def test_a_version_and_its_run_say_what_they_were_made_from(made: dict[str, str]) -> None:
    run = registry.client().get_run(made["run_id"])

    tags = registry.version("1").tags
    model_hash = model_bytes.digest(registry.version("1"))
    hashes = {"model_hash": model_hash, "model_file": bundle.digest(current().model_file)}
    hashes["source_hash"] = source_hash.of_folder(current().root, contract.package())
    assert tags == TAGS | hashes and len(model_hash) == 64
    assert run.data.tags["model_hash"] == model_bytes.digest(registry.version("2"))
    assert run.data.tags["git_commit"] == "d" * 40
    assert run.data.params["seed"] == str(params()["seed"])
    assert run.data.metrics[params()["score"]["metric"]] == 0.5


def test_lineage_prints_commit_data_and_parameters(
    made: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lineage.main(["1"]) == 0

    output = capsys.readouterr().out
    assert TAGS["git_commit"] in output
    assert TAGS["data_hash"] in output
    assert f"seed = {params()['seed']}" in output


def test_lineage_of_an_unknown_version_names_those_there_are(
    made: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lineage.main(["99"]) == 1
    output = capsys.readouterr().err
    assert "the registry has 2, 1" in output
    assert "on the machine that recorded them" in output


def test_an_empty_registry_says_where_the_runs_of_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A colleague's clone has the commits of a version, and none of its runs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    assert lineage.main(["1"]) == 1
    output = capsys.readouterr().err
    assert f"{tmp_path}/mlflow.db" in output
    assert "on the machine that recorded them" in output
    assert "MLFLOW_TRACKING_URI" in output


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Production, which serves version 1 again after a rollback of version 2."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    folder = release_folders.environment(release_folders.PRODUCTION)
    for number in ("1", "2"):
        bundle_folder = release_folders.bundle(folder, f"v{number}")
        bundle_folder.mkdir(parents=True)
        required = {name: kind() for name, kind in bundle.REQUIRED.items()}
        manifest = required | {"schema": bundle.SCHEMA, "version": number}
        (bundle_folder / bundle.MANIFEST).write_text(json.dumps(manifest))
        state.serve(folder, f"v{number}", "Ada")
    return folder


def test_the_champion_is_what_production_serves_after_a_rollback(
    made: dict[str, str], production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.client().set_registered_model_alias(made["model"], registry.CHAMPION, "2")
    try:
        assert lineage.main(["champion"]) == 0
        before = capsys.readouterr()
        rollback.roll_back(production, "Ada", "too many late answers")

        assert lineage.main(["champion"]) == 0
    finally:
        registry.client().delete_registered_model_alias(made["model"], registry.CHAMPION)
    after = capsys.readouterr()
    assert before.err == ""
    assert "version 2" in before.out.splitlines()[0]
    assert "version 1" in after.out.splitlines()[0]
    assert "Production serves version 1; the alias `champion` is at version 2" in after.err


def test_a_champion_without_an_environment_at_hand_is_that_of_the_alias(
    made: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path / "none"))
    registry.client().set_registered_model_alias(made["model"], registry.CHAMPION, "2")
    try:
        assert lineage.main(["champion"]) == 0
    finally:
        registry.client().delete_registered_model_alias(made["model"], registry.CHAMPION)

    assert "version 2" in capsys.readouterr().out.splitlines()[0]
    assert not (tmp_path / "none").exists()


def test_the_registered_model_answers_as_the_saved_one(made: dict[str, str]) -> None:
    rows = pl.read_parquet(current().rows)
    uri = f"models:/{made['model']}@challenger"
    loaded = mlflow.sklearn.load_model(uri)

    expected = estimator.predict(estimator.load(current().model_file), rows)

    np.testing.assert_array_equal(expected, estimator.predict(loaded, rows))
    assert mlflow.models.get_model_info(uri).signature is not None


def test_a_store_that_was_moved_still_finds_its_models(
    made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the registry of one CI job does, that another one downloads."""
    folder = shutil.move(current().rows.parent, tmp_path / "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")

    registry.client()
    result = mlflow.artifacts.download_artifacts(
        f"models:/{made['model']}/2", dst_path=str(tmp_path / "model")
    )

    assert list(Path(result).rglob("*.skops"))
