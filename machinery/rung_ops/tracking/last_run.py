"""What the pipeline's last stage made: reports/run.json names the run, the model and its version."""

import json
import subprocess

from rung_ops.project.paths import REPORTS, ROOT

RUN = REPORTS / "run.json"


def read() -> dict[str, str]:
    """Read run_id, model, version; empty where the pipeline never ran to its end."""
    try:
        found = json.loads(RUN.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()}


def write(run_id: str, model: str, version: str) -> None:
    """Write down what was made."""
    RUN.parent.mkdir(parents=True, exist_ok=True)
    made = {"run_id": run_id, "model": model, "version": version}
    RUN.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def account_for(run_id: str, model: str, version: str) -> None:
    """Write down what was made by another program than the pipeline's stage.

    DVC is told, as it would find its output changed otherwise, and record the run a second time.
    """
    write(run_id, model, version)
    subprocess.run(["dvc", "commit", "--quiet", "--force", "track"], cwd=ROOT, check=True)
