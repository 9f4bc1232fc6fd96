"""Check new files in data/incoming, then version them with DVC; or fetch the versioned ones."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml

from rung_ops.command import verb
from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.project.paths import links_refused, raw_files, shown
from rung_ops.system import git
from rung_ops.system.files import md5
from rung_ops.system.printable import counted, printable

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl


def versioned() -> list[Path]:
    """List the .dvc files in data/incoming."""
    return sorted(current().incoming.rglob("*.dvc"))


def changed_files() -> list[Path]:
    """List the raw files in data/incoming that DVC does not know, or knows otherwise."""
    files = [path for path in raw_files() if path.is_relative_to(current().incoming)]
    known = {dvc.with_suffix("") for dvc in versioned()}
    new = [path for path in files if path not in known]
    return sorted({*new, *_edited([path for path in files if path in known])})


def _edited(files: list[Path]) -> list[Path]:
    edited = []
    for path in files:
        record = Path(f"{path}.dvc")
        known = yaml.safe_load(record.read_text(encoding="utf-8"))["outs"][0]
        if path.stat().st_size == known["size"] and path.stat().st_mtime < record.stat().st_mtime:
            continue  # older than its record: unchanged since
        if md5(path) != known["md5"]:
            edited.append(path)
    return edited


def problems_of(files: list[Path]) -> list[str]:
    """Say what is wrong with files, each on its own and beside the others."""
    # Imported here, as they load polars and the user's code: nothing new, nothing loaded.
    from rung_ops import contract
    from rung_ops.contract.raw_file import UnreadableFileError, read
    from rung_ops.contract.row_checks import inspect_labelled

    schema = contract.Row.to_schema()
    errors: list[str] = []
    keys: dict[Path, tuple[pl.DataFrame, list[int]]] = {}
    for path in files:
        try:
            frame = read(path)
        except UnreadableFileError as error:
            errors.append(str(error))
            continue
        typed, problems, numbers = inspect_labelled(frame, shown(path))
        errors += map(str, problems)
        keys[path] = typed.select(schema.unique or []), numbers
    return errors or (_repeated(keys, schema) if schema.unique else [])


def _repeated(
    new: "dict[Path, tuple[pl.DataFrame, list[int]]]", schema: "pa.DataFrameSchema"
) -> list[str]:
    """Say which rows of new files another file has too, as validate would.

    Args:
        new: the keys of their rows, with the rows' numbers.
        schema: of Row.
    """
    import polars as pl

    from rung_ops.contract.raw_file import UnreadableFileError, read
    from rung_ops.contract.row_checks import labelled
    from rung_ops.data.ingest import keys_in_two_files

    key = [
        pl.col(name).cast(schema.columns[name].dtype.type, strict=False) for name in schema.unique
    ]
    keys = dict(new)
    for path in (path for path in raw_files() if path not in new):
        try:
            frame = read(path)
            known = labelled(frame)
            keys[path] = frame.filter(known).select(key), [row + 1 for row in known.arg_true()]
        except (UnreadableFileError, pl.exceptions.PolarsError):
            continue  # an earlier file: validate says what is wrong with it
    sources = [shown(path) for path in keys]
    frames, numbers = map(list, zip(*keys.values(), strict=True))
    problems = keys_in_two_files(frames, numbers, sources, schema.unique)
    return [str(problem) for problem in problems if problem.source in sources[: len(new)]]


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
    files = changed_files()
    if refused := _not_here() or _cannot_be_versioned(files):
        return _refused(refused)
    if not files:
        return 0
    if not also_here and (known := list(_of_other_branches(files))):
        print(
            *known,
            "Move them away, or version them here, too: `uv run poe incoming --also-here`.",
            sep="\n",
            file=sys.stderr,
        )
        return _refused([])
    if problems := problems_of(files):
        advice = "Fix the rows in the file, or the rule in dataset.py."
        print(*problems, f"Nothing was versioned or trained. {advice}", sep="\n", file=sys.stderr)
        return 1
    code = _dvc("add", *(shown(path) for path in files))
    if code == 0:
        print(f"versioned {counted(len(files), 'file')}; commit data/incoming")
        if _dvc("push", *(f"{shown(path)}.dvc" for path in files)) != 0:
            print(
                "The files are versioned here, but did not reach the remote that .dvc/config "
                f"names. {_advice('Is it there?')} `{_push()}` tries again.",
                file=sys.stderr,
            )
    return code


def _refused(reasons: list[str]) -> int:
    print(*reasons, "Nothing was versioned or trained.", sep="\n", file=sys.stderr)
    return 1


def _not_here() -> list[str]:
    away = [dvc for dvc in versioned() if not dvc.with_suffix("").exists()]
    if not away:
        return []
    more = f" and {len(away) - 1} more" if len(away) > 1 else ""
    return [
        f"{shown(away[0].with_suffix(''))}{more} is versioned, and not here: `uv run poe pull` "
        "fetches it."
    ]


def _cannot_be_versioned(files: list[Path]) -> list[str]:
    """Say which new files DVC cannot take, whatever their rows are."""
    unfit = [
        f"{shown(path)}: rename this file; names in data/incoming hold printable letters only."
        for path in files
        if not path.name.isprintable()
    ]
    return links_refused() or unfit or git_problems(files)


def _of_other_branches(files: list[Path]) -> Iterator[str]:
    """Say which new files a commit elsewhere has versioned with the same content."""
    for path in files:
        record = f"{shown(path)}.dvc"
        newest = _git(
            "log", "--all", "--max-count=1", "--diff-filter=AM", "--format=%h", "--", record
        )
        if not (commit := newest.strip()):
            continue
        text = _git("show", f"{commit}:./{record}")
        if md5(path) not in text:
            continue  # another file of that name
        options = ("--count=1", "--format=%(refname:short)", f"--contains={commit}")
        branch = _git("for-each-ref", *options, "refs/heads", "refs/remotes").strip()
        where = f"branch {branch}, commit {commit}" if branch else f"commit {commit}"
        yield f"{shown(path)} is versioned by {printable(where)}, and not on this branch."


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
    listed = _git("ls-files", "-z", "--", shown(current().incoming)).split("\0")
    known = {current().root / name for name in listed if name}
    return [
        path for path in raw_files() if path.is_relative_to(current().incoming) and path in known
    ]


def git_problems(files: Sequence[Path]) -> list[str]:
    """Say which raw files DVC cannot version because of git, and what to do."""
    known = set(tracked_raw_files())
    pointers = [tracked(path) for path in files if path in known]
    return pointers + [_ignored(rule, path) for path in files if (rule := _rule_against(path))]


def tracked(path: Path) -> str:
    """Say that git holds a raw file, and what to do."""
    return (
        f"{shown(path)} is in git, so DVC cannot version it, and its rows stay in the history once "
        f"they are committed. `git rm --cached {shown(path)}` takes it out of git and leaves the "
        "file here."
    )


def conflicts() -> list[str]:
    """Say which records of the data a merge has left in conflict, and where it is settled."""
    listed = _git(
        "ls-files", "-z", "--unmerged", "--", "*dvc.lock", shown(current().incoming)
    ).split("\0")
    names = sorted({entry.partition("\t")[2] for entry in listed if entry})
    page = shown(current().incoming / "README.md")
    return [
        f"{printable(name)} is a merge conflict: {page} says how to settle it." for name in names
    ]


def _rule_against(path: Path) -> str:
    """Find the line of a .gitignore that keeps a file's record out of git; empty for none."""
    matched = _git("check-ignore", "--verbose", "--non-matching", "--", f"{path}.dvc")
    rule = matched.partition("\t")[0]
    pattern = rule.split(":", 2)[-1]
    return "" if rule == "::" or pattern.startswith("!") else rule


def _ignored(rule: str, path: Path) -> str:
    file, line, pattern = rule.split(":", 2)
    return (
        f"{shown(path)}.dvc, the record that is committed, is ignored by git: line {line} of {file} "
        f"is `{pattern}`. Take that line out, or write what it is meant for, such as "
        "`/data/*.parquet`."
    )


def _git(*arguments: str) -> str:
    """Return what git prints; nothing if there is no repository, as DVC says so itself."""
    return git.run(current().root, *arguments).stdout
