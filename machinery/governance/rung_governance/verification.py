"""Check the history of an environment against its chain and its anchors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from rung_governance import anchors
from rung_governance.anchors import ANCHORS, Anchor
from rung_ops.release import history, state
from rung_ops.system import locks
from rung_ops.system.printable import counted


@dataclass(frozen=True)
class VerifiedLog:
    """The result of checking a history against its chain and its anchors.

    Attributes:
        lines: how many it has.
        anchored: how many of them are signed.
        faults: every mismatch, each a sentence.
        last: the last anchor, if any.
    """

    lines: int
    anchored: int
    faults: tuple[str, ...]
    last: Anchor | None

    @property
    def unanchored(self) -> int:
        """How many lines at the end are unsigned."""
        return max(self.lines - self.anchored, 0)


def unsigned(folder: Path, key: ec.EllipticCurvePublicKey) -> str:
    """Say which lines of a history are unsigned, or what does not match; empty where all is well.

    A writer checks this first: its signature would cover lines that were written without the key.
    """
    lines = anchors.hashes_of(folder)
    made, torn = anchors.read(folder)
    anchored = made[-1].lines if made else 0
    if fault := history.verify(folder / state.HISTORY):
        return str(fault)
    if missing := _missing_line(folder, lines):
        return f"{state.STATE}: {missing}"
    if torn is not None or anchored != len(lines):
        return f"it has {counted(len(lines), 'line')}, and {anchored} of them were signed"
    if made and (wrong := _wrong(made[-1], key, folder.name, lines, 0)):
        return f"{ANCHORS}: the last anchor {wrong}"
    return ""


def verify(folder: Path, key: ec.EllipticCurvePublicKey) -> VerifiedLog:
    """Check the history of an environment, line by line, against the chain and the anchors."""
    with _locked(folder):
        made, torn = anchors.read(folder)
        lines = anchors.hashes_of(folder)
        fault = history.verify(folder / state.HISTORY)
        missing = _missing_line(folder, lines)
    faults = [f"{state.HISTORY}: {fault}"] if fault else []
    faults += [f"{state.STATE}: {missing}"] if missing else []
    if torn is not None:
        faults.append(f"{ANCHORS}: the last anchor was not written to its end")
    covered = 0
    for number, anchor in enumerate(made, start=1):
        if wrong := _wrong(anchor, key, folder.name, lines, covered):
            faults.append(f"{ANCHORS}: anchor {number} {wrong}")
        else:
            covered = anchor.lines
    return VerifiedLog(len(lines), covered, tuple(faults), made[-1] if made else None)


def _wrong(
    anchor: Anchor, key: ec.EllipticCurvePublicKey, name: str, lines: list[str], covered: int
) -> str:
    if not anchor.holds(key):
        return "was not signed with the key of governance/audit.pub, or was changed"
    if anchor.environment != name:
        return f"is about {anchor.environment}, not about {name}"
    if anchor.lines > len(lines):
        return f"covers {anchor.lines} lines, and {len(lines)} are there: the end was cut off"
    if lines[anchor.lines - 1] != anchor.head:
        return f"covers another line {anchor.lines}: the history was rewritten"
    if anchor.lines < covered:
        return "comes after one that covers more: anchors were moved"
    return ""


def _missing_line(folder: Path, lines: list[str]) -> str:
    """Say whether the state was edited, or is not that of the last change in the history."""
    try:
        entry = state.read_with_entry(folder)[1]
    except state.StateError as error:
        return f"it is not what a command wrote ({error.__cause__}); `--restore` writes it again"
    if entry is None:
        return ""
    if entry["hash"] in lines:
        events = history.read(folder / state.HISTORY)
        last = next((each for each in reversed(events) if "generation" in each["detail"]), entry)
        if last["hash"] == entry["hash"]:
            return ""
        return (
            f"it is of {entry['at']}, and the last change in the history is {last['event']} by "
            f"{last['by']} at {last['at']}: an older file was put in its place"
        )
    return (
        f"its last change ({entry['event']} by {entry['by']} at {entry['at']}) is not in the "
        "history: a process was killed before it wrote the line, and the next change adds it, "
        "or the line was taken out"
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep writers away while the files are read, where this process may take the lock."""
    lock = locks.locked(folder)
    try:
        lock.__enter__()
    except OSError:  # a read-only copy, as an auditor has: it has no writer
        yield
        return
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
