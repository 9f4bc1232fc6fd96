"""A tamper-evident file of events: a chain of hashes, one JSON line for each event.

Each line holds the hash of the previous line and its own, over the rest of its content. That
reveals a line that was changed, removed or inserted; only a signature over the last hash reveals
that lines were cut off at the end.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rung_ops.release import history_line
from rung_ops.system import atomic, locks
from rung_ops.system.files import read_regular, stamp

REPAIRED = "repaired"
MAX_BYTES = 256 * 1024**2  # some 600,000 lines; all of it is read at once
# Hashes of the lines that were appended in this context, where somebody collects them.
WRITTEN: ContextVar[list[str] | None] = ContextVar("written", default=None)
# Takes a valid line: its number, counted from 1, and the event.
Take = Callable[[int, dict[str, Any]], None]


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


@dataclass(frozen=True)
class Checked:
    """How far a history was checked.

    Attributes:
        lines, size: how many lines, and how many bytes they take.
        last_hash: of the last line.
        last_change: hash of the last line that changed what is served; empty if none did.
        fault: the first line that does not fit.
        stamp: of the file, as it was then.
    """

    lines: int = 0
    size: int = 0
    last_hash: str = history_line.START
    last_change: str = ""
    fault: Fault | None = None
    stamp: tuple[int, int, int] = (0, 0, 0)

    def holds(self, entry: dict[str, Any]) -> bool:
        """Return whether an entry is the last change, or the next one that is not appended yet."""
        return entry["hash"] == self.last_change or entry["previous_hash"] == self.last_hash


def append(path: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Append an event to a history without a state.json, under the lock of its folder.

    Write a history beside a state.json through rung_ops.release.state, which also repairs what a
    killed process left out.

    Returns:
        The event.
    """
    with locks.locked(path.parent):
        repair(path)
        made = history_line.entry(last_hash(path), event, by, detail)
        write(path, made)
    return made


def write(path: Path, made: dict[str, Any]) -> None:
    """Append an event that history_line.entry() created; the caller holds the lock."""
    atomic.append(path, history_line.serialized(made))
    if (written := WRITTEN.get()) is not None:
        written.append(made["hash"])


def repair(path: Path, pending: dict[str, Any] | None = None) -> None:
    """Repair a history after a process was killed; the caller holds the lock.

    An incomplete last line is completed if only its line break is missing, and removed otherwise;
    either is recorded.

    Args:
        path: of the history.
        pending: an event that took effect; it is appended unless the file has it.
    """
    kept, torn = _split(content(path))
    finished = history_line.parsed(torn + b"\n") is not None
    if finished:
        kept += torn + b"\n"
    missing = history_line.serialized(pending) if pending else b""
    if missing in kept:
        missing = b""
    if not torn:
        if missing:
            atomic.append(path, missing)
        return
    kept += missing
    detail = {"bytes": len(torn), "kept": finished, "text": torn[:500].decode(errors="replace")}
    repaired = history_line.entry(_last_hash(kept), REPAIRED, "rung_ops.release.history", detail)
    atomic.write(path, kept + history_line.serialized(repaired))


def read(path: Path) -> list[dict[str, Any]]:
    """Read all events, oldest first; invalid lines are skipped."""
    return _events(content(path))


def last_hash(path: Path) -> str:
    """Return the hash of the last event, for the next event's `previous_hash`."""
    return _last_hash(content(path))


def verify(path: Path) -> Fault | None:
    """Check the hash of every line and its link to the previous line.

    Returns:
        The first invalid line, or None.
    """
    complete, torn = _split(content(path))
    checked = _follow(Checked(), complete)
    if checked.fault is None and torn:
        return Fault(checked.lines + 1, "is incomplete")
    return checked.fault


def follow(path: Path, before: Checked, take: Take | None = None) -> Checked:
    """Check the lines that were added to a history since it was last checked.

    A last line without its end is left for the next time: it is being written, or the next change
    repairs it.

    Args:
        path: the history.
        before: what this function returned then, or Checked().
        take: gets each line that is checked; line 1 again where the file was replaced.

    Raises:
        OSError: the history cannot be read, or is not a regular file of at most MAX_BYTES.
    """
    try:
        current = stamp(path)
    except FileNotFoundError:
        return Checked()
    if current == before.stamp:
        return before
    has_grown = before.stamp[0] == current[0] and before.stamp[2] < current[2]
    known = before if has_grown and before.fault is None else Checked()
    complete, _ = _split(content(path, known.size))
    return replace(_follow(known, complete, take), stamp=current)


def _follow(known: Checked, text: bytes, take: Take | None = None) -> Checked:
    """Check whole lines that follow those that are known."""
    lines, last, change = known.lines, known.last_hash, known.last_change
    fault = None
    for line in text.splitlines(keepends=True):
        event = history_line.parsed(line)
        reason = _unfit(event, last)
        if event is None or reason:
            fault = Fault(lines + 1, reason)
            break
        lines, last = lines + 1, event["hash"]
        if take is not None:
            take(lines, event)
        if "generation" in event["detail"]:
            change = last
    return Checked(lines, known.size + len(text), last, change, fault)


def _unfit(event: dict[str, Any] | None, previous_hash: str) -> str:
    if event is None:
        return "is not an event"
    if not history_line.is_unchanged(event):
        return f"({event['event']}) was changed: its hash differs"
    if event["previous_hash"] != previous_hash:
        return f"({event['event']}) does not follow the previous line"
    return ""


def content(path: Path, start: int = 0) -> bytes:
    """Read a history as it is on the disk, from a byte on; empty if there is none.

    Raises:
        OSError: it cannot be read, or is not a regular file of at most MAX_BYTES.
    """
    try:
        return read_regular(path, MAX_BYTES, start=start)
    except FileNotFoundError:
        return b""


def _split(text: bytes) -> tuple[bytes, bytes]:
    """Divide a history into its whole lines, and what was not written to its end."""
    end = text.rfind(b"\n") + 1
    return text[:end], text[end:]


def _events(text: bytes) -> list[dict[str, Any]]:
    parsed = (history_line.parsed(line) for line in text.splitlines(keepends=True))
    return [each for each in parsed if each is not None]


def _last_hash(text: bytes) -> str:
    events = _events(text)
    return str(events[-1]["hash"]) if events else history_line.START
