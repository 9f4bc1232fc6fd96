"""`poe monitor` keeps to the monitoring plan, counts overrides, and writes down what is wrong."""

import base64
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal, Releases, edit_state
from machinery.tests.conftest import FACTS
from rung_governance import monitor
from rung_governance.approval import audit, keys, overrides, plan, promote, validation
from rung_governance.approval.overrides import Overrides
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN, details
from rung_governance.documents import technical_file
from rung_governance.privacy import erasure, retention
from rung_governance.privacy.erasure import Subject
from rung_ops import prediction_log
from rung_ops.errors import SettingsError
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


@dataclass
class Monitored:
    """Production that serves a release; its monitoring plan finds nothing wrong by itself."""

    folder: Path
    release: Path
    patch: Patch

    def predict(self, count: int) -> None:
        """Log so many predictions of the release that production serves."""
        asked = pl.read_parquet(self.release / bundle.PARITY)
        asked = pl.concat([asked] * -(-count // asked.height))[:count]
        rows = asked.drop("prediction")
        package = bundle.read_manifest(self.release)["package"]
        moment = datetime.now(UTC) - timedelta(hours=1)
        batch = prediction_log.Batch(
            int(moment.timestamp() * 1e6),
            [str(number) for number in range(count)],
            self.release.name,
            "serving",
            rows,
            rows.select(source_import.features_of(self.release, package)),
            asked["prediction"].to_numpy(),
        )
        day = prediction_log.folder("production") / f"date={moment:%Y-%m-%d}"
        day.mkdir(parents=True)
        prediction_log.assemble([batch]).write_parquet(day / "test.0.0-0.parquet")

    def plan(self, tables: dict[str, Any] = LENIENT, **of_overrides: float) -> None:
        """Set the thresholds of the plan."""
        tables = tables | {"overrides": of_overrides}
        duty = {"owner": "Head of operations", "action": "Read the reasons."}
        owners = {f"overrides.{name}": duty for name in of_overrides}
        self.patch.setattr(plan, "thresholds", lambda: dict(tables))
        self.patch.setattr(plan, "owners", lambda: owners)

    def seven_of_twenty(self) -> None:
        """Overrule more than the plan lets pass."""
        self.predict(20)
        self.overrule(7)
        self.plan(most_share=0.3)

    def overrule(self, count: int) -> None:
        for number in range(count):
            made = {"id": str(number), "decision": "grant", "by": "Olga", "reason": "an error"}
            overrides.record(self.folder, made)

    @property
    def noted(self) -> list[dict[str, Any]]:
        return details(history.read(self.folder / state.HISTORY), monitor.MONITORED)


@pytest.fixture
def monitored(
    production: Path, release_folder: Path, release_key: bytes, tmp_path: Path, monkeypatch: Patch
) -> Monitored:
    key = tmp_path / "release.pub"
    key.write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(key))
    monkeypatch.setattr(observation, "report_folder", lambda: tmp_path / "monitor")
    monkeypatch.setattr(outcomes, "outcomes_folder", lambda: tmp_path / "outcomes")
    monkeypatch.setattr(monitor, "unapproved", lambda folder, release: [])
    shutil.copytree(release_folder, production / "bundles" / release_folder.name)
    with audit.signed(production):
        state.serve(production, release_folder.name, "Ada")
    made = Monitored(production, release_folder, monkeypatch)
    made.plan()
    return made


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
    monitored: Monitored, rows: int, overruled: int, message: str, capsys: Capture
) -> None:
    monitored.predict(rows)
    monitored.plan(most_share=0.3, least_share=0.01)
    monitored.overrule(overruled)

    assert monitor.main([]) == (1 if message else 0)

    assert message in capsys.readouterr().out
    assert audit.report(monitored.folder) == []


@pytest.mark.tried(
    "Change, remove or add a line of the audit log without its key",
    "`poe audit-log` and `poe monitor` name the line",
)
def test_a_log_with_an_unsigned_line_or_that_does_not_fit_its_notes_is_a_finding(
    monitored: Monitored, monkeypatch: Patch, capsys: Capture
) -> None:
    monitored.predict(20)
    monkeypatch.setattr(audit, "against_notes", lambda folder: ["origin has a note of 9 lines"])

    assert monitor.main([]) == 1

    message = "the audit log cannot be relied on: origin has a note of 9 lines"
    assert message in capsys.readouterr().out
    assert monitored.noted[-1]["problems"] == [message]
    state.note(monitored.folder, "resuming", "Eve", reason="because")
    assert monitor.main([]) == 1
    assert "the audit log cannot be relied on: line 3 is not signed" in capsys.readouterr().out


