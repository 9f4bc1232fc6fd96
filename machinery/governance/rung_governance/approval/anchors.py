"""Signatures over an environment's history, which show when lines at its end are missing.

The hash chain of rung_ops.release.history shows a change in the middle, but a person with write
access can rewrite the rest of the chain. An anchor is the number and hash of a line, signed by a
key that this person does not have. Lines after the last anchor are unsigned.
"""

import base64
import binascii
import json
from collections.abc import Collection
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rung_governance.approval.keys import AuditLogError
from rung_ops.release import history, state
from rung_ops.system import files
from rung_ops.system.files import read_regular

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


def sign(
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
        content = history.content(path) if is_torn(folder) else b""
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
    anchor = last(folder)
    counts = not anchor or (anchor.holds(key) and anchor.environment == folder.name)
    if is_torn(folder) or not counts:
        return None
    unsigned = history.since(folder / state.HISTORY, anchor.head if anchor else history.START)
    if unsigned is None:
        return None
    return anchor.lines if anchor else 0, [event["hash"] for event in unsigned]


def _read_all(folder: Path, key: ec.EllipticCurvePublicKey) -> tuple[int, list[str]]:
    """Verify the whole log; return what read_end() does."""
    lines, anchor = hashes_of(folder), last(folder)
    if anchor and not anchor.holds(key):
        raise AuditLogError(f"{ANCHORS} ends with an anchor that another key has signed")
    if anchor and (anchor.lines > len(lines) or lines[anchor.lines - 1] != anchor.head):
        raise AuditLogError(f"the first {anchor.lines} lines are not those that were signed")
    if fault := history.verify(folder / state.HISTORY):
        raise AuditLogError(str(fault))
    signed = anchor.lines if anchor else 0
    return signed, lines[signed:]


def hashes_of(folder: Path) -> list[str]:
    """List the hash that each line of the history claims, without a last one that is torn."""
    content = history.content(folder / state.HISTORY)
    return [_claimed(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def read(content: bytes) -> list[Anchor]:
    """Read the whole lines of an anchors' file."""
    return [_anchor(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def last(folder: Path) -> Anchor | None:
    """Read the last whole anchor; None if there is none."""
    content = _tail(folder)
    if content.count(b"\n") < 2:  # what was not written to its end may fill it
        content = history.content(folder / ANCHORS)
    return next(reversed(read(content)), None)


def is_torn(folder: Path) -> bool:
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
