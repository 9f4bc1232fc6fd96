"""The person whom a replay stands in for, where a release waits for an approval.

What it writes is not a validation, and says so. It approves of everything that the gate and the
plan have let through, so a replay shows what the rules alone would do.
"""

import json
from datetime import UTC, datetime
from typing import Any

from rung_ops.release import bundle, paths
from rung_ops.replay import copy_commands, period_traffic, project_copy

RECORDS = "governance/validation"
NAME = "a stand-in of the replay"
NOBODY = "Nobody has looked at it: this record was written by a replay, in a person's place."


def is_asked() -> bool:
    """Tell whether people approve of releases here before they answer."""
    return (project_copy.PLACE / RECORDS).is_dir()


def waiting() -> str | None:
    """Name the release that waits in the shadow for a person, if people are asked."""
    shadow = period_traffic.standing().shadow
    return shadow.release if shadow and is_asked() else None


def approve(release: str) -> None:
    """Approve of a release and let it answer, as a person would: a record, a commit, `poe promote`.

    Raises:
        VerbFailed: something else speaks against it.
    """
    manifest = bundle.read_manifest(paths.bundle(period_traffic.production(), release))
    path = project_copy.PLACE / RECORDS / f"{manifest['model']}-{manifest['version']}.yaml"
    # JSON is YAML, and quotes what has to be quoted.
    path.write_text(json.dumps(_record(manifest), indent=2) + "\n", encoding="utf-8")
    project_copy.commit(f"Approve of version {manifest['version']}, by {NAME}")
    copy_commands.run("promote", str(manifest["version"]))


def _record(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": manifest["model"],
        "version": int(manifest["version"]),
        "git_commit": manifest["git_commit"],
        "data_hash": manifest["data_hash"],
        "validator": {"name": NAME, "email": "approver@localhost"},
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "conceptual_soundness": NOBODY,
        "outcomes_analysis": NOBODY,
        "limitations": NOBODY,
        "decision": "approved",
    }
