"""The erasure of a person's rows: `poe erase ID` lists them, `--yes` erases them.

A person is named by ids of predictions, by the value of the contract's key if that is one column, or
by values of columns: `customer=4711`. The audit log keeps a keyed hash in place of the id.
"""

import hashlib
import hmac
import json
import posixpath
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click
import polars as pl
import yaml
from cryptography.hazmat.primitives import serialization

from rung_governance.approval import audit, keys, overrides
from rung_governance.approval.keys import AuditKeyError
from rung_governance.approval.overrides import Overrides
from rung_governance.privacy import data_subject
from rung_governance.privacy.data_subject import Subject, UnreadableTableError
from rung_ops import contract, prediction_log
from rung_ops.command import verb
from rung_ops.contract import raw_file
from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.monitoring import outcomes
from rung_ops.project import current, keyless, release_folders
from rung_ops.project.paths import others, raw_files, shown
from rung_ops.system import git, key_names, locks
from rung_ops.system.printable import counted

ERASED = "erased"
# Of what the search reads: names of content, ends of the names of DVC's records, folders of runs.
MD5 = re.compile(r"[0-9a-f]{32}")
RECORDS = (".dvc", "dvc.lock")
RUNS = ("mlartifacts", "mlruns")
USER = re.compile(r"//[^/]*@")
SHOWN = 5  # ids that are named
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
        result = search(subject)
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


class Version(NamedTuple):
    """A file of some version: its name then, and the name of its content in cache and remote."""

    path: str
    md5: str

    @property
    def stored(self) -> str:
        """Where cache and remote keep it."""
        return f"files/md5/{self.md5[:2]}/{self.md5[2:]}"


@dataclass
class SearchedVersions:
    """The versions by what a search found: their rows, that they are not here, or not readable."""

    holding: list[tuple[Version, int]] = field(default_factory=list)  # in the local cache
    elsewhere: list[Version] = field(default_factory=list)
    unreadable: list[Version] = field(default_factory=list)


def cache() -> Path:
    """Find the local cache of DVC."""
    done = dvc.run(current().root, "cache", "dir")
    named = done.stdout.strip() if done.returncode == 0 else ""
    return current().root / (named or ".dvc/cache")


def remotes() -> dict[str, str]:
    """Find DVC's remotes: names and addresses, without the user and password that one may have."""
    # As `dvc remote list` breaks its lines at the width of a terminal.
    lines = dvc.run(current().root, "config", "--list").stdout.splitlines()
    listed = (re.fullmatch(r"remote\.(.*?)\.url=(.*)", line) for line in lines)
    return {each[1]: USER.sub("//", each[2]) for each in listed if each}


def search_versions(subject: Subject, folder: Path) -> SearchedVersions:
    """Search the versions of all commits, and of the current files."""
    searched = SearchedVersions()
    # Once each, though a run of MLflow keeps a copy of the records that it was made by.
    once = {each.md5: each for each in sorted(_all(folder), reverse=True)}
    for version in sorted(once.values()):
        path, kind = folder / version.stored, Path(version.path).suffix
        if version.md5.endswith(".dir") or not path.is_file():
            searched.elsewhere.append(version)
            continue
        try:
            if kind not in data_subject.SUFFIXES:
                raise UnreadableTableError
            if rows := data_subject.count(path, subject, kind):
                searched.holding.append((version, rows))
        except UnreadableTableError:
            searched.unreadable.append(version)
    return searched


def _all(folder: Path) -> set[Version]:
    """List versions of tables, of raw files of any kind, and of folders whose list is not here."""
    versions = set()
    for record, text in _records():
        for version in _outputs(record, text):
            if version.md5.endswith(".dir"):
                versions |= set(_members(version, folder)) or {version}
            elif record.endswith(".dvc") or version.path.endswith(data_subject.SUFFIXES):
                versions.add(version)
    return versions


