"""What is past its date goes, nothing else does, and the audit log says what it was."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from machinery.governance.tests.conftest import Capture, Patch
from rung_governance import record_check
from rung_governance.approval import audit, keys
from rung_governance.privacy import retention
from rung_ops.errors import SettingsError
from rung_ops.monitoring import outcomes
from rung_ops.project import current
from rung_ops.release import history, state

TODAY = date(2026, 11, 27)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAYS = 200
ENTRY: dict[str, Any] = {"log": "Predictions", "retention_days": DAYS, "deletes": "predictions"}

Write = Callable[..., None]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: Patch) -> Write:
    """Writes governance/retention.yaml."""
    path = tmp_path / "retention.yaml"
    monkeypatch.setattr(retention, "shared", lambda name: path)
    monkeypatch.setattr(outcomes, "outcomes_folder", lambda: tmp_path / "outcomes")

    def write(**fields: Any) -> None:
        path.write_text(yaml.safe_dump({"logs": [{"log": "Code"}, ENTRY | fields]}))

    write()
    return write


@pytest.fixture
def days(production: Path, tmp_path: Path) -> dict[int, Path]:
    """Days of the log, by how many days they are past."""
    made = {}
    for past in (0, DAYS, DAYS + 1):
        day = TODAY - timedelta(days=past)
        made[past] = tmp_path / f"logs/production/predictions/date={day}"
        made[past].mkdir(parents=True)
        (made[past] / "w.c.0-0.parquet").write_bytes(b"rows")
    (tmp_path / "logs/production/predictions/date=other").mkdir()
    return made


def test_a_day_goes_when_it_is_past_its_date(record: Write, days: dict[int, Path]) -> None:
    old = days[DAYS + 1]
    left = old.parent / ".new-killed" / old.name  # of a `poe predict` that was killed
    left.mkdir(parents=True)

    assert {each.path for each in retention.overdue(TODAY)} == {old, left}


@pytest.mark.tried(
    "Find predictions that are past their date, after `poe monitor`",
    "deleted where `governance/retention.yaml` says so, and noted in the audit log",
)
def test_what_goes_is_in_the_audit_log(
    record: Write, days: dict[int, Path], production: Path
) -> None:
    (deleted,) = retention.apply("Ada", NOW)

    assert deleted.startswith("1 day(s)")
    assert [past for past, day in days.items() if day.exists()] == [0, DAYS]
    (line,) = history.read(production / state.HISTORY)
    assert (line["event"], line["by"]) == ("retention", "Ada")
    assert days[DAYS + 1].name in line["detail"]["deleted"][0]
    assert audit.unsigned(production, keys.private_key().public_key()) == ""
    assert retention.apply("Ada", NOW) == []


def test_a_file_of_outcomes_counts_by_the_day_it_was_changed(
    record: Write, production: Path, tmp_path: Path
) -> None:
    record(deletes="outcomes")
    (tmp_path / "outcomes").mkdir()
    for name, past in (("old.csv", DAYS + 1), ("new.csv", DAYS - 1), ("old.md", DAYS + 1)):
        path = tmp_path / "outcomes" / name
        path.write_text("id,bad\n")
        changed = (NOW - timedelta(days=past)).timestamp()
        os.utime(path, (changed, changed))

    retention.apply("Ada", NOW)

    assert sorted(each.name for each in (tmp_path / "outcomes").iterdir()) == ["new.csv", "old.md"]


def test_without_a_retention_period_nothing_is_deleted(
    record: Write, days: dict[int, Path]
) -> None:
    record(deletes=None)
    assert retention.overdue(TODAY) == []


def test_without_the_key_nothing_goes(
    record: Write, days: dict[int, Path], monkeypatch: Patch
) -> None:
    monkeypatch.delenv(keys.VARIABLE)
    (line,) = retention.apply("Ada", NOW)
    assert "past their date, and stay" in line
    assert days[DAYS + 1].exists()


@pytest.mark.parametrize(
    "wrong",
    [{"deletes": "everything"}, *({"retention_days": days} for days in ("200", 30, 999_999))],
)
def test_a_record_that_means_something_else_deletes_nothing(
    record: Write, days: dict[int, Path], wrong: dict[str, Any]
) -> None:
    record(**wrong)

    with pytest.raises(SettingsError):
        retention.overdue(TODAY)
    assert len(retention.apply("Ada", NOW)) == 1
    assert all(day.exists() for day in days.values())


def test_the_verb_shows_and_deletes(record: Write, days: dict[int, Path], capsys: Capture) -> None:
    for day in days.values():
        day.rename(day.with_name(day.name.replace("202", "201")))

    assert retention.main(["--dry-run"]) == 0
    assert "Nothing was deleted." in capsys.readouterr().out
    assert retention.main([]) == 0
    assert "into the audit log: 3" in capsys.readouterr().out
    assert retention.main([]) == 0
    assert "Nothing is past its date." in capsys.readouterr().out


def test_the_record_of_the_example_is_one_that_rung_can_keep() -> None:
    content = yaml.safe_load((current().root / retention.RECORD).read_text())
    schema = record_check.SCHEMAS / "retention.json"
    Draft202012Validator(yaml.safe_load(schema.read_text())).validate(content)
    assert dict(retention._kept()) == {"predictions": 1095}
