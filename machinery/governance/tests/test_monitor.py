"""`poe monitor` keeps to the monitoring plan, counts overrides, and writes down what is wrong."""

import base64
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rung_governance import monitor
from rung_governance.approval import audit, keys, overrides, plan, serving_check
from rung_governance.approval.overrides import Overrides
from rung_governance.approval.plan import PlanError
from rung_governance.documents import technical_file
from rung_governance.privacy import erasure, personal_rows, retention
from rung_governance.privacy.data_subject import Subject
from rung_ops import prediction_log
from rung_ops.model import bundle, source_import
from rung_ops.monitoring import observation, outcomes
from rung_ops.prediction_log import sealed
from rung_ops.release import history, state

# Nothing of what a sample of old rows may show is wrong by this plan.
LENIENT: dict[str, dict[str, Any]] = {
    "drift": {"min_rows": 1_000_000},
    "missing": {"most_rise": 1},
    "ranges": {"most": 1},
    "freshness": {"row_days": 1e5, "model_days": 1e5, "prediction_hours": 1e5},
}


@pytest.fixture
def predicted(
    production: Path,
    release_folder: Path,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], None]:
    """Logs so many predictions of the release that production serves."""
    key = tmp_path / "release.pub"
    key.write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(key))
    monkeypatch.setattr(observation, "report_folder", lambda: tmp_path / "monitor")
    monkeypatch.setattr(outcomes, "outcomes_folder", lambda: tmp_path / "outcomes")
    monkeypatch.setattr(serving_check, "problems", lambda folder, release: [])
    shutil.copytree(release_folder, production / "bundles" / release_folder.name)
    with audit.signed(production):
        state.serve(production, release_folder.name, "Ada")

    def predict(count: int) -> None:
        asked = pl.read_parquet(release_folder / bundle.PARITY)
        asked = pl.concat([asked] * -(-count // asked.height))[:count]
        rows = asked.drop("prediction")
        package = bundle.read_manifest(release_folder)["package"]
        moment = datetime.now(UTC) - timedelta(hours=1)
        batch = prediction_log.Batch(
            int(moment.timestamp() * 1e6),
            [str(number) for number in range(count)],
            release_folder.name,
            "serving",
            rows,
            rows.select(source_import.features_of(release_folder, package)),
            asked["prediction"].to_numpy(),
        )
        frame = prediction_log.assemble([batch])
        day = prediction_log.folder("production") / f"date={moment:%Y-%m-%d}"
        day.mkdir(parents=True)
        frame.write_parquet(day / "test.0.0-0.parquet")

    return predict


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the thresholds of the plan; those of overrides as given."""

    def use(**of_overrides: float) -> None:
        tables = LENIENT | {"overrides": of_overrides}
        duty = {"owner": "Head of operations", "action": "Read the reasons."}
        monkeypatch.setattr(plan, "thresholds", lambda: dict(tables))
        monkeypatch.setattr(
            plan, "owners", lambda: {f"overrides.{name}": duty for name in of_overrides}
        )

    return use


def overrule(folder: Path, count: int) -> None:
    for number in range(count):
        overrides.record(folder, overrides.Override(str(number), "grant", "Olga", "an error"))


def noted(folder: Path) -> list[dict[str, Any]]:
    events = history.read(folder / state.HISTORY)
    return [event["detail"] for event in events if event["event"] == monitor.MONITORED]


@pytest.mark.parametrize(
    ("rows", "overruled", "message"),
    [
        (20, 7, "7 of 20 predictions were overruled, more than 30%. Head of operations: Read"),
        (20, 6, ""),
        (500, 4, "4 of 500 predictions were overruled, fewer than 1%"),
        (500, 5, ""),
        (499, 0, ""),
    ],
)
def test_overrides_have_their_limits_both_ways(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    rows: int,
    overruled: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(rows)
    planned(most_share=0.3, least_share=0.01)
    overrule(production, overruled)

    assert monitor.main([]) == (1 if message else 0)

    assert message in capsys.readouterr().out
    assert audit.report(production) == []


def test_a_log_that_does_not_fit_its_notes_is_a_finding(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned()
    monkeypatch.setattr(audit, "against_notes", lambda folder: ["origin has a note of 9 lines"])

    assert monitor.main([]) == 1

    message = "the audit log cannot be relied on: origin has a note of 9 lines"
    assert message in capsys.readouterr().out
    assert noted(production)[-1]["problems"] == [message]


def test_overrides_in_logs_that_were_not_checked_do_not_count(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned(most_share=0.3)
    overrule(production, 27)  # seven of them answered by another release, or by none

    assert monitor.main([]) == 1

    assert "20 of 20 predictions were overruled" in capsys.readouterr().out


def test_an_override_of_a_prediction_that_is_not_logged_is_named(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned(most_share=1.0)
    overrule(production, 21)
    overrule(production, 21)  # a second word on each is not another prediction

    assert monitor.main([]) == 1

    assert "1 override names no prediction of the log: 20" in capsys.readouterr().out


def test_an_override_whose_prediction_was_erased_is_not_called_unknown(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned(most_share=1.0)
    overrule(production, 21)  # the last one of a prediction that was never made
    for number in ("1", "7", "20"):
        places = personal_rows.FoundRows(personal_rows.widened(Subject(ids=frozenset([number]))))
        overruled = places.subject.ids & set(Overrides(production).count())
        assert erasure.erase(places, overruled)[1] == []

    assert monitor.main([]) == 1
    assert "1 override names no prediction of the log: 20" in capsys.readouterr().out


def test_the_technical_file_counts_as_the_monitor_does(
    predicted: Callable[[int], None], production: Path
) -> None:
    predicted(20)
    overrule(production, 7)
    overrule(production, 8)

    section = technical_file.served("1")

    assert "Predictions that were overruled: 8, in 15 entries of the audit log." in section

    overrule(production, 21)

    assert technical_file.served("1").endswith("1 override names no prediction of the log: 20")


def test_the_thresholds_of_the_plan_count_in_place_of_monitor_toml(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned()
    strict = LENIENT | {"freshness": LENIENT["freshness"] | {"prediction_hours": 0.5}}

    assert monitor.main([]) == 0
    monkeypatch.setattr(plan, "thresholds", lambda: dict(strict))
    assert monitor.main([]) == 1


def test_what_is_wrong_is_written_down_when_it_begins_and_ends_and_not_in_between(
    predicted: Callable[[int], None], planned: Callable[..., None], production: Path
) -> None:
    predicted(20)
    overrule(production, 7)
    planned(most_share=0.3)
    assert monitor.main([]) == 1
    overrule(production, 8)  # worse, and no news
    assert monitor.main([]) == 1
    assert len(noted(production)) == 1
    assert "more than 30%" in noted(production)[0]["problems"][0]
    assert "N of N predictions were overruled, more than N%" in noted(production)[0]["kinds"][0]

    planned(most_share=0.9)
    assert monitor.main([]) == monitor.main([]) == 0

    assert [entry["problems"] for entry in noted(production)[1:]] == [[]]
    assert audit.report(production) == []


def test_json_is_printed_and_nothing_is_written(
    predicted: Callable[[int], None], planned: Callable[..., None], production: Path, capsys: Any
) -> None:
    predicted(20)
    overrule(production, 7)
    planned(most_share=0.3)

    assert monitor.main(["--json"]) == 1

    assert "were overruled" in capsys.readouterr().out
    assert noted(production) == []


def test_without_the_key_no_unsigned_line_is_written(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    overrule(production, 7)
    planned(most_share=0.3)
    monkeypatch.delenv(keys.VARIABLE)

    assert monitor.main([]) == 1

    assert (
        "Findings of the monitor are not in the audit log: there is no key"
        in capsys.readouterr().err
    )
    assert audit.report(production) == []


def test_an_encrypted_log_is_checked(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned()
    (path,) = prediction_log.folder("production").rglob("*.parquet")
    frame = pl.read_parquet(path, hive_partitioning=False)
    monkeypatch.setenv("LOG_KEYS", f"2026:{base64.b64encode(bytes(32)).decode()}")
    sealed.write(frame, path)

    assert monitor.main([]) == 0
    assert "20 predictions" in capsys.readouterr().out


@pytest.mark.tried(
    "Add a line to the audit log without its key, and hope that `poe audit-log` is not run",
    "`poe monitor` names the line",
)
def test_an_unsigned_line_is_named(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned()
    assert monitor.main([]) == 0

    state.note(production, "resuming", "Eve", reason="because")

    assert monitor.main([]) == 1
    output = capsys.readouterr().out
    assert "the audit log cannot be relied on: line 2 is not signed" in output


def test_with_an_unreadable_plan_the_monitor_does_not_run(
    production: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise PlanError("governance/monitoring_plan.yaml is missing")

    monkeypatch.setattr(plan, "thresholds", broken)

    assert monitor.main([]) == 2
    assert "monitoring_plan.yaml is missing" in capsys.readouterr().err


def test_a_schedule_is_quiet_before_the_first_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path))

    assert monitor.main(["--if-deployed"]) == 0
    assert "Nothing was deployed to production yet" in capsys.readouterr().out
    assert monitor.main([]) == 2


def test_the_monitor_deletes_what_is_past_its_date_unless_it_looks_at_another_time(
    predicted: Callable[[int], None],
    planned: Callable[..., None],
    production: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted(20)
    planned()
    old = prediction_log.folder("production") / "date=2016-01-31"
    old.mkdir()
    record = production.parent / "retention.yaml"
    record.write_text("logs: [{log: Predictions, retention_days: 1095, deletes: predictions}]")
    monkeypatch.setattr(retention, "shared", lambda name: record)

    monitor.main(["--now", datetime.now(UTC).isoformat()[:16]])
    assert old.exists()

    monitor.main([])
    assert not old.exists()
    assert "are deleted" in capsys.readouterr().err
