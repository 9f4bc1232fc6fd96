"""A mark on served rows whose version the gate refused, in the record that git keeps of them."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from rung_ops.autopilot import commits
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic

KEY = "gate"


def mark_refused(file: str, version: str, reasons: Sequence[str]) -> Path:
    """Note in the record of a file, under DVC's `meta`, that the gate refused its version; commit it.

    Args:
        file: served rows, relative to the project.
        version: that was trained with them.
        reasons: of the gate.

    Returns:
        The record.

    Raises:
        StepFailed: git refused the commit.
    """
    path = current().root / f"{file}.dvc"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    verdict = {"refused": f"version {version}", "reasons": list(reasons)}
    record["meta"] = (record.get("meta") or {}) | {KEY: verdict}
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    atomic.write(path, text.encode())
    commits.commit(f"data: mark {shown(path)}, as the gate refused version {version}")
    return path
