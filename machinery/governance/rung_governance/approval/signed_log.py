"""The signed lines of an audit log: the signatures, and how a service follows it.

The hash chain of rung_ops.release.history shows a change in the middle, but a person with write access can
rewrite the rest of the chain. An anchor is the number and hash of a line, signed by a key that this person
does not have; so it shows when lines at the end are missing. Lines after the last anchor are unsigned.

A log that was cut or rewritten is found even if its anchors were cut with it: while the process runs,
what the log said before still counts. How far it was seen is noted beside the prediction log: an
attacker who puts old files back into the folder of the releases has to put back this note, too.
"""

import base64
import binascii
import contextlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rung_governance.approval import keys
from rung_governance.approval.keys import AuditLogError
from rung_ops import prediction_log
from rung_ops.project.paths import shown
from rung_ops.release import history, state
from rung_ops.system import files
from rung_ops.system.files import read_regular, stamp

ANCHORS = history.ANCHORS
SIGNED = ("at", "environment", "lines", "head")
TAIL = 4_096  # bytes; an anchor takes some 300
ALGORITHM = ec.ECDSA(hashes.SHA256())


class Anchor(msgspec.Struct, frozen=True):
    """A signed statement of how many lines there were, and of the hash of the last one."""

    at: str  # when it was signed, UTC
    environment: str  # name of the environment that the history belongs to
    lines: int  # how many lines there were
    head: str  # hash of the last one
    signature: str  # of the four, ECDSA on P-256 with SHA-256, in base64

    def payload(self) -> bytes:
        """Serialize what is signed; equal values give equal bytes."""
        signed = {name: getattr(self, name) for name in SIGNED}
        return json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()

    def holds(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Return whether the holder of the private key signed it."""
        try:
            proof = base64.b64decode(self.signature, validate=True)
            key.verify(proof, self.payload(), ALGORITHM)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def sign_end(
    folder: Path, key: ec.EllipticCurvePrivateKey, only: Collection[str] | None = None
) -> None:
    """Sign the history of an environment to its end.

    What the last anchor covers was verified when that was signed, and is not read again where only
    lines of this process were added: verify() of the audit log reads everything.

    Args:
        folder: the environment's.
        key: that signs.
        only: hashes of the lines that may be signed which no anchor covers yet; None allows all.

    Raises:
        AuditLogError: lines that were signed are missing or changed.
    """
    public = key.public_key()
    with files.locked(folder):
        signed, hashes = (only is not None and read_end(folder, public)) or _read_all(
            folder, public
        )
        if only is not None and not set(hashes) <= set(only):
            raise AuditLogError("somebody else wrote a line meanwhile")
        if not hashes:
            return
        path = folder / ANCHORS
        content = history.content(path) if has_torn_anchor(folder) else b""
        if content:
            files.write(path, content[: content.rfind(b"\n") + 1])
        statement = Anchor(history.now(), folder.name, signed + len(hashes), hashes[-1], "")
        proof = base64.b64encode(key.sign(statement.payload(), ALGORITHM)).decode()
        line = msgspec.structs.asdict(statement) | {"signature": proof}
        files.append(path, json.dumps(line).encode() + b"\n")


def read_end(folder: Path, key: ec.EllipticCurvePublicKey) -> tuple[int, list[str]] | None:
    """Verify the last anchor and the lines after it, whatever comes before.

    Returns:
        How many lines are signed, and the hashes of those that are not; None if only the whole log
        shows that.
    """
    anchor = last_anchor(folder)
    counts = not anchor or (anchor.holds(key) and anchor.environment == folder.name)
    if has_torn_anchor(folder) or not counts:
        return None
    unsigned = history.since(folder / state.HISTORY, anchor.head if anchor else history.START)
    if unsigned is None:
        return None
    return anchor.lines if anchor else 0, [event["hash"] for event in unsigned]


def _read_all(folder: Path, key: ec.EllipticCurvePublicKey) -> tuple[int, list[str]]:
    """Verify the whole log; return what read_end() does."""
    lines, anchor = anchored_hashes(folder), last_anchor(folder)
    if anchor and not anchor.holds(key):
        raise AuditLogError(f"{ANCHORS} ends with an anchor that another key has signed")
    if anchor and (anchor.lines > len(lines) or lines[anchor.lines - 1] != anchor.head):
        raise AuditLogError(f"the first {anchor.lines} lines are not those that were signed")
    if fault := history.verify(folder / state.HISTORY):
        raise AuditLogError(str(fault))
    signed = anchor.lines if anchor else 0
    return signed, lines[signed:]


def anchored_hashes(folder: Path) -> list[str]:
    """List the hash that each line of the history claims, without a last one that is torn."""
    content = history.content(folder / state.HISTORY)
    return [_claimed(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def read_anchors(content: bytes) -> list[Anchor]:
    """Read the whole lines of an anchors' file."""
    return [_anchor(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def last_anchor(folder: Path) -> Anchor | None:
    """Read the last whole anchor; None if there is none."""
    content = _tail(folder)
    if content.count(b"\n") < 2:  # what was not written to its end may fill it
        content = history.content(folder / ANCHORS)
    return next(reversed(read_anchors(content)), None)


def has_torn_anchor(folder: Path) -> bool:
    """Return whether the last anchor was not written to its end."""
    content = _tail(folder)
    return bool(content) and not content.endswith(b"\n")


def _tail(folder: Path) -> bytes:
    path = folder / ANCHORS
    try:
        start = max(path.stat().st_size - TAIL, 0)
    except FileNotFoundError:
        return b""
    return read_regular(path, history.MAX_BYTES, start=start)


def _anchor(line: bytes) -> Anchor:
    """Read an anchor; one that cannot be read becomes one without a signature."""
    try:
        return msgspec.json.decode(line, type=Anchor)
    except (msgspec.DecodeError, ValueError):
        return Anchor("", "", 0, "", "")


def _claimed(line: bytes) -> str:
    try:
        return str(json.loads(line)["hash"])
    except (ValueError, KeyError, TypeError):
        return ""


APPROVED = "approved"  # event that `poe promote` writes
REVIEWED = "reviewed"  # event that `poe audit-log --sign` writes
AHEAD = timedelta(hours=1)  # by which the clocks of two hosts may differ
WITHDRAWN = "withdrawn"  # event that `poe approve --withdraw` and `poe monitor` write

Event = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the log: its hash and time, and its event where that says what may be served."""

    number: int
    hash: str
    at: str
    event: Event | None

    @property
    def changes(self) -> bool:
        """Return whether it is a change of the state."""
        return self.event is not None and "generation" in self.event["detail"]

    def is_of(self, event: str) -> bool:
        """Return whether it is of this event."""
        return self.event is not None and self.event["event"] == event


@dataclass(frozen=True)
class Signed:
    """What the signed lines say."""

    lines: int = 0
    head: str = history.START  # hash of the last one
    # details of the last approval of each release
    approvals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    change: Event | None = None  # the last change of the state
    # the hash of each stop's line, and whether a resumption follows it
    stops: Mapping[str, bool] = field(default_factory=dict)
    latest: str = ""  # the latest time of a line since the last review
    by_key: bool = False  # whether any approval was signed by a validator's key

    def ahead(self) -> str:
        """Say that a line is signed of a time to come, so that no date can be compared with today's.

        The clock of this host was set back, or that of the line's was ahead.
        """
        now = datetime.now(UTC)
        with contextlib.suppress(ValueError, TypeError):  # a time that is none is not past
            if not self.latest or datetime.fromisoformat(self.latest) <= now + AHEAD:
                return ""
        return (
            f"a line of the audit log is signed of {self.latest}, and the clock here says "
            f"{now:%Y-%m-%dT%H:%M} UTC: set the clock; where the line's was wrong, review the log, "
            "and sign that with `uv run poe audit-log --sign`"
        )

    def after(self, lines: Iterable[Line]) -> "Signed":
        """Return what they say with the lines that follow."""
        approvals, change, last = dict(self.approvals), self.change, None
        stops, latest, by_key = dict(self.stops), self.latest, self.by_key
        for last in lines:
            if last.event is not None and last.is_of(APPROVED):
                approvals[str(last.event["detail"].get("release"))] = last.event["detail"]
                by_key = by_key or bool(last.event["detail"].get("approval_hash"))
            if last.changes:
                change = last.event
            if last.is_of(state.STOP):
                stops[last.hash] = False
            elif last.is_of(state.RESUME):
                stops = dict.fromkeys(stops, True)
            latest = last.at if last.is_of(REVIEWED) else max(latest, last.at)
        if last is None:
            return self
        return Signed(last.number, last.hash, approvals, change, stops, latest, by_key)


class SignedLog:
    """Follows the log of one environment.

    Attributes:
        signed: what its signed lines say.
        unsigned: the lines behind them.
        withdrawn: hashes of approvals that a line withdraws, signed or not: doubt is enough.
    """

    def __init__(self, folder: Path, remembers: bool = False) -> None:
        self._folder = folder
        self._remembers = remembers
        self._checked = history.Checked()
        self._base, self._lines = Signed(), list[Line]()  # of the file as it is now
        self._anchor: Anchor | None = None
        self._anchors: tuple[int, int, int] | None = None  # stamp of their file
        seen = read_seen(folder.name)
        self.signed = Signed(seen.lines, seen.head) if seen else Signed()
        self.unsigned: tuple[Line, ...] = ()
        self.withdrawn: set[str] = set()

    def follow(self) -> None:
        """Read what is new.

        Raises:
            AuditLogError: log or anchors are not what was signed, and `signed` is as it was then; or
                governance/audit.pub is missing, so no line counts as signed.
        """
        # Before the lines: each anchor is written after the lines that it covers.
        anchor = self._last_anchor()
        self._checked = history.follow(self._folder / state.HISTORY, self._checked, self._take)
        if self._checked.fault is not None:
            raise AuditLogError(f"{state.HISTORY}: {self._checked.fault}")
        if self._checked.lines < self._base.lines + len(self._lines):  # the file is gone
            self._base, self._lines = Signed(), []
        covered = self._covered(anchor)
        base = self._base.after(self._lines[:covered])
        if self.signed.lines and not self._continues(self._lines[:covered]):
            raise AuditLogError(
                f"line {self.signed.lines} was signed and is gone: the log and {ANCHORS} were cut off "
                f"or rewritten. Where that was right, delete {shown(seen_path(self._folder.name))}"
            )
        if self._remembers and base.lines != self.signed.lines:
            _note_seen(self._folder.name, Seen(base.lines, base.head))
        self._base, self._lines = base, self._lines[covered:]
        self.signed, self.unsigned = base, tuple(self._lines)

    def _last_anchor(self) -> Anchor | None:
        """Read the last anchor, if it is another one, and verify it."""
        try:
            current = stamp(self._folder / ANCHORS)
        except FileNotFoundError:
            return None
        if current != self._anchors:
            anchor = last_anchor(self._folder)
            if anchor is not None:
                self._check(anchor)
            self._anchor, self._anchors = anchor, current
        return self._anchor

    def _check(self, anchor: Anchor) -> None:
        if not anchor.holds(keys.public_key()):
            raise AuditLogError(
                f"{ANCHORS}: the last anchor was not signed with the key of governance/audit.pub, or "
                "was changed"
            )
        if anchor.environment != self._folder.name:
            raise AuditLogError(f"{ANCHORS}: the last anchor is about {anchor.environment}")

    def _take(self, number: int, event: Event) -> None:
        if number == 1:
            self._base, self._lines = Signed(), []
        detail, kind = event["detail"], event["event"]
        if kind == WITHDRAWN:
            self.withdrawn.add(str(detail.get("approval")))
        counts = kind in (APPROVED, REVIEWED) or "generation" in detail
        self._lines.append(Line(number, event["hash"], event["at"], event if counts else None))

    def _covered(self, anchor: Anchor | None) -> int:
        """Count the lines that the last anchor covers."""
        lines = anchor.lines if anchor is not None else 0
        count = lines - self._base.lines
        if anchor is None and not self._base.lines:
            return 0
        if anchor is None or count < 0:
            raise AuditLogError(f"{ANCHORS}: anchors are gone that were there")
        if count > len(self._lines):
            raise AuditLogError(
                f"{ANCHORS}: {lines} lines were signed, and {self._checked.lines} are there: the end "
                "was cut off"
            )
        if anchor.head != (self._lines[count - 1].hash if count else self._base.head):
            raise AuditLogError(f"{ANCHORS}: line {lines} is another one than was signed")
        return count

    def _continues(self, lines: Iterable[Line]) -> bool:
        """Return whether the last line that was seen signed is among those that are signed now."""
        known = self.signed.lines, self.signed.head
        signed = {(each.number, each.hash) for each in lines}
        return known in signed | {(self._base.lines, self._base.head)}


def details(events: Iterable[Event], kind: str) -> list[dict[str, Any]]:
    """List the details of the events of a kind."""
    return [event["detail"] for event in events if event["event"] == kind]


def restore(folder: Path) -> state.State:
    """Write state.json of an environment again as its last signed change has it; return the state."""
    log = SignedLog(folder)
    try:
        log.follow()
    except AuditLogError as error:
        raise state.StateError(f"{state.STATE} cannot be restored: {error}.") from error
    if log.signed.change is None:
        raise state.StateError(f"{state.STATE} cannot be restored: no change of it was signed.")
    return state.restore(folder, log.signed.change)


SEEN_FILE = "audit-log-seen.json"
MAX_SEEN_BYTES = 1_000


class Seen(msgspec.Struct, frozen=True):
    """That a log had so many signed lines, the last with this hash."""

    lines: int
    head: str


def seen_path(environment: str) -> Path:
    """Return the file of an environment, below logs/ or $LOGS."""
    return prediction_log.logs() / environment / SEEN_FILE


def read_seen(environment: str) -> Seen | None:
    """Read how far the log of an environment was seen; None if not noted yet."""
    try:
        return msgspec.json.decode(read_regular(seen_path(environment), MAX_SEEN_BYTES), type=Seen)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def _note_seen(environment: str, seen: Seen) -> None:
    file = seen_path(environment)
    with contextlib.suppress(OSError):  # a second check; what answers goes on if it fails
        files.private_folder(file.parent)
        files.write(file, msgspec.json.encode(seen))
