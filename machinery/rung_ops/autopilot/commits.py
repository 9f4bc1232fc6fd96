"""Commits of the autopilot: under its own name, of its own files only, pushed where others expect them."""

import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import yaml

from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import others, shown
from rung_ops.system import files
from rung_ops.system.git import run as run_git

# Environment variables, because they override git's options, and CI may set them.
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "autopilot"), ("EMAIL", "autopilot@localhost"))
}
UNSIGNED = ("-c", "commit.gpgsign=false")
# Files that the autopilot writes, beside the outputs of DVC stages.
RAW = (
    "data/incoming/served-*.parquet",
    "data/incoming/.served-*.parquet",  # half written
)
OWN = (*RAW, "data/incoming/served-*.parquet.dvc")
IGNORED = "data/incoming/.gitignore"  # DVC keeps it


def _changed() -> list[str]:
    """List uncommitted changes, as paths in the project."""
    options = ("--porcelain", "--untracked-files=all", "-z", "--no-renames")
    excluded = [f":(exclude){folder}" for folder in others()]
    listed = git("status", *options, "--", ".", *excluded).split("\0")
    # Git lists paths from the top of the repository, which may be above the project.
    above = git("rev-parse", "--show-prefix").strip()
    return [entry[3:].removeprefix(above) for entry in listed if entry]


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(Path(path).match(pattern) for pattern in patterns)


def _own(changed: list[str]) -> list[str]:
    """Select the files that the autopilot writes."""
    stages = dvc.stage_outputs(current().root)
    return [
        path
        for path in changed
        if path == IGNORED or _matches(path, OWN) or dvc.is_stage_output(path, stages)
    ]


def foreign_changes(resumed: bool) -> list[str]:
    """List uncommitted changes of others; those of a pass that is resumed may be the autopilot's own."""
    changed = _changed()
    own = _own(changed) if resumed else []
    return [path for path in changed if path not in own]


def refuse_foreign_changes(resumed: bool) -> None:
    """Refuse uncommitted changes of people."""
    if changes := foreign_changes(resumed):
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise StageError(
            f"Some files have uncommitted changes: {', '.join(changes[:5])}{more}. A model is "
            "traced to a commit: commit or revert them (`git status` lists them), then run "
            "`poe autopilot` again."
        )


def commit(message: str) -> str:
    """Commit the autopilot's own files, if one has changed; return the new commit, or HEAD."""
    if paths := [path for path in _own(_changed()) if not _matches(path, RAW)]:
        git("add", "--", *paths)
        git(*UNSIGNED, "commit", "--quiet", "--message", message, "--", *paths)
    return head()


def commit_file(path: str, message: str) -> str:
    """Commit a single file that people own, too, if it has changed; return the new commit, or HEAD."""
    if git("status", "--porcelain", "--", path):
        git(*UNSIGNED, "commit", "--quiet", "--message", message, "--", path)
    return head()


def restore() -> list[str]:
    """Restore the autopilot's own files from the last commit; return them, as paths in the project."""
    changed = _own(_changed())
    for path in changed:
        if is_committed(current().root / path):
            git("checkout", "--quiet", "HEAD", "--", path)
        else:
            (current().root / path).unlink(missing_ok=True)
    return changed


def head() -> str:
    """Return the hash of HEAD."""
    return git("rev-parse", "HEAD").strip()


def contains(commit: str) -> bool:
    """Return whether a commit is HEAD or an ancestor of it."""
    return _git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0


def is_committed(path: Path) -> bool:
    """Return whether HEAD contains a file."""
    return _git("cat-file", "-e", f"HEAD:./{shown(path)}").returncode == 0


def git(*arguments: str) -> str:
    """Run git in the project as the autopilot; return its output."""
    return _output(_git(*arguments), f"git {' '.join(arguments[:6])}")


def _git(*arguments: str) -> CompletedProcess[str]:
    return run_git(current().root, *arguments, variables=IDENTITY)


def _output(done: CompletedProcess[str], command: str) -> str:
    if done.returncode != 0:
        raise StageError(f"`{command}` failed: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def mark_refused(file: str, version: str, reasons: Sequence[str]) -> Path:
    """Note in the committed record of served rows, under DVC's `meta`, that the gate refused them."""
    path = current().root / f"{file}.dvc"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    verdict = {"refused": f"version {version}", "reasons": list(reasons)}
    record["meta"] = (record.get("meta") or {}) | {"gate": verdict}
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    files.write(path, text.encode())
    commit(f"data: mark {shown(path)}, as the gate refused version {version}")
    return path


VARIABLE = "AUTOPILOT_PUSH"


def publish() -> str | None:
    """Push the commits of this checkout to the remote and branch of AUTOPILOT_PUSH, if that is set."""
    target = os.environ.get(VARIABLE, "").split()
    if not target:
        return None
    if len(target) != 2:
        raise StageError(
            f'{VARIABLE}: got "{" ".join(target)}"; expected remote and branch, such as "origin main".'
        )
    _push_rows()
    remote, branch = target
    try:
        git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    except StageError:
        _merge_remote(remote, branch)
        git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    return f"{remote} {branch}"


def _push_rows() -> None:
    """Push the rows first: later passes fail on a commit whose rows cannot be fetched."""
    records = [shown(path) for path in sorted(current().incoming.glob("served-*.parquet.dvc"))]
    if not records:
        return
    # Asked for value by value: the lines of `dvc remote list` are wrapped at 80 columns.
    name = _dvc("config", "core.remote").strip()
    if not name:
        raise StageError(
            "DVC has no default remote, but the pushed commits refer to rows that others must "
            "fetch. Add a shared remote: `uv run dvc remote add --default data ...`."
        )
    remote = Path(_dvc("config", f"remote.{name}.url").strip())
    if remote.is_absolute() and remote.resolve().is_relative_to(current().repository):
        raise StageError(
            f"DVC's remote is {shown(remote)}, a folder of this checkout, so others could not "
            "fetch the rows of the pushed commits. Set a shared remote: "
            f"`uv run dvc remote modify {name} url ...`."
        )
    _dvc("push", "--quiet", *records)


def _merge_remote(remote: str, branch: str) -> None:
    """Merge commits that others pushed meanwhile; a rebase would change the release's commit."""
    git("fetch", "--quiet", remote, branch)
    try:
        git(*UNSIGNED, "merge", "--quiet", "--no-edit", "FETCH_HEAD")
    except StageError:
        git("merge", "--abort")
        raise StageError(
            f"Commits on {remote} {branch} conflict with those of this pass. Merge by hand and "
            "push, then run `poe autopilot` to continue."
        ) from None


def _dvc(*arguments: str) -> str:
    return _output(dvc.run(current().root, *arguments), f"dvc {' '.join(arguments[:2])}")