def _members(version: Version, folder: Path) -> Iterator[Version]:
    """List the files of a folder that DVC keeps as one; nothing if its list is not here."""
    try:
        listed = json.loads((folder / version.stored).read_bytes())
    except (OSError, ValueError):
        return
    for each in listed:
        yield Version(f"{version.path}/{each['relpath']}", each["md5"])


def _records() -> Iterator[tuple[str, str]]:
    """Read every version of DVC's records, of all commits and of the working tree, with its path."""
    named = (f":(glob)**/*{end}" for end in RECORDS)
    listed = git.run(current().root, "rev-list", "--all", "--objects", "--", *named)
    for line in listed.stdout.splitlines():
        blob, _, path = line.partition(" ")
        if path.endswith(RECORDS):
            yield path, git.run(current().root, "cat-file", "blob", blob).stdout
    for file in current().root.rglob("*"):
        inside = file.relative_to(current().root)
        passed_over = data_subject.PASSED_OVER & set(inside.parts)
        if file.name.endswith(RECORDS) and file.is_file() and not passed_over:
            yield inside.as_posix(), file.read_text(encoding="utf-8")


def _outputs(record: str, text: str) -> Iterator[Version]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return  # of a commit with markers of a conflict
    if not isinstance(content, dict):
        return
    stages = content.get("stages")
    holders = [content, *(stages.values() if isinstance(stages, dict) else [])]
    for holder in holders:
        outs = holder.get("outs") if isinstance(holder, dict) else None
        for each in outs if isinstance(outs, list) else []:
            if isinstance(each, dict) and MD5.match(str(each.get("md5"))):
                path = posixpath.normpath(posixpath.join(posixpath.dirname(record), each["path"]))
                yield Version(path, each["md5"])


@dataclass
class FoundRows:
    """Where the rows of a person are."""

    subject: Subject  # the person, with the ids and rows of its predictions
    files: list[tuple[Path, int]] = field(
        default_factory=list
    )  # that can be rewritten, rows of each
    old: SearchedVersions = field(default_factory=SearchedVersions)  # versions of the data
    searched: int = 0  # number of tables that were read
    # where rows are, or may be, that this cannot take out; sentences
    unreached: list[str] = field(default_factory=list)


def log_files() -> list[Path]:
    """List all files of the prediction logs, also those that a larger one covers by now."""
    return [
        path
        for path in data_subject.files(prediction_log.logs())
        if path.parent.name.startswith("date=")
    ]


def _predictions() -> Iterator[pl.DataFrame]:
    """Read ids and rows of the prediction logs, one environment after the other."""
    for folder in sorted(prediction_log.logs().glob("*/predictions")):
        yield prediction_log.read(folder).select("id", "row").collect()


def widened(subject: Subject) -> Subject:
    """Add the ids and the rows of its predictions to what is known of a person."""
    of_person = [log.filter(subject.mask(log)) for log in _predictions()]
    for log in filter(len, of_person):
        subject = subject.having(log)
    return subject


def search(subject: Subject) -> FoundRows:
    """Look for the rows of a person in log, outcomes, data, reports, releases, runs and versions."""
    result = FoundRows(widened(subject))
    listed = git.run(current().root, "ls-files", "-z", errors="surrogateescape").stdout
    tracked = {current().root / name for name in listed.split("\0") if name}
    named = set[Path]()
    for path in _tables():
        try:
            rows = data_subject.count(path, result.subject)
        except UnreadableTableError as error:
            result.unreached.append(f"{shown(path)} cannot be read as a table: {error}.")
            continue
        result.searched += 1
        if not rows:
            continue
        named.add(path)
        if reason := _out_of_reach(path, tracked):
            result.unreached.append(f"{shown(path)}, {counted(rows, 'row')}: {reason}")
        else:
            result.files.append((path, rows))
    result.unreached += _raw(result, tracked, named) + _alike(result.subject)
    result.old = search_versions(result.subject, cache())
    result.unreached += _of_versions(result.old) + _beyond()
    return result


