"""The autopilot's own commits: under its own name, of its own files, and of nothing else.

A model is traced back to a commit, so the data that it learns from is committed before it is
trained. Whatever a person has not committed is never touched: the autopilot refuses to train
until that is settled.
"""

import os
import subprocess
from pathlib import Path

from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.data import dvc_stages
from rung_ops.project.paths import ROOT, others, shown

# Variables, as they count for more than the options of git, and a CI machine may set them too.
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "autopilot"), ("EMAIL", "autopilot@localhost"))
}
UNSIGNED = ("-c", "commit.gpgsign=false")
# What the autopilot writes into the repository, beside what DVC's stages write.
RECORDS = "data/incoming/served-*.parquet.dvc"
RAW = (
    "data/incoming/served-*.parquet",
    "data/incoming/.served-*.parquet",  # half written
)
IGNORED = "data/incoming/.gitignore"  # DVC keeps it


def others_changes(resumed: bool) -> list[str]:
    """Name what is changed here and not committed, and is not the autopilot's own.

    Args:
        resumed: the pass has begun to write before, so its files may be among the changed ones.
    """
    options = ("--porcelain", "--untracked-files=all", "-z", "--no-renames")
    theirs = [f":(exclude){folder}" for folder in others()]
    listed = git("status", *options, "--", ".", *theirs).split("\0")
    # Git names paths from the top of the repository, of which the project may be a folder.
    above = git("rev-parse", "--show-prefix").strip()
    changed = [entry[3:].removeprefix(above) for entry in listed if entry]
    if not resumed:
        return changed
    stages = dvc_stages.written(ROOT)
    return [path for path in changed if not is_own(path, stages)]


def is_own(path: str, stages: set[str]) -> bool:
    """Tell whether a file, named relative to the project, is one that the autopilot writes.

    Args:
        path: of the file.
        stages: what DVC's stages write, from dvc_stages.written().
    """
    ours = path == IGNORED or any(Path(path).match(pattern) for pattern in (RECORDS, *RAW))
    return ours or dvc_stages.is_written(path, stages)


def refuse_others(resumed: bool) -> None:
    """Refuse to go on where a person has uncommitted changes.

    Raises:
        StepFailed: there are some.
    """
    found = others_changes(resumed)
    if found:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise StepFailed(
            f"Some files here are changed and not committed: {', '.join(found[:5])}{more}. "
            "A model is traced back to a commit: commit or revert them "
            "(`git status` lists them), then run `poe autopilot` again."
        )


def commit(message: str) -> str:
    """Commit the autopilot's own files, where one has changed.

    Returns:
        The commit that now holds them: the new one, or the one that was there.

    Raises:
        StepFailed: git refused, as a hook may do.
    """
    stages = dvc_stages.written(ROOT)
    paths = [
        path
        for path in others_changes(resumed=False)
        if is_own(path, stages) and not any(Path(path).match(pattern) for pattern in RAW)
    ]
    if paths:
        git("add", "--", *paths)
        git(*UNSIGNED, "commit", "--quiet", "--message", message, "--", *paths)
    return head()


def restore() -> list[str]:
    """Put the autopilot's own files back to what the last commit holds.

    Returns:
        Those that had changed, named relative to the project.
    """
    stages = dvc_stages.written(ROOT)
    changed = [path for path in others_changes(resumed=False) if is_own(path, stages)]
    for path in changed:
        if is_committed(ROOT / path):
            git("checkout", "--quiet", "HEAD", "--", path)
        else:
            (ROOT / path).unlink(missing_ok=True)
    return changed


def head() -> str:
    """Name the commit that is checked out."""
    return git("rev-parse", "HEAD").strip()


def holds(commit: str) -> bool:
    """Tell whether what is checked out comes after a commit, or is that commit."""
    try:
        git("merge-base", "--is-ancestor", commit, "HEAD")
    except StepFailed:
        return False
    return True


def is_committed(path: Path) -> bool:
    """Tell whether the last commit holds a file."""
    try:
        git("cat-file", "-e", f"HEAD:./{shown(path)}")
    except StepFailed:
        return False
    return True


def git(*arguments: str) -> str:
    """Run git in the project as the autopilot, and return what it printed.

    Raises:
        StepFailed: it failed; the message repeats what it said.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        env=os.environ | IDENTITY,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        raise StepFailed(f"`git {' '.join(arguments[:6])}` failed: {said}")
    return done.stdout
