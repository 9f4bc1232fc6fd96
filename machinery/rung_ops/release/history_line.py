"""A line of a history: one event as JSON, with its hash and that of the line before."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

START = "0" * 64  # previous_hash of the first line
KEYS = {"at", "event", "by", "detail", "previous_hash", "hash"}


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


def is_event(value: dict[str, Any]) -> bool:
    """Return whether an object has the keys of a history line."""
    return (
        value.keys() == KEYS
        and isinstance(value["detail"], dict)
        and all(isinstance(value[name], str) for name in KEYS - {"detail"})
    )


def is_unchanged(event: dict[str, Any]) -> bool:
    """Return whether the hash of a line matches its content."""
    return bool(event["hash"] == _hash(event))


def parsed(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line; None if it is incomplete or no event."""
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and is_event(event) else None


def serialized(event: dict[str, Any]) -> bytes:
    """Return an event as a line, with its line break."""
    return _canonical(event) + b"\n"


def _hash(event: dict[str, Any]) -> str:
    rest = {name: value for name, value in event.items() if name != "hash"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _canonical(value: dict[str, Any]) -> bytes:
    """Serialize a value so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
