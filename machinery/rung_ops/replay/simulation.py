"""Run a replay: a first release, then for each period traffic, outcomes and the autopilot."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from rung_ops import contract
from rung_ops.model import released as serving_release
from rung_ops.model.released import Release
from rung_ops.project.paths import params, project_name, shown
from rung_ops.replay import (
    compare,
    copy_commands,
    events,
    notes,
    period_traffic,
    project_copy,
    timeline,
    wording,
)
from rung_ops.replay.period_traffic import Served
from rung_ops.replay.periods import WHEN, Period, beginning
from rung_ops.replay.traffic import Service
from rung_ops.system.ports import free_port
from rung_ops.training import estimator


def replay(
    unit: str, periods: list[Period], most: int | None, start: str | None = None
) -> dict[str, Any]:
    """Replay all periods.

    Args:
        unit: name of a period: month or tenth.
        periods: in order; the first release is trained on the first of them.
        most: how many of the others to replay; None for all.
        start: the first of the others, by its name or id; None for the earliest that can be.

    Returns:
        The timeline, from timeline.build().

    Raises:
        TooFewRows, NoCopy, VerbFailed, ServiceFailed: a step failed; the message says which.
    """
    started = time.monotonic()
    begin = beginning(periods, start)
    first = pl.concat(period.rows for period in periods[:begin]).drop(WHEN)
    later = periods[begin:][:most]
    port = free_port()
    project_copy.make(first, f"http://127.0.0.1:{port}")
    _say(
        f"{shown(project_copy.copy_folder())}: a copy of this project; nothing outside it is changed"
    )
    _say(wording.scope(unit, begin, [period.name for period in later], most))
    frozen = _first_release(first.height)
    service = Service(
        copy_commands.command("serve"), project_copy.copy_folder(), project_copy.environment(), port
    )
    try:
        service.wait()
        with ThreadPoolExecutor(1) as executor:
            results = [
                _period(service, each, frozen, executor, each is later[-1]) for each in later
            ]
    finally:
        service.close()
    about = {
        "project": project_name(),
        "metric": params()["score"]["metric"],
        "unit": unit,
        "level": compare.LEVEL,
        "first": {"release": frozen.id, "rows": first.height},
        "stand_in": notes.is_approved_for(),
        "notes": notes.notes(unit, begin),
        "seconds": time.monotonic() - started,
    }
    return timeline.build(about, results)


def _first_release(rows: int) -> Release:
    """Train on the first periods and deploy the release to production."""
    start = time.monotonic()
    _say(f"first release: the pipeline runs on {rows:,} rows")
    copy_commands.run("keys")
    project_copy.commit("Keys of the replay")
    copy_commands.run("pipeline")
    project_copy.commit("Train the first version")
    copy_commands.run("gate", allowed=(0, 1))  # `deploy` checks the verdict
    copy_commands.run("release")
    copy_commands.run("deploy", "production")
    if period_traffic.serving_state().serving is None:
        project_copy.stand_in().approve(
            next((period_traffic.production() / "bundles").glob("[!.]*")).name
        )
    folder = period_traffic.production() / "bundles" / str(period_traffic.serving_state().serving)
    loaded = serving_release.load(folder, (project_copy.copy_folder() / "release.pub").read_bytes())
    _say(f"first release: {loaded.id}, of {rows:,} rows, in {time.monotonic() - start:.0f} s")
    return loaded


def _period(
    service: Service, period: Period, frozen: Release, executor: ThreadPoolExecutor, last: bool
) -> dict[str, Any]:
    start, since = time.monotonic(), period_traffic.clock()
    done = period_traffic.serve(service, period)
    seconds = time.monotonic() - start
    period_traffic.date_log(done, since)
    period_traffic.write_outcomes(period)
    _approve(done)
    # In parallel with the autopilot.
    comparison = executor.submit(_compare, done, frozen)
    serving = ", ".join(each["release"].split("-")[0] for each in done.by_release())
    _say(f"{period.name}: {period.rows.height:,} requests in {seconds:.1f} s, by {serving}")
    summary = None if last else events.summarize(_pass(period))
    if last:  # no period is left that a decision could affect
        copy_commands.run("monitor", "--now", period.end.isoformat(), allowed=(0, 1))
    compared = comparison.result()
    _say(
        f"{period.name}: {params()['score']['metric']} {wording.figure(compared['with'])}, frozen "
        f"{wording.figure(compared['without'])}; {events.headline(summary)} "
        f"({time.monotonic() - start:.0f} s)"
    )
    return {
        "id": f"p-{period.id}",
        "name": period.name,
        "from": period.start.isoformat(),
        "until": period.end.isoformat(),
        "rows": period.rows.height,
        "seconds": seconds,
        "answered": done.by_release(),
        **compared,
        "drift": _drift(),
        "trial": _trial(done),
        "pass": summary,
        "headline": events.headline(summary),
        "events": events.events(done.events, summary),
    }


def _approve(done: Served) -> None:
    """Approve a release that waits for a person, after a period in shadow."""
    person = project_copy.stand_in()
    waits = person.waiting() if person else None
    if not waits:
        return
    with done.following():
        person.approve(waits)
    _say(f"{done.period.name}: {waits} is approved by {person.NAME}, after its shadow")


def _compare(done: Served, frozen: Release) -> dict[str, Any]:
    rows = done.period.rows
    typed = rows.select(pl.col(name).cast(kind) for name, kind in frozen.schema.items())
    actual = estimator.truth(rows.select(contract.TARGET))
    return dict(compare.compare(actual, done.predictions(), frozen.score(typed)[1]))


def _pass(period: Period) -> dict[str, Any]:
    """Run a pass of the autopilot and read its record."""
    copy_commands.run("autopilot", "--now", period.end.isoformat())
    paths = sorted((project_copy.copy_folder() / "releases/autopilot/passes").glob("*.json"))
    records = [json.loads(path.read_bytes()) for path in paths]
    return dict(max(records, key=lambda record: (record["at"], record["started"])))


def _drift() -> list[dict[str, Any]]:
    drift = pl.read_parquet(project_copy.copy_folder() / "reports/monitor/drift.parquet")
    return [
        {"name": row["feature"], "psi": row["psi"], "drifted": bool(row["drifted"])}
        for row in drift.iter_rows(named=True)
    ]


def _trial(done: Served) -> dict[str, Any] | None:
    lines = list(period_traffic.lines_of_trial(done.events))
    if not lines:
        return None
    return {"release": done.events[-1]["detail"].get("release", ""), "lines": lines}


def _say(line: str) -> None:
    print(line, flush=True)
