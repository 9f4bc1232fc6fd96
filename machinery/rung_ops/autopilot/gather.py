"""Gather the facts: from what the monitor saw, the journal and the releases."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rung_ops.autopilot import collect, journal, post_promotion_check
from rung_ops.autopilot.facts import Facts, Quality, Trial
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.labelled import answers
from rung_ops.autopilot.policy import Policy
from rung_ops.monitoring.freshness import moment
from rung_ops.project.paths import params
from rung_ops.release import bundle, paths
from rung_ops.release.state import State, concerns, events

PRODUCTION = paths.PRODUCTION
# Steps after which a version is not tried again for a while, by what their detail is called then.
SET_BACKS = {"gate": "refused", "settle": "taken back", "roll back": "taken back"}
SET_BACKS |= {"end trial": "taken back", "release": "vetoed"}


def settled(state: State, passes: Sequence[Record]) -> dict[str, Any]:
    """Tell what became of the release that a pass deployed last.

    Returns:
        release, says, and `promoted` or `taken back` (the release) where that is decided; empty
        where no release waits for an answer.
    """
    told = {
        detail.get("promoted") or detail.get("taken back")
        for name in ("settle", "roll back", "end trial")
        for _, detail in journal.ended(list(passes), name)
    }
    deployed = [detail["release"] for _, detail in journal.ended(list(passes), "deploy")]
    if not deployed or deployed[-1] in told:
        return {}
    release = deployed[-1]
    for arm, tried in (("canary", state.canary), ("shadow", state.shadow)):
        if tried and tried.release == release:
            return {"release": release, "says": f"is in {arm}"}
    if state.serving == release:
        return {"release": release, "promoted": release, "says": "was promoted and answers"}
    return {"release": release, "taken back": release, "says": _why_not(release)}


def gather(record: Record, state: State, passes: Sequence[Record], policy: Policy) -> Facts:
    """Put together what is known as of the pass."""
    now = datetime.fromisoformat(record["at"])
    if state.serving is None:
        return Facts(now, None, None, None, None, None, 0)
    seen = journal.detail(record, "look")
    status = seen.get("status") or {}
    drift = status.get("drift") or {}
    judged = bool(drift.get("judged"))
    known = answers(PRODUCTION, now)
    readings = [each["reading"] for _, each in journal.ended(list(passes), "look")]
    return Facts(
        now=now,
        serving=state.serving,
        knows_until=_knows_until(state.serving),
        drifted=tuple(drift["features"]) if judged else None,
        prediction_drifted=bool(drift["prediction"]) if judged else None,
        quality=_quality(status.get("quality")),
        new_rows=collect.new_rows(known).height,
        trainings=tuple(at for at, _ in journal.ended(list(passes), "train")),
        refused=_last_set_back(passes),
        trial=_trial(state, passes),
        verdict=post_promotion_check.verdict(
            state, known, [r for r in readings if r], now, policy.rollback
        ),
    )


def plain(known: Facts) -> dict[str, Any]:
    """Write facts as JSON."""
    return dict(json.loads(json.dumps(asdict(known), default=str)))


def _knows_until(release: str) -> datetime | None:
    folder = paths.bundle(paths.environment(PRODUCTION), release)
    manifest = bundle.read_manifest(folder)
    return moment(manifest.get("trained_until") or manifest["created"])


def _quality(found: dict[str, Any] | None) -> Quality | None:
    if not found or found["figure"] is None or found["expected"] is None:
        return None
    higher = params()["score"]["higher_is_better"]
    ends = (found["figure"], found["low"], found["high"], found["expected"])
    return Quality(found["metric"], higher, *ends, rows=found["outcomes"])


def _last_set_back(passes: Sequence[Record]) -> datetime | None:
    """Return when a version was last refused, vetoed or rolled back, if none was promoted since."""
    last: datetime | None = None
    for record in passes:
        if journal.detail(record, "settle").get("promoted"):
            last = None
        if any(journal.detail(record, step).get(key) for step, key in SET_BACKS.items()):
            last = datetime.fromisoformat(record["at"])
    return last


def _trial(state: State, passes: Sequence[Record]) -> Trial | None:
    for arm, tried in (("canary", state.canary), ("shadow", state.shadow)):
        if tried is None:
            continue
        since = [
            at
            for at, detail in journal.ended(list(passes), "deploy")
            if detail["release"] == tried.release
        ]
        return Trial(tried.release, arm, since[-1] if since else _began(tried.release))
    return None


def _began(release: str) -> datetime:
    """Tell when a person put a release on trial."""
    return next(
        datetime.fromisoformat(event["at"])
        for event in reversed(_history())
        if event["event"] in ("shadow", "canary") and event["detail"].get("release") == release
    )


def _why_not(release: str) -> str:
    for event in reversed(_history()):
        if event["event"] in ("abort", "roll_back") and concerns(event, release):
            reason = event["detail"].get("reason") or "no reason was given"
            return f"was rolled back by {event['by']}: {reason}"
    return "is no longer tried: another release was deployed in its place"


def _history() -> list[dict[str, Any]]:
    return events(paths.environment(PRODUCTION))
