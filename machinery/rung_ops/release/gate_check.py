"""Whether a release went through the gate, against just what it is to replace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_ops.project.paths import REPORTS, shown
from rung_ops.release.state import State

GATE = REPORTS / "gate.json"
SAME = ("version", "run_id", "git_commit", "data_hash")


def objections(
    manifest: dict[str, Any], state: State, path: Path | None = None, awaited: bool = False
) -> Iterator[str]:
    """Say why the gate's last verdict does not let a release into production.

    Args:
        manifest: of the release.
        state: of production.
        path: the verdict; reports/gate.json unless given.
        awaited: let one pass about which only people have still to decide.
    """
    path = path or GATE
    remedy = f"`uv run poe gate {manifest.get('version')}` holds it against the champion"
    try:
        verdict = json.loads(path.read_bytes())
        judged, champion = verdict["challenger"], verdict["champion"]
        passed, reasons = verdict["promote"], verdict["reasons"]
        awaits = verdict.get("awaits", [])
    except FileNotFoundError:
        yield f"{shown(path)} is missing, so nobody has judged it; {remedy}"
        return
    except (ValueError, KeyError, TypeError):
        yield f"{shown(path)} is no verdict; {remedy}"
        return
    other = [name for name in SAME if judged.get(name) != str(manifest.get(name))]
    if other:
        yield f"the gate judged version {judged.get('version')}, which is not this; {remedy}"
        return
    if passed is not True and not (awaited and awaits and not reasons):
        yield from [*reasons, *awaits] or ["the gate did not let it pass"]
    if state.serving and (champion or {}).get("release") != state.serving:
        yield f"the gate did not hold it against {state.serving}, which answers now; {remedy}"