def test_overrides_in_logs_that_were_not_checked_do_not_count(
    monitored: Monitored, capsys: Capture
) -> None:
    monitored.predict(20)
    monitored.plan(most_share=0.3)
    monitored.overrule(27)  # seven of them answered by another release, or by none

    assert monitor.main([]) == 1
    assert "20 of 20 predictions were overruled" in capsys.readouterr().out


def test_an_override_of_a_prediction_that_is_not_logged_is_named_unless_that_was_erased(
    monitored: Monitored, capsys: Capture
) -> None:
    monitored.predict(20)
    monitored.plan(most_share=1.0)
    for _ in range(2):  # a second word on each is not another prediction
        monitored.overrule(21)  # the last one of a prediction that was never made

    assert monitor.main([]) == 1
    assert "1 override names no prediction of the log: 20" in capsys.readouterr().out

    for number in ("1", "7", "20"):
        places = erasure.FoundRows(erasure.widened(Subject(ids=frozenset([number]))))
        overruled = places.subject.ids & set(Overrides(monitored.folder).count())
        assert erasure.erase(places, overruled)[-1] == []
    assert monitor.main([]) == 1
    assert "1 override names no prediction of the log: 20" in capsys.readouterr().out


def test_the_technical_file_counts_as_the_monitor_does(monitored: Monitored) -> None:
    monitored.predict(20)
    monitored.overrule(7)
    monitored.overrule(8)

    section = technical_file.served("1")

    assert "Predictions that were overruled: 8, in 15 entries of the audit log." in section
    monitored.overrule(21)
    assert technical_file.served("1").endswith("1 override names no prediction of the log: 20")


def test_the_thresholds_of_the_plan_count_in_place_of_monitor_toml(monitored: Monitored) -> None:
    monitored.predict(20)

    assert monitor.main([]) == 0
    freshness = LENIENT["freshness"] | {"prediction_hours": 0.5}
    monitored.plan(LENIENT | {"freshness": freshness})
    assert monitor.main([]) == 1


def test_what_is_wrong_is_written_down_when_it_begins_and_ends_and_not_in_between(
    monitored: Monitored,
) -> None:
    monitored.seven_of_twenty()
    assert monitor.main([]) == 1
    monitored.overrule(8)  # worse, and no news
    assert monitor.main([]) == 1
    (noted,) = monitored.noted
    assert "more than 30%" in noted["problems"][0]
    assert "N of N predictions were overruled, more than N%" in noted["kinds"][0]

    monitored.plan(most_share=0.9)
    assert monitor.main([]) == monitor.main([]) == 0

    assert [entry["problems"] for entry in monitored.noted[1:]] == [[]]
    assert audit.report(monitored.folder) == []


def test_json_is_printed_and_nothing_is_written(monitored: Monitored, capsys: Capture) -> None:
    monitored.seven_of_twenty()

    assert monitor.main(["--json"]) == 1

    assert "were overruled" in capsys.readouterr().out
    assert monitored.noted == []


def test_without_the_key_no_unsigned_line_is_written(
    monitored: Monitored, monkeypatch: Patch, refusal: Refusal
) -> None:
    monitored.seven_of_twenty()
    monkeypatch.delenv(keys.VARIABLE)

    expected = "Findings of the monitor are not in the audit log: there is no key"
    assert expected in refusal(monitor.main)
    assert audit.report(monitored.folder) == []


def test_an_encrypted_log_is_checked(
    monitored: Monitored, monkeypatch: Patch, capsys: Capture
) -> None:
    monitored.predict(20)
    (path,) = prediction_log.folder("production").rglob("*.parquet")
    frame = pl.read_parquet(path, hive_partitioning=False)
    monkeypatch.setenv("LOG_KEYS", f"2026:{base64.b64encode(bytes(32)).decode()}")
    sealed.write(frame, path)

    assert monitor.main([]) == 0
    assert "20 predictions" in capsys.readouterr().out


def test_with_an_unreadable_plan_the_monitor_does_not_run(
    production: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    def broken() -> None:
        raise SettingsError("governance/monitoring_plan.yaml is missing")

    monkeypatch.setattr(plan, "thresholds", broken)

    assert monitor.main([]) == 2
    assert "monitoring_plan.yaml is missing" in capsys.readouterr().err


def test_a_schedule_is_quiet_before_the_first_deployment(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path))
    assert monitor.main(["--if-deployed"]) == 0
    assert "Nothing was deployed to production yet" in capsys.readouterr().out
    assert monitor.main([]) == 2


