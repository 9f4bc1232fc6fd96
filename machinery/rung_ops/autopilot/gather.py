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
from rung_ops.monitoring.inputs import known_until
from rung_ops.project import release_folders
from rung_ops.project.paths import params
from rung_ops.release.state import State, concerns, events

PRODUCTION = release_folders.PRODUCTION
SERVED = "production"
# What a release is in after an event of the history.
ROLES = {
    **{"shadow": "shadow", "canary": "canary", "advance": "canary"},
    **{"promote": SERVED, "serve": SERVED},
}
# Keys in the detail of steps after which the autopilot waits before it trains again, and what they say.
# A trial that ended is none of them: nothing is known to be wrong with the version.
SET_BACKS = {
    ("gate", "refused"): "refused",
    ("release", "vetoed"): "vetoed",
    ("settle", "aborted"): "aborted",
    ("settle", "taken back"): "rolled back",
    ("roll back", "taken back"): "rolled back",
}
# Keys of the release in the detail of a step that settled what became of it.
SETTLED = ("promoted", "aborted", "ended", "taken back")


def settled(state: State, passes: Sequence[Record]) -> dict[str, Any]:
    """Return the result of the release that a pass deployed last.

    Returns:
        release, says, and one of SETTLED (the release) if that is decided; empty if the result was
        recorded before.
    """
    recorded = {
        detail.get(key)
        for name in ("settle", "roll back", "end trial")
        for _, detail in journal.ended(list(passes), name)
        for key in SETTLED
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
    became, says = _why_not(release)
    return {"release": release, became: release, "says": says}


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
    refused, set_back = _last_set_back(passes)
    return Facts(
        now=now,
        serving=state.serving,
        knows_until=_knows_until(state.serving),
        drifted=tuple(drift["features"]) if judged else None,
        prediction_drifted=bool(drift["prediction"]) if judged else None,
        quality=_quality(status.get("quality")),
        new_rows=labelled_rows.new_rows(known).height,
        trainings=tuple(at for at, _ in journal.ended(list(passes), "train")),
        refused=refused,
        set_back=set_back,
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
    return known_until(bundle.read_manifest(folder))[1]


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
