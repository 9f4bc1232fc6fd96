"""The journal: one JSON file for each pass, written atomically, so that a pass can be continued.

A pass without `finished` was killed or failed: the next run continues at its first step without
`ended`. It is beside the releases, so that every checkout that can change production finds it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError
from rung_ops.project import release_folders
from rung_ops.project.paths import shown
from rung_ops.system import files

SCHEMA = 1
Record = dict[str, Any]


def folder() -> Path:
    """Return the folder of the journal."""
    return release_folders.releases() / "autopilot"


def clock() -> str:
    """Return the current time of the machine in UTC, as recorded for steps."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def begin(at: datetime, by: str) -> Record:
    """Create the record of a new pass, which decides as of a time; save() writes it."""
    stem = at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    taken = {path.stem for path in _files()}
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}.{number}"
    return {
        "schema": SCHEMA,
        "pass": name,
        "at": at.isoformat(),
        "by": by,
        "started": clock(),
        "steps": [],
        "outcome": None,
        "summary": None,
        "finished": None,
    }


def save(record: Record) -> None:
    """Write the record, atomically."""
    passes = folder() / "passes"
    passes.mkdir(parents=True, exist_ok=True)
    content = json.dumps(record, indent=2, allow_nan=False, default=str) + "\n"
    files.write(passes / f"{record['pass']}.json", content.encode())


def passes() -> list[Record]:
    """Read the records of all passes, oldest first."""
    records = []
    for path in _files():
        try:
            record = json.loads(path.read_bytes())
            if record["schema"] != SCHEMA or not isinstance(record["steps"], list):
                raise ValueError(record["schema"])
        except (ValueError, KeyError, TypeError) as error:
            raise OpsError(
                f"{shown(path)} is not a record of the autopilot. Move it elsewhere: the "
                "other passes do not depend on it."
            ) from error
        records.append(record)
    return sorted(records, key=lambda record: (record["at"], record["started"]))


def unfinished(records: list[Record]) -> Record | None:
    """Return the pass that was killed or failed, if any."""
    return next((record for record in reversed(records) if record["finished"] is None), None)


def step(record: Record, name: str) -> Record | None:
    """Return the entry of a step; None before it was started."""
    return next((each for each in record["steps"] if each["step"] == name), None)


def detail(record: Record, name: str) -> Record:
    """Return the detail of a step; empty if it has not ended."""
    entry = step(record, name)
    return dict(entry["detail"]) if entry and entry["ended"] else {}


def ended(records: Sequence[Record], name: str) -> Iterator[tuple[datetime, Record]]:
    """Yield the time and the detail of a step, for each pass in which it ended."""
    for record in records:
        entry = step(record, name)
        if entry and entry["ended"]:
            yield datetime.fromisoformat(record["at"]), dict(entry["detail"])


def _files() -> list[Path]:
    return sorted((folder() / "passes").glob("*.json"))
