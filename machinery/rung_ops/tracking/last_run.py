"""Read and write reports/run.json: run, model and version that the pipeline recorded last."""

import json

from rung_ops.data import dvc
from rung_ops.project.errors import StageError
from rung_ops.project.paths import REPORTS, ROOT, shown
from rung_ops.system.printable import printable

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

    Raises:
        StageError: DVC refused; the message repeats what it said.
    """
    write(run_id, model, version)
    # Without --quiet, which would keep the reason back.
    done = dvc.run(ROOT, "commit", "--force", "track")
    if done.returncode != 0:
        raise StageError(
            f"{shown(RUN)} names version {version}, but DVC could not commit it, so the next "
            f"pipeline would record the run again: {printable(done.stderr.strip())}"
        )
