"""Gather the facts from the monitor, the journal and the releases."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import polars as pl

from rung_ops.autopilot import journal, labelled_rows, post_promotion_check
from rung_ops.autopilot.decide import Facts, Quality, Trial
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.policy import Policy
from rung_ops.model import bundle
from rung_ops.monitoring.inputs import known_until
from rung_ops.project import release_folders
from rung_ops.project.paths import params
from rung_ops.release import rollout
from rung_ops.release.state import concerns, events
from rung_ops.release.state_content import Canary, Shadow, State

PRODUCTION = release_folders.PRODUCTION
SERVED = "production"
# What a release is in after an event of the history.
ROLES = {
    **{"shadow": "shadow", "canary": "canary", "advance": "canary"},
    **{"promote": SERVED, "serve": SERVED},
}
# Keys in the detail of steps after which the autopilot waits before it trains again, and what they say.
# A trial that ended is none of them: nothing is known to be wrong with the version, or it is aborted.
SET_BACKS = {
    ("gate", "refused"): "refused",
    ("release", "vetoed"): "vetoed",
    ("settle", "aborted"): "aborted",
    ("settle", "taken back"): "rolled back",
    ("roll back", "taken back"): "rolled back",
    ("end trial", "aborted"): "aborted",
}
# Keys of the release in the detail of a step that settled what became of it.
SETTLED = ("promoted", "aborted", "ended", "taken back")


def settled(state: State, passes: Sequence[Record]) -> dict[str, Any]:
    """Return the `release` that was deployed last, what it `says`, and a key of SETTLED if it has ended."""
    recorded = {
        detail.get(key)
        for name in ("settle", "roll back", "end trial")
        for _, detail in journal.ended(passes, name)
        for key in SETTLED
    }
    deployed = [detail["release"] for _, detail in journal.ended(passes, "deploy")]
    if not deployed or deployed[-1] in recorded:
        return {}
    release = deployed[-1]
    for arm, tried in arms(state):
        if tried.release == release:
            return {"release": release, "says": f"is in {arm}"}
    if state.serving == release:
        return {"release": release, "promoted": release, "says": "was promoted and is served"}
    became, says = _why_not(release)
    return {"release": release, became: release, "says": says}


def arms(state: State) -> Iterator[tuple[str, Canary | Shadow]]:
    """Yield the releases on trial, by their arm."""
    for arm, tried in (("canary", state.canary), ("shadow", state.shadow)):
        if tried:
            yield arm, tried


def gather(record: Record, state: State, passes: Sequence[Record], policy: Policy) -> Facts:
    """Gather the facts as of the time of the pass."""
    now = datetime.fromisoformat(record["at"])
    if state.serving is None:
        return Facts(now, None, None, None, None, None, 0)
    serving = release_folders.bundle(release_folders.environment(PRODUCTION), state.serving)
    status = journal.detail(record, "look").get("status") or {}
    drift = status.get("drift") or {}
    judged = bool(drift.get("judged"))
    known = labelled_rows.answers(PRODUCTION, now)
    readings = [each["reading"] for _, each in journal.ended(passes, "look") if each.get("reading")]
    refused, set_back = _last_set_back(passes)
    return Facts(
        now=now,
        serving=state.serving,
        knows_until=known_until(bundle.read_manifest(serving))[1],
        drifted=tuple(drift["features"]) if judged else None,
        prediction_drifted=bool(drift["prediction"]) if judged else None,
        quality=_quality(status.get("quality")),
        new_rows=labelled_rows.new_rows(known).height,
        trainings=tuple(at for at, _ in journal.ended(passes, "train")),
        refused=refused,
        set_back=set_back,
        trial=_judged(_trial(state, passes), state.serving, known, policy),
        verdict=post_promotion_check.verdict(state, known, readings, now, policy.rollback),
    )


def as_json(facts: Facts) -> dict[str, Any]:
    """Convert facts to JSON values."""
    return dict(json.loads(json.dumps(asdict(facts), default=str)))


def _quality(status: dict[str, Any] | None) -> Quality | None:
    if not status or status["figure"] is None or status["expected"] is None:
        return None
    higher = params()["score"]["higher_is_better"]
    figures = (status["figure"], status["low"], status["high"], status["expected"])
    return Quality(status["metric"], higher, *figures, rows=status["outcomes"])


def _last_set_back(passes: Sequence[Record]) -> tuple[datetime | None, str]:
    """Return when a version was last set back, if none was promoted since, and what happened to it."""
    last: datetime | None = None
    what = Facts.set_back
    for record in passes:
        if journal.detail(record, "settle").get("promoted"):
            last = None
        for (step, key), says in SET_BACKS.items():
            if journal.detail(record, step).get(key):
                last, what = datetime.fromisoformat(record["at"]), says
    return last, what


def _trial(state: State, passes: Sequence[Record]) -> Trial | None:
    for arm, tried in arms(state):
        deployed = journal.ended(passes, "deploy")
        since = [at for at, detail in deployed if detail["release"] == tried.release]
        return Trial(tried.release, arm, since[-1] if since else _started(tried.release))
    return None


def _started(release: str) -> datetime:
    """Return when the trial of a release that a person deployed began: its shadow's start, if any."""
    theirs = [event for event in _history() if event["detail"].get("release") == release]
    ways = [event for event in theirs if event["event"] in ("shadow", "canary")]
    shadows = [event for event in ways if event["event"] == "shadow"]
    return datetime.fromisoformat((shadows or ways)[-1]["at"])


def _judged(trial: Trial | None, serving: str, known: pl.DataFrame, policy: Policy) -> Trial | None:
    if trial is None or rollout.read_policy() is None:
        return trial  # what waits for a person's approval is not ended
    found = post_promotion_check.on_trial(trial, serving, known, policy.rollback)
    return replace(trial, verdict=found)


def _why_not(release: str) -> tuple[str, str]:
    """Return what became of a release that is neither served nor on trial: a key of SETTLED, and why."""
    role, last = "shadow", None
    for event in _history():
        if concerns(event, release):
            last = event
            role = ROLES.get(event["event"], role)
    if last is None or last["event"] not in ("abort", "roll_back", "end_trial"):
        became = "promoted" if role == SERVED else "ended"
        return became, f"is no longer in {role}: another release was deployed in its place"
    reason = last["detail"].get("reason") or "no reason given"
    if last["event"] == "end_trial":
        return "ended", f"is no longer in {role}, ended by {last['by']}: {reason}"
    if role == SERVED:
        return "taken back", f"was rolled back by {last['by']}: {reason}"
    return "aborted", f"was aborted in {role} by {last['by']}: {reason}"


def _history() -> list[dict[str, Any]]:
    return events(release_folders.environment(PRODUCTION))
