"""Push the autopilot's commits, with the rows that they name, to where the next checkout starts.

AUTOPILOT_PUSH names remote and branch, as "origin main"; unset, commits stay in this checkout.
"""

import os
import subprocess
from pathlib import Path

from rung_ops.autopilot import commits
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.project.paths import INCOMING, REPOSITORY, ROOT, shown

VARIABLE = "AUTOPILOT_PUSH"


def publish() -> str | None:
    """Push what this checkout has committed; nothing happens where it is there already.

    Returns:
        Remote and branch; None where AUTOPILOT_PUSH is unset.

    Raises:
        StepFailed: the rows or the commits did not arrive.
    """
    target = os.environ.get(VARIABLE, "").split()
    if not target:
        return None
    if len(target) != 2:
        raise StepFailed(
            f'{VARIABLE} is "{" ".join(target)}"; give remote and branch, as "origin main".'
        )
    _push_rows()
    remote, branch = target
    try:
        commits.git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    except StepFailed:
        _take_in(remote, branch)
        commits.git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
    return f"{remote} {branch}"


def _push_rows() -> None:
    """Send the rows first: a commit that names rows that cannot be fetched stops later passes."""
    records = [shown(path) for path in sorted(INCOMING.glob("served-*.parquet.dvc"))]
    if not records:
        return
    _, *places = _dvc("remote", "list").split() or [""]
    if not places:
        raise StepFailed(
            "DVC knows no remote, and the commits name rows that others have to fetch. "
            "`uv run dvc remote add --default data ...` names a place that everybody reaches."
        )
    place = Path(places[0])
    if place.is_absolute() and place.resolve().is_relative_to(REPOSITORY):
        raise StepFailed(
            f"DVC's remote is {shown(place)}, a folder of this checkout, and the commits go to "
            "others: they would not find the rows. `uv run dvc remote modify local url ...` names "
            "a place that everybody reaches."
        )
    _dvc("push", "--quiet", *records)


def _take_in(remote: str, branch: str) -> None:
    """Merge what others pushed meanwhile, so that the commit of the release stays what it is."""
    commits.git("fetch", "--quiet", remote, branch)
    try:
        commits.git(*commits.UNSIGNED, "merge", "--quiet", "--no-edit", "FETCH_HEAD")
    except StepFailed:
        commits.git("merge", "--abort")
        raise StepFailed(
            f"Others pushed to {remote} {branch} what contradicts this pass's commits. Merge "
            "by hand and push, then `poe autopilot` goes on."
        ) from None


def _dvc(*arguments: str) -> str:
    done = subprocess.run(
        ["dvc", *arguments], cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        raise StepFailed(f"`dvc {' '.join(arguments[:2])}` failed: {said}")
    return done.stdout
