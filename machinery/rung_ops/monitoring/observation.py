"""Check what was predicted: `uv run poe monitor`.

Exit code 0: nothing is wrong. 1: something is wrong, and is printed. 2: nothing could be
checked: no release is served, no prediction was logged, or a setting is broken. With `--if-deployed`,
as schedules call it, 0 if nothing was ever deployed.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import polars as pl

from rung_ops import prediction_log
from rung_ops.command import OK, REFUSED, USAGE, Verb, verb
from rung_ops.errors import OpsError
from rung_ops.monitoring import (
    check,
    inputs,
    limits,
    monitor_report,
    monitor_result,
    outcomes,
    release_info,
)
from rung_ops.monitoring.inputs import moment
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult, status
from rung_ops.monitoring.release_info import Released
from rung_ops.prediction_log import log_sync, other_times
from rung_ops.project import active_addons, current, hooks, release_folders
from rung_ops.project.hooks import notify
from rung_ops.project.paths import params, project_name, shown
from rung_ops.release import state
from rung_ops.system.printable import counted, printable

CHECK = "monitor_check"


def hook_problems(predictions: pl.DataFrame) -> list[str]:
    """Return what the monitor_check of the project and of add-ons find; one that fails is a problem."""
    found = []
    if own := hooks.load(CHECK):
        found += _checked(f"the hook {CHECK}", own, predictions)
    for name, function in active_addons.targets(CHECK):
        found += _checked(f"{CHECK} of the add-on {name}", function, predictions)
    return found


def _checked(what: str, function: Callable[..., Any], predictions: pl.DataFrame) -> list[str]:
    try:
        returned = function(predictions)
    except Exception as error:  # the hook is the user's, and may raise anything
        return [f"{what} raised {type(error).__name__}: {error}"]
    if not isinstance(returned, list):
        got = f"{type(returned).__name__}; it must return an empty list for no problem"
    elif wrong := [each for each in returned if not (isinstance(each, str) and each.strip())]:
        got = f"a list with {wrong[0]!r} in it"
    else:
        return returned
    return [f"{what} must return a list of sentences, each a str, and returned {got}"]


def report_folder() -> Path:
    """Return the folder of the monitor's reports."""
    return current().reports / "monitor"


DAYS = re.compile(r"(\d+)d")


class NothingToCheckError(OpsError):
    """There is nothing to check, or nothing to compare it with."""

    exit_code = 2


def observe(
    environment: str, now: datetime, limits: Limits, since: datetime | None = None
) -> MonitorResult:
    """Check what an environment's serving release answered since a moment, or as [window] says."""
    release = _serving(environment)
    begin = since or now - timedelta(days=limits.window.days)
    follow = min(begin, now - timedelta(days=limits.outcomes.days))
    log = log_sync.downloaded(environment, follow, now)
    counted_times = other_times.read(log, begin, now)
    if not any(log.glob("date=*/*.parquet")):
        if refused := list(inputs.of_another_time(counted_times, limits.missing.most_rise)):
            raise NothingToCheckError(f"Nothing was answered: {'; '.join(refused)}.")
        raise NothingToCheckError(
            f"Nothing has been predicted yet: {shown(log)} holds no rows. "
            "The service (`uv run poe serve`) logs each of its answers there."
        )
    earlier = check.logged_rows(log, release.id, follow, now)
    predictions = earlier.filter(pl.col("time") >= begin)
    given = check.MonitorInput(
        predictions,
        earlier,
        outcomes.read(release.contract),
        check.newest_moments(prediction_log.read(log, until=now), release.contract["time"]),
        begin,
        now,
        inputs.filled() if release.contract.get("entity_features") else None,
        counted_times,
    )
    result = check.check_release(release, given, limits, params())
    result.problems.extend(hook_problems(predictions))
    return result


