"""The stand-in for people in a replay: it approves releases, and nothing it writes passes for theirs.

Its record is no validation, and says so. It approves every release that passed the gate and the
change control plan, so that a replay shows what the rules alone would do.
"""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_governance import example_text
from rung_governance.approval import signatures, validation
from rung_ops.model import bundle
from rung_ops.project import paths
from rung_ops.replay import project_copy, traffic

NAME = "a stand-in of the replay"
EMAIL = "approver@localhost"
NOT_VALIDATED = "Not validated: a replay wrote this record in place of a person."
NOT_WRITTEN = "Not written: a replay put this sentence in the place of a text of the example."


def prepare(folder: Path) -> None:
    """Replace the example's text in a copy: promotion refuses it, and a replay asks what rules do."""
    example_text.rewrite(folder, NOT_WRITTEN)


def is_required() -> bool:
    """Return whether this project requires an approval before a release is served."""
    return (project_copy.copy_folder() / validation.RECORDS).is_dir()


def waiting() -> str | None:
    """Return the release in shadow that waits for an approval, if any."""
    shadow = traffic.serving_state().shadow
    return shadow.release if shadow and is_required() else None


def approve(release: str) -> None:
    """Approve and promote a release: write the record, sign where approvals are signed, promote."""
    manifest = bundle.read_manifest(paths.bundle(traffic.production(), release))
    folder, version = project_copy.copy_folder(), str(manifest["version"])
    path = folder / validation.RECORDS / f"{manifest['model']}-{version}.yaml"
    # JSON is YAML, and quotes what has to be quoted.
    path.write_text(json.dumps(_record(manifest), indent=2) + "\n", encoding="utf-8")
    if (signers := folder / signatures.SIGNERS).is_file():
        key = signing_key(signers)
        project_copy.commit(f"Validate version {version}, by {NAME}")
        project_copy.run_verb("approve", version, "--key", key)
    project_copy.commit(f"Approve of version {version}, by {NAME}")
    project_copy.run_verb("promote", version)


def signing_key(signers: Path) -> str:
    """Make the stand-in's key, if it is not there, and let it alone approve; return its path."""
    key = signers.parents[1] / ".keys/approver"
    if not key.exists():
        key.parent.mkdir(exist_ok=True)
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
        subprocess.run(words, check=True)
    signers.write_text(f"{signatures.line_for(str(key), EMAIL)}\n", encoding="utf-8")
    return str(key)


def _record(manifest: dict[str, Any]) -> dict[str, Any]:
    judgements = ("conceptual_soundness", "outcomes_analysis", "limitations")
    return {
        **{name: manifest[name] for name in ("model", "git_commit", "data_hash")},
        "version": int(manifest["version"]),
        "validator": {"name": NAME, "email": EMAIL},
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        **{name: f"{NOT_VALIDATED} Of {name} nothing is said." for name in judgements},
        "evidence": [NOT_VALIDATED],
        "findings": [],
        "decision": validation.APPROVED,
    }
