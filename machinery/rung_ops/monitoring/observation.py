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
import polars.selectors as cs

from rung_ops import prediction_log
from rung_ops.command import OK, REFUSED, USAGE, Verb, verb
from rung_ops.errors import OpsError, UsageError
from rung_ops.model.bundle import moment
from rung_ops.monitoring import (
    check,
    inputs,
    limits,
    monitor_result,
    outcomes,
    quality,
    release_info,
)
from rung_ops.monitoring.inputs import Age
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult, not_judged, status
from rung_ops.monitoring.release_info import Released
from rung_ops.prediction_log import log_sync, other_times
from rung_ops.project import active_addons, current, hooks, paths
from rung_ops.project.hooks import notify
from rung_ops.project.paths import params, project_name, shown
from rung_ops.release import state
from rung_ops.statistics import drift
from rung_ops.system import html as page
from rung_ops.system.printable import counted, four_digits, printable

# of the report: one self-contained HTML file with plots
LAYOUT = Path(__file__).with_name("monitor_report.html")
FLOOR = 200  # height of the drawing of days, above their names
DIGIT = 8  # pixels that a digit of its axis takes at most
# In tables of their own, as one of all figures is wider than a screen.
MISSING, VALUES = cs.matches("missing"), cs.matches(r"mean|p\d")


def html(project: str, environment: str, result: MonitorResult) -> str:
    """Render the report."""
    figures = result.drift.drop("bars", "shares", "reference_shares", "moved")
    return page.render(
        LAYOUT,
        title=f"{project} in {environment}",
        lead=(
            f"Release {result.release.id}, predictions from {result.since:%Y-%m-%d %H:%M} "
            f"to {result.until:%Y-%m-%d %H:%M} UTC."
        ),
        result=result,
        not_judged=list(not_judged(result)),
        tiles=_tiles(result),
        method=_method(result),
        cards=_cards(result),
        figures=[
            figures.select(~MISSING - VALUES),
            figures.select("feature", MISSING),
            figures.select("feature", VALUES),
        ],
        outcomes=_outcomes(result),
        floor=FLOOR,
        strings=cs.string(),
    )


def summary(result: MonitorResult) -> str:
    """Return a line that says what was checked, what drifted, and the figure of known outcomes."""
    line = (
        f"{counted(result.rows, 'prediction')} of {result.release.id} since "
        f"{result.since:%Y-%m-%d %H:%M} UTC"
    )
    if result.judged:
        count, features, predictions = _drifted(result)
        has = "has" if count == 1 else "have"
        line += (
            f": {count} of {counted(features, 'feature')} {has} drifted, "
            f"and the predictions have{'' if predictions else ' not'}"
        )
    recent = result.recent.drop_nulls("figure")
    for row in recent.iter_rows(named=True):
        line += f"\n{result.metric} {four_digits(row['figure'])} by {counted(row['outcomes'], 'outcome')}"
        if row["expected"] is not None:
            line += f", {four_digits(row['expected'])} on the test rows"
    return line


def _drifted(result: MonitorResult) -> tuple[int, int, bool]:
    """Count the features that drifted and all features; say whether the predictions drifted."""
    drifted = dict(result.drift.select("feature", "drifted").iter_rows())
    predictions = drifted.pop(drift.PREDICTION, None)
    return sum(map(bool, drifted.values())), len(drifted), bool(predictions)


def _tiles(result: MonitorResult) -> list[tuple[str, str, bool]]:
    """List the figures that matter most: name, value, whether it is bad."""
    tiles = [("predictions", f"{result.rows:,}", False)]
    if result.judged:
        count, features, predictions = _drifted(result)
        tiles.append(("features drifted", f"{count} of {features}", bool(count)))
        tiles.append(("predictions drifted", "yes" if predictions else "no", predictions))
    else:
        tiles.append(("drift", "not judged", False))
    for name, age in result.ages.items():
        newest = "newest " if name in ("prediction", "row") else ""
        what = f"age of the {newest}{name}"
        tiles.append((what, _span(age), age.stale))
    recent = result.recent.drop_nulls("figure")
    for row in recent.iter_rows(named=True):
        tiles.append(
            (f"{result.metric}, newest days", four_digits(row["figure"]), bool(row["worse"]))
        )
        if row["held"] is not None:
            held = f"{row['held']:.1%} of {row['promised']:.0%}"
            tiles.append(("outcomes in the interval", held, bool(row["missed"])))
    return tiles


