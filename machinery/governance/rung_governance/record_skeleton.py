"""Write the skeleton of a validation record: what the registry knows, and what a validator answers."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from rung_governance import approval
from rung_ops.project import current
from rung_ops.system import git
from rung_ops.tracking import registry

EXAMINED = ("metrics", "comparison", "slices", "fairness", "explanations", "validation")
TEXT = """\
# `poe approve {version}` wrote this from the registry: answer what is empty, commit, type it again.
model: {model}
version: {version}
git_commit: {git_commit}
data_hash: {data_hash}
params_hash: {params_hash}
figures: {figures}
validator: {{name: {name}, email: {email}}}
date: {today}
# What was examined of design, assumptions, data and method, and what was found.
conceptual_soundness:
# The figures overall, by group and against the baseline; what was run again, with what result.
outcomes_analysis:
# Where this version must not be relied on.
limitations:
# What was examined; add what you made yourself.
evidence:{evidence}
# One a line, or []: {{finding: ..., severity: high, owner: ..., due: 2027-01-31, evidence: ...}}
findings:
decision: # approved or rejected
# conditions: what the approval depends on; required while a finding of high severity is open.
"""


def write(version: ModelVersion) -> Path:
    """Write the record's skeleton where the record belongs; return its path."""
    metrics = registry.client().get_run(str(version.run_id)).data.metrics
    tags = {name: version.tags.get(name, "") for name in ("git_commit", "data_hash", "params_hash")}
    known = tags | {
        "model": version.name,
        "figures": {name: round(value, 4) for name, value in sorted(metrics.items())},
        "name": _git("user.name"),
        "email": _git("user.email"),
        "today": date.today().isoformat(),
        "evidence": list(_evidence(str(version.version))),
    }
    # JSON is YAML, and quotes what has to be quoted.
    written = {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()}
    written["evidence"] = "".join(f"\n  - {each}" for each in known["evidence"])
    path = approval.root() / approval.RECORDS / f"{version.name}-{version.version}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT.format(version=version.version, **written), encoding="utf-8")
    return path


def _evidence(version: str) -> Iterator[str]:
    """Name the reports of this version, if they are here, with their SHA-256."""
    run = current().reports / "run.json"
    result: dict[str, Any] = json.loads(run.read_text("utf-8")) if run.is_file() else {}
    if str(result.get("version")) != version:
        return
    for path in (current().reports / f"{name}.json" for name in EXAMINED):
        if path.is_file():
            yield f"reports/{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _git(setting: str) -> str:
    return git.run(approval.root(), "config", setting).stdout.strip()
