"""The erasure of a person's rows: `poe erase ID` lists them, `--yes` erases them.

A person is named by ids of predictions, by the value of the contract's key if that is one column, or
by values of columns: `customer=4711`. The audit log keeps a keyed hash in place of the id.
"""

import hashlib
import hmac
import json
import os
import posixpath
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import polars as pl
import yaml
from cryptography.hazmat.primitives import serialization

from rung_governance.approval import audit, keys, overrides
from rung_governance.approval.keys import AuditLogError
from rung_governance.approval.overrides import Overrides
from rung_ops import contract, prediction_log
from rung_ops.command import verb
from rung_ops.contract import raw_file
from rung_ops.data import dvc
from rung_ops.errors import StageError, UnreadableFileError
from rung_ops.model.added_columns import PREDICTION_ID
from rung_ops.monitoring import outcomes
from rung_ops.prediction_log import sealed
from rung_ops.project import current, keyless, paths
from rung_ops.project.paths import others, raw_files, shown
from rung_ops.system import git, key_names
from rung_ops.system.files import LockTimeoutError, locked, writing
from rung_ops.system.printable import counted

# Columns that name a prediction: of log and outcomes, and of what `poe predict` writes.
ID_COLUMNS = ("id", PREDICTION_ID)


@dataclass(frozen=True)
class Subject:
    """A person, as identified by rows."""

    # value by column, as text; a row belongs to it where all of them hold
    columns: Mapping[str, str] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()  # of predictions
    # whole rows of the contract without the target; equal rows belong to it in tables whose
    # rows have no id of a prediction
    rows: pl.DataFrame | None = None

    def having(self, log: pl.DataFrame) -> "Subject":
        """Add the ids and rows of its predictions, those of a prediction log."""
        ids = self.ids | set(log["id"].to_list())
        rows = typed(log["row"].struct.unnest())
        known = [each for each in (self.rows, rows) if each is not None and each.height]
        joined = pl.concat(known).unique(maintain_order=True) if known else None
        return replace(self, ids=frozenset(ids), rows=joined)

    def mask(self, frame: pl.DataFrame) -> pl.Series:
        """Tell which rows of a table belong to it.

        Args:
            frame: of the prediction log, or any table, shape (n_rows, n_columns).

        Returns:
            True for its rows, shape (n_rows,).
        """
        matches = _all_rows(frame, False)
        for name in ID_COLUMNS:
            if self.ids and name in frame.columns:
                ids = frame[name].cast(pl.String, strict=False)
                matches |= ids.is_in(list(self.ids)).fill_null(False)
        inner = frame["row"].struct.unnest() if _has_logged_rows(frame) else frame
        if self.columns and set(self.columns) <= set(inner.columns):
            held = _all_rows(frame, True)
            for name, text in self.columns.items():
                held &= _equal(inner[name], text)
            matches |= held
        if not _has_logged_rows(frame) and PREDICTION_ID not in frame.columns:
            matches |= self.equal(frame)
        return matches

    def equal(self, frame: pl.DataFrame) -> pl.Series:
        """Tell which rows of a table are equal to one of its rows, shape (n_rows,)."""
        rows = typed(frame) if self.rows is not None else None
        if rows is None or self.rows is None:
            return _all_rows(frame, False)
        marked = self.rows.unique().with_columns(pl.lit(True).alias("is one of them"))
        joined = rows.join(
            marked, on=rows.columns, how="left", nulls_equal=True, maintain_order="left"
        )
        return joined["is one of them"].fill_null(False)


