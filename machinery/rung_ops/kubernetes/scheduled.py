"""Run the monitor or the autopilot in a pod: `rung-ops kubernetes scheduled VERB`.

The pod has cloned the repository; its image has git and the packages (ops.Dockerfile). Reports are
copied beside the prediction log, because the clone is deleted with the pod.

Exit code: that of the verb. 2: it could not start.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rung_ops import prediction_log
from rung_ops.autopilot import commits
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.project import current

VERBS = ("monitor", "autopilot")
LOCK = "PACKAGES_LOCK"  # variable: path of the uv.lock that the image was built from
NOT_STARTED = 2  # exit code


class CannotBegin(Exception):
    """The pod cannot run the verb; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=VERBS)
    verb = parser.parse_args(arguments).verb
    try:
        same_packages()
        if verb == "autopilot":
            merge_earlier_passes()
            pull()
    except (CannotBegin, StepFailed) as error:
        print(f"{verb} did not start: {error}", file=sys.stderr)
        return NOT_STARTED
    options = ["--if-deployed"] if verb == "monitor" else []
    code = subprocess.run([*_poe(), verb, *options], cwd=current().root, check=False).returncode
    keep_reports(verb)
    return code


def same_packages() -> None:
    """Check that the image has the packages of the commit.

    Raises:
        CannotBegin: it was built from another uv.lock.
    """
    built = Path(os.environ.get(LOCK) or "/app/uv.lock")
    wanted = current().root / "uv.lock"
    if not built.is_file() or not wanted.is_file() or built.read_bytes() != wanted.read_bytes():
        raise CannotBegin(
            "the image was built from another uv.lock than that of this commit. Build it again "
            "(deploy/kubernetes/ops.Dockerfile), and set its tag in "
            "deploy/kubernetes/overlays/scheduled/kustomization.yaml."
        )


def merge_earlier_passes() -> None:
    """Merge the branch that earlier passes pushed to, if there is one.

    Raises:
        StepFailed: git could not merge it.
    """
    target = os.environ.get("AUTOPILOT_PUSH", "").split()
    if len(target) != 2:
        return  # the autopilot reports an invalid value
    branch = "/".join(target)
    if commits.git("branch", "--remotes", "--list", branch).strip():
        commits.git(
            *(*commits.UNSIGNED, "merge", "--quiet", "--no-edit"), "--strategy-option=ours", branch
        )


def pull() -> None:
    """Fetch the versioned data.

    Raises:
        CannotBegin: it cannot be pulled.
    """
    if not commits.git("ls-files", "*.dvc").strip():
        return
    if subprocess.run([*_poe(), "pull"], cwd=current().root, check=False).returncode != 0:
        raise CannotBegin(
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


def _poe() -> list[str]:
    return [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
