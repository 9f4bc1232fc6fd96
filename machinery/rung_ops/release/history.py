"""A file of events in which no line can be changed, taken out or added without being noticed.

Each line holds the hash of the line before it and its own, over the rest of its content. That
shows a change in the middle; only a signature over the last hash shows that the end was cut off.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.system import atomic, locks

START = "0" * 64  # stands for the hash before the first line
KEYS = {"at", "event", "by", "detail", "previous_hash", "hash"}
REPAIRED = "repaired"


@dataclass(frozen=True)
class Fault:
    """The first line that does not fit.

    Attributes:
        line: its number, counted from 1.
        reason: what is wrong with it.
    """

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line} {self.reason}"


def now() -> str:
    """Tell the time in UTC, as history and state write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def entry(previous_hash: str, event: str, by: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Make a line that follows the line with previous_hash."""
    made = {
        "at": now(),
        "event": event,
        "by": by,
        "detail": detail,
        "previous_hash": previous_hash,
    }
    return made | {"hash": _hash(made)}


def append(path: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Add an event to a history of its own, one writer at a time.

    A history beside a state.json is written through rung_ops.release.state alone, which knows what a
    killed process may have left out.

    Returns:
        The line that was added.
    """
    with locks.locked(path.parent):
        settle(path)
        made = entry(last_hash(path), event, by, detail)
        write(path, made)
    return made


def write(path: Path, made: dict[str, Any]) -> None:
    """Write a line that entry() made; the caller holds the lock."""
    atomic.append(path, _line(made))


def settle(path: Path, owed: dict[str, Any] | None = None) -> None:
    """Bring a history in order after a kill; the caller holds the lock.

    A last line without its end is finished where only the end was missing, else taken out; that
    is recorded. What is owed is added unless it is there.

    Args:
        path: the history.
        owed: a line that took effect and may never have been written.
    """
    content = _content(path)
    whole = content.rfind(b"\n") + 1
    kept, torn = content[:whole], content[whole:]
    finished = _parsed(torn + b"\n") is not None
    if finished:
        kept += torn + b"\n"
    missing = _line(owed) if owed and _line(owed) not in kept else b""
    if not torn:
        if missing:
            atomic.append(path, missing)
        return
    kept += missing
    detail = {"bytes": len(torn), "kept": finished, "text": torn[:500].decode(errors="replace")}
    repaired = entry(_last_hash(kept), REPAIRED, "rung_ops.release.history", detail)
    atomic.write(path, kept + _line(repaired))


def read(path: Path) -> list[dict[str, Any]]:
    """Read all events, the oldest first; lines that are none are left out."""
    return _events(_content(path))


def last_hash(path: Path) -> str:
    """Tell the hash that the next line has to name."""
    return _last_hash(_content(path))


def verify(path: Path) -> Fault | None:
    """Check every line against the one before it.

    Returns:
        The first line that does not fit, or None.
    """
    expected = START
    for number, line in enumerate(_content(path).splitlines(keepends=True), start=1):
        event = _parsed(line)
        if event is None:
            finished = line.endswith(b"\n")
            return Fault(number, "is no event" if finished else "was not written to its end")
        if event["hash"] != _hash(event):
            return Fault(number, f"({event['event']}) was changed: its hash is another")
        if event["previous_hash"] != expected:
            return Fault(number, f"({event['event']}) does not follow the line before it")
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
    """Write a value in the one way in which equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
