"""The gate's verdict on a release in production, kept in the audit log.

`poe promote` needs no reports of the machine that ran the gate.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rung_governance.approval import bound_facts, plan, signed_approval, validation
from rung_governance.approval.signed_log import WITHDRAWN, details
from rung_ops.errors import SettingsError
from rung_ops.gate import rules
from rung_ops.release import state
from rung_ops.release.history import State

JUDGED = "judged"


def note(folder: Path, manifest: Mapping[str, Any], by: str, verdict: Path) -> None:
    """Write the gate's verdict on a release into the audit log; it must be about that release."""
    content = verdict.read_bytes()
    data = json.loads(content)
    figures = data["figures"]
    if "plan" not in figures:
        raise state.ChangeRefusedError(
            "the gate did not compare it with the plan: run `uv run poe gate`."
        )
    state.note(
        folder,
        JUDGED,
        by,
        release=manifest["id"],
        release_hash=bound_facts.release_hash(manifest),
        against=(data["champion"] or {}).get("release"),
        at=data["at"],
        metric=figures["metric"],
        challenger=figures["challenger"],
        champion=(figures.get("champion") or {}).get("figure"),
        plan=figures["plan"],
        verdict=hashlib.sha256(content).hexdigest(),
        # Their content, as the files may have changed when someone reads this later.
        said=data,
        rules_text=rules.rules_file().read_text(encoding="utf-8"),
        plan_text=plan.path().read_text(encoding="utf-8"),
        facts=signed_approval.verdict_facts(data),
    )


def objections(folder: Path, release: str, now: State) -> Iterator[str]:
    """Say why the last verdict in the audit log does not let a release answer now."""
    recorded = last(folder, release)
    again = f"`uv run poe gate`, then `uv run poe deploy {folder.name} {release}`"
    if recorded is None:
        yield f"the audit log holds no verdict of the gate on it: {again}"
        return
    if recorded["against"] != now.serving:
        against = recorded["against"] or "no release"
        yield f"the gate compared it with {against}, and {now.serving} answers now: {again}"
    try:
        plan.bounds()
        if recorded["plan"] != plan.digest():
            yield f"the change control plan has changed since the gate judged it: {again}"
    except SettingsError as error:
        yield str(error)


def withdrawals(folder: Path, version: validation.Version) -> Iterator[str]:
    """Say that a version's approval was withdrawn, by its file or by the audit log."""
    yield from validation.withdrawal_objections(version)
    path = validation.approval_path(version)
    if not path.is_file():
        return
    digest = bound_facts.file_hash(path)
    for event in state.events(folder):
        if event["event"] == WITHDRAWN and event["detail"].get("approval") == digest:
            yield f"the audit log says that its approval was withdrawn at {event['at']}"


def lapsed(folder: Path, version: validation.Version) -> list[str]:
    """Say why a version that answers, or did, is not approved any more."""
    objections = validation.objections(version, answered=True)
    return list(dict.fromkeys([*objections, *withdrawals(folder, version)]))


def refuse(what: str, reasons: Iterable[str]) -> None:
    """Raise state.ChangeRefusedError if there are reasons."""
    if unique := dict.fromkeys(reasons):
        raise state.ChangeRefusedError("\n- ".join([what, *unique]))


def last(folder: Path, release: str) -> dict[str, Any] | None:
    """Find the last verdict on a release."""
    verdicts = details(state.events(folder), JUDGED)
    return next((each for each in reversed(verdicts) if each.get("release") == release), None)
