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

from rung_governance import audit, keys
from rung_governance.erasure.rows import NothingErased
from rung_ops.data import dvc
from rung_ops.project import current, keyless, release_folders
from rung_ops.project.paths import shown
from rung_ops.release import state
from rung_ops.system import git, key_names, locks
from rung_ops.system.printable import counted

ERASED = "erased"
PURPOSE = b"rung: whose rows were erased"  # so that the signing key makes a hash of its own kind


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


def _commit(raw: list[Path]) -> list[str]:
    """Make a version of raw files without the rows, and commit that; return what failed."""
    if not raw:
        return []
    added = dvc.run(current().root, "add", *(shown(path) for path in raw))
    if added.returncode != 0:
        return [f"DVC made no new version: {added.stderr.strip()}"]
    records = [f"{shown(path)}.dvc" for path in raw]
    message = "Erase rows of a person"
    committed = git.run(current().root, "commit", "--quiet", "-m", message, "--", *records)
    if committed.returncode != 0:
        output = (committed.stderr or committed.stdout).strip()
        return [f"Commit {', '.join(records)} yourself, git did not: {output}"]
    return []


def main(arguments: list[str] | None = None) -> int:
    """Show or erase; return 0, or 1 if it could not be done or failed in places."""
    options = _options(arguments)
    erases = options.yes and bool(options.reason)
    try:
        who = pseudonym(options.who)
        result = keyless.call(
            *("rung_governance.erasure.rows:handle", options.who, erases),
            raises=(NothingErased,),
            kept=key_names.OF_LOG,
        )
    except (keys.NoKey, NothingErased) as error:
        print(f"Nothing was erased: {error}", file=sys.stderr)
        return 1
    if not options.yes:
        print("\nNothing was changed. The same with --yes --reason WHY erases.")
        return 0
    if not options.reason:
        print("\nNothing was erased: say why, with --reason.", file=sys.stderr)
        return 1
    written = [Path(path) for path in result["written"]]
    failed = result["failed"] + _commit([path for path in written if _is_versioned(path)])
    try:
        problems = audit.record(
            release_folders.environment(release_folders.PRODUCTION),
            ERASED,
            options.by,
            person=who,
            reason=options.reason,
            files=len(written),
            rows=result["rows"],
            versions=result["versions"],
            unreached=[*result["unreached"], *failed],
        )
    except (OSError, locks.LockTimeoutError, state.StateError) as error:
        problems = [f"The record could not be written: {error}"]
    print(
        f"\nErased: {counted(len(written), 'file')} rewritten. The audit log has it as {who[:16]}."
    )
    for each in [*failed, *problems]:
        print(each, file=sys.stderr)
    return 1 if failed or problems else 0


def _is_versioned(path: Path) -> bool:
    return Path(f"{path}.dvc").is_file()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe erase", description=__doc__.splitlines()[0])
    parser.add_argument("who", nargs="+", metavar="ID", help="an id, or COLUMN=VALUE")
    parser.add_argument("--yes", action="store_true", help="erase; without, it is only shown")
    parser.add_argument(
        "--reason", default="", help="such as the request's number in your register"
    )
    parser.add_argument("--by", default=release_folders.person(), help="your name")
    return parser.parse_args(arguments)
