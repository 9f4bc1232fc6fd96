"""`poe monitor` checks a release of this very project; its exit code gives the result."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rung_ops import contract, prediction_log
from rung_ops.data import blocks
from rung_ops.data.ingest import sample_rows
from rung_ops.model import bundle, source_import
from rung_ops.monitoring import check, limits, observation, outcomes
from rung_ops.project.paths import params
from rung_ops.release import state

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
# A sample may be old.
PATIENT: dict[str, dict[str, Any]] = {"freshness": {"row_days": 1e5, "model_days": 1e5}}
# It may also be ordered in time, so that the held-out rows do differ from those of training.
LENIENT = PATIENT | {"drift": {"min_rows": 1_000_000}}
DEPLOYED = "production"


@pytest.fixture
def serving(
    release_folder: Path, release_key: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Production with a release, in a folder of its own; nothing predicted yet."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    monkeypatch.setattr(observation, "report_folder", lambda: tmp_path / "monitor")
    monkeypatch.setattr(outcomes, "outcomes_folder", lambda: tmp_path / "outcomes")
    (tmp_path / "release.pub").write_bytes(release_key)
    directory = tmp_path / "releases" / DEPLOYED
    shutil.copytree(release_folder, directory / "bundles" / release_folder.name)
    state.serve(directory, release_folder.name, "a test")
    return directory / "bundles" / release_folder.name


def predict(release: Path, count: int = 300) -> pl.DataFrame:
    """Log what the release's parity rows were answered, an hour before NOW."""
    request = pl.read_parquet(release / bundle.PARITY)
    request = pl.concat([request] * -(-count // request.height))[:count]
    package = bundle.read_manifest(release)["package"]
    rows = request.drop("prediction")
    batch = prediction_log.Batch(
        int((NOW - timedelta(hours=1)).timestamp() * 1e6),
        [str(number) for number in range(count)],
        release.name,
        "serving",
        rows,
        rows.select(source_import.features_of(release, package)),
        request["prediction"].to_numpy(),
    )
    frame = prediction_log.assemble([batch])
    prediction_log.write_predictions(frame, prediction_log.folder(DEPLOYED))
    return frame


def look(*arguments: str, replaced: dict[str, dict[str, Any]] = PATIENT) -> int:
    words = ["--now", NOW.isoformat(), *arguments]
    chosen = observation.main.command.make_context("poe monitor", words).params
    return observation.monitor(observation.Options(**chosen), replaced)


def test_it_writes_what_it_saw_for_people_and_programs(serving: Path, tmp_path: Path) -> None:
    predict(serving)

    code = look()

    status = json.loads((tmp_path / "monitor/status.json").read_text())
    assert code == (1 if status["problems"] else 0)
    assert (status["release"], status["rows"]) == (serving.name, 300)
    assert status["drift"]["judged"]
    drift = pl.read_parquet(tmp_path / "monitor/drift.parquet")
    features = [feature.meta.output_name() for feature in contract.FEATURES]
    assert drift["feature"].to_list() == [*features, "prediction"]
    assert serving.name in (tmp_path / "monitor/report.html").read_text()
    assert f'release="{serving.name}"' in (tmp_path / "logs/production/monitor.prom").read_text()


@pytest.mark.parametrize(
    ("days", "code", "printed"),
    [(0, 0, "300 predictions"), (2, 1, "- the newest prediction is of 2026-03-08 11:00 UTC")],
)
def test_the_exit_code_says_whether_something_is_wrong(
    serving: Path, capsys: pytest.CaptureFixture[str], days: int, code: int, printed: str
) -> None:
    predict(serving)

    assert look("--now", (NOW + timedelta(days=days)).isoformat(), replaced=LENIENT) == code
    assert printed in capsys.readouterr().out


def test_what_the_shadow_answered_is_not_checked(serving: Path, tmp_path: Path) -> None:
    frame = predict(serving).with_columns(arm=pl.lit("shadow"))
    prediction_log.write_predictions(frame, prediction_log.folder(DEPLOYED))

    look()

    assert json.loads((tmp_path / "monitor/status.json").read_text())["rows"] == 300


def test_the_window_can_be_narrowed(serving: Path, tmp_path: Path) -> None:
    predict(serving)

    look("--since", "2026-03-08T11:30")
    assert json.loads((tmp_path / "monitor/status.json").read_text())["rows"] == 0

    look("--since", "1d")
    assert json.loads((tmp_path / "monitor/status.json").read_text())["rows"] == 300


def test_outcomes_that_arrived_are_scored_by_the_release(serving: Path, tmp_path: Path) -> None:
    predict(serving)
    truth = sample_rows()[contract.TARGET].drop_nulls().sample(300, seed=5, with_replacement=True)
    if truth.dtype == pl.Boolean:
        truth = pl.Series([True, False] * 150)
    (tmp_path / "outcomes").mkdir()
    pl.DataFrame({"id": [str(n) for n in range(300)], contract.TARGET: truth}).write_parquet(
        tmp_path / "outcomes/late.parquet"
    )

    look()

    result = json.loads((tmp_path / "monitor/status.json").read_text())["quality"]
    assert result["metric"] == params()["score"]["metric"]
    assert (result["outcomes"], result["coverage"]) == (300, 1.0)
    assert result["low"] < result["figure"] < result["high"]


def test_an_empty_log_is_exit_code_2_and_reported_clearly(
    serving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look() == 2
    assert "Nothing has been predicted yet" in capsys.readouterr().err


def test_a_schedule_is_quiet_before_the_first_deployment_and_only_then(
    serving: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path / "empty"))

    assert look("--if-deployed") == 2  # a share that is not there is no beginning
    (tmp_path / "empty").mkdir()
    assert look("--if-deployed") == 0
    assert "Nothing was deployed to production yet" in capsys.readouterr().out
    assert look() == 2
    assert "`uv run poe deploy production`" in capsys.readouterr().err

    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    assert look("--if-deployed") == 2  # deployed, and nothing was predicted
    (tmp_path / "releases" / DEPLOYED / "state.json").unlink()
    assert look("--if-deployed") == 2  # its history says that something was


def test_a_release_that_was_changed_is_not_believed(
    serving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(serving)
    (serving / bundle.METRICS).write_text("{}", encoding="utf-8")

    assert look() == 2
    assert bundle.METRICS in capsys.readouterr().err


def test_the_settings_of_this_project_can_be_used() -> None:
    assert limits.read() == limits.read(limits.limits_file(), replaced={})
    assert limits.read(replaced={"window": {"days": 31}}).window.days == 31


def test_a_file_of_the_log_may_go_while_it_is_read(
    serving: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(serving, 3_000)
    monkeypatch.setattr(blocks, "BYTES", 30_000)
    read = check.LoggedRows.in_blocks

    def losing(rows: check.LoggedRows, *columns: pl.Expr) -> Iterator[pl.DataFrame]:
        read_blocks = read(rows, *columns)
        yield next(read_blocks)
        for path in prediction_log.folder(DEPLOYED).glob("date=*/*.parquet"):
            path.unlink()  # as retention and erasure do
        yield from read_blocks

    monkeypatch.setattr(check.LoggedRows, "in_blocks", losing)

    assert look() == 2
    assert "was removed while it was read" in capsys.readouterr().err


@pytest.mark.parametrize("score_days", [True, False])
def test_days_without_a_figure_are_not_drawn(
    serving: Path, tmp_path: Path, score_days: bool
) -> None:
    logged = predict(serving)
    (tmp_path / "outcomes").mkdir()
    target = contract.TARGET
    known = logged.select("id", pl.lit(1).alias(target)).head(150 if score_days else 300)
    known.write_parquet(tmp_path / "outcomes/a.parquet")

    look(replaced=PATIENT | {"outcomes": {"score_days": score_days}})

    page = (tmp_path / "monitor/report.html").read_text()
    assert "<h2>Outcomes</h2>" in page
    assert "Outcomes by day" not in page
    missing = "No day has a figure" if score_days else "Days are not scored"
    assert missing in page


def test_a_file_that_score_lacks_is_not_taken_for_one_of_the_log(
    serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(serving, 300)

    def broken(*_: object) -> None:
        Path("/nowhere/costs.csv").read_text()

    monkeypatch.setattr(check, "check_release", broken)

    with pytest.raises(FileNotFoundError, match=r"costs\.csv"):
        look()
