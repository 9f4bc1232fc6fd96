"""Check that a release passed the gate against the release that it will replace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.release.state import State


def gate_file() -> Path:
    """Return the path of the gate's verdict."""
    return current().reports / "gate.json"


IDENTITY = ("version", "run_id", "git_commit", "data_hash")


def objections(
    manifest: dict[str, Any], state: State, path: Path | None = None, awaited: bool = False
) -> Iterator[str]:
    """Yield the reasons why the last verdict of the gate does not admit a release to production.

    Args:
        manifest: of the release.
        state: of production.
        path: of the verdict; by default reports/gate.json.
        awaited: accept a verdict that awaits only a decision of people.
    """
    path = path or gate_file()
    remedy = f"run `uv run poe gate {manifest.get('version')}`"
    try:
        verdict = json.loads(path.read_bytes())
        judged, champion = verdict["challenger"], verdict["champion"]
        passed, reasons = verdict["promote"], verdict["reasons"]
        awaits = verdict.get("awaits", [])
    except FileNotFoundError:
        yield f"{shown(path)} is missing; {remedy}"
        return
    except (ValueError, KeyError, TypeError):
        yield f"{shown(path)} is not a verdict of the gate; {remedy}"
        return
    other = [name for name in IDENTITY if judged.get(name) != str(manifest.get(name))]
    if other:
        yield f"the gate judged another version, {judged.get('version')}; {remedy}"
        return
    if passed is not True and not (awaited and awaits and not reasons):
        yield from [*reasons, *awaits] or ["the gate rejected it"]
    if state.serving and (champion or {}).get("release") != state.serving:
        yield f"the gate did not compare it with {state.serving}, which is served now; {remedy}"
