"""Read and write reports/run.json: run, model and version that the pipeline recorded last."""

import json
import subprocess

from rung_ops.project.paths import REPORTS, ROOT

RUN = REPORTS / "run.json"


def read() -> dict[str, str]:
    """Read run_id, model and version; empty if the pipeline never completed."""
    try:
        content = json.loads(RUN.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): str(value) for key, value in content.items()}


def write(run_id: str, model: str, version: str) -> None:
    """Write reports/run.json."""
    RUN.parent.mkdir(parents=True, exist_ok=True)
    content = {"run_id": run_id, "model": model, "version": version}
    RUN.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_and_commit(run_id: str, model: str, version: str) -> None:
    """Write reports/run.json outside the pipeline's stage, and commit it to DVC.

    Otherwise DVC would see a changed output and record the run a second time.
    """
    write(run_id, model, version)
    subprocess.run(["dvc", "commit", "--quiet", "--force", "track"], cwd=ROOT, check=True)
