"""Erase a person's rows: `uv run poe erase ID` shows what would go, `--yes` does it.

A person is named by ids of predictions, by the value of the contract's key where that is one column,
or by values of columns: `customer=4711`. The audit log keeps that it was done, with a keyed
hash in the place of the id.
"""

import argparse
import hashlib
import hmac
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from rung_ops import contract
from rung_ops.data import dvc
from rung_ops.governance import audit, keys
from rung_ops.governance.erasure import search, tables, versions
from rung_ops.governance.erasure.search import Places
from rung_ops.governance.erasure.subject import Subject
from rung_ops.governance.overrides import Overrides
from rung_ops.project.paths import ROOT, shown
from rung_ops.release import paths, state
from rung_ops.system import git, locks

ERASED = "erased"
PURPOSE = b"rung: whose rows were erased"  # so that the signing key makes a hash of its own kind


def subject_of(named: Sequence[str]) -> Subject:
    """Read whose rows are meant.

    Args:
        named: ids, or `COLUMN=VALUE` that all have to hold.

    Raises:
        ValueError: it is neither; the message says what to type.
    """
    pairs = [each.partition("=") for each in named]
    # An id may end with signs such as `==`.
    if all(name.isidentifier() and value.strip("= ") for name, _, value in pairs):
        return Subject(columns={name.strip(): value.strip() for name, _, value in pairs})
    if any(name.isidentifier() and value.strip("= ") for name, _, value in pairs) or not all(
        each.strip() for each in named
    ):
        raise ValueError("Name ids, or COLUMN=VALUE as often as it takes to mean one person.")
    key = contract.Row.to_schema().unique or []
    columns = {key[0]: named[0]} if len(key) == len(named) == 1 else {}
    return Subject(columns=columns, ids=frozenset(named))


def pseudonym(named: Sequence[str]) -> str:
    """Hash what names a person with the audit log's key: only its holder can tell whether an id is it.

    Raises:
        keys.NoKey: the key is missing.
    """
    private = keys.private_key().private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own = hmac.digest(private, PURPOSE, hashlib.sha256)
    return hmac.new(own, "\n".join(sorted(named)).encode(), hashlib.sha256).hexdigest()


def erase(found: Places) -> tuple[list[Path], list[str]]:
    """Take the rows out of what can be reached.

    Returns:
        The files that were written anew, and what failed, in sentences.
    """
    written, failed = _log(found)
    for each in found.files:
        if each.path in written or _is_log(each.path):
            continue
        try:
            tables.take_out(each.path, found.subject)
            written.append(each.path)
        except (OSError, tables.UnreadableTable) as error:
            failed.append(f"{shown(each.path)}: {error}")
    failed += _commit([path for path in written if Path(f"{path}.dvc").is_file()])
    folder = versions.cache()
    for version, _ in found.old.holding:
        try:
            versions.forget(version, folder)
        except OSError as error:
            failed.append(f"{version.path}, {version.stored} in the local cache: {error}")
    return written, failed


def _is_log(path: Path) -> bool:
    return path.is_relative_to(search.logs()) and path.parent.name.startswith("date=")


def _log(found: Places) -> tuple[list[Path], list[str]]:
    """Take the rows out of the log, which a service may be writing and merging meanwhile.

    A merge and this hold the lock of the log in turn; what was merged before is found by listing
    again, until nothing new is there.
    """
    written: list[Path] = []
    failed: list[str] = []
    seen: set[Path] = set()
    while fresh := [path for path in search.log_files() if path not in seen]:
        for path in fresh:
            seen.add(path)
            try:
                with locks.locked(path.parents[1]):
                    if path.exists() and tables.take_out(path, found.subject):
                        written.append(path)
            except (OSError, tables.UnreadableTable, locks.LockTimeoutError) as error:
                failed.append(f"{shown(path)}: {error}")
    return written, failed


def _commit(raw: list[Path]) -> list[str]:
    """Make a version of raw files without the rows, and commit that; return what failed."""
    if not raw:
        return []
    added = dvc.run(ROOT, "add", *(shown(path) for path in raw))
    if added.returncode != 0:
        return [f"DVC made no new version: {added.stderr.strip()}"]
    records = [f"{shown(path)}.dvc" for path in raw]
    message = "Erase rows of a person"
    committed = git.run(ROOT, "commit", "--quiet", "-m", message, "--", *records)
    if committed.returncode != 0:
        said = (committed.stderr or committed.stdout).strip()
        return [f"Commit {', '.join(records)} yourself, git did not: {said}"]
    return []


def main(arguments: list[str] | None = None) -> int:
    """Show or erase; return 0, or 1 where it could not be done or failed in places."""
    options = _options(arguments)
    folder = paths.environment(paths.PRODUCTION)
    try:
        subject, who = subject_of(options.who), pseudonym(options.who)
        found = search.search(subject)
    except (ValueError, keys.NoKey, OSError, tables.UnreadableTable) as error:
        print(f"Nothing was erased: {error}", file=sys.stderr)
        return 1
    named = _overrides(folder, found.subject)
    _show(found, named)
    if not options.yes:
        print("\nNothing was changed. The same with --yes --reason WHY erases.")
        return 0
    if not options.reason:
        print("\nNothing was erased: say why, with --reason.", file=sys.stderr)
        return 1
    written, failed = erase(found)
    try:
        problems = audit.record(
            folder,
            ERASED,
            options.by,
            person=who,
            reason=options.reason,
            files=len(written),
            rows=sum(each.rows for each in found.files),
            versions=[version.md5 for version, _ in found.old.holding],
            unreached=[*found.unreached, *named, *failed],
        )
    except (OSError, locks.LockTimeoutError, state.BadState) as error:
        problems = [f"The record could not be written: {error}"]
    print(f"\nErased: {len(written)} file(s) written anew. The audit log has it as {who[:16]}.")
    for each in [*failed, *problems]:
        print(each, file=sys.stderr)
    return 1 if failed or problems else 0


def _overrides(folder: Path, subject: Subject) -> list[str]:
    number = len(subject.ids & set(Overrides(folder).count()))
    if not number:
        return []
    return [
        f"The audit log keeps {number} override(s) of its predictions: id, decision, reason. It "
        "cannot be changed, and holds no row."
    ]


def _show(found: Places, named: list[str]) -> None:
    many = len(found.subject.ids)
    print(f"{found.looked_at} tables were searched; {many} id(s) of predictions are known.")
    for each in found.files:
        print(f"  {shown(each.path)}: {each.rows} row(s)")
    for version, rows in found.old.holding:
        print(f"  {version.path}, version {version.stored} in the local cache: {rows} row(s)")
    if not found.files and not found.old.holding:
        print("  No row was found.")
    print("Not reached:")
    for said in [*found.unreached, *named]:
        print(f"  {said}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe erase", description=__doc__.splitlines()[0])
    parser.add_argument("who", nargs="+", metavar="ID", help="an id, or COLUMN=VALUE")
    parser.add_argument("--yes", action="store_true", help="erase; without, it is only shown")
    parser.add_argument(
        "--reason", default="", help="such as the request's number in your register"
    )
    parser.add_argument("--by", default=paths.person(), help="your name")
    return parser.parse_args(arguments)
