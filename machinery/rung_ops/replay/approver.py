"""Approve releases in a replay in place of a person.

The record that it writes is not a validation, and says so. It approves every release that passed the
gate and the change control plan, so a replay shows what the rules alone would do.
"""

import json
from datetime import UTC, datetime
from typing import Any

from rung_ops.release import bundle, paths
from rung_ops.replay import copy_commands, period_traffic, project_copy

RECORDS = "governance/validation"
NAME = "a stand-in of the replay"
NOT_VALIDATED = "Not validated: a replay wrote this record in place of a person."


def is_required() -> bool:
    """Return whether this project requires an approval before a release is served."""
    return (project_copy.FOLDER / RECORDS).is_dir()


def waiting() -> str | None:
    """Return the release in shadow that waits for an approval, if any."""
    shadow = period_traffic.serving_state().shadow
    return shadow.release if shadow and is_required() else None


def approve(release: str) -> None:
    """Approve and promote a release: write the record, commit it, run `poe promote`.

    Raises:
        VerbFailed: `poe promote` refused the release.
    """
    manifest = bundle.read_manifest(paths.bundle(period_traffic.production(), release))
    path = project_copy.FOLDER / RECORDS / f"{manifest['model']}-{manifest['version']}.yaml"
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
        "conceptual_soundness": NOT_VALIDATED,
        "outcomes_analysis": NOT_VALIDATED,
        "limitations": NOT_VALIDATED,
        "decision": "approved",
    }
