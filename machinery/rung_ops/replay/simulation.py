"""Replay the sample through the service and the autopilot, and draw a timeline: `poe replay`.

A first release, then for each period traffic, outcomes and a pass of the autopilot.
"""

import json
import time
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import click
import polars as pl

from rung_ops import contract
from rung_ops.command import OK, verb
from rung_ops.model import released as serving_release
from rung_ops.model.released import Release
from rung_ops.project import current, documents, stage_process
from rung_ops.project.paths import params, project_name, shown
from rung_ops.replay import project_copy, timeline, traffic
from rung_ops.replay.periods import WHEN, Period, all_rows, beginning, cut
from rung_ops.replay.traffic import Served, Service
from rung_ops.system.processes import free_port, poe
from rung_ops.training import estimator


def replay(
    unit: str, periods: list[Period], most: int | None, start: str | None = None
) -> dict[str, Any]:
    """Replay all periods, or `most` of those from `start` on; return the timeline."""
    started = time.monotonic()
    begin = beginning(periods, start)
    first = pl.concat(period.rows for period in periods[:begin]).drop(WHEN)
    later = periods[begin:][:most]
    port = free_port()
    if metric := impact_metric():
        _say(f"Impact metric: {metric}")
    copy = project_copy.make(first, f"http://127.0.0.1:{port}")
    project_copy.set_clock(later[0].start)
    _say(f"{shown(copy)}: a copy of this project; nothing outside it is changed")
    _say(timeline.scope(unit, begin, [period.name for period in later], most))
    rows = [period.rows.height for period in later]
    if max(rows) < timeline.LEAST:
        _say(timeline.not_compared(unit, rows))
    with stage_process.shared(project_copy.environment()):
        frozen = _first_release(first.height)
        trained = time.monotonic()
        service = Service(poe("serve", directory=copy), copy, project_copy.environment(), port)
        try:
            service.wait()
            with ThreadPoolExecutor(1) as executor:
                last = later[-1]
                results = [_period(service, each, frozen, executor, each is last) for each in later]
        finally:
            service.close()
    about = {
        "project": project_name(),
        "metric": params()["score"]["metric"],
        "unit": unit,
        "level": timeline.LEVEL,
        "first": {"release": frozen.id, "rows": first.height, "seconds": trained - started},
        "stand_in": timeline.is_approved_for(),
        "on_trial": traffic.serving_state().on_trial,
        "notes": timeline.notes(unit, begin),
        "seconds": time.monotonic() - started,
    }
    return timeline.build(about, results)


def impact_metric() -> str:
    """Return the number of the business that docs/use_case.md says the model is to move, if any."""
    page = current().root / "docs/use_case.md"
    text = documents.sections(documents.text_of(page)) if page.is_file() else {}
    return " ".join(text.get("Impact metric", "").split())


def _first_release(rows: int) -> Release:
    """Train on the first periods and deploy the release to production."""
    start = time.monotonic()
    _say(f"first release: the pipeline runs on {rows:,} rows")
    project_copy.run_verb("keys")
    project_copy.commit("Keys of the replay")
    project_copy.run_verb("pipeline")
    project_copy.commit("Train the first version")
    project_copy.run_verb("gate", allowed=(0, 1))  # `deploy` checks the verdict
    project_copy.run_verb("release")
    project_copy.run_verb("deploy", "production")
    if traffic.serving_state().serving is None:
        project_copy.stand_in().approve(next((traffic.production() / "bundles").glob("[!.]*")).name)
    folder = traffic.production() / "bundles" / str(traffic.serving_state().serving)
    loaded = serving_release.load(folder, (project_copy.copy_folder() / "release.pub").read_bytes())
    _say(f"first release: {loaded.id}, of {rows:,} rows, in {time.monotonic() - start:.0f} s")
    return loaded


def _period(
    service: Service, period: Period, frozen: Release, executor: ThreadPoolExecutor, last: bool
) -> dict[str, Any]:
    start, since = time.monotonic(), datetime.now(UTC)
    done = traffic.serve(service, period)
    seconds = time.monotonic() - start
    traffic.date_log(done, since)
    traffic.write_outcomes(period)
    _approve(done)
    # In parallel with the autopilot.
    comparison = executor.submit(_compare, done, frozen)
    serving = ", ".join(each["release"].split("-")[0] for each in done.by_release())
    _say(f"{period.name}: {period.rows.height:,} requests in {seconds:.1f} s, by {serving}")
    summary = None if last else timeline.summarize(_pass(period))
    if last:  # no period is left that a decision could affect
        project_copy.run_verb("monitor", "--now", period.end.isoformat(), allowed=(0, 1))
    compared = comparison.result()
    drift = pl.read_parquet(project_copy.copy_folder() / "reports/monitor/drift.parquet")
    trial = list(traffic.lines_of_trial(done.events))
    _say(
        f"{period.name}: {params()['score']['metric']} {timeline.figure(compared['with'])}, frozen "
        f"{timeline.figure(compared['without'])}; {timeline.headline(summary)} "
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
        "drift": [
            {"name": row["feature"], "psi": row["psi"], "drifted": row["drifted"]}
            for row in drift.iter_rows(named=True)
        ],
        "trial": {"release": done.events[-1]["detail"].get("release", ""), "lines": trial}
        if trial
        else None,
        "pass": summary,
        "headline": timeline.headline(summary),
        "events": timeline.events(done.events, summary),
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
    return dict(timeline.compare(actual, done.predictions(), frozen.score(typed)[1]))


def _pass(period: Period) -> dict[str, Any]:
    """Run a pass of the autopilot and read its record."""
    project_copy.run_verb("autopilot", "--now", period.end.isoformat())
    paths = sorted((project_copy.copy_folder() / "releases/autopilot/passes").glob("*.json"))
    records = [json.loads(path.read_bytes()) for path in paths]
    return dict(max(records, key=lambda record: (record["at"], record["started"])))


def _say(line: str) -> None:
    print(line, flush=True)


@verb("poe replay")
@click.option(
    "--months",
    type=click.IntRange(1),
    help="number of months to replay, from the first on; of rows without months, of tenths of the rows",
)
@click.option(
    "--from",
    "start",
    help="first of them, such as 2013-08: the first release learns from all before (default: the "
    "earliest that leaves it enough rows)",
)
@click.option("--open", "is_opened", is_flag=True, help="open the timeline in a browser")
def main(months: int | None, start: str | None, is_opened: bool) -> int:
    """Replay the sample through the service and the autopilot, and draw a timeline."""
    story = replay(*cut(all_rows()), months, start)
    page = current().reports / "replay/timeline.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(story, indent=2, ensure_ascii=False) + "\n"
    page.with_suffix(".json").write_text(content, encoding="utf-8")
    page.write_text(timeline.page(story), encoding="utf-8")
    print(f"\n{timeline.table(story)}\n\n{story['outcome']}\n{story['spent']}")
    print(f"Wrote {shown(page)} in {story['seconds']:.0f} s.")
    if is_opened:
        webbrowser.open(page.as_uri())
    return OK
