"""The log of an environment on this machine, and what it exchanges with a bucket in $LOGS."""

import os
from datetime import UTC, datetime
from pathlib import Path

from rung_ops import prediction_log
from rung_ops.system import files

# The bucket, and the moment until which this process and its parent have read it: see download_for_pass().
DOWNLOADED = "LOGS_DOWNLOADED"


def downloaded(
    environment: str, since: datetime | None = None, until: datetime | None = None
) -> Path:
    """Return the folder of an environment's log, with what the bucket of $LOGS has, if it is one.

    Args:
        since: rows from this moment on are enough, with those of the newest day if it is earlier.
        until: rows before this moment are enough: what download_for_pass() brought is not asked for again.

    Raises:
        BucketError: the bucket cannot be read, so the log here may lack rows.
    """
    log = prediction_log.folder(environment)
    found = prediction_log.address(environment)
    is_here = until and log.is_dir() and os.environ.get(DOWNLOADED) == _as_of(found, until)
    if found and not is_here:
        from rung_ops.prediction_log import log_bucket  # its library is not needed for a folder

        log_bucket.download(log, found, since, until)
    return log


def download_for_pass(environment: str, moment: datetime) -> Path:
    """Download a log once for this process and those that it starts, which read it until `moment`."""
    log = downloaded(environment)
    if found := prediction_log.address(environment):
        os.environ[DOWNLOADED] = _as_of(found, moment)
    return log


def _as_of(address: str, moment: datetime) -> str:
    return f"{address} {moment.astimezone(UTC).isoformat()}"


def write_figures(environment: str, name: str, content: bytes) -> None:
    """Write figures for Prometheus where the service passes them on: MONITOR_PROM or AUTOPILOT_PROM."""
    path = prediction_log.folder(environment).with_name(name)
    with files.locked(path.parent):
        files.write(path, content)
    if found := prediction_log.address(environment):
        from rung_ops.prediction_log import log_bucket

        log_bucket.upload_figures(path, found)
