"""The audit log: written and signed line by line, verified and printed (`poe audit-log`).

It is the history of an environment (rung_ops.release.history), with approvals, overrides and stops.
Adding a line verifies the end of the log alone, so that it costs the same however long the log is;
verify() checks every line, every anchor and the state.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric import ec

from rung_governance.approval import keys, signed_log
from rung_governance.approval.keys import AuditLogError
from rung_governance.approval.signed_log import ANCHORS, Anchor
from rung_ops.command import verb
from rung_ops.project import paths
from rung_ops.project.paths import shown
from rung_ops.release import history, state
from rung_ops.system import files
from rung_ops.system.printable import counted

# Of erasure, gate_record.note(), approval.approval_of() and changes of the state: pages, not printed.
WHOLE = (
    *("said", "rules_text", "plan_text", "approval", "approval_signature", "state"),
    *("unreached", "versions"),
)
GUARD = ".audit"  # below an environment's folder; holds the lock of those who sign
UNWRITABLE = (OSError, files.LockTimeoutError, state.StateError)


class UnsignedLogError(state.ChangeRefusedError):
    """What is written to the log now could not be signed, so no service would follow it."""


@contextmanager
def signed_with_warnings(folder: Path) -> Iterator[None]:
    """Sign as signed() does, and print why something could not be signed."""
    with signed(folder) as problems:
        yield
    for problem in problems:
        print(problem, file=sys.stderr)


@contextmanager
def signed(folder: Path, review: bool = False) -> Iterator[list[str]]:
    """Sign the lines that are written to an audit log within the block.

    Where earlier lines are unsigned, they and all that follow stay unsigned until a person has
    reviewed them (`poe audit-log --sign`).

    Args:
        folder: the environment's.
        review: sign those, too.

    Yields:
        A list that says, after the block, why the log could not be signed. It raises no error of
        its own: a stop must work, whatever the state of keys and disk.
    """
    problems: list[str] = []
    with ExitStack() as guard:
        key, before = None, ""
        written: list[str] = []
        token = history.WRITTEN.set(written)
        guard.callback(history.WRITTEN.reset, token)
        try:
            guard.enter_context(files.locked(folder / GUARD))  # from the check to the signature
            key = keys.private_key()
            before = "" if review else unsigned_end(folder, key.public_key())
        except (AuditLogError, files.LockTimeoutError, OSError) as error:
            before = str(error)
        try:
            yield problems
        finally:
            try:
                if key is not None and not before:
                    signed_log.sign_end(folder, key, None if review else written)
            except (AuditLogError, files.LockTimeoutError, OSError) as error:
                before = str(error)
            if before:
                problems.append(
                    f"The audit log of {folder.name} is not signed to its end: {before}. "
                    "See `uv run poe audit-log`."
                )


def require_signature(folder: Path) -> None:
    """Raise UnsignedLogError if there is no key to sign the log with, or lines before are not signed."""
    try:
        before = unsigned(folder, keys.private_key().public_key()) or _ahead(folder)
    except (AuditLogError, OSError) as error:
        before = str(error)
    if before:
        raise UnsignedLogError(
            f"the audit log of {folder.name} could not be signed: {before}. See `uv run poe audit-log`; "
            "`uv run poe stop` still works."
        )


def record(folder: Path, event: str, by: str, review: bool = False, **detail: Any) -> list[str]:
    """Add a line to the audit log of an environment; return why it could not be signed.

    The line is written in any case; what keeps it from that is raised: one of UNWRITABLE.
    """
    with signed(folder, review) as problems:
        state.note(folder, event, by, **detail)
    return problems


def attempt(folder: Path, event: str, by: str, otherwise: str, **detail: Any) -> list[str]:
    """Do what record() does, where there is a key: an unsigned line leaves those behind it unsigned.

    Return also why it was not written, behind a text that says what is the case then.
    """
    try:
        keys.private_key()
        return record(folder, event, by, **detail)
    except (AuditLogError, *UNWRITABLE) as error:
        return [f"{otherwise}: {error}"]


def report(folder: Path, witness: str = "") -> list[str]:
    """Verify the audit log of an environment.

    Args:
        folder: the environment's.
        witness: an anchor that was noted elsewhere, as `poe audit-log` printed it: 17:3fa9...

    Returns:
        Every reason not to rely on it; empty when it is complete and signed.
    """
    try:
        checked = verify(folder, keys.public_key())
    except AuditLogError as error:
        return [str(error)]
    faults = [*checked.faults, *filter(None, [_ahead(folder)])]
    if checked.unanchored:
        first = checked.anchored + 1
        many = f"lines {first} to {checked.lines} are"
        named = f"line {first} is" if checked.unanchored == 1 else many
        faults.append(
            f"{named} not signed, so lines may have been changed or removed there. Review the log, "
            "then sign it with `uv run poe audit-log --sign`"
        )
    seen = signed_log.read_seen(folder.name)
    if seen and not _holds(folder, f"{seen.lines}:{seen.head}"):
        faults.append(
            f"the service saw {seen.lines} lines signed ({shown(signed_log.seen_path(folder.name))}), "
            "and the log does not hold the last of them: older files were put in its place"
        )
    if witness and not _holds(folder, witness):
        faults.append(f"the anchor {witness} is not part of this log: it was cut off or replaced")
    return faults


def _ahead(folder: Path) -> str:
    log = signed_log.SignedLog(folder)
    with suppress(AuditLogError, OSError):  # which verify() says
        log.follow()
    return log.signed.ahead()


def _holds(folder: Path, witness: str) -> bool:
    number, _, head = witness.partition(":")
    lines = signed_log.anchored_hashes(folder)
    known = number.isdecimal() and 0 < int(number) <= len(lines)
    return known and len(head) >= 16 and lines[int(number) - 1].startswith(head)


def _line(event: dict[str, Any]) -> str:
    kept = {name: value for name, value in event["detail"].items() if name not in WHOLE}
    detail = {name: value for name, value in kept.items() if value not in (None, "")}
    fields = " ".join(f"{name}={json.dumps(value)}" for name, value in detail.items())
    # Quoted, so that a name that was sent cannot look like a separate line.
    by = event["by"] if event["by"].isprintable() else json.dumps(event["by"])
    return f"{event['at']}  {event['event']:<10} {by}  {fields}"


# Of a command line: production, if none is named.
ENVIRONMENT = click.argument(
    "environment",
    default=paths.PRODUCTION,
    type=click.Choice(paths.ENVIRONMENTS),
)


@verb("poe audit-log")
@ENVIRONMENT
@click.option("--sign", is_flag=True, help="sign the lines that are not signed yet, after a review")
@click.option("--restore", is_flag=True, help="write state.json as the last signed change has it")
@click.option("--witness", default="", help="an anchor noted earlier, NUMBER:HASH")
def main(environment: str, sign: bool, restore: bool, witness: str) -> int:
    """Verify and print the audit log; the exit code is 0 if it can be relied on."""
    folder = paths.environment(environment)
    if not (folder / state.HISTORY).exists():
        print(f"Nothing has happened in {environment} yet.", file=sys.stderr)
        return 1
    try:
        events = history.read(folder / state.HISTORY)
    except OSError as error:
        print(f"NOT VERIFIED, the log cannot be read: {error}.", file=sys.stderr)
        return 1
    for event in events:
        print(_line(event))
    print()
    if restore:
        try:
            serving = signed_log.restore(folder).serving
        except (state.StateError, files.LockTimeoutError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{state.STATE} is restored: {folder.name} serves {serving or 'nothing'}.")
    if sign:
        for problem in record(folder, signed_log.REVIEWED, paths.person(), review=True):
            print(problem, file=sys.stderr)
    unfitting, why = _compared(folder)
    faults = [*report(folder, witness), *unfitting]
    return _conclude(folder, [*faults, *([f"it was not compared with {why}"] if why else [])])


def against_notes(folder: Path) -> list[str]:
    """Compare the log with its notes at the remote, if there are any; print if that fails."""
    unfitting, why = _compared(folder)
    if why:
        print(f"Not compared with {why}.", file=sys.stderr)
    return unfitting


def _compared(folder: Path) -> tuple[list[str], str]:
    from rung_governance.approval import witness  # reads the plan, which no service imports

    return witness.compared(folder)


def _conclude(folder: Path, faults: list[str]) -> int:
    for fault in faults:
        print(f"NOT VERIFIED, {fault}.", file=sys.stderr)
    if faults:
        return 1
    checked = verify(folder, keys.public_key())
    if checked.last:
        print(f"Verified: {counted(checked.lines, 'line')}, the last signed at {checked.last.at}.")
        print(f"To verify later that none is gone, note: {checked.lines}:{checked.last.head}")
    return 0


@dataclass(frozen=True)
class VerifiedLog:
    """The result of checking a history against its chain and its anchors."""

    lines: int  # how many it has
    anchored: int  # how many of them are signed
    faults: tuple[str, ...]  # every mismatch, each a sentence
    last: Anchor | None  # the last anchor, if any

    @property
    def unanchored(self) -> int:
        """How many lines at the end are unsigned."""
        return max(self.lines - self.anchored, 0)


def unsigned(folder: Path, key: ec.EllipticCurvePublicKey) -> str:
    """Say which lines of a history are unsigned, or what does not match; empty where all is well.

    A writer checks this first: its signature would cover lines that were written without the key.
    """
    lines = signed_log.anchored_hashes(folder)
    last = signed_log.last_anchor(folder)
    anchored = last.lines if last else 0
    if fault := history.verify(folder / state.HISTORY):
        return str(fault)
    if missing := _missing_line(folder, lines):
        return f"{state.STATE}: {missing}"
    if signed_log.has_torn_anchor(folder) or anchored != len(lines):
        return f"it has {counted(len(lines), 'line')}, and {anchored} of them were signed"
    if last and (wrong := _wrong(last, key, folder.name, lines, 0)):
        return f"{ANCHORS}: the last anchor {wrong}"
    return ""


def unsigned_end(folder: Path, key: ec.EllipticCurvePublicKey) -> str:
    """Say as unsigned() what is wrong, of the end of a history: so each line costs the same.

    Only the last anchor, the lines after it and the last change of the state are read. What was
    changed before it is found by what verifies the whole log: `poe audit-log`, `poe monitor`, and all
    that lets a release answer.
    """
    end = signed_log.read_end(folder, key)
    if end is not None and not end[1] and _is_of_last_change(folder):
        return ""
    return unsigned(folder, key)


def _is_of_last_change(folder: Path) -> bool:
    """Return whether state.json is that of the last change in the history."""
    try:
        entry = state.read_with_entry(folder)[1]
    except state.StateError:
        return False
    return entry is None or entry == history.last_change(folder / state.HISTORY)


def verify(folder: Path, key: ec.EllipticCurvePublicKey) -> VerifiedLog:
    """Check the history of an environment, line by line, against the chain and the anchors."""
    with ExitStack() as lock:
        with suppress(OSError):  # of a read-only copy, as an auditor has: it has no writer
            lock.enter_context(files.locked(folder))
        made = signed_log.read_anchors(history.content(folder / ANCHORS))
        torn = signed_log.has_torn_anchor(folder)
        lines = signed_log.anchored_hashes(folder)
        fault = history.verify(folder / state.HISTORY)
        missing = _missing_line(folder, lines)
    faults = [f"{state.HISTORY}: {fault}"] if fault else []
    faults += [f"{state.STATE}: {missing}"] if missing else []
    if torn:
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
        # Of all lines that can be read, also one whose hash is wrong: that is a fault of its own.
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