def test_the_monitor_deletes_what_is_past_its_date_unless_it_looks_at_another_time(
    monitored: Monitored, monkeypatch: Patch, capsys: Capture
) -> None:
    monitored.predict(20)
    old = prediction_log.folder("production") / "date=2016-01-31"
    old.mkdir()
    record = monitored.folder.parent / "retention.yaml"
    record.write_text("logs: [{log: Predictions, retention_days: 1095, deletes: predictions}]")
    monkeypatch.setattr(retention, "shared", lambda name: record)

    monitor.main(["--now", datetime.now(UTC).isoformat()[:16]])
    assert old.exists()

    monitor.main([])
    assert not old.exists()
    assert "are deleted" in capsys.readouterr().err


@pytest.fixture
def promoted(releases: Releases) -> Releases:
    """The first release was approved and promoted; the second is approved, and was copied."""
    releases.deploy_first()
    assert promote.main(["1"]) == 0
    releases.approve("2")
    releases.install(releases.second)
    return releases


def test_what_was_promoted_is_approved(promoted: Releases) -> None:
    assert monitor.unapproved(promoted.folder, promoted.first) == []
    assert monitor.unapproved(promoted.folder.with_name("staging"), "v9") == []


@pytest.mark.tried(
    "Let a release answer without a signed line that approves of it",
    "the service refuses, and `poe monitor` names it",
)
def test_a_release_that_was_served_past_promote_is_found(promoted: Releases) -> None:
    state.serve(promoted.folder, promoted.second, "Eve")
    assert monitor.unapproved(promoted.folder, promoted.second) == [
        f"{promoted.second} answers unapproved: no signed line of the audit log approves of it"
    ]


def test_an_approval_that_somebody_wrote_without_the_key_does_not_count(promoted: Releases) -> None:
    state.note(promoted.folder, "approved", "Eve", release=promoted.second)
    assert len(monitor.unapproved(promoted.folder, promoted.second)) == 1


def test_an_edited_state_that_names_another_release_is_found(promoted: Releases) -> None:
    edit_state(promoted.folder, serving=promoted.second)
    (problem,) = monitor.unapproved(promoted.folder, promoted.second)
    assert "it belongs to another state" in problem


def withdrawal(releases: Releases, digest: str) -> None:
    name = f"{FACTS['model']}-1.withdrawal-{digest[:12]}.json"
    (releases.project / validation.RECORDS / name).write_text("{}")


def test_a_withdrawal_and_a_rejection_are_found(promoted: Releases) -> None:
    promoted.approve("1", decision="rejected")
    withdrawal(promoted, "0" * 12)

    rejected, withdrawn = monitor.unapproved(promoted.folder, promoted.first)

    assert "has rejected this version" in rejected and "was withdrawn" in withdrawn
    assert audit.report(promoted.folder) == []


def approve(releases: Releases, digest: str) -> None:
    """Write that an approval of this hash is that of what answers."""
    with audit.signed(releases.folder):
        about = {"release": releases.first, "approval_hash": digest}
        state.note(releases.folder, APPROVED, "Vera", **about)


@pytest.fixture
def withdrawn(promoted: Releases) -> Releases:
    """The repository holds the withdrawal of the approval of what answers."""
    approve(promoted, "9" * 64)
    withdrawal(promoted, "9" * 64)
    return promoted


@pytest.mark.tried(
    "Keep the service from hearing of a withdrawal by deploying nothing",
    "`poe monitor` writes it into the log",
)
def test_the_monitor_passes_a_withdrawal_to_the_service_once(withdrawn: Releases) -> None:
    for _ in range(2):
        assert monitor.relay_withdrawals(withdrawn.folder, "monitor") == []
    assert details(withdrawn.events, WITHDRAWN) == [{"approval": "9" * 64}]
    assert audit.report(withdrawn.folder) == []


def test_without_the_key_it_writes_nothing_and_says_so(
    withdrawn: Releases, monkeypatch: Patch
) -> None:
    monkeypatch.delenv(keys.VARIABLE)
    (problem,) = monitor.relay_withdrawals(withdrawn.folder, "monitor")
    assert problem.startswith(f"The service does not know that {withdrawn.first} was withdrawn: ")
    assert details(withdrawn.events, WITHDRAWN) == []


def test_the_withdrawal_of_another_approval_is_not_passed_on(withdrawn: Releases) -> None:
    approve(withdrawn, "8" * 64)
    assert monitor.relay_withdrawals(withdrawn.folder, "monitor") == []
    assert details(withdrawn.events, WITHDRAWN) == []
