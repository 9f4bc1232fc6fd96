"""What each pass did: one JSON file a pass, never half written, so that a pass can be continued.

A pass without `finished` was killed or failed: the next run goes on at its first step without
`ended`. The journal lies with the releases, as it tells of what is served: whoever may change
production from another checkout finds it too, and it outlives a CI machine as they do.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.project.paths import shown
from rung_ops.release import paths
from rung_ops.system import atomic

SCHEMA = 1
Record = dict[str, Any]


class BadJournal(Exception):
    """A file of the journal that the autopilot did not write; the message says what to do."""


def folder() -> Path:
    """Find the folder of the journal."""
    return paths.releases() / "autopilot"


def clock() -> str:
    """Tell the time of the machine in UTC, as steps are stamped with it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def begin(at: datetime, by: str) -> Record:
    """Open the record of a new pass; save() writes it.

    Args:
        at: as of when the pass judges, with a zone.
        by: who started it.
    """
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
    """Write the record as it is now: whoever reads finds the old one or the new one."""
    passes = folder() / "passes"
    passes.mkdir(parents=True, exist_ok=True)
    content = json.dumps(record, indent=2, allow_nan=False, default=str) + "\n"
    atomic.write(passes / f"{record['pass']}.json", content.encode())


def passes() -> list[Record]:
    """Read the records of all passes, the oldest first.

    Raises:
        BadJournal: one is damaged.
    """
    found = []
    for path in _files():
        try:
            record = json.loads(path.read_bytes())
            known = record["schema"] == SCHEMA and isinstance(record["steps"], list)
        except (ValueError, KeyError, TypeError) as error:
            raise BadJournal(_damaged(path)) from error
        if not known:
            raise BadJournal(_damaged(path))
        found.append(record)
    return sorted(found, key=lambda record: (record["at"], record["started"]))


def unfinished(records: list[Record]) -> Record | None:
    """Find the pass that was killed or failed, if there is one."""
    open_ones = [record for record in records if record["finished"] is None]
    return open_ones[-1] if open_ones else None


def step(record: Record, name: str) -> Record | None:
    """Find what was recorded of a step; None before it was started."""
    return next((each for each in record["steps"] if each["step"] == name), None)


def detail(record: Record, name: str) -> Record:
    """Take what a step that ended left behind; empty where it has not."""
    found = step(record, name)
    return dict(found["detail"]) if found and found["ended"] else {}


def ended(records: list[Record], name: str) -> Iterator[tuple[datetime, Record]]:
    """Yield when a step ended and what it left behind, for each pass in which it did."""
    for record in records:
        found = step(record, name)
        if found and found["ended"]:
            yield datetime.fromisoformat(record["at"]), dict(found["detail"])


def _files() -> list[Path]:
    return sorted((folder() / "passes").glob("*.json"))


def _damaged(path: Path) -> str:
    return (
        f"{shown(path)} is not a record of the autopilot. Move it elsewhere: the "
        "other passes do not depend on it."
    )
