"""The course of a replay: a first release, then period by period traffic, outcomes, autopilot."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from rung_ops import contract
from rung_ops.project.paths import params, project_name, shown
from rung_ops.replay import (
    approver,
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
from rung_ops.serving import release as serving_release
from rung_ops.serving.release import Release
from rung_ops.system.ports import free_port
from rung_ops.training import estimator


def replay(unit: str, periods: list[Period], most: int | None) -> dict[str, Any]:
    """Go through all periods.

    Args:
        unit: what a period is called.
        periods: the first of them make the first release.
        most: how many of the others to go through; None for all.

    Returns:
        The timeline, as timeline.put_together() makes it.

    Raises:
        TooFewRows, NoCopy, VerbFailed, ServiceFailed: a part of it failed; the message says which.
    """
    started = time.monotonic()
    begin = beginning(periods)
    first = pl.concat(period.rows for period in periods[:begin]).drop(WHEN)
    later = periods[begin:][:most]
    port = free_port()
    project_copy.make(first, f"http://127.0.0.1:{port}")
    _say(f"{shown(project_copy.PLACE)}: a copy of this project; nothing outside it is changed")
    frozen = _first_release(first.height)
    service = Service(
        copy_commands.command("serve"), project_copy.PLACE, project_copy.environment(), port
    )
    try:
        service.wait()
        with ThreadPoolExecutor(1) as aside:
            told = [_period(service, each, frozen, aside, each is later[-1]) for each in later]
    finally:
        service.close()
    about = {
        "project": project_name(),
        "metric": params()["score"]["metric"],
        "unit": unit,
        "level": compare.LEVEL,
        "first": {"release": frozen.id, "rows": first.height},
        "stand_in": approver.is_asked(),
        "notes": notes.notes(unit, begin),
        "seconds": time.monotonic() - started,
    }
    return timeline.put_together(about, told)


def _first_release(rows: int) -> Release:
    """Train on the first periods and put the release into production, as a person would."""
    start = time.monotonic()
    copy_commands.run("keys")
    project_copy.commit("Keys of the replay")
    copy_commands.run("pipeline")
    project_copy.commit("Train the first version")
    copy_commands.run("gate", allowed=(0, 1))  # what speaks against it stops the deployment
    copy_commands.run("release")
    copy_commands.run("deploy", "production")
    if period_traffic.standing().serving is None:
        approver.approve(next((period_traffic.production() / "bundles").glob("[!.]*")).name)
    folder = period_traffic.production() / "bundles" / str(period_traffic.standing().serving)
    loaded = serving_release.load(folder, (project_copy.PLACE / "release.pub").read_bytes())
    _say(f"first release: {loaded.id}, of {rows:,} rows, in {time.monotonic() - start:.0f} s")
    return loaded


def _period(
    service: Service, period: Period, frozen: Release, aside: ThreadPoolExecutor, last: bool
) -> dict[str, Any]:
    start, since = time.monotonic(), period_traffic.clock()
    done = period_traffic.serve(service, period)
    seconds = time.monotonic() - start
    period_traffic.date_log(done, since)
    period_traffic.tell_outcomes(period)
    _approve(done)
    # The other core has nothing to do while the autopilot works.
    comparison = aside.submit(_compare, done, frozen)
    answering = ", ".join(each["release"].split("-")[0] for each in done.by_release())
    _say(f"{period.name}: {period.rows.height:,} requests in {seconds:.1f} s, by {answering}")
    told = None if last else events.told(_pass(period))
    if last:  # nothing that was decided after it would show
        copy_commands.run("monitor", "--now", period.end.isoformat(), allowed=(0, 1))
    found = comparison.result()
    _say(
        f"{period.name}: {params()['score']['metric']} {wording.figure(found['with'])}, frozen "
        f"{wording.figure(found['without'])}; {events.headline(told)} "
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
        **found,
        "drift": _drift(),
        "trial": _trial(done),
        "pass": told,
        "headline": events.headline(told),
        "events": events.events(done.events, told),
    }


def _approve(done: Served) -> None:
    """Approve of a release that a person would have to, after it was tried for the period."""
    waits = approver.waiting()
    if not waits:
        return
    with done.following():
        approver.approve(waits)
    _say(f"{done.period.name}: {waits} is approved of by {approver.NAME}, after its trial")


def _compare(done: Served, frozen: Release) -> dict[str, Any]:
    rows = done.period.rows
    typed = rows.select(pl.col(name).cast(kind) for name, kind in frozen.schema.items())
    actual = estimator.truth(rows.select(contract.TARGET))
    return dict(compare.compare(actual, done.predictions(), frozen.score(typed)[1]))


def _pass(period: Period) -> dict[str, Any]:
    """Let the autopilot make its pass, and read what it wrote down."""
    copy_commands.run("autopilot", "--now", period.end.isoformat())
    records = sorted((project_copy.PLACE / "releases/autopilot/passes").glob("*.json"))
    found = [json.loads(path.read_bytes()) for path in records]
    return dict(max(found, key=lambda record: (record["at"], record["started"])))


def _drift() -> list[dict[str, Any]]:
    found = pl.read_parquet(project_copy.PLACE / "reports/monitor/drift.parquet")
    return [
        {"name": row["feature"], "psi": row["psi"], "drifted": bool(row["drifted"])}
        for row in found.iter_rows(named=True)
    ]


def _trial(done: Served) -> dict[str, Any] | None:
    lines = list(period_traffic.lines_of_trial(done.events))
    if not lines:
        return None
    return {"release": done.events[-1]["detail"].get("release", ""), "lines": lines}


def _say(line: str) -> None:
    print(line, flush=True)