def _method(result: MonitorResult) -> str:
    """Describe how drift was judged, and which shift so many rows can show."""
    limits = result.limits.drift
    if not result.judged:
        return (
            f"Not judged: {counted(result.rows, 'prediction')}, and {limits.min_rows:,} are needed. "
            "The pictures show what there is. Filled: now. Outline: in training."
        )
    reference = result.release.reference.height
    shift = drift.visible_shift(result.rows, reference, result.error)
    return (
        f"{result.rows:,} rows compared with {reference:,} of training. A change counts where it "
        f"is certain (p at most {result.error:.2g} for each test, so that all together give a "
        f"false alarm in {limits.false_alarms:.0%} of the checks) and where at least "
        f"{limits.least_change:.0%} of the rows lie elsewhere. With so many rows a shift by "
        f"{shift:.2f} standard deviations is seen with probability {drift.POWER}. "
        "Filled: now. Outline: in training."
    )


def _cards(result: MonitorResult) -> list[dict[str, Any]]:
    """Make a card of the predictions, then of each feature, the most changed first."""
    described = {column["name"]: column for column in result.release.contract["columns"]}
    described[drift.PREDICTION] = {"description": "What the model answered"}
    ordered = result.drift.sort(
        pl.col("feature") != drift.PREDICTION,
        pl.col("p_value").fill_null(2),
        pl.col("change").neg(),
    )
    return [_card(row, described.get(row["feature"], {})) for row in ordered.iter_rows(named=True)]


