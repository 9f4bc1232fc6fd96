"""One run of monitor or autopilot in a pod: `rung-ops kubernetes scheduled VERB`.

The pod has cloned the repository; its image holds git and the packages (ops.Dockerfile). Reports
are copied beside the prediction log, as the clone is gone with the pod.

Exit code: that of the verb. 2: it could not begin.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rung_ops.autopilot import commits
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.batch import prediction_log
from rung_ops.project.paths import REPORTS, ROOT

VERBS = ("monitor", "autopilot")
LOCK = "PACKAGES_LOCK"  # where the image keeps the uv.lock that it was built from
COULD_NOT = 2  # exit code


class CannotBegin(Exception):
    """The pod cannot run the verb; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run a verb as a scheduled job does; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=VERBS)
    verb = parser.parse_args(arguments).verb
    try:
        same_packages()
        if verb == "autopilot":
            go_on()
            pull()
    except (CannotBegin, StepFailed) as error:
        print(f"{verb} did not begin: {error}", file=sys.stderr)
        return COULD_NOT
    code = subprocess.run([*_poe(), verb], cwd=ROOT, check=False).returncode
    keep_reports(verb)
    return code


def same_packages() -> None:
    """Refuse an image that holds other packages than the commit asks for.

    Raises:
        CannotBegin: it was built from another uv.lock.
    """
    built = Path(os.environ.get(LOCK) or "/app/uv.lock")
    wanted = ROOT / "uv.lock"
    if not built.is_file() or not wanted.is_file() or built.read_bytes() != wanted.read_bytes():
        raise CannotBegin(
            "the image was built from another uv.lock than this commit has. Build it again "
            "(deploy/kubernetes/ops.Dockerfile), and name its tag in "
            "deploy/kubernetes/overlays/scheduled/kustomization.yaml."
        )


def go_on() -> None:
    """Take in what earlier passes have committed to their own branch, where there is one.

    Raises:
        StepFailed: git could not merge it.
    """
    target = os.environ.get("AUTOPILOT_PUSH", "").split()
    if len(target) != 2:
        return  # the autopilot itself says what is wrong with it
    branch = "/".join(target)
    if commits.git("branch", "--remotes", "--list", branch).strip():
        commits.git(
            *(*commits.UNSIGNED, "merge", "--quiet", "--no-edit"), "--strategy-option=ours", branch
        )


def pull() -> None:
    """Get the data that is versioned.

    Raises:
        CannotBegin: it cannot be pulled.
    """
    if not commits.git("ls-files", "*.dvc").strip():
        return
    if subprocess.run([*_poe(), "pull"], cwd=ROOT, check=False).returncode != 0:
        raise CannotBegin(
            "the versioned data cannot be pulled: see what DVC said above. The remote in "
            ".dvc/config has to be reachable from pods."
        )


def keep_reports(verb: str) -> None:
    """Copy the reports to reports/VERB beside the logs; the newest take the place of the last."""
    if not REPORTS.is_dir():
        return
    logs = prediction_log.folder("production").parents[1]
    try:
        shutil.copytree(REPORTS, logs / "reports" / verb, dirs_exist_ok=True)
    except OSError as error:  # what the verb said counts, not this
        print(f"The reports could not be kept: {error}", file=sys.stderr)


def _poe() -> list[str]:
    return [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
