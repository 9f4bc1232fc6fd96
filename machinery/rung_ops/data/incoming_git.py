"""What git has to do with the files in data/incoming: their rows belong to DVC, their records to git."""

from collections.abc import Sequence
from pathlib import Path

from rung_ops.project import current
from rung_ops.project.paths import raw_files, shown
from rung_ops.system import git
from rung_ops.system.printable import printable


def tracked_raw_files() -> list[Path]:
    """List the raw files in data/incoming that git holds, or will hold with the next commit."""
    listed = _git("ls-files", "-z", "--", shown(current().incoming)).split("\0")
    known = {current().root / name for name in listed if name}
    return [
        path for path in raw_files() if path.is_relative_to(current().incoming) and path in known
    ]


def problems(files: Sequence[Path]) -> list[str]:
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
