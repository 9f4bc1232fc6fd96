"""Read and write reports/run.json: run, model and version that the pipeline recorded last."""

import json
from pathlib import Path

from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.printable import printable


def run_file() -> Path:
    """Return the path of the record of the last run."""
    return current().reports / "run.json"


def read() -> dict[str, str]:
    """Read run_id, model and version; empty if the pipeline never completed."""
    try:
        content = json.loads(run_file().read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): str(value) for key, value in content.items()}


def write(run_id: str, model: str, version: str) -> None:
    """Write reports/run.json."""
    run_file().parent.mkdir(parents=True, exist_ok=True)
    content = {"run_id": run_id, "model": model, "version": version}
    run_file().write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_and_commit(run_id: str, model: str, version: str) -> None:
    """Write reports/run.json outside the pipeline's stage, and commit it to DVC.

    Otherwise DVC would see a changed output and record the run a second time. Where DVC refuses, the file
    is as it was before, so that the next try finds the same work to do.
    """
    before = run_file().read_bytes() if run_file().exists() else None
    write(run_id, model, version)
    # Without --quiet, which would keep the reason back.
    done = dvc.run(current().root, "commit", "--force", "track")
    if done.returncode != 0:
        if before is None:
            run_file().unlink()
        else:
            files.write(run_file(), before)
        raise StageError(
            f"DVC could not commit {shown(run_file())} with version {version}, so the file was put back: "
            f"{printable(done.stderr.strip())}"
        )
