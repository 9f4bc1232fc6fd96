"""Show a person's rows, or take them out: the part of `poe erase` that runs code of the project."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rung_governance import override_counts
from rung_governance.erasure import search, tables, versions
from rung_governance.erasure.search import FoundRows
from rung_governance.erasure.subject import Subject
from rung_governance.overrides import Overrides
from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.project import release_folders
from rung_ops.project.paths import shown
from rung_ops.system import locks
from rung_ops.system.printable import counted


class NothingErased(StageError):
    """It could not be begun; the message says why."""


def handle(named: Sequence[str], erases: bool) -> dict[str, Any]:
    """Print where a person's rows are, and delete them on request.

    Args:
        named: ids, or `COLUMN=VALUE` that all have to hold.
        erases: whether to take them out of what can be reached.

    Returns:
        For the record: rows (their number), versions, unreached; and with `erases` written (paths)
        and failed.

    Raises:
        NothingErased: it is not clear who is meant, or what was named cannot be read.
    """
    try:
        subject = subject_of(named)
        result = search.search(subject)
    except (ValueError, OSError, tables.UnreadableTable) as error:
        raise NothingErased(str(error)) from error
    folder = release_folders.environment(release_folders.PRODUCTION)
    overruled = result.subject.ids & set(Overrides(folder).count())
    unreached = [*result.unreached, *_overrides(len(overruled))]
    _show(result, unreached)
    written, failed = erase(result, overruled) if erases else ([], [])
    return {
        "rows": sum(each.rows for each in result.files),
        "versions": [version.md5 for version, _ in result.old.holding],
        "unreached": unreached,
        "written": [str(path) for path in written],
        "failed": failed,
    }


def subject_of(named: Sequence[str]) -> Subject:
    """Read whose rows are meant.

    Args:
        named: ids, or `COLUMN=VALUE` that all have to hold.

    Raises:
        ValueError: it is neither; the message says what to type.
    """
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
    """Take the rows out of what can be reached.

    Args:
        result: where they are.
        overruled: ids of predictions that the audit log has overrides of.

    Returns:
        The files that were rewritten, and what failed, in sentences.
    """
    failed = _note_overrides(overruled)
    written, unread = _log(result)
    failed += unread
    for each in result.files:
        if each.path in written or _is_log(each.path):
            continue
        try:
            tables.take_out(each.path, result.subject)
            written.append(each.path)
        except (OSError, tables.UnreadableTable) as error:
            failed.append(f"{shown(each.path)}: {error}")
    folder = versions.cache()
    for version, _ in result.old.holding:
        try:
            versions.forget(version, folder)
        except OSError as error:
            failed.append(f"{version.path}, {version.stored} in the local cache: {error}")
    return written, failed


def _is_log(path: Path) -> bool:
    return path.is_relative_to(search.logs()) and path.parent.name.startswith("date=")


def _log(result: FoundRows) -> tuple[list[Path], list[str]]:
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
                    if path.exists() and tables.take_out(path, result.subject):
                        written.append(path)
            except (OSError, tables.UnreadableTable, locks.LockTimeoutError) as error:
                failed.append(f"{shown(path)}: {error}")
    return written, failed


def _note_overrides(overruled: frozenset[str]) -> list[str]:
    """Note before the rows go which overrides lose their prediction; return what failed."""
    try:
        override_counts.note_erased(
            release_folders.environment(release_folders.PRODUCTION), overruled
        )
    except OSError as error:
        return [f"`poe monitor` will call overrides of its predictions unknown: {error}"]
    return []


def _overrides(number: int) -> list[str]:
    if not number:
        return []
    return [
        f"The audit log keeps {counted(number, 'override')} of its predictions: id, decision, reason. It "
        "cannot be changed, and holds no row."
    ]


def _show(result: FoundRows, unreached: list[str]) -> None:
    many = len(result.subject.ids)
    print(
        f"{counted(result.searched, 'table')} searched; {counted(many, 'id')} of predictions known."
    )
    for each in result.files:
        print(f"  {shown(each.path)}: {counted(each.rows, 'row')}")
    for version, rows in result.old.holding:
        print(
            f"  {version.path}, version {version.stored} in the local cache: {counted(rows, 'row')}"
        )
    if not result.files and not result.old.holding:
        print("  No row was found.")
    print("Not reached:")
    for reason in unreached:
        print(f"  {reason}")
