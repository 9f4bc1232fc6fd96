"""Write the audit log, verify it, print it: `uv run poe audit-log [ENVIRONMENT]`.

The log of an environment is its history (rung_ops.release.history), where every change of what it
serves stands, with what people did about it: approvals, overrides, stops. Each line is signed for
as soon as it is written (rung_ops.governance.anchors).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rung_ops.governance import anchors, keys, verification
from rung_ops.release import history, paths, state
from rung_ops.system import atomic

GUARD = ".audit"  # below an environment's folder; holds the lock of those who sign


@contextmanager
def signed(folder: Path, review: bool = False) -> Iterator[list[str]]:
    """Sign for the lines that are written to an audit log within the block.

    Lines that were there before and that nobody signed for stay without a signature, and all that
    follow them, until a person has looked at them (`poe audit-log --sign`).

    Args:
        folder: the environment's.
        review: sign for those, too.

    Yields:
        A list that holds, after the block, why it could not be signed; it raises nothing itself:
        a stop must stop, whatever the state of keys and disk.
    """
    problems: list[str] = []
    with ExitStack() as guard:
        key, before = None, ""
        try:
            guard.enter_context(atomic.locked(folder / GUARD))  # from the look to the signature
            key = keys.private_key()
            before = "" if review else verification.unsigned(folder, key.public_key())
        except (keys.NoKey, atomic.Busy, OSError) as error:
            before = str(error)
        try:
            yield problems
        finally:
            try:
                if key is not None and not before:
                    anchors.sign(folder, key)
            except (anchors.Broken, atomic.Busy, OSError) as error:
                before = str(error)
            if before:
                problems.append(
                    f"The audit log of {folder.name} is not signed to its end: {before}. "
                    "`uv run poe audit-log` says more."
                )


def record(folder: Path, event: str, by: str, review: bool = False, **detail: Any) -> list[str]:
    """Add a line to the audit log of an environment, and sign for it.

    Returns:
        Why it could not be signed for; empty when it was. The line is written in any case.

    Raises:
        OSError, durable.Busy, state.BadState: the line could not be written.
    """
    with signed(folder, review) as problems:
        state.note(folder, event, by, **detail)
    return problems


def report(folder: Path, witness: str = "") -> list[str]:
    """Verify the audit log of an environment.

    Args:
        folder: the environment's.
        witness: an anchor that was noted elsewhere, as `poe audit-log` printed it: 17:3fa9...

    Returns:
        Everything that keeps it from being relied on; empty when it can be.
    """
    try:
        standing = verification.verify(folder, keys.public_key())
    except keys.NoKey as error:
        return [str(error)]
    found = list(standing.faults)
    if standing.unanchored:
        first = standing.anchored + 1
        many = f"lines {first} to {standing.lines} are"
        named = f"line {first} is" if standing.unanchored == 1 else many
        found.append(
            f"{named} not signed for: nobody vouches for what was written there, or whether more "
            "was. Look at it, then sign with `uv run poe audit-log --sign`"
        )
    if witness and not _holds(folder, witness):
        found.append(f"the anchor {witness} is not part of this log: it was cut off or replaced")
    return found


def _holds(folder: Path, witness: str) -> bool:
    number, _, head = witness.partition(":")
    lines = anchors.hashes_of(folder)
    known = number.isdecimal() and 0 < int(number) <= len(lines)
    return known and len(head) >= 16 and lines[int(number) - 1].startswith(head)


def _printed(event: dict[str, Any]) -> str:
    detail = {name: value for name, value in event["detail"].items() if value not in (None, "")}
    said = " ".join(f"{name}={json.dumps(value)}" for name, value in detail.items())
    # What people sent is quoted, so that nobody can write what looks like a line of its own.
    by = event["by"] if event["by"].isprintable() else json.dumps(event["by"])
    return f"{event['at']}  {event['event']:<10} {by}  {said}"


def main(arguments: list[str] | None = None) -> int:
    """Print the log and what is wrong with it; return 0 when it can be relied on, else 1."""
    parser = argparse.ArgumentParser(prog="poe audit-log", description=__doc__.splitlines()[0])
    parser.add_argument("environment", nargs="?", default=paths.PRODUCTION)
    parser.add_argument("--sign", action="store_true", help="vouch for lines not signed for yet")
    parser.add_argument("--witness", default="", help="an anchor noted earlier, NUMBER:HASH")
    options = parser.parse_args(arguments)
    folder = paths.environment(options.environment)
    if not (folder / state.HISTORY).exists():
        print(f"Nothing has happened in {options.environment} yet.", file=sys.stderr)
        return 1
    for event in history.read(folder / state.HISTORY):
        print(_printed(event))
    print()
    if options.sign:
        for problem in record(folder, "reviewed", paths.person(), review=True):
            print(problem, file=sys.stderr)
    return _conclude(folder, report(folder, options.witness))


def _conclude(folder: Path, found: list[str]) -> int:
    for fault in found:
        print(f"NOT VERIFIED, {fault}.", file=sys.stderr)
    if found:
        return 1
    standing = verification.verify(folder, keys.public_key())
    if standing.last:
        print(f"Verified: {standing.lines} lines, the last signed for at {standing.last.at}.")
        print(f"To verify later that none is gone, note: {standing.lines}:{standing.last.head}")
    return 0
