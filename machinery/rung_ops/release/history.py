"""What an environment serves and served: its state, as state.json holds it, and the events that changed it.

The history is a tamper-evident file of events: a chain of hashes, one JSON line for each event. A line holds
the hash of the previous line and its own. That reveals a line that was changed, removed or inserted; only a
signature over the last hash reveals that lines were cut off at the end.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import msgspec

from rung_ops.errors import OpsError
from rung_ops.system import files
from rung_ops.system.files import UnusableFileError, open_regular, read_regular, stamp

# One component of a path, not hidden: an id becomes the name of a folder.
RELEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")

# What state.json may hold. Every value is checked: others may write to the folder of releases.
ReleaseId = Annotated[str, msgspec.Meta(pattern=rf"\A{RELEASE_ID.pattern}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class StateError(OpsError):
    """state.json, or a value for it, is nothing that a command writes; the message says what."""


class ChangeRefusedError(OpsError):
    """The current state does not allow the change; the message says why."""


class UncertainChangeError(OpsError, OSError):
    """A change was sent to a bucket, and it is not known whether it was made."""


PartOfRequests = Annotated[float, msgspec.Meta(gt=0, le=1)]


@dataclass(frozen=True)
class Plan:
    """How a trial goes, as it was decided when the release was deployed.

    Attributes:
        steps: shares of the requests that the canary answers, one after the other.
        passed_gate: whether the gate passed the release: if not, no time ends a stage.
    """

    steps: Annotated[tuple[PartOfRequests, ...], msgspec.Meta(min_length=1, max_length=20)]
    passed_gate: bool = True


@dataclass(frozen=True)
class Shadow:
    """A release that scores a share of the requests; callers never see its answers.

    Earlier versions wrote neither `since`, when it began, nor `plan`.
    """

    release: ReleaseId
    share: PartOfRequests
    since: str | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class Canary:
    """A release that answers some of the requests: `step` counts from 0 and began at `since`.

    Earlier versions wrote no `plan`.
    """

    release: ReleaseId
    step: Annotated[int, msgspec.Meta(ge=0, le=1_000)]
    since: str
    plan: Plan | None = None


@dataclass(frozen=True)
class Stopped:
    """The service refuses all requests: who stopped it, when, and why."""

    by: str
    at: str
    reason: str


@dataclass(frozen=True)
class State:
    """The releases that an environment serves.

    Attributes:
        generation: grows by one with each change; 0 before the first deployment.
        serving: the release that answers requests, if any.
        previous: releases that were served before, newest first.
        shadow: the release in shadow, if any.
        canary: the release that answers some of the requests, if any.
        stopped: set while the service refuses all requests.
    """

    generation: Count = 0
    serving: ReleaseId | None = None
    previous: Annotated[tuple[ReleaseId, ...], msgspec.Meta(max_length=100)] = ()
    shadow: Shadow | None = None
    canary: Canary | None = None
    stopped: Stopped | None = None

    @property
    def on_trial(self) -> tuple[str, ...]:
        """Return the releases in canary and shadow, in this order."""
        return tuple(each.release for each in (self.canary, self.shadow) if each)

    def releases(self) -> set[str]:
        """Return every release that is in use or that a rollback can restore."""
        return set(self.on_trial) | set(self.previous) | ({self.serving} if self.serving else set())

    def role_of(self, release: str) -> str | None:
        """Describe the role of a release; None if it has none."""
        if self.serving == release:
            return "is the current release"
        if self.canary and self.canary.release == release:
            return f"is the canary, at step {self.canary.step}"
        if self.shadow and self.shadow.release == release:
            return f"is the shadow, for {self.shadow.share:.0%} of the requests"
        return None


def is_release_id(value: object) -> TypeGuard[str]:
    """Return whether a value is the id of a release."""
    return isinstance(value, str) and RELEASE_ID.fullmatch(value) is not None


def parse(text: bytes) -> tuple[State, dict[str, Any]]:
    """Parse a state and the history line of its last change; StateError says what is wrong."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"it is not JSON: {error}") from error
    state = state_of(data)
    if "entry" not in data:
        raise StateError("`entry` is missing")
    entry = data["entry"]
    if not isinstance(entry, dict) or not is_event(entry):
        raise StateError("`entry`: it is not a line of the history")
    if not is_unchanged(entry):
        raise StateError("`entry`: it was changed: its hash differs")
    detail = entry["detail"]
    served = (detail.get("generation"), detail.get("serving"))
    if served != (state.generation, state.serving) or state_of(detail.get("state")) != state:
        raise StateError("`entry`: it belongs to another state")
    return state, entry


def state_of(data: object) -> State:
    """Read a state as state.json and the lines of the history hold it; StateError names a wrong value."""
    if isinstance(data, dict) and (missing := {field.name for field in fields(State)} - set(data)):
        raise StateError(f"`{min(missing)}` is missing")
    try:
        return msgspec.convert(data, State)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        name = f"`{where.rstrip('`')}`"
        if "matching regex" in what:
            raise StateError(f"{name} is not the id of a release") from error
        raise StateError(f"{name}: {what}" if where else what) from error