def _card(row: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    what = str(described.get("description") or "Derived from the row")
    unit = f", {described['unit']}" if described.get("unit") else ""
    state, chip = _state(row)
    card = {"feature": row["feature"], "description": what + unit, "state": state, "chip": chip}
    if row["bars"] is None:
        return card | {"bars": None, "lines": [f"Nothing to compare ({row['kind']})."]}
    ends = row["bars"][0], row["bars"][-1]
    if row["kind"] != "category":
        ends = ends[0].split(" to ")[0], ends[1].split(" to ")[-1]
    lines = [f"change {row['change']:.1%}, p {row['p_value']:.2g}, PSI {row['psi']:.3f}"]
    if row["moved"]:
        lines.append(f"most: {row['moved']}")
    if row["missing"] or row["reference_missing"]:
        lines.append(f"missing {row['missing']:.1%}, in training {row['reference_missing']:.1%}")
    if row["unseen"]:
        lines.append(f"{row['unseen']:.1%} not seen in training")
    bars = list(zip(row["bars"], row["reference_shares"], row["shares"], strict=True))
    top = max(*row["reference_shares"], *row["shares"], 1e-9)
    return card | {"bars": bars, "top": top, "ends": ends, "lines": lines}


def _state(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the class of a feature's card, and the word on it."""
    if row["drifted"] is None:
        return "unknown", "not judged"
    if row["drifted"]:
        return "bad", "drifted"
    return ("bad", "missing") if row["missing_rose"] else ("", "unchanged")


def _outcomes(result: MonitorResult) -> dict[str, Any] | None:
    """Return the metric by day and by slice; None if no outcome is known."""
    if result.quality.is_empty():
        return None
    is_day = pl.col("column") == quality.DAY
    recent = result.recent
    expected = recent["expected"][0]
    limits = result.limits.outcomes
    on_test = (
        ""
        if expected is None
        else f" Dashed: on the test rows, {four_digits(expected)}; "
        f"worse by {recent['allowed'][0]} is allowed."
    )
    shown = result.quality.select(
        is_day.alias("is day"),
        slice=pl.col("column").replace({quality.RECENT: "newest days"}),
        value="value",
        predictions="predictions",
        outcomes="outcomes",
        known=pl.format("{} %", (pl.col("coverage") * 100).floor().cast(pl.Int64)),
        figure="figure",
        low=pl.when(pl.col("low") < pl.col("high")).then("low"),  # else it is no interval
        high=pl.when(pl.col("low") < pl.col("high")).then("high"),
        on_the_test_rows="expected",
        worse="worse",
        mean_truth="mean_truth",
        mean_predicted="mean_predicted",
        **({"in_the_interval": "held"} if result.quality["held"].count() else {}),
    )
    days = result.quality.filter(is_day).to_dicts()
    has_figures = any(row["figure"] is not None for row in days)
    enough = f"{limits.min_coverage:.0%} of the outcomes known, and {limits.min_rows} at least."
    if has_figures:
        drawn = (
            f"{result.metric} with its 95 % interval, for days with {enough} "
            f"Bars: the share that is known.{on_test}"
        )
    elif limits.score_days:
        drawn = f"No day has a figure: it needs {enough}"
    else:
        drawn = "Days are not scored: score_days in ops/monitor.toml."
    height, ticks = _scale(days, expected)
    names = [four_digits(tick) for tick in ticks]
    return {
        "note": drawn,
        "drawn": days if has_figures else [],
        "height": height,
        "ticks": list(zip(ticks, names, strict=True)),
        "left": 12 + DIGIT * max(map(len, names)),
        "expected": expected,
        "slices": shown.filter(~pl.col("is day")).drop("is day"),
        "days": shown.filter("is day").drop("is day", "slice", "on_the_test_rows", "worse"),
    }


def _scale(
    days: list[dict[str, Any]], expected: float | None
) -> tuple[Callable[[float], float], list[float]]:
    """Return how far from the top a figure is drawn, and the figures that the axis names."""
    ends = [row[end] for row in days if row["figure"] is not None for end in ("low", "high")]
    ends += [expected] if expected is not None else []
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = (high - low or 1) * 0.08
    ticks = [low, (low + high) / 2, high]
    low, high = low - pad, high + pad
    return (lambda value: (high - value) / (high - low) * FLOOR), ticks


def _span(age: Age) -> str:
    if age.age is None:
        return "none"
    hours = age.age.total_seconds() / 3600
    if abs(hours) < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:,.0f} d"


CHECK = "monitor_check"


def hook_problems(predictions: pl.DataFrame | check.LoggedRows) -> list[str]:
    """Return what the monitor_check of the project and of add-ons find; one that fails is a problem."""
    functions = {
        f"{CHECK} of the add-on {name}": function for name, function in active_addons.targets(CHECK)
    }
    if own := hooks.load(CHECK):
        functions = {f"the hook {CHECK}": own} | functions
    if not functions:
        return []
    frame = predictions.lazy().collect()
    return [
        problem
        for what, function in functions.items()
        for problem in _checked(what, function, frame)
    ]


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
            raise UsageError(f"Nothing was answered: {'; '.join(refused)}.")
        raise UsageError(
            f"Nothing has been predicted yet: {shown(log)} holds no rows. "
            "The service (`uv run poe serve`) logs each of its answers there."
        )
    try:
        earlier = check.logged_rows(log, release.id, follow, now)
        predictions = earlier.since(begin)
        given = check.MonitorInput(
            predictions,
            earlier,
            outcomes.scan(release.contract),
            check.newest_moments(prediction_log.read(log, until=now), release.contract["time"]),
            begin,
            now,
            inputs.filled() if release.contract.get("entity_features") else None,
            counted_times,
            reports if os.access(reports := current().reports, os.W_OK) else None,
        )
        result = check.check_release(release, given, limits, params())
        result.problems.extend(hook_problems(predictions))
    except FileNotFoundError as error:
        file, folders = error.filename, (log, outcomes.outcomes_folder())  # none is Polars' error
        if file and not any(Path(file).is_relative_to(folder) for folder in folders):
            raise  # such as one that score() opens
        name = printable(next(iter(str(error).strip().splitlines()), ""))
        raise OpsError(
            f"A file was removed while it was read ({name}), as by "
            "retention or an erasure, or merged: run the monitor again."
        ) from error
    return result


def _serving(environment: str) -> Released:
    """Load the release that an environment serves, with its signature verified."""
    folder = paths.environment(environment)
    serving = state.read(folder).serving
    if serving is None:
        raise UsageError(
            f"{environment} serves nothing: `uv run poe deploy {environment}` brings a release."
        )
    key = paths.public_key()
    if not key.is_file():
        raise UsageError(f"{shown(key)} is missing: releases are verified with it. Bring it back.")
    return release_info.load(paths.bundle(folder, serving), key.read_bytes())


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
    (folder / "report.html").write_text(html(project_name(), environment, result), "utf-8")
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
            type=click.Choice(paths.ENVIRONMENTS),
            default=paths.PRODUCTION,
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
    print(summary(result))
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
    folder = paths.environment(environment)
    if paths.address(folder):
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
        raise UsageError(
            f"`{text}` is not a date or time: give one such as 2026-01-31T08:00."
        ) from None
