"""Check new files in data/incoming, then version them with DVC; or fetch the versioned ones."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import yaml

from rung_ops.command import verb
from rung_ops.data import dvc
from rung_ops.errors import StageError, UnreadableFileError
from rung_ops.project import current
from rung_ops.project.paths import is_raw, links_refused, raw_files, shown
from rung_ops.system import git
from rung_ops.system.files import draft_folder, md5
from rung_ops.system.printable import counted, printable


def versioned() -> list[Path]:
    """List the .dvc files in data/incoming."""
    return sorted(current().incoming.rglob("*.dvc"))


def changed_files(parts: set[Path]) -> list[Path]:
    """List the raw files in data/incoming that DVC does not know, or knows otherwise.

    Args:
        parts: those of folders that DVC versions as one.
    """
    files = [path for path in raw_files() if path.is_relative_to(current().incoming)]
    return [
        path
        for path in files
        if (path in parts if dvc.target(path) != path else _is_changed(path, dvc.record(path)))
    ]


def _changed_parts() -> tuple[set[Path], list[Path]]:
    """Find the files that are new or changed in folders that DVC versions as one, and those not here."""
    folders = [folder for record in versioned() if (folder := record.with_suffix("")).is_dir()]
    if not folders:
        return set(), []
    # From the folder with DVC's settings, which several models share: the names are relative to it.
    home = current().repository
    targets = (folder.relative_to(home).as_posix() for folder in folders)
    done = dvc.run(home, "data", "status", "--granular", "--json", *targets)
    if done.returncode != 0:
        raise StageError(
            f"DVC cannot compare data/incoming with its records: {done.stderr.strip()}"
        )
    found = json.loads(done.stdout).get("uncommitted", {})
    renamed = found.get("renamed", [])
    changed = [*(path for kind in ("added", "modified", "unknown") for path in found.get(kind, []))]
    changed += [each["new"] for each in renamed]
    gone = (home / name for name in found.get("deleted", []) if not name.endswith("/"))
    return {home / name for name in changed}, [path for path in gone if is_raw(path)]


def _is_changed(path: Path, record: Path) -> bool:
    if not record.exists():
        return True
    known = yaml.safe_load(record.read_text(encoding="utf-8"))["outs"][0]
    if path.stat().st_size == known["size"] and path.stat().st_mtime < record.stat().st_mtime:
        return False  # older than its record: unchanged since
    return md5(path) != known["md5"]


def problems_of(files: list[Path]) -> list[str]:
    """Say what is wrong with files, each on its own and beside the others, as validate would."""
    # Imported here, as they load polars and the user's code: nothing new, nothing loaded.
    import polars as pl

    from rung_ops import contract
    from rung_ops.contract import raw_file
    from rung_ops.data import blocks
    from rung_ops.data.ingest import keys_in_two_files
    from rung_ops.data.inspection import Inspection, is_by_row

    schema, errors, keys = contract.Row.to_schema(), list[str](), dict[str, pl.LazyFrame]()
    with draft_folder(current().incoming.parent) as folder:

        def inspected(path: Path) -> Inspection:
            rows = raw_file.read_lazily(path, folder / "rows.parquet")
            if not is_by_row(rows, schema):
                raw_file.refuse_large_frame(rows, path)
            return Inspection(rows, schema, shown(path))

        def keep_keys(inspection: Inspection) -> None:
            kept = folder / f"{len(keys)}.parquet"
            inspection.keys(schema.unique).sink_parquet(kept)
            keys[inspection.source] = blocks.scan(kept)

        for path in files:
            try:
                inspection = inspected(path)
            except UnreadableFileError as error:
                errors.append(str(error))
                continue
            for _ in inspection.blocks():
                pass
            errors += map(str, inspection.problems)
            if schema.unique and not errors:
                keep_keys(inspection)
        if errors or not schema.unique:
            return errors
        new = set(keys)
        for path in (path for path in raw_files() if shown(path) not in new):
            # What is wrong with an earlier file, validate says.
            with suppress(UnreadableFileError, pl.exceptions.PolarsError):
                keep_keys(inspected(path))
        problems = keys_in_two_files(keys, schema.unique)
    return [str(problem) for problem in problems if problem.source in new]


@verb("poe incoming")
@click.option(
    "--also-here",
    is_flag=True,
    help="version files on this branch, too, that another branch has versioned",
)
def version(also_here: bool) -> int:
    """Check new files in data/incoming, and version them with DVC.

    Git ignores the files, so those of another branch stay when a branch is changed. They are refused
    once, with the branch that knows them.
    """
    # First of all: a record with markers cannot be read.
    if refused := conflicts():
        return _refused(refused)
    parts, gone = _changed_parts()
    files = changed_files(parts)
    if refused := _not_here(gone) or _cannot_be_versioned(files):
        return _refused(refused)
    if not files:
        return 0
    if not also_here and (known := list(_of_other_branches(files))):
        advice = "Move them away, or version them here, too: `uv run poe incoming --also-here`."
        return _refused([*known, advice])
    if problems := problems_of(files):
        advice = "Fix the rows in the file, or the rule in dataset.py."
        print(*problems, f"Nothing was versioned or trained. {advice}", sep="\n", file=sys.stderr)
        return 1
    targets = [shown(target) for target in dvc.targets(files)]
    code = _dvc("add", *targets)
    if code == 0:
        print(f"versioned {counted(len(files), 'file')}; commit data/incoming")
        if _dvc("push", *(f"{target}.dvc" for target in targets)) != 0:
            print(
                "The files are versioned here, but did not reach the remote that .dvc/config "
                f"names. {_advice('Is it there?')} `{_push()}` tries again.",
                file=sys.stderr,
            )
    return code


def _refused(reasons: list[str]) -> int:
    print(*reasons, "Nothing was versioned or trained.", sep="\n", file=sys.stderr)
    return 1


def _not_here(parts: list[Path]) -> list[str]:
    """Say what is versioned, and not here: files and folders, and these parts of folders."""
    away = [file for record in versioned() if not (file := record.with_suffix("")).exists()] + parts
    if not away:
        return []
    more = f" and {len(away) - 1} more" if len(away) > 1 else ""
    reason = f"{shown(away[0])}{more} is versioned, and not here: `uv run poe pull` fetches it."
    if not parts:
        reason += f" To leave it out from now on, delete {shown(away[0])}.dvc."
    else:
        folder = shown(dvc.target(parts[0]))
        reason += (
            f" Move parts of {folder} away first that you have changed. `uv run dvc add {folder}` "
            "versions the folder without what is missing."
        )
    return [reason]


def _cannot_be_versioned(files: list[Path]) -> list[str]:
    """Say which new files DVC cannot take, whatever their rows are."""
    unfit = [
        f"{shown(path)}: rename this file; names in data/incoming hold printable letters only."
        for path in files
        if not path.name.isprintable()
    ]
    if refused := links_refused() or unfit:
        return refused
    held = set(tracked_raw_files())
    return [tracked(path) for path in files if path in held] + list(_ignored(files))


def _of_other_branches(files: list[Path]) -> Iterator[str]:
    """Say which new files a commit elsewhere has versioned with the same content."""
    hashes: dict[tuple[str, Path], str] = {}  # that a commit knows, by it and a target
    for path in files:
        target = dvc.target(path)
        # A folder is on this branch, too: what counts is each commit that is not.
        which = ("--max-count=1",) if target == path else ("--not", "HEAD")
        newest = ("--all", *which, "--diff-filter=AM", "--format=%h")
        for commit in _git("log", *newest, "--", f"{shown(target)}.dvc").split():
            if (commit, target) not in hashes:
                hashes[commit, target] = _versioned_at(commit, target, target != path)
            if md5(path) in hashes[commit, target]:
                break
        else:
            continue  # none, or another file of that name
        options = ("--count=1", "--format=%(refname:short)", f"--contains={commit}")
        branch = _git("for-each-ref", *options, "refs/heads", "refs/remotes").strip()
        where = f"branch {branch}, commit {commit}" if branch else f"commit {commit}"
        yield f"{shown(path)} is versioned by {printable(where)}, and not on this branch."


def _versioned_at(commit: str, target: Path, is_folder: bool) -> str:
    """Return a text with the hashes that a commit has of a file, or of the parts of a folder.

    Empty if the list of the parts is neither in the cache nor at the remote.
    """
    if not is_folder:
        return _git("show", f"{commit}:./{shown(target)}.dvc")
    home = current().repository
    name = target.relative_to(home).as_posix()
    return dvc.run(home, "list", ".", name, "--rev", commit, "--show-hash", "--json", "-R").stdout


def pull() -> int:
    """Fetch the files that others have versioned; return the exit code."""
    known = versioned()
    if not known:
        print("There are no versioned files in data/incoming: nothing to fetch.")
        return 0
    code = _dvc("pull", *(shown(path) for path in known))
    if code != 0:
        advice = _advice(
            "The remote in .dvc/config may be a folder of another machine: give it a place that "
            "everybody reaches, `uv run dvc remote modify local url ...`, and push there from "
            f"where the files are (`{_push()}`)."
        )
        print(f"Not all files could be fetched. {advice}", file=sys.stderr)
    return code


def _push() -> str:
    # poe reads it by itself; DVC has to be configured.
    return (
        "uv run --env-file .env dvc push"
        if (current().root / ".env").exists()
        else "uv run dvc push"
    )


def _advice(otherwise: str) -> str:
    """Say why the remote was not reached: an object store, where the project has one, is asked."""
    if not (current().repository / "ops/store.toml").is_file():
        return otherwise
    from rung_ops.data.object_store import client

    return client.remote_advice()


def _dvc(*arguments: str) -> int:
    """Run DVC; print its errors, which it keeps to itself with --quiet."""
    done = dvc.run(current().root, *arguments)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        print(*map(printable, errors), sep="\n", file=sys.stderr)
    return done.returncode


def tracked_raw_files() -> list[Path]:
    """List the raw files in data/incoming that git holds, or will hold with the next commit."""
    known = {current().root / name for name in _listed("--", shown(current().incoming))}
    return [path for path in raw_files() if path in known]


def tracked(path: Path) -> str:
    """Say that git holds a raw file, and what to do."""
    return (
        f"{shown(path)} is in git, so DVC cannot version it, and its rows stay in the history once "
        f"they are committed. `git rm --cached {shown(path)}` takes it out of git and leaves the "
        "file here."
    )


def conflicts() -> list[str]:
    """Say which records of the data a merge has left in conflict, and where it is settled."""
    unmerged = _listed("--unmerged", "--", "*dvc.lock", shown(current().incoming))
    names = sorted({entry.partition("\t")[2] for entry in unmerged})
    page = shown(current().incoming / "README.md")
    return [
        f"{printable(name)} is a merge conflict: {page} says how to settle it." for name in names
    ]


def _listed(*arguments: str) -> list[str]:
    return [entry for entry in _git("ls-files", "-z", *arguments).split("\0") if entry]


def _ignored(files: list[Path]) -> Iterator[str]:
    """Say which line of a .gitignore keeps a file's record out of git."""
    for path in files:
        record = dvc.record(path)
        matched = _git("check-ignore", "--verbose", "--non-matching", "--", str(record))
        file, _, rule = matched.partition("\t")[0].partition(":")
        line, _, pattern = rule.partition(":")
        if file and not pattern.startswith("!"):
            yield (
                f"{shown(record)}, the record that is committed, is ignored by git: line {line} of "
                f"{file} is `{pattern}`. Take that line out, or write what it is meant for, such as "
                "`/data/*.parquet`."
            )


def _git(*arguments: str) -> str:
    """Return what git prints; nothing if there is no repository, as DVC says so itself."""
    return git.run(current().root, *arguments).stdout
