"""Run the monitor or the autopilot in a pod: `rung-ops kubernetes scheduled VERB`.

The pod has cloned the repository; its image has git and the packages (ops.Dockerfile). Reports are
copied beside the prediction log, because the clone is deleted with the pod.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from rung_ops import prediction_log
from rung_ops.autopilot import commits
from rung_ops.command import verb
from rung_ops.errors import StageError, UsageError
from rung_ops.project import current
from rung_ops.system.processes import poe

VERBS = ("monitor", "autopilot")
LOCK = "PACKAGES_LOCK"  # variable: path of the uv.lock that the image was built from


@verb("rung-ops kubernetes scheduled", epilog="Exit code: that of the verb. 2: it could not start.")
@click.argument("scheduled", type=click.Choice(VERBS), metavar="VERB")
def main(scheduled: str) -> int:
    """Run the monitor or the autopilot in a pod."""
    try:
        same_packages()
        if scheduled == "autopilot":
            merge_earlier_passes()
            pull()
    except (UsageError, StageError) as error:
        raise UsageError(f"{scheduled} did not start: {error}") from error
    options = ["--if-deployed"] if scheduled == "monitor" else []
    words = poe(scheduled, *options)
    code = subprocess.run(words, cwd=current().root, check=False).returncode
    keep_reports(scheduled)
    return code


def same_packages() -> None:
    """Check that the image has the packages of the commit."""
    built = Path(os.environ.get(LOCK) or "/app/uv.lock")
    wanted = current().root / "uv.lock"
    if not built.is_file() or not wanted.is_file() or built.read_bytes() != wanted.read_bytes():
        raise UsageError(
            "the image was built from another uv.lock than that of this commit. Build it again "
            "(deploy/kubernetes/ops.Dockerfile), and set its tag in "
            "deploy/kubernetes/overlays/scheduled/kustomization.yaml."
        )


def merge_earlier_passes() -> None:
    """Merge the branch that earlier passes pushed to, if there is one."""
    target = os.environ.get("AUTOPILOT_PUSH", "").split()
    if len(target) != 2:
        return  # the autopilot reports an invalid value
    branch = "/".join(target)
    if commits.git("branch", "--remotes", "--list", branch).strip():
        commits.git(
            *(*commits.UNSIGNED, "merge", "--quiet", "--no-edit"), "--strategy-option=ours", branch
        )


def pull() -> None:
    """Fetch the versioned data."""
    if not commits.git("ls-files", "*.dvc").strip():
        return
    if subprocess.run(poe("pull"), cwd=current().root, check=False).returncode != 0:
        raise UsageError(
            "the versioned data cannot be pulled: see what DVC said above. The remote in "
            ".dvc/config has to be reachable from pods."
        )


def keep_reports(verb: str) -> None:
    """Copy the reports to reports/VERB beside the logs, replacing earlier ones."""
    if not current().reports.is_dir():
        return
    logs = prediction_log.folder("production").parents[1]
    try:
        shutil.copytree(current().reports, logs / "reports" / verb, dirs_exist_ok=True)
    except OSError as error:  # does not change the exit code of the verb
        print(f"The reports could not be copied: {error}", file=sys.stderr)
