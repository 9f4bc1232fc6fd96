"""Commits of the autopilot: under its own name, and of its own files only.

A model is traced to a commit, so its training data are committed before it is trained. The autopilot
never changes uncommitted work of people: it refuses to train until that is committed or reverted.
"""

from pathlib import Path

from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.project.paths import others, shown
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
        StepFailed: there are some.
    """
    changes = foreign_changes(resumed)
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise StepFailed(
            f"Some files have uncommitted changes: {', '.join(changes[:5])}{more}. A model is "
            "traced to a commit: commit or revert them (`git status` lists them), then run "
            "`poe autopilot` again."
        )


def commit(message: str) -> str:
    """Commit the autopilot's own files, if one has changed.

    Returns:
        The hash of the new commit, or of HEAD if nothing has changed.

    Raises:
        StepFailed: git refused, as a hook may do.
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
    except StepFailed:
        return False
    return True


def is_committed(path: Path) -> bool:
    """Return whether HEAD contains a file."""
    try:
        git("cat-file", "-e", f"HEAD:./{shown(path)}")
    except StepFailed:
        return False
    return True


def git(*arguments: str) -> str:
    """Run git in the project as the autopilot; return its output.

    Raises:
        StepFailed: it failed; the message repeats its output.
    """
    done = run_git(current().root, *arguments, variables=IDENTITY)
    if done.returncode != 0:
        output = (done.stderr + done.stdout).strip()
        raise StepFailed(f"`git {' '.join(arguments[:6])}` failed: {output}")
    return done.stdout
