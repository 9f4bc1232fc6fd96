"""The monitor under governance: predictions against the monitoring plan (`poe monitor`).

It does what rung_ops.monitoring.observation does, with the limits of the plan in place of those of
ops/monitor.toml. Besides, it judges overrides: many mean that the model is wrong, very few that predictions
are not reviewed. The check runs code of the release, so it runs in a process without the key that signs.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_governance.approval import (
    audit,
    gate_record,
    keys,
    overrides,
    plan,
    readiness,
    signed_approval,
    validation,
    witness,
)
from rung_governance.approval.keys import AuditLogError
from rung_governance.approval.overrides import Overrides
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN, details
from rung_governance.privacy import retention
from rung_ops import prediction_log
from rung_ops.command import USAGE
from rung_ops.errors import SettingsError
from rung_ops.model.bundle import BundleError
from rung_ops.monitoring import observation
from rung_ops.monitoring.monitor_result import MonitorResult
from rung_ops.monitoring.observation import Options
from rung_ops.project import keyless, paths
from rung_ops.release import state
from rung_ops.system import key_names

MONITORED = "monitored"
OVERRIDES = "overrides"  # the table of the plan's settings that ops/monitor.toml does not have
LEAST_ROWS = 500  # predictions below which few overrides mean nothing


def overruled(
    folder: Path, result: MonitorResult, thresholds: Mapping[str, float]
) -> Iterator[str]:
    """Say whether people overrule too many predictions, or suspiciously few."""
    if not result.rows:
        return
    count = _overruled(folder, result)
    share = count / result.rows
    counted = f"{count:,} of {result.rows:,} predictions were overruled"
    most, least = thresholds.get("most_share"), thresholds.get("least_share")
    if most is not None and not share <= most:
        yield f"{counted}, more than {most:.0%}. {_duty('most_share')}"
    if least is not None and result.rows >= LEAST_ROWS and not share >= least:
        yield f"{counted}, fewer than {least:.0%}. {_duty('least_share')}"


def unapproved(folder: Path, release: str) -> list[str]:
    """Say why a release should not answer in an environment; staging needs no approval.

    By the signed log and today's records: so an edited state.json is found, a state written past
    `poe promote`, and an approval that has expired or was withdrawn.
    """
    if folder.name != paths.PRODUCTION:
        return []
    return [f"{release} answers unapproved: {each}" for each in _objections(folder, release)]


def _objections(folder: Path, release: str) -> Iterator[str]:
    try:
        signed = audit.verify(folder, keys.public_key()).anchored
        events = state.events(folder)[:signed]
    except (AuditLogError, state.StateError) as error:
        yield str(error)
        return
    if not any(each.get("release") == release for each in details(events, APPROVED)):
        yield "no signed line of the audit log approves of it"
    try:
        yield from gate_record.lapsed(folder, validation.of_release(folder, release))
    except BundleError as error:
        yield str(error)


def relay_withdrawals(folder: Path, by: str) -> list[str]:
    """Write withdrawals that the repository holds into the audit log, which the service follows.

    Return why one could not be written, or signed.
    """
    try:
        now, events = state.read(folder), state.events(folder)
    except (state.StateError, OSError):
        return []  # unapproved() says so of what answers
    known = {each.get("approval") for each in details(events, WITHDRAWN)}
    approved = {
        str(each.get("release")): str(each.get("approval_hash"))
        for each in details(events, APPROVED)
    }
    problems = []
    for release in sorted(now.releases() & approved.keys()):
        digest = approved[release]
        if digest not in known and _is_withdrawn(folder, release, digest):
            otherwise = f"The service does not know that {release} was withdrawn"
            problems += audit.attempt(folder, WITHDRAWN, by, otherwise, approval=digest)
    return problems


def _is_withdrawn(folder: Path, release: str, digest: str) -> bool:
    try:
        approved = validation.approval_path(validation.of_release(folder, release))
    except BundleError:
        return False
    file = signed_approval.withdrawal_of(approved, digest)
    return file.is_file() or signed_approval.in_history(file)


def past_their_day(folder: Path, release: str) -> list[str]:
    """List reviews and findings that are overdue; the monitor still runs."""
    try:
        return readiness.warnings(validation.of_release(folder, release))
    except BundleError:
        return []  # which unapproved() says


def _overruled(folder: Path, result: MonitorResult) -> int:
    """Count the checked predictions that were overruled in the same time."""
    since, until = result.since.isoformat(), result.until.isoformat()
    overruled_ids = [name for name, at in Overrides(folder).count(since).items() if at < until]
    log = prediction_log.read(prediction_log.folder(folder.name), result.since, result.until)
    theirs = log.filter(
        pl.col("id").is_in(overruled_ids)
        & (pl.col("release") == result.release.id)
        & (pl.col("arm") != "shadow")
    )
    return int(theirs.select(pl.col("id").n_unique()).collect().item()) if overruled_ids else 0


def note(folder: Path, release: str, problems: list[str], by: str) -> list[str]:
    """Write the problems into the audit log, unless they are there already; return why it failed."""
    noted = [each["kinds"] for each in details(state.events(folder), MONITORED)]
    kinds = sorted({_kind(problem) for problem in problems})
    if kinds == (noted[-1] if noted else []):
        return []
    otherwise = "Findings of the monitor are not in the audit log"
    found = {"release": release, "kinds": kinds, "problems": problems}
    return audit.attempt(folder, MONITORED, by, otherwise, **found)


def _kind(problem: str) -> str:
    """Write N for each figure of a problem, as they differ at each check."""
    return re.sub(r"\d+([.,]\d+)*", "N", problem.partition(":")[0])


def _duty(setting: str) -> str:
    duty = plan.owners()[f"{OVERRIDES}.{setting}"]
    return f"{duty['owner']}: {duty['action']}"


@observation.command_line
def main(**chosen: Any) -> int:
    """Check what was predicted, and write the problems into the audit log."""
    options = Options(**chosen)
    folder = paths.environment(options.environment)
    try:
        plan.thresholds()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    for problem in relay_withdrawals(folder, paths.person()):
        print(problem, file=sys.stderr)
    if not options.now and not options.json:  # another moment is only examined
        for line in retention.apply(paths.person(), datetime.now(UTC)):
            print(line, file=sys.stderr)
    # Here, as the other process has no right at the remote.
    unfitting = audit.against_notes(folder)
    kept = key_names.OF_LOG
    code, checked = keyless.call("rung_governance.monitor:check", chosen, unfitting, kept=kept)
    if checked and code != USAGE and not options.json:
        for problem in note(folder, **checked, by=paths.person()):
            print(problem, file=sys.stderr)
    if problem := witness.note(folder, paths.person()):
        print(problem, file=sys.stderr)
    return int(code)


def check(chosen: dict[str, Any], unfitting: list[str]) -> tuple[int, dict[str, Any]]:
    """Check what was predicted, and the audit log; return the exit code, and what was found."""
    options = Options(**chosen)
    folder = paths.environment(options.environment)
    thresholds = plan.thresholds()
    limits = thresholds.pop(OVERRIDES, {})
    checked: dict[str, Any] = {}

    def also(result: MonitorResult) -> list[str]:
        further = list(overruled(folder, result, limits))
        further += unapproved(folder, result.release.id)
        further += past_their_day(folder, result.release.id)
        made = Overrides(folder).count(result.since.isoformat())
        doubts = [*audit.report(folder), *unfitting]
        further += [f"the audit log cannot be relied on: {each}" for each in doubts]
        further += filter(None, [overrides.unlogged(folder, made)])
        checked.update(release=result.release.id, problems=[*result.problems, *further])
        return further

    return observation.monitor(options, thresholds, also), checked
