"""A tamper-evident file of events: a chain of hashes, one JSON line for each event.

Each line holds the hash of the previous line and its own, over the rest of its content. That
reveals a line that was changed, removed or inserted; only a signature over the last hash reveals
that lines were cut off at the end.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.system import atomic, locks

START = "0" * 64  # previous_hash of the first line
KEYS = {"at", "event", "by", "detail", "previous_hash", "hash"}
REPAIRED = "repaired"


@dataclass(frozen=True)
class Fault:
    """The first invalid line of a history.

    Attributes:
        line: its number, counted from 1.
        reason: what is wrong with it.
    """

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line} {self.reason}"


def now() -> str:
    """Return the current time in UTC, as history and state write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def entry(previous_hash: str, event: str, by: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Create the event that follows the line with `previous_hash`."""
    made = {
        "at": now(),
        "event": event,
        "by": by,
        "detail": detail,
        "previous_hash": previous_hash,
    }
    return made | {"hash": _hash(made)}


def append(path: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Append an event to a history without a state.json, under the lock of its folder.

    Write a history beside a state.json through rung_ops.release.state, which also repairs what a
    killed process left out.

    Returns:
        The event.
    """
    with locks.locked(path.parent):
        repair(path)
        made = entry(last_hash(path), event, by, detail)
        write(path, made)
    return made


def write(path: Path, made: dict[str, Any]) -> None:
    """Append an event that entry() created; the caller holds the lock."""
    atomic.append(path, _line(made))


def repair(path: Path, pending: dict[str, Any] | None = None) -> None:
    """Repair a history after a process was killed; the caller holds the lock.

    An incomplete last line is completed if only its line break is missing, and removed otherwise;
    either is recorded.

    Args:
        path: of the history.
        pending: an event that took effect; it is appended unless the file has it.
    """
    content = _content(path)
    end = content.rfind(b"\n") + 1
    kept, torn = content[:end], content[end:]
    finished = _parsed(torn + b"\n") is not None
    if finished:
        kept += torn + b"\n"
    missing = _line(pending) if pending and _line(pending) not in kept else b""
    if not torn:
        if missing:
            atomic.append(path, missing)
        return
    kept += missing
    detail = {"bytes": len(torn), "kept": finished, "text": torn[:500].decode(errors="replace")}
    repaired = entry(_last_hash(kept), REPAIRED, "rung_ops.release.history", detail)
    atomic.write(path, kept + _line(repaired))


def read(path: Path) -> list[dict[str, Any]]:
    """Read all events, oldest first; invalid lines are skipped."""
    return _events(_content(path))


def last_hash(path: Path) -> str:
    """Return the hash of the last event, for the next event's `previous_hash`."""
    return _last_hash(_content(path))


def verify(path: Path) -> Fault | None:
    """Check the hash of every line and its link to the previous line.

    Returns:
        The first invalid line, or None.
    """
    expected = START
    for number, line in enumerate(_content(path).splitlines(keepends=True), start=1):
        event = _parsed(line)
        if event is None:
            finished = line.endswith(b"\n")
            return Fault(number, "is not an event" if finished else "is incomplete")
        if event["hash"] != _hash(event):
            return Fault(number, f"({event['event']}) was changed: its hash differs")
        if event["previous_hash"] != expected:
            return Fault(number, f"({event['event']}) does not follow the previous line")
        expected = event["hash"]
    return None


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _events(content: bytes) -> list[dict[str, Any]]:
    parsed = (_parsed(line) for line in content.splitlines(keepends=True))
    return [each for each in parsed if each is not None]


def _last_hash(content: bytes) -> str:
    events = _events(content)
    return str(events[-1]["hash"]) if events else START


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and event.keys() == KEYS else None


def _line(made: dict[str, Any]) -> bytes:
    return _canonical(made) + b"\n"


def _hash(event: dict[str, Any]) -> str:
    rest = {name: value for name, value in event.items() if name != "hash"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _canonical(value: dict[str, Any]) -> bytes:
    """Serialize a value so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
