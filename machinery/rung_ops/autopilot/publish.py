"""Push the autopilot's commits and the data that they refer to.

AUTOPILOT_PUSH names remote and branch, such as "origin main"; unset, commits stay in this checkout.
"""

import os
from pathlib import Path

from rung_ops.autopilot import commits
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.project.paths import shown

VARIABLE = "AUTOPILOT_PUSH"


def publish() -> str | None:
    """Push the commits of this checkout, if they were not pushed before.

    Returns:
        Remote and branch; None if AUTOPILOT_PUSH is unset.

    Raises:
        StepFailed: the rows or the commits could not be pushed.
    """
    target = os.environ.get(VARIABLE, "").split()
    if not target:
        return None
    if len(target) != 2:
        raise StepFailed(
            f'{VARIABLE}: got "{" ".join(target)}"; expected remote and branch, such as "origin main".'
        )
    _push_rows()
    remote, branch = target
    try:
        commits.git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    except StepFailed:
        _merge_remote(remote, branch)
        commits.git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    return f"{remote} {branch}"


def _push_rows() -> None:
    """Push the rows first: later passes fail on a commit whose rows cannot be fetched."""
    records = [shown(path) for path in sorted(current().incoming.glob("served-*.parquet.dvc"))]
    if not records:
        return
    # Asked for value by value: the lines of `dvc remote list` are wrapped at 80 columns.
    name = _dvc("config", "core.remote").strip()
    if not name:
        raise StepFailed(
            "DVC has no default remote, but the pushed commits refer to rows that others must "
            "fetch. Add a shared remote: `uv run dvc remote add --default data ...`."
        )
    remote = Path(_dvc("config", f"remote.{name}.url").strip())
    if remote.is_absolute() and remote.resolve().is_relative_to(current().repository):
        raise StepFailed(
            f"DVC's remote is {shown(remote)}, a folder of this checkout, so others could not "
            "fetch the rows of the pushed commits. Set a shared remote: "
            f"`uv run dvc remote modify {name} url ...`."
        )
    _dvc("push", "--quiet", *records)


def _merge_remote(remote: str, branch: str) -> None:
    """Merge commits that others pushed meanwhile; a rebase would change the release's commit."""
    commits.git("fetch", "--quiet", remote, branch)
    try:
        commits.git(*commits.UNSIGNED, "merge", "--quiet", "--no-edit", "FETCH_HEAD")
    except StepFailed:
        commits.git("merge", "--abort")
        raise StepFailed(
            f"Commits on {remote} {branch} conflict with those of this pass. Merge by hand and "
            "push, then run `poe autopilot` to continue."
        ) from None


def _dvc(*arguments: str) -> str:
    done = dvc.run(current().root, *arguments)
    if done.returncode != 0:
        output = (done.stderr + done.stdout).strip()
        raise StepFailed(f"`dvc {' '.join(arguments[:2])}` failed: {output}")
    return done.stdout
