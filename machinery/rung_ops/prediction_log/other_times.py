"""How many rows needed entity features of another time, by day: counts beside the prediction log.

Rows that were refused are not in the log, so the monitor would not know of them. Each process writes
one file, `other_times/WRITER.json`: by day and view, `rows`, `refused` and `default`.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from rung_ops.system import files

Counts = Mapping[str, Mapping[str, Mapping[str, int]]]  # by day, view and what is counted
KEEP_SECONDS = 90 * 86_400.0  # files of earlier processes


def folder(log: Path) -> Path:
    """Return the folder of the counts beside that of a log."""
    return log.with_name("other_times")


def write(log: Path, writer: str, counts: Counts) -> None:
    """Replace the counts of a process, and delete old files."""
    place = folder(log)
    files.private_folder(place)
    files.write(place / f"{writer}.json", json.dumps(counts).encode())
    for path in place.glob("*.json"):
        if time.time() - path.stat().st_mtime > KEEP_SECONDS:
            path.unlink(missing_ok=True)


def read(log: Path, since: datetime, until: datetime) -> dict[str, Counter[str]]:
    """Add up what all processes counted on whole days, by view; skip files that cannot be read."""
    first, last = f"{since:%Y-%m-%d}", f"{until:%Y-%m-%d}"
    totals: dict[str, Counter[str]] = {}
    for path in sorted(folder(log).glob("*.json")):
        try:
            days: Counts = json.loads(path.read_bytes())
            for day, views in days.items():
                for view, counts in views.items() if first <= day <= last else ():
                    totals.setdefault(view, Counter()).update(counts)
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    return totals
