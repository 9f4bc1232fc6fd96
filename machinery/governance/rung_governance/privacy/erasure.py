"""The erasure of a person's rows: `poe erase ID` lists them, `--yes` erases them.

A person is named by ids of predictions, by the value of the contract's key if that is one column, or
by values of columns: `customer=4711`. The audit log keeps a keyed hash in place of the id.
"""

import hashlib
import hmac
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import serialization

from rung_governance.approval import audit, keys, overrides
from rung_governance.approval.keys import AuditKeyError
from rung_governance.approval.overrides import Overrides
from rung_governance.privacy import data_subject, personal_rows
from rung_governance.privacy.data_subject import Subject, UnreadableTableError
from rung_governance.privacy.personal_rows import FoundRows
from rung_ops import contract, prediction_log
from rung_ops.command import verb
from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.project import current, keyless, release_folders
from rung_ops.project.paths import shown
from rung_ops.system import git, key_names, locks
from rung_ops.system.printable import counted

ERASED = "erased"
PURPOSE = b"rung: whose rows were erased"  # so that the signing key makes a hash of its own kind


def pseudonym(named: Sequence[str]) -> str:
    """Hash what names a person with the audit log's key: only its holder can tell whether an id is it."""
    private = keys.private_key().private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own = hmac.digest(private, PURPOSE, hashlib.sha256)
    return hmac.new(own, "\n".join(sorted(named)).encode(), hashlib.sha256).hexdigest()


def _commit(raw: list[Path]) -> list[str]:
    """Make a version of raw files without the rows, and commit that; return what failed."""
    if not raw:
        return []
    targets = [shown(target) for target in dvc.targets(raw)]
    added = dvc.run(current().root, "add", *targets)
    if added.returncode != 0:
        return [f"DVC made no new version: {added.stderr.strip()}"]
    records = [f"{target}.dvc" for target in targets]
    message = "Erase rows of a person"
    committed = git.run(current().root, "commit", "--quiet", "-m", message, "--", *records)
    if committed.returncode != 0:
        output = (committed.stderr or committed.stdout).strip()
        return [f"Commit {', '.join(records)} yourself, git did not: {output}"]
    return []


@verb("poe erase")
@click.argument("who", nargs=-1, required=True, metavar="ID...")
@click.option("--yes", is_flag=True, help="erase; without it, the rows are only listed")
@click.option("--reason", default="", help="such as the request's number in your register")
@click.option("--by", default=release_folders.person, help="your name")
def main(who: tuple[str, ...], yes: bool, reason: str, by: str) -> int:
    """Erase a person's rows, or list where they are. ID is an id, or COLUMN=VALUE."""
    erases = yes and bool(reason)
    try:
        person = pseudonym(who)
        result = keyless.call(
            *("rung_governance.privacy.erasure:handle", list(who), erases),
            raises=(ErasureError,),
            kept=key_names.OF_LOG,
        )
    except (AuditKeyError, ErasureError) as error:
        print(f"Nothing was erased: {error}", file=sys.stderr)
        return 1
    if not yes:
        print("\nNothing was changed. The same with --yes --reason WHY erases.")
        return 0
    if not reason:
        print("\nNothing was erased: say why, with --reason.", file=sys.stderr)
        return 1
    written = [Path(path) for path in result["written"]]
    failed = result["failed"] + _commit([path for path in written if _is_versioned(path)])
    problems = audit.attempt(
        release_folders.environment(release_folders.PRODUCTION),
        ERASED,
        by,
        "The record could not be written",
        person=person,
        reason=reason,
        files=len(written),
        rows=result["rows"],
        versions=result["versions"],
        unreached=[*result["unreached"], *failed],
    )
    rewritten = f"{counted(len(written), 'file')} rewritten"
    print(f"\nErased: {rewritten}. The audit log has it as {person[:16]}.")
    for each in [*failed, *problems]:
        print(each, file=sys.stderr)
    return 1 if failed or problems else 0


def _is_versioned(path: Path) -> bool:
    return dvc.record(path).is_file()


class ErasureError(StageError):
    """The erasure could not begin."""


