"""Retention: delete what is past its period, at each `poe monitor` or by its own verb.

An entry of governance/retention.yaml with `deletes` says what the library deletes after
`retention_days`: `predictions`, by the day in the log, or `outcomes`, by the day a file was changed.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from rung_governance.approval import audit, keys
from rung_governance.approval.keys import AuditLogError
from rung_governance.record_check import MOST_DAYS
from rung_ops import prediction_log
from rung_ops.command import verb
from rung_ops.errors import SettingsError, UnreadableFileError
from rung_ops.monitoring import outcomes
from rung_ops.project import documents, paths
from rung_ops.project.paths import shared, shown
from rung_ops.system import files

RECORD = "governance/retention.yaml"
DELETED = "retention"  # the event in the audit log
LEAST_DAYS = 184  # EU AI Act, Articles 19(1) and 26(6): six months, the longest ones


@dataclass(frozen=True)
class Overdue:
    """What is past its date: a folder of a day in the log, or a file of outcomes."""

    path: Path
    days: int


def overdue(today: date) -> list[Overdue]:
    """List what the record wants deleted by a day."""
    past_due: list[Overdue] = []
    for kind, days in _kept():
        last = today - timedelta(days=days)
        dated = _predictions() if kind == "predictions" else _outcomes()
        past_due += [Overdue(path, days) for path, day in dated if day < last]
    return sorted(past_due, key=lambda each: each.path)


def delete(past_due: list[Overdue], by: str) -> list[str]:
    """Delete what is overdue, and write into the audit log of production what it was."""
    problems, gone = [], []
    for each in past_due:
        try:
            shutil.rmtree(each.path) if each.path.is_dir() else each.path.unlink()
            gone.append(each)
        except OSError as error:
            problems.append(
                f"{shown(each.path)} is past its date and could not be deleted: {error}"
            )
    if not gone:
        return problems
    listed = [shown(each.path) for each in gone]
    days = sorted({each.days for each in gone})
    folder = paths.environment(paths.PRODUCTION)
    otherwise = f"That {', '.join(listed)} was deleted is not in the audit log"
    return problems + audit.attempt(folder, DELETED, by, otherwise, deleted=listed, days=days)


def apply(by: str, now: datetime) -> list[str]:
    """Delete what is overdue; say what was deleted, and what could not be.

    Without the key of the audit log nothing is deleted, as an unsigned line would leave all that
    follow unsigned too.
    """
    try:
        past_due = overdue(now.astimezone(UTC).date())
        if not past_due:
            return []
        keys.private_key()
    except SettingsError as error:
        return [str(error)]
    except AuditLogError as error:
        return [f"{len(past_due)} day(s) or file(s) are past their date, and stay: {error}"]
    done = f"{len(past_due)} day(s) or file(s) were past their date ({RECORD}), and are deleted."
    return [done, *delete(past_due, by)]


def _kept() -> Iterator[tuple[str, int]]:
    path = shared(RECORD)
    try:
        logs = documents.record(path)["logs"]
        for entry in logs:
            if kind := entry.get("deletes"):
                days = entry["retention_days"]
                if kind not in ("predictions", "outcomes") or not isinstance(days, int):
                    raise SettingsError(f"{shown(path)}: `deletes` is predictions or outcomes")
                if not LEAST_DAYS <= days <= MOST_DAYS["retention_days"]:
                    raise SettingsError(
                        f"{shown(path)}: {kind} are kept {LEAST_DAYS} days or longer, and at most "
                        f"{MOST_DAYS['retention_days']:,}; got {days:,} days"
                    )
                yield kind, days
    except (UnreadableFileError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{shown(path)} cannot be used: {error}") from error


def _predictions() -> Iterator[tuple[Path, date]]:
    logs = prediction_log.logs()
    # What a killed `poe predict` left is in a draft of the log.
    for path in [
        *logs.glob("*/predictions/date=*"),
        *logs.glob(f"*/predictions/{files.DRAFT_FOLDER}*/date=*"),
    ]:
        try:
            yield path, date.fromisoformat(path.name.removeprefix("date="))
        except ValueError:
            continue  # not a day of the log


def _outcomes() -> Iterator[tuple[Path, date]]:
    for path in outcomes.outcomes_folder().rglob("*"):
        if path.suffix in outcomes.READERS and path.is_file():
            yield path, datetime.fromtimestamp(path.stat().st_mtime, UTC).date()


@verb("rung-ops governance retention")
@click.option("--dry-run", is_flag=True, help="show it only")
def main(dry_run: bool) -> int:
    """Delete what is past its retention period by governance/retention.yaml."""
    try:
        past_due = overdue(datetime.now(UTC).date())
        if past_due and not dry_run:
            keys.private_key()
    except (SettingsError, AuditLogError) as error:
        print(f"Nothing was deleted: {error}", file=sys.stderr)
        return 1
    for each in past_due:
        print(f"{shown(each.path)}: kept {each.days} days")
    if dry_run or not past_due:
        print("Nothing was deleted." if past_due else "Nothing is past its date.")
        return 0
    problems = delete(past_due, paths.person())
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"Deleted, and written into the audit log: {len(past_due)}.")
    return 1 if problems else 0