def typed(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Take the contract's columns of a table, with its types; None if one is missing."""
    schema = contract.Row.to_schema()
    kinds = {n: c.dtype.type for n, c in schema.columns.items() if n != contract.TARGET}
    if not set(kinds) <= set(frame.columns):
        return None
    return pl.DataFrame([_cast(frame[name], kind) for name, kind in kinds.items()])


def _cast(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """Cast a column, a text as polars writes it into CSV; null where that cannot be."""
    try:
        if values.dtype == pl.String and kind == pl.Boolean:
            words = {"true": True, "false": False}
            return values.replace_strict(words, default=None, return_dtype=kind)
        if values.dtype == pl.String and kind in (pl.Date, pl.Datetime):
            values = values.str.to_datetime(strict=False)
        return values.cast(kind, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None] * len(values), dtype=kind)


def _has_logged_rows(frame: pl.DataFrame) -> bool:
    return isinstance(frame.schema.get("row"), pl.Struct)


def _all_rows(frame: pl.DataFrame, value: bool) -> pl.Series:
    return pl.repeat(value, frame.height, dtype=pl.Boolean, eager=True)


def _equal(values: pl.Series, text: str) -> pl.Series:
    """Compare a column with a value that somebody typed; what cannot be equal is not."""
    kind = values.dtype
    wanted: Any = text
    try:
        if kind.is_integer():
            wanted = int(text)
        elif kind.is_float():
            wanted = float(text)
        elif kind.is_temporal():
            wanted = pl.Series([datetime.fromisoformat(text)]).cast(kind)[0]
        elif kind == pl.Boolean:
            wanted = {"true": True, "false": False}[text.lower()]
        else:
            values = values.cast(pl.String, strict=False)
        return (values == wanted).fill_null(False)
    except (ValueError, KeyError, OverflowError, pl.exceptions.PolarsError):
        return _all_rows(values.to_frame(), False)


SUFFIXES = (".parquet", ".csv")
# Folders of a project without rows of people, or with a search of their own (versions).
PASSED_OVER = {".git", ".venv", ".dvc", ".cache", "vendor", "node_modules", "__pycache__", ".keys"}


# Folders of stages. Of what is there and no table, _beyond() speaks.
MADE = {"model", "reports"}


def files(folder: Path) -> Iterator[Path]:
    """List the tables in a folder and below, in a fixed order."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in PASSED_OVER)
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(SUFFIXES))


def read(path: Path, kind: str = "") -> pl.DataFrame:
    """Read a table, of CSV as text alone: what is not taken out stays as it was written."""
    try:
        if (kind or path.suffix) == ".csv":
            return pl.read_csv(path, infer_schema=False)
        return sealed.read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableFileError(str(error).strip().splitlines()[0]) from error


def count(path: Path, subject: Subject, kind: str = "") -> int:
    """Count the rows of a person in a table."""
    return int(subject.mask(read(path, kind)).sum())


def take_out(path: Path, subject: Subject) -> int:
    """Rewrite a table without the rows of a person; return how many there were.

    The file keeps its name, its columns and its mode. A reader finds the old one or the new one.
    """
    frame = read(path)
    mask = subject.mask(frame)
    if not mask.any():
        return 0
    mode, was_sealed = stat.S_IMODE(path.stat().st_mode), sealed.is_sealed(path)
    of_rung = raw_file.is_row_file(path)
    kept = frame.filter(~mask)
    with writing(path, writer="erase", private=True) as draft:
        if path.suffix == ".csv":
            kept.write_csv(draft)
        elif was_sealed:
            sealed.write(kept, draft)
        elif of_rung:
            raw_file.write_rows(kept, draft)
        else:
            kept.write_parquet(draft)
        draft.chmod(mode)
    return int(mask.sum())


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
@click.option("--by", default=paths.person, help="your name")
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
    except (AuditLogError, ErasureError) as error:
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
        paths.environment(paths.PRODUCTION),
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
    done = f"{counted(len(written), 'file')} rewritten"
    if result["deleted"]:
        done += f", {counted(result['deleted'], 'version')} deleted from the local cache"
    print(f"\nErased: {done}. The audit log has it as {person[:16]}.")
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
        For the record: rows (their number), versions, unreached; and with `erases` written (paths),
        deleted (number of versions) and failed.
    """
    try:
        subject = subject_of(named)
        result = search(subject)
    except (ValueError, OSError, UnreadableFileError) as error:
        raise ErasureError(str(error)) from error
    folder = paths.environment(paths.PRODUCTION)
    overruled = result.subject.ids & set(Overrides(folder).count())
    unreached = list(result.unreached)
    if overruled:
        unreached.append(
            f"The audit log keeps {counted(len(overruled), 'override')} of its predictions: id, "
            "decision, reason. It cannot be changed, and holds no row."
        )
    _show(result, unreached)
    written, deleted, failed = erase(result, overruled) if erases else ([], 0, [])
    return {
        "rows": sum(rows for _, rows in result.files),
        "versions": [version.md5 for version, _ in result.old.holding],
        "unreached": unreached,
        "written": [str(path) for path in written],
        "deleted": deleted,
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
            if kind not in SUFFIXES:
                raise UnreadableFileError
            if rows := count(path, subject, kind):
                searched.holding.append((version, rows))
        except UnreadableFileError:
            searched.unreadable.append(version)
    return searched


def _all(folder: Path) -> set[Version]:
    """List versions of raw files, of what stages made that may hold rows, and of unlisted folders."""
    versions = set()
    for record, text in _records():
        for version in _outputs(record, text):
            kept = _members(version, folder) if version.md5.endswith(".dir") else [version]
            if kept is None:
                versions.add(version)
            else:
                is_raw = record.endswith(".dvc")
                versions |= {each for each in kept if is_raw or _may_hold_rows(each.path)}
    return versions


def _may_hold_rows(path: str) -> bool:
    return path.endswith(SUFFIXES) or MADE.isdisjoint(path.split("/"))


def _members(version: Version, folder: Path) -> list[Version] | None:
    """List the files of a folder that DVC keeps as one; None if its list is not here."""
    try:
        listed = json.loads((folder / version.stored).read_bytes())
    except (OSError, ValueError):
        return None
    return [Version(f"{version.path}/{each['relpath']}", each["md5"]) for each in listed]


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
        passed_over = PASSED_OVER & set(inside.parts)
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
    return [path for path in files(prediction_log.logs()) if path.parent.name.startswith("date=")]


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
            rows = count(path, result.subject)
        except UnreadableFileError as error:
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
    for path in files(root):
        if not any(path.is_relative_to(each) for each in of_others):
            yield path
    moved = (prediction_log.logs(), outcomes.outcomes_folder(), paths.releases())
    for folder in moved:
        if not folder.resolve().is_relative_to(root):
            yield from files(folder)


def _out_of_reach(path: Path, tracked: set[Path]) -> str:
    if path.is_relative_to(paths.releases()):
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
        except (UnreadableFileError, pl.exceptions.PolarsError) as error:
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
        "Models that learned from the rows, and examples in reports/explanations.json, are as they "
        "were, in old versions too: `uv run poe pipeline`, and promote.",
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


def erase(result: FoundRows, overruled: frozenset[str]) -> tuple[list[Path], int, list[str]]:
    """Take the rows out of what can be reached.

    Returns:
        The files rewritten, how many versions were deleted from the local cache, and what failed.
    """
    failed = []
    try:  # before the rows go
        overrides.note_erased(paths.environment(paths.PRODUCTION), overruled)
    except OSError as error:
        failed.append(f"`poe monitor` will call overrides of its predictions unknown: {error}")
    written, unread = _log(result)
    failed += unread
    for path, _ in result.files:
        if path in written or _is_log(path):
            continue
        try:
            take_out(path, result.subject)
            written.append(path)
        except (OSError, UnreadableFileError) as error:
            failed.append(f"{shown(path)}: {error}")
    folder, deleted = cache(), 0
    for version, _ in result.old.holding:
        try:
            (folder / version.stored).unlink(missing_ok=True)
            deleted += 1
        except OSError as error:
            failed.append(f"{version.path}, {version.stored} in the local cache: {error}")
    return written, deleted, failed


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
                with locked(path.parents[1]):
                    if path.exists() and take_out(path, result.subject):
                        written.append(path)
            except (OSError, UnreadableFileError, LockTimeoutError) as error:
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