def handle(named: Sequence[str], erases: bool) -> dict[str, Any]:
    """Print where a person's rows are, and delete them on request.

    Args:
        named: ids, or `COLUMN=VALUE` that all have to hold.
        erases: whether to take them out of what can be reached.

    Returns:
        For the record: rows (their number), versions, unreached; and with `erases` written (paths)
        and failed.
    """
    try:
        subject = subject_of(named)
        result = personal_rows.search(subject)
    except (ValueError, OSError, UnreadableTableError) as error:
        raise ErasureError(str(error)) from error
    folder = release_folders.environment(release_folders.PRODUCTION)
    overruled = result.subject.ids & set(Overrides(folder).count())
    unreached = list(result.unreached)
    if overruled:
        unreached.append(
            f"The audit log keeps {counted(len(overruled), 'override')} of its predictions: id, "
            "decision, reason. It cannot be changed, and holds no row."
        )
    _show(result, unreached)
    written, failed = erase(result, overruled) if erases else ([], [])
    return {
        "rows": sum(rows for _, rows in result.files),
        "versions": [version.md5 for version, _ in result.old.holding],
        "unreached": unreached,
        "written": [str(path) for path in written],
        "failed": failed,
    }


def subject_of(named: Sequence[str]) -> Subject:
    """Read whose rows are meant; raise ValueError with what to type."""
    row = contract.Row.to_schema()
    split = [each.partition("=") for each in named]
    # An id may end with signs such as `==`.
    pairs = [
        (name.strip(), value.strip())
        for name, _, value in split
        if (name.isidentifier() or name.strip() in row.columns) and value.strip("= ")
    ]
    if len(pairs) == len(named):
        return Subject(columns=dict(pairs))
    if pairs or not all(each.strip() for each in named):
        raise ValueError("Name ids, or COLUMN=VALUE as often as it takes to mean one person.")
    key = row.unique or []
    columns = {key[0]: named[0]} if len(key) == len(named) == 1 else {}
    return Subject(columns=columns, ids=frozenset(named))


def erase(result: FoundRows, overruled: frozenset[str]) -> tuple[list[Path], list[str]]:
    """Take the rows out of what can be reached; return the files rewritten, and what failed."""
    failed = []
    try:  # before the rows go
        overrides.note_erased(release_folders.environment(release_folders.PRODUCTION), overruled)
    except OSError as error:
        failed.append(f"`poe monitor` will call overrides of its predictions unknown: {error}")
    written, unread = _log(result)
    failed += unread
    for path, _ in result.files:
        if path in written or _is_log(path):
            continue
        try:
            data_subject.take_out(path, result.subject)
            written.append(path)
        except (OSError, UnreadableTableError) as error:
            failed.append(f"{shown(path)}: {error}")
    folder = personal_rows.cache()
    for version, _ in result.old.holding:
        try:
            (folder / version.stored).unlink(missing_ok=True)
        except OSError as error:
            failed.append(f"{version.path}, {version.stored} in the local cache: {error}")
    return written, failed


def _is_log(path: Path) -> bool:
    return path.is_relative_to(prediction_log.logs()) and path.parent.name.startswith("date=")


def _log(result: FoundRows) -> tuple[list[Path], list[str]]:
    """Take the rows out of the log, which a service may be writing and merging meanwhile.

    A merge and this hold the lock of the log in turn; what was merged before is found by listing
    again, until nothing new is there.
    """
    written: list[Path] = []
    failed: list[str] = []
    seen: set[Path] = set()
    while fresh := [path for path in personal_rows.log_files() if path not in seen]:
        for path in fresh:
            seen.add(path)
            try:
                with locks.locked(path.parents[1]):
                    if path.exists() and data_subject.take_out(path, result.subject):
                        written.append(path)
            except (OSError, UnreadableTableError, locks.LockTimeoutError) as error:
                failed.append(f"{shown(path)}: {error}")
    return written, failed


def _show(result: FoundRows, unreached: list[str]) -> None:
    known = f"{counted(len(result.subject.ids), 'id')} of predictions known"
    print(f"{counted(result.searched, 'table')} searched; {known}.")
    for path, rows in result.files:
        print(f"  {shown(path)}: {counted(rows, 'row')}")
    for version, rows in result.old.holding:
        kept = f"version {version.stored} in the local cache"
        print(f"  {version.path}, {kept}: {counted(rows, 'row')}")
    if not result.files and not result.old.holding:
        print("  No row was found.")
    print("Not reached:")
    for reason in unreached:
        print(f"  {reason}")
