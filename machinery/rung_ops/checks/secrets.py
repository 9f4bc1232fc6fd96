"""Look for secrets in the files that git tracks, without any tool of a shell."""

import subprocess
import sys

from rung_ops.project.paths import REPOSITORY

BASELINE = ".secrets.baseline"


def main() -> int:
    """Run detect-secrets over the tracked files; return its exit code."""
    from detect_secrets.pre_commit_hook import main as hook

    listed = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if listed.returncode != 0:
        print(f"git cannot list the files: {listed.stderr.strip()}", file=sys.stderr)
        return 1
    files = [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]
    return int(hook(["--no-verify", "--baseline", BASELINE, *files]))
