"""Commits of the autopilot: under its own name, of its own files only, and pushed where others expect them.

A model is traced to a commit, so its training data are committed before it is trained. The autopilot
never changes uncommitted work of people: it refuses to train until that is committed or reverted.

AUTOPILOT_PUSH names remote and branch, such as "origin main"; unset, commits stay in this checkout.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from rung_ops.autopilot.step_runner import StepError
from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.project.paths import others, shown
from rung_ops.system import atomic
from rung_ops.system.git import run as run_git

# Environment variables, because they override git's options, and CI may set them.
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "autopilot"), ("EMAIL", "autopilot@localhost"))
}
UNSIGNED = ("-c", "commit.gpgsign=false")
# Files that the autopilot writes into the repository, beside the outputs of DVC stages.
RECORDS = "data/incoming/served-*.parquet.dvc"
RAW = (
    "data/incoming/served-*.parquet",
    "data/incoming/.served-*.parquet",  # half written
)
IGNORED = "data/incoming/.gitignore"  # DVC keeps it


def foreign_changes(resumed: bool) -> list[str]:
    """List uncommitted changes that are not the autopilot's own.

    Args:
        resumed: whether the pass was started before, so that its own files may have changed.
    """
    options = ("--porcelain", "--untracked-files=all", "-z", "--no-renames")
    excluded = [f":(exclude){folder}" for folder in others()]
    listed = git("status", *options, "--", ".", *excluded).split("\0")
    # Git lists paths from the top of the repository, which may be above the project.
    above = git("rev-parse", "--show-prefix").strip()
    changed = [entry[3:].removeprefix(above) for entry in listed if entry]
    if not resumed:
        return changed
    stages = dvc.stage_outputs(current().root)
    return [path for path in changed if not is_own(path, stages)]


def is_own(path: str, stages: set[str]) -> bool:
    """Return whether the autopilot writes a file.

    Args:
        path: of the file in the project.
        stages: outputs of DVC stages, from dvc.stage_outputs().
    """
    own = path == IGNORED or any(Path(path).match(pattern) for pattern in (RECORDS, *RAW))
    return own or dvc.is_stage_output(path, stages)


def refuse_foreign_changes(resumed: bool) -> None:
    """Check that there are no uncommitted changes of people.

    Raises:
        StepError: there are some.
    """
    changes = foreign_changes(resumed)
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise StepError(
            f"Some files have uncommitted changes: {', '.join(changes[:5])}{more}. A model is "
            "traced to a commit: commit or revert them (`git status` lists them), then run "
            "`poe autopilot` again."
        )


def commit(message: str) -> str:
    """Commit the autopilot's own files, if one has changed.

    Returns:
        The hash of the new commit, or of HEAD if nothing has changed.

    Raises:
        StepError: git refused, as a hook may do.
    """
    stages = dvc.stage_outputs(current().root)
    paths = [
        path
        for path in foreign_changes(resumed=False)
        if is_own(path, stages) and not any(Path(path).match(pattern) for pattern in RAW)
    ]
    if paths:
        git("add", "--", *paths)
        git(*UNSIGNED, "commit", "--quiet", "--message", message, "--", *paths)
    return head()


def commit_file(path: str, message: str) -> str:
    """Commit a single file, if it has changed.

    Args:
        path: of a file in the project that people own, too.
        message: of the commit.

    Returns:
        The hash of the new commit, or of HEAD if nothing has changed.

    Raises:
        StepError: git refused, as a hook may do.
    """
    if git("status", "--porcelain", "--", path):
        git(*UNSIGNED, "commit", "--quiet", "--message", message, "--", path)
    return head()


def committed_text(path: str) -> str:
    """Return the text that HEAD has of a file in the project."""
    return git("show", f"HEAD:./{path}")


def restore() -> list[str]:
    """Restore the autopilot's own files from the last commit.

    Returns:
        The restored files, as paths in the project.
    """
    stages = dvc.stage_outputs(current().root)
    changed = [path for path in foreign_changes(resumed=False) if is_own(path, stages)]
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
    try:
        git("merge-base", "--is-ancestor", commit, "HEAD")
    except StepError:
        return False
    return True


def is_committed(path: Path) -> bool:
    """Return whether HEAD contains a file."""
    try:
        git("cat-file", "-e", f"HEAD:./{shown(path)}")
    except StepError:
        return False
    return True


def git(*arguments: str) -> str:
    """Run git in the project as the autopilot; return its output.

    Raises:
        StepError: it failed; the message repeats its output.
    """
    done = run_git(current().root, *arguments, variables=IDENTITY)
    if done.returncode != 0:
        output = (done.stderr + done.stdout).strip()
        raise StepError(f"`git {' '.join(arguments[:6])}` failed: {output}")
    return done.stdout


KEY = "gate"


def mark_refused(file: str, version: str, reasons: Sequence[str]) -> Path:
    """Note in the record of a file, under DVC's `meta`, that the gate refused its version; commit it.

    Args:
        file: served rows, relative to the project.
        version: that was trained with them.
        reasons: of the gate.

    Returns:
        The record.

    Raises:
        StepError: git refused the commit.
    """
    path = current().root / f"{file}.dvc"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    verdict = {"refused": f"version {version}", "reasons": list(reasons)}
    record["meta"] = (record.get("meta") or {}) | {KEY: verdict}
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    atomic.write(path, text.encode())
    commit(f"data: mark {shown(path)}, as the gate refused version {version}")
    return path


VARIABLE = "AUTOPILOT_PUSH"


def publish() -> str | None:
    """Push the commits of this checkout, if they were not pushed before.

    Returns:
        Remote and branch; None if AUTOPILOT_PUSH is unset.

    Raises:
        StepError: the rows or the commits could not be pushed.
    """
    target = os.environ.get(VARIABLE, "").split()
    if not target:
        return None
    if len(target) != 2:
        raise StepError(
            f'{VARIABLE}: got "{" ".join(target)}"; expected remote and branch, such as "origin main".'
        )
    _push_rows()
    remote, branch = target
    try:
        git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    except StepError:
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
        raise StepError(
            "DVC has no default remote, but the pushed commits refer to rows that others must "
            "fetch. Add a shared remote: `uv run dvc remote add --default data ...`."
        )
    remote = Path(_dvc("config", f"remote.{name}.url").strip())
    if remote.is_absolute() and remote.resolve().is_relative_to(current().repository):
        raise StepError(
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
    except StepError:
        git("merge", "--abort")
        raise StepError(
            f"Commits on {remote} {branch} conflict with those of this pass. Merge by hand and "
            "push, then run `poe autopilot` to continue."
        ) from None


def _dvc(*arguments: str) -> str:
    done = dvc.run(current().root, *arguments)
    if done.returncode != 0:
        output = (done.stderr + done.stdout).strip()
        raise StepError(f"`dvc {' '.join(arguments[:2])}` failed: {output}")
    return done.stdout
