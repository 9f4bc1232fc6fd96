"""Decisions of people that replace a prediction, kept in the audit log."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_governance import audit
from rung_ops.release import history, state

OVERRIDE = "override"
# Characters: an override names a decision and says why; it must not become a file on a person.
MOST = {"id": 200, "decision": 200, "by": 200, "reason": 2_000}


class Incomplete(Exception):
    """An override lacks something; the message says what."""


@dataclass(frozen=True)
class Override:
    """What a person decided instead.

    Attributes:
        id: of the prediction, as the service answered it.
        decision: what is done now, in the words of the office that decides.
        by: the person.
        reason: why.
    """

    id: str
    decision: str
    by: str
    reason: str


def record(folder: Path, made: Override) -> list[str]:
    """Write an override into the audit log; returns and raises as audit.record()."""
    return audit.record(
        folder, OVERRIDE, made.by, id=made.id, decision=made.decision, reason=made.reason
    )


def override_decision(fields: Any) -> Override:
    """Make an override of what was sent.

    Raises:
        Incomplete: a field is missing, empty, too long or unknown.
    """
    return Override(**complete(fields, ("id", "decision", "by", "reason")))


def complete(fields: Any, names: tuple[str, ...]) -> dict[str, str]:
    """Take the named texts out of a JSON object, each there and filled in.

    Raises:
        Incomplete: it is not an object, or a field is missing, empty, too long or unknown.
    """
    wanted = ", ".join(f"`{name}`" for name in names)
    if not isinstance(fields, dict):
        raise Incomplete(f"Send a JSON object with {wanted}.")
    for name in names:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise Incomplete(f"`{name}` must be a text, in quotes, whatever the target is.")
        if value is None or not any(sign.isalnum() for sign in value):
            raise Incomplete(f"`{name}` is missing or empty: send a JSON object with {wanted}.")
        if len(value) > MOST[name]:
            raise Incomplete(f"`{name}` has {len(value):,} characters; at most {MOST[name]:,} fit.")
    if unknown := sorted(set(fields) - set(names)):
        raise Incomplete(f"`{unknown[0]}` means nothing here: send {wanted}.")
    return {name: fields[name].strip() for name in names}


class Overrides:
    """Finds the overrides of a prediction; reads of the audit log only what is new."""

    def __init__(self, folder: Path) -> None:
        """Look into the audit log of an environment's folder."""
        self._path = folder / state.HISTORY
        self._read = 0
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def of(self, prediction: str) -> list[dict[str, Any]]:
        """List the overrides of a prediction, the one that counts last.

        Returns:
            Objects with at, by, decision and reason.
        """
        with self._lock:
            self._catch_up()
            return list(self._found.get(prediction, ()))

    def count(self, since: str = "") -> dict[str, str]:
        """Name the predictions that were overruled since a moment (ISO, UTC), with when."""
        with self._lock:
            self._catch_up()
            last = {prediction: entries[-1]["at"] for prediction, entries in self._found.items()}
        return {prediction: at for prediction, at in last.items() if at >= since}

    def _catch_up(self) -> None:
        try:
            if self._path.stat().st_size < self._read:  # a torn end was cut off, or it is another
                self._read, self._found = 0, {}
        except FileNotFoundError:
            return
        new = history.content(self._path, self._read)
        end = new.rfind(b"\n") + 1
        self._read += end
        for line in new[:end].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            if event["event"] != OVERRIDE:
                return
            detail = event["detail"]
            entry = {
                "at": event["at"],
                "by": event["by"],
                "decision": detail["decision"],
                "reason": detail["reason"],
            }
            self._found.setdefault(detail["id"], []).append(entry)
        except (ValueError, KeyError, TypeError):
            return  # `poe audit-log` says what is wrong with such a line
