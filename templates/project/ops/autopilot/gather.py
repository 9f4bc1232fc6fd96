"""Gather the facts: what the monitor saw, what the journal and the releases tell.

Rung keeps this file; change it through autopilot.toml.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ops import prediction_log
from ops.autopilot import after, collect, errors, journal
from ops.autopilot.facts import Facts, Quality, Trial
from ops.autopilot.journal import Record
from ops.autopilot.labelled import answers
from ops.autopilot.passes import StepFailed
from ops.autopilot.policy import Policy
from ops.autopilot.verbs import Verbs
from ops.monitor.freshness import moment
from ops.release import bundle, places
from ops.release.history import read as read_history
from ops.release.state import HISTORY, State
from ops.settings import REPORTS, params, shown

STATUS = REPORTS / "monitor/status.json"
PRODUCTION = places.PRODUCTION
# Steps after which a version is not tried again for a while, by what their detail is called then.
SET_BACKS = {"gate": "refused", "settle": "taken back", "roll back": "taken back"}
SET_BACKS |= {"end trial": "taken back"}


def look(verbs: Verbs, serving: str, record: Record, url: str, dry: bool = False) -> dict[str, Any]:
    """Run the monitor, and read the service's counts.

    Args:
        verbs: runs the monitor.
        serving: the release that answers.
        record: of the pass.
        url: of the service; empty where nobody may ask it.
        dry: let the monitor write nothing.

    Returns:
        serving, status (as the monitor wrote it; None where nobody has asked for a prediction),
        reading (None where no service answers).

    Raises:
        StepFailed: the monitor could not look.
    """
    log = prediction_log.folder(PRODUCTION)
    if not any(log.glob("date=*/*.parquet")):
        return {"serving": serving, "status": None, "reading": None}
    if dry:
        status = _seen(verbs, record)
    else:
        STATUS.unlink(missing_ok=True)
        code = verbs.run("monitor", "--now", record["at"])
        status = _written(code)
    reading = errors.reading(url, serving) if url else None
    return {"serving": serving, "status": status, "reading": reading}


def _written(code: int) -> dict[str, Any]:
    try:
        return dict(json.loads(STATUS.read_bytes()))
    except (FileNotFoundError, ValueError):
        raise StepFailed(
            f"`poe monitor` ended with exit code {code} and wrote no {shown(STATUS)}: what it "
            "printed stands above."
        ) from None


def _seen(verbs: Verbs, record: Record) -> dict[str, Any]:
    said = verbs.said("monitor", "--json", "--now", record["at"])
    try:
        return dict(json.loads(said))
    except (ValueError, TypeError):
        raise StepFailed(f"`poe monitor --json` could not look: {said}") from None


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
        verdict=after.verdict(state, known, [r for r in readings if r], now, policy.rollback),
    )


def plain(known: Facts) -> dict[str, Any]:
    """Write facts as JSON."""
    return dict(json.loads(json.dumps(asdict(known), default=str)))


def _knows_until(release: str) -> datetime | None:
    folder = places.bundle(places.environment(PRODUCTION), release)
    manifest = bundle.read_manifest(folder)
    return moment(manifest.get("trained_until") or manifest["created"])


def _quality(found: dict[str, Any] | None) -> Quality | None:
    if not found or found["figure"] is None or found["expected"] is None:
        return None
    higher = params()["score"]["higher_is_better"]
    ends = (found["figure"], found["low"], found["high"], found["expected"])
    return Quality(found["metric"], higher, *ends, rows=found["outcomes"])


def _last_set_back(passes: Sequence[Record]) -> datetime | None:
    """Tell when a version was refused or taken back, if none was promoted since."""
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
        if event["event"] in ("abort", "roll_back") and event["detail"].get("release") == release:
            reason = event["detail"].get("reason") or "no reason was given"
            return f"was taken back by {event['by']}: {reason}"
    return "is no longer tried: another release was deployed in its place"


def _history() -> list[dict[str, Any]]:
    return read_history(places.environment(PRODUCTION) / HISTORY)