def _tables() -> Iterator[Path]:
    """List the tables of the project, and of the folders that variables have moved elsewhere."""
    root, of_others = current().root, [current().root / each for each in others()]
    for path in data_subject.files(root):
        if not any(path.is_relative_to(each) for each in of_others):
            yield path
    moved = (prediction_log.logs(), outcomes.outcomes_folder(), release_folders.releases())
    for folder in moved:
        if not folder.resolve().is_relative_to(root):
            yield from data_subject.files(folder)


def _out_of_reach(path: Path, tracked: set[Path]) -> str:
    if path.is_relative_to(release_folders.releases()):
        return (
            "a signed release carries it, as those of an earlier Rung do. Release the version again, "
            "deploy that, and delete this bundle."
        )
    if any(path.is_relative_to(current().root / folder) for folder in RUNS):
        return "a run of MLflow keeps it. Delete the run, then `mlflow gc`."
    if path in tracked:
        return (
            "git holds it, and its history keeps it. Take it out with `git filter-repo`, and have "
            "everybody clone again."
        )
    return ""


def _raw(result: FoundRows, tracked: set[Path], named: set[Path]) -> list[str]:
    """Search, through load(), raw files that are not tables with the contract's columns."""
    unreached = []
    for path in (path for path in raw_files() if path not in named):
        try:
            rows = int(result.subject.mask(raw_file.read(path)).sum())
        except (raw_file.UnreadableFileError, pl.exceptions.PolarsError) as error:
            unreached.append(f"{shown(path)} cannot be read: {error}.")
            continue
        if rows:
            reason = _out_of_reach(path, tracked) or (
                "it is not a .parquet or .csv with the contract's columns. Delete these rows by "
                "hand, run `uv run poe incoming`, and commit."
            )
            unreached.append(f"{shown(path)}, {counted(rows, 'row')}: {reason}")
    return unreached


def _alike(subject: Subject) -> list[str]:
    """Name predictions for rows that are equal to those of the person, whosever they are."""
    ids: set[str] = set()
    for log in _predictions():
        if log.height:
            same = log.filter(subject.equal(log["row"].struct.unnest()))
            ids |= set(same["id"].to_list()) - subject.ids
    if not ids:
        return []
    named = ", ".join(sorted(ids)[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
    return [
        f"The log has {counted(len(ids), 'prediction')} for equal rows: {named}. Name them too if they are "
        "the same person's."
    ]


def _of_versions(searched: SearchedVersions) -> list[str]:
    unreached = [
        f"{each.path}, version {each.stored}: it cannot be read as a table."
        for each in searched.unreadable
    ]
    if searched.elsewhere:
        unreached.append(
            "Not in the local cache, and not searched: "
            f"{counted(len(searched.elsewhere), 'version')} of the data. Run `uv run dvc fetch "
            "--all-commits`, then this again."
        )
    if searched.holding or searched.elsewhere:
        unreached += [
            f"The remote {name} ({address}) keeps old versions. `uv run dvc gc --workspace --cloud "
            f"--remote {name}` deletes all that the current files do not use, and with them "
            "the way to train old versions of the model again."
            for name, address in remotes().items()
        ]
    return unreached


def _beyond() -> list[str]:
    """Name what no search here reaches."""
    unreached = [
        "Models that learned from the rows are as they were: `uv run poe pipeline`, and promote.",
        "Backups, files that `poe predict` wrote elsewhere, other machines, and what other systems "
        "received.",
    ]
    for name, what in (("store", "object store"), ("warehouse", "warehouse")):
        if (current().root / f"ops/{name}.toml").is_file():
            unreached.append(
                f"The {what} of ops/{name}.toml: the next `poe data pull` brings the rows again."
            )
    unreached += [f"The model in {folder}: run this there." for folder in others()]
    return unreached


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
    folder = cache()
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
    while fresh := [path for path in log_files() if path not in seen]:
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