Changed = tuple[State, dict[str, Any]]  # the new state, and the details for the history
# Takes a state, the line of its change, and the hash of the last line; returns the state after an event.
Make = Callable[[State, dict[str, Any] | None, str], Changed]


def changed_meanwhile(folder: Path, last: dict[str, Any] | None) -> ChangeRefusedError:
    """Refuse a change because of the last line of the history."""
    change = f": {last['event']} by {last['by']} at {last['at']}" if last else ""
    return ChangeRefusedError(
        f"{folder.name} was changed in the meantime{change}. Check `uv run poe releases` and "
        "run the command again."
    )


START = "0" * 64  # previous_hash of the first line
KEYS = {"at", "event", "by", "detail", "previous_hash", "hash"}
REPAIRED = "repaired"
# Beside a history: signatures over its lines, which an add-on writes and verifies.
ANCHORS = "anchors.jsonl"
MAX_BYTES = 256 * 1024**2  # some 600,000 lines
BLOCK = 1 << 15  # bytes that are read at once
# Hashes of the lines that were appended in this context, where somebody collects them.
WRITTEN: ContextVar[list[str] | None] = ContextVar("written", default=None)
# By history: the hash of a line, and the last change up to it.
_CHANGES: dict[Path, tuple[str, dict[str, Any] | None]] = {}
# Takes a valid line: its number, counted from 1, and the event.
Take = Callable[[int, dict[str, Any]], None]


def now() -> str:
    """Return the current time in UTC, as history and state write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_event(previous_hash: str, event: str, by: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Create the event that follows the line with `previous_hash`."""
    made = {"at": now(), "event": event, "by": by, "detail": detail}
    made["previous_hash"] = previous_hash
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