def _serving(environment: str) -> Released:
    """Load the release that an environment serves, with its signature verified."""
    folder = release_folders.environment(environment)
    serving = state.read(folder).serving
    if serving is None:
        raise NothingToCheckError(
            f"{environment} serves nothing: `uv run poe deploy {environment}` brings a release."
        )
    key = release_folders.public_key()
    if not key.is_file():
        raise NothingToCheckError(
            f"{shown(key)} is missing: releases are verified with it. Bring it back."
        )
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
    (folder / "report.html").write_text(
        monitor_report.html(project_name(), environment, result), "utf-8"
    )
    gauges = monitor_result.gauges(result)
    log_sync.write_figures(environment, prediction_log.MONITOR_PROM, gauges)


@dataclass(frozen=True)
class Options:
    """The options of `poe monitor`."""

    environment: str
    if_deployed: bool
    since: str | None
    now: str | None
    json: bool


def command_line(function: Callable[..., int]) -> Verb:
    """Make a function that takes the fields of Options the verb `poe monitor`."""
    for option in (
        click.option("--json", is_flag=True, help="print the result as JSON, and write nothing"),
        click.option("--now", help="check as of this moment, in UTC (default: the current time)"),
        click.option("--since", help="begin of the window: a day, a moment, or 30d"),
        click.option(
            "--if-deployed", is_flag=True, help="exit with 0 if nothing was ever deployed"
        ),
        click.option(
            "--environment",
            type=click.Choice(release_folders.ENVIRONMENTS),
            default=release_folders.PRODUCTION,
            show_default=True,
        ),
    ):
        function = option(function)
    return verb("poe monitor")(function)


@command_line
def main(**chosen: Any) -> int:
    """Check what was predicted, write the report, and print what is wrong."""
    return monitor(Options(**chosen))


def monitor(
    options: Options,
    replaced: Mapping[str, Mapping[str, Any]] | None = None,
    also: Callable[[MonitorResult], list[str]] | None = None,
) -> int:
    """Check, write the report, and print what is wrong; an add-on brings limits and checks of its own."""
    if options.if_deployed and not deployed(options.environment):
        print(f"Nothing was deployed to {options.environment} yet: there is nothing to check.")
        return OK
    try:
        now = _moment(options.now) or datetime.now(UTC)
        back = DAYS.fullmatch(options.since or "")
        since = now - timedelta(days=int(back[1])) if back else _moment(options.since)
        result = observe(options.environment, now, limits.read(replaced=replaced), since)
        if also:
            result = replace(result, problems=[*result.problems, *also(result)])
        if options.json:
            print(json.dumps(status(result), allow_nan=False))
            return REFUSED if result.problems else OK
        write(result, options.environment)
    except OpsError as error:
        print(error, file=sys.stderr)  # exit code 1 says that something is wrong
        return USAGE
    print(monitor_report.summary(result))
    for sentence in monitor_result.not_judged(result):
        print(printable(sentence))
    for problem in result.problems:
        print(f"- {printable(problem)}")
    print(f"look at {shown(report_folder() / 'report.html')}")
    if result.problems:
        notify(
            f"{project_name()} in {options.environment}: the monitor found "
            f"{counted(len(result.problems), 'problem')}",
            "\n".join(result.problems),
        )
    return REFUSED if result.problems else OK


def deployed(environment: str) -> bool:
    """Tell whether an environment ever had a release, or its folder cannot be seen from here."""
    folder = release_folders.environment(environment)
    if release_folders.address(folder):
        try:
            return state.read(folder).generation > 0
        except (OpsError, OSError):  # unreachable, or damaged
            return True
    share = os.environ.get("RELEASES")
    if share and not Path(share).is_dir():
        return True
    return any((folder / name).exists() for name in (state.STATE, state.HISTORY))


def _moment(text: str | None) -> datetime | None:
    try:
        return moment(text)
    except ValueError:
        raise NothingToCheckError(
            f"`{text}` is not a date or time: give one such as 2026-01-31T08:00."
        ) from None
