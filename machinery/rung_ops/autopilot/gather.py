"""Gather the facts from the monitor, the journal and the releases."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rung_ops.autopilot import journal, labelled_rows, post_promotion_check
from rung_ops.autopilot.decide import Facts, Quality, Trial
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.labelled_rows import answers
from rung_ops.autopilot.policy import Policy
from rung_ops.model import bundle
from rung_ops.monitoring.inputs import moment
from rung_ops.project import release_folders
from rung_ops.project.paths import params
from rung_ops.release.state import State, concerns, events

PRODUCTION = release_folders.PRODUCTION
# Keys in the detail of steps after which the autopilot waits before it trains again.
SET_BACKS = {"gate": "refused", "settle": "taken back", "roll back": "taken back"}
SET_BACKS |= {"end trial": "taken back", "release": "vetoed"}


def settled(state: State, passes: Sequence[Record]) -> dict[str, Any]:
    """Return the result of the release that a pass deployed last.

    Returns:
        release, says, and `promoted` or `taken back` (the release) if that is decided; empty if
        the result was recorded before.
    """
    recorded = {
        detail.get("promoted") or detail.get("taken back")
        for name in ("settle", "roll back", "end trial")
        for _, detail in journal.ended(list(passes), name)
    }
    deployed = [detail["release"] for _, detail in journal.ended(list(passes), "deploy")]
    if not deployed or deployed[-1] in recorded:
        return {}
    release = deployed[-1]
    for arm, tried in (("canary", state.canary), ("shadow", state.shadow)):
        if tried and tried.release == release:
            return {"release": release, "says": f"is in {arm}"}
    if state.serving == release:
        return {"release": release, "promoted": release, "says": "was promoted and is served"}
    return {"release": release, "taken back": release, "says": _why_not(release)}


def gather(record: Record, state: State, passes: Sequence[Record], policy: Policy) -> Facts:
    """Gather the facts as of the time of the pass."""
    now = datetime.fromisoformat(record["at"])
    if state.serving is None:
        return Facts(now, None, None, None, None, None, 0)
    observed = journal.detail(record, "look")
    status = observed.get("status") or {}
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
        new_rows=labelled_rows.new_rows(known).height,
        trainings=tuple(at for at, _ in journal.ended(list(passes), "train")),
        refused=_last_set_back(passes),
        trial=_trial(state, passes),
        verdict=post_promotion_check.verdict(
            state, known, [r for r in readings if r], now, policy.rollback
        ),
    )


def as_json(facts: Facts) -> dict[str, Any]:
    """Convert facts to JSON values."""
    return dict(json.loads(json.dumps(asdict(facts), default=str)))


def _knows_until(release: str) -> datetime | None:
    folder = release_folders.bundle(release_folders.environment(PRODUCTION), release)
    manifest = bundle.read_manifest(folder)
    return moment(manifest.get("trained_until") or manifest["created"])


def _quality(status: dict[str, Any] | None) -> Quality | None:
    if not status or status["figure"] is None or status["expected"] is None:
        return None
    higher = params()["score"]["higher_is_better"]
    figures = (status["figure"], status["low"], status["high"], status["expected"])
    return Quality(status["metric"], higher, *figures, rows=status["outcomes"])


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
    """Return when a person started a shadow or canary."""
    return next(
        datetime.fromisoformat(event["at"])
        for event in reversed(_history())
        if event["event"] in ("shadow", "canary") and event["detail"].get("release") == release
    )


def _why_not(release: str) -> str:
    for event in reversed(_history()):
        if event["event"] in ("abort", "roll_back") and concerns(event, release):
            reason = event["detail"].get("reason") or "no reason given"
            return f"was rolled back by {event['by']}: {reason}"
    return "is no longer tested: another release was deployed in its place"


def _history() -> list[dict[str, Any]]:
    return events(release_folders.environment(PRODUCTION))
