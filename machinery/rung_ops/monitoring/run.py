"""Check what was predicted: `uv run poe monitor`.

Exit code 0: nothing is wrong. 1: something is wrong, and is printed. 2: nothing could be
checked: no release is served, no prediction was logged, or a setting is broken. With `--if-deployed`,
as schedules call it, 0 if nothing was ever deployed.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import prediction_log
from rung_ops.model.bundle import BundleError
from rung_ops.monitoring import (
    check,
    exposition,
    feature_quality,
    hooks,
    limits,
    outcomes,
    release_info,
    report,
    window,
)
from rung_ops.monitoring.freshness import moment
from rung_ops.monitoring.limits import BadLimits, Limits
from rung_ops.monitoring.release_info import Released
from rung_ops.monitoring.result import MonitorResult
from rung_ops.monitoring.status import status
from rung_ops.project import current, release_folders
from rung_ops.project.hooks import HookError, notify
from rung_ops.project.paths import params, project_name, shown
from rung_ops.release import state, state_file
from rung_ops.system import atomic, locks
from rung_ops.system.printable import counted, printable


def report_folder() -> Path:
    """Return the folder of the monitor's reports."""
    return current().reports / "monitor"


PROM = "monitor.prom"
COULD_NOT = 2  # exit code
DAYS = re.compile(r"(\d+)d")


class CannotLook(Exception):
    """There is nothing to check, or nothing to compare it with; the message says what to do."""


def observe(
    environment: str,
    now: datetime,
    limits: Limits,
    since: datetime | None = None,
    folder: Path | None = None,
) -> MonitorResult:
    """Check what an environment's serving release answered.

    Args:
        environment: staging or production.
        now: the moment of the check, with a time zone; the window ends here.
        limits: of ops/monitor.toml.
        since: where the window begins; as many days back as [window] says if not given.
        folder: of the outcomes; data/outcomes if not given.

    Raises:
        CannotLook: nothing is served, or nothing was ever predicted.
        BundleError: the release must not be used.
        HookError: the project's monitor_check cannot be used.
    """
    release = _serving(environment)
    log = prediction_log.folder(environment)
    if not any(log.glob("date=*/*.parquet")):
        raise CannotLook(
            f"Nothing has been predicted yet: {shown(log)} holds no rows. "
            "The service (`uv run poe serve`) logs each of its answers there."
        )
    begin = since or now - timedelta(days=limits.window.days)
    follow = min(begin, now - timedelta(days=limits.outcomes.days))
    earlier = window.rows(log, release.id, follow, now)
    predictions = earlier.filter(pl.col("time") >= begin)
    given = check.MonitorInput(
        predictions,
        earlier,
        outcomes.read(release.contract, folder or outcomes.outcomes_folder()),
        window.newest(prediction_log.read(log, until=now), release.contract["time"]),
        begin,
        now,
        feature_quality.filled() if release.contract.get("entity_features") else None,
    )
    result = check.check_release(release, given, limits, params())
    result.problems.extend(hooks.problems(predictions))
    return result


def _serving(environment: str) -> Released:
    """Load the release that an environment serves, with its signature verified."""
    folder = release_folders.environment(environment)
    serving = state.read(folder).serving
    if serving is None:
        raise CannotLook(
            f"{environment} serves nothing: `uv run poe deploy {environment}` brings a release."
        )
    key = release_folders.public_key()
    if not key.is_file():
        raise CannotLook(f"{shown(key)} is missing: releases are verified with it. Bring it back.")
    return release_info.load(release_folders.bundle(folder, serving), key.read_bytes())


def write(result: MonitorResult, environment: str, folder: Path | None = None) -> None:
    """Write what a check found: tables, status and report, and the gauges for Prometheus."""
    folder = folder or report_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("drift", "defaults", "ranges", "quality"):
        getattr(result, name).write_parquet(folder / f"{name}.parquet")
    if result.entity_features.height:
        result.entity_features.write_parquet(folder / "entity_features.parquet")
    summed_up = json.dumps(status(result), indent=2, allow_nan=False)
    (folder / "status.json").write_text(f"{summed_up}\n", encoding="utf-8")
    (folder / "report.html").write_text(report.html(project_name(), environment, result), "utf-8")
    logs = prediction_log.folder(environment).parent
    with locks.locked(logs):
        atomic.write(logs / PROM, exposition.text(result))


def main(
    arguments: list[str] | None = None,
    instead: Mapping[str, Mapping[str, Any]] | None = None,
    also: Callable[[MonitorResult], list[str]] | None = None,
) -> int:
    """Check, write the report, and print what is wrong; return the exit code.

    Args:
        arguments: of the command line.
        instead: values that replace those in ops/monitor.toml, by table and name.
        also: finds what else is wrong; returns a sentence for each problem.
    """
    options = parsed(arguments)
    if options.if_deployed and not deployed(options.environment):
        print(f"Nothing was deployed to {options.environment} yet: there is nothing to check.")
        return 0
    try:
        now = _moment(options.now) or datetime.now(UTC)
        back = DAYS.fullmatch(options.since or "")
        since = now - timedelta(days=int(back[1])) if back else _moment(options.since)
        result = observe(options.environment, now, limits.read(instead=instead), since)
        if also:
            result = replace(result, problems=[*result.problems, *also(result)])
        if options.json:
            print(json.dumps(status(result), allow_nan=False))
            return 1 if result.problems else 0
        write(result, options.environment)
    except (CannotLook, BundleError, BadLimits, HookError, state.BadState) as error:
        print(error, file=sys.stderr)
        return COULD_NOT
    print(report.summary(result))
    for problem in result.problems:
        print(f"- {printable(problem)}")
    print(f"look at {shown(report_folder() / 'report.html')}")
    if result.problems:
        notify(
            f"{project_name()} in {options.environment}: the monitor found "
            f"{counted(len(result.problems), 'problem')}",
            "\n".join(result.problems),
        )
    return 1 if result.problems else 0


def deployed(environment: str) -> bool:
    """Tell whether an environment ever had a release, or its folder cannot be seen from here."""
    share = os.environ.get("RELEASES")
    if share and not Path(share).is_dir():
        return True
    folder = release_folders.environment(environment)
    return any((folder / name).exists() for name in (state_file.STATE, state_file.HISTORY))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="poe monitor", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--environment", choices=release_folders.ENVIRONMENTS, default=release_folders.PRODUCTION
    )
    parser.add_argument(
        "--if-deployed",
        action="store_true",
        help="exit with 0 if nothing was ever deployed",
    )
    parser.add_argument("--since", help="begin of the window: a day, a moment, or 30d")
    parser.add_argument("--now", help="look as of this moment, in UTC; it is now if not given")
    parser.add_argument(
        "--json", action="store_true", help="print what was found as JSON, and write nothing"
    )
    return parser.parse_args(arguments)


def _moment(text: str | None) -> datetime | None:
    try:
        return moment(text)
    except ValueError:
        raise CannotLook(
            f"`{text}` is not a date or time: give one such as 2026-01-31T08:00."
        ) from None