def event_of(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line; None if it is incomplete, no event, or not as line_of() writes it.

    A line with a key that is written twice would have its hash, and read differently elsewhere.
    """
    try:
        event = json.loads(line)
        is_whole = isinstance(event, dict) and is_event(event) and line == line_of(event)
    except (ValueError, RecursionError):
        return None
    return event if is_whole else None


def line_of(event: dict[str, Any]) -> bytes:
    """Return an event as a line, with its line break."""
    return _canonical(event) + b"\n"


def _hash(event: dict[str, Any]) -> str:
    rest = {name: value for name, value in event.items() if name != "hash"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True)
class Checked:
    """How far a history was checked: lines and bytes, and the hash and stamp there.

    `last_change` is the hash of the last line that changed what is served; empty if none did.
    """

    lines: int = 0
    size: int = 0
    last_hash: str = START
    last_change: str = ""
    fault: str | None = None
    stamp: tuple[int, int, int] = (0, 0, 0)

    def holds(self, entry: dict[str, Any]) -> bool:
        """Return whether an entry is the last change, or the next one that is not appended yet."""
        return entry["hash"] == self.last_change or entry["previous_hash"] == self.last_hash


def write(path: Path, made: dict[str, Any]) -> None:
    """Append an event that new_event() created; the caller holds the lock."""
    files.append(path, line_of(made))
    if (written := WRITTEN.get()) is not None:
        written.append(made["hash"])


def repair(path: Path, pending: dict[str, Any] | None = None) -> str:
    """Make a history ready for the next event after a process was killed; the caller holds the lock.

    An incomplete last line is completed if only its line break is missing, and removed otherwise; either
    is recorded. Where the last line is intact, the cost does not grow with the history.

    Args:
        path: of the history.
        pending: an event that took effect; it is appended unless the file has it.

    Returns:
        The hash of the last event, for the next event's `previous_hash`.
    """
    last = next(_lines_backwards(path), b"\n")
    event = event_of(last)
    if event is None or not is_unchanged(event):
        return _repair_all(path, pending)
    if pending is None or event["hash"] == pending["hash"]:
        return str(event["hash"])
    # Where it is missing, nothing was written since: the last line is the one that it follows.
    if event["hash"] != pending["previous_hash"] and _has(path, pending):
        return str(event["hash"])
    files.append(path, line_of(pending))
    return str(pending["hash"])


def _repair_all(path: Path, pending: dict[str, Any] | None) -> str:
    """Repair a history that is empty, or whose last line is torn or no event."""
    kept, torn = _split(content(path))
    finished = event_of(torn + b"\n") is not None
    if finished:
        kept += torn + b"\n"
    missing = line_of(pending) if pending else b""
    if missing in kept:
        missing = b""
    events = _events(kept + missing)
    last = str(events[-1]["hash"]) if events else START
    if not torn:
        if missing:
            files.append(path, missing)
        return last
    detail = {"bytes": len(torn), "kept": finished, "text": torn[:500].decode(errors="replace")}
    repaired = new_event(last, REPAIRED, "rung_ops.release.history", detail)
    files.write(path, kept + missing + line_of(repaired))
    return str(repaired["hash"])


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a history, the last one first; that one may lack its line break."""
    rest = b""
    for text in _blocks_backwards(path):
        rest, *lines = (text + rest).splitlines(keepends=True)
        yield from reversed(lines)
    if rest:
        yield rest


def _has(path: Path, event: dict[str, Any]) -> bool:
    """Return whether a history has an event: first looks where it has to be by its time."""
    line, at = line_of(event), event["at"]
    with open_regular(path) as opened:
        low, high = 0, opened.seek(0, os.SEEK_END)
        while high - low > BLOCK:  # the line begins from `low` on, and at most a block after `high`
            opened.seek((low + high) // 2)
            opened.readline(BLOCK)
            start = opened.tell()
            middle = event_of(opened.readline(BLOCK))
            if middle is None:  # a long line, or none: only a search through all of it can tell
                break
            low, high = (start, high) if middle["at"] < at else (low, (low + high) // 2)
        else:
            opened.seek(low)
            if line in opened.read(2 * BLOCK + len(line)):
                return True
    return line in _lines_backwards(path)


def _blocks_backwards(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a history from its end, twice as many each time: few joins of long lines."""
    size = BLOCK
    try:
        with open_regular(path) as opened:
            end = opened.seek(0, os.SEEK_END)
            if end > MAX_BYTES:
                raise UnusableFileError(f"{path} is larger than {MAX_BYTES:,} bytes")
            while end:
                start = max(0, end - size)
                opened.seek(start)
                if text := opened.read(end - start):
                    yield text
                end, size = start, 2 * size
    except FileNotFoundError:
        return


def since(path: Path, known: str) -> list[dict[str, Any]] | None:
    """Verify the events after a line, read backwards from the end: no more of the history than that.

    Args:
        path: of the history.
        known: hash of a line that was verified before; START for all.

    Returns:
        The events after it, oldest first; None if one does not fit, or no line has that hash: verify()
        says what is wrong.
    """
    events: list[dict[str, Any]] = []
    expected: str | None = None  # hash that the line before the last one read has to have
    for line in _lines_backwards(path):
        event = event_of(line)
        if event is None or not is_unchanged(event) or expected not in (None, event["hash"]):
            return None
        if event["hash"] == known:
            return events[::-1]
        events.append(event)
        expected = event["previous_hash"]
    return events[::-1] if known == START and expected in (None, START) else None


def last_change(path: Path) -> dict[str, Any] | None:
    """Find the last event that changed what is served; in one process, read only what is new.

    A line's hash commits to all lines before it, so what was found up to a line holds on.
    """
    known, change = _CHANGES.get(path, ("", None))
    new = since(path, known) if known else None
    if new is None:
        new = list(itertools.islice(filter(None, map(event_of, _lines_backwards(path))), 1))
        lines = (line for line in _lines_backwards(path) if b'"generation":' in line)
        change = next(filter(_is_change, map(event_of, lines)), None)
    change = next(filter(_is_change, reversed(new)), change)
    if new:
        _CHANGES[path] = (new[-1]["hash"], change)
    return change


def _is_change(event: dict[str, Any] | None) -> bool:
    return event is not None and "generation" in event["detail"] and is_unchanged(event)


def read(path: Path) -> list[dict[str, Any]]:
    """Read all events, oldest first; invalid lines are skipped."""
    return _events(content(path))


def verify(path: Path) -> str | None:
    """Check the hash of every line and its link to the previous one; say which line is invalid first."""
    return fault(content(path))


def fault(text: bytes) -> str | None:
    """Check the text of a history as verify() does."""
    complete, torn = _split(text)
    checked = _follow(Checked(), complete)
    if checked.fault is None and torn:
        return f"line {checked.lines + 1} is incomplete"
    return checked.fault


def follow(path: Path, before: Checked, take: Take | None = None) -> Checked:
    """Check the lines that were added to a history since it was last checked.

    A last line without its end is left for the next time: it is being written, or the next change
    repairs it.

    Args:
        path: the history.
        before: what this function returned then, or Checked().
        take: gets each line that is checked; line 1 again where the file was replaced.
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
    lines, last, change = known.lines, known.last_hash, known.last_change
    fault = None
    for line in text.splitlines(keepends=True):
        event = event_of(line)
        if event is None:
            fault = f"line {lines + 1} is not an event"
        elif not is_unchanged(event):
            fault = f"line {lines + 1} ({event['event']}) was changed: its hash differs"
        elif event["previous_hash"] != last:
            fault = f"line {lines + 1} ({event['event']}) does not follow the previous line"
        if event is None or fault:
            break
        lines, last = lines + 1, event["hash"]
        if take is not None:
            take(lines, event)
        if "generation" in event["detail"]:
            change = last
    return Checked(lines, known.size + len(text), last, change, fault)


def content(path: Path, start: int = 0) -> bytes:
    """Read a history from a byte on; empty if there is none."""
    try:
        return read_regular(path, MAX_BYTES, start=start)
    except FileNotFoundError:
        return b""


def _split(text: bytes) -> tuple[bytes, bytes]:
    """Divide a history into its whole lines, and what was not written to its end."""
    end = text.rfind(b"\n") + 1
    return text[:end], text[end:]


def _events(text: bytes) -> list[dict[str, Any]]:
    parsed = (event_of(line) for line in text.splitlines(keepends=True))
    return [each for each in parsed if each is not None]
