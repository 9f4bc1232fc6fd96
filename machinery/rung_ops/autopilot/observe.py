"""Let the monitor look at production, and read what the service counts."""

import json
from typing import Any

from rung_ops.autopilot import errors
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.autopilot.task_runner import Verbs
from rung_ops.batch import prediction_log
from rung_ops.project.paths import REPORTS, shown
from rung_ops.release import paths

STATUS = REPORTS / "monitor/status.json"


def look(verbs: Verbs, serving: str, record: Record, url: str, dry: bool = False) -> dict[str, Any]:
    """Run the monitor, and read the service's counts.

    Args:
        verbs: runs the monitor.
        serving: the release that answers.
        record: of the pass.
        url: of the service; empty where nobody may ask it.
        dry: let the monitor write nothing.

    Returns:
        serving, status (as the monitor wrote it; None where nobody has asked for a prediction),
        reading (None where no service answers).

    Raises:
        StepFailed: the monitor could not look.
    """
    log = prediction_log.folder(paths.PRODUCTION)
    if not any(log.glob("date=*/*.parquet")):
        return {"serving": serving, "status": None, "reading": None}
    if dry:
        status = _seen(verbs, record)
    else:
        STATUS.unlink(missing_ok=True)
        code = verbs.run("monitor", "--now", record["at"])
        status = _written(code)
    reading = errors.reading(url, serving) if url else None
    return {"serving": serving, "status": status, "reading": reading}


def _written(code: int) -> dict[str, Any]:
    try:
        return dict(json.loads(STATUS.read_bytes()))
    except (FileNotFoundError, ValueError):
        raise StepFailed(
            f"`poe monitor` ended with exit code {code} and wrote no {shown(STATUS)}: what it "
            "printed stands above."
        ) from None


def _seen(verbs: Verbs, record: Record) -> dict[str, Any]:
    said = verbs.said("monitor", "--json", "--now", record["at"])
    try:
        return dict(json.loads(said))
    except (ValueError, TypeError):
        raise StepFailed(f"`poe monitor --json` could not look: {said}") from None
