"""Where a person's rows are on this machine, and which of these places can be reached."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from rung_governance.erasure import tables, versions
from rung_governance.erasure.subject import Subject
from rung_governance.erasure.tables import FileRows, UnreadableTable
from rung_ops import prediction_log
from rung_ops.contract import raw_file
from rung_ops.monitoring import outcomes
from rung_ops.project import current
from rung_ops.project.paths import others, placed, raw_files, shown
from rung_ops.system import git
from rung_ops.system.printable import counted

SHOWN = 5  # ids that are named
RUNS = ("mlartifacts", "mlruns")


@dataclass
class FoundRows:
    """Where the rows of a person are.

    Attributes:
        subject: the person, with the ids and rows of its predictions.
        files: that can be rewritten.
        old: versions of the data.
        searched: number of tables that were read.
        unreached: where rows are, or may be, that this cannot take out; sentences.
    """

    subject: Subject
    files: list[FileRows] = field(default_factory=list)
    old: versions.SearchedVersions = field(default_factory=versions.SearchedVersions)
    searched: int = 0
    unreached: list[str] = field(default_factory=list)


def logs() -> Path:
    """Return the folder of the logs of all environments."""
    return placed("LOGS", "logs")


def log_files() -> list[Path]:
    """List all files of the prediction logs, also those that a larger one covers by now."""
    return [path for path in tables.files(logs()) if path.parent.name.startswith("date=")]


def _predictions() -> Iterator[pl.DataFrame]:
    """Read ids and rows of the prediction logs, one environment after the other."""
    for folder in sorted(logs().glob("*/predictions")):
        yield prediction_log.read(folder).select("id", "row").collect()


def widened(subject: Subject) -> Subject:
    """Add the ids and the rows of its predictions to what is known of a person.

    Raises:
        UnreadableTable: a file of the log cannot be read.
    """
    for log in [log.filter(subject.mask(log)) for log in _predictions()]:
        if log.height:
            subject = subject.having(log)
    return subject


def search(subject: Subject) -> FoundRows:
    """Look for the rows of a person in log, outcomes, data, reports, releases, runs and versions."""
    result = FoundRows(widened(subject))
    tracked, named = _in_git(), set[Path]()
    for path in _tables():
        try:
            rows = tables.count(path, result.subject)
        except UnreadableTable as error:
            result.unreached.append(f"{shown(path)} cannot be read as a table: {error}.")
            continue
        result.searched += 1
        if not rows:
            continue
        named.add(path)
        if reason := _out_of_reach(path, tracked):
            result.unreached.append(f"{shown(path)}, {counted(rows, 'row')}: {reason}")
        else:
            result.files.append(FileRows(path, rows))
    result.unreached += _raw(result, tracked, named) + _alike(result.subject)
    result.old = versions.search(result.subject, versions.cache())
    result.unreached += _of_versions(result.old) + _beyond()
    return result


def _tables() -> Iterator[Path]:
    """List the tables of the project, and of the folders that variables have moved elsewhere."""
    folders = [current().root, logs(), outcomes.outcomes_folder(), placed("RELEASES", "releases")]
    moved = [each for each in folders[1:] if not each.resolve().is_relative_to(current().root)]
    yield from (path for path in tables.files(current().root) if not _is_of_another_model(path))
    for folder in moved:
        yield from tables.files(folder)


def _is_of_another_model(path: Path) -> bool:
    return any(path.is_relative_to(current().root / folder) for folder in others())


def _out_of_reach(path: Path, tracked: set[Path]) -> str:
    if path.is_relative_to(placed("RELEASES", "releases")):
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


def _of_versions(searched: versions.SearchedVersions) -> list[str]:
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
            for name, address in versions.remotes().items()
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


def _in_git() -> set[Path]:
    listed = git.run(current().root, "ls-files", "-z", errors="surrogateescape").stdout
    return {current().root / name for name in listed.split("\0") if name}
